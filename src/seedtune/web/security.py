"""Who may talk to the studio: every request passes :class:`Guard` before anything else sees it.

- From another machine: it is bound to loopback, and elsewhere it asks for a token.
- A page whose name was rebound to 127.0.0.1 (DNS rebinding): ``Host`` must be a loopback name; with a token also an IP
  address or the name that was bound, as rebinding needs a name of its own.
- A page of another site: ``Origin`` and ``Sec-Fetch-Site`` must be the studio's own, and a change needs this process's
  CSRF token in a header, which no other site can read or send.
- Markup in a model's text: it is never rendered as HTML, and the Content-Security-Policy allows no inline script, no
  foreign image, frame, font or connection.
"""

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedtune.errors import ConfigError

CSRF_HEADER = "X-Seedtune-CSRF"
MIN_TOKEN = 20
"""Characters of a token, at least."""
MAX_BODY_BYTES = 4 * 1024**2

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_READING = frozenset({"GET", "HEAD"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether an address to bind to is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Access:
    """What opens the studio.

    Raises:
        ConfigError: the token is too short, or missing where other machines can reach the address.
    """

    host: str = "127.0.0.1"
    """The address it is bound to."""
    token: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """This process's; in every page, and in a header of every change."""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What the cookie holds once the token was shown: never the token itself."""

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN:
            raise ConfigError(
                f"--token: {len(self.token)} characters are too few to be safe; give {MIN_TOKEN} or more, or none "
                "and one is made"
            )
        if self.token is None and not is_loopback(self.host):
            raise ConfigError(f"--host {self.host}: other machines can reach this address, so it needs --token")

    @property
    def cookie(self) -> str:
        """Name of the cookie; each studio's own, as cookies do not know ports."""
        return f"seedtune-{self.csrf[:8]}"

    def knows_host(self, header: str) -> bool:
        """Whether a ``Host`` header names this studio."""
        name = header.lower()
        if not name.endswith("]"):
            before, colon, port = name.rpartition(":")
            name = before if colon and port.isdigit() else name
        if name in _LOOPBACK:
            return True
        return self.token is not None and (
            _is_address(name) or name in {self.host.lower(), socket.gethostname().lower()}
        )

    def admits(self, request: Request) -> bool:
        """Whether the request shows the token, or the cookie that was given for it."""
        if self.token is None:
            return True
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        return _same(request.cookies.get(self.cookie, ""), self.session) or _same(shown, self.token)


class Guard:
    """ASGI middleware: refuses what is not the studio's own, and sets the security headers of every response."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # What is the same for everybody may be kept, and is asked for again by its hash.
                static = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if static else "no-store")
            await send(message)

        answer = self._answer(Request(scope))
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """What is said instead of passing the request on."""
        if refusal := _refusal(request, self._access):
            return PlainTextResponse(f"refused: {refusal}\n", status_code=403)
        if (shown := request.query_params.get("token")) is not None and request.method == "GET":
            return self._let_in(request, shown)
        if not self._access.admits(request):
            return PlainTextResponse(
                "This studio needs its token: open the address that 'seedtune studio' printed, with ?token=...\n",
                status_code=401,
            )
        if request.method not in _READING:
            if not _same(request.headers.get(CSRF_HEADER, ""), self._access.csrf):
                return PlainTextResponse("refused: the page is older than the studio; load it again\n", 403)
            length = request.headers.get("content-length", "")
            if not length.isdigit() or int(length) > MAX_BODY_BYTES:
                return PlainTextResponse(f"refused: a body has at most {MAX_BODY_BYTES:,} bytes\n", status_code=413)
        return None

    def _let_in(self, request: Request, shown: str) -> Response:
        """Take the token out of the address, where it would stay in the browser's history."""
        rest = request.url.remove_query_params("token").query
        # A path that begins with two slashes would be another site's.
        path = "/" + request.url.path.lstrip("/\\")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        if self._access.token is not None and _same(shown, self._access.token):
            response.set_cookie(self._access.cookie, self._access.session, httponly=True, samesite="strict")
        return response


def _refusal(request: Request, access: Access) -> str:
    """Why a request is not the studio's own; empty if it may be."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not access.knows_host(hosts[0]):
        return "this name is not the studio's; open it as 127.0.0.1 or localhost"
    origin = request.headers.get("origin")
    if origin is not None and (
        urlsplit(origin).scheme not in {"http", "https"} or urlsplit(origin).netloc.lower() != hosts[0].lower()
    ):
        return "a page of another origin asks"
    if request.headers.get("sec-fetch-site", "none") in {"cross-site", "same-site"}:
        # A link on another page may open the studio, and that is all it may do.
        navigates = request.method == "GET" and request.headers.get("sec-fetch-mode") == "navigate"
        if not navigates or request.headers.get("sec-fetch-dest") != "document":
            return "a page of another site asks"
    return ""


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
