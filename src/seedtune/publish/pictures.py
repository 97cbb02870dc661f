"""The card's pictures: SVG files that need nothing beside them, and follow the reader's light or dark scheme."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from seedtune.publish.statistics import Histogram
from seedtune.publish.verbs import Root

TOP_VERBS, TOP_NOUNS = 20, 4
_STYLE = (
    "<style>text{font:11px system-ui,sans-serif;fill:#3b4452}.soft{fill:#6a7482}.grid{stroke:#d5dae0}"
    ".ring{stroke:#fbfbf9;stroke-width:1}"
    "@media(prefers-color-scheme:dark){text{fill:#dde2e9}.soft{fill:#98a2b0}.grid{stroke:#39434f}"
    ".ring{stroke:#14181e}}.on{fill:#1c2430!important}</style>"
)
_BAR = "#0b7a7a"


class Panel(NamedTuple):
    """One histogram of a picture."""

    title: str
    data: Histogram
    open_ended: bool = False
    """The last bin also holds what lies above it."""


def histograms(panels: Sequence[Panel]) -> Markup:
    """Histograms one above the other; the empty string where there is nothing to draw."""
    drawn = [panel for panel in panels if sum(panel.data.counts)]
    if not drawn:
        return Markup("")
    step, width = 150, 640
    parts = [_opening(width, step * len(drawn), ", ".join(panel.title for panel in drawn))]
    for number, panel in enumerate(drawn):
        parts += _histogram(panel, width, top=step * number)
    return Markup("".join([*parts, "</svg>"]))


def _histogram(panel: Panel, width: int, top: int) -> list[str]:
    left, right, head, height = 54, 12, 24, 96
    counts, base = panel.data.counts, top + head + height
    room, most = (width - left - right) / len(counts), max(counts)
    parts = [f'<text x="{left}" y="{top + 14}">{escape(panel.title)}</text>']
    parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{base}" y2="{base}"/>')
    parts.append(f'<text class="soft" x="{left - 6}" y="{top + head + 9}" text-anchor="end">{most:,}</text>')
    for index, count in enumerate(counts):
        tall = count / most * height
        start, end = index * panel.data.width, (index + 1) * panel.data.width
        last = panel.open_ended and index == len(counts) - 1
        label = f"{start:g} and more: {count:,}" if last else f"{start:g} to below {end:g}: {count:,}"
        x = left + index * room
        parts.append(
            f'<rect x="{x + 0.5:.1f}" y="{base - tall:.1f}" width="{max(room - 1, 0.5):.1f}" height="{tall:.1f}" '
            f'fill="{_BAR}"><title>{escape(label)}</title></rect>'
        )
    every = math.ceil((len(counts) + 1) / 11)
    for index in range(0, len(counts) + (not panel.open_ended), every):
        x = left + index * room
        parts.append(
            f'<text class="soft" x="{x:.1f}" y="{base + 14}" text-anchor="middle">{index * panel.data.width:g}</text>'
        )
    return parts


class Wedge(NamedTuple):
    """A verb of the sunburst."""

    verb: str
    total: int
    nouns: tuple[tuple[str, int], ...]
    """The most frequent objects, with their counts."""


def wedges(roots: Counter[Root]) -> list[Wedge]:
    """The 20 most frequent verbs, each with its 4 most frequent objects, as in Wang et al. 2023, Figure 3."""
    nouns: dict[str, Counter[str]] = defaultdict(Counter)
    for root, count in roots.items():
        nouns[root.verb][root.noun] += count
    # By name among equals: the picture must not depend on the order of the rows.
    verbs = sorted(nouns, key=lambda verb: (-nouns[verb].total(), verb))[:TOP_VERBS]
    return [
        Wedge(
            verb,
            nouns[verb].total(),
            tuple(sorted(((n, c) for n, c in nouns[verb].items() if n), key=lambda pair: (-pair[1], pair[0])))[
                :TOP_NOUNS
            ],
        )
        for verb in verbs
    ]


def sunburst(found: Sequence[Wedge]) -> Markup:
    """Two rings: verbs, and outside them their objects; what is none of a verb's top objects is left pale."""
    if not found:
        return Markup("")
    size, centre = 680, 340
    total, angle = sum(wedge.total for wedge in found), -math.pi / 2
    parts = [_opening(size, size, f"Verbs and their objects: {', '.join(wedge.verb for wedge in found)}")]
    for number, wedge in enumerate(found):
        span = wedge.total / total * 2 * math.pi
        hue = round(number * 360 / len(found))
        parts.append(
            _ring(centre, (70, 190), (angle, angle + span), f"hsl({hue},48%,72%)", f"{wedge.verb}: {wedge.total:,}")
        )
        parts.append(_label(centre, 130, angle + span / 2, span * 130, wedge.verb))
        start = angle
        for noun, count in wedge.nouns:
            part = count / total * 2 * math.pi
            words = f"{wedge.verb} {noun}: {count:,}"
            parts.append(_ring(centre, (190, 320), (start, start + part), f"hsl({hue},42%,82%)", words))
            parts.append(_label(centre, 255, start + part / 2, part * 255, noun))
            start += part
        if start < angle + span - 1e-9:
            rest = wedge.total - sum(count for _, count in wedge.nouns)
            words = f"{wedge.verb}, other or no object: {rest:,}"
            parts.append(_ring(centre, (190, 200), (start, angle + span), f"hsl({hue},42%,82%)", words))
        angle += span
    return Markup("".join([*parts, "</svg>"]))


def _ring(centre: float, radii: tuple[float, float], angles: tuple[float, float], fill: str, title: str) -> str:
    """A piece of a ring. A full circle has no arc from a point to itself, so it ends a little before its start."""
    (inner, outer), (start, end) = radii, angles
    end = min(end, start + 2 * math.pi - 1e-4)
    large = int(end - start > math.pi)

    def point(radius: float, angle: float) -> str:
        return f"{centre + radius * math.cos(angle):.1f},{centre + radius * math.sin(angle):.1f}"

    path = (
        f"M{point(outer, start)}A{outer},{outer} 0 {large} 1 {point(outer, end)}"
        f"L{point(inner, end)}A{inner},{inner} 0 {large} 0 {point(inner, start)}Z"
    )
    return f'<path class="ring" d="{path}" fill="{fill}"><title>{escape(title)}</title></path>'


def _label(centre: float, radius: float, angle: float, room: float, text: str) -> str:
    """Text along the radius, where the piece is wide enough for a line of it (``room``, in pixels)."""
    if room < 11:
        return ""
    degrees = math.degrees(angle)
    # Read from left to right on both halves.
    turned = degrees + 180 if 90 < degrees % 360 < 270 else degrees
    x, y = centre + radius * math.cos(angle), centre + radius * math.sin(angle)
    short = text if len(text) <= 18 else text[:17] + "…"
    return (
        f'<text transform="translate({x:.1f},{y:.1f}) rotate({turned:.1f})" text-anchor="middle" '
        f'dominant-baseline="central" class="on">{escape(short)}</text>'
    )


def _opening(width: int, height: int, label: str) -> str:
    """The picture's first tag; ``label`` is for those who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(label)}">{_STYLE}'
    )
