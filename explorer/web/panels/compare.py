"""Two networks side by side on linked controls, or one network in two precisions, and their difference."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.compare import AMPLIFY
from explorer.studio import PRECISIONS
from explorer.web.controls import connect_menus, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Compare"
SENTENCE = "Two networks on the controls of the stage, or one in two precisions, and their difference."
MENU: dict[str, Any] = {"filterable": False, "interactive": True, "elem_classes": ["field"]}


def build() -> None:
    """Lay out the settings of both sides and of the difference; static/panel_compare.js fills in their pictures."""
    menus = {}
    with gr.Row(elem_id="compare-panel", elem_classes=["pane", "compare"], equal_height=False):
        for side in ("Left", "Right"):
            name = f"compare-{side.lower()}"
            with gr.Column(elem_id=f"{name}-side", elem_classes=["side"], min_width=0):
                menus[name] = gr.Dropdown([], label=side, elem_id=name, **MENU)
                piece(f'<div id="{name}-rest" class="rest"></div>', f"{name}-box")
                words = f"{side} precision"
                menus[f"{name}-precision"] = gr.Dropdown(
                    list(PRECISIONS), value="auto", label=words, elem_id=f"{name}-precision", **MENU
                )
        with gr.Column(elem_id="compare-difference-side", elem_classes=["side"], min_width=0):
            gr.Radio(
                ["absolute", "signed"], value="absolute", label="Difference", elem_id="compare-sign", interactive=True
            )
            piece('<div id="compare-difference-rest" class="rest"></div>', "compare-difference-box")
            factors = [(f"× {factor}", str(factor)) for factor in AMPLIFY]
            gr.Radio(factors, value="4", label="Amplified", elem_id="compare-amplify", interactive=True)
        piece('<div id="compare-rest" class="part"></div>', "compare-rest-box")
        connect_menus(menus, sync="compare-sync")
