# ruff: noqa: N803, N806 (names end in their shapes)
"""Next-token loss of the trained tokens alone, without ever holding all logits.

The head's product, the softmax and the gradient are taken some thousand tokens at a time: the gradient of the hidden
states is known as soon as the logits are, so they are not computed again in the backward pass. The head is frozen.
"""

from typing import Any, cast

import torch
from torch.nn.functional import cross_entropy

_CHUNK = 2048
"""Tokens at once: 0.5 GB of logits for a vocabulary of 128k, and products large enough to fill a GPU."""


def next_token_loss(
    hidden_TD: torch.Tensor, weight_VD: torch.Tensor, places_N: torch.Tensor, targets_N: torch.Tensor, kernel: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed cross-entropy, and how many targets have the highest logit; both float32 scalars.

    Args:
        hidden_TD: Hidden states behind the last norm.
        weight_VD: The head; frozen, without bias.
        places_N: Which tokens predict a trained token.
        targets_N: The tokens they are to predict.
        kernel: Take the Triton kernel.
    """
    chosen_ND = hidden_TD.index_select(0, places_N)
    return cast("tuple[torch.Tensor, torch.Tensor]", _Loss.apply(chosen_ND, weight_VD, targets_N, kernel))


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: torch.Tensor, weight_VD: torch.Tensor, targets_N: torch.Tensor, kernel: bool
    ) -> Any:
        gradient = ctx.needs_input_grad[0]
        step = _cross_entropy_kernel if kernel else _cross_entropy
        grad_ND = torch.empty_like(hidden_ND) if gradient else None
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        hits = torch.zeros_like(total)
        for start in range(0, hidden_ND.shape[0], _CHUNK):
            part = slice(start, start + _CHUNK)
            logits_NV = hidden_ND[part] @ weight_VD.T
            loss_N, hit_N = step(logits_NV, targets_N[part], gradient)
            total += loss_N.sum()
            hits += hit_N.sum()
            if grad_ND is not None:
                torch.mm(logits_NV, weight_VD, out=grad_ND[part])
            # Before the next ones are made: two chunks would be alive at once.
            del logits_NV
        ctx.save_for_backward(grad_ND)
        ctx.mark_non_differentiable(hits)
        return total, hits

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (grad_ND,) = ctx.saved_tensors
        # The factor is 1 / (number of trained tokens): in bfloat16 it would be off by up to 0.4%.
        return (grad_ND.float() * grads[0]).to(grad_ND.dtype), None, None, None


def _cross_entropy_kernel(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    from seedtune.train.fused import layer_kernels

    return layer_kernels.cross_entropy(logits_NV, targets_N, gradient)


def _cross_entropy(
    logits_NV: torch.Tensor, targets_N: torch.Tensor, gradient: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and hit of each row; with ``gradient`` the logits become the gradient of the summed loss."""
    wide_NV = logits_NV.double() if logits_NV.dtype == torch.float64 else logits_NV.float()
    losses_N = cross_entropy(wide_NV, targets_N, reduction="none")
    hits_N = (wide_NV.gather(1, targets_N[:, None])[:, 0] >= wide_NV.amax(1)).float()
    if gradient:
        probabilities_NV = torch.softmax(wide_NV, -1)
        probabilities_NV[torch.arange(len(targets_N), device=targets_N.device), targets_N] -= 1.0
        logits_NV.copy_(probabilities_NV)
    return losses_N, hits_N
