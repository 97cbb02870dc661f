"""The dataset and the rejected candidates: views of the journal, the same bytes from the same replies."""

import json
from collections.abc import Iterator
from pathlib import Path

from seedtune.generate.funnel import PENDING, Funnel, up_to_goal
from seedtune.generate.journal import read_events
from seedtune.records import Verdict, read_json_lines, write_atomic, writing_lines

INSTRUCTIONS, REJECTED, FUNNEL = "instructions.jsonl", "rejected.jsonl", "funnel.json"


def write_views(folder: Path, funnel: Funnel) -> list[Path]:
    """Write them whole or not at all, with one line of the journal in memory at a time.

    Args:
        folder: The stage's, with the journal.
        funnel: The counts of the run.

    Returns:
        The files written.
    """
    with writing_lines(folder / INSTRUCTIONS) as keep, writing_lines(folder / REJECTED) as reject:
        for verdict in _decided(folder / "journal.jsonl", funnel.goal):
            if verdict.kept:
                keep(verdict.line())
            else:
                reject(verdict)
    write_atomic(folder / FUNNEL, json.dumps(funnel.as_json(), indent=2) + "\n")
    return [folder / name for name in (INSTRUCTIONS, REJECTED, FUNNEL)]


def count_accepted(folder: Path) -> int:
    """Instructions in the dataset as it was last written."""
    if not (folder / INSTRUCTIONS).is_file():
        return 0
    count, last = 0, None
    for _, line in read_json_lines(folder / INSTRUCTIONS):
        count += line.get("instruction") != last
        last = line.get("instruction")
    return count


def _decided(journal: Path, goal: int) -> Iterator[Verdict]:
    accepted = 0
    for event in read_events(journal):
        if event["event"] != "committed" or accepted >= goal:
            continue
        verdicts = [Verdict.model_validate(verdict) for verdict in event["verdicts"]]
        for verdict, now in up_to_goal(verdicts, accepted, goal):
            accepted = now
            if verdict.reason != PENDING:
                yield verdict
