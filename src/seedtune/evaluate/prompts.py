"""What a model is asked.

By log-likelihood the question stands alone and each option is a possible answer, so that a small model is judged by
what it holds likely and not by whether it can handle letters. For a written answer the options are listed with letters.
"""

from collections.abc import Sequence
from itertools import pairwise

from seedtune.domains import Suite
from seedtune.domains.description import SuiteType
from seedtune.domains.loader import Item
from seedtune.records import ClozeItem, CodeItem, ConstraintItem, EvalItem, ExactItem, OpenItem, content_id

LETTERS = "ABCDEFGHIJ"


def option_order(item: EvalItem, seed: int) -> list[int]:
    """The order in which a choice's options are listed: follows from seed and item, the same for every model."""
    return sorted(range(len(item.options)), key=lambda index: content_id("order", seed, item.id, index))


def closed_question(item: EvalItem, suite_type: SuiteType, order: Sequence[int]) -> str:
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


def open_question(item: EvalItem, suite_type: SuiteType) -> str:
    """The question to which each option is a possible continuation."""
    if suite_type == "true_false":
        return closed_question(item, suite_type, ())
    return item.question


def written_question(item: Item, suite_type: SuiteType, order: Sequence[int]) -> str:
    """The question that is answered in writing, and how to answer; ``order`` as in :func:`closed_question`."""
    match item:
        case EvalItem():
            return closed_question(item, suite_type, order)
        case ClozeItem():
            return f"Fill the gap ____ in this sentence.\n\n{item.question}\n\nAnswer with the words for the gap only."
        case OpenItem():
            return f"{item.question}\n\nAnswer in complete sentences."
        case ExactItem():
            return item.prompt
        case CodeItem() | ConstraintItem():
            return item.question


def written_answer(item: Item, suite_type: SuiteType, order: Sequence[int]) -> str:
    """The right answer to :func:`written_question`, in the form that it asks for."""
    match item:
        case EvalItem():
            return LETTERS[order.index(item.key)] if suite_type == "multiple_choice" else item.answer
        case ClozeItem():
            return item.answers[0]
        case OpenItem() | ExactItem() | ConstraintItem():
            return item.answer
        case CodeItem():
            return f"```python\n{item.reference.strip()}\n```"


def spread(suite: Suite, limit: int | None) -> list[Item]:
    """At most ``limit`` items, evenly over the file (files are sorted by topic).

    One of each stretch of it, by its content: every sixth item would be of one level, where levels take turns.
    """
    items = suite.items
    if limit is None or limit >= len(items):
        return list(items)
    bounds = [number * len(items) // limit for number in range(limit + 1)]
    return [min(items[start:end], key=lambda item: item.id) for start, end in pairwise(bounds)]
