"""The charts of the report: well-formed SVG, every mark where its number says, labels as text."""

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from seedtune.report import charts
from seedtune.report.charts import Point, Row

BORDERS = settings(max_examples=100, deadline=None, database=None)
LOSS = st.floats(1e-6, 1e6)
STEPS = st.integers(0, 100_000)
LINE = st.lists(st.builds(Point, STEPS, LOSS), max_size=30).map(sorted)
EVIL = '<script>alert(1)</script>" onload="x" & {{ 7*7 }}'


def parse(svg: Markup) -> ET.Element:
    root = ET.fromstring(svg)
    assert root.tag == "svg"
    return root


def marks(svg: Markup, tag: str, kind: str) -> list[ET.Element]:
    return [node for node in parse(svg).iter(tag) if node.get("class") == kind]


def texts(svg: Markup) -> list[str]:
    return [node.text or "" for node in parse(svg).iter("text")]


def number(node: ET.Element, name: str) -> float:
    return float(node.attrib[name])


def coordinates(svg: Markup) -> list[tuple[float, float]]:
    """Every point that is drawn."""
    found: list[tuple[float, float]] = []
    for node in parse(svg).iter():
        for x, y in (("x1", "y1"), ("x2", "y2"), ("cx", "cy"), ("x", "y")):
            if x in node.attrib:
                found.append((number(node, x), number(node, y)))
        for pair in node.get("points", "").split():
            x_text, y_text = pair.split(",")
            found.append((float(x_text), float(y_text)))
    return found


# Lines


@given(series=st.dictionaries(st.sampled_from(["training_loss", "held-out_loss", "x"]), LINE, max_size=3))
@BORDERS
def test_lines_are_well_formed_and_stay_within_the_picture(series: dict[str, list[Point]]) -> None:
    svg = charts.lines(series, "steps")
    if not any(series.values()):
        assert svg == ""
        return
    _, _, width, height = map(float, parse(svg).attrib["viewBox"].split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in coordinates(svg))


@given(points=st.lists(st.builds(Point, STEPS, LOSS), min_size=2, max_size=20, unique_by=lambda p: p.x).map(sorted))
@BORDERS
def test_a_line_goes_right_with_the_steps_and_up_with_the_loss(points: list[Point]) -> None:
    [line] = marks(charts.lines({"a": points}, "steps"), "polyline", "line a")
    drawn = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(drawn) == len(points)
    for (old, new), (before, after) in zip(pairwise(points), pairwise(drawn), strict=True):
        assert before[0] <= after[0]
        assert (new.y - old.y) * (after[1] - before[1]) <= 0


@pytest.mark.parametrize("y", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_is_left_out(y: float) -> None:
    svg = charts.lines({"a": [Point(0, 1.0), Point(1, y), Point(2, 2.0)]}, "steps")
    [line] = marks(svg, "polyline", "line a")
    assert len(line.attrib["points"].split()) == 2
    assert "nan" not in svg
    assert "inf" not in svg


@pytest.mark.parametrize("series", [{}, {"a": []}, {"a": [Point(0, math.nan)], "b": []}])
def test_nothing_to_draw_is_nothing(series: dict[str, list[Point]]) -> None:
    assert charts.lines(series, "steps") == ""


@pytest.mark.parametrize("points", [[Point(0, 0.0)], [Point(7, 2.5)], [Point(0, 1.0), Point(9, 1.0)]])
def test_one_point_and_a_flat_line_can_be_drawn(points: list[Point]) -> None:
    svg = charts.lines({"a": points}, "steps")
    assert len(marks(svg, "circle", "dot a")) == len(points) + 1  # and one in the legend


def test_many_points_are_a_line_without_dots() -> None:
    svg = charts.lines({"a": [Point(n, n) for n in range(50)]}, "steps")
    assert len(marks(svg, "circle", "dot a")) == 1


def test_each_series_stands_in_the_legend_in_words() -> None:
    svg = charts.lines({"training_loss": [Point(0, 1)], "held-out_loss": [Point(0, 2)]}, "steps")
    assert {"training loss", "held-out loss"} <= set(texts(svg))


def test_the_last_label_names_the_unit() -> None:
    assert "200 steps" in texts(charts.lines({"a": [Point(0, 1), Point(200, 2)]}, "steps"))


@pytest.mark.parametrize("x_max", [2, 3, 25, 200])
def test_each_label_below_stands_at_its_value(x_max: int) -> None:
    svg = charts.lines({"a": [Point(0, 1), Point(x_max, 2)]}, "steps")
    first, middle, last = [node for node in parse(svg).iter("text") if node.attrib["y"] == "232.0"]
    value = float(middle.text or "nan") / x_max
    place = (number(middle, "x") - number(first, "x")) / (number(last, "x") - number(first, "x"))
    assert value == pytest.approx(place, abs=1e-6)


def test_a_name_is_text_never_markup() -> None:
    svg = charts.lines({EVIL: [Point(0, 1)]}, EVIL)
    assert {node.tag for node in parse(svg).iter()} <= {"svg", "line", "text", "polyline", "circle"}
    assert not [name for node in parse(svg).iter() for name in node.attrib if name.startswith("on")]
    assert EVIL in texts(svg)


# Curves


def test_curves_are_a_file_of_their_own_with_the_best_in_front_and_all_in_the_legend() -> None:
    series = {f"learning_rate={n}": [Point(4, n), Point(8, n + 1)] for n in range(12)}
    root = parse(Markup(charts.curves(series, "steps").replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)))
    lines = list(root.iter("polyline"))
    assert [line[0].text for line in lines][-1] == "learning_rate=0"
    widths = [number(line, "stroke-width") for line in lines]
    assert widths[-1] > max(widths[:-1])
    assert len({line.attrib["stroke"] for line in lines}) == 12
    legend = [node for node in root.iter("text") if node.text in series]
    assert len({node.attrib["y"] for node in legend}) == 12
    assert all(number(node, "y") < number(root, "height") for node in legend)


def test_a_curve_without_a_number_is_left_out_and_none_is_nothing() -> None:
    svg = charts.curves({"a": [Point(1, math.nan)], "b": [Point(1, 2.0)]}, "steps")
    assert ">b<" in svg
    assert ">a<" not in svg
    assert charts.curves({"a": [Point(1, math.inf)]}, "steps") == ""


def test_the_name_of_a_curve_is_text_never_markup() -> None:
    svg = charts.curves({EVIL: [Point(0, 1)]}, EVIL)
    assert "<script" not in svg
    assert not [name for node in ET.fromstring(svg).iter() for name in node.attrib if name.startswith("on")]


# Ticks


@given(low=LOSS, high=LOSS)
@BORDERS
def test_ticks_enclose_the_values_evenly_with_a_handful_of_lines(low: float, high: float) -> None:
    low, high = sorted((low, high))
    ticks = charts._ticks(low, high)
    steps = [after - before for before, after in pairwise(ticks)]
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 7
    assert min(steps) == pytest.approx(max(steps), rel=1e-3)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (1.2, 3.4, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]), (0, 0, [0, 2e-7])],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert charts._ticks(low, high)[: len(expected)] == pytest.approx(expected)


# Intervals


def test_an_interval_reaches_from_low_to_high_with_its_value_between() -> None:
    svg = charts.intervals([Row("base", "base", 0.5, 0.25, 1.0)], chance=0.25)
    [bar], [dot] = marks(svg, "line", "line base"), marks(svg, "circle", "dot base")
    ticks = {text: number(node, "x") for node in parse(svg).iter("text") if "%" in (text := node.text or "")}
    assert (number(bar, "x1"), number(dot, "cx"), number(bar, "x2")) == (ticks["25%"], ticks["50%"], ticks["100%"])


def test_chance_is_a_line_at_its_value() -> None:
    svg = charts.intervals([], chance=0.75)
    [line] = marks(svg, "line", "chance")
    [tick] = [node for node in parse(svg).iter("text") if node.text == "75%"]
    assert number(line, "x1") == number(line, "x2") == number(tick, "x")


@given(rows=st.lists(st.tuples(*[st.floats(0, 1)] * 3).map(sorted), max_size=5), chance=st.floats(0, 1))
@BORDERS
def test_intervals_are_well_formed_and_stay_within_the_picture(rows: list[list[float]], chance: float) -> None:
    svg = charts.intervals([Row("base", "base", value, low, high) for low, value, high in rows], chance)
    _, _, width, height = map(float, parse(svg).attrib["viewBox"].split())
    assert all(0 <= x <= width and 0 <= y <= height for x, y in coordinates(svg))


def test_rows_do_not_lie_on_each_other() -> None:
    svg = charts.intervals([Row(kind, kind, 0.5, 0.4, 0.6) for kind in ("base", "tuned")], 0.5)
    heights = [number(*mark, "cy") for kind in ("base", "tuned") if (mark := marks(svg, "circle", f"dot {kind}"))]
    assert len(set(heights)) == 2


def test_a_label_is_text_never_markup() -> None:
    svg = charts.intervals([Row(EVIL, EVIL, 0.5, 0.4, 0.6)], 0.5)
    assert {node.tag for node in parse(svg).iter()} <= {"svg", "line", "text", "circle"}
    assert EVIL in texts(svg)


@pytest.mark.parametrize("svg", [charts.lines({"a": [Point(0, 1)]}, "steps"), charts.intervals([], 0.5)])
def test_a_picture_has_a_name_for_those_who_cannot_see_it(svg: Markup) -> None:
    root = parse(svg)
    assert root.get("aria-label") or root.find("title") is not None
