# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# ruff: noqa: N803, PLR0913 (constants in capitals as Triton has it, shapes in names, every stride by itself)
"""Triton kernels of the low-rank side of a LoRA linear layer, with dropout computed on the fly.

Each reads or writes the wide matrix once and keeps the narrow ones in cache, so that it runs near the speed of memory.
Up to three adapters of rank ``R`` share the wide matrix; each has its own mask (see ``masks``).

- ``down``: ``t = scale * drop(x) @ a.T``
- ``gradient``: ``g = scale * v.T @ drop(x)``
- ``gradient_of_parts``: ``g = x.T @ v`` for layers whose outputs lie side by side
- ``spread``: ``y = scale * keep * (v @ a)``, summed over the adapters

Sums are float32 and in a fixed order: the same inputs give the same bits. Inputs are bfloat16 or float16. A rank is a
power of two from 16 to 128.
"""

import itertools
from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from seedtune.train.fused.masks import FIRST, SECOND, Mask

_FIRST = tl.constexpr(FIRST)
_SECOND = tl.constexpr(SECOND)

Config = dict[str, int]
# By the number of adapters; measured on an H100 at 8192 tokens and rank 64.
DOWN: dict[int, Config] = {
    1: {"BLOCK_T": 64, "BLOCK_K": 128, "num_warps": 4, "num_stages": 4},
    2: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 4, "num_stages": 3},
    3: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 4, "num_stages": 3},
}
GRADIENT: dict[int, Config] = {
    1: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 4, "num_stages": 4},
    2: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 8, "num_stages": 4},
    3: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 4, "num_stages": 3},
}
SPREAD: dict[int, Config] = {
    1: {"BLOCK_T": 64, "BLOCK_K": 128, "num_warps": 4, "num_stages": 1},
    2: {"BLOCK_T": 64, "BLOCK_K": 64, "num_warps": 4, "num_stages": 1},
    3: {"BLOCK_T": 64, "BLOCK_K": 128, "num_warps": 4, "num_stages": 1},
}
GRADIENT_PROGRAMS = 264
"""How many programs at least, by splitting the sum over the tokens: two for each multiprocessor of an H100, so that one
computes while the other waits for memory."""


@triton.jit
def _mix(words):
    words = words.to(tl.uint32)
    words = (words ^ (words >> 16)) * _FIRST
    words = (words ^ (words >> 15)) * _SECOND
    return words ^ (words >> 16)


@triton.jit
def _words(row_keys, pair_keys):
    words = (row_keys[:, None] ^ pair_keys[None, :]) * _FIRST
    return (words ^ (words >> 15)) * _SECOND


@triton.jit
def _next(words):
    return (words ^ (words >> 16)) * _FIRST


@triton.jit
def _drop(tile, words, local, THRESHOLD: tl.constexpr):
    # ``local`` is an arange: the compiler sees which half each column takes, and that pairs share their word.
    if THRESHOLD > 0:
        bits = tl.where((local & 1)[None, :] == 1, words << 16, words)
        tile = tl.where(bits >= THRESHOLD, tile, 0.0)
    return tile


@triton.jit(do_not_specialize=["row_seed", "column_seed"])
def _down(
    x,
    a,
    out,
    tokens,
    width,
    x_stride,
    rank_stride,
    width_stride,
    out_stride,
    scale,
    row_seed,
    column_seed,
    ADAPTERS: tl.constexpr,
    RANK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    rows = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    local, ranks = tl.arange(0, BLOCK_K), tl.arange(0, RANK)
    valid = rows < tokens
    row_keys = _mix(rows + row_seed)
    x_rows = x + rows.to(tl.int64)[:, None] * x_stride
    first = tl.zeros((BLOCK_T, RANK), tl.float32)
    second = tl.zeros((BLOCK_T, RANK), tl.float32)
    third = tl.zeros((BLOCK_T, RANK), tl.float32)
    for start in range(0, width, BLOCK_K):
        columns = start + local
        inside = (columns < width)[:, None]
        tile = tl.load(x_rows + columns[None, :], mask=valid[:, None] & (columns < width)[None, :], other=0.0)
        words = _words(row_keys, _mix((start >> 1) + (local >> 1) + column_seed))
        a_tile = a + columns[:, None] * width_stride + ranks[None, :] * rank_stride
        first = tl.dot(_drop(tile, words, local, THRESHOLD), tl.load(a_tile, mask=inside, other=0.0), first)
        if ADAPTERS > 1:
            words = _next(words)
            a_tile += RANK * rank_stride
            second = tl.dot(_drop(tile, words, local, THRESHOLD), tl.load(a_tile, mask=inside, other=0.0), second)
        if ADAPTERS > 2:
            words = _next(words)
            a_tile += RANK * rank_stride
            third = tl.dot(_drop(tile, words, local, THRESHOLD), tl.load(a_tile, mask=inside, other=0.0), third)
    out_tile = out + rows[:, None] * out_stride + ranks[None, :]
    tl.store(out_tile, (first * scale).to(out.dtype.element_ty), mask=valid[:, None])
    if ADAPTERS > 1:
        tl.store(out_tile + RANK, (second * scale).to(out.dtype.element_ty), mask=valid[:, None])
    if ADAPTERS > 2:
        tl.store(out_tile + 2 * RANK, (third * scale).to(out.dtype.element_ty), mask=valid[:, None])


@triton.jit(do_not_specialize=["row_seed", "column_seed"])
def _gradient(
    x,
    v,
    partial,
    tokens,
    width,
    chunk,
    x_stride,
    v_stride,
    split_stride,
    rank_stride,
    width_stride,
    second_part,
    third_part,
    scale,
    row_seed,
    column_seed,
    ADAPTERS: tl.constexpr,
    RANK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    start = tl.program_id(0) * BLOCK_K
    v += ((start >= second_part).to(tl.int32) + (start >= third_part).to(tl.int32)) * RANK
    local, ranks = tl.arange(0, BLOCK_K), tl.arange(0, RANK)
    columns = start + local
    inside = (columns < width)[None, :]
    pair_keys = _mix((start >> 1) + (local >> 1) + column_seed)
    first = tl.zeros((RANK, BLOCK_K), tl.float32)
    second = tl.zeros((RANK, BLOCK_K), tl.float32)
    third = tl.zeros((RANK, BLOCK_K), tl.float32)
    begin = tl.program_id(1) * chunk
    end = tl.minimum(begin + chunk, tokens)
    for block in range(begin, end, BLOCK_T):
        rows = block + tl.arange(0, BLOCK_T)
        valid = (rows < end)[None, :]
        x_tile = x + rows.to(tl.int64)[:, None] * x_stride + columns[None, :]
        tile = tl.load(x_tile, mask=(rows < end)[:, None] & inside, other=0.0)
        words = _words(_mix(rows + row_seed), pair_keys)
        v_tile = v + rows[None, :] * v_stride + ranks[:, None]
        first = tl.dot(tl.load(v_tile, mask=valid, other=0.0), _drop(tile, words, local, THRESHOLD), first)
        if ADAPTERS > 1:
            words = _next(words)
            v_tile += RANK
            second = tl.dot(tl.load(v_tile, mask=valid, other=0.0), _drop(tile, words, local, THRESHOLD), second)
        if ADAPTERS > 2:
            words = _next(words)
            v_tile += RANK
            third = tl.dot(tl.load(v_tile, mask=valid, other=0.0), _drop(tile, words, local, THRESHOLD), third)
    out = partial + tl.program_id(1).to(tl.int64) * split_stride
    out += ranks[:, None] * rank_stride + columns[None, :] * width_stride
    tl.store(out, first * scale, mask=inside)
    if ADAPTERS > 1:
        tl.store(out + RANK * rank_stride, second * scale, mask=inside)
    if ADAPTERS > 2:
        tl.store(out + 2 * RANK * rank_stride, third * scale, mask=inside)


@triton.jit(do_not_specialize=["row_seed", "column_seed"])
def _spread(
    v,
    a,
    out,
    tokens,
    width,
    v_stride,
    out_stride,
    scale,
    row_seed,
    column_seed,
    ADAPTERS: tl.constexpr,
    RANK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    ADD: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    rows = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    local, ranks = tl.arange(0, BLOCK_K), tl.arange(0, RANK)
    columns = tl.program_id(1) * BLOCK_K + local
    valid, inside = (rows < tokens)[:, None], (columns < width)[None, :]
    words = _words(_mix(rows + row_seed), _mix((tl.program_id(1) * BLOCK_K >> 1) + (local >> 1) + column_seed))
    total = tl.zeros((BLOCK_T, BLOCK_K), tl.float32)
    for adapter in tl.static_range(ADAPTERS):
        v_tile = v + rows[:, None] * v_stride + adapter * RANK + ranks[None, :]
        a_tile = a + (adapter * RANK + ranks)[:, None] * width + columns[None, :]
        product = tl.dot(tl.load(v_tile, mask=valid, other=0.0), tl.load(a_tile, mask=inside, other=0.0))
        total += _drop(product, words, local, THRESHOLD)
        words = _next(words)
    total *= scale
    out_tile = out + rows.to(tl.int64)[:, None] * out_stride + columns[None, :]
    if ADD:
        total += tl.load(out_tile, mask=valid & inside, other=0.0).to(tl.float32)
    tl.store(out_tile, total.to(out.dtype.element_ty), mask=valid & inside)


@triton.jit
def _cast_one(a, a_out, a_size, b, b_out, b_size, b_stride, RANK: tl.constexpr, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < a_size
    tl.store(a_out + places, tl.load(a + places, mask=inside).to(a_out.dtype.element_ty), mask=inside)
    inside = places < b_size
    target = b_out + (places // RANK) * b_stride + places % RANK
    tl.store(target, tl.load(b + places, mask=inside).to(b_out.dtype.element_ty), mask=inside)


@triton.jit
def _cast(
    a_0,
    b_0,
    b_0_size,
    a_1,
    b_1,
    b_1_size,
    a_2,
    b_2,
    b_2_size,
    a_out,
    a_size,
    b_out,
    b_stride,
    ADAPTERS: tl.constexpr,
    RANK: tl.constexpr,
    BLOCK: tl.constexpr,
):
    _cast_one(a_0, a_out, a_size, b_0, b_out, b_0_size, b_stride, RANK, BLOCK)
    if ADAPTERS > 1:
        b_out += b_0_size // RANK * b_stride + RANK
        _cast_one(a_1, a_out + a_size, a_size, b_1, b_out, b_1_size, b_stride, RANK, BLOCK)
    if ADAPTERS > 2:
        b_out += b_1_size // RANK * b_stride + RANK
        _cast_one(a_2, a_out + 2 * a_size, a_size, b_2, b_out, b_2_size, b_stride, RANK, BLOCK)


def down(x_TK: torch.Tensor, a_RK: torch.Tensor, out_TR: torch.Tensor, adapters: int, mask: Mask, scale: float) -> None:
    """``out = scale * drop(x) @ a.T``; ``a`` holds the adapters one below the other, in any memory order."""
    (tokens, width), config = x_TK.shape, DOWN[adapters]
    _down[(triton.cdiv(tokens, config["BLOCK_T"]),)](
        x_TK,
        a_RK,
        out_TR,
        tokens,
        width,
        x_TK.stride(0),
        a_RK.stride(0),
        a_RK.stride(1),
        out_TR.stride(0),
        scale,
        mask.row_seed,
        mask.column_seed,
        ADAPTERS=adapters,
        RANK=a_RK.shape[0] // adapters,
        THRESHOLD=mask.threshold,
        **config,
    )


def gradient(x_TK: torch.Tensor, v_TR: torch.Tensor, adapters: int, mask: Mask, scale: float) -> torch.Tensor:
    """``scale * v.T @ drop(x)`` as float32 [R, K]."""
    return _gradient_of(x_TK, v_TR, adapters, (), mask, scale)


def parts_fit(sizes: Sequence[int]) -> bool:
    """Whether :func:`gradient_of_parts` can take parts of so many columns at once."""
    return len(sizes) <= 3 and all(size % GRADIENT[1]["BLOCK_K"] == 0 for size in sizes[:-1])


def gradient_of_parts(x_TK: torch.Tensor, v_TR: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """``part.T @ v's part`` for each of up to three parts of ``x`` side by side: float32 [K, R / parts].

    Args:
        x_TK: K = the sum of ``sizes``.
        v_TR: As many columns for each part.
        sizes: Columns of each part, as :func:`parts_fit` wants them.
    """
    return _gradient_of(x_TK, v_TR, 1, sizes, Mask(0.0), 1.0)


def _gradient_of(
    x_TK: torch.Tensor, v_TR: torch.Tensor, adapters: int, parts: Sequence[int], mask: Mask, scale: float
) -> torch.Tensor:
    """[R, K] of ``adapters`` that all read ``x``; where ``parts`` is not empty, [K, R] of adapters with parts of it."""
    (tokens, width), rank = x_TK.shape, v_TR.shape[1] // max(1, len(parts))
    config = GRADIENT[adapters]
    blocks, steps = triton.cdiv(width, config["BLOCK_K"]), triton.cdiv(tokens, config["BLOCK_T"])
    chunk = triton.cdiv(steps, min(steps, max(1, round(GRADIENT_PROGRAMS / blocks)))) * config["BLOCK_T"]
    splits = triton.cdiv(tokens, chunk)
    shape = (splits, width, rank) if parts else (splits, rank, width)
    partial = torch.empty(shape, dtype=torch.float32, device=x_TK.device)
    # Where the second and the third part begin; behind the end where there are none.
    begins = [*itertools.accumulate(parts[:-1]), width, width]
    _gradient[(blocks, splits)](
        x_TK,
        v_TR,
        partial,
        tokens,
        width,
        chunk,
        x_TK.stride(0),
        v_TR.stride(0),
        partial.stride(0),
        1 if parts else width,
        rank if parts else 1,
        begins[0],
        begins[1],
        scale,
        mask.row_seed,
        mask.column_seed,
        ADAPTERS=adapters,
        RANK=rank // adapters,
        THRESHOLD=mask.threshold,
        **config,
    )
    return partial[0] if splits == 1 else partial.sum(0)


def spread(
    v_TR: torch.Tensor,
    a_RK: torch.Tensor,
    out_TK: torch.Tensor,
    adapters: int,
    mask: Mask,
    scale: float,
    add: bool = False,
) -> None:
    """``out = scale * keep * (v @ a)``, or ``out +=`` that; summed over the adapters; ``a`` is contiguous."""
    (tokens, width), config = out_TK.shape, SPREAD[adapters]
    _spread[(triton.cdiv(tokens, config["BLOCK_T"]), triton.cdiv(width, config["BLOCK_K"]))](
        v_TR,
        a_RK,
        out_TK,
        tokens,
        width,
        v_TR.stride(0),
        out_TK.stride(0),
        scale,
        mask.row_seed,
        mask.column_seed,
        ADAPTERS=adapters,
        RANK=a_RK.shape[0] // adapters,
        THRESHOLD=mask.threshold,
        ADD=add,
        **config,
    )


def cast(adapters: Sequence[torch.Tensor], whole_NL: torch.Tensor, a_RK: torch.Tensor) -> None:
    """Copy each A below the last one into ``a``, and each B behind its rows of the weight in ``whole``.

    Args:
        adapters: A and B of each layer, one after the other; contiguous, in any precision.
        whole_NL: K columns of weight, then R for each adapter; only the diagonal blocks of the latter are written.
        a_RK: Contiguous.
    """
    count, width = len(adapters) // 2, a_RK.shape[1]
    given: list[torch.Tensor | int] = []
    for number in range(3):
        a, b = adapters[2 * min(number, count - 1) : 2 * min(number, count - 1) + 2]
        given += [a, b, b.numel()]
    most = max(adapters[0].numel(), *(b.numel() for b in adapters[1::2]))
    _cast[(triton.cdiv(most, 2048),)](
        *given,
        a_RK,
        adapters[0].numel(),
        whole_NL[:, width:],
        whole_NL.stride(0),
        ADAPTERS=count,
        RANK=adapters[0].shape[0],
        BLOCK=2048,
        num_warps=8,
    )
