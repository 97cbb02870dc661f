"""What a model is asked.

By log-likelihood the question stands alone and each option is a possible answer, so that a small model is judged by
what it holds likely and not by whether it can handle letters. For a written answer the options are listed with letters.
"""

from collections.abc import Sequence

from seedtune.domains import Suite
from seedtune.records import EvalItem, content_id

LETTERS = "ABCDEFGHIJ"


def option_order(item: EvalItem, seed: int) -> list[int]:
    """The order in which a choice's options are listed: follows from seed and item, the same for every model."""
    return sorted(range(len(item.options)), key=lambda index: content_id("order", seed, item.id, index))


def closed_question(item: EvalItem, suite_type: str, order: Sequence[int]) -> str:
    """The question with its options, and how to answer.

    Args:
        item: The item.
        suite_type: ``multiple_choice`` or ``true_false``.
        order: Indices into the item's options, in the order to list them.
    """
    if suite_type == "true_false":
        return f"Is this statement true or false?\n\n{item.question}\n\nAnswer with one word, True or False."
    listed = "\n".join(f"{letter}. {item.options[index]}" for letter, index in zip(LETTERS, order, strict=False))
    return f"{item.question}\n\n{listed}\n\nAnswer with the letter of the right option only."


def open_question(item: EvalItem, suite_type: str) -> str:
    """The question to which each option is a possible continuation."""
    if suite_type == "true_false":
        return closed_question(item, suite_type, ())
    return item.question


def spread(suite: Suite, limit: int | None) -> list[EvalItem]:
    """At most ``limit`` items, evenly over the file (files are sorted by topic)."""
    items = suite.choices
    if limit is None or limit >= len(items):
        return list(items)
    return [items[number * len(items) // limit] for number in range(limit)]
