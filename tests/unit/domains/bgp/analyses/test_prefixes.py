"""Longest match, more specifics and covering prefixes against strings of bits; lengths; bogons."""

from ipaddress import ip_address, ip_network

import pytest
from analysis_cases import announce, bit_text, parse, prefixes, withdraw
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.domains.bgp.analyses import (
    SPECIAL_PREFIXES,
    Prefix,
    PrefixMap,
    asn_bogon,
    bogon_routes,
    covering_prefixes,
    length_distribution,
    longest_match,
    more_specifics,
    parse_prefix,
    prefix_bogon,
)
from seedtune.errors import DataError


@settings(deadline=None)
@given(st.lists(prefixes), prefixes)
def test_a_prefix_map_finds_what_strings_of_bits_find(table: list[Prefix], asked: Prefix) -> None:
    found = PrefixMap((prefix, None) for prefix in table)
    covering = {prefix for prefix in table if bit_text(asked).startswith(bit_text(prefix))}
    inside = {prefix for prefix in table if bit_text(prefix).startswith(bit_text(asked))} - {asked}
    assert list(found.covering(asked)) == sorted(covering, key=lambda prefix: prefix.length)
    assert found.longest_match(asked) == max(covering, key=lambda prefix: prefix.length, default=None)
    assert list(found.more_specifics(asked)) == sorted(inside) == more_specifics(table, asked)
    assert covering_prefixes(table, asked) == sorted(covering - {asked}, key=lambda prefix: prefix.length)


@settings(deadline=None)
@given(st.lists(prefixes), st.integers(0, 2**32 - 1))
def test_longest_match_of_an_address_is_that_of_its_host_prefix(table: list[Prefix], number: int) -> None:
    host = Prefix(4, number, 32)
    expected = max(
        (prefix for prefix in table if bit_text(host).startswith(bit_text(prefix))),
        key=lambda prefix: prefix.length,
        default=None,
    )
    assert longest_match(table, str(host).removesuffix("/32")) == expected
    assert PrefixMap((prefix, 0) for prefix in table).longest_match(host) == expected


def test_longest_match_prefers_the_longer_prefix() -> None:
    table = parse("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")
    assert str(longest_match(table, "10.1.2.3")) == "10.1.0.0/16"
    assert str(longest_match(table, "10.2.0.0")) == "10.0.0.0/8"
    assert str(longest_match(table, "11.0.0.1")) == "0.0.0.0/0"
    assert str(longest_match(table, "2001:db8:1::1")) == "2001:db8::/32"
    assert longest_match(table, "2001:db9::1") is None
    assert longest_match([], "10.0.0.1") is None


def test_longest_match_needs_an_address() -> None:
    with pytest.raises(DataError, match="is no prefix"):
        longest_match([], "10.0.0")


def test_the_last_address_of_a_prefix_is_inside() -> None:
    for around, host in (parse("10.0.0.0/24", "10.0.0.255/32"), parse("fd00::/64", "fd00::ffff:ffff:ffff:ffff/128")):
        assert list(PrefixMap([(around, 0), (host, 0)]).more_specifics(around)) == [host]


def test_a_prefix_map_is_a_mapping() -> None:
    [prefix] = parse("10.0.0.0/8")
    values = PrefixMap([(prefix, 1), (prefix, 2)])
    assert dict(values) == {prefix: 2}
    assert len(PrefixMap[int]()) == 0


def test_lengths_count_a_prefix_once_and_one_version() -> None:
    events = [
        announce(1, 1, "10.0.0.0/8"),
        announce(1, 2, "10.0.0.0/8"),
        announce(1, 1, "11.0.0.0/8"),
        withdraw(1, 1, "12.0.0.0/24"),
        announce(1, 1, "2001:db8::/32"),
    ]
    assert length_distribution(events, 4) == {8: 2, 24: 1}
    assert length_distribution(events, 6) == {32: 1}
    assert not length_distribution([], 4)


# --- bogons -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("10.0.0.0/8", "private use"),
        ("10.1.2.0/24", "private use"),
        ("172.31.0.0/16", "private use"),
        ("172.32.0.0/16", None),
        ("100.127.0.0/16", "shared address space"),
        ("100.128.0.0/16", None),
        ("198.19.0.0/16", "benchmarking"),
        ("192.0.0.9/32", None),
        ("192.0.0.8/32", "IETF protocol assignments"),
        ("239.0.0.0/8", "multicast"),
        ("255.255.255.255/32", "reserved"),
        ("0.0.0.0/0", None),
        ("0.0.0.0/1", None),
        ("8.8.8.0/24", None),
        ("192.88.99.0/24", None),
        ("::/0", None),
        ("2000::/3", None),
        ("2001:db8:1::/48", "documentation"),
        ("3fff:abc::/32", "documentation"),
        ("2001:0:1::/48", None),
        ("2001:2::/48", "benchmarking"),
        ("2001:20::/28", None),
        ("2001:5::/32", "IETF protocol assignments"),
        ("2002::/16", None),
        ("2a00::/12", None),
        ("fd00:1::/32", "unique local"),
        ("64:ff9b::/96", None),
        ("64:ff9b::/48", "not global unicast"),
        ("4000::/16", "not global unicast"),
        ("5f00:1::/32", "segment routing identifiers"),
    ],
)
def test_special_prefixes(prefix: str, name: str | None) -> None:
    assert prefix_bogon(parse_prefix(prefix)) == name


OUTSIDE_PROTOCOL_ASSIGNMENTS = [
    prefix for prefix in SPECIAL_PREFIXES if prefix.version == 4 and not parse_prefix("192.0.0.0/24").covers(prefix)
]


@pytest.mark.parametrize("block", OUTSIDE_PROTOCOL_ASSIGNMENTS, ids=str)
def test_each_ipv4_block_begins_and_ends_where_the_standard_library_has_it(block: Prefix) -> None:
    """``ipaddress`` follows the same registry, in 192.0.0.0/24 only from some release on."""
    for number in (block.number - 1, block.number, block.number + (1 << (32 - block.length)) - 1):
        address = ip_address(max(number, 0))
        special = address.is_private or address.is_multicast or address in ip_network("100.64.0.0/10")
        assert bool(prefix_bogon(Prefix(4, int(address), 32))) == special


@pytest.mark.parametrize(
    ("asn", "name"),
    [
        (0, "AS 0"),
        (1, None),
        (112, None),
        (23456, "AS_TRANS"),
        (64495, None),
        (64496, "documentation"),
        (64511, "documentation"),
        (64512, "private use"),
        (65534, "private use"),
        (65535, "last 16-bit AS number"),
        (65536, "documentation"),
        (65551, "documentation"),
        (65552, "reserved"),
        (131071, "reserved"),
        (131072, None),
        (4199999999, None),
        (4200000000, "private use"),
        (4294967294, "private use"),
        (4294967295, "last 32-bit AS number"),
    ],
)
def test_special_as_numbers(asn: int, name: str | None) -> None:
    assert asn_bogon(asn) == name


def test_bogon_routes_look_at_prefix_and_path() -> None:
    routes = [
        announce(1, 1, "8.0.0.0/8", "1 3356"),
        announce(1, 1, "10.0.0.0/8", "1 3356"),
        announce(1, 1, "8.0.0.0/8", "1 {64512,3356}"),
        announce(1, 1, "8.0.0.0/8", "(64512) 1"),
    ]
    found = list(bogon_routes(routes))
    assert [(bogon.prefix, bogon.asns) for bogon in found] == [("private use", {}), (None, {64512: "private use"})]
    own = PrefixMap[str | None]([(parse_prefix("8.0.0.0/8"), "ours")])
    assert [bogon.prefix for bogon in bogon_routes(routes[:2], own)] == ["ours"]
    assert not list(bogon_routes([]))
