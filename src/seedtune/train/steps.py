"""What each optimizer step is trained on: which rows, on which device, in which passes.

A step takes ``train.batch_size`` x ``train.gradient_accumulation`` rows a device, whatever the kernels: how a device
cuts its share into passes changes speed and memory, not what is learned. Everything follows from the seed and the
number of the step, so a run that was broken off goes on with the very rows that come next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch

from seedtune.train.fused.packing import IGNORED, Batch, Tokens, batch_of, pack


class Step(TypedDict):
    """A device's share of an optimizer step."""

    number: int
    passes: list[Batch]
    tokens: int
    """In the passes, padding left out."""
    trained: int
    """Tokens in the loss of the whole step, over all devices."""


@dataclass(frozen=True)
class Passes:
    """How a device takes rows: several without padding, or some at a time padded to the longest of them."""

    packed: bool
    size: int
    """The most tokens of a packed pass (no row may be longer); the most rows of a padded one."""
    padding: int
    """Token id."""
    multiple: int = 1
    """Packed passes are filled up to a multiple of so many tokens."""

    def of(self, rows: Sequence[Tokens]) -> list[Batch]:
        """Cut rows, at least one, into batches of about one size."""
        lengths = [len(ids) for ids, _ in rows]
        if self.packed:
            return [self._packed([rows[row] for row in group]) for group in self._bins(lengths)]
        order = sorted(range(len(rows)), key=lambda row: -lengths[row])
        groups = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        return [_padded([rows[row] for row in group], self.padding) for group in groups]

    def count(self, lengths: Sequence[int]) -> int:
        """How many batches rows of these lengths make."""
        return len(self._bins(lengths)) if self.packed else -(-len(lengths) // self.size)

    def _bins(self, lengths: Sequence[int]) -> list[list[int]]:
        bins = pack(lengths, self.size)
        even = divide(lengths, len(bins))
        fits = all(sum(lengths[row] for row in group) <= self.size for group in even)
        return even if fits else bins

    def _packed(self, rows: Sequence[Tokens]) -> Batch:
        tokens = sum(len(ids) for ids, _ in rows)
        return batch_of(rows, self.padding, -(-tokens // self.multiple) * self.multiple)


def divide(lengths: Sequence[int], parts: int) -> list[list[int]]:
    """Rows dealt into ``parts`` of about as many tokens: the longest first, to the part with the fewest (Graham, 1969).

    Returns:
        The rows' numbers, part by part; a part is empty where there are fewer rows than parts.
    """
    dealt: list[list[int]] = [[] for _ in range(parts)]
    tokens = [0] * parts
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        part = tokens.index(min(tokens))
        dealt[part].append(row)
        tokens[part] += lengths[row]
    return dealt


@dataclass(frozen=True, eq=False)
class Steps(torch.utils.data.Dataset[Step]):
    """All optimizer steps of a run; item ``i`` is this device's share of step ``i``.

    Each epoch takes every row once, in an order of its own; the last step of an epoch takes what is left.
    """

    rows: Sequence[Tokens]
    per_step: int
    """Rows of a step, over all devices."""
    count: int
    """Steps of the run."""
    seed: int
    passes: Passes
    rank: int = 0
    world: int = 1
    """This device's number, and how many there are."""
    in_step: bool = False
    """All devices make as many passes: where each holds a part of the weights, a pass gathers them from all."""
    _order: dict[int, list[int]] = field(default_factory=dict[int, list[int]])

    def __len__(self) -> int:
        return self.count

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.rows) // self.per_step)

    def rows_of(self, step: int) -> list[int]:
        """The numbers of the rows of a step, over all devices."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch not in self._order:
            self._order.clear()
            self._order[epoch] = np.random.default_rng([self.seed, epoch]).permutation(len(self.rows)).tolist()
        return self._order[epoch][place * self.per_step : (place + 1) * self.per_step]

    def __getitem__(self, step: int) -> Step:
        chosen = [self.rows[row] for row in self.rows_of(step)]
        lengths = [len(ids) for ids, _ in chosen]
        shares = divide(lengths, self.world)
        own = [chosen[row] for row in shares[self.rank]]
        passes = self.passes.of(own) if own else []
        least = max(self.passes.count([lengths[row] for row in share]) for share in shares) if self.in_step else 1
        if len(passes) < least:
            # The others wait for this device's part: it passes a row through that it does not train on.
            idle = self.passes.of([(ids, np.full_like(ids, IGNORED)) for ids, _ in chosen[:1]])
            passes += idle * (least - len(passes))
        trained = sum(int((labels[1:] != IGNORED).sum()) for _, labels in chosen)
        return {"number": step, "passes": passes, "tokens": sum(len(ids) for ids, _ in own), "trained": trained}

    def tokens_before(self, step: int) -> int:
        """Tokens of all steps before this one, over all devices."""
        epochs, left = divmod(step, self.per_epoch)
        whole = epochs * sum(len(ids) for ids, _ in self.rows)
        begun = range(epochs * self.per_epoch, epochs * self.per_epoch + left)
        return whole + sum(len(self.rows[row][0]) for number in begun for row in self.rows_of(number))


def _padded(rows: Sequence[Tokens], padding: int) -> Batch:
    """``input_ids``, ``attention_mask`` and ``labels``, each int64 [rows, longest], padded on the right."""
    longest = max(len(ids) for ids, _ in rows)
    shape = (len(rows), longest)
    input_ids, labels, mask = np.full(shape, padding), np.full(shape, IGNORED), np.zeros(shape, np.int64)
    for number, (ids, row_labels) in enumerate(rows):
        input_ids[number, : len(ids)], labels[number, : len(ids)], mask[number, : len(ids)] = ids, row_labels, 1
    return {
        "input_ids": torch.from_numpy(input_ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }
