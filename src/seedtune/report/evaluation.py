"""Make an evaluation's files ready for the page: charts, models in order, items with what they can be filtered by."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seedtune.records import read_json_lines
from seedtune.report import charts

Tree = dict[str, Any]

_OWN = ("base", "tuned")
_SIDES = {
    (False, True): "only tuned right",
    (True, False): "only base right",
    (True, True): "both right",
    (False, False): "both wrong",
}
_DIFFER = "they differ"


def prepared(folder: Path, report: Tree) -> Tree:
    """The report, with what the page shows besides.

    Args:
        folder: Of the stage; ``items.jsonl`` and ``showcase.jsonl`` are read where they are.
        report: The content of ``report.json``.
    """
    for entry in report["suites"].values():
        entry["models"] = _models(entry)
        rows = [
            charts.Row(name, name if name in _OWN else "rival", result["accuracy"], *result["interval"])
            for name, result in entry["models"].items()
        ]
        entry["chart"] = charts.intervals(rows, entry["chance"])
    for name in ("showcase", "items"):
        path = folder / f"{name}.jsonl"
        report[name] = [line for _, line in read_json_lines(path)] if path.is_file() else []
        for line in report[name]:
            line["models"] = _models(line)
    report["filters"] = _filters(report["items"])
    return report


def _models(tree: Mapping[str, Any]) -> Tree:
    """What stands in a tree of each model."""
    return {name: tree[name] for name in _OWN if name in tree} | tree["rivals"]


def _filters(items: list[Tree]) -> dict[str, list[str]]:
    """The values that items can be filtered by; each item learns the numbers of its own, as ``marks``.

    The page filters with style sheets alone, so a mark is a class: ``f3-2`` for the third value of the fourth filter.
    """
    tuned = any("tuned" in item for item in items)
    filters: dict[str, list[str]] = {"verdict": [_DIFFER, *_SIDES.values()] if tuned else []}
    marked: list[list[tuple[str, str]]] = []
    for item in items:
        values = list(_values(item))
        item["verdict"] = next(value for name, value in values if name == "verdict")
        for name, value in values:
            known = filters.setdefault(name, [])
            if value not in known:
                known.append(value)
        marked.append(values)
    if "level" in filters:
        filters["level"].sort()
    order = list(filters)
    for item, values in zip(items, marked, strict=True):
        item["marks"] = " ".join(f"f{order.index(name)}-{filters[name].index(value)}" for name, value in values)
    return filters


def _values(item: Tree) -> Iterator[tuple[str, str]]:
    """What an item can be found by: the filter's name and the value."""
    if "tuned" in item:
        sides = item["base"]["correct"], item["tuned"]["correct"]
        yield "verdict", _SIDES[sides]
        if sides[0] != sides[1]:
            yield "verdict", _DIFFER
    else:
        yield "verdict", "base right" if item["base"]["correct"] else "base wrong"
    yield "suite", f"{item['suite']}/{item['method']}"
    yield "topic", item["topic"] or "none"
    yield "level", str(item["level"])
    for name, answered in item["rivals"].items():
        yield name, "error" if answered["error"] else "right" if answered["correct"] else "wrong"
        if answered["correct"] != item["base"]["correct"]:
            yield name, "differs from base"
    for name, answered in item["models"].items():
        if code := answered.get("code"):
            yield f"program of {name}", code["verdict"]
