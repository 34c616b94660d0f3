"""Who may talk to the server: our own page and programs on purpose, never another site's page; with a login, its owner.

A page of another site can make a browser send requests here, by naming this address (caught by Origin and
Sec-Fetch-Site) or by pointing its own name at it, which is called DNS rebinding (caught by Host).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import html
import ipaddress
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import SettingError

__all__ = ["Guard", "Login", "host_allowed", "hosts", "origin_allowed"]

LOGIN_BODY_LIMIT = 4096  # bytes
FAILED_LOGIN_SECONDS = 0.5  # slows down guessing without holding anybody else up
_PORTS = {"http": 80, "https": 443}  # those that a browser leaves out
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?")
LOGIN_PAGE = Path(__file__).with_name("markup") / "login.html"


@dataclass(frozen=True)
class Login:
    """One account. A browser keeps the session's token as a cookie; programs may send HTTP Basic instead."""

    user: str
    password: str
    cookie: str = "styloscope"
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def matches(self, user: str, password: str) -> bool:
        """Compare both parts in constant time, whatever their lengths."""
        given, own = (_digest(pair) for pair in ((user, password), (self.user, self.password)))
        return hmac.compare_digest(given, own)

    def admits(self, request: Request) -> bool:
        """Whether this request carries our cookie or a right `Authorization: Basic` header."""
        token = request.cookies.get(self.cookie, "")
        if hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode()):
            return True
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            user, colon, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return bool(colon) and self.matches(user, password)


class Guard:
    """ASGI middleware: checks Host, Origin and login, and marks every answer as not to be stored.

    `allowed` are further names that the explorer is reached by, in lower case, each a host or host:port; `root` is the
    path that a proxy has taken off the address in the browser, and that the login leads back to.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, login: Login | None = None, allowed: Sequence[str] = (), root: str = ""
    ) -> None:
        self.app = app
        self.host = host
        self.login = login
        self.allowed = allowed
        self.root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is refused here, pass the rest on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        answer = await self._answer(scope, receive)
        if answer is None:
            await self.app(scope, receive, _unstored(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await answer(scope, receive, _unstored(send))

    async def _answer(self, scope: Scope, receive: Receive) -> Response | None:
        headers = Headers(scope=scope)
        if not host_allowed(headers.get("host", ""), host=self.host, allowed=self.allowed):
            start = "this address is not one the explorer was started for: open the one it printed"
            return _refusal(403, f"{start}, give --host, or --allow-host with its name where a proxy is in front")
        if not origin_allowed(headers, method=scope.get("method", "GET"), allowed=self.allowed):
            start = "another site's page may not ask this explorer for anything: open its own address"
            return _refusal(403, f"{start}, or give --allow-host with its name where a proxy is in front")
        if self.login is None or scope["type"] != "http":
            return None if self.login is None else _refusal(401, "log in first")
        request = Request(scope, receive)
        if scope["path"].rstrip("/") == "/login" and request.method == "POST":
            return await _log_in(request, login=self.login, root=self.root)
        return None if self.login.admits(request) else _ask_to_log_in(request, root=self.root)


def hosts(given: Sequence[str]) -> tuple[str, ...]:
    """The names of --allow-host as browsers write them: in lower case, an IPv6 address in brackets, perhaps a port.

    Raises SettingError for anything else: they are compared, never looked up, and there are no patterns.
    """
    names = []
    for name in (name.strip() for one in given for name in one.split(",")):
        bare = name.count(":") > 1 and not name.startswith("[")
        found = _HOST.fullmatch(f"[{name}]" if bare else name)
        try:
            host = "" if found is None else found["name"] or f"[{ipaddress.IPv6Address(found['six'])}]"
        except ValueError:
            host = ""
        port = found["port"] if found else None
        if not 0 < len(host) <= 253 or not 0 < int(port or 1) < 65536:
            words = "a host name or an address, with a port or without, such as lab.example.org or lab.example.org:8443"
            raise SettingError("--allow-host", name, words)
        names.append((f"{host}:{int(port)}" if port else host).lower())
    return tuple(names)


def host_allowed(header: str, *, host: str, allowed: Sequence[str] = ()) -> bool:
    """Whether the Host header names this machine: a loopback name, `host`, or, if that is everywhere, any address.

    One of the `allowed` does, too. A number is never somebody's domain, so it cannot be rebound; the port is not
    looked at, since tunnels change it.
    """
    name = _split(f"//{header}").hostname or "" if header.count("@") == 0 and "/" not in header else ""
    if name in ("127.0.0.1", "localhost", "::1", host.strip("[]").lower(), *(_name(one) for one in allowed)):
        return bool(name)
    if host not in ("0.0.0.0", "::", ""):
        return False
    return _is_address(name) or name == socket.gethostname().lower()


def origin_allowed(headers: Headers, *, method: str, allowed: Sequence[str] = ()) -> bool:
    """Whether a request comes from our own page, from a program, or from a link that a person followed.

    Our own page is at the address that was asked, or where a proxy writes another Host, at one of the `allowed`; there
    the port counts, since another port is another server.
    """
    origin = headers.get("origin")
    if origin is not None:
        parts = _split(origin)
        asking = parts.netloc.lower()
        if parts.scheme in _PORTS and (asking in allowed or f"{asking}:{_PORTS[parts.scheme]}" in allowed):
            return True
        return bool(asking) and asking == headers.get("host", "").lower()
    site = headers.get("sec-fetch-site", "none")
    mode, target = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    followed_link = method == "GET" and mode == "navigate" and target == "document"
    return site in ("none", "same-origin") or followed_link


def _split(address: str) -> SplitResult:
    """An address in parts, empty ones where it is none, such as http://[."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _name(host: str) -> str:
    """A host without its port."""
    return _split(f"//{host}").hostname or ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _digest(pair: tuple[str, str]) -> bytes:
    return b"".join(hashlib.sha256(part.encode("utf-8", "replace")).digest() for part in pair)


def _refusal(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)


def _wants_page(request: Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def _ask_to_log_in(request: Request, *, root: str) -> Response:
    if _wants_page(request):
        query = f"?{request.url.query}" if request.url.query else ""
        return _login_page(f"{request.url.path}{query}", root=root, sentence="")
    answer = _refusal(401, "log in first: every address of this explorer asks for the user and password of --auth")
    answer.headers["WWW-Authenticate"] = 'Basic realm="Styloscope", charset="UTF-8"'
    return answer


def _login_page(target: str, *, root: str, sentence: str) -> HTMLResponse:
    page = LOGIN_PAGE.read_text(encoding="utf-8")
    # The target last: nothing that is in it is a place of the page.
    for place, words in (("sentence", sentence), ("root", root), ("next", target)):
        page = page.replace("{{" + place + "}}", html.escape(words, quote=True))
    return HTMLResponse(page, status_code=401)


async def _log_in(request: Request, *, login: Login, root: str) -> Response:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LOGIN_BODY_LIMIT:
            return _refusal(413, f"a login has at most {LOGIN_BODY_LIMIT} bytes")
    form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    target = _inside(form.get("next", "/"))
    by_hand = "text/html" in request.headers.get("accept", "")
    if not login.matches(form.get("username", ""), form.get("password", "")):
        await asyncio.sleep(FAILED_LOGIN_SECONDS)
        sentence = "That is not the user and password this explorer was started with."
        return _login_page(target, root=root, sentence=sentence) if by_hand else _refusal(401, sentence)
    onward = RedirectResponse(f"{root}{target}", status_code=303)
    answer: Response = onward if by_hand else JSONResponse({"success": True})
    answer.set_cookie(login.cookie, login.token, httponly=True, samesite="lax", path=f"{root}/")
    return answer


def _inside(target: str) -> str:
    """The address to go on to after the login, or / where it would lead off this site or out of its path."""
    # A browser reads "/\elsewhere" as "//elsewhere", another site, and "%2e%2e" as ".."; a path ends at "?" or "#".
    parts = re.split(r"[/\\]", unquote(re.split("[?#]", target, maxsplit=1)[0]))
    outside = target[1:2] in ("/", "\\") or ".." in parts
    return target if target.startswith("/") and not outside else "/"


def _unstored(send: Send) -> Send:
    async def send_unstored(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Cache-Control"] = "no-store"
            headers["X-Content-Type-Options"] = "nosniff"
            # Stricter than this and the login form would send "Origin: null".
            headers["Referrer-Policy"] = "same-origin"
            headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        await send(message)

    return send_unstored
