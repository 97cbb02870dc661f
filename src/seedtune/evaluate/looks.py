"""How often the test items were looked at.

Each look is a chance to choose what happens to do well on them, and a number that was chosen is no measurement. A look
is an evaluation that ended with a report; the same one of the same run once more, or one on ``dev``, is none.

A look is noted twice: in the stage's folder, so that it goes where the run goes, and in a ledger beside the runs, so
that one model under two names, or the combinations of a sweep, count together. Runs count together where they asked the
same items of at least one suite. Not seen are looks that were noted beside other runs, and those at items that have
been changed since.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from seedtune.evaluate.answers import append_lines
from seedtune.records import cut_torn_end, json_line, read_json_lines

logger = logging.getLogger(__name__)

LOOKS = "looks.jsonl"
"""The file's name in the stage's folder and beside the runs; append-only."""
_SWEEP = "sweep.json"
"""Stands in the folder of a sweep, which is in a run's and holds runs."""


class Looks(NamedTuple):
    """How often the items were looked at, this time included."""

    at_this_model: int
    models: int
    """How many tuned models were tested."""
    runs: int
    total: int


class _Look(BaseModel):
    """A line."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: str
    run: str = ""
    """Its folder, as seen from the ledger; empty in lines of an earlier version, which stand in the run alone."""
    evaluation: str
    model: str
    jobs: tuple[str, ...] = ()
    items: Mapping[str, str] = {}
    """Content hash of each suite's items; empty in lines of an earlier version."""


def look(folder: Path, evaluation: str, model: str, jobs: Sequence[str], items: Mapping[str, str]) -> Looks:
    """Note a look at the test items, and count all that asked some of the same.

    A ledger that cannot be read or written is warned of: then the run's own looks are all that is counted.

    Args:
        folder: The stage's; looks of its forerunners that were set aside count as well.
        evaluation: Identity of this evaluation: noted twice by one run, it counts once.
        model: Identity of the tuned model.
        jobs: What was asked, for people.
        items: Content hash of all items of each suite that was asked, by its name.

    Raises:
        DataError: the stage's folder cannot be written, or its file has a broken line.
    """
    ledger = _ledger_of(folder.parent)
    run = str(folder.parent.resolve().relative_to(ledger.parent))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    this = _Look(time=now, run=run, evaluation=evaluation, model=model, jobs=tuple(jobs), items=items)
    own = [known if known.run else known.model_copy(update={"run": run}) for known in _own(folder)]
    noted = {(known.run, known.evaluation) for known in own}
    if (run, evaluation) not in noted:
        append_lines(folder / LOOKS, [this.model_dump(mode="json")])
    if (run, evaluation) not in {(known.run, known.evaluation) for known in _beside(ledger)}:
        _append(ledger, this)
    # Read again: whoever evaluates at the same time is seen by the later of the two.
    found = {
        (known.run, known.evaluation): known.model
        for known in (*_beside(ledger), *own, this)
        if not known.items or set(known.items.values()) & set(items.values())
    }
    models = list(found.values())
    return Looks(models.count(model), len(set(models)), len({run for run, _ in found}), len(found))


def _ledger_of(run: Path) -> Path:
    """Beside the run; of a sweep's combination, beside the run that the sweep is of."""
    place = run.resolve().parent
    return (place.parent.parent if (place / _SWEEP).is_file() else place) / LOOKS


def _own(folder: Path) -> Iterator[_Look]:
    path = folder / LOOKS
    files = sorted(folder.parent.glob(f"{folder.name}.[0-9]*/{LOOKS}"))
    if path.exists():
        cut_torn_end(path)
        files.append(path)
    for file in files:
        yield from (_Look.model_validate(line) for _, line in read_json_lines(file))


def _beside(ledger: Path) -> list[_Look]:
    """What can be read of the ledger; several processes write it, so a torn line is passed over, and never cut off."""
    try:
        lines = ledger.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as problem:
        logger.warning("%s: cannot be read (%s): looks of other runs are not counted", ledger, problem.strerror)
        return []
    found: list[_Look] = []
    for number, line in enumerate(lines, 1):
        try:
            found += [_Look.model_validate_json(line)] if line.strip() else []
        except ValidationError:
            logger.warning("%s:%d: is no look and is not counted", ledger, number)
    return found


def _append(ledger: Path, this: _Look) -> None:
    try:
        # Unbuffered, a line is one write, which the kernel puts behind those of other processes.
        with ledger.open("a+b", buffering=0) as file:
            size = file.seek(0, 2)
            torn = size > 0 and (file.seek(-1, 2), file.read(1))[1] != b"\n"
            file.write((b"\n" if torn else b"") + json_line(this.model_dump(mode="json")).encode())
    except OSError as problem:
        logger.warning("%s: cannot be written (%s): other runs will not count this look", ledger, problem.strerror)
