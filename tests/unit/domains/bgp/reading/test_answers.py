"""Answers computed again from the excerpt's text alone, by other means than the analyses."""

import json
import random
import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from itertools import groupby

import pytest

from seedtune.domains.bgp.reading import FAMILIES
from seedtune.domains.bgp.reading.making import make_item
from seedtune.domains.bgp.reading.recordings import recordings
from seedtune.domains.bgp.reading.renaming import Renaming
from seedtune.records import ExactItem

Row = dict[str, str]

NAMES = {"as path": "path", "as_path": "path", "peer as": "peer_as", "next hop": "next_hop", "local pref": "local_pref"}


def rows(text: str) -> list[Row]:
    """The rows of a Markdown table, of aligned columns, of JSON lines or of ``bgpdump -m``; empty for other text."""
    lines = [line for line in text.splitlines() if line.strip()]
    if all(line.startswith("{") for line in lines):
        return [{name: _text(value) for name, value in json.loads(line).items()} for line in lines]
    if lines[0].startswith("| "):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]
        names = [NAMES.get(name.lower(), name.lower()) for name in cells[0]]
        return [dict(zip(names, row, strict=True)) for row in cells[1:]]
    if lines[0].startswith(("BGP4MP|", "TABLE_DUMP2|")):
        columns = ("", "time", "type", "peer", "peer_as", "prefix", "path", "origin", "next_hop", "local_pref", "med")
        columns = (*columns, "communities")
        return [dict(zip(columns, line.split("|"), strict=False)) for line in lines]
    if re.fullmatch(r"[a-z_]+(?:\s+[a-z_]+)*", lines[0]):
        names = [NAMES.get(name, name) for name in lines[0].split()]
        return [dict(zip(names, re.split(r"\s{2,}", line), strict=True)) for line in lines[1:]]
    return []


def _text(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def asked(item: ExactItem) -> str:
    """The prefix or the address that the question names."""
    (found,) = re.findall(r"(?<![\w.:])(?:\d+(?:\.\d+){3}|[0-9a-f]+:[0-9a-f]*:[0-9a-f:]*)(?:/\d+)?", item.question)
    return found.rstrip(":")


def asked_asn(item: ExactItem) -> str:
    question = re.sub(r"\S*[./:]\S*\d\S*", " ", item.question.replace("RFC 4271", ""))
    (found,) = re.findall(r"\b\d{5,}\b", question)
    return found


def path_of(item: ExactItem, table: list[Row]) -> list[str]:
    prefix = asked(item)
    return next(row["path"] for row in table if row["prefix"] == prefix).split()


def longest(item: ExactItem, table: list[Row]) -> str:
    address = ip_address(asked(item))
    matching = [network for row in table if address in (network := ip_network(row["prefix"]))]
    return str(max(matching, key=lambda network: network.prefixlen))


def covering(item: ExactItem, table: list[Row]) -> str:
    prefix = ip_network(asked(item))
    networks = [ip_network(row["prefix"]) for row in table]
    return str(sum(prefix.subnet_of(network) for network in networks))  # type: ignore[arg-type]


def inside(item: ExactItem, table: list[Row]) -> str:
    prefix = ip_network(asked(item))
    return str(sum(ip_network(row["prefix"]).subnet_of(prefix) for row in table))  # type: ignore[arg-type]


def origins(item: ExactItem, table: list[Row]) -> str:
    prefix = asked(item)
    return ", ".join(map(str, sorted({int(row["path"].split()[-1]) for row in table if row["prefix"] == prefix})))


def still_there(item: ExactItem, table: list[Row]) -> str:
    prefix, asn = asked(item), asked_asn(item)
    last = [row["type"] for row in table if row["prefix"] == prefix and row["peer_as"] == asn][-1]
    return "yes" if last == "A" else "no"


def best(item: ExactItem, table: list[Row]) -> str:
    return min(table, key=lambda row: (-int(row["local_pref"]), len(row["path"].split())))["next_hop"]


def communities(item: ExactItem, table: list[Row]) -> str:
    asn, prefix = asked_asn(item), asked(item)
    row = next(row for row in table if row["prefix"] == prefix)
    return str(sum(word.startswith(f"{asn}:") for word in row["communities"].split()))


def prepends(item: ExactItem, table: list[Row]) -> str:
    return str(path_of(item, table).count(asked_asn(item)) - 1)


NAIVE: dict[str, Callable[[ExactItem, list[Row]], str]] = {
    "origin_as": lambda item, table: path_of(item, table)[-1],
    "upstream": lambda item, table: [asn for asn, _ in groupby(path_of(item, table))][-2],
    "path_length": lambda item, table: str(len(path_of(item, table))),
    "unique_hops": lambda item, table: str(len(set(path_of(item, table)))),
    "prepend_count": prepends,
    "clean_path": lambda item, table: " ".join(asn for asn, _ in groupby(path_of(item, table))),
    "next_hop": lambda item, table: next(row["next_hop"] for row in table if row["prefix"] == asked(item)),
    "longest_match": longest,
    "covering": covering,
    "more_specifics": inside,
    "origins": origins,
    "moas": lambda item, table: "yes" if "," in origins(item, table) else "no",
    "best_path": best,
    "withdrawals": lambda item, table: str(
        sum(row["type"] == "W" and row["peer_as"] == asked_asn(item) for row in table)
    ),
    "first_seen": lambda item, table: next(
        row["time"] for row in table if row["type"] == "A" and row["prefix"] == asked(item)
    ),
    "still_there": still_there,
    "blackhole": lambda item, table: next(
        row["prefix"] for row in table if "65535:666" in row.get("communities", "").split()
    ),
    "community": communities,
}


@pytest.mark.parametrize("family", NAIVE)
def test_a_naive_reading_of_the_text_gives_the_same_answer(family: str) -> None:
    compared = 0
    for level in FAMILIES[family].levels:
        for number in range(25):
            item = make_item("dev", family, level, f"naive/{number}")
            table = rows(item.input)
            if table:
                compared += 1
                assert NAIVE[family](item, table) == item.answer, item.prompt
    assert compared >= 20


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_a_renaming_keeps_the_structure(split: str) -> None:
    """Prefixes stay inside each other exactly where they were, and different numbers stay different."""
    recording = recordings(split)[0]  # type: ignore[arg-type]
    names = Renaming(split, random.Random(1), recording.tops, recording.start, narrow=False)  # type: ignore[arg-type]
    prefixes = sorted(recording.tops)
    new = {prefix: names.prefix(prefix) for prefix in prefixes}
    assert len(set(new.values())) == len(prefixes)
    for one in prefixes:
        assert new[one].length == one.length
        for other in prefixes:
            assert new[one].covers(new[other]) == one.covers(other), (one, other)
    asns = {asn for route in recording.routes for asn in route.hops}
    assert len({names.asn(asn) for asn in asns}) == len(asns)
    paths = {route.as_path: names.route(route).as_path for route in recording.table}
    assert len(set(paths.values())) == len(paths)
    times = [names.time(event.time) for event in recording.events]
    assert times == sorted(times)
