# ruff: noqa: N806 (names end in their shapes)
"""Dropout masks that are computed where they are needed and stored nowhere.

An element is kept when 16 bits of a hash of its row, its column and the mask's seeds are at least ``p * 2**16``. The
hash does not depend on how a kernel cuts the matrix into tiles, so forward and backward passes see the same mask. Two
neighbouring columns share a 32-bit word, one its upper and one its lower half. Adapters that read the same input have
masks of their own, as in PEFT: the next one's word is the last one's, mixed once more.

Rows and pairs of columns are mixed in full once by "lowbias32" (C. Wellons, "Prospecting for Hash Functions", 2018); a
word takes one multiply-xorshift-multiply of their exclusive or.

On a CPU the hash would cost more than the products: there the bits are drawn by a generator with the mask's seeds, and
kept until the backward pass.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

FIRST = 0x7FEB352D
SECOND = 0x846CA68B
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class Mask:
    """A mask over a matrix of any size, one for each adapter that reads it."""

    probability: float
    """Share of the elements that are dropped, in [0, 1); taken to the next multiple of 2**-16."""
    row_seed: int = 0
    """In [0, 2**30)."""
    column_seed: int = 0
    """In [0, 2**30)."""
    _drawn: dict[tuple[int, int, int], torch.Tensor] = field(
        default_factory=dict[tuple[int, int, int], torch.Tensor], compare=False, repr=False
    )

    def drawn(self, tokens: int, width: int, adapter: int) -> torch.Tensor:
        """Which elements adapter number ``adapter`` keeps on a CPU: bool [tokens, width]."""
        key = (tokens, width, adapter)
        if key not in self._drawn:
            generator = np.random.Generator(np.random.SFC64([self.row_seed, self.column_seed, adapter]))
            bits = np.frombuffer(generator.bytes(2 * tokens * width), np.uint16)
            self._drawn[key] = torch.from_numpy(bits >= self.threshold >> 16).view(tokens, width)
        return self._drawn[key]

    @property
    def threshold(self) -> int:
        """Elements whose bits, shifted to the upper half of a word, are below it are dropped; 0 drops none."""
        return min(round(self.probability * 2**16), 2**16 - 1) << 16

    @property
    def scale(self) -> float:
        """What the kept elements are multiplied by, so that the mean stays."""
        return 1.0 / (1.0 - self.threshold / 2**32)


def draw_mask(probability: float) -> Mask:
    """A fresh mask; its seeds come from torch's CPU generator.

    That generator is what checkpoints save and what activation checkpointing rewinds: a resumed run and a recomputed
    layer draw the same mask. The GPU is not waited for.
    """
    if probability == 0.0:
        return Mask(0.0)
    row_seed, column_seed = torch.randint(2**30, (2,)).tolist()
    return Mask(probability, row_seed, column_seed)


def keep(mask: Mask, tokens: int, width: int, adapter: int, device: torch.device) -> torch.Tensor:
    """Which elements adapter number ``adapter`` keeps: bool [tokens, width]."""
    if device.type == "cpu":
        return mask.drawn(tokens, width, adapter)
    return hashed(mask, tokens, width, adapter, device)


def hashed(mask: Mask, tokens: int, width: int, adapter: int, device: torch.device) -> torch.Tensor:
    """What the kernels compute, in torch: bool [tokens, width]."""
    columns_K = torch.arange(width, device=device)
    rows_T = _mix(torch.arange(tokens, device=device) + mask.row_seed)
    words_TK = (rows_T[:, None] ^ _mix((columns_K >> 1) + mask.column_seed)[None, :]) * FIRST & _WORD
    words_TK = (words_TK ^ words_TK >> 15) * SECOND & _WORD
    for _ in range(adapter):
        words_TK = (words_TK ^ words_TK >> 16) * FIRST & _WORD
    bits_TK = torch.where((columns_K & 1).bool()[None, :], words_TK << 16 & _WORD, words_TK)
    return bits_TK >= mask.threshold


def _mix(words: torch.Tensor) -> torch.Tensor:
    """32-bit words in int64, mixed so that each input bit flips about half of the output bits."""
    words = (words ^ words >> 16) * FIRST & _WORD
    words = (words ^ words >> 15) * SECOND & _WORD
    return words ^ words >> 16
