"""Walks between pictures, and the sheet between four corners."""

from __future__ import annotations

import gradio as gr

from explorer.web.controls import act, line, piece, slider

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Interpolate"
SENTENCE = "Walk from picture to picture, play the walk on the stage, and take it home as a film."
MOST_STEPS = 2000
MOST_FPS = 60
MOST_CELLS = 40
MOST_FRAMES = 64 * MOST_STEPS  # 64 pictures, as static/panel_interpolate.js allows
SPACES = [("w, straight", "w"), ("z, round", "z")]
PATHS = (
    "w goes straight from style to style; z round the sphere of the seeds' own numbers, past other pictures. "
    "Smooth slows down at each."
)


def build() -> None:
    """Lay out the walk and the sheet; static/panel_interpolate.js fills them, and pictures come from /frame."""
    with gr.Column(elem_id="interpolate-panel", elem_classes=["pane"], min_width=0):
        with gr.Column(elem_id="walk", elem_classes=["part"], min_width=0):
            line("Seeds", "walk-seeds", "3, 9, 27")
            piece('<div id="walk-pictures" class="part"></div>', "walk-pictures-box")
        with gr.Row(elem_id="walk-settings", elem_classes=["columns"], equal_height=False):
            slider("Steps", "steps", (1, MOST_STEPS), 24)
            slider("Frames a second", "fps", (1, MOST_FPS), 24)
            with gr.Row(elem_classes=["choices"], equal_height=False):
                gr.Radio(SPACES, value="w", label="Space", elem_id="space", interactive=True)
                gr.Radio(["linear", "smooth"], value="linear", label="Ease", elem_id="ease", interactive=True)
                gr.Checkbox(value=False, label="Loop", elem_id="loop", interactive=True)
            piece(f'<p class="hint">{PATHS}</p>', "walk-paths")
        with gr.Column(elem_id="walk-player", elem_classes=["part"], min_width=0):
            with gr.Column(elem_classes=["field", "player"], min_width=0):
                act("Play the walk", "walk-play", "icon", "play")
                gr.Slider(1, MOST_FRAMES, value=1, step=1, label="Frame", elem_id="frame", interactive=True)
                piece('<span class="hint" id="frame-words"></span>', "frame-words-box")
                act("Keep", "walk-keep")
            piece('<div id="walk-rest" class="part"></div>', "walk-rest-box")
        with gr.Column(elem_id="corners", elem_classes=["part", "ruled"], min_width=0):
            piece("<h3>Four corners</h3>", "corners-title")
            with gr.Row(elem_classes=["columns"], equal_height=False):
                line("Corner seeds", "corner-seeds", "3, 9, 27, 41")
                slider("Cells a side", "corner-cells", (2, MOST_CELLS), 5)
            piece('<div id="corners-rest" class="part"></div>', "corners-rest-box")
