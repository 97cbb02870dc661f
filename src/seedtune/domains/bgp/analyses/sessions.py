"""Sessions that break: as state changes tell, and as the withdrawals of a peer show where they do not."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from seedtune.domains.bgp.analyses.events import Event, Peer, Prefix, peer_of, prefix_of
from seedtune.domains.bgp.analyses.table import Table
from seedtune.domains.bgp.mrt import Route, StateChange
from seedtune.errors import DataError


class SessionLoss(NamedTuple):
    """A session was down.

    Attributes:
        peer: The peer.
        down: When the session left ``ESTABLISHED``, seconds since the epoch.
        up: When it was established again; None if it was not.
    """

    peer: Peer
    down: float
    up: float | None


def session_losses(events: Iterable[Event]) -> list[SessionLoss]:
    """The times in which sessions with the collector were down, by state changes alone (RFC 4271, 8.2.2).

    The steps between ``IDLE`` and ``OPENCONFIRM`` belong to the same loss. A session that comes up without having
    been seen to go down is no loss. RouteViews files have no state changes: see ``mass_withdrawals``.

    Returns:
        The losses by time of ``down``, then peer.
    """
    down: dict[Peer, float] = {}
    found: list[SessionLoss] = []
    for event in events:
        if not isinstance(event, StateChange):
            continue
        peer = peer_of(event)
        if event.old == "ESTABLISHED" and event.new != "ESTABLISHED":
            down.setdefault(peer, event.time)
        elif event.new == "ESTABLISHED" and peer in down:
            found.append(SessionLoss(peer, down.pop(peer), event.time))
    found += [SessionLoss(peer, time, None) for peer, time in down.items()]
    return sorted(found, key=lambda loss: (loss.down, loss.peer))


class MassWithdrawal(NamedTuple):
    """A peer lost a large share of its routes at once.

    Attributes:
        peer: The peer.
        start: When the first of these routes was lost, seconds since the epoch.
        end: When the last of them was.
        lost: The most routes that were gone at the same time.
        held: The routes that the peer held before: at that moment those left and those lost.
    """

    peer: Peer
    start: float
    end: float
    lost: int
    held: int


def mass_withdrawals(
    events: Iterable[Event], share: float = 0.5, minimum: int = 10, window: float = 60.0
) -> list[MassWithdrawal]:
    """The times in which a peer lost a large share of the routes that it held: a failure near it, or its session.

    At each loss, by a withdrawal or with the session, those routes count that the peer lost in the time
    ``(t - window, t]`` and did not announce again. If they are at least ``minimum``, and at least ``share`` of them and
    those left together, the time from the first of these losses to ``t`` is one of mass withdrawal. Times of one peer
    that touch are joined.

    Args:
        events: In order of time; without a RIB before them a peer holds what it announced so far.
        share: Above 0, up to 1.
        minimum: Routes.
        window: Seconds.

    Returns:
        By start, then peer. Memory: a ``Table``, and the routes lost within the window.

    Raises:
        DataError: ``share`` is not above 0 and up to 1, or ``window`` is not positive.
    """
    if not 0 < share <= 1 or window <= 0:
        raise DataError(f"share is {share} and window {window}: share has to be in (0, 1], window positive")
    table = Table()
    gone: defaultdict[Peer, dict[tuple[Prefix, int | None], float]] = defaultdict(dict)
    found: dict[Peer, list[MassWithdrawal]] = {}
    for event in events:
        change, peer = table.apply(event), peer_of(event)
        lost = gone[peer]
        if isinstance(event, Route):
            lost.pop((prefix_of(event), event.path_id), None)
            continue
        lost.update({(prefix_of(route), route.path_id): event.time for route in change.ended})
        while lost and next(iter(lost.values())) <= event.time - window:
            del lost[next(iter(lost))]
        held = len(lost) + table.held(peer)
        if change.ended and len(lost) >= max(minimum, share * held):
            span = MassWithdrawal(peer, next(iter(lost.values())), event.time, len(lost), held)
            _join(found.setdefault(peer, []), span)
    return sorted((span for spans in found.values() for span in spans), key=lambda span: (span.start, span.peer))


def _join(spans: list[MassWithdrawal], span: MassWithdrawal) -> None:
    """Add a time to those of the same peer; into the last one if they touch."""
    if not spans or spans[-1].end < span.start:
        spans.append(span)
        return
    larger = max(spans[-1], span, key=lambda one: one.lost)
    spans[-1] = larger._replace(start=min(spans[-1].start, span.start), end=span.end)
