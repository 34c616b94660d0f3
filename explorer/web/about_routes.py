"""What a network says of itself: GET /about?checkpoint=NAME, and the pictures of its model card."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from explorer.card import card_of
from explorer.web.answers import refusal, telling
from explorer.web.places import bare_training
from explorer.web.training_routes import near

if TYPE_CHECKING:
    from explorer.studio import Network, Studio

__all__ = ["add_about_routes", "card_html"]

_PICTURE = re.compile(r"[^\W_][\w .-]{0,120}\.(?:png|jpe?g|webp|gif)", re.IGNORECASE)


def add_about_routes(app: Starlette, *, studio: Studio, host: str) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /. `host` is what the server listens on."""

    async def facts(request: Request) -> dict[str, Any]:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint", ""))
        told = await asyncio.to_thread(_facts, network)
        # Its command was typed on some machine, perhaps this one.
        return told if near(request, host=host) else {**told, "training": bare_training(told["training"])}

    async def picture(request: Request) -> Response:
        name = request.query_params.get("file", "")
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint", ""))
        # A card shows pictures that lie beside it and bear its network's name; nothing else leaves the folder.
        path = network.path.with_name(name) if _PICTURE.fullmatch(name) else None
        if path is None or not name.startswith(network.path.stem) or path.is_symlink() or not path.is_file():
            return refusal(f"the card of {network.name} has no picture {name[:60]!r}", status=404)
        return FileResponse(path)

    app.router.add_route("/about", telling(facts), methods=["GET"])
    app.router.add_route("/about/picture", telling(picture), methods=["GET"])


def card_html(text: str, *, checkpoint: str) -> str:
    """Render a model card. HTML in it is shown as text, dangerous links are dropped, pictures come from beside it."""
    parser = MarkdownIt("js-default", {"html": False, "linkify": False, "typographer": False}).enable("table")
    tokens = parser.parse(text)
    for token in _every(tokens):
        if token.type == "image":
            name = str(token.attrs.get("src", "")).removeprefix("./")
            token.attrs["src"] = f"/about/picture?{urlencode({'checkpoint': checkpoint, 'file': name})}"
            token.attrs["loading"] = "lazy"
        elif token.type == "link_open":
            token.attrs.update({"rel": "noopener noreferrer", "target": "_blank"})
    return parser.renderer.render(tokens, parser.options, {})


def _every(tokens: list[Token]) -> list[Token]:
    return [one for token in tokens for one in [token, *_every(token.children or [])]]


def _facts(network: Network) -> dict[str, Any]:
    about = network.about
    card = card_of(network.path)
    return {
        "name": network.name,
        "sha": network.sha,
        "file": network.path.name,
        "bytes": network.path.stat().st_size,
        "architecture": about["arch"],
        "config": about["config"],
        "training": about.get("training") or {},
        "crop": about["picture"]["crop"],
        "levels": None if network.intensity is None else network.intensity.says(),
        "credit": network.credit,
        "provenance": about.get("provenance") or {},
        "card": None if card is None else card_html(card, checkpoint=network.name),
    }
