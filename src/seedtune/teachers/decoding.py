"""Decode rows together with a model of transformers, faster than by its ``generate`` where prompts are long and alike.

- Rows of one family (a pack and a step) begin with the same tokens: their keys and values are computed once, and kept
  for the rows to come.
- A row that has ended leaves its batch, and another may take its place (``packed_batch.py`` on a CPU, ``slot_batch.py``
  on a GPU). Keys and values are written in place, not copied at each token.
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

from seedtune.teachers.protocol import Sampling

_KEPT = 8
"""Shared beginnings to keep: one for each pack and step, in most runs."""
_LIKELIEST = 256
"""Tokens to sort before all are sorted."""
_WORTH = 32
"""Shared tokens that are worth a forward pass of their own."""

Layers = list[tuple[Tensor, Tensor]]
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


class Decoder:
    """Runs the model for batches of rows."""

    def __init__(self, model: PreTrainedModel, ends: frozenset[int], text_of: Callable[[list[int]], str]) -> None:
        """Keeps the model.

        Args:
            model: In evaluation mode.
            ends: Tokens that end a text.
            text_of: The text of tokens, to find stop strings in.
        """
        self.model: Any = model
        self.device: torch.device = model.device
        self._ends = ends
        self._text_of = text_of
        self._beginnings: OrderedDict[tuple[int, ...], Layers] = OrderedDict()

    def prefill(self, prompt: list[int], shared: int) -> tuple[Layers, Tensor]:
        """Keys and values of a prompt, and the logits [vocabulary] of the token after it."""
        cache = DynamicCache()
        if shared:
            for number, (keys, values) in enumerate(self._beginning(tuple(prompt[:shared]))):
                cache.update(keys, values, number)
        logits = self._forward(prompt[shared:], cache)
        return layers_of(cache), logits

    def prefill_together(self, prompts: Sequence[list[int]], shared: int) -> tuple[Layers, Tensor, Tensor]:
        """As :meth:`prefill`, for prompts with one beginning, in one pass.

        Returns:
            Keys and values of each layer, each of shape [rows, heads, tokens, size]; which of the tokens are a row's
            own and not padding, shape [rows, tokens]; and logits, shape [rows, vocabulary].
        """
        cache, width = DynamicCache(), max(map(len, prompts))
        if shared:
            for number, states in enumerate(self._beginning(tuple(prompts[0][:shared]))):
                keys, values = (state.expand(len(prompts), -1, -1, -1) for state in states)
                cache.update(keys, values, number)
        # The padding stands behind the beginning, which all have in the same place.
        pads = [width - len(prompt) for prompt in prompts]
        ids = [[0] * pad + prompt[shared:] for pad, prompt in zip(pads, prompts, strict=True)]
        mask = [[1] * shared + [0] * pad + [1] * (width - shared - pad) for pad in pads]
        own = torch.tensor(mask, device=self.model.device)
        logits = self.model(
            input_ids=torch.tensor(ids, device=own.device),
            attention_mask=own,
            position_ids=(own.cumsum(-1) - 1).clamp(min=0)[:, shared:],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        return layers_of(cache), own.bool(), logits

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
        return self.model(
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

    def _beginning(self, tokens: tuple[int, ...]) -> Layers:
        if tokens not in self._beginnings:
            cache = DynamicCache()
            self._forward(list(tokens), cache)
            self._beginnings[tokens] = layers_of(cache)
            if len(self._beginnings) > _KEPT:
                self._beginnings.popitem(last=False)
        self._beginnings.move_to_end(tokens)
        return self._beginnings[tokens]

    def _forward(self, tokens: list[int], cache: Cache) -> Tensor:
        ids = torch.tensor([tokens], device=self.model.device)
        return self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[0, -1]


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


def layers_of(cache: Cache) -> Layers:
    """Keys and values of a cache."""
    layers: Any = cache.layers
    return [(layer.keys, layer.values) for layer in layers]
