"""Bodies of bytes from the page, counted as they come, whatever length was announced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request

from core.errors import OutputError, SettingError

__all__ = ["announced", "parts", "received"]

_SILENCE = 60.0  # seconds without a byte that end an upload


class TooLargeError(SettingError):
    """An upload of more bytes than may come."""

    status = 413

    def __init__(self, count: str, most: int, what: str) -> None:
        super().__init__("upload", f"{count} bytes", f"{what} of at most {most >> 20} MB")


def announced(request: Request, *, most: int, what: str) -> int:
    """How many bytes are said to come, `most` where nothing is said. Raises SettingError where they are more."""
    said = request.headers.get("content-length", "")
    if not (said.isascii() and said.isdigit()):
        return most
    if int(said[:20]) > most:
        raise TooLargeError(said[:20], most, what)
    return int(said[:20])


async def parts(request: Request, *, most: int, what: str) -> AsyncIterator[bytes]:
    """The body as it comes, at most `most` bytes of `what`. Raises SettingError where there are more.

    OutputError where nothing comes any more; ClientDisconnect where the browser has left.
    """
    announced(request, most=most, what=what)
    count, coming = 0, request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(coming), _SILENCE)
        except StopAsyncIteration:
            return
        except TimeoutError:
            words = f"nothing came for {_SILENCE:.0f} seconds; try it again"
            raise OutputError(f"the upload of {what} was given up: {words}") from None
        count += len(part)
        if count > most:
            raise TooLargeError(str(count), most, what)
        yield part


async def received(request: Request, *, most: int, what: str) -> bytes:
    """The whole body. Raises SettingError where there is none, and what `parts` does."""
    body = bytearray()
    async for part in parts(request, most=most, what=what):
        body += part
    if not body:
        raise SettingError("upload", "nothing", f"the bytes of {what}")
    return bytes(body)
