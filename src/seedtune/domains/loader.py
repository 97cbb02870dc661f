"""Read a domain folder. Every fault is a DomainError that names file and line."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seedtune.errors import DomainError
from seedtune.records import ClozeItem, EvalItem, OpenItem, SeedTask, TrueFalseItem, content_id, read_records

_SHIPPED = Path(__file__).parent
T = TypeVar("T")

SuiteType = Literal["multiple_choice", "true_false", "cloze", "open"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PackFiles(_Part):
    """Where a prompt pack lies, relative to the domain folder."""

    prompt: str
    """Markdown: the teacher's system text."""
    seeds: str
    """JSON Lines of seed tasks."""


class SuiteFiles(_Part):
    """Where an evaluation suite lies, and what its lines are."""

    type: SuiteType
    items: str


class FilterRules(_Part):
    """The domain's own filter rules for generated tasks."""

    blocked_words: tuple[str, ...] = ()
    """An instruction with one of these words (whole words, any case) is rejected: what a text model cannot do."""


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
    packs: dict[str, PackFiles] = Field(min_length=1)
    suites: dict[str, SuiteFiles] = {}
    filters: FilterRules = FilterRules()
    showcase: tuple[str, ...] = ()
    """Open questions that base and tuned model answer side by side in the report."""


_PARTS: dict[str, type[_Part]] = {"packs": PackFiles, "suites": SuiteFiles, "filters": FilterRules}
"""What stands below the keys of ``domain.yaml`` that have keys of their own."""


@dataclass(frozen=True)
class Pack:
    """A prompt and its seed tasks."""

    name: str
    prompt: str
    seeds: tuple[SeedTask, ...]
    seeds_path: Path


@dataclass(frozen=True)
class Suite:
    """Evaluation items of one type."""

    name: str
    type: SuiteType
    items: tuple[EvalItem | ClozeItem | OpenItem, ...]
    path: Path

    @property
    def choices(self) -> tuple[EvalItem, ...]:
        """The items with fixed options; none in a cloze or open suite."""
        return tuple(item for item in self.items if isinstance(item, EvalItem))


@dataclass(frozen=True)
class Domain:
    """A domain, read and checked line by line."""

    folder: Path
    file: DomainFile
    packs: dict[str, Pack]
    suites: dict[str, Suite]

    @property
    def name(self) -> str:
        """The domain's name, a word."""
        return self.file.name

    def select_packs(self, names: tuple[str, ...] | None) -> list[Pack]:
        """The named packs in the order given; all of them for None.

        Raises:
            DomainError: a name the domain does not have.
        """
        return [_lookup(self.packs, name, "pack", self.folder) for name in names or self.packs]

    def select_suites(self, names: tuple[str, ...] | None) -> list[Suite]:
        """The named suites in the order given; all of them for None.

        Raises:
            DomainError: a name the domain does not have.
        """
        return [_lookup(self.suites, name, "suite", self.folder) for name in names or self.suites]

    def content_id(self, packs: list[Pack]) -> str:
        """Identity of all that shapes the generated data: the prompts, the seeds and the filter rules."""
        return content_id(
            [(pack.name, pack.prompt, [seed.id for seed in pack.seeds]) for pack in packs],
            self.file.filters.model_dump(mode="json"),
        )


def shipped_domains() -> list[str]:
    """Names of the domains that come with seedtune."""
    return sorted(path.parent.name for path in _SHIPPED.glob("*/domain.yaml") if path.parent.name != "template")


def domain_folder(name_or_path: str) -> Path:
    """The folder of a shipped domain or of a path.

    Raises:
        DomainError: there is no such domain.
    """
    if name_or_path in shipped_domains():
        return _SHIPPED / name_or_path
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError:  # "~somebody" whom this machine does not know is a path like any other.
        path = Path(name_or_path)
    if (path / "domain.yaml").is_file():
        return path
    if path.is_dir():
        raise DomainError(f"{path}: no domain.yaml in this folder; 'seedtune domains new DIR' makes a domain that runs")
    shipped = ", ".join(shipped_domains())
    raise DomainError(f"no domain '{name_or_path}': give a shipped one ({shipped}) or the path of a domain folder")


def load_domain(name_or_path: str) -> Domain:
    """Read a domain whole.

    Raises:
        DomainError: a file is missing, empty or has a broken line; the message names file and line.
    """
    folder = domain_folder(name_or_path)
    file = _read_domain_file(folder / "domain.yaml")
    packs = {name: _read_pack(folder, name, files) for name, files in file.packs.items()}
    suites = {name: _read_suite(folder, name, files) for name, files in file.suites.items()}
    return Domain(folder, file, packs, suites)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise DomainError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise DomainError(f"{path}: is not UTF-8 (byte {problem.start}); save it as UTF-8") from problem


def _read_domain_file(path: Path) -> DomainFile:
    text = _read_text(path)
    try:
        tree: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 0
        raise DomainError(f"{path}:{line}: not valid YAML: {problem.problem}") from problem
    except (yaml.YAMLError, ValueError) as problem:  # a character YAML forbids; a date that is none
        raise DomainError(f"{path}: not valid YAML: {problem}") from problem
    try:
        return DomainFile.model_validate(tree)
    except ValidationError as problem:
        raise DomainError(_explain(problem, path, yaml.compose(text, Loader=yaml.SafeLoader))) from problem


def _explain(problem: ValidationError, path: Path, root: yaml.Node | None) -> str:
    """One line for each finding; an unknown key with its line and the nearest right one."""
    findings: list[str] = []
    for found in problem.errors(include_url=False):
        place = tuple(str(part) for part in found["loc"])
        dotted = ".".join(place)
        if found["type"] == "extra_forbidden":
            *above, key = place
            hint = _hint(key, (_PARTS[above[0]] if above else DomainFile).model_fields)
            findings.append(f"{path}:{_key_line(root, place)}: unknown key '{dotted}'; {hint}")
        else:
            # Pydantic's own words would name the class.
            said = "expected keys and values" if found["type"] == "model_type" else found["msg"]
            findings.append(f"{path}: {dotted}: {said[0].lower()}{said[1:]}" if place else f"{path}: {said}")
    return "\n".join(findings)


def _key_line(node: yaml.Node | None, place: tuple[str, ...]) -> int:
    """Line of the key at ``place``, from 1; of the nearest key above it where YAML merged it in from elsewhere."""
    line = 1
    for part in place:
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
    return line


def _inside(folder: Path, name: str, what: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DomainError(f"{folder / 'domain.yaml'}: {what}: {name} lies outside the domain folder")
    if not path.is_file():
        raise DomainError(f"{folder / 'domain.yaml'}: {what}: there is no file {name}")
    # Where domain.yaml gives an absolute path, places are still named below the folder.
    return folder / path.relative_to(folder.resolve())


def _read_pack(folder: Path, name: str, files: PackFiles) -> Pack:
    prompt_path = _inside(folder, files.prompt, f"packs.{name}.prompt")
    seeds_path = _inside(folder, files.seeds, f"packs.{name}.seeds")
    prompt = _read_text(prompt_path).strip()
    if not prompt:
        raise DomainError(f"{prompt_path}: the prompt is empty; say who the teacher is and what its tasks are about")
    seeds = tuple(read_records(seeds_path, SeedTask, DomainError))
    if not seeds:
        raise DomainError(f'{seeds_path}: no seed task; write some lines of {{"instruction", "input", "output"}}')
    return Pack(name, prompt, seeds, seeds_path)


def _read_suite(folder: Path, name: str, files: SuiteFiles) -> Suite:
    path = _inside(folder, files.items, f"suites.{name}.items")
    readers: dict[SuiteType, Callable[[], Sequence[EvalItem | ClozeItem | OpenItem]]] = {
        "multiple_choice": lambda: read_records(path, EvalItem, DomainError),
        "true_false": lambda: [item.as_choice() for item in read_records(path, TrueFalseItem, DomainError)],
        "cloze": lambda: read_records(path, ClozeItem, DomainError),
        "open": lambda: read_records(path, OpenItem, DomainError),
    }
    items = readers[files.type]()
    if not items:
        raise DomainError(f"{path}: no item in this suite; write some or take the suite out of domain.yaml")
    return Suite(name, files.type, tuple(items), path)


def _lookup(known: dict[str, T], name: str, what: str, folder: Path) -> T:
    if name not in known:
        raise DomainError(f"{folder / 'domain.yaml'}: no {what} '{name}'; {_hint(name, known)}")
    return known[name]


def _hint(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"
