"""The runs folder: nothing outside it is read or written, whatever a name or a symbolic link says."""

import json
import re
from pathlib import Path
from typing import Any, cast

from seedtune.errors import RunError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class RunFolder:
    """One run, for looking at: files that may not be there yet, or be half of what they become."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    def file(self, place: str) -> Path:
        """A file of the run, such as ``generate/journal.jsonl``, there or not.

        Raises:
            RunError: a symbolic link leads out of the run folder.
        """
        path = (self.path / place).resolve()
        if not path.is_relative_to(self.path):
            raise RunError(f"{self.name}/{place}: leads out of the run folder; the studio does not follow it")
        return path

    def read_json(self, place: str) -> dict[str, Any]:
        """A JSON object of the run; empty where there is none, or none that can be read."""
        try:
            value: object = json.loads(self.file(place).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


class RunsFolder:
    """The folder that the runs lie in."""

    def __init__(self, path: Path) -> None:
        self.shown = path
        """As the user gave it, for command lines."""
        self.path = path.resolve()

    def run(self, name: str) -> RunFolder:
        """A run by its name.

        Raises:
            RunError: there is no such run here.
        """
        path = self.place(name)
        if not path.is_dir():
            raise RunError(f"no run '{name}' in {self.shown}")
        return RunFolder(path)

    def place(self, name: str) -> Path:
        """Where a run of this name lies, or would.

        Raises:
            RunError: no name of a run, or a symbolic link that leads elsewhere.
        """
        if not _NAME.fullmatch(name):
            raise RunError(f"'{name}' is no name of a run: letters, digits, '.', '_' and '-', a letter or digit first")
        path = (self.path / name).resolve()
        if path != self.path / name:
            raise RunError(f"{name}: is a link that leads elsewhere; the studio does not follow it")
        return path

    def runs(self) -> list[RunFolder]:
        """Every run, the one that was worked on last first."""
        found: list[tuple[float, str]] = []
        for path in self.path.iterdir() if self.path.is_dir() else ():
            if path.is_symlink() or not path.is_dir() or not _NAME.fullmatch(path.name):
                continue
            marks = [path / name for name in ("manifest.json", "studio.json", "config.yaml")]
            times = [mark.stat().st_mtime for mark in marks if mark.is_file()]
            if times:
                found.append((max(times), path.name))
        return [RunFolder(self.path / name) for _, name in sorted(found, reverse=True)]
