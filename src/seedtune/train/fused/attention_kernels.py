# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# ruff: noqa: N803, N806, PLR0913 (constants in capitals as Triton has it, shapes in names, every stride by itself)
"""Triton kernels of causal attention over packed rows, with grouped keys (FlashAttention-2, Dao, 2023).

Short rows leave general kernels idle: here a program is made for each block of tokens that exists, the longest first.
Keys and values are read where the projection wrote them, and their gradients are summed over the heads that share them
and rotated back before they are written, into the one matrix that the projection's backward pass reads. No atomics: the
same inputs give the same bits.

The matrix ``qkv`` [T, (H + 2 G) E] holds H query heads, G key heads, G value heads; queries and keys are rotated.
``blocks`` [n, 3] int32 gives each block's first token, and begin and end of its row.
"""

import torch
import triton
import triton.language as tl

from seedtune.train.fused.lowrank import with_room

Config = dict[str, int]
FORWARD: Config = {"BLOCK": 64, "OTHER": 32, "num_warps": 4, "num_stages": 3}
QUERIES: Config = {"BLOCK": 64, "OTHER": 32, "num_warps": 4, "num_stages": 2}
KEYS: Config = {"BLOCK": 64, "OTHER": 32, "num_warps": 4, "num_stages": 3}
"""``BLOCK``: tokens of a program; ``OTHER``: tokens it meets at once."""

_TO_BASE_2 = tl.constexpr(1.4426950408889634)


@triton.jit
def _forward(
    qkv,
    out,
    normaliser,
    blocks,
    tokens,
    qkv_stride,
    out_stride,
    scale,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    OTHER: tl.constexpr,
):
    head = tl.program_id(1)
    start = tl.load(blocks + tl.program_id(0) * 3)
    begin = tl.load(blocks + tl.program_id(0) * 3 + 1)
    end = tl.load(blocks + tl.program_id(0) * 3 + 2)
    queries = start + tl.arange(0, BLOCK)
    size = tl.arange(0, SIZE)
    valid = queries < end
    q_place = qkv + queries.to(tl.int64)[:, None] * qkv_stride + head * SIZE + size[None, :]
    q = tl.load(q_place, mask=valid[:, None], other=0.0)
    key_head = HEADS + head // (HEADS // GROUPS)
    peak = tl.full((BLOCK,), -1e30, tl.float32)
    mass = tl.zeros((BLOCK,), tl.float32)
    total = tl.zeros((BLOCK, SIZE), tl.float32)
    for first in range(begin, tl.minimum(start + BLOCK, end), OTHER):
        keys = first + tl.arange(0, OTHER)
        k_place = qkv + keys.to(tl.int64)[None, :] * qkv_stride + key_head * SIZE + size[:, None]
        k = tl.load(k_place, mask=(keys < end)[None, :], other=0.0)
        score = tl.dot(q, k) * scale
        score = tl.where(keys[None, :] <= queries[:, None], score, -1e30)
        higher = tl.maximum(peak, tl.max(score, 1))
        weight = tl.exp2(score - higher[:, None])
        shrink = tl.exp2(peak - higher)
        mass = mass * shrink + tl.sum(weight, 1)
        v_place = qkv + keys.to(tl.int64)[:, None] * qkv_stride + (key_head + GROUPS) * SIZE + size[None, :]
        v = tl.load(v_place, mask=(keys < end)[:, None], other=0.0)
        total = tl.dot(weight.to(v.dtype), v, total * shrink[:, None])
        peak = higher
    out_place = out + queries.to(tl.int64)[:, None] * out_stride + head * SIZE + size[None, :]
    tl.store(out_place, (total / mass[:, None]).to(out.dtype.element_ty), mask=valid[:, None])
    tl.store(normaliser + head * tokens + queries, peak + tl.log2(mass), mask=valid)


@triton.jit
def _rotated_back(grad, cosine, sine, rows, valid, angle_stride, BLOCK: tl.constexpr, SIZE: tl.constexpr):
    halves = tl.permute(tl.reshape(grad, (BLOCK, 2, SIZE // 2)), (0, 2, 1))
    left, right = tl.split(halves)
    angle = rows.to(tl.int64)[:, None] * angle_stride + tl.arange(0, SIZE // 2)[None, :]
    cos = tl.load(cosine + angle, mask=valid[:, None], other=0.0).to(tl.float32)
    sin = tl.load(sine + angle, mask=valid[:, None], other=0.0).to(tl.float32)
    return left * cos + right * sin, right * cos - left * sin


@triton.jit
def _queries(
    qkv,
    out,
    grad_out,
    normaliser,
    delta,
    grad,
    blocks,
    cosine,
    sine,
    tokens,
    qkv_stride,
    out_stride,
    grad_out_stride,
    angle_stride,
    scale,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    OTHER: tl.constexpr,
):
    head = tl.program_id(1)
    start = tl.load(blocks + tl.program_id(0) * 3)
    begin = tl.load(blocks + tl.program_id(0) * 3 + 1)
    end = tl.load(blocks + tl.program_id(0) * 3 + 2)
    queries = start + tl.arange(0, BLOCK)
    size, half = tl.arange(0, SIZE), tl.arange(0, SIZE // 2)
    valid = queries < end
    q_place = queries.to(tl.int64)[:, None] * qkv_stride + head * SIZE + size[None, :]
    q = tl.load(qkv + q_place, mask=valid[:, None], other=0.0)
    flow_place = grad_out + queries.to(tl.int64)[:, None] * grad_out_stride + head * SIZE + size[None, :]
    flow = tl.load(flow_place, mask=valid[:, None], other=0.0)
    top = tl.load(normaliser + head * tokens + queries, mask=valid, other=0.0)
    out_place = out + queries.to(tl.int64)[:, None] * out_stride + head * SIZE + size[None, :]
    seen = tl.load(out_place, mask=valid[:, None], other=0.0)
    mean = tl.sum(flow.to(tl.float32) * seen.to(tl.float32), 1)
    tl.store(delta + head * tokens + queries, mean, mask=valid)
    key_head = HEADS + head // (HEADS // GROUPS)
    total = tl.zeros((BLOCK, SIZE), tl.float32)
    for first in range(begin, tl.minimum(start + BLOCK, end), OTHER):
        keys = first + tl.arange(0, OTHER)
        k_place = qkv + keys.to(tl.int64)[:, None] * qkv_stride + key_head * SIZE + size[None, :]
        k = tl.load(k_place, mask=(keys < end)[:, None], other=0.0)
        v = tl.load(k_place + GROUPS * SIZE, mask=(keys < end)[:, None], other=0.0)
        weight = tl.exp2(tl.dot(q, tl.trans(k)) * (scale * _TO_BASE_2) - top[:, None])
        weight = tl.where(keys[None, :] <= queries[:, None], weight, 0.0)
        inner = weight * (tl.dot(flow, tl.trans(v)) - mean[:, None])
        total = tl.dot(inner.to(k.dtype), k, total)
    left, right = _rotated_back(total * scale, cosine, sine, queries, valid, angle_stride, BLOCK, SIZE)
    place = grad + queries.to(tl.int64)[:, None] * qkv_stride + head * SIZE + half[None, :]
    tl.store(place, left.to(grad.dtype.element_ty), mask=valid[:, None])
    tl.store(place + SIZE // 2, right.to(grad.dtype.element_ty), mask=valid[:, None])


@triton.jit
def _keys(
    qkv,
    grad_out,
    normaliser,
    delta,
    grad,
    blocks,
    cosine,
    sine,
    tokens,
    qkv_stride,
    grad_out_stride,
    angle_stride,
    scale,
    HEADS: tl.constexpr,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    OTHER: tl.constexpr,
):
    group = tl.program_id(1)
    start = tl.load(blocks + tl.program_id(0) * 3)
    end = tl.load(blocks + tl.program_id(0) * 3 + 2)
    keys = start + tl.arange(0, BLOCK)
    size, half = tl.arange(0, SIZE), tl.arange(0, SIZE // 2)
    valid = keys < end
    k_place = keys.to(tl.int64)[:, None] * qkv_stride + (HEADS + group) * SIZE + size[None, :]
    k = tl.load(qkv + k_place, mask=valid[:, None], other=0.0)
    v = tl.load(qkv + k_place + GROUPS * SIZE, mask=valid[:, None], other=0.0)
    grad_k = tl.zeros((BLOCK, SIZE), tl.float32)
    grad_v = tl.zeros((BLOCK, SIZE), tl.float32)
    # One loop over heads and blocks of queries: rows are short, and a loop inside a loop would never get up to speed.
    count = tl.cdiv(end - start, OTHER)
    for step in range(0, count * (HEADS // GROUPS)):
        head = group * (HEADS // GROUPS) + step // count
        queries = start + (step % count) * OTHER + tl.arange(0, OTHER)
        there = queries < end
        q_place = qkv + queries.to(tl.int64)[:, None] * qkv_stride + head * SIZE + size[None, :]
        q = tl.load(q_place, mask=there[:, None], other=0.0)
        flow_place = grad_out + queries.to(tl.int64)[:, None] * grad_out_stride + head * SIZE + size[None, :]
        flow = tl.load(flow_place, mask=there[:, None], other=0.0)
        top = tl.load(normaliser + head * tokens + queries, mask=there, other=0.0)
        mean = tl.load(delta + head * tokens + queries, mask=there, other=0.0)
        weight = tl.exp2(tl.dot(k, tl.trans(q)) * (scale * _TO_BASE_2) - top[None, :])
        weight = tl.where((keys[:, None] <= queries[None, :]) & there[None, :], weight, 0.0)
        grad_v = tl.dot(weight.to(flow.dtype), flow, grad_v)
        inner = weight * (tl.dot(v, tl.trans(flow)) - mean[None, :])
        grad_k = tl.dot(inner.to(q.dtype), q, grad_k)
    tl.store(grad + k_place + GROUPS * SIZE, grad_v.to(grad.dtype.element_ty), mask=valid[:, None])
    left, right = _rotated_back(grad_k * scale, cosine, sine, keys, valid, angle_stride, BLOCK, SIZE)
    place = grad + keys.to(tl.int64)[:, None] * qkv_stride + (HEADS + group) * SIZE + half[None, :]
    tl.store(place, left.to(grad.dtype.element_ty), mask=valid[:, None])
    tl.store(place + SIZE // 2, right.to(grad.dtype.element_ty), mask=valid[:, None])


def forward(
    qkv_TC: torch.Tensor, blocks: torch.Tensor, heads: tuple[int, int], size: int, room: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention [T, H E], with ``room`` columns behind it, and log2 of each query's softmax denominator [H, T]."""
    tokens = qkv_TC.shape[0]
    out_TC = with_room(qkv_TC, tokens, heads[0] * size, room)
    normaliser_HT = torch.empty(heads[0], tokens, dtype=torch.float32, device=qkv_TC.device)
    _forward[(blocks.shape[0], heads[0])](
        qkv_TC,
        out_TC,
        normaliser_HT,
        blocks,
        tokens,
        qkv_TC.stride(0),
        out_TC.stride(0),
        1.4426950408889634 / size**0.5,
        HEADS=heads[0],
        GROUPS=heads[1],
        SIZE=size,
        **FORWARD,
    )
    return out_TC, normaliser_HT


def backward(
    qkv_TC: torch.Tensor,
    out: tuple[torch.Tensor, torch.Tensor],
    grad_out_TC: torch.Tensor,
    angles: tuple[torch.Tensor, torch.Tensor],
    blocks: tuple[torch.Tensor, torch.Tensor],
    heads: tuple[int, int],
    size: int,
) -> torch.Tensor:
    """The gradient of the matrix before its rotation: [T, C].

    Args:
        qkv_TC: Rotated.
        out: What :func:`forward` gave.
        grad_out_TC: Gradient of the attention.
        angles: Cosine and sine, each [T, E], of which the first half is read.
        blocks: For :data:`QUERIES` and for :data:`KEYS`.
        heads: H and G.
        size: E.
    """
    tokens = qkv_TC.shape[0]
    grad_TC = torch.empty_like(qkv_TC)
    delta_HT = torch.empty(heads[0], tokens, dtype=torch.float32, device=qkv_TC.device)
    common = {"HEADS": heads[0], "GROUPS": heads[1], "SIZE": size}
    _queries[(blocks[0].shape[0], heads[0])](
        qkv_TC,
        out[0],
        grad_out_TC,
        out[1],
        delta_HT,
        grad_TC,
        blocks[0],
        *angles,
        tokens,
        qkv_TC.stride(0),
        out[0].stride(0),
        grad_out_TC.stride(0),
        angles[0].stride(0),
        size**-0.5,
        **common,
        **QUERIES,
    )
    _keys[(blocks[1].shape[0], heads[1])](
        qkv_TC,
        grad_out_TC,
        out[1],
        delta_HT,
        grad_TC,
        blocks[1],
        *angles,
        tokens,
        qkv_TC.stride(0),
        grad_out_TC.stride(0),
        angles[0].stride(0),
        size**-0.5,
        **common,
        **KEYS,
    )
    return grad_TC


def blocks_of(boundaries: torch.Tensor, tokens: int, size: int, of_keys: bool) -> torch.Tensor:
    """The blocks of all rows, made on the device without waiting for it: int32 [n, 3], those with most to do first.

    A block of queries meets the row up to itself, a block of keys the row from itself on. There are at most
    ``tokens / size`` + rows of them; what is left over of the table is empty blocks.
    """
    most = tokens // size + boundaries.shape[0] - 1
    begins, ends = boundaries[:-1].long(), boundaries[1:].long()
    counts = (ends - begins + size - 1) // size
    last = counts.cumsum(0)
    number = torch.arange(most, device=boundaries.device)
    row = torch.searchsorted(last, number, right=True).clamp(max=begins.shape[0] - 1)
    start = begins[row] + (number - (last - counts)[row]) * size
    # An empty block begins where it ends: no loop runs, no store is made.
    there, end = number < last[-1], ends[row]
    start, begin = torch.where(there, start, end), torch.where(there, begins[row], end)
    met = end - start if of_keys else torch.minimum(start + size, end) - begin
    order = torch.argsort(met, descending=True)
    return torch.stack([start, begin, end], 1)[order].to(torch.int32)
