"""Opening a file from the page: POST /open?name=NAME with the file as the body; it becomes a network of --checkpoints.

The body is counted as it comes, whatever length was announced, and lies under a hidden name until it was read through
and made ours; what is broken off, refused or cancelled leaves nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from core.errors import OutputError, SettingError
from core.files import temporary_beside, usable_folder
from explorer.converting import CancelledOpening, take_in
from explorer.web.answers import CLOSED_BY_CLIENT, refusal, telling, while_there
from explorer.web.uploads import announced, parts

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["UPLOAD_LIMIT", "add_open_route"]

UPLOAD_LIMIT = 512 << 20  # bytes
_MOST_AT_ONCE = 4
_LEFT_FREE = 1 << 30  # bytes of the drive that no upload may take
_TOO_MANY = 429
_WHAT = "a file"


def add_open_route(app: Starlette, *, studio: Studio, folder: Path) -> None:
    """Add POST /open to `app` before Gradio is mounted; files go to `folder`, where `studio` looks for networks."""
    under_way: set[Path] = set()
    one_at_a_time = threading.Lock()

    async def opened(request: Request) -> Response:
        if len(under_way) >= _MOST_AT_ONCE:
            return refusal(f"{_MOST_AT_ONCE} files are being opened already; wait for one", status=_TOO_MANY)
        count = announced(request, most=UPLOAD_LIMIT, what=_WHAT)
        place = await asyncio.to_thread(_place, folder, count)
        under_way.add(place)
        try:
            await _receive(request, place)
            return await _made_ours(request, place, studio=studio, folder=folder, lock=one_at_a_time)
        except CancelledOpening:
            return Response(status_code=CLOSED_BY_CLIENT)
        finally:
            under_way.discard(place)

    app.router.add_route("/open", telling(opened), methods=["POST"])


def _place(folder: Path, count: int) -> Path:
    """A hidden name in the folder, which can be written and has room for the file and what it becomes."""
    place = temporary_beside(usable_folder(folder) / "opened")
    free = shutil.disk_usage(folder).free
    if free < 2 * count + _LEFT_FREE:
        raise OutputError(f"{folder} has {free / 2**30:.1f} GiB free, too little to open this file; make room there")
    return place


async def _receive(request: Request, place: Path) -> None:
    """Write the body to `place`, which is gone again where that fails."""
    count = 0
    try:
        with open(place, "xb") as file:
            async for part in parts(request, most=UPLOAD_LIMIT, what=_WHAT):
                count += len(part)
                file.write(part)
    except BaseException as wrong:
        place.unlink(missing_ok=True)
        if isinstance(wrong, OSError):
            reason = wrong.strerror or str(wrong)
            raise OutputError(f"the file could not be written to {place.parent} ({reason}); make room there") from wrong
        raise
    if count == 0:
        place.unlink(missing_ok=True)
        raise SettingError("upload", "nothing", "the bytes of a network file")


async def _made_ours(request: Request, place: Path, *, studio: Studio, folder: Path, lock: threading.Lock) -> Response:
    """Read the file in a thread while its browser waits; a browser that leaves makes it stay away."""
    name, gone = request.query_params.get("name", ""), threading.Event()

    def work() -> dict[str, Any]:
        try:
            with lock:
                return take_in(place, folder, name=name, networks=studio.networks, cancelled=gone.is_set)
        finally:
            place.unlink(missing_ok=True)

    return await while_there(request, work, gone)
