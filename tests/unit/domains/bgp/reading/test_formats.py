"""Excerpts look as the programs print them; the parts that a question is about can be read back."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedtune.domains.bgp.analyses import Peer, events_of, make_route, make_withdrawal, parse_path, parse_prefix
from seedtune.domains.bgp.mrt import MrtRecord, Route, StateChange, Withdrawal, read_mrt
from seedtune.domains.bgp.reading.decision import best_route
from seedtune.domains.bgp.reading.formats import (
    bgpdump_line,
    bgpdump_lines,
    bgpdump_long,
    bird_routes,
    frr_table,
    json_lines,
    markdown,
    plain,
)
from seedtune.domains.bgp.reading.recordings import FOLDER
from seedtune.domains.bgp.reading.renaming import next_hop_attribute

PEER = Peer(64500, "100.64.1.1")
BGP4MP_ET = 17


def route(path: str = "64500 64501", prefix: str = "10.1.0.0/16", hop: str = "100.64.1.1", **numbers: int) -> Route:
    codes = {"med": (4, 4), "local_pref": (5, 4), "origin": (1, 1)}
    other = {codes[name][0]: value.to_bytes(codes[name][1], "big") for name, value in {"origin": 0, **numbers}.items()}
    other |= next_hop_attribute(hop)
    return make_route(
        1_700_000_000, PEER, parse_prefix(prefix), parse_path(path), communities=("64500:100",), other=other
    )


GONE = make_withdrawal(1_700_000_007, PEER, parse_prefix("10.2.0.0/16"))


def bgpdump(path: Path, *options: str) -> str:
    program = shutil.which("bgpdump")
    if program is None:
        reason = "bgpdump is not installed (Debian: apt-get install bgpdump)"
        if os.environ.get("SEEDTUNE_REQUIRE_FIXTURES"):
            pytest.fail(reason)
        pytest.skip(reason)
    command = [program, *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def entries(records: Iterator[MrtRecord]) -> Iterator[str]:
    for record in records:
        for event in events_of([record]):
            yield bgpdump_line(event, "rib" if record.kind == "rib" else "update", micro=record.type == BGP4MP_ET)


@pytest.mark.parametrize("name", ["bird-rib", "bird-updates", "frr-rib", "frr-updates"])
@pytest.mark.parametrize("scenario", ["01-origin-hijack", "08-flapping", "10-session-reset", "12-as-set"])
def test_our_lines_are_those_of_bgpdump(scenario: str, name: str) -> None:
    path = FOLDER / scenario / "train-1" / f"{name}.mrt.gz"
    known = {"65535:65281": "no-export", "65535:65282": "no-advertise"}
    ours = "\n".join(entries(read_mrt(path)))
    for number, word in known.items():
        ours = ours.replace(number, word)
    # State changes have an address form of their own in bgpdump; no task shows them.
    theirs = [line for line in bgpdump(path, "-m").splitlines() if "|STATE|" not in line]
    assert theirs == [line for line in ours.splitlines() if "|STATE|" not in line]


def test_our_long_form_is_that_of_bgpdump() -> None:
    """But for the collector's own end, link-local next hops and large communities."""
    path = FOLDER / "01-origin-hijack" / "train-1" / "bird-updates.mrt.gz"
    theirs = [
        re.sub(r"(?m)^(TO: |LARGE_COMMUNITY: |NEXT_HOP: fe80).*\n", "", part).strip()
        for part in bgpdump(path).split("\n\n")
        if "MESSAGE/Update" in part
    ]
    ours = []
    for record in read_mrt(path):
        events = [event for event in events_of([record]) if not isinstance(event, StateChange)]
        ours += [bgpdump_long(events)] if len(events) == 1 else []
    assert ours
    assert set(ours) <= set(theirs)


def test_a_line_of_each_kind() -> None:
    assert bgpdump_lines([route(med=5), GONE]).splitlines() == [
        "BGP4MP|1700000000|A|100.64.1.1|64500|10.1.0.0/16|64500 64501|IGP|100.64.1.1|0|5|64500:100|NAG||",
        "BGP4MP|1700000007|W|100.64.1.1|64500|10.2.0.0/16",
    ]


def test_tables_show_what_was_asked_for_and_nothing_else() -> None:
    events = [route(), GONE]
    assert markdown(events, ("type", "prefix", "path")) == (
        "| Type | Prefix | AS path |\n| --- | --- | --- |\n| A | 10.1.0.0/16 | 64500 64501 |\n| W | 10.2.0.0/16 |  |"
    )
    assert plain(events, ("time", "path"), clocks=True).splitlines() == [
        "time                 as_path",
        "2023-11-14 22:13:20  64500 64501",
        "2023-11-14 22:13:27  -",
    ]
    assert [json.loads(line) for line in json_lines(events, ("peer_as", "communities")).splitlines()] == [
        {"peer_as": 64500, "communities": ["64500:100"]},
        {"peer_as": 64500},
    ]


def test_frr_rows_stand_where_frr_8_puts_them() -> None:
    routes = [route(med=7), route("64502 64503 64501", hop="100.64.1.2", local_pref=200)]
    assert frr_table(routes).splitlines() == [
        "   Network          Next Hop            Metric LocPrf Weight Path",
        "*  10.1.0.0/16      100.64.1.1               7             0 64500 64501 i",
        "*>                  100.64.1.2                    200      0 64502 64503 64501 i",
    ]
    assert ">" not in frr_table(routes, marks=False)


def test_frr_wraps_a_prefix_or_a_next_hop_that_fills_its_column() -> None:
    long = route("64500 64501", prefix="2001:db8:8000::/36", hop="fe80::e8cb:dbff:fe65:6d06")
    assert frr_table([long]).splitlines()[1:] == [
        "*> 2001:db8:8000::/36",
        "                    fe80::e8cb:dbff:fe65:6d06",
        "                                                           0 64500 64501 i",
    ]
    short = route("64500 64501", prefix="2001:db8::/32", hop="fd00::1")
    assert frr_table([short]).splitlines()[1:] == [
        "*> 2001:db8::/32    fd00::1                                0 64500 64501 i"
    ]


def test_bird_rows_are_those_of_bird_2() -> None:
    text = bird_routes(
        [route(), route("64502 64501", hop="100.64.1.2", local_pref=300)._replace(time=1_700_000_000.25)]
    )
    assert text.count("*") == 1
    assert text.splitlines()[:8] == [
        "10.1.0.0/16          unicast [peer1 22:13:20.000] (100) [AS64501i]",
        "\tvia 100.64.1.1 on eth0",
        "\tType: BGP univ",
        "\tBGP.origin: IGP",
        "\tBGP.as_path: 64500 64501",
        "\tBGP.next_hop: 100.64.1.1",
        "\tBGP.local_pref: 100",
        "\tBGP.community: (64500,100)",
    ]
    assert "                     unicast [peer1 22:13:20.250] * (100) [AS64501i]" in text


def test_bird_writes_a_set_with_blanks() -> None:
    assert "BGP.as_path: 64500 {64501 64502}\n" in bird_routes([route("64500 {64501,64502}")])


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (route("64500 64501 64502", local_pref=200), route("64503", local_pref=100)),
        (route("64500 64501"), route("64503 64504 64501")),
        (route("64500 {64501,64502}"), route("64500 64501 64502")),
        (route("64500", origin=0), route("64503", origin=2)),
        (route("64500 64501", med=5), route("64500 64502", med=10)),
        (route("64500 64501", local_pref=101), route("64500 64502")),
    ],
)
def test_the_best_route_follows_rfc_4271(better: Route, worse: Route) -> None:
    assert best_route([better, worse]) is better
    assert best_route([worse, better]) is better


def test_there_is_no_best_route_where_only_the_router_knows() -> None:
    assert best_route([route("64500 64501"), route("64502 64501")]) is None
    # MEDs of different neighbours are not compared.
    assert best_route([route("64500 64501", med=1), route("64502 64501", med=2)]) is None
    assert best_route([]) is None


def test_a_withdrawal_has_a_long_form() -> None:
    gone = make_withdrawal(1_700_000_007, Peer(64500, "fd00::1"), parse_prefix("2001:db8::/32"))
    assert isinstance(gone, Withdrawal)
    assert bgpdump_long([gone]).splitlines()[3:] == ["MP_UNREACH_NLRI(IPv6 Unicast)", "WITHDRAW", "  2001:db8::/32"]
