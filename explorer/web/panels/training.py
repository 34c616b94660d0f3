"""A training followed live: its curves, its sample sheets over time, and what it was asked to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Training"
SENTENCE = "Watch a network learn: how the same seeds look over time, and the curves of the run that makes them."


def build(studio: Studio) -> None:
    """Lay out the place that static/panel_training.js fills; what it shows comes from /training."""
    gr.HTML('<div class="pane" id="training-panel"></div>', apply_default_css=False, js_on_load=None)
