"""Rows that go on together on a GPU: each has a slot, and a token of all slots is one launch.

To launch the thousand kernels of a step one by one takes a host many times as long as they run. So a step is recorded
once as a CUDA graph, and replayed. A graph has fixed shapes and addresses: empty slots are computed as well, a row
stays in its slot, and attention goes over the whole memory, with a mask for what a row is not to see. Rows that join
are prefilled together. When the memory grows, the step is recorded anew.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from seedtune.teachers.decoding import Decoder, Layers, Writing, shared_beginnings

_STRIDE = 512
"""Tokens that memory has room for at least, each time it is laid out anew."""
_PASS = 8192
"""Tokens of new prompts to run at once."""
_NAME = "seedtune-slots"
"""How transformers knows :func:`attend`."""


def has_one_mask(model: PreTrainedModel) -> bool:
    """Whether all layers look at all tokens before: only then does one mask, made here, serve all of them."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    return set(kinds) == {"full_attention"} and not getattr(config, "sliding_window", None)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers calls it: of one token of each row by two products, of more tokens by torch's own.

    Torch's kernels are made for many queries; for one they take several times as long as it takes to read the keys.

    Args:
        module: The layer.
        query: Shape [rows, heads, tokens, size].
        key: Shape [rows, key heads, all tokens, size].
        value: As the keys.
        attention_mask: True where a query may look; shape [rows, 1, tokens, all tokens].
        settings: ``scaling``, and what else a layer gives.

    Returns:
        Shape [rows, tokens, heads, size], and no weights.
    """
    if query.shape[2] > 1 or attention_mask is None or attention_mask.dtype != torch.bool:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    rows, heads, _, size = query.shape
    grouped = query.view(rows, key.shape[1], heads // key.shape[1], size)
    odds = (grouped @ key.transpose(2, 3)).float() * (settings.get("scaling") or size**-0.5)
    weights = odds.masked_fill(~attention_mask, -torch.inf).softmax(-1).to(value.dtype)
    return (weights @ value).view(rows, 1, heads, size), None


AttentionInterface.register(_NAME, attend)
AttentionMaskInterface.register(_NAME, sdpa_mask)


class _Fixed(DynamicLayer):
    """Keys and values of one layer, in memory that stays where it is."""

    def __init__(self, slots: int, like: Tensor, place: Tensor) -> None:
        """Memory for rows of keys such as ``like`` [rows, heads, tokens, size]; ``place`` [1]: of the next token."""
        super().__init__()
        self.dtype, self.device, self.is_initialized = like.dtype, like.device, True
        self._place = place
        self.memory = tuple(like.new_zeros(slots, like.shape[1], 0, like.shape[3]) for _ in range(2))
        """Of keys and of values, each of shape [slots, heads, tokens, size]."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Called by each layer of the model, with one more token of each slot."""
        keys, values = self.memory
        return keys.index_copy_(2, self._place, key_states), values.index_copy_(2, self._place, value_states)


class SlotBatch:
    """See :class:`seedtune.teachers.packed_batch.PackedBatch`."""

    def __init__(self, decoder: Decoder, slots: int) -> None:
        """Has room for so many rows at once."""
        if decoder.model.config._attn_implementation == "sdpa":
            decoder.model.set_attn_implementation(_NAME)
        self._decoder = decoder
        self._rows: list[Writing | None] = [None] * slots
        self._begins = [0] * slots
        """Where each row's tokens begin in the memory."""
        self._end = 0
        """Where all rows' tokens end."""
        self._layers: list[_Fixed] = []
        self._families: dict[Hashable, list[int]] = {}
        device = decoder.device
        self._tokens = torch.zeros(slots, 1, dtype=torch.long, device=device)
        """The last one of each row, which the model has not seen yet."""
        self._positions = torch.zeros_like(self._tokens)
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._mask = torch.zeros(slots, 1, 1, 0, dtype=torch.bool, device=device)
        """What each row looks at."""
        self._replay: Callable[[], Tensor] | None = None

    @property
    def writings(self) -> list[Writing]:
        """Of the rows that go on."""
        return [row for row in self._rows if row is not None]

    @torch.inference_mode()
    def join(self, writings: Sequence[Writing], interrupted: Callable[[], bool] = lambda: False) -> None:
        """Prefill new rows, and write the first token of each; broken off once ``interrupted`` says so."""
        shared = shared_beginnings([writing.row for writing in writings], self._families)
        for together in _passes(writings, shared):
            if interrupted():
                return
            chosen = [writings[number] for number in together]
            layers, own, logits = self._decoder.prefill_together([w.row.prompt for w in chosen], shared[together[0]])
            tokens = self._decoder.choose(chosen, logits)
            on = [number for number, writing in enumerate(chosen) if not writing.is_over]
            if on:
                self._let_in([chosen[number] for number in on], layers, own, tokens, torch.tensor(on))

    def _let_in(self, rows: Sequence[Writing], layers: Layers, own: Tensor, tokens: Tensor, on: Tensor) -> None:
        """Give rows a slot each; ``on`` are their numbers among those that were prefilled."""
        width = own.shape[1]
        if not self._layers:
            self._layers = [_Fixed(len(self._rows), keys, self._place) for keys, _ in layers]
        if width > self._end:
            self._lay_out(width)
        free = [slot for slot, row in enumerate(self._rows) if row is None][: len(rows)]
        for slot, row in zip(free, rows, strict=True):
            self._rows[slot], self._begins[slot] = row, self._end - width
        slots, on = torch.tensor(free, device=own.device), on.to(own.device)
        columns = slice(self._end - width, self._end)
        for layer, found in zip(self._layers, layers, strict=True):
            for memory, states in zip(layer.memory, found, strict=True):
                memory[slots, :, columns] = states[on]
        self._mask[slots] = False
        self._mask[slots, 0, 0, columns] = own[on]
        self._tokens[slots, 0] = tokens[on]
        self._positions[slots, 0] = own[on].sum(-1)

    @torch.inference_mode()
    def step(self) -> None:
        """Write one more token of each row; those that are over leave."""
        going = [slot for slot, row in enumerate(self._rows) if row is not None]
        if not going:
            return
        if self._end == self._mask.shape[-1]:
            self._lay_out(self._end - min(self._begins[slot] for slot in going))
        # Empty slots see something too, so that their numbers stay finite.
        self._mask[..., self._end] = True
        self._place.fill_(self._end)
        self._replay = self._replay or self._record()
        logits = self._replay()
        self._end += 1
        self._positions += 1
        slots = torch.tensor(going, device=logits.device)
        self._tokens[slots, 0] = self._decoder.choose(self.writings, logits[slots])
        for slot in going:
            row = self._rows[slot]
            if row is not None and row.is_over:
                self._rows[slot] = None

    def _lay_out(self, width: int) -> None:
        """Move the rows so that they end at ``width``, in larger memory where that leaves no room for a stride."""
        begins = [begin for begin, row in zip(self._begins, self._rows, strict=True) if row is not None]
        begin = min(begins, default=self._end)
        window, target = slice(begin, self._end), slice(width - (self._end - begin), width)
        capacity = (-(-width // _STRIDE) + 1) * _STRIDE
        if grows := capacity > self._mask.shape[-1]:
            self._replay = None
        for layer in self._layers:
            layer.memory = tuple(
                _moved(states, 2, window, target, capacity if grows else None) for states in layer.memory
            )
        self._mask = _moved(self._mask, 3, window, target, capacity if grows else None)
        self._begins = [place + target.start - begin for place in self._begins]
        self._end = width

    def _record(self) -> Callable[[], Tensor]:
        if self._tokens.device.type != "cuda":
            return self._run
        # The first run sets up libraries, which must not be recorded; on a side stream, as the recording will be.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            logits = self._run()

        def replay() -> Tensor:
            graph.replay()
            return logits

        return replay

    def _run(self) -> Tensor:
        cache = Cache(layers=list(self._layers))
        return self._decoder.go_on(self._tokens[:, 0], self._positions[:, 0], self._mask, cache)


def _passes(writings: Sequence[Writing], shared: Sequence[int]) -> list[list[int]]:
    """Which rows are prefilled together, by their numbers: those with one beginning, of about one length."""
    prompts = [writing.row.prompt for writing in writings]
    order = sorted(range(len(prompts)), key=lambda number: (prompts[number][: shared[number]], len(prompts[number])))
    passes: list[list[int]] = []
    for number in order:
        begin, new = prompts[number][: shared[number]], len(prompts[number]) - shared[number]
        first = passes[-1][0] if passes else None
        alike = first is not None and prompts[first][: shared[first]] == begin
        if alike and (len(passes[-1]) + 1) * new <= _PASS:
            passes[-1].append(number)
        else:
            passes.append([number])
    return passes


def _moved(states: Tensor, axis: int, window: slice, target: slice, capacity: int | None) -> Tensor:
    """A window of the tokens elsewhere; in new memory for so many tokens, or in the same."""
    kept = states.narrow(axis, window.start, window.stop - window.start).clone()
    if capacity is not None:
        states = states.new_zeros(*states.shape[:axis], capacity, *states.shape[axis + 1 :])
    else:
        states.zero_()
    states.narrow(axis, target.start, target.stop - target.start).copy_(kept)
    return states
