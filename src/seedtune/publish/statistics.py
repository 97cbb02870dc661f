"""What a card says of a dataset, counted in one pass over its file."""

import heapq
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal

from seedtune.publish.verbs import Root, root_of
from seedtune.records import content_id

SAMPLES = 10
_ENGLISH = re.compile(r"\b(?:the|of|is|and|to|a|an|what|how|in|for)\b", re.IGNORECASE)
_ENGLISH_SHARE = 0.6


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of one width that begin at 0; the last one also holds everything above it."""

    width: float
    counts: list[int]

    @classmethod
    def of_words(cls, lengths: Counter[int]) -> "Histogram":
        """Twenty bins or fewer up to the length that 98% of the texts do not pass."""
        total, seen, top = lengths.total(), 0, 1
        for length in sorted(lengths):
            seen += lengths[length]
            top = length
            if seen >= 0.98 * total:
                break
        width = next(
            step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if step * 20 > top
        )
        counts = [0] * (top // width + 1)
        for length, count in lengths.items():
            counts[min(length // width, len(counts) - 1)] += count
        return cls(width, counts)


@dataclass
class Shares:
    """Values from 0 to 1 in twenty bins."""

    counts: list[int] = field(default_factory=lambda: [0] * 20)
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self.counts[min(max(int(value * 20), 0), 19)] += 1
        self.total += value

    @property
    def n(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """0 where nothing was counted."""
        return self.total / self.n if self.n else 0.0

    @property
    def histogram(self) -> Histogram:
        """For drawing."""
        return Histogram(0.05, self.counts)


Part = Literal["instruction", "input", "output"]
PARTS: tuple[Part, ...] = ("instruction", "input", "output")


@dataclass
class DatasetStatistics:
    """Counts over the lines of ``instructions.jsonl``."""

    seed: int
    rows: int = 0
    words: dict[Part, Counter[int]] = field(default_factory=lambda: {part: Counter() for part in PARTS})
    """Length in words: texts of it. Tasks without an input are not among those of ``input``."""
    roots: Counter[Root] = field(default_factory=Counter)
    rootless: int = 0
    similarity: Shares = field(default_factory=Shares)
    mean_similarity: Shares = field(default_factory=Shares)
    judge: Counter[float] = field(default_factory=Counter)
    grounded: int = 0
    packs: Counter[str] = field(default_factory=Counter)
    _english: int = 0
    _samples: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Count a line; keys that newer versions write may be missing, and what was measured may be None."""
        self.rows += 1
        self.packs[row.get("pack", "")] += 1
        for part in PARTS:
            if text := row[part]:
                self.words[part][len(text.split())] += 1
        root = root_of(row["instruction"])
        if root is None:
            self.rootless += 1
        else:
            self.roots[root] += 1
        self._english += _ENGLISH.search(row["instruction"]) is not None
        self.grounded += bool(row.get("source"))
        for key, shares in (("similarity", self.similarity), ("mean_similarity", self.mean_similarity)):
            if (value := row.get(key)) is not None:
                shares.add(value)
        if (score := (row.get("scores") or {}).get("judge")) is not None:
            self.judge[score] += 1
        # The smallest hashes: a draw that needs neither the number of lines nor their order.
        rank = content_id(self.seed, row["id"])
        if len(self._samples) < SAMPLES or rank < self._samples[-1][0]:
            self._samples = heapq.nsmallest(SAMPLES, [*self._samples, (rank, row)], key=itemgetter(0))

    @property
    def samples(self) -> list[dict[str, Any]]:
        """Ten lines drawn by the seed."""
        return [row for _, row in self._samples]

    @property
    def language(self) -> str | None:
        """``en`` where most instructions hold common English words; None says that it was not recognised."""
        return "en" if self.rows and self._english >= _ENGLISH_SHARE * self.rows else None


def count(rows: Iterable[dict[str, Any]], seed: int) -> DatasetStatistics:
    """Statistics of a dataset; ``seed`` draws its samples."""
    statistics = DatasetStatistics(seed)
    for row in rows:
        statistics.add(row)
    return statistics
