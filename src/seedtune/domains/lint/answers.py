"""Right answers that can be guessed without knowing anything: by their position, their length or by always saying True.

Each file of items is judged by itself: a bank may be even as a whole and its test half uneven.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from scipy.special import chdtrc

from seedtune.domains.lint.content import Content, Finding
from seedtune.records import EvalItem

_LENGTH_SHARE = 0.30
_TRUE_SLACK = 0.05
_POSITION_P = 0.01


def choices_of(items: Sequence[object]) -> list[EvalItem]:
    """The items with fixed options."""
    return [item for item in items if isinstance(item, EvalItem)]


def positions(items: Sequence[EvalItem]) -> list[int]:
    """How often the right option stands first, second, ..."""
    counts = Counter(item.key for item in items)
    return [counts[index] for index in range(max(len(item.options) for item in items))]


def longest(items: Sequence[EvalItem]) -> int:
    """In how many items every other option is shorter than the right one."""
    return sum(all(len(o) < len(item.answer) for o in item.options if o != item.answer) for item in items)


def shortest(items: Sequence[EvalItem]) -> int:
    """In how many items every other option is longer than the right one."""
    return sum(all(len(o) > len(item.answer) for o in item.options if o != item.answer) for item in items)


def check_truth(content: Content) -> Iterator[Finding]:
    """Half of the statements of a file are true."""
    for suite, _, file, place in content.files():
        if suite.type == "true_false":
            items = choices_of(file.items)
            true, total = positions(items)[0], len(items)
            # An odd number cannot be halved: one half more or less is as even as it gets.
            if abs(true - total / 2) > max(0.5, _TRUE_SLACK * total):
                yield Finding("error", place, f"{true / total:.0%} of the statements are true; half should be")


def check_positions(content: Content) -> Iterator[Finding]:
    """Right options spread over all positions (chi-square test)."""
    for suite, _, file, place in content.files():
        if suite.type == "multiple_choice":
            items = choices_of(file.items)
            counts, widths = positions(items), [len(item.options) for item in items]
            # An item adds nothing to the positions that it does not have.
            expected = [sum(1 / width for width in widths if index < width) for index in range(len(counts))]
            distance = sum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
            # Pearson's chi-square test; scipy.stats has it whole, but takes most of a second to import.
            if chdtrc(len(counts) - 1, distance) < _POSITION_P:
                yield Finding("error", place, f"answer positions are uneven: {counts}; shuffle the options")


def check_lengths(content: Content) -> Iterator[Finding]:
    """The right option is not given away by being the longest or the shortest one."""
    for suite, _, file, place in content.files():
        if suite.type == "multiple_choice":
            items = choices_of(file.items)
            for word, count in (("longest", longest(items)), ("shortest", shortest(items))):
                # One such item is no pattern, however few there are.
                if count > max(1, _LENGTH_SHARE * len(items)):
                    share = f"{count / len(items):.0%} of the items (at most {_LENGTH_SHARE:.0%})"
                    yield Finding("error", place, f"the right option is the {word} in {share}")
