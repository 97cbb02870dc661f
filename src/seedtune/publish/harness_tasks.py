"""What exported suites bring to lm-evaluation-harness: this file is copied beside them, and needs nothing of seedtune.

The harness calls :func:`load` for the items of a task, and the other functions with an item and what a model wrote.
"""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any


def load(items: str, dev: str = "", **_: object) -> Any:
    """The items of a task, from the files beside this one, by split.

    Args:
        items: Name of the file with the items that are asked.
        dev: Of those that examples are taken from.
    """
    import datasets

    files = {"test": items, **({"dev": dev} if dev else {})}
    folder = Path(__file__).parent
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_list([json.loads(line) for line in (folder / name).open(encoding="utf-8")])
            for split, name in files.items()
        }
    )


def score_letter(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Whether an answer is the letter of the right option, alone or before anything else."""
    found = re.match(r"[\s*_`\"'(\[]*(?:(?:the\s+)?answer(?:\s+is)?\s*:?[\s*(]*)?([A-J])\b", _spoken(results), re.I)
    return _score(bool(found) and found[1].upper() == doc["answers"][0])  # pyright: ignore[reportOptionalSubscript]


def score_truth(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Whether an answer names the right one of True and False, and not the other."""
    named = {word.casefold() for word in re.findall(r"\b(?:true|false)\b", _spoken(results), re.I)}
    return _score(named == {doc["answers"][0].casefold()})


def score_words(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Whether an answer is one of those that are right; case, white space, punctuation at its ends do not count."""
    return _score(_plain(_spoken(results)) in {_plain(answer) for answer in doc["answers"]})


def _spoken(results: list[str]) -> str:
    """The answer without its thinking."""
    return results[0].rpartition("</think>")[2].strip()


def _plain(text: str) -> str:
    words = unicodedata.normalize("NFKC", text).casefold().split()
    plain = " ".join(word for word in words if word not in ("a", "an", "the"))
    return plain.rstrip(" .,;:!?*_`\"'”’").lstrip(" *_`\"'“‘")


def _score(right: bool) -> dict[str, float]:
    return {"exact_match": float(right)}
