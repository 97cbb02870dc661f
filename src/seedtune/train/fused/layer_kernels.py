# pyright: basic, reportMissingImports=false, reportIndexIssue=false
# ruff: noqa: N803, N806, PLR0913 (constants in capitals as Triton has it, shapes in names, every stride by itself)
"""Triton kernels of a decoder layer's element-wise work, and of the loss; arithmetic in float32, rounded once.

Every kernel reads its inputs once and writes its outputs once (the loss: twice), so all of them run at the speed of
memory.
"""

import torch
import triton
import triton.language as tl

from seedtune.train.fused.lowrank import with_room


@triton.jit
def _norm_forward(x, weight, out, inverse, width, out_stride, epsilon, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    value = tl.load(x + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(value * value, 0) / width + epsilon)
    tl.store(inverse + row, scale)
    gain = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * out_stride + columns, (gain * (value * scale)).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _norm_backward(
    grad_out,
    grad_x,
    out,
    weight,
    inverse,
    grad,
    width,
    grad_out_stride,
    out_stride,
    HAS_X: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    scale = tl.load(inverse + row)
    gain = tl.load(weight + columns, mask=inside, other=1.0).to(tl.float32)
    normed = tl.load(out + row * out_stride + columns, mask=inside, other=0.0).to(tl.float32) / gain
    gained = tl.load(grad_out + row * grad_out_stride + columns, mask=inside, other=0.0).to(tl.float32) * gain
    value = scale * (gained - normed * (tl.sum(gained * normed, 0) / width))
    if HAS_X:
        value += tl.load(grad_x + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(grad + row * width + columns, value.to(grad.dtype.element_ty), mask=inside)


@triton.jit
def _rotate(
    source,
    target,
    cosine,
    sine,
    source_stride,
    target_stride,
    angle_stride,
    heads,
    BACKWARD: tl.constexpr,
    HEADS: tl.constexpr,
    HALF: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    half = tl.arange(0, HALF)
    cos = tl.load(cosine + row * angle_stride + half)[None, :].to(tl.float32)
    sin = tl.load(sine + row * angle_stride + half)[None, :].to(tl.float32)
    if BACKWARD:
        sin = -sin
    head = tl.arange(0, HEADS)[:, None]
    place = head * (2 * HALF) + half[None, :]
    mask = head < heads
    left = tl.load(source + row * source_stride + place, mask=mask, other=0.0).to(tl.float32)
    right = tl.load(source + row * source_stride + place + HALF, mask=mask, other=0.0).to(tl.float32)
    out = target + row * target_stride + place
    tl.store(out, (left * cos - right * sin).to(target.dtype.element_ty), mask=mask)
    tl.store(out + HALF, (right * cos + left * sin).to(target.dtype.element_ty), mask=mask)


@triton.jit
def _swiglu_forward(both, out, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    gate = tl.load(both + row * (2 * width) + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * (2 * width) + width + columns, mask=inside, other=0.0).to(tl.float32)
    value = gate * tl.sigmoid(gate) * up
    tl.store(out + row * width + columns, value.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _swiglu_backward(both, grad_out, grad, width, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < width
    gate = tl.load(both + row * (2 * width) + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * (2 * width) + width + columns, mask=inside, other=0.0).to(tl.float32)
    flow = tl.load(grad_out + row * width + columns, mask=inside, other=0.0).to(tl.float32)
    sigmoid = tl.sigmoid(gate)
    silu = gate * sigmoid
    out = grad + row * (2 * width) + columns
    tl.store(out, (flow * up * (sigmoid + silu * (1.0 - sigmoid))).to(grad.dtype.element_ty), mask=inside)
    tl.store(out + width, (flow * silu).to(grad.dtype.element_ty), mask=inside)


@triton.jit
def _quantize(x, out, scales, width, stride, LARGEST: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < width
    value = tl.load(x + row * stride + columns, mask=inside, other=0.0).to(tl.float32)
    top = tl.maximum(tl.max(tl.abs(value), 0), 1e-12)
    tl.store(scales + row, top / LARGEST)
    tl.store(out + row * width + columns, (value * (LARGEST / top)).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _cross_entropy(
    logits,
    targets,
    losses,
    hits,
    stride,
    vocabulary,
    WITH_GRADIENT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    target = tl.load(targets + row)
    base = logits + row * stride
    # A maximum and a sum for each lane, joined at the end: no exchange between threads inside the loop.
    peak = tl.full((BLOCK,), -1e30, tl.float32)
    mass = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        value = tl.load(base + columns, mask=columns < vocabulary, other=-float("inf")).to(tl.float32)
        higher = tl.maximum(peak, value)
        mass = mass * tl.exp(peak - higher) + tl.exp(value - higher)
        peak = higher
    top = tl.max(peak, 0)
    normaliser = top + tl.log(tl.sum(mass * tl.exp(peak - top), 0))
    chosen = tl.load(base + target).to(tl.float32)
    tl.store(losses + row, normaliser - chosen)
    tl.store(hits + row, (chosen >= top).to(tl.float32))
    if WITH_GRADIENT:
        # Every lane must have read the target's logit before its place is overwritten.
        tl.debug_barrier()
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            inside = columns < vocabulary
            value = tl.load(base + columns, mask=inside, other=-float("inf")).to(tl.float32)
            value = tl.exp(value - normaliser) - tl.where(columns == target, 1.0, 0.0)
            tl.store(base + columns, value.to(logits.dtype.element_ty), mask=inside)


def norm_forward(
    x_TD: torch.Tensor, weight_D: torch.Tensor, epsilon: float, room: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """``weight * x / rms(x)``, with ``room`` columns behind it, and ``1 / rms(x)``, float32 [T]."""
    tokens, width = x_TD.shape
    out_TD = with_room(x_TD, tokens, width, room)
    inverse_T = torch.empty(tokens, dtype=torch.float32, device=x_TD.device)
    block = triton.next_power_of_2(width)
    _norm_forward[(tokens,)](
        x_TD, weight_D, out_TD, inverse_T, width, out_TD.stride(0), epsilon, BLOCK=block, num_warps=_warps(block)
    )
    return out_TD, inverse_T


def norm_backward(
    grad_out_TD: torch.Tensor,
    grad_x_TD: torch.Tensor | None,
    out_TD: torch.Tensor,
    weight_D: torch.Tensor,
    inverse_T: torch.Tensor,
) -> torch.Tensor:
    """The gradient of ``x`` for that of ``out``, with ``grad_x`` added: what comes back past the norm."""
    tokens, width = out_TD.shape
    grad_TD = torch.empty(tokens, width, dtype=out_TD.dtype, device=out_TD.device)
    block = triton.next_power_of_2(width)
    _norm_backward[(tokens,)](
        grad_out_TD,
        grad_out_TD if grad_x_TD is None else grad_x_TD,
        out_TD,
        weight_D,
        inverse_T,
        grad_TD,
        width,
        grad_out_TD.stride(0),
        out_TD.stride(0),
        HAS_X=grad_x_TD is not None,
        BLOCK=block,
        num_warps=_warps(block),
    )
    return grad_TD


def rotate(
    source_TC: torch.Tensor,
    target_TC: torch.Tensor,
    cosine_TE: torch.Tensor,
    sine_TE: torch.Tensor,
    heads: int,
    backward: bool = False,
) -> None:
    """Rotary embedding of the first ``heads`` heads of each row of ``source`` into ``target``, which may be the same.

    Args:
        source_TC: Heads of E numbers, one after the other; rows may be strided.
        target_TC: Where they are written.
        cosine_TE: As transformers gives them: both halves alike, the first one is read.
        sine_TE: Likewise.
        heads: How many.
        backward: Rotate the other way, which is the gradient.
    """
    _rotate[(source_TC.shape[0],)](
        source_TC,
        target_TC,
        cosine_TE,
        sine_TE,
        source_TC.stride(0),
        target_TC.stride(0),
        cosine_TE.stride(0),
        heads,
        BACKWARD=backward,
        HEADS=triton.next_power_of_2(heads),
        HALF=cosine_TE.shape[1] // 2,
        num_warps=4,
    )


def swiglu_forward(both_TF: torch.Tensor) -> torch.Tensor:
    """``silu(gate) * up`` for ``both = [gate, up]``."""
    tokens, width = both_TF.shape[0], both_TF.shape[1] // 2
    out_TF = torch.empty(tokens, width, dtype=both_TF.dtype, device=both_TF.device)
    _swiglu_forward[(tokens, triton.cdiv(width, 2048))](both_TF, out_TF, width, BLOCK=2048, num_warps=8)
    return out_TF


def swiglu_backward(both_TF: torch.Tensor, grad_out_TF: torch.Tensor) -> torch.Tensor:
    """The gradient of ``both``."""
    tokens, width = grad_out_TF.shape
    grad_TF = torch.empty_like(both_TF)
    grid = (tokens, triton.cdiv(width, 2048))
    _swiglu_backward[grid](both_TF, grad_out_TF, grad_TF, width, BLOCK=2048, num_warps=8)
    return grad_TF


def quantize(x_TK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Float8 (e4m3) numbers and a float32 scale [T, 1] for each row: ``x = numbers * scale``."""
    tokens, width = x_TK.shape
    out_TK = torch.empty(tokens, width, dtype=torch.float8_e4m3fn, device=x_TK.device)
    scales_T1 = torch.empty(tokens, 1, dtype=torch.float32, device=x_TK.device)
    block = triton.next_power_of_2(width)
    _quantize[(tokens,)](
        x_TK,
        out_TK,
        scales_T1,
        width,
        x_TK.stride(0),
        LARGEST=448.0,
        BLOCK=block,
        num_warps=min(32, max(1, block // 1024)),
    )
    return out_TK, scales_T1


def cross_entropy(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each row and whether its target has the highest logit, both float32 [N].

    With ``gradient`` the logits are overwritten by the gradient of the summed loss: softmax less one at the target.
    """
    count, vocabulary = logits_NV.shape
    losses_N = torch.empty(count, dtype=torch.float32, device=logits_NV.device)
    hits_N = torch.empty_like(losses_N)
    _cross_entropy[(count,)](
        logits_NV,
        targets_N,
        losses_N,
        hits_N,
        logits_NV.stride(0),
        vocabulary,
        WITH_GRADIENT=gradient,
        BLOCK=4096,
        num_warps=8,
    )
    return losses_N, hits_N


def _warps(block: int) -> int:
    return min(16, max(1, block // 512))
