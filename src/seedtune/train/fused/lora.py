# ruff: noqa: N803, N806, N815 (names end in their shapes)
"""A LoRA linear layer as one function, forward and backward, for layers that read the same input together.

``y = x W^T + s drop(x) A^T B^T`` (Hu et al., 2021, section 4.1). Query, key and value projection read one input, and so
do gate and up projection: their frozen weights are laid one below the other and multiplied at once, and their adapters
share the passes over the input. The parameters stay where PEFT put them, with their names, in their precision: a cast
to the input's precision is made at each pass, sums are kept in float32, and so are the gradients of float32 adapters.

Shapes: T tokens, K inputs, N outputs of all layers of the group, R the rank of all its adapters together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.lora import LoraLayer

from seedtune.train.fused.four_bit import FourBitWeight, is_four_bit
from seedtune.train.fused.fp8 import Float8Weight
from seedtune.train.fused.lowrank import (
    behind,
    down,
    gradient,
    gradient_of_parts,
    has_room,
    kernel_fits,
    spread,
    whole,
)
from seedtune.train.fused.masks import Mask, draw_mask


@dataclass(frozen=True)
class Plan:
    """What a pass through LoRA layers needs to know beside the adapters."""

    weight: torch.Tensor | Float8Weight | FourBitWeight
    """Frozen, [N, K]; a view of ``whole`` where there is one."""
    whole_NL: torch.Tensor | None
    """The weight and behind it room for each layer's B, zeros elsewhere: [N, K + R]. One product does all then."""
    bias_N: torch.Tensor | None
    scaling: float
    mask: Mask

    @property
    def scale(self) -> float:
        """Of the low-rank product of what dropout left."""
        return self.scaling * self.mask.scale

    def cast(self, adapters: Sequence[torch.Tensor], dtype: torch.dtype) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """All A, one below the other [R, K], and each B [N, R], in the precision of the products.

        With room behind the weight the B are written there, each beside its layer's rows and in columns of its own.
        """
        downs, ups = adapters[::2], adapters[1::2]
        if self.whole_NL is None:
            return torch.cat([a.detach() for a in downs]).to(dtype), [b.detach().to(dtype) for b in ups]
        from seedtune.train.fused import lora_kernels

        (rank, width), row, column = downs[0].shape, 0, downs[0].shape[1]
        a_RK = torch.empty(rank * len(downs), width, dtype=dtype, device=downs[0].device)
        lora_kernels.cast(adapters, self.whole_NL, a_RK)
        places: list[torch.Tensor] = []
        for b in ups:
            places.append(self.whole_NL[row : row + b.shape[0], column : column + rank])
            row, column = row + b.shape[0], column + rank
        return a_RK, places

    def low(self, x_TK: torch.Tensor, a_RK: torch.Tensor, count: int) -> torch.Tensor:
        """``scale * drop(x) @ a.T`` [T, R], in the room behind ``x`` where there is some."""
        rank = a_RK.shape[0]
        roomy = self.whole_NL is not None and has_room(x_TK, rank)
        low_TR = behind(x_TK, rank) if roomy else x_TK.new_empty(x_TK.shape[0], rank)
        down(low_TR, x_TK, a_RK, count, self.mask, self.scale)
        return low_TR

    def product(
        self,
        x_TK: torch.Tensor,
        low_TR: torch.Tensor,
        b_NR: Sequence[torch.Tensor],
        onto_TN: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """``x @ w.T`` and the bias, with ``low @ b.T`` added to each layer's part: [T, N].

        All is added to ``onto`` in place where there is one, and rounded to its precision only then: the adapters' part
        can be smaller than what a rounding of the residual stream takes away.
        """
        sizes, lows = [b.shape[0] for b in b_NR], low_TR.chunk(len(b_NR), 1)
        if self.whole_NL is not None and has_room(x_TK, low_TR.shape[1]):
            x_TL, whole_LN = whole(x_TK, low_TR.shape[1]), self.whole_NL.T
            # Reading what is added to hides behind the arithmetic.
            y_TN, onto_TN = (x_TL @ whole_LN if onto_TN is None else onto_TN.addmm_(x_TL, whole_LN)), None
        elif isinstance(self.weight, Float8Weight | FourBitWeight):
            y_TN = self.weight.forward(x_TK)
            for y, low, b in zip(y_TN.split(sizes, 1), lows, b_NR, strict=True):
                y.addmm_(low, b.T)
        else:
            y_TN = x_TK.new_empty(x_TK.shape[0], self.weight.shape[0])
            for y, low, b in zip(y_TN.split(sizes, 1), lows, b_NR, strict=True):
                torch.mm(low, b.T, out=y)
            # The large product adds itself to the small one.
            y_TN.addmm_(x_TK, self.weight.T)
        y_TN = y_TN if self.bias_N is None else y_TN.add_(self.bias_N)
        return y_TN if onto_TN is None else onto_TN.add_(y_TN)

    def flow(self, grad_TN: torch.Tensor, b_NR: Sequence[torch.Tensor]) -> torch.Tensor:
        """``grad @ b`` for each layer's part of ``grad``, side by side: [T, R]."""
        if self.whole_NL is not None and len(b_NR) > 1:
            # The zeros between the layers' B keep their parts apart.
            return grad_TN @ self.whole_NL[:, -sum(b.shape[1] for b in b_NR) :]
        out_TR = grad_TN.new_empty(grad_TN.shape[0], sum(b.shape[1] for b in b_NR))
        parts = zip(out_TR.chunk(len(b_NR), 1), grad_TN.split([b.shape[0] for b in b_NR], 1), b_NR, strict=True)
        for out, grad, b in parts:
            down(out, grad, b.T)
        return out_TR

    def input_gradient(
        self, grad_TN: torch.Tensor, flow_TR: torch.Tensor, a_RK: torch.Tensor, count: int
    ) -> torch.Tensor:
        """``grad @ w`` and what comes back through the adapters: [T, K]."""
        if isinstance(self.weight, Float8Weight | FourBitWeight):
            grad_TK = self.weight.backward(grad_TN)
            return spread(flow_TR, a_RK, count, self.mask, self.scale, grad_TK)
        return spread(flow_TR, a_RK, count, self.mask, self.scale).addmm_(grad_TN, self.weight)

    def flow_and_input_gradient(
        self, grad_TN: torch.Tensor, b_NR: Sequence[torch.Tensor], a_RK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both; for wide outputs cheaper in one product with the whole matrix."""
        if self.whole_NL is None:
            flow_TR = self.flow(grad_TN, b_NR)
            return flow_TR, self.input_gradient(grad_TN, flow_TR, a_RK, len(b_NR))
        grad_TK, flow_TR = (grad_TN @ self.whole_NL).split([a_RK.shape[1], a_RK.shape[0]], 1)
        return flow_TR, spread(flow_TR, a_RK, len(b_NR), self.mask, self.scale, grad_TK)


class Projection:
    """LoRA linear layers that read the same input, as one function.

    The frozen weights are moved into one matrix, and each layer's weight becomes a view of its part: no
    memory is spent, and merging, saving and PEFT's own forward pass still work.
    """

    def __init__(self, layers: Sequence[LoraLayer], float8: bool = False) -> None:
        """Take layers for which :func:`obstacle` finds none; ``float8``: multiply by a quantised copy of the weight."""
        self._layers: list[Any] = list(layers)
        bases = [cast("Any", layer.get_base_layer()) for layer in layers]
        (name,) = self._layers[0].active_adapters
        rank = self._layers[0].r[name]
        biases = [base.bias for base in bases if base.bias is not None]
        self._bias_N = torch.cat([bias.detach() for bias in biases]) if biases else None
        self._whole_NL: torch.Tensor | None = None
        self._weight: torch.Tensor | Float8Weight | FourBitWeight
        self.room = 0
        """Columns that the input should have behind it (:func:`~.lowrank.with_room`), so that one product does all."""
        if is_four_bit(bases[0]):
            self._weight = FourBitWeight([base.weight for base in bases])
            return
        if kernel_fits(bases[0].weight, rank) and not float8:
            self.room = rank * len(layers)
        whole_NL = _joined([base.weight for base in bases], self.room)
        weight_NK = whole_NL[:, : bases[0].in_features]
        self._whole_NL = whole_NL if self.room else None
        self._weight = Float8Weight.of(weight_NK) if float8 else weight_NK

    def __call__(self, x_TK: torch.Tensor, onto_TN: torch.Tensor | None = None) -> torch.Tensor:
        """The outputs side by side: [T, K] -> [T, N].

        Args:
            x_TK: The input.
            onto_TN: The outputs are added to it, in place where that can be: it must not be used again.
        """
        adapters = self.adapters()
        if not adapters:
            y_TN = torch.cat([layer(x_TK) for layer in self._layers], -1)
            return y_TN if onto_TN is None else onto_TN + y_TN
        return cast("torch.Tensor", _LoraLinear.apply(x_TK, onto_TN, self.plan(), *adapters))

    def adapters(self) -> list[torch.Tensor]:
        """A and B of each layer, one after the other; empty where the adapter is switched off or merged."""
        first = self._layers[0]
        (name,) = first.active_adapters
        if first.disable_adapters or first.merged or name not in first.lora_A:
            return []
        pairs = [(layer.lora_A[name].weight, layer.lora_B[name].weight) for layer in self._layers]
        return [cast("torch.Tensor", weight) for pair in pairs for weight in pair]

    def plan(self) -> Plan:
        """For one pass: a fresh dropout mask."""
        first = self._layers[0]
        (name,) = first.active_adapters
        dropout = first.lora_dropout[name]
        probability = float(dropout.p) if isinstance(dropout, torch.nn.Dropout) and dropout.training else 0.0
        return Plan(self._weight, self._whole_NL, self._bias_N, first.scaling[name], draw_mask(probability))


def obstacle(layers: Sequence[object]) -> str | None:
    """Why these layers cannot be one :class:`Projection`; None where they can."""
    names: set[tuple[object, ...]] = set()
    for layer in layers:
        if not isinstance(layer, LoraLayer):
            return "has no adapter"
        base = cast("Any", layer.get_base_layer())
        weight, bias = base.weight, base.bias
        if not is_four_bit(base) and not (isinstance(layer, LoraLinear) and type(base) is torch.nn.Linear):
            return f"base layer {type(base).__name__}"
        if weight.requires_grad or (bias is not None and bias.requires_grad):
            return "base weight is trained"
        if len(layer.active_adapters) != 1 or layer.merged:
            return "not exactly one active adapter"
        (name,) = layer.active_adapters
        if name not in layer.lora_A or name in layer.lora_variant or layer.lora_bias[name]:
            return "a variant of LoRA"
        dropout = layer.lora_dropout[name]
        if not isinstance(dropout, torch.nn.Identity | torch.nn.Dropout):
            return f"dropout of type {type(dropout).__name__}"
        names.add((name, layer.r[name], layer.scaling[name], str(dropout), weight.dtype, bias is None))
    if len(names) > 1:
        return "adapters of different rank, scale, dropout or precision"
    return None


def _joined(weights: list[torch.nn.Parameter], room: int) -> torch.Tensor:
    """One matrix that holds all weights, and ``room`` columns of zeros; each parameter becomes a view of it."""
    if len(weights) == 1 and room == 0:
        return weights[0].detach()
    (_, width), rows = weights[0].shape, [weight.shape[0] for weight in weights]
    whole_NL = weights[0].new_zeros(sum(rows), width + room)
    for weight, part in zip(weights, whole_NL[:, :width].split(rows), strict=True):
        weight.data = part.copy_(weight.detach())
    return whole_NL


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_TK: torch.Tensor, onto_TN: torch.Tensor | None, plan: Plan, *adapters: torch.Tensor
    ) -> torch.Tensor:
        a_RK, b_NR = plan.cast(adapters, x_TK.dtype)
        low_TR = plan.low(x_TK, a_RK, len(b_NR))
        ctx.save_for_backward(x_TK, a_RK, low_TR)
        ctx.plan, ctx.b_NR, ctx.dtypes = plan, b_NR, [adapter.dtype for adapter in adapters]
        # Detached: autograd need not know that it is overwritten, for nothing reads it again.
        return plan.product(x_TK, low_TR, b_NR, None if onto_TN is None else onto_TN.detach())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x_TK, a_RK, low_TR = ctx.saved_tensors
        plan, b_NR = cast("Plan", ctx.plan), cast("list[torch.Tensor]", ctx.b_NR)
        count, grad_TN = len(b_NR), grads[0].contiguous()
        flow_TR = plan.flow(grad_TN, b_NR)
        grad_x_TK = plan.input_gradient(grad_TN, flow_TR, a_RK, count) if ctx.needs_input_grad[0] else None
        grad_downs = gradient(x_TK, flow_TR, count, plan.mask, plan.scale).chunk(count)
        grad_ups = gradient_of_parts(grad_TN, low_TR, [b.shape[0] for b in b_NR])
        found = [grad for pair in zip(grad_downs, grad_ups, strict=True) for grad in pair]
        grad_onto_TN = grads[0] if ctx.needs_input_grad[1] else None
        return grad_x_TK, grad_onto_TN, None, *(grad.to(dtype) for grad, dtype in zip(found, ctx.dtypes, strict=True))
