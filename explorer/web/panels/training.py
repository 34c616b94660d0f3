"""A training followed live: its sample sheets over time, its curves, what it was asked; and a small one started."""

from __future__ import annotations

import gradio as gr

from explorer.web.controls import act, connect_menus, line, piece

__all__ = ["SENTENCE", "TITLE", "build"]

TITLE = "Training"
SENTENCE = "Watch a network learn: how the same seeds look over time, and the curves of the run."
MOST_MOMENTS = 2000
PICTURES = [("Head phantoms", "phantoms"), ("A folder", "folder")]
SIZES = [("32 × 32", "32"), ("64 × 64", "64")]
IMAGES = [("400", "400"), ("4,000", "4000"), ("20,000", "20000")]


def build() -> None:
    """Lay out the run's menu and the places that static/panel_training.js fills; what it shows comes from /training."""
    with gr.Column(elem_id="training-panel", elem_classes=["pane"], min_width=0):
        run = gr.Dropdown([], label="Run", elem_id="training-run", filterable=False, interactive=True)
        piece('<div id="training-said" class="part"></div>', "training-said-box")
        with gr.Column(elem_id="training-own", min_width=0):
            piece('<span class="label" id="training-own-words"></span>', "training-own-box")
            act("Stop", "training-stop")
            piece('<pre tabindex="0" aria-label="Terminal"><code id="training-line"></code></pre>', "training-line-box")
        piece('<div id="training-head" class="part"></div>', "training-head-box")
        with gr.Column(elem_id="training-time", min_width=0):
            piece('<span class="label">Same seeds over time</span>', "training-time-title")
            act("To the stage", "training-to-stage")
            piece('<div id="training-sheet"></div>', "training-sheet-box")
            with gr.Column(elem_id="training-player", elem_classes=["field", "player"], min_width=0):
                act("Play the sheets", "training-play", "icon", "play")
                gr.Slider(1, MOST_MOMENTS, value=1, step=1, label="Moment", elem_id="moment", interactive=True)
                piece('<span class="hint" id="moment-words"></span>', "moment-words-box")
                act("Newest", "training-newest")
        piece('<div id="training-rest" class="part"></div>', "training-rest-box")
        _start()
        connect_menus({"training-run": run}, sync="training-sync")


def _start() -> None:
    with gr.Column(elem_id="training-new", elem_classes=["part", "ruled"], min_width=0):
        words = "The smoke preset, beside everything else at low priority: to see a GAN learn, not to get a good one."
        piece(f'<h3>Start a small training</h3><p class="hint">{words}</p>', "training-new-title")
        with gr.Row(elem_id="training-choices", elem_classes=["choices"], equal_height=False):
            gr.Radio(PICTURES, value="phantoms", label="Pictures", elem_id="training-pictures", interactive=True)
            gr.Radio(SIZES, value="32", label="Size", elem_id="training-size", interactive=True)
            gr.Radio(IMAGES, value="400", label="Images", elem_id="training-images", interactive=True)
        with gr.Row(elem_id="training-texts", elem_classes=["columns"], equal_height=False):
            line("Name", "training-name", "")
            line("Folder or zip", "training-folder", "")
        piece('<p class="wrong" role="alert" id="training-wrong"></p>', "training-wrong-box")
        act("Start", "training-start", "strong")
