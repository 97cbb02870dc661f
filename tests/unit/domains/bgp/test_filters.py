"""Filter strings, AS path expressions and the picking of elements."""

import ctypes
import itertools
import random
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mrt_writer as w
from seedtune.domains.bgp.sandboxed.pybgpstream._aspath import MAX_NESTING, AsPathPattern, AsPathSyntaxError
from seedtune.domains.bgp.sandboxed.pybgpstream._filters import (
    METHOD_TERMS,
    TERMS,
    Filter,
    FilterSyntaxError,
    parse_filter_string,
    parse_prefix,
)
from seedtune.domains.bgp.sandboxed.pybgpstream._mrt import Element, MrtFile, Record

# --- the grammar ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expected term, found end of string"),
        ("peer", "Expected argument, found end of string"),
        ("prefix exact", "Expected argument, found end of string"),
        ("peer 286 and", "Expected term, found end of string"),
        ("peer 286 or peer 13237", "'or' is not yet implemented"),
        ("peer 286 and peer 13237", "Term 'peer' used more than once"),
        ("PEER 286", "Expected a valid term, found 'PEER'"),
        ("peer 286 and\tipversion 4", "invalid peer asn 'and\tipversion'"),
        ("peer 4294967296", "invalid peer asn '4294967296'"),
        ("peer -1", "invalid peer asn '-1'"),
        ("peer " + "1" * 5000, f"invalid peer asn '{'1' * 5000}'"),
        ("peer ٣", "invalid peer asn '٣'"),
        ("origin " + "1" * 5000, f"invalid origin asn '{'1' * 5000}'"),
        (f"community {'1' * 5000}:1", f"invalid community '{'1' * 5000}:1'"),
        ("prefix 10.0.0.0/" + "1" * 5000, f"invalid prefix '10.0.0.0/{'1' * 5000}'"),
        ("origin AS9829", "invalid origin asn 'AS9829'"),
        ("ipversion 5", "Unknown IP version '5'"),
        ("type update", 'record-type filter must be one of "ribs" or "updates"'),
        ("elemtype A", "unknown element type 'A'"),
        ("prefix 193.0.0.0", "invalid prefix '193.0.0.0'"),
        ("prefix 193.0.0.0/33", "invalid prefix '193.0.0.0/33'"),
        ("prefix 193.0.0/16", "invalid prefix '193.0.0/16'"),
        ("prefix ::1/129", "invalid prefix '::1/129'"),
        ("prefix more exact 193.0.0.0/8", "invalid prefix 'exact'"),
        ("community 286", "invalid community '286'"),
        ("community 70000:1", "invalid community '70000:1'"),
        ("community 1:2:3", "invalid community '1:2:3'"),
        ('path "_1_', "Missing closing quote: '\"_1_'"),
        ('path "_1_"x', 'Found garbage after quoted "_1_"'),
        ("path _1_ _2_", "term 'aspath' does not allow multiple values"),
        ('path "("', "regex error: Unmatched ( or \\("),
        ('path "(1)\\2"', "bad backreference in regex"),
        ("extcommunity 1:2", "Implementation of filter type Extended Community is still to come!"),
    ],
)
def test_what_is_refused_and_why(text: str, reason: str) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse_filter_string(text)
    assert caught.value.reason == reason


def test_every_term_is_read_into_its_field() -> None:
    found = parse_filter_string(
        "proj ris routeviews and coll rrc00 and type ribs and elemtype withdrawals peerstates and peer 286 and "
        "pref exact 10.1.2.3/8 more 2001:db8::/32 and ipv 4 6 and comm 286:* and path _1_ and aspath !_2_ and orig 7"
    )
    assert found.projects == {"ris", "routeviews"}
    assert found.collectors == {"rrc00"}
    assert found.record_types == {"rib"}
    assert found.element_types == {"W", "S"}
    assert found.peers == {286}
    assert found.prefixes == {parse_prefix("10.0.0.0/8"): "exact", parse_prefix("2001:db8::/32"): "more"}
    assert found.ip_version == 6
    assert found.communities == {"286:*"}
    assert [(path.text, path.negated) for path in found.paths] == [("_1_", False), ("!_2_", True)]
    assert found.origins == {7}


def test_quotes_make_keywords_values() -> None:
    assert parse_filter_string('project "and" and collector "or"').projects == {"and"}


def test_a_second_filter_adds_alternatives_and_the_first_specificity_of_a_prefix_stays() -> None:
    first = parse_filter_string("peer 1 and prefix exact 10.0.0.0/8")
    first.merge(parse_filter_string("peer 2 and prefix more 10.0.0.0/8 11.0.0.0/8 and ipversion 4"))
    assert first.peers == {1, 2}
    assert first.prefixes == {parse_prefix("10.0.0.0/8"): "exact", parse_prefix("11.0.0.0/8"): "more"}
    assert first.ip_version == 4


def test_a_prefix_that_is_none_lets_nothing_pass_from_then_on(tmp_path: Path) -> None:
    """The real library's ``add_filter`` logs it and goes on; so no element may pass by accident."""
    wanted = Filter()
    with pytest.raises(FilterSyntaxError):
        wanted.add("prefix", "193.0.0.0", "more")
    assert picked(wanted, records_of_all_kinds(tmp_path)) == []


def test_the_methods_types_are_terms() -> None:
    assert {term for term, _ in METHOD_TERMS.values()} <= set(TERMS.values())


@given(st.text(max_size=60) | st.lists(st.sampled_from([*TERMS, "and", "more", "1", '"', " ", "\n"])).map(" ".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        parse_filter_string(text).selector()
    except FilterSyntaxError:
        return


# --- AS path expressions ----------------------------------------------------------------------------------------------

PATHS = [
    *("", "1", "1 2 3", "11 12 12 9", "2 {1,2}", "{9}", "1 {1 2}", "92 1 2 1 2", "d", "11111", "2 2", "1-2", "\\"),
    *("3356 1299 9829", "3356 19829 3", "98290"),
]

PIECES = [
    *("_", "_", "1", "2", "12", "9", " ", "{", "}", ",", ".", "^", "$", "(", ")", "(1)", "(12|3)", "|", "*", "+", "?"),
    *("[12]", "[^1]", "[[:digit:]]", "[0-9]", "[]1]", "[1-]", "[--3]", "\\w", "\\b", "\\B", "\\<", "\\>", "\\d", "\\1"),
    *("\\.", "\\", "\\W", "\\s", "\\`", "\\'", "-"),
]

BROKEN_BRACKETS = [
    "[",
    "[^",
    "[a-z-9]",
    "[2-1]",
    "[[:foo:]]",
    "[[.1.]]",
    "[[=1=]]",
    "[[.space.]]",
    "[\\d]",
    "[1-[:digit:]]",
]


@pytest.mark.parametrize(
    ("expression", "path", "matches"),
    [
        ("9829", "3356 19829 3", True),
        ("_9829_", "3356 19829 3", False),
        ("_9829_", "9829", True),
        ("_18403_131127_", "1 18403 131127", True),
        ("_7_8_", "1 {7,8}", True),
        ("_7$", "1 {7}", False),
        ("_7_$", "1 {7}", True),
        ("!_7_", "1 7 2", False),
        ("!", "1 7 2", False),
        ("", "", True),
        ("[0-9]{5}", "12345", False),
        ("_([0-9]+)_\\1_", "1 2 2 3", True),
        ("_([0-9]+)_\\1_", "1 2 22 3", False),
        ("\\d+", "1 2", False),
        ("\\_", "1 2", False),
        ("a+?b", "b", True),
    ],
)
def test_what_an_expression_means(expression: str, path: str, matches: bool) -> None:
    assert AsPathPattern(expression).matches(path) is matches


@pytest.mark.parametrize(
    "expression", ["(" * (MAX_NESTING + 1) + ")" * (MAX_NESTING + 1), "(1", "[", "\\", "*", "1|*", "^*"]
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(AsPathSyntaxError):
        AsPathPattern(expression)


@pytest.mark.parametrize(
    ("expression", "asn"),
    [
        ("_3356_", 3356),
        ("^8218_.*_9829$", 9829),
        ("3356", None),
        ("_3356", None),
        ("_(3356)_", None),
        ("_3356*_", None),
        ("_1_|_2_", None),
        ("_12[34]_", None),
        ("!_3356_", 3356),
        (f"_{'1' * 5000}_", None),
    ],
)
def test_an_as_number_is_needed_only_where_it_stands_whole_in_every_match(expression: str, asn: int | None) -> None:
    assert AsPathPattern(expression).asn == asn


def posix(expression: str) -> Callable[[str], bool] | None:
    """The C library's own reading of an extended regular expression; None if it refuses it."""
    library = ctypes.CDLL(None)
    compiled = ctypes.create_string_buffer(256)
    if library.regcomp(compiled, expression.encode(), 1):
        return None
    return lambda path: library.regexec(compiled, path.encode(), 0, None, 0) == 0


def spelt_out(expression: str) -> str | None:
    """Cisco's signs in POSIX: groups for ``_`` shift the numbers of the writer's; None for a reference to no group."""
    result, groups, own = "", 0, [0]
    escaped = False
    for character in expression:
        if escaped:
            escaped = False
            if character in "123456789":
                if int(character) >= len(own) or own[int(character)] > 9:
                    return None
                character = str(own[int(character)])
            result += "\\" + character
        elif character == "\\":
            escaped = True
        elif character == "_":
            groups += 1
            result += "(^|$|[ {},_])"
        elif character in "{}":
            result += "\\" + character
        else:
            if character == "(":
                groups += 1
                own.append(groups)
            result += character
    return result + "\\" * escaped


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs the regcomp of glibc")
@pytest.mark.parametrize("seed", range(4))
def test_expressions_are_read_as_the_c_library_reads_them(seed: int) -> None:
    rng = random.Random(seed)
    compared = 0
    for _ in range(2500):
        bracket = rng.random() < 0.2
        pieces = [*(piece for piece in PIECES if piece not in "_{}()\\" or not bracket), *BROKEN_BRACKETS * bracket]
        expression = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 7)))
        written = expression if bracket else spelt_out(expression)
        if written is None:
            continue
        theirs = posix(written)
        try:
            ours = AsPathPattern(expression)
        except AsPathSyntaxError:
            assert theirs is None, expression
            continue
        assert theirs is not None, expression
        compared += 1
        for path in PATHS:
            assert ours.matches(path) == theirs(path), (expression, path)
    assert compared > 500


# --- picking ----------------------------------------------------------------------------------------------------------

PEERS = [w.Peer(64496, "192.0.2.1"), w.Peer(70000, "2001:db8::1"), w.Peer(3356, "192.0.2.3")]
ROUTES = [
    [w.origin(), w.as_path(64496, 3356, 7), w.next_hop("192.0.2.1"), w.communities("286:888", "65535:666")],
    [w.origin(), w.as_path(70000, {7, 8}), w.next_hop("192.0.2.1")],
    [w.origin(), w.as_path(70000, 70001, 7), w.next_hop("192.0.2.1"), w.communities("1:2")],
]
PREFIXES = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "11.0.0.0/8", "0.0.0.0/0"]
PREFIXES_6 = ["2001:db8::/32", "2001:db8:1::/48", "::/0"]


def records_of_all_kinds(folder: Path) -> list[Record]:
    records: list[bytes] = []
    for peer, route in itertools.product(PEERS, ROUTES):
        for prefix in PREFIXES:
            records.append(w.update(1, peer, announce=[prefix, "198.51.100.0/24"], attributes=route))
            records.append(w.update(1, peer, announce=[prefix], withdraw=["10.9.0.0/16"], attributes=route))
        both = [*route, w.mp_reach(PREFIXES_6[:2], "2001:db8::9"), w.mp_unreach(PREFIXES_6[2:])]
        records += [w.update(1, peer, attributes=both), w.withdrawal(1, "10.1.2.0/24", peer=peer)]
        mixed = [*route, w.mp_reach(PREFIXES_6, "2001:db8::9")]
        records.append(w.update(1, peer, announce=["10.1.0.0/16"], attributes=mixed))
        records += [w.state_change(1, w.ESTABLISHED, w.IDLE, peer), w.keepalive(1, peer)]
    records.append(w.peer_index(1, PEERS))
    for prefix in [*PREFIXES, *PREFIXES_6]:
        records.append(w.rib(1, prefix, [w.RibEntry(number, route) for number, route in enumerate(ROUTES)]))
    return list(MrtFile(w.write_mrt(folder / "all.mrt", records)))


def picked(wanted: Filter, records: list[Record]) -> list[Element]:
    selector = wanted.selector()
    assert selector is not None
    return [element for record in records for element in selector(record)]


def network(element: Element) -> IPv4Network | IPv6Network:
    return ip_network(element.prefix)


def is_related(element: Element, text: str, specificity: str) -> bool:
    """What a prefix term means, in the words of ``ipaddress``."""
    if element.type == "S":
        return False
    own, given_ = network(element), ip_network(text)
    if own.version != given_.version:
        return False
    inside = own.subnet_of(given_)  # type: ignore[arg-type]
    around = own.supernet_of(given_)  # type: ignore[arg-type]
    return {"exact": own == given_, "more": inside, "less": around, "any": inside or around}[specificity]


def hops(element: Element) -> list[str]:
    return element.as_path.split()


ROUTE_TYPES = ("R", "A")
TESTS: list[tuple[str, Callable[[Element], bool]]] = [
    ("peer 3356 70000", lambda e: e.peer_asn in (3356, 70000)),
    ("elemtype withdrawals peerstates", lambda e: e.type in "WS"),
    ("elemtype ribs", lambda e: e.type == "R"),
    ("ipversion 6", lambda e: e.version == 6),
    ("ipversion 4", lambda e: e.version == 4),
    ("path _3356_", lambda e: e.type in ROUTE_TYPES and "3356" in hops(e)),
    ("path _70001_", lambda e: e.type in ROUTE_TYPES and "70001" in hops(e)),
    ("path !_3356_", lambda e: e.type in ROUTE_TYPES and "3356" not in hops(e)),
    ("path _8_", lambda e: e.type in ROUTE_TYPES and "{7,8}" in hops(e)),
    ("origin 7 8", lambda e: e.type in ROUTE_TYPES and hops(e)[-1] == "7"),
    ("community 286:*", lambda e: "286:888" in e.communities),
    ("community *:2 286:888", lambda e: bool({"1:2", "286:888"} & set(e.communities))),
    ("community *:*", lambda e: e.communities != ()),
]
PREFIX_TESTS = [
    (f"prefix {specificity} {text}", lambda e, text=text, specificity=specificity: is_related(e, text, specificity))
    for specificity in ("exact", "more", "less", "any")
    for text in ("10.1.0.0/16", "10.1.2.0/25", "0.0.0.0/0", "::/0", "2001:db8:1::/48")
]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    return records_of_all_kinds(tmp_path_factory.mktemp("records"))


@pytest.mark.parametrize(("text", "test"), [pytest.param(*test, id=test[0]) for test in [*TESTS, *PREFIX_TESTS]])
def test_a_term_picks_what_it_says_and_nothing_else(
    text: str, test: Callable[[Element], bool], records: list[Record]
) -> None:
    wanted = [element for record in records for element in record.elements() if test(element)]
    shown = [(e.type, e.prefix, e.peer_asn, e.as_path) for e in picked(parse_filter_string(text), records)]
    assert shown == [(e.type, e.prefix, e.peer_asn, e.as_path) for e in wanted]


@given(st.lists(st.sampled_from([*TESTS, *PREFIX_TESTS]), min_size=2, max_size=4, unique_by=lambda t: t[0].split()[0]))
def test_terms_together_pick_what_passes_each_of_them(
    records: list[Record], tests: list[tuple[str, Callable[[Element], bool]]]
) -> None:
    """Records are turned down as a whole before their elements exist; that must never lose one."""
    wanted = parse_filter_string(" and ".join(text for text, _ in tests))
    right = [e for record in records for e in record.elements() if all(test(e) for _, test in tests)]
    assert [(e.type, e.prefix, e.peer_asn) for e in picked(wanted, records)] == [
        (e.type, e.prefix, e.peer_asn) for e in right
    ]


def test_an_as_number_is_found_in_paths_of_every_width(tmp_path: Path) -> None:
    """The look at the bytes of a path must not miss old speakers, nor AS numbers that only AS4_PATH has."""
    old = w.Peer(64496, "192.0.2.1")
    paths = [
        [w.as_path(64496, 3356, width=2)],
        [w.as_path(64496, 23456, width=2), w.as4_path(70001)],
        [w.as_path(64496, 23456, width=2), w.as4_path(3356)],
    ]
    data = [
        w.update(1, old, announce=["10.0.0.0/8"], attributes=[w.origin(), w.next_hop("192.0.2.1"), *path], subtype=1)
        for path in paths
    ]
    found = list(MrtFile(w.write_mrt(tmp_path / "old.mrt", data)))
    assert [e.as_path for e in picked(parse_filter_string("path _70001_"), found)] == ["64496 70001"]
    assert [e.as_path for e in picked(parse_filter_string("origin 3356"), found)] == ["64496 3356", "64496 3356"]


@pytest.mark.parametrize(
    ("text", "passing"),
    [("path !_64999_", [1]), ("path _64999_", [0, 2]), ("origin 64999", [0]), ("path 64999$", [0]), ("origin 1", [])],
)
def test_paths_that_nobody_has_read_yet_are_told_by_their_bytes(text: str, passing: list[int], tmp_path: Path) -> None:
    """Whether an AS number is among the bytes decides before there is a text; it must not decide for a negation."""
    fresh = w.med(sum(text.encode()))  # attributes that were seen before remember their text
    paths = [[64900, 64999], [64900, 64901], [64900, {64999}]]
    data = [w.update(1, announce=["10.0.0.0/8"], attributes=[w.origin(), w.as_path(*path), fresh]) for path in paths]
    found = picked(parse_filter_string(text), list(MrtFile(w.write_mrt(tmp_path / "fresh.mrt", data))))
    texts = ["64900 64999", "64900 64901", "64900 {64999}"]
    assert [element.as_path for element in found] == [texts[number] for number in passing]


def test_without_an_element_filter_nothing_is_looked_at() -> None:
    assert parse_filter_string("project ris and collector rrc00 and type updates").selector() is None
