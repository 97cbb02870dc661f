"""What the best answer that does not read the excerpt gets right, by family: always the most frequent answer.

Counted over 250 tasks of each level, made from train; a test counts again and holds this table against it.
"""

from collections import Counter
from collections.abc import Iterable

CHANCE: dict[str, float] = {
    "origin_as": 0.02,
    "upstream": 0.02,
    "upstreams": 0.01,
    "path_length": 0.21,
    "unique_hops": 0.29,
    "prepender": 0.02,
    "prepend_count": 0.31,
    "clean_path": 0.00,
    "as_set": 0.00,
    "next_hop": 0.00,
    "longest_match": 0.00,
    "covering": 0.35,
    "more_specifics": 0.26,
    "moas": 0.51,
    "origins": 0.01,
    "visibility": 0.36,
    "lengths": 0.38,
    "best_path": 0.00,
    "filtered": 0.00,
    "withdrawals": 0.32,
    "first_seen": 0.00,
    "flapped": 0.01,
    "still_there": 0.51,
    "path_changes": 0.45,
    "origin_change": 0.02,
    "changed_prefix": 0.01,
    "subprefix": 0.01,
    "rpki": 0.35,
    "blackhole": 0.00,
    "community": 0.37,
    "valley_free": 0.51,
    "leaker": 0.02,
}


def majority_share(answers: Iterable[str]) -> float:
    """The share of the most frequent answer, 0..1; 0 where there is none."""
    counts = Counter(answers)
    return max(counts.values(), default=0) / max(1, counts.total())
