"""The header and the control row, of Gradio's own components. static/controls.js and static/header.js listen to them.

No event of theirs goes to Python: the page's script takes hold of the elements inside each slider, number and button,
so that the picture does not wait for Gradio. A dropdown's choices are data of Gradio's own; the script hands them over
by way of the hidden button at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

__all__ = ["act", "connect_menus", "controls", "header", "line", "piece", "slider"]

LAST_SEED = 2**32 - 1
MOST_PSI = 5
PSI = "0 is the average picture, 1 as trained."
NOISES = [("const", "const"), ("none", "none"), ("by number", "number")]
SILENT: dict[str, Any] = {"fn": None, "queue": False, "show_progress": "hidden", "api_visibility": "private"}


def header(*, brand: str, open_box: str, save_menu: str) -> dict[str, gr.Dropdown]:
    """Lay out the header; return its dropdowns by name."""
    with gr.Row(elem_id="masthead", equal_height=False):
        piece(brand, "brand")
        network = _dropdown("Network", "network", choices=[])
        with gr.Column(elem_id="open-column", elem_classes=["menu"], min_width=0):
            act("Open…", "open")
            piece(open_box, "open-parts")
        piece('<span id="network-facts"></span>', "network-box")
        act("Link", "link")
        act("PNG", "png")
        with gr.Column(elem_id="save-box", elem_classes=["menu"], min_width=0):
            act("Save as", "save")
            piece(save_menu, "save-parts")
        act("Light or dark", "theme", "icon")
    return {"network": network}


def controls(*, readout: str) -> dict[str, gr.Dropdown]:
    """Lay out seed, truncation, noise, class and growth; return the dropdowns by name."""
    with gr.Row(elem_id="controls", equal_height=False):
        with _control("seed"):
            # The slider itself reaches the thousand around the seed; the script narrows it.
            gr.Slider(0, LAST_SEED, value=0, step=1, label="Seed", elem_id="seed", interactive=True)
            act("Previous seed", "seed-previous", "icon")
            act("Next seed", "seed-next", "icon")
            act("Dice", "dice", "icon")
            piece('<p class="hint" id="seed-hint"></p>', "seed-below")
        with _control("psi"):
            gr.Slider(-MOST_PSI, MOST_PSI, value=0.7, step=0.01, label="Truncation", elem_id="psi", interactive=True)
            piece(f'<p class="hint" id="psi-hint" title="{PSI}">{PSI}</p>', "psi-below")
        with _control("noise", "small"):
            noise = _dropdown("Noise", "noise", choices=NOISES, value="const")
            act("Reset noise", "noise-reset", "icon", "reset")
            number: dict[str, Any] = {"minimum": 0, "maximum": LAST_SEED, "precision": 0, "interactive": True}
            gr.Number(0, label="Noise number", elem_id="noise-number", **number)
            piece('<p class="hint" id="noise-hint">The network\'s own, none, or by number.</p>', "noise-below")
        with _control("label", "small"):
            label = _dropdown("Class", "label", choices=["0"], value="0")
            act("Reset class", "label-reset", "icon", "reset")
        size = _growth()
        piece(readout, "readout-box")
    return {"noise": noise, "label": label, "size": size}


def _growth() -> gr.Dropdown:
    """Size and alpha, which static/growth.js shows where the network grows."""
    with gr.Row(elem_id="control-growth", equal_height=False):
        with _control("size", "small"):
            size = _dropdown("Size", "size", choices=[])
            act("Reset size", "size-reset", "icon", "reset")
            act("Grow", "grow")
        with _control("alpha"):
            gr.Slider(0, 1, value=1, step=0.01, label="Alpha", elem_id="alpha", interactive=True)
            piece('<p class="hint" id="alpha-hint"></p>', "alpha-beside")
    return size


def connect_menus(menus: Mapping[str, gr.Dropdown | gr.CheckboxGroup], *, sync: str = "menus-sync") -> None:
    """Tell the page's script what is chosen in each menu; by the button `sync` it says what they offer and show."""
    for name, menu in menus.items():
        menu.input(**SILENT, inputs=[menu], js=f"(value) => {{ window.stage?.menus.chosen('{name}', value); }}")
    outputs: list[Component] = list(menus.values())
    button = gr.Button("Sync", elem_id=sync, visible="hidden")
    button.click(**SILENT, outputs=outputs, js=f"() => window.stage.menus.updates({list(menus)})")


def piece(markup: str, elem_id: str) -> None:
    """Put a piece of the page's own markup here."""
    gr.HTML(markup, elem_id=elem_id, apply_default_css=False, js_on_load=None)


def act(words: str, elem_id: str, *classes: str) -> None:
    """Put a button here; the script listens to it."""
    gr.Button(words, elem_id=elem_id, elem_classes=list(classes), size="sm")


def line(label: str, elem_id: str, value: str) -> None:
    """Put a line of text here."""
    gr.Textbox(value, label=label, elem_id=elem_id, elem_classes=["field"], lines=1, max_lines=1, interactive=True)


def slider(label: str, elem_id: str, reach: tuple[int, int], value: int) -> None:
    """Put a slider of whole numbers here, in a box of its own that its parts are laid out in."""
    with gr.Column(elem_id=f"{elem_id}-field", elem_classes=["field"], min_width=0):
        gr.Slider(*reach, value=value, step=1, label=label, elem_id=elem_id, interactive=True)


def _control(name: str, *classes: str) -> gr.Column:
    return gr.Column(elem_id=f"control-{name}", elem_classes=["control", *classes], min_width=0)


def _dropdown(label: str, elem_id: str, *, choices: list, value: str | None = None) -> gr.Dropdown:
    return gr.Dropdown(choices, value=value, label=label, elem_id=elem_id, filterable=False, interactive=True)
