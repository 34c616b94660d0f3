"""The one thread that draws for the browser, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from core.errors import SettingError
from explorer.web.answers import CLOSED_BY_CLIENT, GONE_SECONDS, refusal

__all__ = ["Desk", "answered", "client_of"]

T = TypeVar("T")

CLIENT_LIMIT = 64  # characters
SUPERSEDED = 409


class Desk:
    """Runs one piece of work at a time; of the work that waits for one client, only the newest is kept."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="draw")
        self._waiting: dict[str, Future] = {}
        self._lock = Lock()

    def ask(self, work: Callable[[], T], *, client: str | None = None) -> Future[T]:
        """Put `work` in line and return its future; older waiting work of the same `client` is cancelled.

        Work without a client waits its turn and is dropped only when its future is cancelled.
        """
        if client is None:
            return self._thread.submit(work)
        with self._lock:
            older = self._waiting.get(client)
            newest = self._thread.submit(work)
            self._waiting[client] = newest
        # Outside the lock, since a cancelled future calls _forget at once.
        if older is not None:
            older.cancel()
        newest.add_done_callback(lambda done: self._forget(client, done))
        return newest

    def close(self) -> None:
        """Drop what waits and end the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _forget(self, client: str, done: Future) -> None:
        with self._lock:
            if self._waiting.get(client) is done:
                del self._waiting[client]


def client_of(request: Request) -> str | None:
    """The name under which a tab asks, None where it gives none. Raises SettingError."""
    client = request.query_params.get("client")
    if client is not None and not 0 < len(client) <= CLIENT_LIMIT:
        raise SettingError("client", client, f"it must have 1 to {CLIENT_LIMIT} characters")
    return client


async def answered(request: Request, drawing: Future[T], answer: Callable[[T], Response]) -> Response:
    """Wait for work at a desk and answer with it; it is dropped when the browser goes, refused when superseded.

    Raises what the work raises.
    """
    waiting = asyncio.wrap_future(drawing)
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=GONE_SECONDS)
            if not waiting.done() and await request.is_disconnected():
                drawing.cancel()
                return Response(status_code=CLOSED_BY_CLIENT)
        return answer(waiting.result())
    except asyncio.CancelledError:
        if not drawing.cancelled():
            drawing.cancel()
            raise
        return refusal("a newer request of the same tab took the place of this one", status=SUPERSEDED)
