"""The layout: header, stage, tabs, control row, shelf. What moves in it is in static/, what it shows is in markup/."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import gradio as gr
from fastapi import FastAPI

from explorer.web import panels
from explorer.web.controls import connect_menus, controls, header, piece
from explorer.web.project_routes import UPLOAD_LIMIT
from explorer.web.timeline_fold import timeline_fold

__all__ = ["ORDER", "found_panels", "mount"]

ORDER = ("mix", "interpolate", "map", "steer", "project", "compare", "training", "about")
STAY = (600, 3600)  # seconds: how often files that were sent are looked at, and how old they may become
IDLE = 0.02  # seconds between two looks of a queue in which nothing waits
MARKUP = Path(__file__).with_name("markup")
STATIC = Path(__file__).with_name("static")
SYSTEM_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
SYSTEM_MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Menlo", "Consolas", "monospace")


def mount(app: FastAPI, *, endpoints: Callable[[], None], checkpoint: str | None, root: str = "") -> None:
    """Mount the page on `app` at /; `endpoints` adds what programs call to the gr.Blocks that is being built.

    `root` is the path that a proxy puts before every address; Gradio's part of the page asks for whole addresses.
    """
    blocks = _blocks(endpoints=endpoints, checkpoint=checkpoint)
    # Blocks that are mounted are never launched, and Gradio looks only for those that are whether a file that a
    # request names was sent by somebody; of others it takes, and then serves, every file of this machine.
    blocks.has_launched = True
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        root_path=root or None,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=f"{UPLOAD_LIMIT >> 20}mb",
        theme=_theme(),
        head=_markup("head"),
        favicon_path=str(STATIC / "favicon.svg"),
    )
    _rest(blocks)


def _rest(blocks: gr.Blocks) -> None:
    """Let Gradio's queue look for work fifty times a second, as on Windows it does twenty times, not a thousand times.

    That was 4 % of a core while nobody did anything. Only gradio_client's calls go through the queue.
    """
    queue = getattr(blocks, "_queue", None)
    for name in ("sleep_when_free", "progress_update_sleep_when_free"):
        if hasattr(queue, name):
            setattr(queue, name, max(IDLE, getattr(queue, name)))


def found_panels() -> list[tuple[str, ModuleType]]:
    """Return (name, module) of every panel there is, in the order of the page."""
    names = {module.name for module in iter_modules(panels.__path__) if not module.name.startswith("_")}
    ordered = [name for name in ORDER if name in names] + sorted(names.difference(ORDER))
    return [(name, import_module(f"{panels.__name__}.{name}")) for name in ordered]


def _blocks(*, endpoints: Callable[[], None], checkpoint: str | None) -> gr.Blocks:
    shown = found_panels()
    facts = json.dumps({"checkpoint": checkpoint, "panels": [name for name, _ in shown]})
    with gr.Blocks(title="Styloscope", analytics_enabled=False, fill_width=True, delete_cache=STAY) as blocks:
        brand = _markup("brand", facts=escape(facts, quote=True))
        menus = header(brand=brand, open_box=_markup("open-box"), save_menu=_markup("save-menu"))
        with gr.Row(elem_id="bench", elem_classes=[] if shown else ["alone"]):
            with gr.Column(elem_id="bench-stage", min_width=280):
                piece(_markup("stage"), "part-stage")
            with (
                gr.Column(elem_id="bench-panels", min_width=280),
                gr.Tabs(elem_id="panels", overflow_behavior="wrap"),
            ):
                for name, panel in shown:
                    with gr.Tab(panel.TITLE, id=name, elem_id=f"panel_{name}", render_children=True):
                        gr.HTML(f"<p class='sentence'>{escape(panel.SENTENCE)}</p>", js_on_load=None)
                        panel.build()
            with gr.Column(elem_id="bench-controls", min_width=280):
                menus |= controls(readout=_markup("readout"))
        piece(_markup("shelf"), "part-shelf")
        timeline_fold()
        connect_menus(menus)
        endpoints()
    return blocks


def _markup(name: str, **words: str) -> str:
    text = (MARKUP / f"{name}.html").read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace("{{" + word + "}}", value)
    return text


def _theme() -> gr.themes.Base:
    return gr.themes.Base(
        primary_hue=gr.themes.colors.cyan,
        secondary_hue=gr.themes.colors.neutral,
        neutral_hue=gr.themes.colors.neutral,
        font=SYSTEM_FONTS,
        font_mono=SYSTEM_MONO,
        radius_size=gr.themes.sizes.radius_md,
        spacing_size=gr.themes.sizes.spacing_sm,
        text_size=gr.themes.sizes.text_md,
    )
