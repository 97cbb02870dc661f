"""Answers on disk: appended as they come, and never asked for twice.

An answer is known by a hash of all that decides it, so a broken-off evaluation goes on behind the last answer, and one
with other settings, other suites or mended keys asks only what is new. Of two lines with one key the later one counts:
an endpoint's error is followed by its answer, when that has come.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seedtune.errors import DataError
from seedtune.evaluate.suites import Question
from seedtune.records import Answer, content_id, cut_torn_end, json_line, read_records

RECORDS = "records.jsonl"
"""The file's name in the stage's folder."""

logger = logging.getLogger(__name__)


def answer_key(model: str, prompt: str, question: Question) -> str:
    """Identity of an answer before it is given.

    Args:
        model: Content hash of the model, its adapter, and of how they are run.
        prompt: All that the model is told.
        question: Its options, or how long the answer may be and how it is drawn.
    """
    drawn = [question.temperature, question.seed] if question.temperature else []
    return content_id(model, prompt, question.options or question.max_new_tokens, *drawn)


def own_answers(folder: Path) -> dict[str, Answer]:
    """Answers by key of the stage's folder; an unfinished last line is cut off.

    Raises:
        DataError: the file has a broken line.
    """
    path = folder / RECORDS
    return _read(path) if path.exists() else {}


def earlier_answers(folder: Path) -> dict[str, Answer]:
    """Answers by key of the folder's forerunners, which were set aside; a file of an earlier version is left alone."""
    known: dict[str, Answer] = {}
    for path in folder.parent.glob(f"{folder.name}.[0-9]*/{RECORDS}"):
        try:
            known |= _read(path)
        except DataError as problem:
            logger.info("answers of an earlier evaluation are not used: %s", problem)
    return known


def _read(path: Path) -> dict[str, Answer]:
    cut_torn_end(path)
    return {answer.key: answer for answer in read_records(path, Answer)}


def append(folder: Path, answers: Iterable[Answer]) -> None:
    """Write answers behind those that are there.

    Raises:
        DataError: as :func:`append_lines`.
    """
    append_lines(folder / RECORDS, (answer.model_dump(mode="json", exclude_defaults=True) for answer in answers))


def append_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Append to a JSON Lines file.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(map(json_line, lines)))
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror}; free some space and run again") from problem
