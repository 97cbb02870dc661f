"""A small domain in a folder that tests change and lint."""

import json
from pathlib import Path
from typing import Any

import yaml

from conftest import write_jsonl
from seedtune.domains import Finding, create_domain, lint_domain, load_domain

SEEDS = "seeds/knowledge.jsonl"
CHOICES, STATEMENTS = "evaluation/test/multiple_choice.jsonl", "evaluation/test/true_false.jsonl"
DEV_CHOICES, DEV_STATEMENTS = "evaluation/dev/multiple_choice.jsonl", "evaluation/dev/true_false.jsonl"


class DomainOnDisk:
    """The template domain without its requirements: not a single finding until a test changes something."""

    def __init__(self, folder: Path) -> None:
        create_domain(folder)
        self.folder = folder
        self.describe(requirements=None)

    def describe(self, **keys: Any) -> None:
        """Set keys of domain.yaml; None takes one away."""
        path = self.folder / "domain.yaml"
        tree = yaml.safe_load(path.read_text()) | keys
        path.write_text(yaml.safe_dump({key: value for key, value in tree.items() if value is not None}))

    def read(self, file: str) -> list[dict[str, Any]]:
        """The lines of a file, the canary included."""
        return [json.loads(line) for line in (self.folder / file).read_text().splitlines()]

    def write(self, file: str, lines: list[dict[str, Any]]) -> None:
        """Replace all lines but the canary."""
        path = self.folder / file
        kept = [line for line in (self.read(file) if path.exists() else []) if "canary" in line]
        write_jsonl(path, kept + lines)

    def change(self, file: str, number: int, **values: Any) -> None:
        """Set values in one line, counted from 1."""
        lines = self.read(file)
        lines[number - 1] |= values
        write_jsonl(self.folder / file, lines)

    def lint(self) -> list[Finding]:
        return lint_domain(load_domain(str(self.folder)))

    def faults(self) -> list[tuple[str, str]]:
        """Place and message of each finding."""
        return [(finding.place, finding.message) for finding in self.lint()]


def choices(keys: list[int], widths: list[int] | None = None) -> list[dict[str, Any]]:
    """Items with the right option at these positions, all options of one length."""
    return [
        {
            "question": f"what{number} is{number} of{number}?",
            "options": [f"option {letter} {number:03}" for letter in "abcdefgh"[:width]],
            "answer": f"option {'abcdefgh'[key]} {number:03}",
            "topic": "basics",
            "citation": "The Book, page 3",
        }
        for number, (key, width) in enumerate(zip(keys, widths or [4] * len(keys), strict=True))
    ]


def statements(truths: list[bool]) -> list[dict[str, Any]]:
    """Statements with these answers that have no word in common."""
    return [
        {
            "statement": f"s{number} t{number} u{number}",
            "answer": truth,
            "topic": "basics",
            "citation": "The Book, page 3",
        }
        for number, truth in enumerate(truths)
    ]
