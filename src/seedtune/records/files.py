"""JSON Lines on disk, and files that appear whole or not at all."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from seedtune.errors import DataError, SeedtuneError

R = TypeVar("R", bound=BaseModel)

_LINE = json.JSONEncoder(ensure_ascii=False)

_CHUNK = 1 << 16
"""Bytes read at once on the way back to the last line break."""


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
    return _LINE.encode(value) + "\n"


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
    """Take an unfinished last line, left by a killed process, off an append-only file.

    Raises:
        DataError: it is a folder, or cannot be read and written.
    """
    try:
        with path.open("r+b") as file:
            size = end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - _CHUNK)
                file.seek(start)
                newline = file.read(end - start).rfind(b"\n")
                if newline >= 0:
                    end = start + newline + 1
                    break
                end = start
            if end < size:
                file.truncate(end)
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be read and written: {problem.strerror}; move it away, or mend it"
        ) from problem


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
