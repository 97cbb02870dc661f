"""ROUGE-L between short texts, exact and fast.

ROUGE-L F (Lin 2004) over tokens is ``2pr / (p + r)`` with ``p = L/m``, ``r = L/n`` and L the length of the longest
common subsequence. The float expression is evaluated as the package rouge-score does, so a score that ties with the
threshold falls on the same side of it.

L of one text against a whole pool is found by the bit-parallel algorithm (Hyyrö 2004), one word of 64 bits a text of
the pool. A step of it changes only the texts that have the token of that step, and an inverted index knows those.
"""

import re
from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokenizer = Callable[[str], list[str]]

_WORD = re.compile(r"\w+")
_NOT_ASCII_WORD = re.compile(r"[^a-z0-9]+")
_BITS = 64
_ALL = (1 << _BITS) - 1
_ROUNDING = 1e-9
"""More than the float expression of a score can be off by."""


def tokenize(text: str) -> list[str]:
    """Words of any script, case folded."""
    return _WORD.findall(text.casefold())


def tokenize_ascii(text: str) -> list[str]:
    """As rouge-score: only a-z and 0-9 count, so a sentence in another script has no token at all."""
    return _NOT_ASCII_WORD.sub(" ", text.lower()).split()


class Neighbour(NamedTuple):
    """The most similar text of a pool."""

    score: float
    """0..1."""
    id: str
    """Empty where the pool is empty or nothing is alike at all."""


class Neighbourhood(NamedTuple):
    """How one text stands to a whole pool."""

    score: float
    """Of the most similar text, as it is."""
    id: str
    """Of the most similar text; empty where nothing has a token in common."""
    nearest: tuple[tuple[str, float], ...]
    """The most similar texts that have a token in common: id and score, rounded to 4 digits, falling."""
    mean: float
    """Over the whole pool; 0 where it is empty."""


class _Postings(NamedTuple):
    """Where one token stands: texts by number, rising, and the bits of its places in each."""

    texts: "array[int]"
    places: "array[int]"


class RougeIndex:
    """A growing pool of texts that answers "what is most like this?".

    Adding a text costs its own tokens only. A query costs about as many steps as there are equal tokens between it and
    all the texts of the pool; only texts of more than 64 tokens are compared one by one.
    """

    def __init__(self, tokenizer: Tokenizer = tokenize) -> None:
        self._tokenizer = tokenizer
        self._ids: list[str] = []
        self._lengths = array("I")
        self._postings: dict[str, _Postings] = {}
        self._long: dict[int, dict[str, int]] = {}
        """Texts of more tokens than a word has bits: the places of each token, as one long integer."""

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, identity: str, text: str) -> None:
        """Put a text into the pool under an id."""
        tokens = self._tokenizer(text)
        places: dict[str, int] = {}
        for place, token in enumerate(tokens):
            places[token] = places.get(token, 0) | 1 << place
        number = len(self._ids)
        if len(tokens) > _BITS:
            self._long[number] = places
        else:
            for token, bits in places.items():
                postings = self._postings.get(token)
                if postings is None:
                    postings = self._postings[token] = _Postings(array("I"), array("Q"))
                postings.texts.append(number)
                postings.places.append(bits)
        self._lengths.append(len(tokens))
        self._ids.append(identity)

    def scores(self, text: str, above: float = 0.0) -> NDArray[np.float64]:
        """ROUGE-L F against each text of the pool, in the order added; shape (pool,).

        Args:
            text: What to compare.
            above: Only scores above this, 0..1, are asked for: a long text that cannot reach it may count as 0.
        """
        tokens = self._tokenizer(text)
        if not self._ids or not tokens:
            return np.zeros(len(self._ids))
        common = self._common(tokens, above)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = common / np.frombuffer(self._lengths, dtype=np.uint32)
            recall = common / len(tokens)
            return np.where(common > 0, 2 * precision * recall / (precision + recall), 0.0)

    def nearest(self, text: str, above: float = 0.0) -> Neighbour:
        """The most similar text; the first added among equals. It is exact where its score is above ``above``."""
        scores = self.scores(text, above)
        best = int(scores.argmax()) if scores.size else 0
        return Neighbour(float(scores[best]), self._ids[best]) if scores.size and scores[best] else Neighbour(0.0, "")

    def neighbours(self, text: str, k: int = 10) -> Neighbourhood:
        """The ``k`` most similar texts, the first added first among equals, and the mean over the pool."""
        scores = self.scores(text)
        mean = float(scores.mean()) if scores.size else 0.0
        found: list[tuple[str, float]] = []
        for _ in range(min(k, scores.size)):
            best = int(scores.argmax())
            if scores[best] == 0:
                break
            found.append((self._ids[best], float(scores[best])))
            scores[best] = 0
        identity, score = found[0] if found else ("", 0.0)
        return Neighbourhood(score, identity, tuple((other, round(value, 4)) for other, value in found), mean)

    def _common(self, tokens: list[str], above: float) -> NDArray[np.float64]:
        """Tokens of the longest common subsequence with each text; 0 for long ones out of reach of ``above``."""
        rows = np.full(len(self._ids), _ALL, dtype=np.uint64)
        for token in tokens:
            postings = self._postings.get(token)
            if postings is not None:
                texts = np.frombuffer(postings.texts, dtype=np.uint32)
                row = rows[texts]
                matched = row & np.frombuffer(postings.places, dtype=np.uint64)
                rows[texts] = (row + matched) | (row - matched)
        common = np.bitwise_count(~rows).astype(np.float64)
        for number, places in self._long.items():
            length = self._lengths[number]
            # F is 2 L / (m + n), and L is at most what the shorter text has, and what of one stands in the other.
            least = (above - _ROUNDING) * (length + len(tokens)) / 2
            if min(length, len(tokens)) >= least and sum(map(places.__contains__, tokens)) >= least:
                common[number] = _common_long(tokens, places, length)
        return common


def _common_long(tokens: list[str], places: dict[str, int], length: int) -> int:
    """The same for one text of any length, in whole integers."""
    every = row = (1 << length) - 1
    for token in tokens:
        matched = row & places.get(token, 0)
        if matched:
            row = (row + matched | row - matched) & every
    return length - row.bit_count()
