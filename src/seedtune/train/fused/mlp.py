# ruff: noqa: N803, N806 (names end in their shapes)
"""A SwiGLU feed-forward block with LoRA adapters as one function, forward and backward.

``down(silu(gate(x)) * up(x))``, each projection with its adapter. Between the three large products everything is
computed in one pass over gate and up each way (see ``mlp_kernels``), and the activation is not kept for the backward
pass: a quarter less memory than function after function.

Shapes: T tokens, D model width, F feed-forward width, R the rank of each adapter.
"""

from typing import Any, cast

import torch

from seedtune.train.fused.lora import Plan, Projection
from seedtune.train.fused.lowrank import gradient, gradient_of_parts, kernel_fits


def feed_forward(
    x_TD: torch.Tensor, gate_up: Projection, down: Projection, onto_TD: torch.Tensor | None = None
) -> torch.Tensor | None:
    """The block's output [T, D]; None where there is no kernel for it: the pieces must be taken one by one.

    Args:
        x_TD: Its input.
        gate_up: The first two projections.
        down: The last one.
        onto_TD: The output is added to it in place: it must not be used again.
    """
    adapters, last = gate_up.adapters(), down.adapters()
    if not adapters or not last or not kernel_fits(x_TD, adapters[0].shape[0]):
        return None
    plans = gate_up.plan(), down.plan()
    if adapters[0].shape[0] != last[0].shape[0] or plans[0].bias_N is not None or plans[1].bias_N is not None:
        return None
    return cast("torch.Tensor", _FeedForward.apply(x_TD, onto_TD, *plans, down.room, *adapters, *last))


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_TD: torch.Tensor,
        onto_TD: torch.Tensor | None,
        outer: Plan,
        inner: Plan,
        room: int,
        *adapters: torch.Tensor,
    ) -> torch.Tensor:
        from seedtune.train.fused import mlp_kernels

        a_RD, b_FR = outer.cast(adapters[:4], x_TD.dtype)
        a_RF, b_DR = inner.cast(adapters[4:], x_TD.dtype)
        low_TR = outer.low(x_TD, a_RD, 2)
        both_TF = outer.product(x_TD, low_TR, b_FR)
        act_TF, inner_low_TR = mlp_kernels.forward(both_TF, a_RF, inner.mask, inner.scale, room)
        # Detached: autograd need not know that it is overwritten, for nothing reads it again.
        y_TD = inner.product(act_TF, inner_low_TR, b_DR, None if onto_TD is None else onto_TD.detach())
        # What lies behind the activation would keep all of it alive.
        ctx.save_for_backward(x_TD, both_TF, a_RD, low_TR, a_RF, inner_low_TR.contiguous())
        ctx.plans, ctx.b, ctx.dtypes = (outer, inner), (b_FR, b_DR), [adapter.dtype for adapter in adapters]
        return y_TD

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        from seedtune.train.fused import mlp_kernels

        x_TD, both_TF, a_RD, low_TR, a_RF, inner_low_TR = ctx.saved_tensors
        outer, inner = cast("tuple[Plan, Plan]", ctx.plans)
        b_FR, b_DR = cast("tuple[list[torch.Tensor], list[torch.Tensor]]", ctx.b)
        grad_TD = grads[0].contiguous()
        inner_flow_TR = inner.flow(grad_TD, b_DR)
        grad_act_TF = inner.input_gradient(grad_TD, inner_flow_TR, a_RF, 1)
        grad_both_TF, grad_a, grad_gate_b, grad_up_b = mlp_kernels.backward(
            both_TF, low_TR, inner_flow_TR, grad_act_TF, inner.mask, inner.scale
        )
        grad_x_TD = None
        if ctx.needs_input_grad[0]:
            flow_TR, grad_x_TD = outer.flow_and_input_gradient(grad_both_TF, b_FR, a_RD)
        else:
            flow_TR = outer.flow(grad_both_TF, b_FR)
        grad_gate_a, grad_up_a = gradient(x_TD, flow_TR, 2, outer.mask, outer.scale).chunk(2)
        (grad_b,) = gradient_of_parts(grad_TD, inner_low_TR, grad_TD.shape[1:])
        found = (grad_gate_a, grad_gate_b, grad_up_a, grad_up_b, grad_a, grad_b)
        of_adapters = (grad.to(dtype) for grad, dtype in zip(found, ctx.dtypes, strict=True))
        return grad_x_TD, grads[0] if ctx.needs_input_grad[1] else None, None, None, None, *of_adapters
