"""The loss in parts is cross-entropy over all trained tokens."""

import weakref
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from seedtune.train.fused import loss
from seedtune.train.fused.loss import next_token_loss


@pytest.mark.parametrize("chunk", [3, 7, 2048])
def test_loss_hits_and_gradient_are_those_of_the_whole(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "_CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(12, 8, generator=generator, dtype=torch.float64).requires_grad_()
    head = torch.randn(50, 8, generator=generator, dtype=torch.float64)
    places = torch.tensor([0, 1, 4, 5, 6, 9, 11])
    logits = hidden[places] @ head.T
    targets = torch.randint(50, (7,), generator=generator)
    targets[2] = logits[2].argmax()
    right = cross_entropy(logits, targets, reduction="sum")
    total, hits = next_token_loss(hidden, head, places, targets, kernel=False)
    assert total.item() == pytest.approx(right.item(), rel=1e-6)
    assert hits.item() == (logits.argmax(1) == targets).sum().item() >= 1
    (grad,) = torch.autograd.grad(total / 7, hidden)
    (grad_right,) = torch.autograd.grad(right / 7, hidden)
    assert (grad - grad_right).norm() / grad_right.norm() < 1e-6


class Logits(TorchDispatchMode):
    """Sees each product that makes logits, and that those before are gone by then."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.mm.default:
            assert all(logits() is None for logits in self.made)
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default:
            self.made.append(weakref.ref(out))
        return out


def test_no_more_than_one_chunk_of_logits_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 128k words a chunk is half a GB."""
    monkeypatch.setattr(loss, "_CHUNK", 3)
    places = torch.arange(10)
    with Logits() as logits:
        next_token_loss(torch.randn(10, 8).requires_grad_(), torch.randn(50, 8), places, places, kernel=False)
    assert len(logits.made) == 4


def test_a_batch_without_a_trained_token_has_loss_zero_and_gradient_zero() -> None:
    hidden = torch.randn(4, 8, requires_grad=True)
    nothing = torch.zeros(0, dtype=torch.long)
    total, hits = next_token_loss(hidden, torch.randn(50, 8), nothing, nothing, kernel=False)
    total.backward()
    assert (total.item(), hits.item(), hidden.grad.abs().sum().item()) == (0.0, 0.0, 0.0)
