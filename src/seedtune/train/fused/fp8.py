# ruff: noqa: N803, N806, N815 (names end in their shapes)
"""Frozen weights in 8-bit floating point: products at up to twice the speed of bfloat16.

A weight is kept twice, once for each direction, in e4m3 with a scale for each row of the output; activations and their
gradients are quantised when they are used, with a scale for each token. Only the products with frozen weights are done
so. The adapters, their gradients and all element-wise work stay as they are, and the weight itself is kept beside:
evaluation, merging and saving use it.

Needs a GPU of compute capability 8.9 or more, and weights whose sides are multiples of 16.
"""

from dataclasses import dataclass

import torch

_LARGEST = 448.0
"""Of e4m3."""


@dataclass(frozen=True)
class Float8Weight:
    """A frozen weight [N, K] for ``x @ w.T`` and ``g @ w``."""

    forward_NK: torch.Tensor
    forward_scale_1N: torch.Tensor
    backward_KN: torch.Tensor
    backward_scale_1K: torch.Tensor

    @classmethod
    def of(cls, weight_NK: torch.Tensor) -> "Float8Weight":
        """Quantise: a scale for each output, and in the other direction for each input."""
        return cls(*_rows(weight_NK), *_rows(weight_NK.T))

    def forward(self, x_TK: torch.Tensor) -> torch.Tensor:
        """``x @ w.T``: [T, N]."""
        return _product(x_TK, self.forward_NK, self.forward_scale_1N)

    def backward(self, grad_TN: torch.Tensor) -> torch.Tensor:
        """``grad @ w``: [T, K]."""
        return _product(grad_TN, self.backward_KN, self.backward_scale_1K)


def supported(device: torch.device) -> bool:
    """Whether the device multiplies 8-bit floating point numbers."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def _rows(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    scale = (weight.abs().amax(1, keepdim=True).float() / _LARGEST).clamp(min=1e-12)
    return (weight / scale).to(torch.float8_e4m3fn).contiguous(), scale.T.contiguous()


def _product(x_TK: torch.Tensor, weight_NK: torch.Tensor, scale_1N: torch.Tensor) -> torch.Tensor:
    from seedtune.train.fused import layer_kernels

    numbers_TK, scale_T1 = layer_kernels.quantize(x_TK)
    return torch.ops.aten._scaled_mm(
        numbers_TK, weight_NK.T, scale_a=scale_T1, scale_b=scale_1N, out_dtype=x_TK.dtype, use_fast_accum=True
    )
