"""How fast to send to one endpoint: as fast as it bears, and no faster.

- The number of requests in flight follows additive increase, multiplicative decrease (Chiu and Jain 1989): the window
  doubles with each round of successes until the endpoint first complains (slow start), then grows by one a round. It
  shrinks by three tenths, once per round in flight, on 429, 503 and 529, and where the seconds per completion token are
  more than twice the best seen: servers such as vLLM queue without ever saying 429. Only replies of about the same
  length are compared: what a reply takes before its first token weighs a hundred times more on two tokens than on 200.
- ``Retry-After`` rests the endpoint. Without it the rest is drawn from 0 to a bound that doubles (full jitter).
- Requests and tokens a minute are buckets that fill steadily.
- Faults in a row open a circuit breaker: nothing is sent but, after a rest, a single probe.

Nothing here sends or sleeps: time comes in through ``now``, chance through ``draw``.
"""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf, isfinite

START = 4
"""Requests in flight to begin with."""
FAULTS_IN_A_ROW = 5
"""So many open the breaker."""
LONGEST_REST_S = 60.0
"""Of the rests that no ``Retry-After`` asks for."""

_FIRST_REST_S = 0.5
_DECREASE = 0.7
_SLOWER = 2.0
"""At so many times the best latency half of what is in flight only waits."""
_FLOOR = 2
"""With so little in flight, latency is the endpoint's own."""
_FEWEST = 8
"""Replies to judge a latency by."""
_NO_TIME_S = 1e-9
_BURST_S = 0.1
"""A bucket holds what flows in within this time: a minute's allowance spent at once would be refused."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A request in flight."""

    number: int
    """How many were sent before it."""
    sent_at: float
    tokens: int
    """Taken from the bucket."""


class _Bucket:
    """Fills at a steady rate. It may be overdrawn, so that no request is too large for it."""

    def __init__(self, per_minute: int, now: float) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate * _BURST_S)
        self._level = self._most
        self._at = now

    def wait_s(self, now: float) -> float:
        """Seconds until it holds a whole unit."""
        self.take(0, now)
        return max(0.0, (1.0 - self._level) / self._rate)

    def take(self, amount: float, now: float) -> None:
        """A negative amount is given back."""
        self._level = min(self._most, self._level + (now - self._at) * self._rate - amount)
        self._at = now


class _Latency:
    """How long replies take, held against the best seen of replies about as long."""

    def __init__(self) -> None:
        self._best: dict[int, float] = {}
        """Seconds per completion token, by kind: the number of bits of the length."""
        self._learning: dict[int, list[float]] = {}
        """By kind, of rounds that are over, until there are enough to tell."""
        self._round: list[tuple[int, float]] = []

    @property
    def replies(self) -> int:
        """In this round."""
        return len(self._round)

    @property
    def typical(self) -> float:
        """How many times the best the median reply of this round took; one without a best says nothing against."""
        return statistics.median(
            seconds / self._best[kind] if kind in self._best else 1.0 if kind else inf for kind, seconds in self._round
        )

    def add(self, seconds: float, completion_tokens: int) -> None:
        """A reply of this round; infinite seconds where none came in time."""
        tokens = max(1, completion_tokens)
        kind = tokens.bit_length() if seconds < inf else 0
        self._round.append((kind, max(_NO_TIME_S, seconds / tokens)))

    def next_round(self) -> None:
        """Learn from the round what the best is."""
        for kind, seconds in self._round:
            if kind:
                self._learning.setdefault(kind, []).append(seconds)
        self._round = []
        for kind in [kind for kind, found in self._learning.items() if len(found) >= _FEWEST]:
            median = statistics.median(self._learning.pop(kind))
            self._best[kind] = min(self._best.get(kind, inf), median)

    def forget(self) -> None:
        """What was best before this round cannot be reached any more."""
        self._best, self._learning = {}, {}


class Pacer:
    """The pace of one endpoint: ask :meth:`wait_s`, then :meth:`send`, and end each slot with one other method."""

    def __init__(
        self,
        ceiling: int,
        now: Callable[[], float],
        draw: Callable[[], float],
        rpm: int | None = None,
        tpm: int | None = None,
    ) -> None:
        """Begins with a small window.

        Args:
            ceiling: The most requests in flight.
            now: Seconds on a clock that never goes back.
            draw: Uniform random numbers from 0 to 1.
            rpm: Requests a minute.
            tpm: Tokens a minute.
        """
        self._ceiling = ceiling
        self._now = now
        self._draw = draw
        self._requests = _Bucket(rpm, now()) if rpm else None
        self._tokens = _Bucket(tpm, now()) if tpm else None
        self._window = float(min(START, ceiling))
        self._doubling = True
        self._sent = 0
        self._shrunk_at = 0
        self._busy_rounds = 0
        self._rest_until = -inf
        self._latency = _Latency()
        self._round_began = 0
        self._round_size = _FEWEST
        self._peaks = [0, 0]
        self._faults = 0
        self._outages = 0
        self._probe: Slot | None = None
        self.broken = False
        """The breaker is open: the endpoint failed too often in a row and has not answered since."""
        self.in_flight = 0

    @property
    def window(self) -> int:
        """Requests that may be in flight: from 1 to the ceiling; 1 while the breaker is open."""
        return 1 if self.broken else int(self._window)

    def wait_s(self) -> float:
        """Seconds until a request may be sent: 0 is now, infinity is not before one in flight has ended."""
        # While the breaker is open, what was sent before and hangs does not keep a probe from leaving.
        if self._probe is not None or (self.in_flight >= self.window and not self.broken):
            return inf
        now = self._now()
        buckets = [bucket.wait_s(now) for bucket in (self._requests, self._tokens) if bucket is not None]
        return max(self.rest_s, *buckets, 0.0)

    @property
    def rest_s(self) -> float:
        """Seconds that the endpoint still rests."""
        return max(0.0, self._rest_until - self._now())

    def send(self, tokens: int = 0) -> Slot:
        """A request leaves that is expected to use so many tokens."""
        now = self._now()
        self.in_flight += 1
        self._peaks[1] = max(self._peaks[1], self.in_flight)
        slot = Slot(self._sent, now, tokens)
        self._sent += 1
        if self.broken:
            self._probe = slot
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens, now)
        return slot

    def answered(self, slot: Slot, tokens: int, completion_tokens: int) -> None:
        """A reply came that used so many tokens, prompt included; ``completion_tokens`` are its own."""
        self._end(slot)
        if self._tokens is not None:
            self._tokens.take(tokens - slot.tokens, self._now())
        self._alive()
        self._busy_rounds = 0
        if self._doubling:
            self._grow(1.0)
        self._judge_latency(slot, self._now() - slot.sent_at, completion_tokens)

    def refused(self, slot: Slot) -> None:
        """The endpoint refused this one request, which says nothing of its pace."""
        self._end(slot)
        self._alive()

    def busy(self, slot: Slot, retry_after_s: float | None = None, fault: bool = False) -> None:
        """The endpoint is overloaded; with ``fault`` it may be worse than that."""
        probing = self._end(slot)
        if slot.number >= self._shrunk_at:
            self._shrink()
            self._rest(self.jitter_s(self._busy_rounds))
            self._busy_rounds += 1
        if retry_after_s is not None:
            self._rest(retry_after_s)
        if fault:
            self._fault(probing)
        else:
            self._alive()

    def failed(self, slot: Slot) -> None:
        """An error that does not speak of load: an internal error, a lost connection, a broken reply."""
        self._fault(self._end(slot))

    def timed_out(self, slot: Slot) -> None:
        """No reply came in time: a fault, and as slow as can be."""
        self._fault(self._end(slot))
        self._judge_latency(slot, inf)

    def withdrawn(self, slot: Slot) -> None:
        """The request was not sent after all, or it was given up."""
        self._end(slot)

    def jitter_s(self, before: int) -> float:
        """A rest after a failure that ``before`` others preceded: full jitter, from 0 to an exponential bound."""
        return self._draw() * _bound_s(before)

    def _end(self, slot: Slot) -> bool:
        """Returns whether the slot was the probe."""
        self.in_flight -= 1
        if slot is not self._probe:
            return False
        self._probe = None
        return True

    def _alive(self) -> None:
        self._faults = 0
        if self.broken:
            self.broken = False
            self._outages = 0
            # Whoever was down comes back cold.
            self._window = min(self._window, float(START))
            self._doubling = True

    def _fault(self, probing: bool) -> None:
        self._faults += 1
        if probing or (self._faults >= FAULTS_IN_A_ROW and not self.broken):
            self.broken = True
            self._rest((1 + self._draw()) * _bound_s(self._outages))
            self._outages += 1

    def _rest(self, seconds: float) -> None:
        self._rest_until = max(self._rest_until, self._now() + seconds)

    def _grow(self, step: float) -> None:
        # A window that was not filled, in this round or the last, has not shown that it can be borne.
        if max(self._peaks) * 2 >= self._window:
            self._window = min(float(self._ceiling), self._window + step)

    def _shrink(self) -> None:
        self._window = max(1.0, self._window * _DECREASE)
        self._doubling = False
        # What is in flight was sent in the old window: its troubles are known.
        self._shrunk_at = self._sent
        self._new_round()

    def _new_round(self) -> None:
        self._latency.next_round()
        self._round_began = self._sent
        self._round_size = max(_FEWEST, int(self._window))
        self._peaks = [self._peaks[1], self.in_flight]

    def _judge_latency(self, slot: Slot, seconds: float, completion_tokens: int = 0) -> None:
        """At the end of a round, compare its latency with the best, and grow or shrink.

        A round is as many replies as the window is wide, all to requests that were sent since it began.
        """
        if slot.number < self._round_began:
            return
        self._latency.add(seconds, completion_tokens)
        if self._latency.replies < self._round_size:
            return
        typical = self._latency.typical
        if typical <= _SLOWER:
            if not self._doubling:
                self._grow(self._latency.replies / self._window)
        elif self._window > _FLOOR:
            # What was measured is the window that the round began with; doubling may have gone on since.
            self._window = min(self._window, float(self._round_size))
            self._shrink()
        elif typical < inf:
            # So little in flight is not to blame: the endpoint has become slower.
            self._latency.forget()
            self._doubling = True
        self._new_round()


def _bound_s(before: int) -> float:
    return min(LONGEST_REST_S, _FIRST_REST_S * 2.0 ** min(before, 30))


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """What the headers of a refusal ask to wait, in seconds; None where they ask for nothing that can be understood.

    ``retry-after-ms`` (OpenAI), or ``retry-after`` in seconds or as an HTTP date (RFC 9110, section 10.2.3), which is
    held against the endpoint's own ``date`` where it sends one.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if isfinite(seconds):
            return max(0.0, seconds)
    until = _http_date(headers.get("retry-after", ""))
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("date", "")) or now)).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # it raises all of these at text that is no date
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
