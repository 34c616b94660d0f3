"""The page: its layout, one file a panel, its addresses, and the scripts and styles it is made of."""

from __future__ import annotations

import os
import socket

# Read when gradio is imported; without it names are looked up on the network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import uvicorn
from fastapi import FastAPI

from core.errors import OutputError
from explorer.studio import Studio
from explorer.web import page
from explorer.web.guard import Guard, Login
from explorer.web.routes import add_routes

__all__ = ["build", "listen", "serve"]

BACKLOG = 128


def build(studio: Studio, *, host: str = "127.0.0.1", login: Login | None = None, checkpoint: str | None = None) -> FastAPI:
    """Return the whole web application: our addresses first, then Gradio's page at /, everything behind the guard.

    `checkpoint` is the name of the network that a page without a recipe opens.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, studio=studio)
    page.mount(app, studio=studio, checkpoint=checkpoint)
    app.add_middleware(Guard, host=host, login=login)
    return app


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on host and port (0 takes a free one); OutputError where it cannot."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as wrong:
        raise OutputError(f"--host {host} is not an address of this machine; 127.0.0.1 always is") from wrong
    listening = socket.socket(family, kind)
    if os.name == "posix":
        # On Windows the same option would let two servers share a port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as wrong:
        listening.close()
        reason = (wrong.strerror or str(wrong)).lower()
        raise OutputError(f"port {port} on {host} cannot be opened ({reason}); give another one with --port") from wrong
    return listening


def serve(app: FastAPI, listening: socket.socket) -> None:
    """Serve `app` on `listening` until Ctrl-C."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listening])
