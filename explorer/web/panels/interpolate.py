"""Walks between pictures, and the sheet between four corners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from explorer.web.controls import piece

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Interpolate"
MOST_STEPS = 2000
MOST_FPS = 60
SPACES = [("w, straight", "w"), ("z, round", "z")]
SENTENCE = "Walk from picture to picture, scrub and play the walk on the stage, and take it home as a film."


def build(studio: Studio) -> None:
    """Lay out the walk's settings and the places that static/panel_interpolate.js fills; pictures come from /frame."""
    with gr.Column(elem_id="interpolate-panel", elem_classes=["pane"], min_width=0):
        piece('<div id="walk-pictures"></div>', "walk-pictures-box")
        with gr.Row(elem_id="walk-settings", equal_height=False):
            for words, name, most in (("Steps", "steps", MOST_STEPS), ("Frames a second", "fps", MOST_FPS)):
                with gr.Column(elem_classes=["control"], min_width=0):
                    gr.Slider(1, most, value=24, step=1, label=words, elem_id=name, interactive=True)
            gr.Radio(SPACES, value="w", label="Space", elem_id="space", interactive=True)
            gr.Radio(["linear", "smooth"], value="linear", label="Ease", elem_id="ease", interactive=True)
            gr.Checkbox(value=False, label="Loop", elem_id="loop", interactive=True)
        piece('<div id="walk-rest" class="sections"></div>', "walk-rest-box")
