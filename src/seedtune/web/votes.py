"""What people said of two answers to one question: ``chat/votes.jsonl``, append-only, and how it adds up."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seedtune.errors import DataError
from seedtune.records import cut_torn_end, json_line, read_json_lines
from seedtune.web.pair import Decoding, Side

VOTES = "chat/votes.jsonl"
"""Below the run folder."""

Choice = Literal["left", "right", "both", "neither"]


class Asked(NamedTuple):
    """Two answers to one question, and how they were shown."""

    conversation: str
    turn: int
    """From 0."""
    order: tuple[Side, Side]
    """Who stood on the left, and who on the right."""
    blind: bool
    """Nobody was told who is who."""
    question: str
    answers: dict[Side, str]
    decoding: Decoding
    adapter_sha256: str
    """Of the tuned side; empty where it is not known any more."""


def append_vote(path: Path, asked: Asked, choice: Choice, by: str) -> None:
    """Append what somebody said; on the disk when this returns.

    Raises:
        DataError: it cannot be written.
    """
    left, right = asked.order
    word = {
        "conversation": asked.conversation,
        "turn": asked.turn,
        "choice": {"left": left, "right": right}.get(choice, choice),
        "blind": asked.blind,
        "left": left,
        "by": by,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "adapter_sha256": asked.adapter_sha256,
        "decoding": asked.decoding.model_dump(),
        "question": asked.question,
        "answers": dict(asked.answers),
    }
    try:
        path.parent.mkdir(exist_ok=True)
        if path.is_file():
            cut_torn_end(path)
        with path.open("a", encoding="utf-8") as file:
            file.write(json_line(word))
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror}") from problem


def tally(path: Path) -> dict[str, Counter[str]]:
    """How often each side was preferred, blind and not; of several votes of one person on one turn the last counts.

    Raises:
        DataError: the votes cannot be read.
    """
    last: dict[tuple[str, int, str], dict[str, Any]] = {}
    for _, word in read_json_lines(path) if path.is_file() else ():
        last[str(word.get("conversation")), int(word.get("turn", 0)), str(word.get("by"))] = word
    counts: dict[str, Counter[str]] = {"blind": Counter(), "open": Counter()}
    for word in last.values():
        counts["blind" if word.get("blind") else "open"][str(word.get("choice"))] += 1
    return counts
