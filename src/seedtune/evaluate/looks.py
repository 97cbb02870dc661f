"""How often the test items were looked at.

Each look is a chance to choose what happens to do well on them, and a number that was chosen is no measurement. A look
is an evaluation that ended with a report; the same one once more, or one on ``dev``, is none.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from seedtune.evaluate.answers import append_lines
from seedtune.records import cut_torn_end, read_json_lines

LOOKS = "looks.jsonl"
"""The file's name in the stage's folder; append-only."""


class Looks(NamedTuple):
    """How often this run has looked at the test items, this time included."""

    at_this_model: int
    models: int
    """How many tuned models were tested."""
    total: int


def look(folder: Path, evaluation: str, model: str, jobs: Sequence[str]) -> Looks:
    """Note a look at the test items, and count all.

    Args:
        folder: The stage's; looks of its forerunners that were set aside count as well.
        evaluation: Identity of this evaluation: noted twice, it counts once.
        model: Identity of the tuned model.
        jobs: What was asked, for people.
    """
    path = folder / LOOKS
    files = sorted(folder.parent.glob(f"{folder.name}.[0-9]*/{LOOKS}"))
    if path.exists():
        cut_torn_end(path)
        files.append(path)
    lines: list[dict[str, Any]] = [line for file in files for _, line in read_json_lines(file)]
    seen = {line["evaluation"]: line["model"] for line in lines}
    if evaluation not in seen:
        seen[evaluation] = model
        now = datetime.now(UTC).isoformat(timespec="seconds")
        append_lines(path, [{"time": now, "evaluation": evaluation, "model": model, "jobs": list(jobs)}])
    return Looks(list(seen.values()).count(model), len(set(seen.values())), len(seen))
