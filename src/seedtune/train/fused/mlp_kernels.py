# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# ruff: noqa: N803, N806, PLR0913 (constants in capitals as Triton has it, shapes in names, every stride by itself)
"""Triton kernels of a SwiGLU feed-forward block with LoRA adapters: all that lies between its matrix products.

``both = [gate, up]`` [T, 2 F] is read once forward and once backward, and everything that depends on it is computed on
the way:

- ``forward``: ``act = silu(gate) * up`` and ``low = scale * drop(act) @ a.T``, the down projection's adapter
- ``backward``: the gradients of gate and up, of the down projection's A, and of gate's and up's B. ``act`` is computed
  again instead of being kept.
"""

import torch
import triton
import triton.language as tl

from seedtune.train.fused.lora_kernels import _drop, _mix, _words
from seedtune.train.fused.lowrank import behind, with_room
from seedtune.train.fused.masks import Mask

FORWARD = {"BLOCK_T": 64, "BLOCK_F": 64, "num_warps": 4, "num_stages": 2}
BACKWARD = {"BLOCK_T": 32, "BLOCK_F": 64, "num_warps": 4, "num_stages": 3}
FORWARD_PROGRAMS = 512
BACKWARD_PROGRAMS = 224
"""How many programs at least, by splitting the sum."""


@triton.jit
def _sigmoid(x):
    # One approximate reciprocal (1 ulp) in place of a division, which would take longer than the memory.
    power = 1.0 + tl.exp2(x * -1.4426950408889634)
    return tl.inline_asm_elementwise(
        "rcp.approx.ftz.f32 $0, $1;", "=f,f", [power], dtype=tl.float32, is_pure=True, pack=1
    )


@triton.jit
def _join(partial, out, size, columns, out_stride, SPLITS: tl.constexpr, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < size
    total = tl.zeros((BLOCK,), tl.float32)
    for split in tl.static_range(SPLITS):
        total += tl.load(partial + split * size + places, mask=inside, other=0.0)
    target = out + (places // columns) * out_stride + places % columns
    tl.store(target, total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["row_seed", "column_seed"])
def _forward(
    both,
    a,
    act,
    partial,
    tokens,
    width,
    chunk,
    act_stride,
    scale,
    row_seed,
    column_seed,
    RANK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_F: tl.constexpr,
):
    rows = tl.program_id(0) * BLOCK_T + tl.arange(0, BLOCK_T)
    local, ranks = tl.arange(0, BLOCK_F), tl.arange(0, RANK)
    wide = rows.to(tl.int64)[:, None]
    row_keys = _mix(rows + row_seed)
    total = tl.zeros((BLOCK_T, RANK), tl.float32)
    begin = tl.program_id(1) * chunk
    for start in range(begin, tl.minimum(begin + chunk, width), BLOCK_F):
        columns = start + local
        mask = (rows < tokens)[:, None] & (columns < width)[None, :]
        place = both + wide * (2 * width) + columns[None, :]
        gate = tl.load(place, mask=mask, other=0.0).to(tl.float32)
        up = tl.load(place + width, mask=mask, other=0.0).to(tl.float32)
        value = (gate * _sigmoid(gate) * up).to(act.dtype.element_ty)
        tl.store(act + wide * act_stride + columns[None, :], value, mask=mask)
        words = _words(row_keys, _mix((start >> 1) + (local >> 1) + column_seed))
        a_tile = a + ranks[None, :] * width + columns[:, None]
        a_value = tl.load(a_tile, mask=(columns < width)[:, None], other=0.0)
        total = tl.dot(_drop(value, words, local, THRESHOLD), a_value, total)
    place = partial + tl.program_id(1).to(tl.int64) * tokens * RANK + rows[:, None] * RANK + ranks[None, :]
    tl.store(place, total * scale, mask=(rows < tokens)[:, None])


@triton.jit(do_not_specialize=["row_seed", "column_seed"])
def _backward(
    both,
    low,
    v,
    grad_act,
    grad,
    partial,
    tokens,
    width,
    chunk,
    low_stride,
    split_stride,
    scale,
    row_seed,
    column_seed,
    RANK: tl.constexpr,
    THRESHOLD: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_F: tl.constexpr,
):
    start = tl.program_id(0) * BLOCK_F
    local, ranks = tl.arange(0, BLOCK_F), tl.arange(0, RANK)
    columns = start + local
    inside = (columns < width)[None, :]
    pair_keys = _mix((start >> 1) + (local >> 1) + column_seed)
    grad_a = tl.zeros((RANK, BLOCK_F), tl.float32)
    grad_gate_b = tl.zeros((RANK, BLOCK_F), tl.float32)
    grad_up_b = tl.zeros((RANK, BLOCK_F), tl.float32)
    begin = tl.program_id(1) * chunk
    for block in range(begin, tl.minimum(begin + chunk, tokens), BLOCK_T):
        rows = block + tl.arange(0, BLOCK_T)
        there, wide = (rows < tokens)[:, None], rows.to(tl.int64)[:, None]
        mask = there & inside
        place = wide * (2 * width) + columns[None, :]
        gate = tl.load(both + place, mask=mask, other=0.0).to(tl.float32)
        up = tl.load(both + place + width, mask=mask, other=0.0).to(tl.float32)
        flow = tl.load(grad_act + wide * width + columns[None, :], mask=mask, other=0.0).to(tl.float32)
        sigmoid = _sigmoid(gate)
        silu = gate * sigmoid
        grad_gate = (flow * up * (sigmoid + silu * (1.0 - sigmoid))).to(grad.dtype.element_ty)
        grad_up = (flow * silu).to(grad.dtype.element_ty)
        tl.store(grad + place, grad_gate, mask=mask)
        tl.store(grad + place + width, grad_up, mask=mask)
        act = (silu * up).to(grad.dtype.element_ty)
        v_value = tl.load(v + rows[:, None] * RANK + ranks[None, :], mask=there, other=0.0)
        words = _words(_mix(rows + row_seed), pair_keys)
        grad_a = tl.dot(tl.trans(v_value), _drop(act, words, local, THRESHOLD), grad_a)
        low_place = low + rows[:, None] * low_stride + ranks[None, :]
        grad_gate_b = tl.dot(tl.trans(tl.load(low_place, mask=there, other=0.0)), grad_gate, grad_gate_b)
        grad_up_b = tl.dot(tl.trans(tl.load(low_place + RANK, mask=there, other=0.0)), grad_up, grad_up_b)
    place = partial + tl.program_id(1).to(tl.int64) * split_stride
    turned = columns[None, :] * RANK + ranks[:, None]
    tl.store(place + ranks[:, None] * width + columns[None, :], grad_a * scale, mask=inside)
    tl.store(place + RANK * width + turned, grad_gate_b, mask=inside)
    tl.store(place + 2 * RANK * width + turned, grad_up_b, mask=inside)


def forward(
    both_TF: torch.Tensor, a_RF: torch.Tensor, mask: Mask, scale: float, room: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``act`` [T, F], with ``room`` more columns behind it, and ``low`` [T, R].

    Args:
        both_TF: Gate and up.
        a_RF: The down projection's A.
        mask: Its dropout.
        scale: Its scale.
        room: 0, or R: then ``low`` is written there.
    """
    (tokens, width), rank = (both_TF.shape[0], both_TF.shape[1] // 2), a_RF.shape[0]
    act_TF = with_room(both_TF, tokens, width, room)
    low_TR = behind(act_TF, room) if room else torch.empty(tokens, rank, dtype=both_TF.dtype, device=both_TF.device)
    blocks, steps = triton.cdiv(tokens, FORWARD["BLOCK_T"]), triton.cdiv(width, FORWARD["BLOCK_F"])
    chunk = triton.cdiv(steps, min(steps, max(1, FORWARD_PROGRAMS // blocks))) * FORWARD["BLOCK_F"]
    splits = triton.cdiv(width, chunk)
    partial = torch.empty(splits, tokens, rank, dtype=torch.float32, device=both_TF.device)
    _forward[(blocks, splits)](
        both_TF,
        a_RF,
        act_TF,
        partial,
        tokens,
        width,
        chunk,
        act_TF.stride(0),
        scale,
        mask.row_seed,
        mask.column_seed,
        RANK=rank,
        THRESHOLD=mask.threshold,
        **FORWARD,
    )
    size = tokens * rank
    _join[(triton.cdiv(size, 1024),)](partial, low_TR, size, rank, low_TR.stride(0), SPLITS=splits, BLOCK=1024)
    return act_TF, low_TR


def backward(
    both_TF: torch.Tensor,
    low_TR: torch.Tensor,
    flow_TR: torch.Tensor,
    grad_act_TF: torch.Tensor,
    mask: Mask,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of ``both``, of the down projection's A [R, F], of gate's and of up's B [F, R]; the last three float32.

    Args:
        both_TF: Gate and up.
        low_TR: What gate's and up's A made of the input, side by side: [T, 2 R].
        flow_TR: ``grad_y @ b`` of the down projection's adapter.
        grad_act_TF: Gradient of ``act``.
        mask: The down projection's dropout.
        scale: Its scale.
    """
    (tokens, width), rank = grad_act_TF.shape, flow_TR.shape[1]
    grad_TF = torch.empty_like(both_TF)
    blocks, steps = triton.cdiv(width, BACKWARD["BLOCK_F"]), triton.cdiv(tokens, BACKWARD["BLOCK_T"])
    chunk = triton.cdiv(steps, min(steps, max(1, BACKWARD_PROGRAMS // blocks))) * BACKWARD["BLOCK_T"]
    splits = triton.cdiv(tokens, chunk)
    partial = torch.empty(splits, 3, rank * width, dtype=torch.float32, device=both_TF.device)
    _backward[(blocks, splits)](
        both_TF,
        low_TR,
        flow_TR,
        grad_act_TF,
        grad_TF,
        partial,
        tokens,
        width,
        chunk,
        low_TR.stride(0),
        partial.stride(0),
        scale,
        mask.row_seed,
        mask.column_seed,
        RANK=rank,
        THRESHOLD=mask.threshold,
        **BACKWARD,
    )
    grad_a, grad_gate_b, grad_up_b = (partial[0] if splits == 1 else partial.sum(0)).unbind()
    return grad_TF, grad_a.view(rank, width), grad_gate_b.view(width, rank), grad_up_b.view(width, rank)
