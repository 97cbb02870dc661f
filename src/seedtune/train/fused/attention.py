# ruff: noqa: N803, N806 (names end in their shapes)
"""Attention over packed rows: each row attends to itself alone.

Several implementations, fastest first; one is taken only after it has shown on the device at hand that rows packed
together give the outputs and gradients that each gives alone. Boundaries lost in silence would train every row on its
neighbours.

Shapes: T tokens of all rows, H query heads, G key heads, E numbers a head, S rows.
"""

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch.nn.functional import scaled_dot_product_attention

from seedtune.errors import TrainingError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """Where the rows of a batch begin and end."""

    boundaries: torch.Tensor
    """int32 [S + 1]: the first token of each row, and the number of tokens."""
    longest: int
    """No row is longer."""
    _tables: dict[tuple[int, bool], torch.Tensor] = field(default_factory=dict[tuple[int, bool], torch.Tensor])

    def blocks(self, tokens: int, size: int, of_keys: bool = False) -> torch.Tensor:
        """The rows cut into blocks of ``size`` queries or keys, for the kernels; made once for all layers."""
        if (size, of_keys) not in self._tables:
            from seedtune.train.fused.attention_kernels import blocks_of

            self._tables[size, of_keys] = blocks_of(self.boundaries, tokens, size, of_keys)
        return self._tables[size, of_keys]


Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Rows], torch.Tensor]
"""(query [T, H, E], key [T, G, E], value [T, G, E], rows) -> [T, H, E]; causal, scaled by 1 / sqrt(E)."""

NAME = "seedtune_packed"
"""How transformers knows it (``config._attn_implementation``)."""

_TOLERANCE = {torch.bfloat16: 2e-2, torch.float16: 4e-3, torch.float32: 1e-4}
"""Largest relative error: a few roundings of the type."""


def blocks(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Our own kernels, made for short rows; :func:`rotated` is their direct way."""
    tokens, heads, size = query.shape
    qkv_TC = torch.cat([part.flatten(1) for part in (query, key, value)], 1)
    angles = (torch.ones(tokens, size, device=query.device), torch.zeros(tokens, size, device=query.device))
    return rotated(qkv_TC, angles, (heads, key.shape[1]), rows).view_as(query)


def rotated(
    qkv_TC: torch.Tensor,
    angles: tuple[torch.Tensor, torch.Tensor],
    heads: tuple[int, int],
    rows: Rows,
    room: int = 0,
) -> torch.Tensor:
    """Rotary embedding and attention, from the projection's output to the next one's input: [T, C] -> [T, H E].

    Args:
        qkv_TC: Queries, keys and values side by side. It is rotated in place and must not be used again.
        angles: Cosine and sine, each [T, E], as transformers gives them.
        heads: H and G.
        rows: Which tokens see each other.
        room: Columns left unused behind the output (:func:`~.lowrank.with_room`).
    """
    return cast("torch.Tensor", _Rotated.apply(qkv_TC, *angles, heads, rows, room))


class _Rotated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        qkv_TC: torch.Tensor,
        cosine_TE: torch.Tensor,
        sine_TE: torch.Tensor,
        heads: tuple[int, int],
        rows: Rows,
        room: int,
    ) -> torch.Tensor:
        from seedtune.train.fused import attention_kernels, layer_kernels

        tokens, size = cosine_TE.shape
        # Detached: autograd need not know that the input is overwritten, for nothing reads it again.
        qkv_TC = qkv_TC.detach()
        layer_kernels.rotate(qkv_TC, qkv_TC, cosine_TE, sine_TE, sum(heads))
        table = rows.blocks(tokens, attention_kernels.FORWARD["BLOCK"])
        out_TC, normaliser_HT = attention_kernels.forward(qkv_TC, table, heads, size, room)
        ctx.save_for_backward(qkv_TC, out_TC, normaliser_HT, cosine_TE, sine_TE)
        ctx.heads, ctx.rows = heads, rows
        return out_TC

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        from seedtune.train.fused import attention_kernels

        qkv_TC, out_TC, normaliser_HT, cosine_TE, sine_TE = ctx.saved_tensors
        tokens, size = cosine_TE.shape
        sizes = (attention_kernels.QUERIES["BLOCK"], attention_kernels.KEYS["BLOCK"])
        tables = (ctx.rows.blocks(tokens, sizes[0]), ctx.rows.blocks(tokens, sizes[1], of_keys=True))
        grad_TC = attention_kernels.backward(
            qkv_TC, (out_TC, normaliser_HT), grads[0].contiguous(), (cosine_TE, sine_TE), tables, ctx.heads, size
        )
        return grad_TC, None, None, None, None, None


def flash(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """FlashAttention-2 as torch brings it, called below ``varlen_attn``: it takes grouped keys as they are."""
    return torch.ops.aten._flash_attention_forward(
        query, key, value, *(rows.boundaries,) * 2, *(rows.longest,) * 2, 0.0, True, False
    )[0]


def varlen(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """``torch.nn.attention.varlen``, with keys and values repeated for the heads that share them."""
    from torch.nn.attention.varlen import varlen_attn

    groups = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(groups, 1) for tensor in (key, value))
    edges, longest = rows.boundaries, rows.longest
    out = varlen_attn(query, key, value, edges, edges, longest, longest, window_size=(-1, 0))
    return cast("torch.Tensor", out)


def flash_attn(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The package flash-attn, where it is installed."""
    from flash_attn import flash_attn_varlen_func  # pyright: ignore[reportMissingImports]

    return flash_attn_varlen_func(query, key, value, *(rows.boundaries,) * 2, *(rows.longest,) * 2, causal=True)


def row_by_row(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """Torch's scaled dot product, a row at a time: right by construction, on any device."""
    ends = cast("list[int]", rows.boundaries.tolist())
    sizes = [end - start for start, end in itertools.pairwise(ends)]
    parts = (tensor.transpose(0, 1).split(sizes, 1) for tensor in (query, key, value))
    outs = [
        scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=q.shape[0] != k.shape[0])[0]
        for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(outs, 1).transpose(0, 1)


IMPLEMENTATIONS: dict[str, Attention] = {
    "blocks": blocks,
    "flash": flash,
    "varlen": varlen,
    "flash_attn": flash_attn,
    "row_by_row": row_by_row,
}
"""Fastest first."""


def pick(device: torch.device, dtype: torch.dtype, heads: tuple[int, int], size: int, name: str = "auto") -> Attention:
    """The fastest implementation that passes :func:`packed_error` on this device.

    Args:
        device: Where the model is.
        dtype: Its precision.
        heads: Query heads and key heads.
        size: Numbers a head.
        name: One of :data:`IMPLEMENTATIONS` to take only that.

    Raises:
        TrainingError: the named implementation, or all of them, cannot run here or mix rows up.
    """
    failures: list[str] = []
    for candidate in IMPLEMENTATIONS if name == "auto" else (name,):
        implementation = IMPLEMENTATIONS[candidate]
        try:
            error = packed_error(implementation, device, dtype, heads, size)
        except Exception as problem:
            # A kernel that does not run here may fail in any way, down to its compiler's own errors.
            failures.append(f"{candidate}: {type(problem).__name__}: {str(problem).strip().splitlines()[0]}")
            continue
        # Not "error > tolerance": a NaN must fail too.
        if error <= _TOLERANCE.get(dtype, 1e-6):
            logger.info("attention over packed rows: %s (packed and alone differ by %.1e)", candidate, error)
            return implementation
        failures.append(f"{candidate}: rows packed together differ from rows alone by {error:.1e}")
    raise TrainingError(
        "no attention over packed rows works here; train with padded batches, or name another implementation: "
        + "; ".join(failures)
    )


def packed_error(
    implementation: Attention, device: torch.device, dtype: torch.dtype, heads: tuple[int, int], size: int
) -> float:
    """How far packed rows are from the same rows alone: the largest relative error of output and gradients.

    Compared with :func:`row_by_row` in float32 on random rows of uneven lengths, one of a single token.
    """
    lengths = [1, 37, 128, 5, 200]
    generator = torch.Generator().manual_seed(0)
    tokens = sum(lengths)
    rows = Rows(torch.tensor([0, *lengths]).cumsum(0).to(torch.int32).to(device), max(lengths))
    shapes = [(tokens, heads[0], size), (tokens, heads[1], size), (tokens, heads[1], size), (tokens, heads[0], size)]
    made = [torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes]
    results: list[list[torch.Tensor]] = []
    for function, precision in ((implementation, dtype), (row_by_row, torch.float32)):
        query, key, value = (tensor.to(precision).requires_grad_() for tensor in made[:3])
        with torch.enable_grad():
            out = function(query, key, value, rows)
            grads = torch.autograd.grad(out, (query, key, value), made[3].to(precision))
        results.append([out.detach(), *grads])
    return max(float((tested.float() - right).norm() / right.norm()) for tested, right in zip(*results, strict=True))


def register(implementation: Attention) -> None:
    """Make it known to transformers under :data:`NAME`, for models whose layers are not fused.

    Batches without row boundaries (padded ones, as in evaluation) go to transformers' own ``sdpa`` with its mask.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **rest: Any) -> Any:
        boundaries = rest.get("cu_seq_lens_q")
        if boundaries is None:
            return sdpa_attention_forward(module, query, key, value, mask, **rest)
        scaling = rest.get("scaling")
        if scaling is not None and abs(scaling * query.shape[-1] ** 0.5 - 1) > 1e-6:
            # The implementations divide by sqrt(E).
            query = query * (scaling * query.shape[-1] ** 0.5)
        flat = [tensor.transpose(1, 2).flatten(0, 1) for tensor in (query, key, value)]
        out = implementation(flat[0], flat[1], flat[2], Rows(boundaries, int(rest["max_length_q"])))
        return out[None], None

    def mask(*arguments: Any, **rest: Any) -> Any:
        # A packed batch has no mask over tokens, and one over pairs of tokens would be built for nothing.
        return None if rest.get("attention_mask") is None else sdpa_mask(*arguments, **rest)

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, mask)
