"""Near-duplicates of whole tasks by MinHash: the Jaccard similarity of two sets of word 3-grams, estimated.

Each of the ``permutations`` hash functions keeps the least value over a task's 3-grams; two tasks agree in one with
the probability of their Jaccard similarity (Broder 1997). Only one byte of each is kept, and the chance agreement that
this brings, 1 in 256, is taken out of the estimate (b-bit minwise hashing, Li and König 2010): 128 bytes a task.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from seedtune.records import Task
from seedtune.similarity import Neighbour, tokenize

_SHINGLE = 3
_CHANCE = 1 / 256
_BYTE = 255
"""As far as a byte counts; adding bytes takes less than half the time of wider numbers."""


class MinHashIndex:
    """A growing pool of tasks, compared by instruction, input and output together.

    A query is compared with every task, one hash function after the other: no neighbour is missed, as some are with
    bands of locality-sensitive hashing. Among 100,000 tasks that takes one or two milliseconds, and their signatures
    13 MB, where the tables of 25 bands take 250.

    Attributes:
        threshold: See :class:`seedtune.config.MinHashConfig`.
    """

    name = "minhash"

    def __init__(self, threshold: float, permutations: int = 128) -> None:
        self.threshold = threshold
        # From a digest, so that they are the same in every process and with every version of numpy.
        drawn = _hashes((f"seedtune {number}" for number in range(permutations)), 16).reshape(-1, 2, 1)
        self._multipliers, self._offsets = drawn[:, 0] | np.uint64(1), drawn[:, 1]
        self._signatures = np.zeros((permutations, 64), dtype=np.uint8)
        self._ids: list[str] = []
        self._last: tuple[str, NDArray[np.uint8] | None] = ("", None)

    def __len__(self) -> int:
        return len(self._ids)

    def nearest(self, task: Task) -> Neighbour:
        """The task with the highest estimate, 0..1; the first added among equals."""
        signature = self._signature(task)
        size = len(self._ids)
        if signature is None or not size:
            return Neighbour(0.0, "")
        equal = np.zeros(size, dtype=np.uint16)
        for start in range(0, len(signature), _BYTE):
            part = np.zeros(size, dtype=np.uint8)
            for number in range(start, min(start + _BYTE, len(signature))):
                part += (self._signatures[number, :size] == signature[number]).view(np.uint8)
            equal += part
        best = int(equal.argmax())
        score = (float(equal[best]) / len(signature) - _CHANCE) / (1 - _CHANCE)
        return Neighbour(score, self._ids[best]) if score > 0 else Neighbour(0.0, "")

    def prepare(self) -> None:
        """Nothing is left for later."""

    def add(self, task: Task) -> None:
        """Put a task into the pool under its id. A task without a single word is like nothing and takes no place."""
        signature = self._signature(task)
        if signature is None:
            return
        size = len(self._ids)
        if size == self._signatures.shape[1]:
            self._signatures = np.concatenate([self._signatures, np.zeros_like(self._signatures)], axis=1)
        self._signatures[:, size] = signature
        self._ids.append(task.id)

    def _signature(self, task: Task) -> NDArray[np.uint8] | None:
        """One byte for each hash function; None for a task without a word."""
        if task.id != self._last[0]:
            self._last = (task.id, self._sign(task))
        return self._last[1]

    def _sign(self, task: Task) -> NDArray[np.uint8] | None:
        words = tokenize(f"{task.instruction}\n{task.input}\n{task.output}")
        if not words:
            return None
        shingles = {" ".join(words[start : start + _SHINGLE]) for start in range(max(1, len(words) - _SHINGLE + 1))}
        # The high half of a product is the mixed one; its least value over a task has its high bits all alike.
        values = (self._multipliers * _hashes(shingles) + self._offsets) >> np.uint64(32)
        return values.min(axis=1).astype(np.uint8)


def _hashes(texts: Iterable[str], size: int = 8) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=size).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
