"""The dataset in the formats of other tools.

    messages   JSON Lines of {"messages": [{"role", "content"}, ...]}: TRL, Axolotl, OpenAI's fine-tuning
    sharegpt   JSON Lines of {"conversations": [{"from": "human", "value"}, ...]}: LLaMA-Factory, Axolotl, Unsloth
    alpaca     one JSON list of {"instruction", "input", "output"}: Stanford Alpaca and what reads its file
    parquet    a table of id, instruction, input, output, pack, origin

The first two begin with the domain's system prompt where it has one, as training does.
"""

import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seedtune import runs
from seedtune.domains import Domain
from seedtune.errors import DataError
from seedtune.records import Task, write_records
from seedtune.review_decisions import read_reviewed

Format = Literal["messages", "alpaca", "sharegpt", "parquet"]
FILES: dict[Format, str] = {
    "messages": "messages.jsonl",
    "alpaca": "alpaca.json",
    "sharegpt": "sharegpt.jsonl",
    "parquet": "instructions.parquet",
}
"""The file of each format, below ``export/`` in the run folder, where no other is named."""

_ROWS_PER_GROUP = 10_000


class Example(NamedTuple):
    """A task, and where it comes from."""

    task: Task
    pack: str
    origin: Literal["seed", "generated"]


def export(run: runs.Run, domain: Domain, to: Format, out: Path | None = None, with_seeds: bool = False) -> Path:
    """Write the dataset of a run in another format, whole or not at all.

    Args:
        run: The run; its ``generate/instructions.jsonl`` is read.
        domain: The run's domain.
        to: The format.
        out: The file; None is the format's own below the run folder.
        with_seeds: The seed tasks of the packs in use come first.

    Returns:
        The file written.

    Raises:
        DataError: nothing is generated yet, a line is broken, the file cannot be written, or pyarrow is missing.
    """
    source = run.path / "generate" / "instructions.jsonl"
    if not source.is_file():
        raise DataError(f"{source.parent}: nothing is generated yet: run 'seedtune generate' first")
    path = out or run.path / "export" / FILES[to]
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file, such as {path / FILES[to]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise DataError(f"{path.parent}: the folder cannot be made: {problem.strerror}") from problem
    seeds = domain.select_packs(run.config.generate.packs) if with_seeds else []
    examples = _examples(source, [Example(task, pack.name, "seed") for pack in seeds for task in pack.seeds])
    _WRITERS[to](path, examples, domain.file.system_prompt)
    return path


def _examples(source: Path, seeds: list[Example]) -> Iterator[Example]:
    yield from seeds
    for place, line, _ in read_reviewed(source.parent):
        try:
            task = Task(instruction=line["instruction"], input=line["input"], output=line["output"])
            yield Example(task, line["pack"], "generated")
        except (KeyError, ValueError) as problem:
            raise DataError(f"{source.parent}: {place}: is no task of seedtune: {problem}") from problem


def _write_messages(path: Path, examples: Iterable[Example], system: str | None) -> None:
    first = [{"role": "system", "content": system}] if system else []

    def row(task: Task) -> dict[str, Any]:
        turns = [{"role": "user", "content": task.prompt}, {"role": "assistant", "content": task.output}]
        return {"messages": first + turns}

    write_records(path, (row(example.task) for example in examples))


def _write_sharegpt(path: Path, examples: Iterable[Example], system: str | None) -> None:
    first = [{"from": "system", "value": system}] if system else []

    def row(task: Task) -> dict[str, Any]:
        return {
            "conversations": [*first, {"from": "human", "value": task.prompt}, {"from": "gpt", "value": task.output}]
        }

    write_records(path, (row(example.task) for example in examples))


def _write_alpaca(path: Path, examples: Iterable[Example], system: str | None) -> None:
    with _appearing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number, example in enumerate(examples):
            task = example.task
            row = {"instruction": task.instruction, "input": task.input, "output": task.output}
            file.write(("[\n" if number == 0 else ",\n") + json.dumps(row, ensure_ascii=False))
        file.write("\n]\n" if file.tell() else "[]\n")


def _write_parquet(path: Path, examples: Iterable[Example], system: str | None) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as problem:
        raise DataError("--to parquet needs pyarrow: pip install 'seedtune[train]'") from problem
    schema: Any = pa.schema(
        [(name, pa.string()) for name in ("id", "instruction", "input", "output", "pack", "origin")]
    )
    with _appearing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        rows = (
            {
                **e.task.model_dump(include={"instruction", "input", "output"}),
                "id": e.task.id,
                "pack": e.pack,
                "origin": e.origin,
            }
            for e in examples
        )
        while group := list(islice(rows, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


_WRITERS: dict[Format, Callable[[Path, Iterable[Example], str | None], None]] = {
    "messages": _write_messages,
    "alpaca": _write_alpaca,
    "sharegpt": _write_sharegpt,
    "parquet": _write_parquet,
}


@contextmanager
def _appearing(path: Path) -> Generator[Path]:
    """A file to write that takes the place of ``path`` when the block ends well, and else leaves no trace."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as problem:
        raise DataError(f"{path}: cannot be written: {problem.strerror or problem}") from problem
