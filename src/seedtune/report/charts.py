"""Small SVG charts: plain text, coloured by the page's style sheet through classes."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640.0, 240.0, 46.0, 28.0, 12.0, 12.0


class Point(NamedTuple):
    """A point of a line, in data units."""

    x: float
    y: float


class Row(NamedTuple):
    """A labelled value with its interval, all 0..1."""

    label: str
    kind: str
    value: float
    low: float
    high: float


def lines(series: Mapping[str, Sequence[Point]], x_label: str) -> Markup:
    """A line chart. Series with few points are drawn with a dot at each.

    Args:
        series: CSS class (also the legend's text, ``_`` read as a space): points, sorted by x.
        x_label: Unit of the x axis.
    """
    points = [point for group in series.values() for point in group if math.isfinite(point.y)]
    if not points:
        return Markup("")
    x_max = max(1.0, max(point.x for point in points))
    ticks = _ticks(min(p.y for p in points), max(p.y for p in points))
    low, high = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return round(_LEFT + value / x_max * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [_opening(_HEIGHT, f"Over {x_label}: {', '.join(name.replace('_', ' ') for name in series)}")]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>')
        parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for value in (0.0, x_max / 2, x_max):
        anchor = "start" if value == 0 else "end" if value == x_max else "middle"
        # Not rounded: the middle of 25 steps is 12.5. Ten digits keep a large number out of scientific notation.
        label = f"{value:.10g} {x_label}" if value == x_max else f"{value:.10g}"
        parts.append(
            f'<text class="axis" x="{x(value)}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    for number, (name, group) in enumerate(series.items()):
        finite = [point for point in group if math.isfinite(point.y)]
        path = " ".join(f"{x(p.x)},{y(p.y)}" for p in finite)
        parts.append(f'<polyline class="line {escape(name)}" points="{path}"/>')
        if len(finite) <= 20:
            parts += [f'<circle class="dot {escape(name)}" cx="{x(p.x)}" cy="{y(p.y)}" r="3"/>' for p in finite]
        left = _WIDTH - _RIGHT - 110 * (len(series) - number)
        parts.append(f'<circle class="dot {escape(name)}" cx="{left}" cy="{_TOP + 2}" r="4"/>')
        parts.append(f'<text class="axis" x="{left + 8}" y="{_TOP + 6}">{escape(name.replace("_", " "))}</text>')
    return Markup("".join([*parts, "</svg>"]))


def intervals(rows: Sequence[Row], chance: float) -> Markup:
    """Accuracies with their intervals, and a dashed line at chance; the axis goes from 0 to 100%."""
    left, step = 70.0, 26.0
    height = step * len(rows) + 24

    def x(value: float) -> float:
        return round(left + value * (_WIDTH - left - _RIGHT), 1)

    parts = [_opening(height, f"Accuracy with intervals: {', '.join([*(row.label for row in rows), 'chance'])}")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line class="grid" x1="{x(tick)}" x2="{x(tick)}" y1="4" y2="{height - 18}"/>')
        anchor = "end" if tick == 1 else "middle"
        parts.append(f'<text class="axis" x="{x(tick)}" y="{height - 4}" text-anchor="{anchor}">{tick:.0%}</text>')
    parts.append(f'<line class="chance" x1="{x(chance)}" x2="{x(chance)}" y1="4" y2="{height - 18}"/>')
    for number, row in enumerate(rows):
        y = step * number + 20
        parts.append(f'<text class="axis" x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(row.label)}</text>')
        parts.append(f'<line class="line {escape(row.kind)}" x1="{x(row.low)}" x2="{x(row.high)}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="dot {escape(row.kind)}" cx="{x(row.value)}" cy="{y}" r="5"/>')
    return Markup("".join([*parts, "</svg>"]))


def _opening(height: float, label: str) -> str:
    """The picture's first tag; ``label`` is for those who cannot see it."""
    return f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">'


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose a range."""
    span = max(high - low, abs(high) * 0.01, 1e-6)
    magnitude = 10 ** math.floor(math.log10(span / 4))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if span / (magnitude * factor) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]
