"""What would leave this machine, file by file, and what keeps it from leaving.

Files are named one by one: what is not listed here (the journal, the config, rejected candidates, checkpoints with
optimizer states, metrics) stays.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from seedtune import runs
from seedtune.domains import Domain
from seedtune.errors import DataError
from seedtune.publish import dataset_card
from seedtune.publish.leaks import keys_in
from seedtune.records import writing_lines

Kind = Literal["dataset", "model"]
CARD = dataset_card.CARD
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json"),
)
_WHOLE = ("config.json", "generation_config.json", "model.safetensors.index.json", *TOKENIZER_FILES)
_WEIGHTS = (".safetensors", ".parquet")
"""Files that are no text."""


@dataclass(frozen=True)
class Upload:
    """One file of a repository."""

    name: str
    """Its path there."""
    content: Path | bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    def lines(self) -> Iterator[str]:
        """The lines of a text file; none of a file of weights."""
        if self.name.endswith(_WEIGHTS):
            return
        if isinstance(self.content, bytes):
            yield from self.content.decode("utf-8", "replace").split("\n")
            return
        with self.content.open(encoding="utf-8", errors="replace", newline="\n") as file:
            yield from file


@dataclass(frozen=True)
class Plan:
    """The content of a repository."""

    kind: Kind
    uploads: tuple[Upload, ...]
    stays: tuple[str, ...]
    """Files beside them that do not leave."""

    @property
    def front_matter(self) -> dict[str, Any]:
        """Of its card."""
        card = next(upload for upload in self.uploads if upload.name == CARD)
        return front_matter("\n".join(card.lines()), CARD)


def dataset_plan(run: runs.Run, domain: Domain, repo: str | None) -> Plan:
    """The dataset as people left it, with a card made for these rows.

    The rows are written below ``export/``, as those of every other format.

    Args:
        run: The run.
        domain: The domain that it was generated for.
        repo: Where it goes; None leaves its name open.

    Raises:
        DataError: nothing is generated yet, or a file is broken.
    """
    folder, rows = dataset_card.generated(run), run.path / "export" / dataset_card.DATA
    with writing_lines(rows) as write:
        card = dataset_card.compose(run, domain, repo or dataset_card.HUB_ID, write)
    counts = json.dumps(card.funnel, indent=2) + "\n"
    uploads = (
        Upload(CARD, card.text.encode()),
        Upload(dataset_card.DATA, rows),
        Upload(dataset_card.FUNNEL, counts.encode()),
        *(Upload(name, f"{picture}\n".encode()) for name, picture in card.drawn.items() if picture),
    )
    return Plan("dataset", uploads, _staying(folder, uploads))


def adapter_plan(folder: Path, card: str, config: bytes) -> Plan:
    """The adapter with its tokenizer and card; ``config`` stands in for its ``adapter_config.json``."""
    plan = _plan("model", folder, (runs.WEIGHTS, runs.SETTINGS, *TOKENIZER_FILES), card)
    uploads = [Upload(u.name, config) if u.name == "adapter_config.json" else u for u in plan.uploads]
    return Plan("model", tuple(uploads), plan.stays)


def whole_plan(folder: Path, card: str) -> Plan:
    """A whole model with its tokenizer and card."""
    weights = sorted(path.name for path in folder.glob("model*.safetensors"))
    return _plan("model", folder, (*weights, *_WHOLE), card)


def _plan(kind: Kind, folder: Path, names: tuple[str, ...], card: str) -> Plan:
    uploads = [
        Upload(CARD, card.encode()),
        *(Upload(name, folder / name) for name in names if (folder / name).is_file()),
    ]
    return Plan(kind, tuple(uploads), _staying(folder, uploads))


def _staying(folder: Path, uploads: Iterable[Upload]) -> tuple[str, ...]:
    leaving = {upload.name for upload in uploads}
    return tuple(sorted(path.name for path in folder.iterdir() if path.name not in leaving))


def check(plan: Plan) -> list[str]:
    """What forbids the upload: keys in a text file, with file and line; a card that the hub would not read right."""
    faults = [
        f"{upload.name}:{number}: looks like {kind}; take it out, and make that key invalid if it is one"
        for upload in plan.uploads
        for number, kind in keys_in(upload.lines())
    ]
    return faults + _faults_of_card(plan)


def _faults_of_card(plan: Plan) -> list[str]:
    try:
        matter = plan.front_matter
    except DataError as problem:
        return [str(problem)]
    needed = ("license", "configs") if plan.kind == "dataset" else ("license", "base_model", "library_name")
    faults = [f"{CARD}: its front matter lacks '{key}'" for key in needed if not matter.get(key)]
    there = {upload.name for upload in plan.uploads}
    for config in matter.get("configs") or ():
        for file in config.get("data_files", ()):
            if file["path"] not in there:
                faults.append(f"{CARD}: its front matter names the file {file['path']}, which is not uploaded")
    return faults


def front_matter(text: str, place: str) -> dict[str, Any]:
    """The YAML that a card begins with, between two lines of ``---``.

    Raises:
        DataError: there is none, or it is no mapping.
    """
    parts = text.split("---\n", 2)
    if len(parts) < 3 or parts[0].strip():
        raise DataError(f"{place}: does not begin with front matter (YAML between two lines of ---)")
    try:
        matter: object = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError) as problem:
        raise DataError(f"{place}: its front matter is not valid YAML: {problem}") from problem
    if not isinstance(matter, dict):
        raise DataError(f"{place}: its front matter is no mapping, such as 'license: mit'")
    return cast("dict[str, Any]", matter)
