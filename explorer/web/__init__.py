"""The page: its layout, one file a panel, its addresses, and the scripts and styles it is made of."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

# Read when gradio is imported; without it names are looked up on the network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import uvicorn
from fastapi import FastAPI

from core.errors import OutputError
from explorer.studio import Studio
from explorer.web import page
from explorer.web.about_routes import add_about_routes
from explorer.web.answers import Refusals, hidden, hide_places
from explorer.web.api import add_endpoints, files_folder
from explorer.web.desk import Desk
from explorer.web.directions_routes import add_directions_routes
from explorer.web.guard import Guard, Login, hosts
from explorer.web.inside_routes import Looks, add_inside_routes
from explorer.web.job_routes import add_job_routes
from explorer.web.jobs import Jobs
from explorer.web.map_routes import add_map_routes
from explorer.web.nearest_routes import RealSets, add_nearest_routes
from explorer.web.open_routes import add_open_route
from explorer.web.plotly_route import add_plotly_route
from explorer.web.points_routes import add_points_routes
from explorer.web.project_routes import add_project_routes
from explorer.web.routes import add_routes
from explorer.web.training_routes import add_training_routes
from explorer.web.trainings import Trainings
from explorer.web.under import Under, root_path

__all__ = ["Login", "address_of", "build", "hosts", "listen", "root_path", "serve"]

BACKLOG = 128
# A proxy on this machine is believed whose request it passes on. The third is the first, seen from a socket of IPv6.
PROXIES = "127.0.0.1,::1,::ffff:127.0.0.1"


def build(
    studio: Studio,
    *,
    folders: tuple[Path, Path] = (Path("checkpoints"), Path("runs")),
    host: str = "127.0.0.1",
    login: Login | None = None,
    checkpoint: str | None = None,
    data: Sequence[Path] = (),
    allowed: Sequence[str] = (),
    root: str = "",
) -> FastAPI:
    """Return the whole web application: our addresses first, then Gradio's page at /, everything behind the guard.

    `folders` are those of checkpoints and runs, for work in processes of its own; `checkpoint` is the name of the
    network that a page without a recipe opens; `data` are sets of real pictures, among which everybody may look;
    `allowed` are names, each a host or host:port, that the page is reached by besides `host`; `root` is the path that a
    proxy puts before every address.
    """
    desk, inside = Desk(), Desk()
    # Not resolved: the path of a network, as its command is told it, has to be one of those that it lists.
    checkpoints, runs = (str(folder.absolute()) for folder in folders)
    # Whoever comes by another name or a path comes through a proxy: then nobody is known to sit at this machine.
    reached = "0.0.0.0" if allowed or root else host
    trainings, looks, sets = Trainings(runs=folders[1]), Looks(studio), RealSets(studio, data)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        desk.close()
        inside.close()
        jobs.close()
        trainings.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    hide = partial(hidden, app)
    jobs = Jobs(places=[f"--checkpoints={checkpoints}", f"--runs={runs}"], parent=files_folder(), hide=hide)
    add_routes(app, studio=studio, desk=desk)
    hide_places(app, [*data, files_folder()])
    add_about_routes(app, studio=studio, host=reached)
    add_inside_routes(app, looks=looks, desk=inside)
    add_directions_routes(app, studio=studio)
    add_job_routes(app, jobs=jobs, check=studio.check)
    add_map_routes(app, studio=studio)
    add_nearest_routes(app, sets=sets, jobs=jobs, host=reached)
    add_open_route(app, studio=studio, folder=folders[0])
    add_plotly_route(app)
    add_points_routes(app, studio=studio)
    add_project_routes(app, studio=studio, jobs=jobs)
    add_training_routes(app, trainings=trainings, host=reached)
    desks = {"desk": desk, "inside": inside}
    endpoints = partial(add_endpoints, studio, jobs, **desks, looks=looks, sets=sets, host=reached, hide=hide)
    page.mount(app, endpoints=endpoints, checkpoint=checkpoint, root=root)
    app.add_middleware(Refusals)
    app.add_middleware(Guard, host=host, login=login, allowed=allowed, root=root)
    if root:
        # The outermost, so that all of the others know one spelling of each address.
        app.add_middleware(Under, root=root)
    return app


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port (0 takes a free one); OutputError where it cannot."""
    if not 0 <= port < 65536:
        raise OutputError(f"port {port} cannot be opened; --port takes 1 to 65535, or 0 for a free one")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as wrong:  # the latter for bad..host, which no name can be
        raise OutputError(f"--host {host} is not an address of this machine; 127.0.0.1 always is") from wrong
    family, kind, protocol, _, address = found[0]
    # With the protocol named, asyncio sends each answer at once; without it Nagle's algorithm holds pictures for 40 ms.
    listening = socket.socket(family, kind, protocol)
    if os.name == "posix":
        # On Windows the same option would let two servers share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and host == "::":
        with suppress(OSError):  # every address, those of IPv4 among them, as it is elsewhere than on Windows
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as wrong:
        listening.close()
        reason = (wrong.strerror or str(wrong)).lower()
        raise OutputError(f"port {port} on {host} cannot be opened ({reason}); give another one with --port") from wrong
    return listening


def address_of(host: str, port: int, *, root: str = "") -> str:
    """The address of the page for who sits at this machine."""
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}{root}/"


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve `app` on `listening` until Ctrl-C."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        # A terminal that is closed: end as after SIGTERM, which takes the files of jobs away.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    uvicorn.Server(config_of(app)).run(sockets=[listening])


def config_of(app: FastAPI) -> uvicorn.Config:
    """How `app` is served. FORWARDED_ALLOW_IPS, a variable of uvicorn's, names other proxies than this machine's."""
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", PROXIES)
    return uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, forwarded_allow_ips=trusted
    )
