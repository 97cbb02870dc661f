"""Decode rows together with a model of transformers, faster than by its ``generate`` where prompts are long and alike.

- Rows of one family (a pack and a step) begin with the same tokens: their keys and values are computed once, and kept
  for the rows to come.
- Each row is prefilled by itself, so that nothing is spent on padding; the rows then go on together.
- A row that has ended leaves the batch, and another may take its place. Keys and values are written in place, not
  copied at each token.
- Nucleus sampling looks at the likeliest tokens alone as long as they hold the mass that is asked for.

Each row has random numbers of its own, so its text depends on its neighbours only through rounding: sums of floating
point come out differently in batches of another size. The same batch gives the same text, whatever came before it.

Not covered: models whose layers keep a state instead of keys and values (Mamba and other linear attention).
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from seedtune.teachers.protocol import Sampling

_KEPT = 8
"""Shared beginnings to keep: one for each pack and step, in most runs."""
_LIKELIEST = 256
"""Tokens to sort before all are sorted."""
_WORTH = 32
"""Shared tokens that are worth a forward pass of their own."""
_STRIDE = 128
"""Tokens that memory has room for at least, each time it is laid out anew."""

_Layers = list[tuple[Tensor, Tensor]]
"""Keys and values of each layer, each of shape [1, heads, tokens, size]."""


@dataclass(frozen=True)
class Row:
    """A prompt to go on from."""

    prompt: list[int]
    """At least one token."""
    family: Hashable
    """Rows of one family are expected to begin alike."""
    sampling: Sampling
    seed: int
    """Of its random numbers; below 2**63."""


@dataclass(eq=False)
class Writing:
    """A row, and what the model has written after its prompt."""

    row: Row
    tokens: list[int] = field(default_factory=list)
    """The one that ended it included."""
    ended: bool = False
    """By itself or at a stop string, not by its length."""
    is_over: bool = False
    """Nothing more comes."""
    draws: list[float] = field(init=False, repr=False)
    """Uniform on [0, 1), one for each token it may have."""

    def __post_init__(self) -> None:
        # Drawn on the CPU: the same numbers on every device.
        generator = torch.Generator().manual_seed(self.row.seed)
        self.draws = torch.rand(self.row.sampling.max_tokens, generator=generator, dtype=torch.float32).tolist()

    @property
    def seen(self) -> int:
        """Tokens that the model has seen: all but the last one written."""
        return len(self.row.prompt) + len(self.tokens) - 1


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


class Decoder:
    """Runs the model for batches of rows."""

    def __init__(self, model: PreTrainedModel, ends: frozenset[int], text_of: Callable[[list[int]], str]) -> None:
        """Keeps the model.

        Args:
            model: In evaluation mode.
            ends: Tokens that end a text.
            text_of: The text of tokens, to find stop strings in.
        """
        self._model: Any = model
        self._ends = ends
        self._text_of = text_of
        self._beginnings: OrderedDict[tuple[int, ...], _Layers] = OrderedDict()

    def write(self, rows: Sequence[Row], interrupted: Callable[[], bool] = lambda: False) -> list[Writing]:
        """What the model writes after each row; broken off at the next token once ``interrupted`` says so."""
        writings = [Writing(row) for row in rows]
        if rows:
            batch = Batch(self, len(rows))
            batch.join(writings, interrupted)
            while batch.writings and not interrupted():
                batch.step()
        return writings

    def prefill(self, prompt: list[int], shared: int) -> tuple[_Layers, Tensor]:
        """Keys and values of a prompt, and the logits [vocabulary] of the token after it."""
        cache = DynamicCache()
        if shared:
            for number, (keys, values) in enumerate(self._beginning(tuple(prompt[:shared]))):
                cache.update(keys, values, number)
        logits = self._forward(prompt[shared:], cache)
        return _layers(cache), logits

    def go_on(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        """Run one more token of each row.

        Args:
            tokens: Shape [rows].
            positions: Of these tokens, each in its row; shape [rows].
            mask: What each row may look at, the new token included; shape [rows, tokens].
            cache: Of the tokens before.

        Returns:
            Logits of the tokens after them, shape [rows, vocabulary].
        """
        return self._model(
            input_ids=tokens[:, None],
            position_ids=positions[:, None],
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]

    def choose(self, writings: Sequence[Writing], logits: Tensor) -> Tensor:
        """Draw the next token of each row, and write it down.

        Args:
            writings: Those that go on.
            logits: Shape [rows, vocabulary].

        Returns:
            The tokens, shape [rows].
        """
        logits = logits.float()
        for number, writing in enumerate(writings):
            if penalty := writing.row.sampling.presence_penalty:
                logits[number, list(set(writing.tokens))] -= penalty
        settings = [(w.row.sampling.temperature, w.row.sampling.top_p, w.draws[len(w.tokens)]) for w in writings]
        temperature, top_p, draw = torch.tensor(settings, dtype=torch.float32, device=logits.device).unbind(1)
        tokens = pick(logits, temperature, top_p, draw)
        for writing, token in zip(writings, tokens.tolist(), strict=True):
            writing.tokens.append(token)
            writing.ended = self._ends_with(writing)
            writing.is_over = writing.ended or len(writing.tokens) >= writing.row.sampling.max_tokens
        return tokens

    def _ends_with(self, writing: Writing) -> bool:
        tokens, stops = writing.tokens, writing.row.sampling.stop
        if tokens[-1] in self._ends or not stops:
            return tokens[-1] in self._ends
        # A character has four bytes at most, and a token one at least.
        tail = self._text_of(tokens[-4 * max(map(len, stops)) - 1 :])
        return any(stop in tail for stop in stops)

    def _beginning(self, tokens: tuple[int, ...]) -> _Layers:
        if tokens not in self._beginnings:
            cache = DynamicCache()
            self._forward(list(tokens), cache)
            self._beginnings[tokens] = _layers(cache)
            if len(self._beginnings) > _KEPT:
                self._beginnings.popitem(last=False)
        self._beginnings.move_to_end(tokens)
        return self._beginnings[tokens]

    def _forward(self, tokens: list[int], cache: Cache) -> Tensor:
        ids = torch.tensor([tokens], device=self._model.device)
        return self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]


class Batch:
    """The rows that go on together. Some leave at each step, and others may join before the next."""

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
        states: list[_Layers] = []
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


def shared_beginnings(rows: Sequence[Row], families: dict[Hashable, list[int]]) -> list[int]:
    """How many of its first tokens each row has in common with all of its family; 0 where that is not worth keeping.

    Args:
        rows: New ones.
        families: What all rows of a family before these had in common; brought up to date.
    """
    counts: dict[Hashable, int] = {}
    for family in dict.fromkeys(row.family for row in rows):
        prompts = [row.prompt for row in rows if row.family == family]
        known = [families[family]] if family in families else []
        families[family] = prompts[0][: _common([*prompts, *known])]
        # Each row has to run at least its last token, for what comes after it.
        count = min(len(families[family]), min(map(len, prompts)) - 1)
        counts[family] = count if count >= _WORTH and len(prompts) + len(known) > 1 else 0
    return [counts[row.family] for row in rows]


def _common(prompts: Sequence[list[int]]) -> int:
    """How many of their first tokens all have in common."""
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False)))


def pick(logits: Tensor, temperature: Tensor, top_p: Tensor, draw: Tensor, likeliest: int = _LIKELIEST) -> Tensor:
    """Draw a token for each row by nucleus sampling (Holtzman et al. 2020), exactly.

    Args:
        logits: Shape [rows, vocabulary].
        temperature: Shape [rows]; 0 takes the likeliest token.
        top_p: Shape [rows], above 0 and up to 1.
        draw: Shape [rows], uniform on [0, 1).
        likeliest: Tokens to sort at first.

    Returns:
        Token ids, shape [rows].
    """
    greedy = temperature == 0
    if greedy.all():
        return logits.argmax(-1)
    odds = (logits / temperature.masked_fill(greedy, 1.0)[:, None]).softmax(-1)
    likely, tokens = odds.topk(min(likeliest, odds.shape[-1]))
    mass = likely.cumsum(-1)
    if likely.shape == odds.shape:
        mass = mass / mass[:, -1:]
    elif (mass[:, -1] < torch.where(top_p < 1, top_p, draw)).any():
        return pick(logits, temperature, top_p, draw, odds.shape[-1])
    # The nucleus ends with the token that reaches top_p.
    last = (mass < top_p[:, None]).sum(-1, keepdim=True).clamp(max=mass.shape[-1] - 1)
    whole = mass.gather(1, last).masked_fill(top_p[:, None] == 1, 1.0)
    chosen = tokens.gather(1, torch.searchsorted(mass, draw[:, None] * whole))[:, 0]
    return torch.where(greedy, tokens[:, 0], chosen)


def _layers(cache: Cache) -> _Layers:
    layers: Any = cache.layers
    return [(layer.keys, layer.values) for layer in layers]
