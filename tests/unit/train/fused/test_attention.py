"""The start-up test of packed attention lets through what is right, and only that."""

import logging

import pytest
import torch

from seedtune.train.fused import attention
from seedtune.train.fused.attention import Rows

CPU, HEADS, SIZE = torch.device("cpu"), (4, 2), 16


def blind(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    """One long row: what an all-ones mask does in silence."""
    return attention.row_by_row(query, key, value, Rows(torch.tensor([0, query.shape[0]]), query.shape[0]))


def broken(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    return attention.row_by_row(query, key, value, rows) * float("nan")


def not_causal(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: Rows) -> torch.Tensor:
    turned = Rows(rows.boundaries[-1] - rows.boundaries.flip(0), rows.longest)
    return attention.row_by_row(query.flip(0), key.flip(0), value.flip(0), turned).flip(0)


@pytest.mark.parametrize("wrong", [blind, broken, not_causal])
def test_what_mixes_rows_up_is_not_taken(wrong: attention.Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "IMPLEMENTATIONS", {"wrong": wrong, "right": attention.row_by_row})
    assert attention.pick(CPU, torch.float32, HEADS, SIZE) is attention.row_by_row
    with pytest.raises(RuntimeError, match="wrong: rows packed together differ from rows alone by"):
        attention.pick(CPU, torch.float32, HEADS, SIZE, "wrong")


def test_on_a_cpu_the_slow_one_is_taken_and_the_choice_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert attention.pick(CPU, torch.float32, HEADS, SIZE) is attention.row_by_row
    assert "attention over packed rows: row_by_row" in caplog.text


def test_row_by_row_is_softmax_attention_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(9, heads, SIZE, generator=generator, dtype=torch.float64) for heads in (4, 2, 2))
    out = attention.row_by_row(q, k, v, Rows(torch.tensor([0, 3, 9]), 6))
    for start, end in ((0, 3), (3, 9)):
        for head in range(4):
            scores = q[start:end, head] @ k[start:end, head // 2].T / SIZE**0.5
            scores.masked_fill_(torch.ones(end - start, end - start, dtype=torch.bool).triu(1), -torch.inf)
            right = scores.softmax(-1) @ v[start:end, head // 2]
            assert torch.allclose(out[start:end, head], right)
