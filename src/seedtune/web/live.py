"""A run while it works: what the stages wrote since a page last asked, and nothing else, is read."""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from pydantic import BaseModel, Field

from seedtune.config import load_config
from seedtune.errors import SeedtuneError
from seedtune.web.children import Children
from seedtune.web.folders import RunFolder
from seedtune.web.listing import summary
from seedtune.web.review_desk import Desk

METRICS = "train/metrics.jsonl"
_WATCHED = (
    "manifest.json",
    "config.yaml",
    "generate/progress.json",
    "generate/funnel.json",
    "generate/journal.jsonl",
)
_SHOWN = ("step", "epoch", "loss", "eval_loss", "learning_rate", "tokens_per_second", "peak_gpu_gib")
_READ_BYTES = 1024**2
_MARK_BYTES = 256
_PARTS, _LEAST = 60, 25
"""Parts of a run that an accept rate is told of, and candidates in each."""
_WAIT_S = 0.3


class Since(BaseModel):
    """What a page has already."""

    at: int = Field(default=0, ge=0)
    """Bytes of the metrics that it has read."""
    mark: str = ""
    """Of what stood before them: a run that goes on from a checkpoint writes its last steps anew."""
    seen: str = ""
    """Stamp of all else."""


class Tail(NamedTuple):
    """The lines of a growing file that are new."""

    lines: list[dict[str, Any]]
    at: int
    mark: str
    fresh: bool
    """They are the file's first ones: what the page had is no more."""
    more: bool
    """There are further lines."""
    broken: int
    """Lines that are no JSON object."""


def look(run: RunFolder, children: Children, desk: Desk, since: Since) -> dict[str, Any]:
    """What is new, in plain values; ``now`` is None where nothing but the metrics changed.

    Args:
        run: The run.
        children: Who works where.
        desk: The run's data.
        since: What the page has.
    """
    tail = read_tail(run.file(METRICS), since.at, since.mark)
    seen = f"{children.state(run)} {desk.index.share:.2f} " + " ".join(_stamp(run.file(name)) for name in _WATCHED)
    seen = hashlib.sha256(seen.encode()).hexdigest()[:16]
    return {"metrics": tail._asdict(), "seen": seen, "now": None if seen == since.seen else _now(run, children, desk)}


def read_tail(path: Path, at: int, mark: str) -> Tail:
    """The whole lines from a byte on, from the file's beginning where it is another file by now.

    Args:
        path: A file of JSON lines, there or not.
        at: Where the last reading ended.
        mark: What that reading gave.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            fresh = at == 0 or at > size or _mark(file, at) != mark
            start = 0 if fresh else at
            file.seek(start)
            data = file.read(_READ_BYTES)
            whole = data[: data.rfind(b"\n") + 1]
            end = start + len(whole)
            lines = list(_objects(whole))
            found = [line for line in lines if line is not None]
            more = len(data) == _READ_BYTES and bool(whole)
            return Tail(found, end, _mark(file, end), fresh, more, len(lines) - len(found))
    except FileNotFoundError:
        return Tail([], 0, "", True, False, 0)


def _mark(file: BinaryIO, at: int) -> str:
    begin = max(0, at - _MARK_BYTES)
    return hashlib.sha256(os.pread(file.fileno(), at - begin, begin)).hexdigest()[:16]


def _objects(data: bytes) -> Iterator[dict[str, Any] | None]:
    for line in data.splitlines():
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        yield _shown(cast("dict[str, Any]", value)) if isinstance(value, dict) else None


def _shown(line: dict[str, Any]) -> dict[str, Any]:
    """What is drawn of a line of metrics; NaN, as of a diverged loss, becomes None: JSON has no other word."""
    kept = {key: value for key, value in line.items() if key in _SHOWN or key.startswith("eval_loss/")}
    return {key: value if _is_number(value) else None for key, value in kept.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return "-"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


def _now(run: RunFolder, children: Children, desk: Desk) -> dict[str, Any]:
    progress = run.read_json("generate/progress.json")
    funnel = run.read_json("generate/funnel.json")
    if progress.get("working") or not funnel:
        found = progress.get("funnel")
        funnel = found if isinstance(found, dict) and found else funnel
    return {
        **summary(run, children),
        "progress": progress,
        "funnel": funnel,
        "acceptance": _acceptance(desk) if funnel else [],
        "epochs": _epochs(run),
    }


def _epochs(run: RunFolder) -> float | None:
    """How many epochs the config asks for; None where steps decide, or it cannot be read."""
    path = run.file("config.yaml")
    try:
        train = load_config(path).train
    except SeedtuneError:
        return None
    return None if train.max_steps else float(train.epochs)


def _acceptance(desk: Desk) -> list[tuple[int, float]]:
    """Share of accepted candidates in each of some equal parts of the run: (candidates by then, share)."""
    desk.background.refresh()
    desk.index.refresh(_WAIT_S)
    with desk.index.connect() as connection:
        found = connection.execute(
            "SELECT MAX(n), AVG(kept) FROM candidate, (SELECT MAX(n) AS last FROM candidate) "
            "WHERE goal <= ? GROUP BY (n - 1) * MAX(1, MIN(?, last / ?)) / last ORDER BY 1",
            (desk.background.goal, _PARTS, _LEAST),
        )
        return [(last, round(share, 4)) for last, share in found.fetchall()]
