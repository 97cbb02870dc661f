"""Before the first step: rows packed together must give what each gives alone, through the stock forward.

Boundaries lost, a kernel that does not fit this GPU, or a model whose forward is another than it seems would otherwise
train a wrong model in silence.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch

from seedtune.errors import TrainingError
from seedtune.train.fused.llama import PackedLoss
from seedtune.train.fused.packing import IGNORED, Tokens, batch_of

_TOLERANCE = {torch.bfloat16: (1e-2, 0.3), torch.float16: (5e-3, 0.1), torch.float32: (1e-4, 1e-3)}
"""Relative error of loss and gradients. Of the gradients, roundings to bfloat16 make 0.13 over 32 layers of random
weights, on an H100; rows that see each other make about 1."""
_FLOAT8_TOLERANCE = (5e-2, float("inf"))
"""Frozen weights in 8 bits: over 32 layers of random weights, roundings turn the gradients of a few short rows
altogether (0.94 on an H100), though not what is learned (docs/LOG.md)."""
_LONGEST = 128


def check_packed(model: Any, rows: Sequence[Tokens], padding: int, float8: bool = False) -> None:
    """Compare loss and adapters' gradients of some rows, packed and each alone.

    Args:
        model: A fused PEFT model that TRL's trainer has prepared. The adapters' B, zero at first, are random meanwhile.
        rows: Two or more; the first tokens of each are taken.
        padding: Token id of the filling.
        float8: Frozen weights are multiplied in 8 bits, which rounds more: only the loss is compared.

    Raises:
        TrainingError: they differ by more than roundings.
    """
    device, dtype = model.device, cast("torch.dtype", model.get_base_model().get_input_embeddings().weight.dtype)
    short = [(ids[:_LONGEST], _some_trained(labels[:_LONGEST], ids)) for ids, labels in rows]
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ups = [parameter for name, parameter in model.named_parameters() if "lora_B" in name and parameter.requires_grad]
    kept, training = [up.detach().clone() for up in ups], model.training
    generator = torch.Generator(device).manual_seed(0)
    model.eval()
    try:
        with torch.no_grad():
            for up in ups:
                up.normal_(0, 0.02, generator=generator)
        batch = {
            key: value.to(device) if isinstance(value, torch.Tensor) else value
            for key, value in batch_of(short, padding, sum(len(ids) for ids, _ in short) + 3).items()
        }
        with torch.enable_grad():
            packed = cast("PackedLoss", model(**batch)).loss
            packed_gradients = torch.autograd.grad(packed, adapters)
            alone = sum(_alone(model, ids, labels) for ids, labels in short)
            gradients = torch.autograd.grad(cast("torch.Tensor", alone), adapters)
    finally:
        with torch.no_grad():
            for up, before in zip(ups, kept, strict=True):
                up.copy_(before)
        model.train(training)
    loss_error = abs(packed.item() / cast("torch.Tensor", alone).item() - 1)
    gradient_error = _distance(packed_gradients, gradients)
    limits = _FLOAT8_TOLERANCE if float8 else _TOLERANCE.get(dtype, (1e-6, 1e-6))
    # Not "error > limit": a NaN must fail too.
    if not (loss_error <= limits[0] and gradient_error <= limits[1]):
        raise TrainingError(
            f"rows packed together differ from rows alone: the loss by {loss_error:.1e}, gradients by "
            f"{gradient_error:.1e}; set train.kernels=plain"
        )


def _some_trained(labels: Any, ids: Any) -> Any:
    """A prompt longer than what is taken would leave nothing to compare."""
    return labels if (labels[1:] != IGNORED).any() else ids[: len(labels)]


def _alone(model: Any, ids: Any, labels: Any) -> torch.Tensor:
    inputs = {"input_ids": torch.from_numpy(ids)[None], "labels": torch.from_numpy(labels)[None]}
    moved = {key: value.to(model.device) for key, value in inputs.items()}
    return -model(**moved, use_cache=False, fused_lm_head=True).log_probs.sum()


def _distance(found: Sequence[torch.Tensor], right: Sequence[torch.Tensor]) -> float:
    """Relative error of all numbers together."""
    off = sum(float((a.float() - b.float()).square().sum()) for a, b in zip(found, right, strict=True))
    return (off / max(1e-30, sum(float(b.float().square().sum()) for b in right))) ** 0.5
