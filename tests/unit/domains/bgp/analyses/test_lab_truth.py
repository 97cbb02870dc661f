"""The analyses against what the lab did: each finds every event of its kind, and nothing where nothing was done.

The truth of a recording (``truth.json``) was written by who acted, without looking at the MRT files.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from math import floor
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from seedtune.domains.bgp.analyses import (
    Event,
    Prefix,
    Relationships,
    Vrp,
    Vrps,
    adjacencies,
    announcements,
    blackholed,
    covering_prefixes,
    during,
    events_of,
    flaps,
    leaks,
    moas,
    moas_intervals,
    new_edges,
    origin_changes,
    origins_by_prefix,
    outages,
    parse_prefix,
    path_changes,
    path_loops,
    path_origins,
    peer_of,
    prefix_of,
    prepending,
    route_validity,
    session_losses,
    subprefix_announcements,
    table_at,
    valley_free,
    withdrawals_per_prefix,
)
from seedtune.domains.bgp.mrt import Route, read_mrt

FOLDERS = sorted(path.parent for path in (ROOT / "src/seedtune/domains/bgp/recordings").glob("*/*/truth.json"))

SETTLING = 5.0
"""Seconds after which every network has heard of an event."""

Deed = dict[str, Any]


def begin(deed: Deed) -> float:
    """From when on the deed can be seen: BIRD writes whole seconds, rounded down."""
    return floor(deed["time"])


@dataclass(frozen=True)
class Recording:
    """One recording: its truth, and the RIB and updates of each collector."""

    truth: dict[str, Any]
    ribs: tuple[tuple[Event, ...], ...]
    updates: tuple[tuple[Event, ...], ...]
    closing: tuple[tuple[Event, ...], ...]

    @property
    def streams(self) -> list[list[Event]]:
        return [[*rib, *updates] for rib, updates in zip(self.ribs, self.updates, strict=True)]

    def expected(self) -> dict[Prefix, set[int]]:
        """Who owns which prefix."""
        return {parse_prefix(text): {one["asn"]} for one in self.truth["ases"] for text in one["prefixes"]}

    def vrps(self) -> Vrps:
        return Vrps(Vrp(parse_prefix(one["prefix"]), one["max_length"], one["asn"]) for one in self.truth["vrps"])

    def relationships(self) -> Relationships:
        return Relationships(self.truth["relationships"])

    def announced(self, deed: Deed) -> list[Route]:
        """What the collectors were told while the deed lasted."""
        end = (deed["until"] or self.truth["end"]) + SETTLING
        return list(announcements(during(chain(*self.updates), begin(deed), end)))

    def deeds(self, *kinds: str) -> list[Deed]:
        return [deed for deed in self.truth["events"] if deed["kind"] in kinds]


def load(folder: Path) -> Recording:
    truth = json.loads((folder / "truth.json").read_text())

    def read(kind: str) -> tuple[tuple[Event, ...], ...]:
        return tuple(tuple(events_of(read_mrt(folder / files[kind]))) for files in truth["collectors"].values())

    return Recording(truth, read("rib"), read("updates"), read("rib_end"))


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def recording(request: pytest.FixtureRequest) -> Recording:
    return load(request.param)


def prefixes_of(deed: Deed) -> set[Prefix]:
    return set(map(parse_prefix, deed["prefixes"]))


def test_there_are_recordings() -> None:
    assert FOLDERS


def test_rib_and_updates_lead_to_the_closing_rib(recording: Recording) -> None:
    """Route by route, for the peers that the closing RIB has: one of FRR can lack IPv6 peers as a whole."""
    for stream, closing in zip(recording.streams, recording.closing, strict=True):
        ours = {(peer_of(r), prefix_of(r), r.as_path) for r in table_at(stream).routes()}
        theirs = {(peer_of(r), prefix_of(r), r.as_path) for r in closing if isinstance(r, Route)}
        peers = {peer for peer, _, _ in theirs}
        assert {route for route in ours if route[0] in peers} == theirs


# --- every deed is found ----------------------------------------------------------------------------------------------


def find_moas(recording: Recording, deed: Deed) -> None:
    found = [interval for stream in recording.streams for interval in moas_intervals(stream)]
    for prefix in prefixes_of(deed):
        matching = [one for one in found if one.prefix == prefix and {deed["asn"], deed["victim"]} <= one.origins]
        assert any(begin(deed) <= one.start <= deed["time"] + SETTLING for one in matching)


def find_hijack(recording: Recording, deed: Deed) -> None:
    find_moas(recording, deed)
    suspects = list(origin_changes(recording.announced(deed), recording.expected()))
    own = [suspect for suspect in suspects if suspect.route.origin_asn == deed["asn"]]
    assert {suspect.covering for suspect in own} == prefixes_of(deed)
    assert {route_validity(suspect.route, recording.vrps()) for suspect in own} == {"invalid"}


def find_subprefix_hijack(recording: Recording, deed: Deed) -> None:
    suspects = list(subprefix_announcements(recording.announced(deed), recording.expected()))
    assert {prefix_of(suspect.route) for suspect in suspects} == prefixes_of(deed)
    assert {suspect.route.origin_asn for suspect in suspects} == {deed["asn"]}
    assert {asn for suspect in suspects for asn in suspect.expected} == {deed["victim"]}


def find_forgery(recording: Recording, deed: Deed) -> None:
    known = adjacencies(route for rib in recording.ribs for route in rib if isinstance(route, Route))
    edge = (min(deed["asn"], deed["victim"]), max(deed["asn"], deed["victim"]))
    found = [new.route for new in new_edges(recording.announced(deed), known) if new.edge == edge]
    assert [prefix_of(route) in prefixes_of(deed) for route in found] == [True]
    assert route_validity(found[0], recording.vrps()) != "invalid"


def find_leak(recording: Recording, deed: Deed) -> None:
    world, leaked = recording.relationships(), set[Prefix]()
    for route in recording.announced(deed):
        if any(leak.asn == deed["asn"] for leak in leaks(route.segments, world)):
            assert valley_free(route.segments, world) is False
            leaked.add(prefix_of(route))
    assert prefixes_of(deed) <= leaked


def find_optimizer_leak(recording: Recording, deed: Deed) -> None:
    find_leak(recording, deed)
    owned = recording.expected()
    for prefix in prefixes_of(deed):
        [*_, covering] = covering_prefixes(owned, prefix)
        assert owned[covering] == {deed["victim"]}
    assert not list(subprefix_announcements(recording.announced(deed), owned))


def find_prepending(recording: Recording, deed: Deed) -> None:
    for expected in deed["expect"]["announced"]:
        prefix, extra = parse_prefix(expected["prefix"]), expected["path"].count(deed["asn"]) - 1
        routes = [route for route in recording.announced(deed) if prefix_of(route) == prefix]
        assert extra in {prepending(route.segments).get(deed["asn"], 0) for route in routes}


def find_withdrawal(recording: Recording, deed: Deed) -> None:
    counts = withdrawals_per_prefix(during(chain(*recording.updates), begin(deed), deed["time"] + SETTLING))
    assert set(map(parse_prefix, deed["expect"]["withdrawn"])) <= counts.keys()


def find_outage(recording: Recording, deed: Deed) -> None:
    find_withdrawal(recording, deed)
    for stream in recording.streams:
        gone = {one.prefix for one in outages(stream) if begin(deed) <= one.start <= deed["time"] + SETTLING}
        assert set(map(parse_prefix, deed["expect"]["withdrawn"])) <= gone


def find_flapping(recording: Recording, deed: Deed) -> None:
    for stream in recording.streams:
        found = [flap for flap in flaps(stream) if flap.prefix in prefixes_of(deed)]
        for prefix in prefixes_of(deed):
            peers = {flap.peer for flap in found if flap.prefix == prefix}
            most = max(sum(flap.peer == peer and flap.prefix == prefix for flap in found) for peer in peers)
            assert most >= len(deed["cycles"]) - 1


def find_blackhole(recording: Recording, deed: Deed) -> None:
    assert {prefix_of(route) for route in blackholed(recording.announced(deed))} == prefixes_of(deed)


def find_session_reset(recording: Recording, deed: Deed) -> None:
    losses = [loss for updates in recording.updates for loss in session_losses(updates)]
    lost = {loss.peer.asn for loss in losses if abs(loss.down - deed["time"]) <= SETTLING and loss.up}
    assert set(deed["expect"]["peers_down"]) <= lost


def find_aggregate(recording: Recording, deed: Deed) -> None:
    routes = recording.announced(deed)
    for expected in deed["expect"]["announced"]:
        own = [route for route in routes if prefix_of(route) == parse_prefix(expected["prefix"])]
        assert not origins_by_prefix(own)
        assert set(expected["as_set"]) in {path_origins(route.segments, sets=True) for route in own}
        assert moas(own, sets=True).keys() == {parse_prefix(expected["prefix"])}


def find_deaggregate(recording: Recording, deed: Deed) -> None:
    owned = recording.expected()
    origins = origins_by_prefix(recording.announced(deed))
    for prefix in prefixes_of(deed):
        assert deed["asn"] in origins[prefix]
        assert deed["asn"] in owned[covering_prefixes(owned, prefix)[-1]]


def find_poison(recording: Recording, deed: Deed) -> None:
    found = {prefix_of(route) for route in recording.announced(deed) if path_loops(route.segments) == {deed["asn"]}}
    assert found == prefixes_of(deed)


def find_transfer(recording: Recording, deed: Deed) -> None:
    for stream in recording.streams:
        before = origins_by_prefix(table_at(stream, recording.truth["start"]).routes())
        after = origins_by_prefix(table_at(stream).routes())
        for prefix in prefixes_of(deed):
            assert (before[prefix], after[prefix]) == ({deed["victim"]}, {deed["asn"]})


def find_link_failure(recording: Recording, deed: Deed) -> None:
    edge = (min(deed["asn"], deed["neighbor"]), max(deed["asn"], deed["neighbor"]))
    for stream in recording.streams:
        assert edge not in adjacencies(table_at(stream, begin(deed) + SETTLING).routes())
    assert any(edge in adjacencies(table_at(stream, recording.truth["start"]).routes()) for stream in recording.streams)
    assert path_changes(chain(*recording.streams))


FINDERS: dict[str, Callable[[Recording, Deed], None]] = {
    "aggregate": find_aggregate,
    "blackhole": find_blackhole,
    "deaggregate": find_deaggregate,
    "flapping": find_flapping,
    "link-failure": find_link_failure,
    "moas": find_moas,
    "optimizer-leak": find_optimizer_leak,
    "origin-hijack": find_hijack,
    "outage": find_outage,
    "path-forgery": find_forgery,
    "poison": find_poison,
    "prepend": find_prepending,
    "route-leak": find_leak,
    "session-reset": find_session_reset,
    "subprefix-hijack": find_subprefix_hijack,
    "transfer": find_transfer,
    "withdraw": find_withdrawal,
}


def test_every_deed_is_found(recording: Recording) -> None:
    for deed in recording.deeds(*FINDERS):
        FINDERS[deed["kind"]](recording, deed)


# --- nothing is found where nothing was done --------------------------------------------------------------------------


def seen(recording: Recording) -> Iterator[Route]:
    """Every route of the recording, of RIBs and updates."""
    return (event for event in chain(*recording.ribs, *recording.updates) if isinstance(event, Route))


def test_only_who_leaked_is_found(recording: Recording) -> None:
    world = recording.relationships()
    leakers = {deed["asn"] for deed in recording.deeds("route-leak", "optimizer-leak")}
    forgers = {deed["asn"] for deed in recording.deeds("path-forgery", "poison")}
    found = {leak.asn for route in seen(recording) for leak in leaks(route.segments, world)}
    assert found - forgers <= leakers


def test_only_who_acted_has_an_unexpected_origin(recording: Recording) -> None:
    actors = {deed["asn"] for deed in recording.deeds("origin-hijack", "moas", "subprefix-hijack", "transfer")}
    routes = list(seen(recording))
    suspects = chain(
        origin_changes(routes, recording.expected()), subprefix_announcements(routes, recording.expected())
    )
    assert {suspect.route.origin_asn for suspect in suspects} <= actors


def test_only_blackholed_prefixes_are_found(recording: Recording) -> None:
    expected = {prefix for deed in recording.deeds("blackhole") for prefix in prefixes_of(deed)}
    assert {prefix_of(route) for route in blackholed(seen(recording))} <= expected


def test_paths_loop_only_where_somebody_poisoned(recording: Recording) -> None:
    poisoned = {prefix for deed in recording.deeds("poison", "path-forgery") for prefix in prefixes_of(deed)}
    assert {prefix_of(route) for route in seen(recording) if path_loops(route.segments)} <= poisoned


def test_sets_appear_only_where_somebody_aggregated(recording: Recording) -> None:
    aggregates = {prefix for deed in recording.deeds("aggregate", "deaggregate") for prefix in prefixes_of(deed)}
    assert {prefix_of(route) for route in seen(recording) if not path_origins(route.segments)} <= aggregates


def test_sessions_break_only_where_they_were_reset(recording: Recording) -> None:
    expected = {asn for deed in recording.truth["events"] for asn in deed["expect"]["peers_down"]}
    assert {loss.peer.asn for updates in recording.updates for loss in session_losses(updates)} <= expected
