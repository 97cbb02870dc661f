"""What the checks look at: every seed task and item with its place, and the faults they find."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedtune.domains.description import Split
from seedtune.domains.loader import Domain, Item, ItemFile, Suite
from seedtune.records import SeedTask


@dataclass(frozen=True)
class Finding:
    """One fault in a domain."""

    level: Literal["error", "warning"]
    place: str
    """``file:line`` below the domain folder, or a file."""
    message: str
    check: str = ""
    """Name of the check that found it."""


@dataclass(frozen=True)
class SeedAt:
    """A seed task and where it stands."""

    place: str
    pack: str
    task: SeedTask


@dataclass(frozen=True)
class ItemAt:
    """An evaluation item and where it stands."""

    place: str
    suite: str
    split: Split
    item: Item


@dataclass(frozen=True)
class Content:
    """A domain, laid out for the checks."""

    domain: Domain
    seeds: tuple[SeedAt, ...]
    items: tuple[ItemAt, ...]

    def files(self) -> Iterator[tuple[Suite, Split, ItemFile, str]]:
        """Every file of items: its suite, its split, itself, its place."""
        for suite in self.domain.suites.values():
            for split, file in suite.files.items():
                yield suite, split, file, self.place(file.path)

    def place(self, path: Path) -> str:
        """A path as it stands below the domain folder."""
        return str(path.relative_to(self.domain.folder))


Check = Callable[[Content], Iterable[Finding]]


def read_content(domain: Domain) -> Content:
    """Every record of a domain beside its place."""
    folder = domain.folder
    seeds = [
        SeedAt(f"{pack.seeds_path.relative_to(folder)}:{line}", pack.name, task)
        for pack in domain.packs.values()
        for line, task in zip(pack.lines, pack.seeds, strict=True)
    ]
    items = [
        ItemAt(f"{file.path.relative_to(folder)}:{line}", suite.name, split, item)
        for suite in domain.suites.values()
        for split, file in suite.files.items()
        for line, item in zip(file.lines, file.items, strict=True)
    ]
    return Content(domain, tuple(seeds), tuple(items))
