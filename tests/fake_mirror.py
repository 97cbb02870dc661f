"""A mirror of the public MRT archives for tests: an HTTP server on loopback with Range requests and scripted faults.

``faults={"/rrc00/2024.03/updates.20240301.0000.gz": ["cut", "429"]}``: the first GET of that file is cut off in the
middle, the second is turned away, the third is served.
"""

import bz2
import contextlib
import gzip
import struct
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LAST_MODIFIED = 1_709_300_000
"""Seconds since the epoch; the same for every file, unless ``modified`` says otherwise."""


def mrt_bytes(time: int, records: int = 3, prefixes: int = 80) -> bytes:
    """MRT records (BGP4MP_MESSAGE_AS4) of one second: each announces so many /24 of 10.0.0.0/8 by AS64500's peer."""
    attributes = bytes.fromhex("40010100 40020e0203 0000fbf4 0000fbf5 0000fbf6 400304c0000201")
    written = b""
    for record in range(records):
        routes = b"".join(
            bytes([24, 10, (place * 37 + time // 300) % 256, (place * place + record) % 256])
            for place in range(prefixes)
        )
        update = struct.pack("!HH", 0, len(attributes)) + attributes + routes
        message = b"\xff" * 16 + struct.pack("!HB", 19 + len(update), 2) + update
        body = struct.pack("!IIHH4s4s", 64500, 64499, 0, 1, bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])) + message
        written += struct.pack("!IHHI", time, 16, 4, len(body)) + body
    return written


def packed(path: str, content: bytes) -> bytes:
    """``content`` as a file of that name holds it."""
    return bz2.compress(content) if path.endswith(".bz2") else gzip.compress(content, mtime=0)


class FakeMirror:
    """Use as a context manager; ``url`` is the base URL.

    Args:
        files: Path ("/rrc00/...") to content.
        faults: Path to what happens at its first, second, ... GET: "cut" (the connection ends in the middle), "hang"
            (it stays open there), "corrupt" (a byte flipped), "astray" (asked for a part, it sends another), "page" (an
            HTML page with status 200), or a status such as "404", "503", "429:2" (Retry-After: 2).
        ranges: Whether parts of a file can be asked for.
        index: Whether folders have an index page.
        redirects: Path to the URL that it redirects to.

    Attributes:
        requests: (method, path, Range header or "") of each request, in order.
        agents: The User-Agent headers seen.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        faults: dict[str, list[str]] | None = None,
        ranges: bool = True,
        index: bool = True,
        redirects: dict[str, str] | None = None,
    ) -> None:
        self.files = files
        self.faults = faults or {}
        self.ranges = ranges
        self.index = index
        self.redirects = redirects or {}
        self.modified = LAST_MODIFIED
        self.requests: list[tuple[str, str, str]] = []
        self.agents: set[str] = set()
        self._over = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                mirror.answer(self)

            def do_HEAD(self) -> None:
                mirror.answer(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeMirror":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def paths(self, method: str = "GET") -> list[str]:
        """The files (not folders) asked for, in order."""
        return [path for seen, path, _ in self.requests if seen == method and not path.endswith("/")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.command, handler.path, handler.headers.get("Range", "")))
        self.agents.add(handler.headers.get("User-Agent", ""))
        # The client may have gone: that is what some tests are about.
        with contextlib.suppress(ConnectionError):
            self._answer(handler)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        script = self.faults.get(path, [])
        fault = script.pop(0) if script and handler.command == "GET" else ""
        if path in self.redirects:
            self._send(handler, 301, b"", {"Location": self.redirects[path]})
        elif fault[:1].isdigit():
            status, _, wait = fault.partition(":")
            self._send(handler, int(status), b"scripted", {"Retry-After": wait} if wait else {})
        elif path.endswith("/") and self.index and any(file.startswith(path) for file in self.files):
            self._send(handler, 200, self._page(path), {"Content-Type": "text/html"})
        elif path not in self.files:
            self._send(handler, 404, b"no such file", {})
        elif fault == "page":
            self._send(handler, 200, b"<html>please log in</html>", {"Content-Type": "text/html"})
        else:
            self._send_file(handler, self.files[path], fault)

    def _page(self, folder: str) -> bytes:
        """What Apache writes: a table, the latest first, sizes rounded."""
        below = {path.removeprefix(folder): content for path, content in self.files.items() if path.startswith(folder)}
        rows = [
            f'<tr><td valign="top">&nbsp;</td><td><a href="{name}">{name}</a></td>'
            f'<td align="right">2024-03-01 00:05  </td><td align="right">{len(content) / 1024:.1f}K</td>'
            "<td>&nbsp;</td></tr>\n"
            for name, content in sorted(below.items(), reverse=True)
            if "/" not in name
        ]
        head = f'<h1>Index of {folder}</h1><table><tr><th><a href="?C=S;O=A">Size</a></th></tr>\n'
        return f'{head}<tr><td><a href="/">Parent Directory</a></td></tr>\n{"".join(rows)}</table>'.encode()

    def _send_file(self, handler: BaseHTTPRequestHandler, content: bytes, fault: str) -> None:
        headers = {"Last-Modified": formatdate(self.modified, usegmt=True)}
        asked, unchanged = handler.headers.get("Range"), handler.headers.get("If-Range", headers["Last-Modified"])
        if fault == "corrupt":
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
        status, body = 200, content
        if asked and self.ranges and unchanged == headers["Last-Modified"]:
            start = 0 if fault == "astray" else int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self._send(handler, 416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            status, body = 206, content[start:]
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(handler, status, body, headers, fault)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str], fault: str = ""
    ) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        broken = fault in ("cut", "hang")
        handler.wfile.write(body[: len(body) // 2] if broken else body)
        if fault == "hang":
            self._over.wait(60)
        handler.close_connection = broken or handler.close_connection
