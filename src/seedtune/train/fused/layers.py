# ruff: noqa: N803, N806 (names end in their shapes)
"""The element-wise parts of a decoder layer: norm, rotation, SwiGLU.

On a GPU each is one kernel forward and one backward; elsewhere plain torch, which is also what the tests compare with.
Shapes: T tokens, D model width, F feed-forward width, H query heads and G key heads of E numbers each.
"""

from typing import Any, cast

import torch
from torch.nn.functional import silu


def rms_norm(
    x_TD: torch.Tensor, weight_D: torch.Tensor, epsilon: float, fused: bool, room: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """``x`` itself and ``weight * x / sqrt(mean(x**2) + epsilon)`` (Zhang and Sennrich, 2019).

    The fused way keeps what it writes, which the next products keep as well, instead of what it reads: the residual
    stream may be added to in place. Its first output is to be taken for ``x`` from there on, so that one kernel adds up
    the gradients of both.

    Args:
        x_TD: The residual stream.
        weight_D: Frozen; for the fused way without zeros.
        epsilon: Added to the mean square.
        fused: Take the fused way; off: plain torch.
        room: Columns that a kernel leaves unused behind the norm (:func:`~.lowrank.with_room`).
    """
    if fused:
        return cast("tuple[torch.Tensor, torch.Tensor]", _Norm.apply(x_TD, weight_D, epsilon, room))
    normed_TD, _ = _normed(x_TD, epsilon)
    return x_TD, weight_D * normed_TD.to(x_TD.dtype)


def _normed(x_TD: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``x / rms(x)`` and ``1 / rms(x)`` [T, 1], in float32 or wider."""
    wide_TD = _wide(x_TD)
    inverse_T1 = torch.rsqrt(wide_TD.square().mean(-1, keepdim=True) + epsilon)
    return wide_TD * inverse_T1, inverse_T1


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def rotate(
    qkv_TC: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor], heads: tuple[int, int], kernel: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [T, H, E], keys and values [T, G, E] with rotary position embedding (Su et al., 2021).

    Args:
        qkv_TC: C = (H + 2 G) E. The kernel rotates it in place and returns views of it: it must not be used again.
        angles: Cosine and sine, each [T, E], as transformers gives them.
        heads: H and G.
        kernel: Take the Triton kernel.
    """
    if kernel:
        return cast("tuple[torch.Tensor, torch.Tensor, torch.Tensor]", _Rotate.apply(qkv_TC, *angles, *heads))
    tokens, size = qkv_TC.shape[0], angles[0].shape[1]
    both_THE, value_TGE = qkv_TC.view(tokens, -1, size).split([sum(heads), heads[1]], 1)
    left, right = both_THE.chunk(2, -1)
    cosine, sine = (angle[:, None].to(qkv_TC.dtype) for angle in angles)
    rotated_THE = both_THE * cosine + torch.cat((-right, left), -1) * sine
    query_THE, key_TGE = rotated_THE.split(list(heads), 1)
    return query_THE, key_TGE, value_TGE


def swiglu(both_TF: torch.Tensor, kernel: bool) -> torch.Tensor:
    """``silu(gate) * up`` for ``both = [gate, up]`` (Shazeer, 2020): [T, 2 F] -> [T, F]."""
    if kernel:
        return cast("torch.Tensor", _SwiGLU.apply(both_TF))
    gate_TF, up_TF = both_TF.chunk(2, -1)
    return silu(gate_TF) * up_TF


def _rows(grad: torch.Tensor) -> torch.Tensor:
    """The same, with each row in one piece; the rows may lie apart."""
    return grad if grad.stride(-1) == 1 else grad.contiguous()


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TD: torch.Tensor, weight_D: torch.Tensor, epsilon: float, room: int) -> Any:
        if x_TD.is_cuda:
            from seedtune.train.fused import layer_kernels

            out_TD, inverse_T = layer_kernels.norm_forward(x_TD, weight_D, epsilon, room)
        else:
            normed_TD, inverse_T = _normed(x_TD, epsilon)
            out_TD = weight_D * normed_TD.to(x_TD.dtype)
        ctx.save_for_backward(out_TD, weight_D, inverse_T)
        ctx.set_materialize_grads(False)
        return x_TD.detach(), out_TD

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        out_TD, weight_D, inverse_T = ctx.saved_tensors
        grad_x_TD, grad_out_TD = grads
        if grad_out_TD is None:
            return grad_x_TD, None, None, None
        if grad_out_TD.is_cuda:
            from seedtune.train.fused import layer_kernels

            grad_x_TD = None if grad_x_TD is None else grad_x_TD.contiguous()
            grad_TD = layer_kernels.norm_backward(_rows(grad_out_TD), grad_x_TD, out_TD, weight_D, inverse_T)
            return grad_TD, None, None, None
        gain_D, normed_TD = _wide(weight_D), _wide(out_TD) / _wide(weight_D)
        gained_TD = _wide(grad_out_TD) * gain_D
        grad_TD = inverse_T * (gained_TD - normed_TD * (gained_TD * normed_TD).mean(-1, keepdim=True))
        return (grad_TD if grad_x_TD is None else grad_TD + grad_x_TD).to(out_TD.dtype), None, None, None


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, qkv_TC: torch.Tensor, cosine_TE: torch.Tensor, sine_TE: torch.Tensor, query_heads: int, key_heads: int
    ) -> Any:
        from seedtune.train.fused import layer_kernels

        ctx.save_for_backward(cosine_TE, sine_TE)
        # Detached: autograd need not know that the outputs lie in the input's memory, which nothing reads again.
        place_TC = qkv_TC.detach()
        layer_kernels.rotate(place_TC, place_TC, cosine_TE, sine_TE, query_heads + key_heads)
        heads_THE = place_TC.view(qkv_TC.shape[0], -1, cosine_TE.shape[1])
        return heads_THE.split([query_heads, key_heads, key_heads], 1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        from seedtune.train.fused import layer_kernels

        cosine_TE, sine_TE = ctx.saved_tensors
        grad_TC = torch.empty(
            grads[0].shape[0], sum(grad[0].numel() for grad in grads), dtype=grads[0].dtype, device=grads[0].device
        )
        query_T, key_T, value_T = (grad.flatten(1) for grad in grads)
        split = [query_T.shape[1], key_T.shape[1], value_T.shape[1]]
        query_TC, key_TC, value_TC = grad_TC.split(split, 1)
        layer_kernels.rotate(query_T, query_TC, cosine_TE, sine_TE, grads[0].shape[1], backward=True)
        layer_kernels.rotate(key_T, key_TC, cosine_TE, sine_TE, grads[1].shape[1], backward=True)
        value_TC.copy_(value_T)
        return grad_TC, None, None, None, None


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both_TF: torch.Tensor) -> torch.Tensor:
        from seedtune.train.fused import layer_kernels

        ctx.save_for_backward(both_TF)
        return layer_kernels.swiglu_forward(both_TF)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        from seedtune.train.fused import layer_kernels

        (both_TF,) = ctx.saved_tensors
        return layer_kernels.swiglu_backward(both_TF, grads[0].contiguous())
