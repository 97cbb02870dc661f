"""Comparing printed JSON lines with what is expected."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtune.evaluate.code_output import Comparison, Line, compare, partial_credit, read_output, same
from seedtune.records import CodeCase, CodeItem

LINES = [
    {"prefix": "192.0.2.0/24", "peers": [1, 2], "share": 0.25},
    {"prefix": "2001:db8::/32", "peers": [], "share": 1},
]


def compared(stdout: str, expected: list[dict[str, Any]] = LINES, **item: Any) -> Comparison:
    case = CodeCase(files=("a",), expected=tuple(expected))
    fields = {"keys": ("prefix",), "ordered": False, "tolerance": 1e-6} | item
    return compare(read_output(stdout), case, CodeItem.model_construct(cases=(case,), **fields))


def printed(*lines: object) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_the_lines_may_stand_in_any_order_unless_it_counts() -> None:
    assert compared(printed(*reversed(LINES))) == (4, 4, "", "")
    assert compared(printed(*reversed(LINES)), ordered=True).why == "the lines stand in another order"
    assert compared(printed(*LINES), ordered=True).why == ""


def test_a_missing_a_wrong_and_a_surplus_line_are_named_and_counted() -> None:
    assert compared(printed(LINES[0])) == (2, 4, 'there is no line for {"prefix": "2001:db8::/32"}', "")
    wrong = compared(printed(LINES[0] | {"share": 0.3}, LINES[1]))
    assert wrong == (3, 4, 'share of {"prefix": "192.0.2.0/24"} is 0.3, not 0.25', "")
    surplus = compared(printed(*LINES, LINES[0]))
    assert (surplus.right, surplus.total) == (4, 6)
    assert surplus.why.startswith("a line that should not be there")


def test_without_keys_lines_are_matched_by_their_place() -> None:
    assert compared(printed(*LINES), keys=(), ordered=True).why == ""
    assert compared(printed(*reversed(LINES)), keys=(), ordered=True).right == 0


def test_a_line_of_keys_alone_counts_as_one_field() -> None:
    expected = [{"prefix": "192.0.2.0/24"}, {"prefix": "198.51.100.0/24"}]
    assert compared(printed(expected[0]), expected)[:2] == (1, 2)


def test_where_nothing_is_expected_nothing_may_be_printed() -> None:
    assert compared("", []) == (0, 0, "", "")
    assert compared(printed({"prefix": "192.0.2.0/24"}), []).why.startswith("a line that should not be there")


@pytest.mark.parametrize("lapse", [{"share": "0.25"}, {"peers": ["1", 2]}, {"note": "first"}])
def test_what_is_right_in_another_form_is_a_lapse(lapse: dict[str, Any]) -> None:
    found = compared(printed(LINES[0] | lapse, LINES[1]))
    assert found.why == ""
    assert found.lapse


def test_lines_that_are_no_json_object_are_a_lapse() -> None:
    found = compared(f"reading ...\n\n{printed(*LINES)}[1]\n")
    assert (found.why, found.lapse) == ("", 'a line that is no JSON object: "reading ..."')


@pytest.mark.parametrize(
    "line", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": Infinity}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}", '"a"']
)
def test_what_is_no_plain_json_object_is_no_line(line: str) -> None:
    assert read_output(line).lines == ()


@pytest.mark.parametrize(
    ("found", "wanted", "lenient", "exact"),
    [
        (3, 3.0, True, True),
        ("64500", 64500, True, False),
        (64500, "64500", True, False),
        (" 7 ", 7, True, False),
        (True, 1, False, False),
        (1, True, False, False),
        (None, None, True, True),
        (None, 0, False, False),
        ("", None, False, False),
        ("nan", 1, False, False),
        (1e999, 1, False, False),
        (10**400, 1.5, False, False),
        (1709251200.1234567, 1709251200.1234568, True, True),
        (1709251201, 1709251200, False, False),
        ([1, 2], [2, 1], False, False),
        ([1], [1, 2], False, False),
        ({"a": [1]}, {"a": [1.0]}, True, True),
        ({"a": 1, "b": 2}, {"a": 1}, False, False),
        ("AS1", "as1", False, False),
        ("1.0", "1", False, False),
    ],
)
def test_values_are_equal_as_the_page_says(found: Any, wanted: Any, lenient: bool, exact: bool) -> None:
    assert (same(found, wanted, 1e-6), same(found, wanted, 1e-6, exact=True)) == (lenient, exact)


def test_the_tolerance_is_the_items_own() -> None:
    line = {"prefix": "192.0.2.0/24", "share": 33.33}
    assert compared(printed(line | {"share": 33.334}), [line], tolerance=0.01).why == ""
    assert compared(printed(line | {"share": 33.35}), [line], tolerance=0.01).why != ""


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.text(), VALUES, min_size=1, max_size=4), max_size=4))
def test_every_output_is_equal_to_itself(lines: list[dict[str, Any]]) -> None:
    found = compared(printed(*lines), lines, keys=(), ordered=True)
    assert (found.why, found.lapse, found.right) == ("", "", found.total)


SHOWN = [{"prefix": "a", "peers": 1}, {"prefix": "b", "peers": 2}]
HELD_OUT = [{"prefix": "a", "peers": 1}, {"prefix": "c", "peers": 3}, {"prefix": "d", "peers": 4}]


def credit(*outputs: Sequence[Line], expected: tuple[list[Any], list[Any]] = (SHOWN, HELD_OUT), **item: Any) -> float:
    cases = tuple(
        CodeCase(files=("a",), expected=tuple(lines), held_out=number == 1) for number, lines in enumerate(expected)
    )
    fields = {"keys": ("prefix",), "ordered": False, "tolerance": 1e-6} | item
    return partial_credit(outputs, CodeItem.model_construct(cases=cases, **fields))


def test_partial_credit_is_the_share_of_right_fields_on_held_out_cases() -> None:
    assert credit(SHOWN, HELD_OUT[:2]) == pytest.approx(2 / 3)
    assert credit([], HELD_OUT[:2]) == pytest.approx(2 / 3)
    assert credit(SHOWN, [*HELD_OUT[:2], {"prefix": "x"}]) == pytest.approx(2 / 4)
    assert credit(SHOWN, []) == 0


def salted(way: str, salt: int) -> list[dict[str, Any]]:
    match way:
        case "a field":
            return [line | {"note": salt} for line in SHOWN]
        case "a line":
            return [*SHOWN, {"size": salt}]
        case "a line of the right form":
            return [{"prefix": str(salt), "peers": salt}, *SHOWN]
        case "a wrong value":
            return [SHOWN[0], SHOWN[1] | {"peers": -salt}]
        case _:
            return SHOWN[salt:]


@pytest.mark.parametrize("way", ["a field", "a line", "a line of the right form", "a wrong value", "less"])
def test_the_shown_answers_earn_nothing_whatever_is_done_to_them(way: str) -> None:
    assert credit(salted(way, 0), salted(way, 1)) == 0
    assert credit(salted(way, 1), salted(way, 0)) == 0


def test_what_is_printed_whatever_the_data_earns_nothing() -> None:
    guess = [{"prefix": "c", "peers": 3}]
    assert credit(guess, guess) == 0
    assert credit([{**guess[0], "note": 1}], [{**guess[0], "note": 2}]) == 0


def test_without_keys_a_field_that_is_the_same_on_every_case_shows_nothing() -> None:
    expected = ([{"count": 5, "kind": "moas"}], [{"count": 6, "kind": "moas"}])
    assert credit([{"kind": "moas"}], [{"kind": "moas"}], expected=expected, keys=()) == 0
    assert credit([{"count": 5}], [{"count": 6}], expected=expected, keys=()) == pytest.approx(1 / 2)


def test_without_keys_a_shown_line_earns_nothing_at_another_place() -> None:
    expected = ([{"time": 1}, {"time": 2}], [{"time": 2}, {"time": 3}])
    assert credit(expected[0], [{"time": 2}], expected=expected, keys=()) == 0
    assert credit(expected[0], [{"time": 2}, {"time": 3}], expected=expected, keys=()) == 1
