"""Rows that go on together on a CPU: as many are computed as there are, and nothing is spent on padding."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from seedtune.teachers.decoding import Decoder, Layers, Writing, shared_beginnings

_STRIDE = 128
"""Tokens that memory has room for at least, each time it is laid out anew."""


class _Growing(DynamicLayer):
    """Keys and values of one layer, in memory that has room for the tokens to come.

    All rows end at the same token of the memory, and what is left of a shorter row is padding. When the longest row
    has left, the window is narrowed; when it has come to the end of the memory, it is moved to its beginning.
    """

    def __init__(self, slots: int) -> None:
        """Holds so many rows at once."""
        super().__init__()
        self._slots = slots
        self._rooms: list[Tensor] = []
        self._count = self._begin = self._end = 0

    def join(self, rows: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copies keys and values of more rows, each of shape [1, heads, tokens, size], behind the others."""
        if not self._rooms:
            first = rows[0][0]
            self.dtype, self.device, self.is_initialized = first.dtype, first.device, True
            self._rooms = [first.new_empty(self._slots, first.shape[1], 0, first.shape[-1]) for _ in range(2)]
        width = max(keys.shape[-2] for keys, _ in rows)
        if width > self._end:
            self._lay_out(width)
        for slot, states in enumerate(rows, self._count):
            for room, state in zip(self._rooms, states, strict=True):
                room[slot, :, self._end - state.shape[-2] : self._end] = state[0]
        self.show(self._count + len(rows), max(width, self._end - self._begin))

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer of the model, with one more token of each row."""
        if self._end == self._rooms[0].shape[-2]:
            self._lay_out(self._end - self._begin)
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[: self._count, :, self._end] = states[:, :, 0]
        self._end += 1
        return self.show(self._count, self._end - self._begin)

    def move(self, sources: Tensor, targets: Tensor) -> None:
        """Put rows into the places of others."""
        for room in self._rooms:
            room[targets, :, self._begin : self._end] = room[sources, :, self._begin : self._end]

    def show(self, count: int, width: int) -> tuple[Tensor, Tensor]:
        """Make the first rows visible, and of each so many tokens up to the last."""
        self._count, self._begin = count, self._end - width
        keys, values = (room[:count, :, self._begin : self._end] for room in self._rooms)
        self.keys, self.values = keys, values
        return keys, values

    def _lay_out(self, width: int) -> None:
        """Put the window, widened to ``width``, at the beginning of new memory."""
        # In whole strides: memory of a few sizes is used again by the allocator. Zeros: padding is masked, not skipped.
        capacity = (-(-width // _STRIDE) + 1) * _STRIDE
        rooms = self._rooms
        for number, room in enumerate(rooms):
            window = room[: self._count, :, self._begin : self._end]
            rooms[number] = room.new_zeros(*room.shape[:2], capacity, room.shape[-1])
            rooms[number][: self._count, :, width - window.shape[-2] : width] = window
        self._begin, self._end = width - (self._end - self._begin), width


class PackedBatch:
    """Rows that go on together. Some leave at each step, and others may join before the next.

    Each row is prefilled by itself.
    """

    def __init__(self, decoder: Decoder, slots: int) -> None:
        """Has room for so many rows at once."""
        self.writings: list[Writing] = []
        """Of the rows that go on."""
        self._decoder = decoder
        self._slots = slots
        self._layers: list[_Growing] = []
        self._tokens = torch.empty(0, dtype=torch.long)
        """The last one of each row, which the model has not seen yet."""
        self._families: dict[Hashable, list[int]] = {}

    @torch.inference_mode()
    def join(self, writings: Sequence[Writing], interrupted: Callable[[], bool] = lambda: False) -> None:
        """Prefill new rows, and write the first token of each; broken off once ``interrupted`` says so."""
        states: list[Layers] = []
        logits: list[Tensor] = []
        shared = shared_beginnings([writing.row for writing in writings], self._families)
        for writing, count in zip(writings, shared, strict=True):
            if interrupted():
                return
            layers, last = self._decoder.prefill(writing.row.prompt, count)
            states.append(layers)
            logits.append(last)
        tokens = self._decoder.choose(writings, torch.stack(logits))
        on = [number for number, writing in enumerate(writings) if not writing.is_over]
        if not on:
            return
        self._layers = self._layers or [_Growing(self._slots) for _ in states[0]]
        for layer in self._layers:
            # Taken out layer by layer: memory for both, the rows' and the batch's, is not needed at once.
            taken = [layers.pop(0) for layers in states]
            layer.join([taken[number] for number in on])
        self._tokens = torch.cat([self._tokens.to(tokens.device), tokens[on]])
        self.writings += [writings[number] for number in on]

    @torch.inference_mode()
    def step(self) -> None:
        """Write one more token of each row; those that are over leave."""
        if not self.writings:
            return
        seen = torch.tensor([writing.seen for writing in self.writings], device=self._tokens.device)
        width = max(writing.seen for writing in self.writings) + 1
        mask = torch.arange(width, device=seen.device) >= width - 1 - seen[:, None]
        logits = self._decoder.go_on(self._tokens, seen, mask, Cache(layers=list(self._layers)))
        self._tokens = self._decoder.choose(self.writings, logits)
        if any(writing.is_over for writing in self.writings):
            self._leave()

    def _leave(self) -> None:
        """Let the rows go that are over; the last ones move into their places."""
        on = [number for number, writing in enumerate(self.writings) if not writing.is_over]
        gaps = [number for number in range(len(on)) if self.writings[number].is_over]
        last = [number for number in on if number >= len(on)]
        order = list(range(len(on)))
        for gap, number in zip(gaps, last, strict=True):
            order[gap] = number
        self.writings = [self.writings[number] for number in order]
        self._tokens = self._tokens[order]
        sources, targets = (torch.tensor(places, device=self._tokens.device) for places in (last, gaps))
        width = max((writing.seen for writing in self.writings), default=0)
        for layer in self._layers:
            if gaps:
                layer.move(sources, targets)
            layer.show(len(on), width)
