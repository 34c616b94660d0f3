"""Style mixing: other seeds' styles in chosen layers, live on the stage, and the matrix of rows x columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Mix"
SENTENCE = "Give some layers of this picture the styles of other seeds: coarse ones carry shape, fine ones texture."


def build(studio: Studio) -> None:
    """Lay out the place that static/panel_mix.js fills; its pictures come from /frame."""
    gr.HTML('<div class="panel" id="mix-panel"></div>', apply_default_css=False, js_on_load=None)
