"""Read a domain folder. Every fault is a DomainError that names file and line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from seedtune.domains.canary import canary_of
from seedtune.domains.description import (
    DomainFile,
    PackFiles,
    Split,
    SuiteFiles,
    SuiteType,
    read_description,
    read_text,
)
from seedtune.errors import ConfigError, DomainError, SeedtuneError
from seedtune.records import (
    ClozeItem,
    CodeItem,
    ConstraintItem,
    EvalItem,
    ExactItem,
    OpenItem,
    Record,
    SeedTask,
    TrueFalseItem,
    content_id,
    read_json_lines,
    validation_message,
)
from seedtune.yaml_tree import hint

_SHIPPED = Path(__file__).parent
T = TypeVar("T")
R = TypeVar("R", bound=Record)

Item = EvalItem | ClozeItem | OpenItem | ExactItem | CodeItem | ConstraintItem


@dataclass(frozen=True)
class Pack:
    """A prompt and its seed tasks."""

    name: str
    prompt: str
    seeds: tuple[SeedTask, ...]
    seeds_path: Path
    lines: tuple[int, ...] = ()
    """Line of each seed task in its file."""


@dataclass(frozen=True)
class ItemFile:
    """The items of one split of a suite."""

    path: Path
    items: tuple[Item, ...]
    lines: tuple[int, ...] = ()
    """Line of each item in the file."""
    canary: str | None = None
    """The sentence of the first line, if that is a canary."""


@dataclass(frozen=True)
class Suite:
    """Evaluation items of one type, split into files."""

    name: str
    type: SuiteType
    files: dict[Split, ItemFile]

    @property
    def items(self) -> tuple[Item, ...]:
        """All items, ``test`` before ``dev``."""
        return tuple(item for file in self.files.values() for item in file.items)

    @property
    def choices(self) -> tuple[EvalItem, ...]:
        """The items with fixed options; none in a suite without options."""
        return tuple(item for item in self.items if isinstance(item, EvalItem))

    def only(self, split: Split) -> "Suite":
        """This suite with the items of one split; without any where it has no such file."""
        return Suite(self.name, self.type, {name: file for name, file in self.files.items() if name == split})


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
            ConfigError: a name the domain does not have.
            DomainError: a domain that is only evaluated on.
        """
        if not self.packs:
            raise DomainError(
                f"{self.folder / 'domain.yaml'}: the domain {self.name} has no packs, so there is nothing to generate "
                "from or to train on; choose a domain with packs, or add 'packs:'"
            )
        return [_lookup(self.packs, name, "pack", self.folder, error=ConfigError) for name in names or self.packs]

    def select_suites(self, names: tuple[str, ...] | None) -> list[Suite]:
        """The named suites in the order given; all of them for None.

        Raises:
            ConfigError: a name the domain does not have.
        """
        return [_lookup(self.suites, name, "suite", self.folder, error=ConfigError) for name in names or self.suites]

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
    file = read_description(folder / "domain.yaml")
    packs = {name: _read_pack(folder, name, files) for name, files in file.packs.items()}
    suites = {name: _read_suite(folder, name, files) for name, files in file.suites.items()}
    for name in file.requirements.seeds:
        _lookup(packs, name, "pack", folder, "requirements.seeds: ")
    for name in file.requirements.items:
        _lookup(suites, name, "suite", folder, "requirements.items: ")
    return Domain(folder, file, packs, suites)


def file_inside(folder: Path, name: str, key: str) -> Path:
    """The file that a key of ``domain.yaml`` names.

    Raises:
        DomainError: there is none, or it lies outside the folder.
    """
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DomainError(f"{folder / 'domain.yaml'}: {key}: {name} lies outside the domain folder")
    if not path.is_file():
        raise DomainError(f"{folder / 'domain.yaml'}: {key}: there is no file {name}")
    # Where domain.yaml gives an absolute path, places are still named below the folder.
    return folder / path.relative_to(folder.resolve())


def _read_pack(folder: Path, name: str, files: PackFiles) -> Pack:
    prompt_path = file_inside(folder, files.prompt, f"packs.{name}.prompt")
    seeds_path = file_inside(folder, files.seeds, f"packs.{name}.seeds")
    prompt = read_text(prompt_path).strip()
    if not prompt:
        raise DomainError(f"{prompt_path}: the prompt is empty; say who the teacher is and what its tasks are about")
    seeds = _read_lines(seeds_path, read_json_lines(seeds_path, DomainError), SeedTask)
    if not seeds:
        raise DomainError(f'{seeds_path}: no seed task; write some lines of {{"instruction", "input", "output"}}')
    return Pack(name, prompt, tuple(seeds.values()), seeds_path, tuple(seeds))


def _read_suite(folder: Path, name: str, files: SuiteFiles) -> Suite:
    read: dict[Split, ItemFile] = {}
    for split, file in files.splits.items():
        key = "items" if files.items and split == "test" else split
        read[split] = read_items(file_inside(folder, file, f"suites.{name}.{key}"), files.type)
    return Suite(name, files.type, read)


def read_items(path: Path, kind: SuiteType) -> ItemFile:
    """The items of a file, with its canary if the first line is one.

    Raises:
        DomainError: it cannot be read, is empty or has a broken line; the message names file and line.
    """
    lines = list(read_json_lines(path, DomainError))
    canary = canary_of(lines[0][1]) if lines else None
    lines = lines[canary is not None :]
    for number, value in lines:
        if "canary" in value:
            raise DomainError(f'{path}:{number}: a canary is the first line of its file: {{"canary": "..."}} alone')
    readers: dict[SuiteType, Callable[[], dict[int, Item]]] = {
        "multiple_choice": lambda: dict(_read_lines(path, lines, EvalItem)),
        "true_false": lambda: {n: item.as_choice() for n, item in _read_lines(path, lines, TrueFalseItem).items()},
        "cloze": lambda: dict(_read_lines(path, lines, ClozeItem)),
        "open": lambda: dict(_read_lines(path, lines, OpenItem)),
        "exact": lambda: dict(_read_lines(path, lines, ExactItem)),
        "code": lambda: dict(_read_lines(path, lines, CodeItem)),
        "constraints": lambda: dict(_read_lines(path, lines, ConstraintItem)),
    }
    items = readers[kind]()
    if not items:
        raise DomainError(f"{path}: no item in this suite; write some or take the suite out of domain.yaml")
    return ItemFile(path, tuple(items.values()), tuple(items), canary)


def _read_lines(path: Path, lines: Iterable[tuple[int, dict[str, object]]], kind: type[R]) -> dict[int, R]:
    """Line number to record; all broken lines in one error."""
    records: dict[int, R] = {}
    faults: list[str] = []
    for number, value in lines:
        try:
            records[number] = kind.model_validate(value)
        except ValidationError as problem:
            faults.append(f"{path}:{number}: {validation_message(problem)}")
    if faults:
        raise DomainError("\n".join(faults))
    return records


def _lookup(
    known: dict[str, T], name: str, what: str, folder: Path, key: str = "", error: type[SeedtuneError] = DomainError
) -> T:
    if name not in known:
        raise error(f"{folder / 'domain.yaml'}: {key}no {what} '{name}'; {hint(name, known)}")
    return known[name]
