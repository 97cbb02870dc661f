"""Ask an HTTP server for files: politely, patiently, going on where an earlier try ended.

One connection at a time, a pause before each request, and waits that the server asks for (Retry-After) or that grow
with each failure (exponential with full jitter), a bounded number of times.

The modification time of an unfinished file is the server's Last-Modified, so a later run asks for the rest only if the
file over there is still the same (If-Range, RFC 9110, section 13.1.5). Without that header it is fetched anew.

The requests are made with urllib of the standard library: seedtune itself requires no HTTP library, and the usual ones
unpack a body that is served with ``Content-Encoding: gzip``, as some servers label every .gz file.
"""

import os
import random
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from email.utils import formatdate, parsedate_to_datetime
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, TypeVar, cast
from urllib import request as urls
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from seedtune import __version__
from seedtune.errors import DataError

T = TypeVar("T")

USER_AGENT = f"seedtune/{__version__} (seedtune bgp fetch; one connection at a time)"

ATTEMPTS = 5
"""Failures in a row, with nothing gained between them, after which a file or a host is given up."""
PATIENCE_S = 300.0
"""A server that asks for a longer wait than this is left alone."""

_GAIN = 1 << 16
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_PAUSE_S = 0.1
_TIMEOUT_S = 30.0
_BLOCK = 1 << 16

_ABSENT = (404, 410)
_TURNED_AWAY = (429, 503)
_TRY_AGAIN = (408, 425, 500, 502, 504, *_TURNED_AWAY)


class HostUnavailable(DataError):  # noqa: N818 (an adjective says it)
    """A host cannot be reached, or wants to be left alone for long."""


class AbsentError(Exception):
    """There is no such file over there."""


class RefusedError(Exception):
    """This file cannot be had; others may."""


class _BrokenError(Exception):
    """A connection could not be made (``early``) or broke."""

    def __init__(self, why: object, early: bool = False) -> None:
        super().__init__(str(why) or type(why).__name__)
        self.early = early


class _Redirects(urls.HTTPRedirectHandler):
    """Asks at the new place with the same method: a HEAD must not become the download of a whole file."""

    def redirect_request(
        self, req: urls.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urls.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = req.get_method()
        return following


class Client:
    """Makes one request at a time.

    Args:
        sleep: Waits for so many seconds.
        draw: A random number in [0, 1), for the jitter.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep, draw: Callable[[], float] = random.random) -> None:
        self._sleep = sleep
        self._draw = draw
        # Only HTTP: urllib's usual opener would also follow file:, ftp: and data:.
        self._opener = urls.OpenerDirector()
        for handler in (
            urls.ProxyHandler(),
            urls.UnknownHandler(),
            urls.HTTPHandler(),
            urls.HTTPSHandler(),
            urls.HTTPDefaultErrorHandler(),
            urls.HTTPErrorProcessor(),
            _Redirects(),
        ):
            self._opener.add_handler(handler)
        self._opener.addheaders = [("User-Agent", USER_AGENT)]

    def page(self, url: str, largest: int = 1 << 26) -> str:
        """The text of a page, of at most ``largest`` bytes.

        Raises:
            AbsentError, RefusedError: it cannot be had.
            HostUnavailable: no answer.
        """

        def read() -> str:
            with self._open(urls.Request(url)) as response, _network():
                return response.read(largest).decode("latin-1")

        return self._patiently(url, read)

    def size(self, url: str) -> int | None:
        """Bytes of a file; None if the server does not say.

        Raises:
            AbsentError, RefusedError: it cannot be had.
            HostUnavailable: no answer.
        """

        def head() -> int | None:
            with self._open(urls.Request(url, method="HEAD")) as response:
                return _number(response.headers.get("Content-Length"))

        return self._patiently(url, head)

    def download(self, url: str, part: Path, advance: Callable[[int], None]) -> None:
        """Bring ``part`` to the file's full length; ``advance`` is told of the bytes as they come.

        Raises:
            AbsentError, RefusedError: it cannot be had.
            HostUnavailable: no answer.
            OSError: ``part`` cannot be written.
        """
        with part.open("ab") as out:
            self._patiently(url, lambda: self._append(url, out, advance), lambda: os.fstat(out.fileno()).st_size)
            os.fsync(out.fileno())

    def _append(self, url: str, out: IO[bytes], advance: Callable[[int], None]) -> None:
        """One request for what a part lacks."""
        have = out.seek(0, os.SEEK_END)
        request = urls.Request(url)
        if have:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", formatdate(os.fstat(out.fileno()).st_mtime, usegmt=True))
        try:
            response = self._open(request)
        except HTTPError as problem:
            if problem.code != 416:
                raise
            out.truncate(0)
            raise _BrokenError("there is more of it here than over there") from problem
        with response:
            if response.status != 206:
                # All of it: the server knows no parts, or the file is no longer the one that the part is of.
                have = out.truncate(0)
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                out.truncate(0)
                raise _BrokenError("the server sent another part than it was asked for")
            self._copy(response, have, out, advance)

    def _copy(self, response: HTTPResponse, have: int, out: IO[bytes], advance: Callable[[int], None]) -> None:
        """The body of a response, its length checked."""
        length = _number(response.headers.get("Content-Length"))
        modified = _seconds(response.headers.get("Last-Modified"))
        got = have
        try:
            while length is None or got < have + length:
                with _network():
                    block = response.read1(_BLOCK)
                if not block:
                    break
                out.write(block)
                # What has come is kept, however this process ends.
                out.flush()
                got += len(block)
                advance(len(block))
        finally:
            if modified is not None:
                os.utime(out.fileno(), (modified, modified))
        if length is not None and got != have + length:
            raise _BrokenError(f"cut off after {got} of {have + length} bytes")

    def _open(self, request: urls.Request) -> HTTPResponse:
        with _network(early=True):
            # With HTTP handlers alone, the opener's answers are of this type.
            return cast(HTTPResponse, self._opener.open(request, timeout=_TIMEOUT_S))

    def _patiently(self, url: str, action: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """Do ``action`` until it succeeds; after a failure before which ``reached`` grew, counting starts again."""
        failures, best = 0, reached()
        while True:
            self._sleep(_PAUSE_S)
            try:
                return action()
            except HTTPError as problem:
                problem.close()
                why, wait, unavailable = _judge(problem), _retry_after(problem), problem.code in _TURNED_AWAY
            except _BrokenError as problem:
                why, wait, unavailable = str(problem), 0.0, problem.early
            if reached() >= best + _GAIN:
                failures, best = 0, reached()
            failures += 1
            if wait > PATIENCE_S or (unavailable and failures >= ATTEMPTS):
                asked = f", and asks to wait {wait:.0f} s" if wait else ""
                raise HostUnavailable(f"{urlsplit(url).netloc}: {why}{asked}: try again later, or set --mirror")
            if failures >= ATTEMPTS:
                raise RefusedError(f"{why} ({failures} times)")
            jitter = self._draw() * min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0**failures)
            self._sleep(wait + jitter)


@contextmanager
def _network(early: bool = False) -> Generator[None]:
    """What goes wrong between here and the server, as one kind of error."""
    try:
        yield
    except HTTPError:
        raise
    except URLError as problem:
        raise _BrokenError(problem.reason, early) from problem
    except (OSError, HTTPException) as problem:
        raise _BrokenError(problem, early) from problem


def _judge(problem: HTTPError) -> str:
    """What a refusal says, if asking again may help.

    Raises:
        AbsentError: there is no such file.
        RefusedError: asking again does not help.
    """
    if problem.code in _ABSENT:
        raise AbsentError from problem
    why = f"{problem.code} {problem.reason}"
    if problem.code not in _TRY_AGAIN:
        raise RefusedError(why) from problem
    return why


def _retry_after(problem: HTTPError) -> float:
    """Seconds that the server asks to wait (RFC 9110, section 10.2.3)."""
    said = (problem.headers.get("Retry-After") or "").strip()
    seconds, then = _number(said), _seconds(said)
    if seconds is not None:
        return seconds
    return max(0.0, then - time.time()) if then is not None else 0.0


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch("[0-9]{1,18}", text) else None


def _seconds(text: str | None) -> float | None:
    """An HTTP date as seconds since the epoch; None if it is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None
