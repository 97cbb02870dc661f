"""Small SVG charts: plain text, coloured by the page's style sheet through classes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 640.0, 240.0, 46.0, 28.0, 12.0, 12.0
_LEGEND_LINE = 16.0
_STYLE = (
    "<style>text{font:11px system-ui,sans-serif;fill:#5b6776}.grid{stroke:#dfe3e8}.line{fill:none}"
    "@media(prefers-color-scheme:dark){text{fill:#9aa6b5}.grid{stroke:#303945}}</style>"
)


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
    frame = _Frame.around(series.values())
    if frame is None:
        return Markup("")
    parts = [_opening(_HEIGHT, f"Over {x_label}: {', '.join(name.replace('_', ' ') for name in series)}")]
    parts += frame.axes(x_label)
    for number, (name, group) in enumerate(series.items()):
        finite = _finite(group)
        parts.append(f'<polyline class="line {escape(name)}" points="{frame.path(finite)}"/>')
        if len(finite) <= 20:
            parts += [
                f'<circle class="dot {escape(name)}" cx="{frame.x(p.x)}" cy="{frame.y(p.y)}" r="3"/>' for p in finite
            ]
        left = _WIDTH - _RIGHT - 110 * (len(series) - number)
        parts.append(f'<circle class="dot {escape(name)}" cx="{left}" cy="{_TOP + 2}" r="4"/>')
        parts.append(f'<text class="axis" x="{left + 8}" y="{_TOP + 6}">{escape(name.replace("_", " "))}</text>')
    return Markup("".join([*parts, "</svg>"]))


def curves(series: Mapping[str, Sequence[Point]], x_label: str) -> Markup:
    """A line chart of any number of series, as a file that needs nothing beside it.

    The first series, the best one, is drawn thick and above the others; each has a colour of its own.

    Args:
        series: The legend's text: points, sorted by x; one without a finite point is left out.
        x_label: Unit of the x axis.

    Returns:
        The picture; the empty string where there is nothing to draw.
    """
    drawn = {name: finite for name, group in series.items() if (finite := _finite(group))}
    frame = _Frame.around(drawn.values())
    if frame is None:
        return Markup("")
    height = _HEIGHT + _LEGEND_LINE * len(drawn) + 8
    parts = [_opening(height, f"Over {x_label}: {', '.join(drawn)}", style=_STYLE), *frame.axes(x_label)]
    # From the back to the front.
    for number, (name, points) in reversed(list(enumerate(drawn.items()))):
        colour = f"hsl({round(number * 360 / len(drawn))},60%,48%)"
        width, y = (3.5 if number == 0 else 1.5), _HEIGHT + _LEGEND_LINE * (number + 0.5)
        parts.append(
            f'<polyline class="line" points="{frame.path(points)}" stroke="{colour}" stroke-width="{width}">'
            f"<title>{escape(name)}</title></polyline>"
        )
        if len(points) <= 20:
            parts += [
                f'<circle cx="{frame.x(p.x)}" cy="{frame.y(p.y)}" r="{width / 2 + 1.5}" fill="{colour}">'
                f"<title>{escape(name)}: {p.y:.4g} at {p.x:g}</title></circle>"
                for p in points
            ]
        line = f'x1="{_LEFT}" x2="{_LEFT + 22}" y1="{y}" y2="{y}"'
        parts.append(f'<line {line} stroke="{colour}" stroke-width="{width}"/>')
        parts.append(f'<text x="{_LEFT + 30}" y="{y + 4}">{escape(name)}</text>')
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


def _opening(height: float, label: str, style: str = "") -> str:
    """The picture's first tag; ``label`` is for those who cannot see it. One with a style is a file of its own."""
    alone = f'xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" ' if style else ""
    return f'<svg {alone}viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(label)}">{style}'


def _finite(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if math.isfinite(point.y)]


class _Frame(NamedTuple):
    """Where data lies in a line chart."""

    x_max: float
    ticks: list[float]

    @classmethod
    def around(cls, series: Iterable[Sequence[Point]]) -> "_Frame | None":
        """A frame that all finite points fit into; None where there are none."""
        points = [point for group in series for point in _finite(group)]
        if not points:
            return None
        return cls(max(1.0, max(p.x for p in points)), _ticks(min(p.y for p in points), max(p.y for p in points)))

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.x_max * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return round(_TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    def path(self, points: Sequence[Point]) -> str:
        return " ".join(f"{self.x(p.x)},{self.y(p.y)}" for p in points)

    def axes(self, x_label: str) -> list[str]:
        parts: list[str] = []
        for tick in self.ticks:
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text class="axis" x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
        for value in (0.0, self.x_max / 2, self.x_max):
            anchor = "start" if value == 0 else "end" if value == self.x_max else "middle"
            # Not rounded: the middle of 25 steps is 12.5. Ten digits keep a large number out of scientific notation.
            label = f"{value:.10g} {x_label}" if value == self.x_max else f"{value:.10g}"
            parts.append(
                f'<text class="axis" x="{self.x(value)}" y="{_HEIGHT - 8}" text-anchor="{anchor}">'
                f"{escape(label)}</text>"
            )
        return parts


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose a range."""
    span = max(high - low, abs(high) * 0.01, 1e-6)
    magnitude = 10 ** math.floor(math.log10(span / 4))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if span / (magnitude * factor) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]
