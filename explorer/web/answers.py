"""What every address does alike: read a body of bounded length, know who asks, and say in JSON what is wrong."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from gradio.context import LocalContext
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SettingError, StyloscopeError
from explorer.schema import loads
from explorer.web.places import called, without

__all__ = [
    "BODY_LIMIT",
    "CLOSED_BY_CLIENT",
    "GONE_SECONDS",
    "Refusals",
    "hidden",
    "hide_places",
    "is_this_machine",
    "read_body",
    "read_keys",
    "read_object",
    "refusal",
    "telling",
    "visitor",
    "while_there",
]

Handler = Callable[[Request], Awaitable[Response]]
Maker = Callable[[Request], Awaitable[Response | dict[str, Any]]]

CLOSED_BY_CLIENT = 499  # nobody reads it; nginx says so in its log

BODY_LIMIT = (
    1 << 20
)  # bytes: 64 entries in each list of a recipe, or some hundreds of kept pictures, fit many times over
GONE_SECONDS = 0.1  # how often a waiting request looks whether its browser is still there
GRADIO = "/gradio_api/"
UNKNOWN = {"Not Found", "Method Not Allowed", "Bad Request"}
_ADDRESS: ContextVar[str | None] = ContextVar("address", default=None)  # of who sent the request at hand


async def read_body(request: Request, *, field: str) -> bytes:
    """Return the body; SettingError naming `field` as soon as it has more than BODY_LIMIT bytes."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise SettingError(field, f"{len(body)} bytes and more", f"it must have at most {BODY_LIMIT} bytes")
    return body


async def read_object(request: Request, *, field: str) -> dict[str, Any] | None:
    """Return the JSON object of the body, None where it is none; SettingError where it is too long."""
    text = await read_body(request, field=field)
    try:
        found = loads(text)
    except SettingError:
        return None
    return found if isinstance(found, dict) else None


async def read_keys(request: Request, keys: Sequence[str], *, field: str) -> dict[str, Any]:
    """Return the JSON object of the body, which has none but these keys. Raises SettingError."""
    found = await read_object(request, field=field)
    if found is None:
        raise SettingError(field, "this body", f"a JSON object with {', '.join(keys)}")
    unknown = next((key for key in found if key not in keys), None)
    if unknown is not None:
        raise SettingError(f"a key of the {field}", unknown, f"the known ones are {', '.join(keys)}")
    return found


def refusal(wrong: StyloscopeError | str, *, status: int = 400) -> JSONResponse:
    """Return the one sentence as {"error": ...}; an error whose class has a `status` of its own has that."""
    return JSONResponse({"error": " ".join(str(wrong).split())}, status_code=getattr(wrong, "status", status))


def telling(handler: Maker, *, status: int = 400) -> Handler:
    """The same handler, whose dicts become JSON and whose errors the one sentence."""

    async def answered(request: Request) -> Response:
        try:
            found = await handler(request)
        except ClientDisconnect:
            return Response(status_code=CLOSED_BY_CLIENT)
        except StyloscopeError as wrong:
            return refusal(wrong, status=status)
        return found if isinstance(found, Response) else JSONResponse(found)

    return answered


def visitor() -> str | None:
    """The address of the machine that asks at this moment; None where it is this one, or nobody is known to ask."""
    asked = LocalContext.request.get(None)  # Gradio works in a task of its own
    client = getattr(asked, "client", None)
    address = getattr(client, "host", None) or _ADDRESS.get()
    return None if address is None or is_this_machine(address) else address


def is_this_machine(address: str) -> bool:
    """Whether a request from there comes from this machine: a loopback address, also one of IPv4 written as IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # the name of a socket
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def hide_places(app: Starlette, folders: Iterable[Path]) -> None:
    """Let what `app` refuses name these, too, and what lies in them, and leave out where that is."""
    app.state.places = {**getattr(app.state, "places", {}), **called(folders)}


def hidden(app: Starlette, sentence: str) -> str:
    """The sentence as anybody may read it: without where the places lie that `hide_places` was told of."""
    return without(sentence, getattr(app.state, "places", {}))


async def while_there(request: Request, work: Callable[[], dict[str, Any]], gone: threading.Event) -> Response:
    """Work in a thread while the browser waits and answer with its JSON, 201; one that leaves sets `gone`."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        while not working.done():
            await asyncio.wait({working}, timeout=GONE_SECONDS)
            if not working.done() and await request.is_disconnected():
                gone.set()
                await asyncio.wait({working})
        return JSONResponse(working.result(), status_code=201)
    except asyncio.CancelledError:
        gone.set()
        raise


class Refusals:
    """ASGI middleware: what the frameworks below say of an unknown address or a wrong method becomes our sentence.

    Ours say no more of folders than `hide_places` lets them. Gradio's programs read the details of Gradio's own
    addresses, so those stay beside our sentence.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and rewrite a refusal that says {"detail": ...}."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _ADDRESS.set(scope["client"][0] if scope.get("client") else None)
        asked = dict(scope)  # a mounted application writes its own name and path over ours
        started: Message | None = None
        body = b""

        async def rewritten(message: Message) -> None:
            nonlocal started, body
            if message["type"] == "http.response.start" and _is_refusal(message):
                started = message
            elif started is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    answer = _answer(asked, started["status"], body)
                    if answer is not None:
                        await answer(scope, receive, send)
                        return
                    await send(started)
                    await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, rewritten)


def _is_refusal(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "").split(";")[0]
    return 400 <= start["status"] < 500 and kind in ("application/json", "text/plain") and not _packed(headers)


def _packed(headers: Headers) -> bool:
    return "content-encoding" in headers


def _answer(scope: Scope, status: int, body: bytes) -> JSONResponse | None:
    """What to say in the place of a body that is not ours; None where it is, or is for Gradio's own programs."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError):
        said = {"detail": body.decode("utf-8", "replace")}
    if isinstance(said, dict) and isinstance(said.get("error"), str):
        shown = hidden(scope["app"], said["error"])
        return None if shown == said["error"] else refusal(shown, status=status)
    detail = said.get("detail") if isinstance(said, dict) and "error" not in said else None
    unknown = isinstance(detail, str) and detail in UNKNOWN
    if detail is None:
        return None
    path, method = scope["path"][:60], scope["method"][:20]
    if not unknown:
        sentence = f"{path!r} was refused: {_sentence(detail)}"
        if scope["path"].startswith(GRADIO):
            return JSONResponse({"error": " ".join(sentence.split()), "detail": detail}, status_code=status)
        return refusal(sentence, status=status)
    takes = _methods(scope["app"].router.routes, scope)
    if takes:
        answer = refusal(f"{path!r} does not take {method}; it takes {' and '.join(takes)}", status=405)
        answer.headers["Allow"] = ", ".join(takes)
        return answer
    if status == 405:
        return refusal(f"{path!r} does not take {method}", status=405)
    return refusal(f"there is nothing at {path!r}; GET /networks lists the networks, /frame gives pictures", status=404)


def _methods(routes: list[BaseRoute], scope: Scope) -> list[str]:
    """The methods of our own addresses that fit the path of a request."""
    fitting = [route for route in routes if route.matches({**scope, "method": "?"})[0] is Match.PARTIAL]
    return sorted({method for route in fitting for method in getattr(route, "methods", None) or () if method != "HEAD"})


def _sentence(detail: object) -> str:
    """The words of FastAPI's list of problems, or of anything else."""
    if isinstance(detail, list):
        parts = [one for one in detail if isinstance(one, dict)]
        return "; ".join(f"{'.'.join(map(str, one.get('loc', ())))}: {one.get('msg', '')}" for one in parts)[:300]
    return str(detail)[:300]
