"""The committed recordings: readable by two decoders, and what the truth says was done is to be seen in them."""

import json
import math
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import ip_network
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from seedtune.domains.bgp.mrt import MrtRecord, Route, read_mrt

RECORDINGS = ROOT / "src" / "seedtune" / "domains" / "bgp" / "recordings"
FOLDERS = sorted(path.parent for path in RECORDINGS.glob("*/*/truth.json"))
FILES = [f"{daemon}-{name}.mrt.gz" for daemon in ("bird", "frr") for name in ("updates", "rib", "rib-end")]
REACTION_S = 2.5
"""So long after an event its last effects may come; BIRD's time stamps lie up to a second early besides."""

each_recording = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")


@cache
def truth_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "truth.json").read_text())


@cache
def records_of(path: Path) -> list[MrtRecord]:
    return list(read_mrt(path))


def updates_of(folder: Path) -> Iterator[MrtRecord]:
    for daemon in ("bird", "frr"):
        yield from records_of(folder / f"{daemon}-updates.mrt.gz")


def window(truth: dict[str, Any], event: dict[str, Any]) -> tuple[float, float]:
    return math.floor(event["time"]), (event["until"] or truth["end"]) + REACTION_S


def is_sighting(route: Route, wanted: dict[str, Any]) -> bool:
    """Whether a route is the one that the truth describes."""
    if route.prefix != wanted["prefix"] or route.origin_asn != wanted["origin"]:
        return False
    hops, path = list(route.hops), wanted["path"]
    if not any(hops[start : start + len(path)] == path for start in range(len(hops))):
        return False
    sets = [set(segment.asns) for segment in route.segments if segment.kind == "set"]
    if wanted["as_set"] and set(wanted["as_set"]) not in sets:
        return False
    return set(wanted["communities"]) <= set(route.communities)


def missing_sightings(
    records: Iterable[MrtRecord], wanted: list[dict[str, Any]], since: float, until: float
) -> list[Any]:
    routes = [route for record in records if since <= record.time <= until for route in record.announced]
    return [sighting for sighting in wanted if not any(is_sighting(route, sighting) for route in routes)]


def missing_withdrawals(records: Iterable[MrtRecord], wanted: list[str], since: float, until: float) -> set[str]:
    seen = {found.prefix for record in records if since <= record.time <= until for found in record.withdrawn}
    return set(wanted) - seen


def test_every_scenario_is_recorded_with_every_seed() -> None:
    from lab.numbers import SEEDS
    from lab.scenario import load_scenarios

    scenarios = load_scenarios()
    assert len(scenarios) >= 12
    expected = {(name, seed) for name in scenarios for seed in SEEDS}
    assert {(folder.parent.name, folder.name) for folder in FOLDERS} == expected


@each_recording
def test_each_file_is_read_to_its_end(folder: Path) -> None:
    for name in FILES:
        records = records_of(folder / name)
        assert records, name
        assert all(record.problem is None for record in records), name


@each_recording
def test_tables_before_and_after_hold_routes_of_every_peer(folder: Path) -> None:
    for daemon, collector in truth_of(folder)["collectors"].items():
        peers = {(peer["asn"], address) for peer in collector["peers"] for address in peer["addresses"]}
        for name in ("rib", "rib-end"):
            records = records_of(folder / f"{daemon}-{name}.mrt.gz")
            assert {(route.peer_asn, route.peer_address) for record in records for route in record.entries} == peers


@each_recording
def test_tables_before_hold_every_prefix_with_its_owner(folder: Path) -> None:
    truth = truth_of(folder)
    owners = {(prefix, system["asn"]) for system in truth["ases"] for prefix in system["prefixes"]}
    for daemon in truth["collectors"]:
        records = records_of(folder / f"{daemon}-rib.mrt.gz")
        assert {(route.prefix, route.origin_asn) for record in records for route in record.entries} == owners


@each_recording
def test_times_lie_within_the_recording(folder: Path) -> None:
    truth = truth_of(folder)
    for record in updates_of(folder):
        assert truth["start"] <= record.time < truth["end"]
    for daemon in truth["collectors"]:
        for record in records_of(folder / f"{daemon}-rib.mrt.gz"):
            assert truth["start"] - 10 <= record.time <= truth["start"]
            assert all(truth["start"] - 90 <= (route.originated or 0) <= record.time for route in record.entries)
        for record in records_of(folder / f"{daemon}-rib-end.mrt.gz"):
            assert truth["end"] <= record.time <= truth["end"] + 10


@each_recording
def test_every_event_is_visible(folder: Path) -> None:
    truth = truth_of(folder)
    assert truth["events"]
    for event in truth["events"]:
        since, until = window(truth, event)
        expect = event["expect"]
        assert any(expect[key] for key in expect), event["id"]
        assert missing_sightings(updates_of(folder), expect["announced"], since, until) == [], event["id"]
        assert missing_withdrawals(updates_of(folder), expect["withdrawn"], since, until) == set(), event["id"]


@each_recording
def test_what_an_event_undoes_is_visible_too(folder: Path) -> None:
    truth = truth_of(folder)
    for event in truth["events"]:
        expect = event["expect"]
        if event["until"] is None:
            assert not expect["announced_after"]
            assert not expect["withdrawn_after"]
            continue
        since = math.floor(event["until"])
        assert missing_sightings(updates_of(folder), expect["announced_after"], since, math.inf) == [], event["id"]
        assert missing_withdrawals(updates_of(folder), expect["withdrawn_after"], since, math.inf) == set(), event["id"]


@each_recording
def test_sessions_go_down_and_come_back_where_the_truth_says_so_and_nowhere_else(folder: Path) -> None:
    truth = truth_of(folder)
    expected = {asn for event in truth["events"] for asn in event["expect"]["peers_down"]}
    states = [record.state for record in updates_of(folder) if record.state]
    assert {state.peer_asn for state in states if state.old == "ESTABLISHED"} == expected
    assert {state.peer_asn for state in states if state.new == "ESTABLISHED"} == expected


@each_recording
def test_no_route_contradicts_the_truth(folder: Path) -> None:
    """Who originates a prefix is its owner or an AS that an event makes an origin; nothing else was on the wire."""
    truth = truth_of(folder)
    allowed = {(prefix, system["asn"]) for system in truth["ases"] for prefix in system["prefixes"]}
    allowed |= {(seen["prefix"], seen["origin"]) for event in truth["events"] for seen in event["expect"]["announced"]}
    for name in FILES:
        for record in records_of(folder / name):
            for route in record.routes:
                assert (route.prefix, route.origin_asn) in allowed


@each_recording
def test_links_in_paths_are_those_of_the_topology_but_for_forged_ones(folder: Path) -> None:
    truth = truth_of(folder)
    links = {frozenset(link[:2]) for link in truth["relationships"]}
    forged = [event for event in truth["events"] if event["kind"] in ("path-forgery", "poison", "optimizer-leak")]
    links |= {
        frozenset(pair) for event in forged for seen in event["expect"]["announced"] for pair in pairwise(seen["path"])
    }
    for record in updates_of(folder):
        for route in record.announced:
            for segment in route.segments:
                if segment.kind == "sequence":
                    for pair in pairwise(segment.asns):
                        assert len(set(pair)) == 1 or frozenset(pair) in links


@each_recording
def test_paths_have_a_valley_where_routes_were_leaked_and_nowhere_else(folder: Path) -> None:
    truth = truth_of(folder)
    steps = {(left, right): kind for left, right, kind in truth["relationships"]}
    steps |= {(right, left): -step for (left, right), step in steps.items()}
    valleys = {
        valley
        for record in updates_of(folder)
        for route in record.announced
        for valley in valleys_of([hop for hop, _ in groupby(route.hops)], steps)
    }
    leakers = {event["asn"] for event in truth["events"] if event["kind"] in ("route-leak", "optimizer-leak")}
    assert {middle for _, middle, _ in valleys} == leakers


def valleys_of(path: list[int], steps: dict[tuple[int, int], int]) -> Iterator[tuple[int, int, int]]:
    """Where an AS passed a route from a provider or peer to a provider or peer (RFC 7908); unknown links end a walk.

    ``steps`` has -1 from a provider to its customer, 1 the other way round, 0 between peers. The route itself travels
    from the right to the left.
    """
    for left, middle, right in zip(path, path[1:], path[2:], strict=False):
        given, learned = steps.get((middle, left)), steps.get((middle, right))
        if given is not None and learned is not None and given >= 0 and learned >= 0:
            yield left, middle, right


def test_the_forged_link_is_not_one_of_the_topology() -> None:
    """Else a path forgery could not be told from a real neighbor's route."""
    for folder in FOLDERS:
        truth = truth_of(folder)
        links = {frozenset(link[:2]) for link in truth["relationships"]}
        for event in truth["events"]:
            if event["kind"] == "path-forgery":
                assert frozenset((event["asn"], event["victim"])) not in links, folder


@each_recording
def test_bgpdump_counts_the_same(folder: Path) -> None:
    if shutil.which("bgpdump") is None:
        if os.environ.get("SEEDTUNE_REQUIRE_FIXTURES") == "1":
            pytest.fail("bgpdump is not installed")
        pytest.skip("bgpdump is not installed")
    for name in FILES:
        done = subprocess.run(
            ["bgpdump", "-m", folder / name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        )
        theirs = Counter(line.split("|")[2] for line in done.stdout.splitlines())
        ours: Counter[str] = Counter()
        for record in records_of(folder / name):
            ours.update(
                {
                    "A": len(record.announced),
                    "W": len(record.withdrawn),
                    "B": len(record.entries),
                    "STATE": bool(record.state),
                }
            )
        assert theirs == +ours, name


def test_splits_share_no_number_no_prefix_and_no_time() -> None:
    asns: dict[str, set[int]] = {}
    prefixes: dict[str, list[Any]] = {}
    spans: dict[str, list[float]] = {}
    for folder in FOLDERS:
        truth = truth_of(folder)
        split = folder.name.split("-")[0]
        assert split == truth["split"]
        asns.setdefault(split, set()).update(system["asn"] for system in truth["ases"])
        asns[split].update(collector["asn"] for collector in truth["collectors"].values())
        spans.setdefault(split, []).extend((truth["start"], truth["end"]))
        texts = {route.prefix for name in FILES for record in records_of(folder / name) for route in record.routes}
        texts |= {f"{peer}" for c in truth["collectors"].values() for p in c["peers"] for peer in p["addresses"]}
        prefixes.setdefault(split, []).extend(map(ip_network, texts))
    assert set(asns) == {"train", "dev", "test"}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not asns[one] & asns[other]
        assert max(spans[one]) < min(spans[other])
        assert not overlapping(prefixes[one], prefixes[other])


def overlapping(left: list[Any], right: list[Any]) -> list[tuple[Any, Any]]:
    """Neighboring pairs of the sorted union that overlap across the two lists."""
    found: list[tuple[Any, Any]] = []
    for version in (4, 6):
        spans = sorted(
            (int(network.network_address), int(network.broadcast_address), side, network)
            for side, networks in enumerate((left, right))
            for network in set(networks)
            if network.version == version
        )
        last: list[Any] = [None, None]
        for low, high, side, network in spans:
            other = last[1 - side]
            if other and other[0] >= low:
                found.append((other[1], network))
            if not last[side] or last[side][0] < high:
                last[side] = (high, network)
    return found


def test_numbers_belong_to_nobody() -> None:
    """Nothing defames a real network: documentation and private-use numbers alone."""
    reserved = [
        *map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "2001:db8::/32")),
        *map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")),
    ]
    for folder in FOLDERS:
        for name in FILES:
            for record in records_of(folder / name):
                for route in record.routes:
                    assert any(route.version == pool.version and route.network.subnet_of(pool) for pool in reserved)  # pyright: ignore[reportArgumentType]
                    for asn in route.hops:
                        assert 64496 <= asn <= 65534 or 65536 <= asn <= 65551 or 4_200_000_000 <= asn <= 4_294_967_294


def test_all_recordings_together_stay_below_three_megabytes() -> None:
    assert sum(path.stat().st_size for path in RECORDINGS.rglob("*") if path.is_file()) < 3_000_000


def test_files_in_gzip_carry_no_time_and_no_name() -> None:
    for folder in FOLDERS:
        for name in FILES:
            head = (folder / name).read_bytes()[:8]
            assert head == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
