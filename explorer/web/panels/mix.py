"""Style mixing: other seeds' styles in chosen layers, live on the stage, and the matrix of rows x columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from explorer.web.controls import connect_menus, piece

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Mix"
GROUPS = ("coarse", "middle", "fine")
SENTENCE = "Give some layers of this picture the styles of other seeds: coarse ones carry shape, fine ones texture."


def build(studio: Studio) -> None:
    """Lay out the matrix's layers and the places that static/panel_mix.js fills; pictures come from /frame."""
    with gr.Column(elem_id="mix-panel", elem_classes=["pane"], min_width=0):
        piece('<div id="mix-sources"></div>', "mix-sources-box")
        with gr.Column(elem_id="matrix", elem_classes=["ruled"], min_width=0):
            piece('<div id="matrix-seeds"></div>', "matrix-seeds-box")
            with gr.Row(elem_id="matrix-style", equal_height=False):
                layers = gr.CheckboxGroup([], label="Layers", elem_id="matrix-layers", interactive=True)
                for name in GROUPS:
                    gr.Button(name, elem_id=f"matrix-{name}", elem_classes=["word"], size="sm")
            piece('<div id="matrix-rest"></div>', "matrix-rest-box")
        connect_menus({"matrix-layers": layers}, sync="matrix-sync")
