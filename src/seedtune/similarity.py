"""ROUGE-L between short texts, exact and fast.

ROUGE-L F (Lin 2004) over tokens is ``2pr / (p + r)`` with ``p = L/m``, ``r = L/n`` and L the length of the longest
common subsequence. rapidfuzz gives the integer L for one text against a whole pool: each distinct token is mapped to
one code point, so a text becomes a string. The float expression is evaluated as the package rouge-score does, in the
same order, so a score that ties with the threshold falls on the same side of it.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

Tokenizer = Callable[[str], list[str]]

_WORD = re.compile(r"\w+")
_NOT_ASCII_WORD = re.compile(r"[^a-z0-9]+")
_SURROGATES = range(0xD800, 0xE000)
_UNKNOWN = chr(0x10FFFF)


def tokenize(text: str) -> list[str]:
    """Words of any script, case folded."""
    return _WORD.findall(text.casefold())


def tokenize_ascii(text: str) -> list[str]:
    """As rouge-score: only a-z and 0-9 count, so a sentence in another script has no token at all."""
    return _NOT_ASCII_WORD.sub(" ", text.lower()).split()


class Neighbour(NamedTuple):
    """The most similar text of a pool."""

    score: float
    """ROUGE-L F, 0..1."""
    id: str
    """Empty where the pool is empty or nothing has a token in common."""


class RougeIndex:
    """A growing pool of texts that answers "what is most like this?".

    Adding a text costs its own encoding only; a query compares with every text of the pool.
    """

    def __init__(self, tokenizer: Tokenizer = tokenize) -> None:
        self._tokenizer = tokenizer
        self._codes: dict[str, str] = {}
        self._texts: list[str] = []
        self._ids: list[str] = []
        self._lengths = np.zeros(64, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, identity: str, text: str) -> None:
        """Put a text into the pool under an id."""
        encoded = self._encode(text)
        if len(self._texts) == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
        self._lengths[len(self._texts)] = len(encoded)
        self._texts.append(encoded)
        self._ids.append(identity)

    def scores(self, text: str) -> NDArray[np.float64]:
        """ROUGE-L F against each text of the pool, in the order added; shape (pool,)."""
        size = len(self._texts)
        # A token the pool does not know matches nothing: all such tokens share a code that no text of the pool has.
        query = "".join(self._codes.get(token, _UNKNOWN) for token in self._tokenizer(text))
        if not size or not query:
            return np.zeros(size)
        common = process.cdist([query], self._texts, scorer=LCSseq.similarity, dtype=np.int32)[0].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = common / self._lengths[:size]
            recall = common / len(query)
            return np.where(common > 0, 2 * precision * recall / (precision + recall), 0.0)

    def nearest(self, text: str) -> Neighbour:
        """The most similar text; the first added among equals."""
        scores = self.scores(text)
        if not scores.size or scores.max() == 0:
            return Neighbour(0.0, "")
        best = int(scores.argmax())
        return Neighbour(float(scores[best]), self._ids[best])

    def _encode(self, text: str) -> str:
        return "".join(self._code(token) for token in self._tokenizer(text))

    def _code(self, token: str) -> str:
        code = self._codes.get(token)
        if code is None:
            point = len(self._codes) + 1
            point += len(_SURROGATES) if point >= _SURROGATES.start else 0
            code = self._codes[token] = chr(point)
        return code
