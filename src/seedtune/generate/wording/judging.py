"""A model as judge of candidates that passed the filters: what it is asked, and how its answer is read.

What a judge reads was written by another model, from documents of anyone, and may try to speak to the judge. Candidates
therefore stand between marks that they cannot hold, and an answer counts only where it is beyond doubt: a score that is
missing, stands twice or is out of range is none, never a guess.

Not covered: whether the judge is right. :func:`agreement` says how often it decides as people did.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from seedtune.errors import DataError
from seedtune.generate.wording.parsing import without_reasoning
from seedtune.generate.wording.prompting import NO_INPUT, Form, mark_of, template
from seedtune.generate.wording.structured import closed_object, members, read_list, text_of
from seedtune.records import Candidate, Decoding, Message
from seedtune.review_decisions import cohen_kappa
from seedtune.teachers.replies import is_whole

JUDGEMENT_DECODING = Decoding(temperature=0.0)
"""The same task gets the same score, as far as the endpoint can."""

_LINE = re.compile(
    r"""[ \t]{0,12}[*_#>-]{0,4}[ \t]{0,4}(?:task[ \t]{1,4})?(?P<number>\d{1,4})[ \t]?[.):]?[*_]{0,3}[ \t]{0,4}
        [*_]{0,3}(?P<label>reason|score)[*_]{0,3}[ \t]{0,2}:[*_]{0,3}[ \t]*(?P<content>.*)""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_SCORE = re.compile(r"[*_]{0,3}(?P<score>[1-5])[*_]{0,3}(?:[ ]?/[ ]?5|[ ]out[ ]of[ ]5)?[*_]{0,3}\.?", re.ASCII)
_LABEL_WITHIN = 80


@dataclass(frozen=True)
class Judgement:
    """What the judge says of one candidate."""

    score: int
    """1 to 5, as the rubric has it."""
    reason: str


@dataclass(frozen=True)
class Agreement:
    """How far a judge's decisions are those of people on the same tasks."""

    n: int
    agreed: int
    kappa: float | None
    """Cohen's kappa, -1..1: agreement beyond what chance would bring, 0 where there is none; None where it is not
    defined: without tasks, or where both put all of them on the same side."""


def read_rubric(path: Path | None = None) -> str:
    """A rubric: Markdown, of a file or the one that comes with seedtune.

    Raises:
        DataError: the file cannot be read, is not UTF-8, or has nothing in it.
    """
    if path is None:
        return (
            resources.files("seedtune.generate.wording").joinpath("templates", "rubric.md").read_text("utf-8").strip()
        )
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as problem:
        raise DataError(f"{path}: the rubric cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise DataError(f"{path}: the rubric is not UTF-8 (byte {problem.start}); save it as UTF-8") from problem
    if not text:
        raise DataError(f"{path}: the rubric is empty; say in it what each score from 1 to 5 stands for")
    return text


def judgement_messages(
    rubric: str, candidates: Sequence[Candidate], form: Form = "text", *, passage: str = ""
) -> tuple[Message, Message]:
    """The system message with the rubric, and the user message with the candidates, numbered from 1.

    Args:
        rubric: What to judge by.
        candidates: What to judge; at least one.
        form: As what the judge is to answer.
        passage: What the candidates rest on; empty without documents.
    """
    texts = [text for task in candidates for text in (task.instruction, task.input, task.output)]
    user = template("judgement.md.j2").render(
        candidates=candidates,
        passage=passage,
        form=form,
        no_input=NO_INPUT,
        mark=mark_of("data", passage, *texts),
    )
    return (Message(role="system", content=rubric), Message(role="user", content=user))


def judgement_prefix(form: Form) -> str:
    """How an answer of the judge begins; see :func:`seedtune.generate.wording.prompting.reply_prefix`."""
    return "1. Reason:" if form == "text" else '{"judgements": [\n{"task": 1, "reason": "'


def judgement_schema(n: int) -> dict[str, Any]:
    """The schema of an answer about ``n`` candidates. The reason comes first, so that the score follows from it."""
    judgement = closed_object(
        {
            "task": {"type": "integer", "enum": [*range(1, n + 1)], "description": "The number of the task."},
            "reason": {"type": "string", "description": "What is wrong with the task, or why nothing is."},
            "score": {"type": "integer", "enum": [1, 2, 3, 4, 5], "description": "By the rubric."},
        }
    )
    listed = {"type": "array", "description": "One for each task, in order.", "items": judgement}
    return closed_object({"judgements": listed})


def parse_judgement(text: str, n: int, finish_reason: str = "stop") -> tuple[Judgement | None, ...]:
    """Read the judge's answer, JSON or text. Never raises, and takes time linear in its length.

    Args:
        text: The answer.
        n: How many candidates it is about.
        finish_reason: Where it is no word for an end, text was broken off and loses its last score: of ``4.5`` there
            may be only the 4.

    Returns:
        One for each candidate, in order. None where there is not exactly one sound score with its number.
    """
    text = without_reasoning(text)
    found = _of_lines(text, broken_off=not is_whole(finish_reason))
    listed = read_list(text, "judgements", ("task",))
    if listed is not None and listed.values:
        scores = len(re.findall(r'"score"\s*:', text, re.IGNORECASE))
        if found or scores != len(listed.values):
            # The judge repeats what a task wrote, and which scores are its own cannot be told.
            return (None,) * n
        found = [_of_json(raw) for raw in listed.values]
    counts = Counter(number for number, _ in found)
    sound = {number: judgement for number, judgement in found if counts[number] == 1}
    return tuple(sound.get(number) for number in range(1, n + 1))


def _of_json(raw: str) -> tuple[int, Judgement | None]:
    """Number and judgement of one element; 0 is nobody's number."""
    # A list of one number would be read as that number.
    plain = [(name.strip().lower(), value) for name, value in members(raw) or [] if value[0] not in "[{"]
    found = [(name, text_of(value) or "") for name, value in plain]
    parts = dict(found)
    number = parts.get("task", "")
    if not re.fullmatch(r"[0-9]{1,4}", number):
        return 0, None
    score = _SCORE.fullmatch(parts.get("score", ""))
    once = len(parts) == len(found)
    return int(number), Judgement(int(score["score"]), parts.get("reason", "")) if score and once else None


def _of_lines(text: str, broken_off: bool) -> list[tuple[int, Judgement | None]]:
    lines = text.splitlines()
    reasons: dict[int, list[str]] = {}
    found: list[tuple[int, Judgement | None]] = []
    current: list[str] = []
    for place, line in enumerate(lines):
        label = _LINE.match(line[:_LABEL_WITHIN])
        if label is None:
            current.append(line)
            continue
        number, content = int(label["number"]), line[label.start("content") :]
        if label["label"].lower() == "reason":
            current = reasons[number] = [content]
            continue
        score = _SCORE.fullmatch(content.strip())
        whole = not (broken_off and place == len(lines) - 1)
        reason = "\n".join(reasons.get(number, [])).strip()
        found.append((number, Judgement(int(score["score"]), reason) if score and whole else None))
        current = []
    return found


def agreement(pairs: Iterable[tuple[bool, bool]]) -> Agreement:
    """Compare decisions: the judge's and a person's, whether to keep a task."""
    both = list(pairs)
    return Agreement(len(both), sum(judge == person for judge, person in both), cohen_kappa(both))
