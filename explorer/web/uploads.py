"""Bodies of bytes from the page, counted as they come, whatever length was announced."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from core.errors import OutputError, SettingError

__all__ = ["received"]

_SILENCE = 60.0  # seconds without a byte that end an upload


async def received(request: Request, *, most: int, what: str) -> bytes:
    """The body, at most `most` bytes of `what`. Raises SettingError where there are more, or none.

    OutputError where nothing comes any more; ClientDisconnect where the browser has left.
    """
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:20]) > most:
        raise _too_large(said[:20], most, what)
    body = bytearray()
    parts = request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(parts), _SILENCE)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise OutputError(f"the upload of {what} was given up: nothing came any more; try it again") from None
        body += part
        if len(body) > most:
            raise _too_large(str(len(body)), most, what)
    if not body:
        raise SettingError("upload", "nothing", f"the bytes of {what}")
    return bytes(body)


def _too_large(count: str, most: int, what: str) -> SettingError:
    return SettingError("upload", f"{count} bytes", f"{what} of at most {most >> 20} MB")
