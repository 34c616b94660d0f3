"""W space as a map of several thousand seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Map"
SENTENCE = "Every dot is a seed, near ones look alike: point at a dot to see it, click it to bring it to the stage."


def build(studio: Studio) -> None:
    """Lay out the place that static/panel_map.js fills; its pictures come from /frame."""
    gr.HTML('<div class="pane" id="map-panel"></div>', apply_default_css=False, js_on_load=None)
