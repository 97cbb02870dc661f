"""``domain.yaml``: what a domain folder says about itself. Every fault is a DomainError that names file and line."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from seedtune.errors import DomainError
from seedtune.yaml_tree import Place, hint, line_of, read_yaml

SuiteType = Literal["multiple_choice", "true_false", "cloze", "open", "exact", "code", "constraints"]
Split = Literal["test", "dev"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PackFiles(_Part):
    """Where a prompt pack lies, relative to the domain folder."""

    prompt: str
    """Markdown: the teacher's system text."""
    seeds: str
    """JSON Lines of seed tasks."""
    reviews: str | None = None
    """JSON Lines with what came of the review of each seed task."""
    programs: bool = False
    """Answers hold programs, which the domain's ``programs.py`` runs; generated ones before they are kept."""


class SuiteFiles(_Part):
    """Where an evaluation suite lies: ``test`` with or without ``dev``, or one file ``items``."""

    type: SuiteType
    """What its lines are."""
    test: str | None = None
    """JSON Lines of the items that results are reported on."""
    dev: str | None = None
    """JSON Lines of the items that checkpoints and settings are chosen by."""
    items: str | None = None
    """The one file of a suite that is not split; the same as ``test`` alone."""
    reviews: str | None = None
    """JSON Lines with what came of the review of each item."""

    @model_validator(mode="after")
    def _one_test_file(self) -> Self:
        if (self.test is None) == (self.items is None) or (self.items and self.dev):
            raise ValueError("name its files as 'test: FILE' and 'dev: FILE', or one file as 'items: FILE'")
        if self.dev == self.test and self.dev is not None:
            raise ValueError("dev and test are the same file")
        return self

    @property
    def splits(self) -> dict[Split, str]:
        """The file of each split there is."""
        test = self.test or self.items or ""
        return {"test": test} if self.dev is None else {"test": test, "dev": self.dev}


class FilterRules(_Part):
    """The domain's own filter rules for generated tasks."""

    blocked_words: tuple[str, ...] = ()
    """An instruction with one of these words (whole words, any case) is rejected: what a text model cannot do."""


class Requirements(_Part):
    """What the lint holds this domain to, beyond what it checks in every one. What is not set is not asked for."""

    seeds: dict[str, PositiveInt] = {}
    """Pack: how many seed tasks it has at least."""
    items: dict[str, PositiveInt] = {}
    """Suite: how many items it has at least, test and dev together."""
    items_per_topic: int = Field(default=0, ge=0)
    """How many items each topic has at least, over all suites."""
    level_share: float = Field(default=0, ge=0, le=1 / 3)
    """Smallest share of each level in each suite."""
    input_share: float = Field(default=0, ge=0, le=1)
    """Smallest share of the seed tasks that have an input."""
    dev_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of each suite's items in ``dev``."""


class DomainFile(_Part):
    """The content of ``domain.yaml``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str = Field(min_length=1)
    description: str = ""
    licence: str = ""
    """Licence of the folder's content."""
    system_prompt: str | None = None
    """Put before every question in training and evaluation; None leaves it to the model's chat template."""
    topics: dict[str, str] = {}
    """Topic name: one line that says what belongs to it. Empty: topics are free words."""
    packs: dict[str, PackFiles] = {}
    """Without any, the domain is one to evaluate on, and nothing is generated for it."""
    suites: dict[str, SuiteFiles] = {}
    citations: str | None = None
    """JSON: source, such as ``RFC 4271``, to the list of its section numbers. The lint then finds any other section."""
    requirements: Requirements = Requirements()
    filters: FilterRules = FilterRules()
    showcase: tuple[str, ...] = ()
    """Open questions that base and tuned model answer side by side in the report."""

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not self.packs and not self.suites:
            raise ValueError("a domain has packs to generate from, or suites to evaluate on, or both; it has neither")
        return self


_PARTS: dict[str, type[_Part]] = {
    "packs": PackFiles,
    "suites": SuiteFiles,
    "requirements": Requirements,
    "filters": FilterRules,
}
"""What stands below the keys of ``domain.yaml`` that have keys of their own."""


def read_text(path: Path) -> str:
    """A file of a domain.

    Raises:
        DomainError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise DomainError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise DomainError(f"{path}: is not UTF-8 (byte {problem.start}); save it as UTF-8") from problem


def read_description(path: Path) -> DomainFile:
    """Read ``domain.yaml``.

    Raises:
        DomainError: it is no valid YAML, or a key is missing, unknown or of the wrong type.
    """
    tree, lines = read_yaml(read_text(path), str(path), DomainError, "name: my-domain")
    try:
        return DomainFile.model_validate(tree)
    except ValidationError as problem:
        raise DomainError(_explain(problem, path, lines)) from problem


def _explain(problem: ValidationError, path: Path, lines: dict[Place, int]) -> str:
    """One line for each finding; an unknown key with its line and the nearest right one."""
    findings: list[str] = []
    for found in problem.errors(include_url=False):
        place = tuple(str(part) for part in found["loc"])
        dotted = ".".join(place)
        if found["type"] == "extra_forbidden":
            *above, key = place
            known = (_PARTS[above[0]] if above else DomainFile).model_fields
            findings.append(f"{path}:{line_of(place, lines) or 1}: unknown key '{dotted}'; {hint(key, known)}")
        else:
            # Pydantic's own words would name the class.
            said = "expected keys and values" if found["type"] == "model_type" else found["msg"]
            said = said.removeprefix("Value error, ")
            findings.append(f"{path}: {dotted}: {said[0].lower()}{said[1:]}" if place else f"{path}: {said}")
    return "\n".join(findings)
