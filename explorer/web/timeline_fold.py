"""The timeline, folded below the shelf. static/timeline.js fills it; its frames come from /frame."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.timeline import MOST_FRAMES
from explorer.web.controls import act, piece, slider

__all__ = ["timeline_fold"]

SENTENCE = (
    "Give kept pictures a time each, and a film goes through all of them: drag them from the shelf onto the line, "
    "scrub it, take it home."
)
SPLINES = [("smooth curve", "catmull-rom"), ("straight", "linear")]
MOST_FPS = 60
MOST_SECONDS = 50_000


def timeline_fold() -> None:
    """Lay out the fold: the line and its keys, the player, how the film goes, and taking it home."""
    with (
        gr.Accordion("Timeline", open=False, elem_id="timeline"),
        gr.Column(elem_id="timeline-pane", elem_classes=["pane"], min_width=0),
    ):
        piece(f'<p class="sentence">{SENTENCE}</p>', "timeline-sentence")
        piece('<canvas id="timeline-view" role="img" aria-label="The stage"></canvas>', "timeline-view-box")
        piece('<div id="timeline-line" class="part"></div>', "timeline-line-box")
        with gr.Column(elem_id="timeline-player", elem_classes=["field", "player"], min_width=0):
            act("Play the timeline", "timeline-play", "icon", "play")
            label = "Frame of the timeline"
            gr.Slider(1, MOST_FRAMES, value=1, step=1, label=label, elem_id="timeline-frame", interactive=True)
            piece('<span class="hint" id="timeline-words"></span>', "timeline-words-box")
            act("Key here", "timeline-insert")
        piece('<div id="timeline-key" class="part"></div>', "timeline-key-box")
        with gr.Row(elem_id="timeline-settings", elem_classes=["columns"], equal_height=False):
            with gr.Column(elem_id="timeline-length-field", elem_classes=["field"], min_width=0):
                number: dict[str, Any] = {"minimum": 0, "maximum": MOST_SECONDS, "step": 0.1, "interactive": True}
                gr.Number(3, label="Length in seconds", elem_id="timeline-length", **number)
            slider("Frames a second", "timeline-fps", (1, MOST_FPS), 24)
            with gr.Row(elem_classes=["choices"], equal_height=False):
                gr.Radio(SPLINES, value="catmull-rom", label="Path", elem_id="timeline-spline", interactive=True)
                gr.Checkbox(value=False, label="Loop", elem_id="timeline-loop", interactive=True)
        piece('<div id="timeline-rest" class="part"></div>', "timeline-rest-box")
