"""An evaluation that has ended, read from its run folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedtune.errors import ConfigError, EvaluationError
from seedtune.records import read_json_lines
from seedtune.yaml_tree import hint

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Finished:
    """What an evaluation found."""

    path: Path
    """The run folder."""
    report: Tree
    items: Mapping[str, Mapping[str, Tree]]
    """The lines of ``items.jsonl``, by job and item."""

    @property
    def model(self) -> str:
        """The model that the run is about: the tuned one where there is one."""
        return "tuned" if "tuned" in self.report["models"] else "base"

    def entry(self, suite: str) -> tuple[str, Tree]:
        """Name and entry of a job; a suite alone means its primary method.

        Raises:
            ConfigError: it was not asked.
        """
        entries: Mapping[str, Tree] = self.report["suites"]
        if suite in entries:
            return suite, entries[suite]
        for name, entry in entries.items():
            if entry["suite"] == suite and entry["primary"]:
                return name, entry
        known = dict.fromkeys([*entries, *(entry["suite"] for entry in entries.values())])
        raise ConfigError(f"{self.path}: no suite '{suite}' was asked; {hint(suite, known)}")


def read_finished(path: Path) -> Finished:
    """Read the evaluation of a run.

    Raises:
        EvaluationError: the run is not evaluated, or by an earlier version.
        DataError: a file has a broken line.
    """
    folder = path / "evaluate"
    try:
        report: Tree = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise EvaluationError(f"{path}: there is no evaluation here: run 'seedtune evaluate' first") from None
    except (OSError, ValueError) as problem:
        raise EvaluationError(f"{folder / 'report.json'}: cannot be read ({problem}): evaluate again") from problem
    if "models" not in report:
        raise EvaluationError(f"{folder / 'report.json'}: was written by an earlier version: evaluate again")
    items: dict[str, dict[str, Tree]] = {}
    for _, line in read_json_lines(folder / "items.jsonl", EvaluationError):
        items.setdefault(f"{line['suite']}/{line['method']}", {})[line["item"]] = line
    return Finished(path, report, items)
