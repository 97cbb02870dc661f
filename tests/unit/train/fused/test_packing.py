"""Rows in bins: none lost, none torn, boundaries and targets in the right places."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from seedtune.train.fused.packing import IGNORED, batch_of, pack

row_lengths = st.lists(st.integers(1, 50), min_size=1, max_size=60)


@given(row_lengths)
def test_every_row_is_in_one_bin_and_no_bin_overflows(lengths: list[int]) -> None:
    bins = pack(lengths, 50)
    assert sorted(row for group in bins for row in group) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in group) <= 50 for group in bins)


@given(row_lengths)
def test_no_two_bins_could_have_been_one(lengths: list[int]) -> None:
    sizes = sorted(sum(lengths[row] for row in group) for group in pack(lengths, 50))
    assert len(sizes) < 2 or sizes[0] + sizes[1] > 50


def test_instruction_lengths_fill_the_bins() -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(np.log(260), 0.65, 3000), 60, 1024).astype(int).tolist()
    bins = pack(lengths, 8192)
    assert sum(lengths) / (8192 * len(bins)) > 0.99


def test_a_row_longer_than_a_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 60 tokens, more than the 50"):
        pack([3, 60], 50)


ROWS = [
    (np.array(ids), np.array(labels))
    for ids, labels in [
        ([6, 7, 8, 9], [IGNORED, IGNORED, IGNORED, 9]),
        ([1, 2, 3], [IGNORED, 2, 3]),
        ([4, 5], [4, 5]),
    ]
]


def test_a_batch_is_what_trl_makes_padding_free() -> None:
    batch = batch_of(ROWS, 0)
    collator = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    right = collator([{"input_ids": ids.tolist(), "labels": labels.tolist()} for ids, labels in ROWS])
    for key in ("input_ids", "position_ids", "cu_seq_lens_q", "cu_seq_lens_k"):
        assert torch.equal(batch[key], right[key]), key
        assert batch[key].dtype == right[key].dtype
    assert batch["max_length_q"] == batch["max_length_k"] == right["max_length_q"] == 4
    assert torch.equal(batch["targets"], right["labels"][0][right["labels"][0] != IGNORED])


@pytest.mark.parametrize("size", [None, 9, 10, 24])
def test_places_predict_targets_and_filling_is_not_trained_on(size: int | None) -> None:
    batch = batch_of(ROWS, 0, size)
    assert batch["places"].tolist() == [2, 4, 5, 7]
    assert batch["targets"].tolist() == [9, 2, 3, 5]
    assert batch["input_ids"].shape == (1, size or 9)
    edges = batch["cu_seq_lens_q"].tolist()
    assert edges[:4] == [0, 4, 7, 9]
    assert edges[-1] == (size or 9)
    assert max(b - a for a, b in itertools.pairwise(edges)) == batch["max_length_q"] == 4


def test_making_a_batch_leaves_the_rows_as_they_are() -> None:
    before = [(ids.copy(), labels.copy()) for ids, labels in ROWS]
    batch_of(ROWS, 0, 16)
    assert all((a == c).all() and (b == d).all() for (a, b), (c, d) in zip(before, ROWS, strict=True))
