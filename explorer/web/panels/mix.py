"""Style mixing: other seeds' styles in chosen layers, live on the stage, and the matrix of rows x columns."""

from __future__ import annotations

import gradio as gr

from explorer.web.controls import act, connect_menus, line, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Mix"
GROUPS = ("coarse", "middle", "fine")
SENTENCE = "Give layers of this picture other seeds' styles: coarse ones carry shape, fine ones texture."


def build() -> None:
    """Lay out the matrix's layers and the places that static/panel_mix.js fills; pictures come from /frame."""
    with gr.Column(elem_id="mix-panel", elem_classes=["pane"], min_width=0):
        piece('<div id="mix-sources"></div>', "mix-sources-box")
        with gr.Column(elem_id="matrix", elem_classes=["ruled"], min_width=0):
            piece("<h3>Matrix</h3>", "matrix-title")
            with gr.Row(elem_classes=["columns"], equal_height=False):
                line("Row seeds", "matrix-rows", "0-3")
                line("Column seeds", "matrix-columns", "10-14")
            with gr.Row(elem_id="matrix-style", elem_classes=["layers"], equal_height=False):
                layers = gr.CheckboxGroup([], label="Layers", elem_id="matrix-layers", interactive=True)
                with gr.Row(elem_classes=["words"], equal_height=False):
                    for name in GROUPS:
                        act(name, f"matrix-{name}", "word")
            piece('<div id="matrix-rest"></div>', "matrix-rest-box")
        connect_menus({"matrix-layers": layers}, sync="matrix-sync")
