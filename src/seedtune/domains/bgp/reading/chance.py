"""What an answer that does not read the excerpt for what is asked gets right, by family.

Two such answers were counted, over 250 tasks of each level, made from train: always the most frequent answer of the
family, and a value picked at random. Picked is one of the different values of the answer's kind that the excerpt shows
and the question does not name; where such a value is no answer (a number that is counted, a word, a set, a path) it is
never right. The larger of both shares is the chance of a family. A test counts again and holds this table against it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from seedtune.domains.bgp.reading.renaming import NUMBERS
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

BASELINES: dict[str, tuple[float, float]] = {
    "origin_as": (0.02, 0.14),
    "upstream": (0.02, 0.17),
    "upstreams": (0.02, 0.00),
    "path_length": (0.23, 0.00),
    "unique_hops": (0.24, 0.00),
    "prepender": (0.02, 0.22),
    "prepend_count": (0.31, 0.00),
    "clean_path": (0.00, 0.00),
    "as_set": (0.00, 0.00),
    "next_hop": (0.00, 0.41),
    "longest_match": (0.00, 0.21),
    "covering": (0.36, 0.00),
    "more_specifics": (0.26, 0.00),
    "visibility": (0.36, 0.00),
    "lengths": (0.36, 0.00),
    "best_path": (0.00, 0.36),
    "filtered": (0.00, 0.20),
    "withdrawals": (0.21, 0.00),
    "first_seen": (0.00, 0.24),
    "flapped": (0.01, 0.36),
    "still_there": (0.52, 0.00),
    "path_changes": (0.40, 0.00),
    "moas": (0.51, 0.00),
    "origins": (0.00, 0.00),
    "origin_change": (0.02, 0.14),
    "changed_prefix": (0.01, 0.27),
    "subprefix": (0.01, 0.17),
    "rpki": (0.36, 0.00),
    "blackhole": (0.00, 0.30),
    "community": (0.38, 0.00),
    "valley_free": (0.53, 0.00),
    "leaker": (0.01, 0.15),
}
"""The share of the most frequent answer and of one picked at random, 0..1."""

CHANCE: dict[str, float] = {family: max(shares) for family, shares in BASELINES.items()}

_ADDRESS = r"(?<![\w.:/])(?:\d+(?:\.\d+){3}|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*)"
_VALUES: dict[AnswerKind, str] = {
    "asn": r"(?<![\w.:/])(?:AS)?(\d{5,10})(?![\w.:/])",
    "prefix": rf"({_ADDRESS}/\d+)",
    "address": rf"({_ADDRESS})(?![\w./:])",
    "time": r"(?<![\w.:/])(\d{10}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?![\w.:/])",
}


def majority_share(answers: Iterable[str]) -> float:
    """The share of the most frequent answer, 0..1; 0 where there is none."""
    counts = Counter(answers)
    return max(counts.values(), default=0) / max(1, counts.total())


def shown_values(item: ExactItem) -> set[str]:
    """The values of the answer's kind that the excerpt shows and the question does not name."""
    pattern = _VALUES.get(item.kind)
    found = set(re.findall(pattern, item.input)) - set(re.findall(pattern, item.question)) if pattern else set[str]()
    return {text for text in found if _is_asn(int(text))} if item.kind == "asn" else found


def _is_asn(number: int) -> bool:
    return any(low <= number <= high for each in NUMBERS.values() for low, high in (*each.narrow, *each.wide))


def picking_share(items: Sequence[ExactItem]) -> float:
    """How often one of the values that an excerpt shows, picked at random, is the answer, 0..1; 0 without items."""
    shown = [(item.answer, shown_values(item)) for item in items]
    return sum(1 / len(values) for answer, values in shown if answer in values) / max(1, len(items))
