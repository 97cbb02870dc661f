"""The frozen records that the stages hand on, and JSON Lines on disk.

    SeedTask -> Request -> Reply -> Candidate -> Verdict -> Example -> training row
    EvalItem + model -> Answer

Every record has an ``id``: the first 16 hex digits of the SHA-256 of its content, so the same content has the
same id in every run, and a record names its parents by id. Text that is not valid Unicode (lone surrogates from a
broken endpoint) is replaced on the way in: a record can always be written as UTF-8.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TextIO, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from seedtune.errors import DataError, SeedtuneError


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("string should have at least 1 character that is not white space")
    return text


Text = Annotated[str, AfterValidator(_writable)]
# Not min_length: with it, pydantic refuses a lone surrogate before _writable can replace it.
FilledText = Annotated[Text, AfterValidator(_not_blank)]


def content_id(*parts: object) -> str:
    """First 16 hex digits of the SHA-256 over the canonical JSON of ``parts``."""
    canonical = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class Record(BaseModel):
    """A frozen record; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Task(Record):
    """An instruction with its input and output: what seed tasks and generated candidates share."""

    instruction: FilledText
    """What is asked; stands alone."""
    input: Text = ""
    """Material the instruction works on; empty where it needs none."""
    output: FilledText
    """The complete answer."""

    @cached_property
    def id(self) -> str:
        """Content hash of instruction, input and output."""
        return content_id(self.instruction, self.input, self.output)

    @property
    def prompt(self) -> str:
        """The user's turn: the instruction, and the input below it where there is one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


class SeedTask(Task):
    """A task written by a person, one line of a pack's seed file."""

    topic: Text = ""
    """One of the domain's topics."""
    citations: tuple[Text, ...] = ()
    """Sources of the answer, e.g. ``RFC 4271, Section 9.1.2.2``."""


class Message(Record):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: Text


class Decoding(Record):
    """How one request is decoded where that differs from the teacher's ``sampling``; None leaves a setting as it is."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    """The reply ends before the first of these; at most four, as endpoints allow."""


Step = Literal["tasks", "instructions", "classification", "instances", "judgement"]
"""What a request asks for: whole tasks (alpaca); instructions, whether one is a classification, its instances
(classic); a judgement on candidates (the LLM judge)."""


class Request(Record):
    """What is sent to a teacher. Request ``index`` of a run is the same whenever it is drawn."""

    index: int
    step: Step = "tasks"
    pack: str
    parents: tuple[str, ...]
    """Ids of the tasks shown as examples; for a follow-up, of the candidates that it is about."""
    messages: tuple[Message, ...]
    prefix: str = ""
    """How the reply shall begin. A teacher that can makes the model go on from it and returns it as part of the text;
    others ignore it."""
    reply_schema: dict[str, Any] | None = None
    """JSON schema of the reply, for a teacher with structured output; None asks for text."""
    decoding: Decoding | None = None
    source: Text = ""
    """The passage that the tasks are to rest on, ``file#number``; empty without documents."""


class Usage(Record):
    """Tokens of one reply."""

    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)
    estimated: bool = False
    """True where the endpoint gave no usage and the numbers are upper bounds of our own."""
    cached_tokens: int | None = Field(default=None, ge=0)
    """Of the prompt, read from the endpoint's cache; None where it does not say."""
    reasoning_tokens: int | None = Field(default=None, ge=0)
    """Of the completion, spent on reasoning that is not in the text; None where the endpoint does not say."""

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class Reply(Record):
    """What came back for one request, or why nothing did."""

    index: int
    text: Text = ""
    finish_reason: Text = "stop"
    """``stop``, ``length`` (cut off), ``content_filter``, or ``error``: refused for good, see ``error``."""
    usage: Usage
    error: Text = ""
    seconds: float = 0.0
    """Wall time of the request, retries included; for a local batch, the batch's."""


class Candidate(Task):
    """A task the teacher wrote, before or after judgement."""

    instruction: Text
    output: Text
    pack: str
    request: int
    """Index of the request whose reply held it."""
    parents: tuple[str, ...] = ()
    source: Text = ""
    """The passage it rests on, ``file#number``; empty without documents."""
    quote: Text = ""
    """The words of the passage that support the output."""


class Verdict(Record):
    """The decision about one candidate. ``reason`` is empty when it was kept, ``pending`` while a follow-up decides."""

    candidate: Candidate
    kept: bool
    reason: str = ""
    detail: Text = ""
    """What triggered the reason: the word, the count, the nearest neighbour."""
    similarity: float = 0.0
    """Highest ROUGE-L F against the pool at the time, 0..1."""
    nearest: str = ""
    """Id of the task with that similarity."""
    neighbours: tuple[tuple[str, float], ...] = ()
    """The ten nearest tasks, by id, with their similarity, falling."""
    mean_similarity: float = 0.0
    """Mean ROUGE-L F over the whole pool at the time."""
    scores: dict[str, float] = {}
    """Of the further filters and of the judge, by their names."""


class _Item(Record):
    """What every evaluation item has."""

    topic: Text = ""
    level: int = Field(default=1, ge=1, le=3)
    citation: Text = ""
    """The one source that decides the answer, e.g. ``RFC 4271, Section 9.1.2.2``."""
    rationale: Text = ""


class EvalItem(_Item):
    """A question with fixed options, exactly one of them right."""

    question: FilledText
    options: tuple[FilledText, ...] = Field(min_length=2, max_length=10)
    answer: Text
    """The right option, letter for letter."""

    @model_validator(mode="after")
    def _one_right_option(self) -> Self:
        if self.answer not in self.options:
            raise ValueError(f"answer {self.answer!r} is not among its options {list(self.options)}")
        if len(set(self.options)) < len(self.options):
            raise ValueError("two options are the same")
        return self

    @cached_property
    def id(self) -> str:
        """Content hash of the question and its options."""
        return content_id(self.question, self.options)

    @property
    def key(self) -> int:
        """Index of the right option."""
        return self.options.index(self.answer)


class ClozeItem(_Item):
    """A sentence with one gap, written ``____``."""

    question: FilledText
    answers: tuple[FilledText, ...] = Field(min_length=1)
    """Every accepted filling; case, white space and punctuation do not count."""

    @model_validator(mode="after")
    def _one_gap(self) -> Self:
        if [len(gap) for gap in re.findall("_{3,}", self.question)] != [4]:
            raise ValueError("a cloze question has exactly one gap, written ____")
        return self

    @cached_property
    def id(self) -> str:
        """Content hash of the sentence and its fillings."""
        return content_id(self.question, self.answers)


class OpenItem(_Item):
    """A question that is answered in some sentences."""

    question: FilledText
    key_points: tuple[FilledText, ...] = Field(min_length=2)
    """What a complete answer says, one claim each."""
    answer: FilledText
    """An answer that says all of it."""

    @cached_property
    def id(self) -> str:
        """Content hash of the question and its key points."""
        return content_id(self.question, self.key_points)


class TrueFalseItem(_Item):
    """A statement to be judged, as it stands in a domain's file."""

    statement: FilledText
    answer: StrictBool

    def as_choice(self) -> EvalItem:
        """The same item with the options True and False."""
        return EvalItem(
            question=self.statement,
            options=("True", "False"),
            answer=str(self.answer),
            topic=self.topic,
            level=self.level,
            citation=self.citation,
            rationale=self.rationale,
        )


class Answer(Record):
    """What one model answered to one item by one method. It is judged anew whenever it is read."""

    key: str
    """Content hash of all that decides it: model, adapter, prompt, options, decoding."""
    item: str
    suite: str
    method: Literal["loglikelihood", "generate"]
    model: str
    """``base`` or ``tuned``."""
    order: tuple[int, ...] = ()
    """Indices of the item's options as they were listed; empty where none were."""
    text: Text = ""
    """The generated text; empty for log-likelihood."""
    scores: tuple[float, ...] = ()
    """Log-likelihood of each of the item's options, in nats; empty for generated answers."""


R = TypeVar("R", bound=BaseModel)


def validation_message(error: ValidationError) -> str:
    """Pydantic's findings in one line: ``output: field required; foo: extra inputs are not permitted``."""
    findings: list[str] = []
    for found in error.errors(include_url=False):
        place = ".".join(str(part) for part in found["loc"]) or "record"
        # Only the first letter is lowered: the rest may quote the file.
        message = found["msg"].removeprefix("Value error, ")
        findings.append(f"{place}: {message[:1].lower()}{message[1:]}")
    return "; ".join(findings)


def read_json_lines(path: Path, error: type[SeedtuneError] = DataError) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file; blank lines are skipped.

    Raises:
        DataError: (or the class given) the file is missing or unreadable, or a line is no JSON object; the message
            names file:line.
    """
    for number, line in _lines(path, error):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as problem:
            raise error(f"{path}:{number}: not valid JSON at column {problem.colno}: {problem.msg}") from problem
        except (ValueError, RecursionError) as problem:  # a number of thousands of digits, brackets without end
            raise error(f"{path}:{number}: JSON that cannot be read: {problem}") from problem
        if not isinstance(value, dict):
            raise error(f'{path}:{number}: expected one JSON object a line, such as {{"instruction": ...}}')
        yield number, value


def _lines(path: Path, error: type[SeedtuneError]) -> Iterator[tuple[int, str]]:
    """Number and text of each line; only the line at hand is in memory."""
    place = 0
    try:
        with path.open("rb") as file:
            # Only "\n" ends a line: JSON may hold the other characters that str.splitlines breaks at.
            for number, line in enumerate(file, 1):
                # Notepad and Excel begin a file with a byte order mark, which "utf-8-sig" takes off.
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n")
                place += len(line)
    except OSError as problem:
        raise error(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{path}: is not UTF-8 (byte {place + problem.start}); save it as UTF-8") from problem


def read_records(path: Path, kind: type[R], error: type[SeedtuneError] = DataError) -> list[R]:
    """All records of a JSON Lines file.

    Raises:
        DataError: (or the class given) as :func:`read_json_lines`, and for a line that does not fit ``kind``.
    """
    records: list[R] = []
    for number, value in read_json_lines(path, error):
        try:
            records.append(kind.model_validate(value))
        except ValidationError as problem:
            raise error(f"{path}:{number}: {validation_message(problem)}") from problem
    return records


def json_line(value: object) -> str:
    """One line of JSON, newline included, keys in the order given."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")) + "\n"


def write_records(path: Path, records: Iterable[BaseModel | dict[str, Any]]) -> None:
    """Write a JSON Lines file, whole or not at all.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    with writing_lines(path) as write:
        for record in records:
            write(record)


@contextmanager
def writing_lines(path: Path) -> Generator[Callable[[BaseModel | dict[str, Any]], None]]:
    """As :func:`write_records`, a line at a time: none of it is kept in memory."""
    with _replacing(path) as file:

        def write(record: BaseModel | dict[str, Any]) -> None:
            file.write(json_line(record if isinstance(record, dict) else record.model_dump(mode="json")))

        yield write


def cut_torn_end(path: Path) -> None:
    """Take an unfinished last line, left by a killed process, off an append-only file."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end, chunk = size, 1 << 16
        while end > 0:
            start = max(0, end - chunk)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            file.truncate(end)


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` so that a reader sees the old file or the new one, never a part.

    The rename is made durable as well, so a done-mark written after it can be trusted after a power cut.

    Raises:
        DataError: the disk is full, or the folder cannot be written.
    """
    with _replacing(path) as file:
        file.write(text)


@contextmanager
def _replacing(path: Path) -> Generator[TextIO]:
    """A file that takes the place of ``path``, durably, when the block ends well; otherwise nothing of it is left."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror}; free some space and run again") from problem


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
