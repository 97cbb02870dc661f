"""Decode a batch with a model of transformers, faster than by its ``generate`` where prompts are long and alike.

- Rows of one family (a pack and a step) begin with the same tokens: their keys and values are computed once, and kept
  for the batches to come.
- Each row is prefilled by itself, so that nothing is spent on padding; the rows then go on together.
- A row that has ended leaves the batch. Keys and values are written in place, not copied at each token.
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
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from seedtune.teachers.protocol import Sampling

_KEPT = 8
"""Shared beginnings to keep: one for each pack and step, in most runs."""
_LIKELIEST = 256
"""Tokens to sort before all are sorted."""
_WORTH = 32
"""Shared tokens that are worth a forward pass of their own."""
_STRIDE = 256
"""Tokens that memory is extended by."""

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


@dataclass
class Written:
    """What the model wrote after a prompt."""

    tokens: list[int] = field(default_factory=list)
    """The one that ended it included."""
    ended: bool = False
    """By itself or at a stop string, not by its length."""


class _Growing(DynamicLayer):
    """Keys and values of one layer, in memory that has room for the tokens to come."""

    def __init__(self, rows: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copies keys and values of each row, shape [1, heads, tokens, size], right-aligned."""
        super().__init__()
        first = rows[0][0]
        width = max(keys.shape[-2] for keys, _ in rows)
        shape = (len(rows), first.shape[1], width + _STRIDE, first.shape[-1])
        self._rooms = [first.new_zeros(shape) for _ in range(2)]
        for number, states in enumerate(rows):
            for room, state in zip(self._rooms, states, strict=True):
                room[number, :, width - state.shape[-2] : width] = state[0]
        self.dtype, self.device, self.is_initialized = first.dtype, first.device, True
        self._show(width)

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer of the model, with one more token of each row."""
        begin, end = self._width, self._width + key_states.shape[-2]
        if end > self._rooms[0].shape[-2]:
            self._rooms = [pad(room, (0, 0, 0, _STRIDE)) for room in self._rooms]
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, begin:end] = states
        return self._show(end)

    def keep(self, rows: Tensor) -> None:
        """Only these rows go on."""
        self._rooms = [room[rows] for room in self._rooms]
        self._show(self._width)

    def _show(self, width: int) -> tuple[Tensor, Tensor]:
        """Make so many tokens visible."""
        self._width = width
        keys, values = (room[:, :, :width] for room in self._rooms)
        self.keys, self.values = keys, values
        return keys, values


class Decoder:
    """Writes on from prompts."""

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

    @torch.inference_mode()
    def write(self, rows: Sequence[Row], interrupted: Callable[[], bool] = lambda: False) -> list[Written]:
        """What the model writes after each row; broken off at the next token once ``interrupted`` says so."""
        if not rows:
            return []
        shared = shared_beginnings(rows)
        states: list[_Layers] = []
        logits: list[Tensor] = []
        for row, count in zip(rows, shared, strict=True):
            if interrupted():
                return [Written() for _ in rows]
            layers, last = self._prefill(row.prompt, count)
            states.append(layers)
            logits.append(last)
        batch = _Batch(rows, states, self._model.device)
        return self._go_on(batch, torch.stack(logits), interrupted)

    def _prefill(self, prompt: list[int], shared: int) -> tuple[_Layers, Tensor]:
        """Keys and values of a prompt, and the logits [vocabulary] of the token after it."""
        cache = DynamicCache()
        if shared:
            for number, (keys, values) in enumerate(self._beginning(tuple(prompt[:shared]))):
                cache.update(keys, values, number)
        logits = self._forward(prompt[shared:], cache)
        return _layers(cache), logits

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

    def _go_on(self, batch: "_Batch", logits: Tensor, interrupted: Callable[[], bool]) -> list[Written]:
        """Decode until every row has ended."""
        while True:
            tokens = batch.pick(logits)
            over = [self._is_over(batch.rows[place], batch.written[place]) for place in batch.places]
            if all(over) or interrupted():
                return batch.written
            if any(over):
                tokens = tokens[batch.leave(over)]
            logits = self._model(input_ids=tokens[:, None], use_cache=True, **batch.next_token()).logits[:, -1]

    def _is_over(self, row: Row, written: Written) -> bool:
        tokens, stops = written.tokens, row.sampling.stop
        written.ended = tokens[-1] in self._ends
        if stops and not written.ended:
            # A character has four bytes at most, and a token one at least.
            tail = self._text_of(tokens[-4 * max(map(len, stops)) - 1 :])
            written.ended = any(stop in tail for stop in stops)
        return written.ended or len(tokens) >= row.sampling.max_tokens


class _Batch:
    """The rows that go on."""

    def __init__(self, rows: Sequence[Row], states: Sequence[_Layers], device: torch.device) -> None:
        self.rows = rows
        self.written = [Written() for _ in rows]
        self.places = list(range(len(rows)))
        """Of the rows that go on, among all."""
        # Taken out layer by layer: memory for both, the rows' and the batch's, is not needed at once.
        self._layers = [_Growing([layers.pop(0) for layers in states]) for _ in range(len(states[0]))]
        self._cache = Cache(layers=list(self._layers))
        self._device = device
        lengths = torch.tensor([len(row.prompt) for row in rows], device=device)
        width = int(lengths.max())
        self._mask = torch.arange(width, device=device) >= width - lengths[:, None]
        self._lengths = lengths
        self._settings = torch.tensor([[row.sampling.temperature, row.sampling.top_p] for row in rows], device=device)
        # Drawn on the CPU: the same numbers on every device.
        most = max(row.sampling.max_tokens for row in rows)
        generators = [torch.Generator().manual_seed(row.seed) for row in rows]
        self._draws = torch.stack([torch.rand(most, generator=generator) for generator in generators]).to(device)

    def pick(self, logits: Tensor) -> Tensor:
        """Draw the next token of each row, note it, and return them; shape [rows]."""
        logits = logits.float()
        for number, place in enumerate(self.places):
            if penalty := self.rows[place].sampling.presence_penalty:
                logits[number, list(set(self.written[place].tokens))] -= penalty
        step = len(self.written[self.places[0]].tokens)
        tokens = pick(logits, self._settings[:, 0], self._settings[:, 1], self._draws[:, step])
        for place, token in zip(self.places, tokens.tolist(), strict=True):
            self.written[place].tokens.append(token)
        return tokens

    def leave(self, over: Sequence[bool]) -> Tensor:
        """Let the rows go that are over. Returns which of the rows, as they were, go on."""
        on = torch.tensor([number for number, ended in enumerate(over) if not ended], device=self._device)
        self.places = [place for place, ended in zip(self.places, over, strict=True) if not ended]
        for layer in self._layers:
            layer.keep(on)
        self._mask, self._lengths = self._mask[on], self._lengths[on]
        self._settings, self._draws = self._settings[on], self._draws[on]
        return on

    def next_token(self) -> dict[str, Tensor | Cache]:
        """What the model has to know of the tokens before the next one, which is counted in."""
        positions = self._lengths[:, None].clone()
        self._lengths += 1
        self._mask = pad(self._mask, (0, 1), value=True)
        return {"attention_mask": self._mask, "position_ids": positions, "past_key_values": self._cache}


def shared_beginnings(rows: Sequence[Row]) -> list[int]:
    """How many of its first tokens each row has in common with all of its family; 0 where that is not worth keeping."""
    families: dict[Hashable, list[list[int]]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row.prompt)
    counts = {family: _common(prompts) if len(prompts) > 1 else 0 for family, prompts in families.items()}
    return [counts[row.family] for row in rows]


def _common(prompts: Sequence[list[int]]) -> int:
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False))
    # Each row has to run at least its last token, for what comes after it.
    count = min(sum(1 for _ in alike), min(map(len, prompts)) - 1)
    return count if count >= _WORTH else 0


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
