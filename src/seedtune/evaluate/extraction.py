"""What all readers of written answers share: thinking, boxes, the last "final answer", and where a turn ends. Pure.

Thinking is not an answer: what stands in a think block, or in one that was cut off, is not read. A model that is no
chat model often goes on behind its answer with a question of its own: neither that nor what follows is its answer.
"""

import re
from typing import NamedTuple

# Possessive: a long run of blanks or marks is passed in one go.
MARKS = r"[\s*_`\"'“”‘$(\[{]*+"
CLOSE = r"[*_`\"'“”’$)\]}]*+"
_THINKING = re.compile(r"<(/?)(?:think|thinking|thought|reasoning)>", re.IGNORECASE)
_BOX = re.compile(r"\\boxed\{([^{}]*)\}")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{([^{}]*)\}")
_NEXT_TURN = re.compile(
    r"\n[ \t#*_>]*+(?:(?:next\s+)?question|q|problem|exercise|user|human)(?:\s+\d+)?[*_]*\s*:", re.IGNORECASE
)
_FINAL = re.compile(r"\bfinal\s+answer\b", re.IGNORECASE)


class Reading(NamedTuple):
    """What was found in an answer."""

    choice: int | None
    """Index into the options; None where the text could not be parsed."""
    extracted: str = ""
    """The part that decided."""
    why: str = ""
    """How it was found, or why nothing was."""


def spoken(text: str) -> str:
    """An answer without its thinking.

    Whatever precedes a closing tag without an opening one is thinking too (chat templates may open the block in the
    prompt), and an opened block that never closes was cut off: nothing behind it is an answer.
    """
    parts: list[str] = []
    depth = place = 0
    for tag in _THINKING.finditer(text):
        if not depth:
            parts.append(text[place : tag.start()])
        if tag[1] and not depth:
            parts.clear()
        depth = max(0, depth - 1) if tag[1] else depth + 1
        place = tag.end()
    if not depth:
        parts.append(text[place:])
    return "\n".join(part.strip() for part in parts if part.strip())


def decisive(text: str) -> tuple[list[str], str]:
    r"""The contents of each ``\boxed{}``, and the text from the last "final answer" on, or else the whole."""
    plain = _LATEX_TEXT.sub(r"\1", text)
    boxes = [box.strip() for box in _BOX.findall(plain) if box.strip()]
    *_, start = [0, *(found.start() for found in _FINAL.finditer(plain))]
    return boxes, plain[start:]


def first_turn(text: str) -> str:
    """An answer up to the next "Question:" or "User:" that begins a line; one that it begins with stays."""
    return _NEXT_TURN.split(text, maxsplit=1)[0].rstrip()
