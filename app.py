"""Open the explorer: flags in, server up."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path

from core.command import Parser, run, whole
from core.errors import SettingError


def main(arguments: list[str] | None = None) -> None:
    """Read the flags, open the port, print the address, serve until Ctrl-C."""
    flags = parser().parse_args(arguments)
    user, _, password = (flags.auth or "").partition(":")
    if flags.auth is not None and not (user and password):
        raise SettingError("--auth", flags.auth.split(":")[0], "it must be USER:PASSWORD, neither of them empty")
    for name, folder in (("--checkpoints", flags.checkpoints), ("--runs", flags.runs)):
        if folder.exists() and not folder.is_dir() or not folder.exists() and folder != parser().get_default(name[2:]):
            raise SettingError(name, folder, "it must be a folder that is there")
    # Imported now that the flags are known to be right, so that mistakes are answered at once.
    from explorer.studio import Studio
    from explorer.web import Login, address_of, build, hosts, listen, root_path, serve

    folders = (flags.checkpoints, flags.runs)
    studio = Studio(*folders)
    checkpoint = studio.prefer(flags.checkpoint) if flags.checkpoint else None
    allowed, root, listening = hosts(flags.allow_host), root_path(flags.root_path), listen(flags.host, flags.port)
    address = address_of(flags.host, port := listening.getsockname()[1], root=root)
    login = Login(user, password, cookie=f"styloscope-{port}") if flags.auth else None
    reached = {"host": flags.host, "allowed": allowed, "login": login, "root": root}
    app = build(studio, folders=folders, checkpoint=checkpoint, data=flags.data, **reached)
    says = studio.open(checkpoint).preview.says if studio.networks() else f"note: {studio.nothing()}"
    print(f"Styloscope is open at {address}\n{says}", flush=True)
    if not flags.no_browser:
        webbrowser.open(address)
    serve(app, listening)


def parser() -> Parser:
    """Return the parser of the command line."""
    flags = Parser(prog="app.py", description="Look around inside a StyleGAN, in the browser.")
    flags.add_argument("--checkpoint", metavar="NAME|PATH", help="the network to begin with")
    flags.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="where they lie")
    flags.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where trainings leave theirs")
    flags.add_argument("--data", type=Path, action="append", default=[], help="real pictures, to look for the nearest")
    flags.add_argument("--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 is every one there is")
    flags.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="what a proxy is reached by")
    flags.add_argument("--root-path", metavar="PATH", help="the path that a proxy puts before every address")
    port = whole("--port", "1 to 65535, or 0 for a free one")
    flags.add_argument("--port", type=port, default=7860, help="the port to listen on; 0 takes a free one")
    flags.add_argument("--auth", metavar="USER:PASSWORD", help="ask everybody for this login")
    flags.add_argument("--no-browser", action="store_true", help="only print the address")
    return flags


if __name__ == "__main__":
    sys.exit(run(main))
