"""The facts of a network, its model card, and the few words and keys that people ask about."""

from __future__ import annotations

import gradio as gr

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "About"
SENTENCE = "What this network is, what it was trained on, and how to read what it shows."


def build() -> None:
    """Lay out the place that static/panel_about.js fills; its pictures come from /frame."""
    gr.HTML('<div class="pane" id="about-panel"></div>', apply_default_css=False, js_on_load=None)
