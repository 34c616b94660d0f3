"""GET /plotly.min.js: the script of the plotly wheel, compressed once, from this machine and nowhere else."""

from __future__ import annotations

import asyncio
import gzip
from importlib import resources

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

__all__ = ["add_plotly_route"]


def add_plotly_route(app: Starlette) -> None:
    """Add the route; the 5 MB are read and compressed when the first map is opened, and kept compressed."""
    kept: list[bytes] = []

    async def script(request: Request) -> Response:
        if not kept:
            kept.append(await asyncio.to_thread(_compressed))
        packed = "gzip" in request.headers.get("accept-encoding", "")
        content = kept[0] if packed else await asyncio.to_thread(gzip.decompress, kept[0])
        headers = {"Vary": "Accept-Encoding", **({"Content-Encoding": "gzip"} if packed else {})}
        return Response(content, media_type="text/javascript", headers=headers)

    app.router.add_route("/plotly.min.js", script, methods=["GET"])


def _compressed() -> bytes:
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js")
    return gzip.compress(script.read_bytes(), compresslevel=5)
