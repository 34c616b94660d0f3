"""Directions in W as sliders: found without labels, between two piles of pictures, or from a table of values."""

from __future__ import annotations

import gradio as gr

from explorer.web.controls import act, line, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Steer"
SENTENCE = "Add directions along which pictures change, and move this picture along them."
METHODS = [("SeFa", "sefa"), ("PCA", "pca"), ("Kept", "kept")]
GROUPS = ("all", "coarse", "middle", "fine")
LEARNED = [("Classifier", "classifier"), ("Averages", "difference")]


def build() -> None:
    """Lay out the places and settings that static/panel_steer.js fills; its pictures come from /frame."""
    with gr.Column(elem_id="steer-panel", elem_classes=["pane"], min_width=0):
        piece('<div id="steer-cards" class="part"></div>', "steer-cards-box")
        with gr.Column(elem_id="steer-find", elem_classes=["part", "ruled"], min_width=0):
            piece("<h3>Directions</h3>", "steer-find-title")
            with gr.Row(elem_id="steer-how", elem_classes=["choices"], equal_height=False):
                gr.Radio(METHODS, value="sefa", label="Found by", elem_id="steer-method", interactive=True)
                line("Layers", "steer-layers", "all")
                with gr.Row(elem_id="steer-groups", elem_classes=["words"], equal_height=False):
                    for name in GROUPS:
                        act(name, f"steer-{name}", "word")
            piece('<div id="steer-found" class="part"></div>', "steer-found-box")
        with gr.Column(elem_id="steer-make", elem_classes=["part", "ruled"], min_width=0):
            piece("<h3>From two piles of pictures</h3>", "steer-make-title")
            piece('<div id="steer-piles" class="part"></div>', "steer-piles-box")
            with gr.Row(elem_id="steer-make-how", elem_classes=["choices"], equal_height=False):
                gr.Radio(LEARNED, value="classifier", label="By", elem_id="steer-learned", interactive=True)
                line("Name of the direction", "steer-pile-name", "")
                act("Make the direction", "steer-pile-go", "strong")
            piece('<div id="steer-pile-made" class="part"></div>', "steer-pile-made-box")
        with gr.Column(elem_id="steer-table", elem_classes=["part", "ruled"], min_width=0):
            piece("<h3>From a table</h3>", "steer-table-title")
            piece('<div id="steer-table-rest" class="part"></div>', "steer-table-box")
