"""Walks between pictures, and the sheet between four corners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Interpolate"
SENTENCE = "Walk from picture to picture, scrub and play the walk on the stage, and take it home as a film."


def build(studio: Studio) -> None:
    """Lay out the place that static/panel_interpolate.js fills; its pictures come from /frame."""
    gr.HTML('<div class="panel" id="interpolate-panel"></div>', apply_default_css=False, js_on_load=None)
