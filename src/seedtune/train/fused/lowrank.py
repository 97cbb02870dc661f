# ruff: noqa: N803, N806 (names end in their shapes)
"""The narrow products of a LoRA linear layer, with dropout: by Triton kernels where they fit, else in plain torch.

Shapes: T tokens, K width of the wide matrix, R the rank of all ``count`` adapters together; adapter number i has its
own mask.
"""

from collections.abc import Sequence
from typing import cast

import torch

from seedtune.train.fused.masks import Mask, keep

KEEP_ALL = Mask(0.0)
_RANKS = (16, 32, 64, 128)


def with_room(like: torch.Tensor, tokens: int, width: int, room: int) -> torch.Tensor:
    """An empty matrix [tokens, width] with ``room`` unused columns behind it, in the precision of ``like``."""
    return torch.empty(tokens, width + room, dtype=like.dtype, device=like.device)[:, :width]


def behind(x_TK: torch.Tensor, room: int) -> torch.Tensor:
    """The unused columns behind a matrix of :func:`with_room`: [T, room]."""
    return whole(x_TK, room)[:, x_TK.shape[1] :]


def whole(x_TK: torch.Tensor, room: int) -> torch.Tensor:
    """A matrix of :func:`with_room` together with the columns behind it: [T, K + room]."""
    return x_TK.as_strided((x_TK.shape[0], x_TK.shape[1] + room), x_TK.stride())


def has_room(x_TK: torch.Tensor, room: int) -> bool:
    """Whether a matrix was made by :func:`with_room` with so much room."""
    return room > 0 and x_TK.stride() == (x_TK.shape[1] + room, 1)


def kernel_fits(x: torch.Tensor, rank: int) -> bool:
    """Whether there is a kernel for this precision and device and for adapters of this rank."""
    return x.is_cuda and x.dtype in (torch.bfloat16, torch.float16) and rank in _RANKS


def down(
    out_TR: torch.Tensor,
    x_TK: torch.Tensor,
    a_RK: torch.Tensor,
    count: int = 1,
    mask: Mask = KEEP_ALL,
    scale: float = 1.0,
) -> None:
    """``out = scale * drop(x) @ a.T`` with a mask for each of ``count`` adapters.

    ``out`` and ``x`` may be some columns of larger matrices, ``a`` may lie in memory either way.
    """
    if kernel_fits(x_TK, a_RK.shape[0] // count):
        from seedtune.train.fused import lora_kernels

        lora_kernels.down(x_TK, a_RK, out_TR, count, mask, scale)
    else:
        parts = [dropped(x_TK, mask, number) @ a.T for number, a in enumerate(a_RK.chunk(count))]
        out_TR.copy_(torch.cat(parts, 1) * scale)


def spread(
    v_TR: torch.Tensor, a_RK: torch.Tensor, count: int, mask: Mask, scale: float, onto: torch.Tensor | None = None
) -> torch.Tensor:
    """``scale * keep * (v @ a)``, summed over the adapters and added to ``onto`` in place: [T, K]."""
    tokens, width = v_TR.shape[0], a_RK.shape[1]
    if kernel_fits(v_TR, a_RK.shape[0] // count):
        from seedtune.train.fused import lora_kernels

        out_TK = torch.empty(tokens, width, dtype=v_TR.dtype, device=v_TR.device) if onto is None else onto
        lora_kernels.spread(v_TR, a_RK, out_TK, count, mask, scale, add=onto is not None)
        return out_TK
    parts = zip(v_TR.chunk(count, 1), a_RK.chunk(count), strict=True)
    out_TK = scale * cast("torch.Tensor", sum(dropped(v @ a, mask, number) for number, (v, a) in enumerate(parts)))
    return out_TK if onto is None else onto.add_(out_TK)


def gradient(x_TK: torch.Tensor, v_TR: torch.Tensor, count: int, mask: Mask, scale: float) -> torch.Tensor:
    """``scale * v.T @ drop(x)``: [R, K]."""
    if kernel_fits(x_TK, v_TR.shape[1] // count):
        from seedtune.train.fused import lora_kernels

        return lora_kernels.gradient(x_TK, v_TR, count, mask, scale)
    return scale * torch.cat([v.T @ dropped(x_TK, mask, number) for number, v in enumerate(v_TR.chunk(count, 1))])


def gradient_of_parts(x_TK: torch.Tensor, v_TR: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
    """``part.T @ v's part`` for parts of ``sizes`` columns of ``x`` side by side: each [size, R / parts]."""
    parts = zip(x_TK.split(list(sizes), 1), v_TR.chunk(len(sizes), 1), strict=True)
    if not kernel_fits(x_TK, v_TR.shape[1] // len(sizes)):
        return [x.T @ v for x, v in parts]
    from seedtune.train.fused import lora_kernels

    if lora_kernels.parts_fit(sizes):
        return list(lora_kernels.gradient_of_parts(x_TK, v_TR, sizes).split(list(sizes)))
    return [lora_kernels.gradient_of_parts(x, v, x.shape[1:]) for x, v in parts]


def dropped(x_TK: torch.Tensor, mask: Mask, adapter: int) -> torch.Tensor:
    """``x`` with what the adapter's mask drops set to zero; not scaled."""
    if mask.probability == 0.0:
        return x_TK
    return x_TK * keep(mask, x_TK.shape[0], x_TK.shape[1], adapter, x_TK.device)
