"""W space as a map of several thousand seeds."""

from __future__ import annotations

from typing import Any

import gradio as gr

from explorer.web.controls import act, connect_menus, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Map"
SENTENCE = "Dots are seeds, near ones look alike: point at one to see it, click it for the stage."


SAMPLES = (1000, 2000, 5000, 10000, 20000)
LAST_SEED = SAMPLES[-1] - 1
METHODS = [("PCA", "pca"), ("UMAP", "umap"), ("UMAP + kept", "umap-points")]
DRAGS = [("Zoom", "zoom"), ("Move", "move"), ("Select", "select"), ("Path", "path")]


def build() -> None:
    """Lay out the map's settings and the place that static/panel_map.js fills; its pictures come from /frame."""
    with gr.Column(elem_id="map-panel", elem_classes=["pane"], min_width=0):
        with gr.Row(elem_id="map-settings", equal_height=False):
            counts = [(f"{count:,}", str(count)) for count in SAMPLES]
            menu: dict[str, Any] = {"filterable": False, "interactive": True, "elem_classes": ["field"]}
            samples = gr.Dropdown(counts, value="5000", label="Samples", elem_id="map-samples", **menu)
            gr.Radio(METHODS, value="umap", label="Map by", elem_id="map-method", interactive=True)
            with gr.Row(elem_id="map-color-box", equal_height=False):
                color = gr.Dropdown(
                    [("Nothing", "plain")], value="plain", label="Colour by", elem_id="map-color", **menu
                )
                act("CSV", "map-csv")
            classes = [("All, coloured", "each"), ("The stage's", "one")]
            gr.Radio(classes, value="each", label="Classes", elem_id="map-classes", interactive=True)
            gr.Radio(DRAGS, value="zoom", label="Drag", elem_id="map-drag", interactive=True)
            act("Make UMAP", "map-again")
            act("Walk", "map-walk")
        with gr.Row(elem_id="map-body", elem_classes=["map-body"], equal_height=False):
            piece('<div id="map-plot"></div>', "map-plot-box")
            with gr.Column(elem_id="map-beside", elem_classes=["beside"], min_width=0):
                shown: dict[str, Any] = {"value": ["Pictures"], "label": "Show", "interactive": True}
                gr.CheckboxGroup(["Pictures", "Density"], elem_id="map-show", **shown)
                with gr.Row(elem_id="map-go-box", elem_classes=["field"], equal_height=False):
                    number: dict[str, Any] = {"minimum": 0, "maximum": LAST_SEED, "precision": 0, "interactive": True}
                    gr.Number(0, label="To seed", elem_id="map-seed", **number)
                    act("Go", "map-go")
                piece('<div id="map-rest" class="part"></div>', "map-rest-box")
        piece('<div id="map-work" class="part"></div>', "map-work-box")
        connect_menus({"map-samples": samples, "map-color": color}, sync="map-sync")
