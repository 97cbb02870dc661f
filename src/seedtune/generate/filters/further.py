"""Filters beyond ROUGE-L, each on only where the config has its section and each reported under its own name."""

from typing import Protocol

from seedtune.config import GenerateConfig
from seedtune.generate.filters.embedding import EmbeddingIndex
from seedtune.generate.filters.minhash import MinHashIndex
from seedtune.records import Task
from seedtune.similarity import Neighbour


class FurtherFilter(Protocol):
    """A growing pool of tasks that answers "what is most like this?" by a measure of its own.

    A candidate is rejected where the score of its nearest task is above the threshold.
    """

    @property
    def name(self) -> str:
        """Reason of a rejection, and the key of the score in ``Verdict.scores``."""
        ...

    @property
    def threshold(self) -> float:
        """0..1."""
        ...

    def nearest(self, task: Task) -> Neighbour:
        """The most similar task of the pool, the first added among equals."""
        ...

    def add(self, task: Task) -> None:
        """Put a task into the pool under its id."""
        ...

    def prepare(self) -> None:
        """Do now what the first question would wait for."""
        ...


def further_filters(config: GenerateConfig) -> tuple[FurtherFilter, ...]:
    """Those that the config asks for, the cheaper first."""
    filters: list[FurtherFilter] = []
    if config.minhash is not None:
        filters.append(MinHashIndex(config.minhash.threshold, config.minhash.permutations))
    if config.embedding is not None:
        filters.append(EmbeddingIndex(config.embedding))
    return tuple(filters)
