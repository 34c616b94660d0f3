"""What every address does alike: read a body of bounded length, and say in JSON what is wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from core.errors import SettingError, StyloscopeError

__all__ = ["BODY_LIMIT", "read_body", "refusal"]

BODY_LIMIT = (
    1 << 20
)  # bytes: 64 entries in each list of a recipe, or some hundreds of kept pictures, fit many times over


async def read_body(request: Request, *, field: str) -> bytes:
    """Return the body; SettingError naming `field` as soon as it has more than BODY_LIMIT bytes."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise SettingError(field, f"{len(body)} bytes and more", f"it must have at most {BODY_LIMIT} bytes")
    return body


def refusal(wrong: StyloscopeError | str, *, status: int = 400) -> JSONResponse:
    """Return the one sentence as {"error": ...}."""
    return JSONResponse({"error": " ".join(str(wrong).split())}, status_code=status)
