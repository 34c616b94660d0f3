"""A path that a proxy puts before every address, such as /user/anna/proxy/7860: what --root-path takes, its end.

The page's scripts ask beside the page and need no path; Gradio's part of the page and the login name whole addresses.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SettingError

__all__ = ["Under", "root_path"]

MOST = 512  # characters; browsers drop a cookie whose path has 1024
# Nothing that would end or change the path in an address, in a page or in a cookie.
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~@:+-]|%[0-9A-Fa-f]{2})+)*/?")
_PART = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f\x7f]+")  # decoded
_OWN = {
    "about", "assets", "config", "directions", "favicon.ico", "frame", "gradio_api", "info", "interpolate", "jobs",
    "layers", "login", "logout", "manifest.json", "map", "mix", "nearest", "networks", "open", "plotly.min.js",
    "points", "project", "queue", "render", "static", "svelte", "theme.css", "training",
}  # fmt: skip
_MANIFEST = re.compile(rb'<link rel="manifest"[^>]*>')


def root_path(given: str | None) -> str:
    """The path of --root-path without a slash at its end; empty without the flag. Raises SettingError."""
    if given is None:
        return ""
    parts = [_decoded(part) for part in given.strip("/").split("/")]
    whole = given.startswith("/") and len(given) <= MOST and _PATH.fullmatch(given)
    if not whole or given != "/" and not all(map(_PART.fullmatch, parts)):
        words = "the path as the browser's address bar has it after the host, such as /user/anna/proxy/7860"
        raise SettingError("--root-path", given, words)
    if parts[0] in _OWN:
        # A proxy that takes the path off would leave addresses from which it would be taken off once more.
        raise SettingError("--root-path", given, "a path that does not begin as the explorer's own addresses do")
    return given.rstrip("/")


class Under:
    """ASGI middleware: takes `root` off the paths that still have it, so that a proxy may strip it or leave it there.

    So the address that the explorer prints opens the page, too, for who sits at this machine and asks no proxy.
    """

    def __init__(self, app: ASGIApp, *, root: str) -> None:
        self.app = app
        self.root = root
        self.spelled = unquote(root)  # as servers tell paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, whatever had the path without it."""
        path = scope.get("path", "")
        if f"{path}/".startswith(f"{self.spelled}/"):
            path = path[len(self.spelled) :] or "/"
            scope = {**{key: value for key, value in scope.items() if key != "raw_path"}, "path": path}
        page = path == "/" and scope.get("method") == "GET"
        onward = self._led(send, host=Headers(scope=scope).get("host", "")) if scope["type"] == "http" else send
        await self.app(scope, receive, self._rewritten(onward) if page else onward)

    def _led(self, send: Send, *, host: str) -> Send:
        """Send redirects within this host to addresses under the path: Gradio's own, from /theme.css/, forget it."""

        async def led(message: Message) -> None:
            if message["type"] == "http.response.start" and 300 <= message["status"] < 400:
                headers = MutableHeaders(scope=message)
                there = urlsplit(headers.get("location", ""))
                beside = not f"{unquote(there.path)}/".startswith(f"{self.spelled}/")
                if there.netloc in ("", host) and there.path.startswith("/") and beside:
                    headers["location"] = urlunsplit(there._replace(path=f"{self.root}{there.path}"))
            await send(message)

        return led

    def _rewritten(self, send: Send) -> Send:
        """Send the page with addresses that stay under the path."""
        started: list[Message] = []
        body = bytearray()

        async def held(message: Message) -> None:
            if message["type"] == "http.response.start" and _is_page(message):
                started.append(message)
            elif not started:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    content = self._page(bytes(body))
                    MutableHeaders(scope=started[0])["Content-Length"] = str(len(content))
                    await send(started[0])
                    await send({"type": "http.response.body", "body": content})

        return held

    def _page(self, content: bytes) -> bytes:
        # Of several bases the first counts. Without one, an address that lacks its last slash would lead one up.
        content = content.replace(b"<head>", f'<head><base href="{self.root}/">'.encode(), 1)
        # Gradio names its manifest at the root of the host, and no icon, which browsers then look for there, too.
        return _MANIFEST.sub(b'<link rel="icon" href="favicon.ico">', content, count=1)


def _is_page(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    html = headers.get("content-type", "").startswith("text/html")
    return start["status"] == 200 and html and "content-encoding" not in headers


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        return ""
