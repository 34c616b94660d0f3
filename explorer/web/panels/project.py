"""A person's own picture in the network: projected, kept as a point, and everything that is kept as one."""

from __future__ import annotations

import gradio as gr

from explorer.projection import STEPS
from explorer.web.controls import act, line, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Project"
SENTENCE = "Find your own picture in the network: what comes closest to it becomes a point to look around from."
SPACES = [("One w a layer", "w+"), ("One w", "w")]
LENGTHS = [("Quick", str(STEPS // 4)), ("Usual", str(STEPS)), ("Long", str(4 * STEPS))]
NOISES = [("The network's", "const"), ("Fitted", "maps")]


def build() -> None:
    """Lay out the settings and the places that static/panel_project.js fills."""
    with gr.Column(elem_id="project-panel", elem_classes=["pane"], min_width=0):
        piece('<div id="project-picture" class="part"></div>', "project-picture-box")
        with gr.Row(elem_id="project-settings", elem_classes=["choices"], equal_height=False):
            gr.Radio(SPACES, value="w+", label="Freedom", elem_id="project-space", interactive=True)
            gr.Radio(LENGTHS, value=str(STEPS), label="Length", elem_id="project-steps", interactive=True)
            gr.Radio(NOISES, value="const", label="Noise maps", elem_id="project-noise", interactive=True)
        piece('<div id="project-result" class="part"></div>', "project-result-box")
        with gr.Column(elem_id="points", elem_classes=["part", "ruled"], min_width=0):
            piece("<h3>Points</h3>", "points-title")
            with gr.Row(elem_id="points-add", elem_classes=["choices"], equal_height=False):
                line("Name of the stage's picture", "points-name", "")
                act("Keep the stage as a point", "points-keep")
                act("Open a point…", "points-open")
            piece('<div id="points-rest" class="part"></div>', "points-rest-box")
        piece('<div id="project-nearest" class="part"></div>', "project-nearest-box")
