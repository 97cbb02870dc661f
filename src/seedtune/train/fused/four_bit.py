# ruff: noqa: N803, N806 (names end in their shapes)
"""Frozen weights in 4 bits (QLoRA, Dettmers et al., 2023): a quarter of the memory.

bitsandbytes holds them in its NormalFloat format; here they are unpacked for the product they are used in and forgotten
after it. Unpacking 8 billion weights takes some milliseconds, and in the backward pass again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class FourBitWeight:
    """Frozen weights of layers that read one input, one below the other [N, K], for ``x @ w.T`` and ``g @ w``."""

    parts: Sequence[Any]
    """bitsandbytes' Params4bit."""

    @property
    def shape(self) -> torch.Size:
        """[N, K]."""
        shapes = [part.quant_state.shape for part in self.parts]
        return torch.Size((sum(shape[0] for shape in shapes), shapes[0][1]))

    def forward(self, x_TK: torch.Tensor) -> torch.Tensor:
        """``x @ w.T``: [T, N]."""
        return x_TK @ self._unpacked(x_TK.dtype).T

    def backward(self, grad_TN: torch.Tensor) -> torch.Tensor:
        """``grad @ w``: [T, K]."""
        return grad_TN @ self._unpacked(grad_TN.dtype)

    def _unpacked(self, dtype: torch.dtype) -> torch.Tensor:
        from bitsandbytes.functional import dequantize_4bit  # pyright: ignore[reportMissingImports]

        weight_NK = torch.empty(self.shape, dtype=dtype, device=self.parts[0].device)
        rows = [part.quant_state.shape[0] for part in self.parts]
        for part, place in zip(self.parts, weight_NK.split(rows), strict=True):
            if place.is_cuda and part.quant_state.dtype == dtype:
                dequantize_4bit(part.data, part.quant_state, out=place)
            else:
                place.copy_(dequantize_4bit(part.data, part.quant_state))
        return weight_NK


def is_four_bit(base: object) -> bool:
    """Whether a linear layer is one of bitsandbytes' in 4 bits, filled and on its device."""
    weight = getattr(base, "weight", None)
    return type(base).__name__ == "Linear4bit" and getattr(weight, "quant_state", None) is not None


def keep_trainable(model: Any) -> None:
    """Keep bitsandbytes (0.50) from laying weights out anew at the first inference on a CPU with AVX512-BF16.

    It would never lay them back, and no gradient passes through the layers then: training after a measurement of the
    held-out loss would go on without an error, and learn next to nothing.
    """
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            module.support_avx512bf16_for_cpu = False
