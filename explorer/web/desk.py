"""The one thread that draws for the browser, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

__all__ = ["Desk"]

T = TypeVar("T")


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
