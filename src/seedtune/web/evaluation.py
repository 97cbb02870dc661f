"""What an evaluation found: accuracies with intervals, and the items on which models differ.

The numbers of a suite are those of ``report.json``. Those of a topic or a level are counted here from ``items.jsonl``,
which is read once and known by the place of each line: a page reads only what it shows.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from seedtune.errors import DataError
from seedtune.records import read_json_lines
from seedtune.web.folders import RunFolder

REPORT, ITEMS, SHOWCASE = "evaluate/report.json", "evaluate/items.jsonl", "evaluate/showcase.jsonl"
PAGE = 20
"""Items of a page."""
_OWN = ("base", "tuned")
_Z = NormalDist().inv_cdf(0.975)

Tree = dict[str, Any]


class Grouped(BaseModel):
    """Which numbers, and by what."""

    job: str = ""
    """``suite/method``; empty is every suite of the domain, each by its primary method."""
    by: Literal["topic", "level"] = "topic"


class Asked(BaseModel):
    """Which items."""

    left: str = "base"
    right: str = "tuned"
    """Two models: those that are shown side by side, and that verdicts are about."""
    verdict: Literal["all", "differ", "left", "right", "both", "neither"] = "differ"
    """``left``: it alone is right."""
    job: str = ""
    topic: str = ""
    level: str = ""
    skip: int = Field(default=0, ge=0)


class Entry(NamedTuple):
    """Where an item stands, and what it is filtered by."""

    at: int
    size: int
    job: str
    topic: str
    level: str
    right: dict[str, bool]
    """By model."""


def overview(run: RunFolder) -> Tree:
    """Models, suites and what was said of them, in plain values; ``{}`` where nothing was evaluated."""
    report = run.read_json(REPORT)
    found: object = report.get("suites")
    suites: Tree = found if isinstance(found, dict) else {}
    if not suites:
        return {}
    models = dict.fromkeys(name for entry in suites.values() for name in answers_of(entry))
    entries = _entries(run)
    return {
        "models": {name: _title(report, name) for name in models},
        "split": report.get("split", ""),
        "suites": [_suite(name, entry) for name, entry in suites.items()],
        "forgetting": (report.get("forgetting") or {}).get("verdict", ""),
        "caveats": report.get("caveats") or [],
        "adapter_sha256": report.get("adapter_sha256") or "",
        "jobs": sorted({entry.job for entry in entries}),
        "topics": sorted({entry.topic for entry in entries}),
        "levels": sorted({entry.level for entry in entries}),
        "showcase": _showcase(run),
    }


def answers_of(tree: Mapping[str, Any]) -> Tree:
    """What stands in an object of each model, the run's own first."""
    return {name: tree[name] for name in _OWN if name in tree} | (tree.get("rivals") or {})


def _title(report: Tree, name: str) -> str:
    about = (report.get("models") or {}).get(name) or {}
    return about.get("title") or (report.get("base") if name == "base" else "") or name


def _suite(name: str, entry: Tree) -> Tree:
    rivals: Tree = entry.get("rivals") or {}
    said = {"tuned": entry.get("verdict"), **{rival: found.get("verdict") for rival, found in rivals.items()}}
    kept = ("n", "correct", "accuracy", "interval", "unparsed", "errors")
    return {
        "name": name,
        "n": entry.get("n", 0),
        "chance": entry.get("chance", 0.0),
        "part": entry.get("part") or "domain",
        "primary": entry.get("primary", True),
        "models": {
            model: {key: result[key] for key in kept if key in result} for model, result in answers_of(entry).items()
        },
        "verdicts": {model: verdict for model, verdict in said.items() if verdict},
    }


def _showcase(run: RunFolder) -> list[Tree]:
    path = run.file(SHOWCASE)
    lines = (line for _, line in read_json_lines(path)) if path.is_file() else ()
    return [{"question": line.get("question", ""), "answers": answers_of(line)} for line in lines]


def grouped(run: RunFolder, asked: Grouped) -> list[Tree]:
    """Accuracies of each topic or level, with Wilson intervals; pooled over suites unless one is named.

    Raises:
        DataError: the items cannot be read.
    """
    suites = overview(run).get("suites", ())
    primary = {suite["name"] for suite in suites if suite["primary"] and suite["part"] != "general"}
    wanted = {asked.job} if asked.job else primary
    counts: dict[str, Counter[str]] = {}
    right: dict[str, Counter[str]] = {}
    for entry in _entries(run):
        if entry.job in wanted:
            name = entry.topic if asked.by == "topic" else entry.level
            counts.setdefault(name, Counter()).update(entry.right.keys())
            right.setdefault(name, Counter()).update(model for model, correct in entry.right.items() if correct)
    return [
        {"name": name, "n": max(counts[name].values(), default=0), "models": _shares(right[name], counts[name])}
        for name in sorted(counts)
    ]


def _shares(right: Counter[str], counts: Counter[str]) -> Tree:
    return {
        model: {
            "n": n,
            "correct": right[model],
            "accuracy": right[model] / n,
            "interval": [round(bound, 4) for bound in wilson(right[model], n)],
        }
        for model, n in counts.items()
    }


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Score interval of a share at 95% (Wilson, 1927), as :func:`seedtune.evaluate.statistics.wilson` gives it.

    Not that one: scipy takes a second to load, and the page would wait for it.

    Args:
        correct: Of ``n``.
        n: Above 0.
    """
    share, extra = correct / n, _Z**2 / n
    middle = share + extra / 2
    spread = _Z * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    return max(0.0, (middle - spread) / (1 + extra)), min(1.0, (middle + spread) / (1 + extra))


def find_items(run: RunFolder, asked: Asked) -> Tree:
    """One page of items, each with all that was recorded of it.

    Raises:
        DataError: the items cannot be read.
    """
    found = [entry for entry in _entries(run) if _is_asked_for(entry, asked)]
    page = found[asked.skip : asked.skip + PAGE]
    items = _read(run.file(ITEMS), page) if page else []
    return {"total": len(found), "skip": asked.skip, "page": PAGE, "items": items}


def _is_asked_for(entry: Entry, asked: Asked) -> bool:
    if (asked.job and entry.job != asked.job) or (asked.topic and entry.topic != asked.topic):
        return False
    if asked.level and entry.level != asked.level:
        return False
    left, right = entry.right.get(asked.left), entry.right.get(asked.right)
    match asked.verdict:
        case "all":
            return True
        case "differ":
            return left is not None and right is not None and left != right
        case "left":
            return left is True and right is False
        case "right":
            return left is False and right is True
        case "both":
            return left is True and right is True
        case "neither":
            return left is False and right is False


def _read(path: Path, entries: Sequence[Entry]) -> list[Tree]:
    items: list[Tree] = []
    with path.open("rb") as file:
        for entry in entries:
            file.seek(entry.at)
            line = _object(path, entry.at, file.read(entry.size))
            answers = answers_of(line)
            kept = {key: value for key, value in line.items() if key not in {*_OWN, "rivals"}}
            items.append({**kept, "answers": answers})
    return items


def _entries(run: RunFolder) -> Sequence[Entry]:
    path = run.file(ITEMS)
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ()
    return _index(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _index(path: Path, size: int, changed: int) -> Sequence[Entry]:
    entries: list[Entry] = []
    at = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                item = _object(path, at, line)
                entries.append(
                    Entry(
                        at,
                        len(line),
                        f"{item.get('suite', '')}/{item.get('method', '')}",
                        item.get("topic") or "none",
                        str(item.get("level", "")),
                        {name: bool(found.get("correct")) for name, found in answers_of(item).items()},
                    )
                )
            at += len(line)
    return tuple(entries)


def _object(path: Path, at: int, line: bytes) -> Tree:
    try:
        # NaN is Python's own word, and no browser reads it.
        value: Any = json.loads(line, parse_constant=lambda word: None)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{path}: the line at byte {at:,} cannot be read: {problem}") from problem
    if not isinstance(value, dict):
        raise DataError(f"{path}: the line at byte {at:,} is no JSON object; run 'seedtune evaluate' again")
    return value
