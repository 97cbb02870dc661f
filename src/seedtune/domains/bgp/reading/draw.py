"""One task in the making: what it takes from a recording, under which names, and how that is shown."""

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from seedtune.domains.bgp.analyses import Event, Peer, Prefix, make_route, peer_of, prefix_of
from seedtune.domains.bgp.mrt import Route, Segment
from seedtune.domains.bgp.reading import formats
from seedtune.domains.bgp.reading.formats import Column
from seedtune.domains.bgp.reading.recordings import Recording
from seedtune.domains.bgp.reading.renaming import Renaming, TaskSplit
from seedtune.records.items import AnswerKind

T = TypeVar("T")

BUDGET = {1: 120, 2: 250, 3: 600}
"""Tokens of a prompt, by level, as :func:`token_count` counts them."""

YES_NO = ("yes", "no")
_QUESTION = 36
"""Tokens that a question mostly needs."""
_IPV6_SHARE = 0.25
_LOCAL_PREF, _MED, _ORIGIN = 5, 4, 1
_PIECES = re.compile(r"\d|[A-Za-z]{1,6}|[^\sA-Za-z\d]{1,3}|\n+|[ \t]{2,}")


def token_count(text: str) -> int:
    """About the tokens of a text for a tokenizer that takes digits one by one, as those of LLaMA-like models do.

    Counted are digits, runs of signs by threes, and words by sixes. Of SmolLM2's tokenizer it is seldom short, and
    then by a few per cent (a test compares them).
    """
    return len(_PIECES.findall(text))


@dataclass(frozen=True)
class Case:
    """A task without its wording.

    Attributes:
        material: The excerpt.
        answer: What the reference analysis gave, in its plainest form.
        asked: What the question names: ``{prefix}`` and the like.
        options: The words to choose from, for a ``word``.
        about: What the excerpt is, to be said before the question; empty where it speaks for itself.
    """

    material: str
    answer: str
    asked: dict[str, str]
    options: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Family:
    """A kind of question.

    Attributes:
        kind: What its answers are.
        make: Makes a case; None where this draw of the dice has none.
        topic: One of the domain's topics.
        citation: The source that defines what is asked.
        levels: The levels it is asked on.
        where: Whether a recording has what the family needs.
        answers: Answers that come equally often, as far as the recordings have them, so that guessing pays little.
    """

    kind: AnswerKind
    make: Callable[["Draw"], Case | None]
    topic: str
    citation: str
    levels: tuple[int, ...] = (1, 2, 3)
    where: Callable[[Recording], object] = lambda recording: recording.table
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """An excerpt."""

    text: str
    about: str = ""
    clocks: bool = False
    """Times are dates, not seconds."""


class Draw:
    """The dice, the recording and the names of one task.

    Attributes:
        level: 1 (one fact in a few values), 2 (some records), 3 (a long excerpt, or several steps).
        rng: Decides everything that is left open.
        recording: What is drawn from; its numbers are the lab's.
        names: Gives other numbers.
        wanted: The answer that keeps the family in balance; None where any will do.
    """

    def __init__(
        self, split: TaskSplit, level: int, recording: Recording, rng: random.Random, wanted: str | None = None
    ) -> None:
        self.level = level
        self.wanted = wanted
        self.rng = rng
        self.recording = recording
        self.names = Renaming(split, rng, recording.tops, recording.start, narrow=level == 1)

    def suits(self, answer: object) -> bool:
        """Whether an answer is the wanted one; asked before anything is drawn that costs time."""
        return self.wanted in (None, str(answer))

    def size(self, *sizes: int) -> int:
        """How many records the excerpt has: one number for each level, give or take one from level 2 on."""
        return sizes[self.level - 1] + (self.rng.choice((-1, 0, 0, 1)) if self.level > 1 else 0)

    def some(self, things: Iterable[T], count: int) -> list[T]:
        """So many of these, or all, in random order."""
        every = list(things)
        return self.rng.sample(every, min(count, len(every)))

    def version(self) -> int:
        """An IP version that the table has, more often 4."""
        wanted = 6 if self.rng.random() < _IPV6_SHARE else 4
        return self.recording.by_version[wanted][0].version

    def routes(self, count: int, among: Sequence[Route] = (), version: int | None = None) -> list[Route]:
        """Renamed routes to different prefixes, in random order.

        Args:
            count: How many, or as many as there are.
            among: The recording's routes to take the first one from; none are the table.
            version: IP version of all of them; None is any.
        """
        table = self.recording.table if version is None else self.recording.by_version[version]
        first = [route for route in among if version in (None, route.version)]
        chosen = [self.rng.choice(first)] if first else []
        prefixes = {prefix_of(route) for route in chosen}
        # Few of many are needed: drawn one by one, the table is not shuffled for each task.
        for _ in range(8 * count):
            if len(chosen) >= count:
                break
            route = self.rng.choice(table)
            if prefix_of(route) not in prefixes:
                chosen.append(route)
                prefixes.add(prefix_of(route))
        self.rng.shuffle(chosen)
        return [self.names.route(route) for route in chosen]

    def changed(
        self, route: Route, prefix: Prefix | None = None, path: tuple[int, ...] = (), **attributes: int
    ) -> Route:
        """A renamed route with another prefix, another path, or other numbers of attributes.

        Args:
            route: A route with the names of the task.
            prefix: The other prefix; None leaves it.
            path: AS numbers of the other path; empty leaves it.
            attributes: ``local_pref``, ``med`` or ``origin``.
        """
        raw = dict(route.attributes.raw)
        codes = {"local_pref": (_LOCAL_PREF, 4), "med": (_MED, 4), "origin": (_ORIGIN, 1)}
        for name, value in attributes.items():
            code, width = codes[name]
            raw[code] = value.to_bytes(width, "big")
        segments = (Segment("sequence", path),) if path else route.segments
        return make_route(route.time, peer_of(route), prefix or prefix_of(route), segments, other=raw)

    def tagged(self, route: Route, communities: Sequence[str]) -> Route:
        """The route with other communities."""
        return make_route(
            route.time, peer_of(route), prefix_of(route), route.segments, communities, other=route.attributes.raw
        )

    def aggregated(self, route: Route, members: Sequence[int]) -> Route:
        """The route with an AS_SET of these ASes in place of its origin."""
        path = (Segment("sequence", route.hops[:-1]), Segment("set", tuple(members)))
        return make_route(route.time, peer_of(route), prefix_of(route), path, other=route.attributes.raw)

    def prepended(self, route: Route, asn: int, copies: int) -> Route:
        """The route with so many more copies of an AS of its path, as if that AS prepended."""
        hops = route.hops
        place = hops.index(asn)
        return self.changed(route, path=(*hops[:place], *([asn] * copies), *hops[place:]))

    def show(self, events: Sequence[Event], columns: Sequence[Column], marks: bool = True) -> Shown:
        """An excerpt with at least these columns, in a format that the level has.

        Args:
            events: Renamed events.
            columns: What the question needs.
            marks: Whether routers may mark the best routes.
        """
        printed = self._as_printed(events, columns, marks) if self.level > 1 and self.rng.random() < 0.6 else []
        if self.level > 1:
            columns = self._with_more(columns, events)
        clocks = "time" in columns and self.level > 1 and self.rng.random() < 0.3
        tables = [partial(self._table, render, events, columns, clocks) for render in formats.TABLES]
        return self.fitting(self.some(printed, len(printed)) + self.some(tables, len(tables)))

    def fitting(self, forms: Sequence[Callable[[], Shown]]) -> Shown:
        """The first of these forms that leaves room for a question; the last one where none does."""
        for form in forms[:-1]:
            shown = form()
            if token_count(shown.text) <= BUDGET[self.level] - _QUESTION:
                return shown
        return forms[-1]()

    def _table(
        self, render: formats.Renderer, events: Sequence[Event], columns: Sequence[Column], clocks: bool
    ) -> Shown:
        return Shown(render(events, columns, clocks), clocks=clocks)

    def _with_more(self, columns: Sequence[Column], events: Sequence[Event]) -> list[Column]:
        """With columns that the question does not need, in their usual order."""
        extra: tuple[Column, ...] = ("peer_as", "next_hop", "path", "peer")
        routes = any(isinstance(event, Route) for event in events)
        more = self.some(extra, self.rng.randint(0, 2)) if routes else []
        return [column for column in formats.TITLES if column in columns or column in more]

    def _as_printed(self, events: Sequence[Event], columns: Sequence[Column], marks: bool) -> list[Callable[[], Shown]]:
        """The forms of the programs that print these columns."""
        routes = [event for event in events if isinstance(event, Route)]
        tables = len(routes) == len(events) and len({route.version for route in routes}) == 1
        needed = set(columns)
        found: list[Callable[[], Shown]] = []
        standing = len(routes) == len(events) and needed.isdisjoint({"type", "time"})
        if "local_pref" not in needed:
            heard = self.in_turn(routes) if standing else events
            rib = standing and self.rng.random() < 0.5
            lines = partial(formats.bgpdump_lines, at_once(routes) if rib else heard, "rib" if rib else "update")
            found.append(lambda: Shown(lines(), "`bgpdump -m`"))
            if self.level == 3 and needed.isdisjoint({"time", "next_hop"}):
                found.append(lambda: Shown(formats.bgpdump_long(heard), "`bgpdump`"))
        if tables and needed <= {"prefix", "path", "next_hop", "local_pref", "med"}:
            ordered = sorted(routes, key=prefix_of)
            command = "show ip bgp" if routes[0].version == 4 else "show bgp ipv6"
            found.append(lambda: Shown(formats.frr_table(ordered, marks), f"FRR's `{command}`"))
            if self.level == 3 and len(routes) <= 6:
                split_seconds = [route._replace(time=route.time + self.rng.random()) for route in ordered]
                found.append(lambda: Shown(formats.bird_routes(split_seconds, marks), "BIRD's `show route all`"))
        return found

    def in_turn(self, routes: Sequence[Route]) -> list[Route]:
        """The routes as if announced one after the other, in this order; when they really were says nothing then."""
        time = max((route.time for route in routes), default=0.0)
        turns: list[Route] = []
        for route in routes:
            turns.append(route._replace(time=time))
            time += self.rng.choice((0, 0, 1, 1, 2, 5, 30))
        return turns

    def case(
        self, shown: Shown, answer: object, asked: dict[str, object] | None = None, options: Sequence[str] = ()
    ) -> Case:
        """A finished case."""
        named = {name: str(value) for name, value in (asked or {}).items()}
        return Case(shown.text, str(answer), named, tuple(options), shown.about)


def at_once(routes: Sequence[Route]) -> list[Route]:
    """The routes as a dump of a table has them: all with one time."""
    return [route._replace(time=max(each.time for each in routes)) for route in routes]


def numbers_text(numbers: Iterable[int]) -> str:
    """A set of AS numbers as an answer: rising, commas between."""
    return ", ".join(map(str, sorted(numbers)))


def only(things: Iterable[T]) -> T:
    """The one member of a collection.

    Raises:
        ValueError: there are none, or several.
    """
    (thing,) = things
    return thing


def sole_asn(peer: Peer, events: Iterable[Event]) -> bool:
    """Whether the AS of a peer has no other session among the events."""
    return all(other == peer for other in map(peer_of, events) if other.asn == peer.asn)
