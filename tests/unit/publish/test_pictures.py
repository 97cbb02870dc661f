"""The card's pictures: well-formed files of their own, with every count where it belongs and text as text."""

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from seedtune.publish.pictures import Panel, histograms, sunburst, wedges
from seedtune.publish.statistics import Histogram
from seedtune.publish.verbs import Root

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '<script>alert(1)</script>" onload="x" &'


def titles(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter(f"{SVG}title")]


def test_the_twenty_most_frequent_verbs_have_their_four_most_frequent_objects() -> None:
    roots = Counter({Root(f"v{v:02}", f"n{n}"): 100 - v + n for v in range(25) for n in range(6)})
    found = wedges(roots)
    assert [wedge.verb for wedge in found] == [f"v{v:02}" for v in range(20)]
    assert [noun for noun, _ in found[0].nouns] == ["n5", "n4", "n3", "n2"]
    assert found[0].total == sum(100 + n for n in range(6))


def test_equals_stand_by_name_so_that_the_order_of_the_rows_does_not_show() -> None:
    pairs = [Root("b", "y"), Root("a", "x"), Root("b", "x")]
    assert wedges(Counter(pairs)) == wedges(Counter(pairs[::-1]))


def test_every_verb_object_and_rest_is_a_piece_with_its_count() -> None:
    roots = Counter({Root("write", "function"): 1200, Root("write", ""): 30, Root("list", "reason"): 5})
    assert titles(sunburst(wedges(roots))) == [
        "write: 1,230",
        "write function: 1,200",
        "write, other or no object: 30",
        "list: 5",
        "list reason: 5",
    ]


def test_a_single_verb_is_a_ring_and_not_an_empty_arc() -> None:
    svg = sunburst(wedges(Counter({Root("write", "function"): 3})))
    path = next(ET.fromstring(svg).iter(f"{SVG}path")).attrib["d"]
    (x1, y1), (x2, y2) = [tuple(map(float, pair.split(","))) for pair in re.findall(r"[\d.]+,[\d.]+", path)[:3:2]]
    assert " 1 1 " in path
    assert math.dist((x1, y1), (x2, y2)) < 1


def test_a_histogram_has_a_bar_for_each_bin_as_tall_as_its_count() -> None:
    svg = histograms([Panel("words", Histogram(10, [4, 0, 2]), open_ended=True)])
    bars = [float(node.attrib["height"]) for node in ET.fromstring(svg).iter(f"{SVG}rect")]
    assert bars == [bars[0], 0, bars[0] / 2]
    assert titles(svg) == ["0 to below 10: 4", "10 to below 20: 0", "20 and more: 2"]


@pytest.mark.parametrize("svg", [sunburst([]), histograms([]), histograms([Panel("x", Histogram(1, [0, 0]))])])
def test_nothing_to_draw_is_nothing(svg: str) -> None:
    assert svg == ""


@pytest.mark.parametrize(
    "svg",
    [
        sunburst(wedges(Counter({Root(EVIL, EVIL): 3, Root("a", "b"): 1}))),
        histograms([Panel(EVIL, Histogram(1, [1, 2]))]),
    ],
)
def test_a_word_is_text_never_markup_and_the_picture_loads_nothing(svg: str) -> None:
    root = ET.fromstring(svg)
    assert {node.tag.removeprefix(SVG) for node in root.iter()} <= {
        "svg",
        "style",
        "text",
        "title",
        "path",
        "rect",
        "line",
    }
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on") or "href" in name]
    assert root.attrib["aria-label"]
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
