"""What is trained on, with its place in the files, and the faults that need no tokenizer to be seen."""

import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, ValidationError

from seedtune.config import Config
from seedtune.domains import Domain
from seedtune.domains.asked import guard_of
from seedtune.domains.computed import computed_tasks
from seedtune.errors import DataError
from seedtune.records import SeedTask, Task, read_json_lines, validation_message
from seedtune.review_decisions import REVIEW, read_reviewed
from seedtune.similarity import RougeIndex
from seedtune.train.dataset import Example, split_examples

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Task)

NEAR = 0.8
"""ROUGE-L F above which a held-out prompt counts as one that is trained on."""
PAIRS = 20_000_000
"""So many pairs of prompts are compared by ROUGE-L, in some seconds; beyond it only a part of the held-out ones."""
PLACES = 5
"""So many places are named in a finding."""

_MISSING = frozenset({"nan", "none", "null", "n/a", "<na>"})
_ODD: dict[str, re.Pattern[str]] = {
    "control characters": re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"),
    "U+FFFD, the mark of text decoded wrongly": re.compile("\ufffd"),
    "a byte order mark or bidirectional overrides": re.compile("[\ufeff\u202a-\u202e\u2066-\u2069]"),
    "carriage returns (line ends of Windows)": re.compile(r"\r"),
}


@dataclass(frozen=True)
class Finding:
    """One kind of fault."""

    level: Literal["error", "warning"]
    """An error stops training."""
    check: str
    """Name of the check that found it."""
    message: str
    places: tuple[str, ...] = ()
    """``file:line`` of the first :data:`PLACES`."""
    count: int = 1
    """How many there are."""

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.places) else ""
        return f"{self.check}: {self.message}" + (f" ({', '.join(self.places)}{more})" if self.places else "")


@dataclass(frozen=True)
class Corpus:
    """Examples without repeats, in the order in which training takes them."""

    examples: tuple[Example, ...]
    places: Mapping[str, str]
    """``file:line`` of an example, by its task's id."""

    def place(self, example: Example) -> str:
        """Where an example stands."""
        return self.places[example.task.id]

    def finding(
        self, level: Literal["error", "warning"], check: str, message: str, examples: Sequence[Example]
    ) -> Iterator[Finding]:
        """One finding for all these examples; none where there are none. ``{}`` in the message is their number."""
        if examples:
            places = tuple(self.place(example) for example in examples[:PLACES])
            yield Finding(level, check, message.format(f"{len(examples):,}"), places, len(examples))


class _Generated(Task):
    """What is read of a line of ``generate/instructions.jsonl``."""

    model_config = ConfigDict(extra="ignore")

    pack: str


def generated_file(config: Config) -> Path | None:
    """The run's generated instructions; None where there are none yet."""
    path = config.run_dir / "generate" / "instructions.jsonl"
    return path if path.is_file() else None


def read_corpus(config: Config, domain: Domain, generated: Path | None) -> tuple[Corpus, list[Finding]]:
    """Read seeds, generated instructions, the user's own data and computed tasks, in this order.

    Args:
        config: Of the run.
        domain: The config's.
        generated: The run's generated instructions, as people left them; None reads none.

    Returns:
        The examples without repeats, and what is wrong with the files: a line that is no example, a repeat, no row.

    Raises:
        DataError: a file is missing, or is no JSON Lines.
        ConfigError, DomainError: computed tasks are asked for, and there are none.
    """
    entries: list[tuple[str, Example]] = []
    findings: list[Finding] = []
    if config.train.include_seeds:
        for pack in domain.select_packs(config.generate.packs):
            seeds = zip(pack.lines, pack.seeds, strict=True)
            entries += [(f"{pack.seeds_path.name}:{line}", Example(seed, "seed", pack.name)) for line, seed in seeds]
    if generated is not None:
        read, faults = _read(
            _reviewed(generated.parent), _Generated, lambda task: Example(task, "generated", task.pack)
        )
        entries, findings = entries + read, findings + faults
    for path in config.train.data:
        lines = ((f"{path.name}:{number}", value) for number, value in read_json_lines(path))
        read, faults = _read(lines, SeedTask, lambda task, pack=path.stem: Example(task, "data", pack))
        entries, findings = entries + read, findings + faults
        if not read and not faults:
            findings.append(Finding("warning", "source", f"{path}: there is no row in this file"))
    computed = [Example(task, "computed", task.family) for task in computed_tasks(config, domain)]
    entries += [(f"{example.pack} task {number}", example) for number, example in enumerate(computed, 1)]
    if not entries:
        message = "there is not one row to train on: generate instructions, or set train.include_seeds or train.data"
        findings.append(Finding("error", "source", message, tuple(path.name for path in config.train.data)))
    corpus, repeats = _without_repeats(entries)
    return corpus, [*findings, *repeats]


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Stop where an error is among the findings.

    Raises:
        DataError: with a line for each.
    """
    if errors := [str(finding) for finding in findings if finding.level == "error"]:
        raise DataError("\n".join(errors))


def _reviewed(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """What was generated, as people left it, with the place of each line."""
    reviewed = read_reviewed(folder)
    lines = [(line.place, line.task) for line in reviewed]
    if reviewed.decisions.digest():
        counts = [reviewed.counts[what] for what in ("removed", "edited", "added")]
        logger.info("train: people took out %d generated rows, changed %d and added %d (%s)", *counts, REVIEW)
    return lines


def _without_repeats(entries: Iterable[tuple[str, Example]]) -> tuple[Corpus, list[Finding]]:
    unique: dict[str, tuple[str, Example]] = {}
    repeats: list[str] = []
    for place, example in entries:
        first, _ = unique.setdefault(example.task.id, (place, example))
        if first != place:
            repeats.append(f"{place} = {first}")
    examples = tuple(example for _, example in unique.values())
    corpus = Corpus(examples, {key: place for key, (place, _) in unique.items()})
    if not repeats:
        return corpus, []
    message = f"{len(repeats):,} rows stand in the data before; each is trained on once"
    return corpus, [Finding("warning", "duplicates", message, tuple(repeats[:PLACES]), len(repeats))]


def _read(
    lines: Iterable[tuple[str, dict[str, Any]]], kind: type[T], example: Callable[[T], Example]
) -> tuple[list[tuple[str, Example]], list[Finding]]:
    entries: list[tuple[str, Example]] = []
    faults: dict[str, list[str]] = defaultdict(list)
    for place, value in lines:
        try:
            entries.append((place, example(kind.model_validate(value))))
        except ValidationError as problem:
            faults[_explained(problem, value)].append(place)
    return entries, [
        Finding("error", "schema", fault, tuple(places[:PLACES]), len(places)) for fault, places in faults.items()
    ]


def _explained(problem: ValidationError, value: dict[str, Any]) -> str:
    nan = [key for key, cell in value.items() if isinstance(cell, float) and math.isnan(cell)]
    if nan:
        return (
            f"{', '.join(nan)}: NaN, an empty cell of a table, where text is expected; write the text or drop the row"
        )
    return validation_message(problem)


def check_texts(config: Config, domain: Domain, corpus: Corpus) -> Iterator[Finding]:
    """Everything that can be said of the examples without a tokenizer."""
    yield from _answers_that_are_none(corpus)
    yield from _contradictions(corpus)
    yield from _odd_characters(corpus)
    yield from _held_out_again(config, corpus)
    yield from _contamination(config, domain, corpus)


def _answers_that_are_none(corpus: Corpus) -> Iterator[Finding]:
    bare = [example for example in corpus.examples if example.task.output.strip().casefold() in _MISSING]
    message = "{} answers are nothing but 'nan', 'none' or 'null': was an empty cell turned into text?"
    yield from corpus.finding("warning", "missing", message, bare)


def _contradictions(corpus: Corpus) -> Iterator[Finding]:
    answers: dict[str, list[Example]] = defaultdict(list)
    for example in corpus.examples:
        answers[_plain(example.task.prompt)].append(example)
    repeated = [example for group in answers.values() for example in group[1:]]
    yield from corpus.finding(
        "warning", "duplicates", "{} rows ask what another row asks, and answer otherwise", repeated
    )


def _odd_characters(corpus: Corpus) -> Iterator[Finding]:
    texts = [(example, f"{example.task.prompt}\n{example.task.output}") for example in corpus.examples]
    for name, pattern in _ODD.items():
        found = [example for example, text in texts if pattern.search(text)]
        yield from corpus.finding("warning", "characters", f"{{}} rows hold {name}", found)


def _held_out_again(config: Config, corpus: Corpus) -> Iterator[Finding]:
    """Held-out rows whose prompt is trained on as well: they make the held-out loss look better than it is."""
    training, held_out = split_examples(corpus.examples, config.train.held_out, config.seed)
    trained = {_plain(example.task.prompt) for example in training}
    again = [example for example in held_out if _plain(example.task.prompt) in trained]
    yield from corpus.finding("warning", "held-out", "{} held-out rows have the prompt of a training row", again)
    index = RougeIndex()
    for example in training:
        index.add(example.task.id, example.task.prompt)
    # Computed tasks of a family share their words, and differ in the numbers.
    others = [
        example for example in held_out if example.source != "computed" and _plain(example.task.prompt) not in trained
    ]
    step = max(1, math.ceil(len(others) * len(training) / PAIRS))
    near = [example for example in others[::step] if index.nearest(example.task.prompt).score > NEAR]
    compared = f" of the {len(others[::step]):,} compared" if step > 1 else ""
    message = f"{{}} held-out rows{compared} have nearly the prompt of a training row (ROUGE-L above {NEAR})"
    yield from corpus.finding("warning", "held-out", message, near)


def _contamination(config: Config, domain: Domain, corpus: Corpus) -> Iterator[Finding]:
    """Rows that resemble an item that the config's evaluation may ask, of the domain, of ``general`` or the user's own.

    The item's own words are an error unless the config allows them.
    """
    guard = guard_of(domain, config.evaluate)
    hits = [(example, hit) for example in corpus.examples if (hit := guard.hit(example.task)) is not None]
    same = [(example, hit.suite) for example, hit in hits if hit.how != "rouge-l"]
    alike = [example for example, hit in hits if hit.how == "rouge-l"]
    level = "error" if config.generate.decontaminate else "warning"
    suites = _spelt_out(", ".join(dict.fromkeys(suite for _, suite in same)))
    message = (
        f"{{}} rows hold an evaluation item's words ({suites}); take them out, or set generate.decontaminate=false"
    )
    yield from corpus.finding(level, "contamination", message, [example for example, _ in same])
    yield from corpus.finding("warning", "contamination", "{} rows resemble an evaluation item (ROUGE-L)", alike)


def _spelt_out(text: str) -> str:
    """Text that ``str.format`` leaves as it is."""
    return text.replace("{", "{{").replace("}", "}}")


def _plain(prompt: str) -> str:
    return " ".join(prompt.casefold().split())
