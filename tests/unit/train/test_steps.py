"""Which rows a step takes: each once an epoch, the same ones however many devices and passes share them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedtune.train.fused.packing import IGNORED, Tokens
from seedtune.train.steps import Passes, Steps, divide

PACKED = Passes(True, 64, 0)
lengths = st.lists(st.integers(2, 30), min_size=1, max_size=40)


def rows_of(sizes: list[int]) -> list[Tokens]:
    """Row ``n`` is made of the token ``n + 1``; its first half is prompt."""
    return [
        (np.full(size, number + 1), np.where(np.arange(size) < size // 2, IGNORED, number + 1))
        for number, size in enumerate(sizes)
    ]


def seen(steps: Steps, step: int) -> list[int]:
    """The rows in a step's passes, as often as they are trained on."""
    found: list[int] = []
    for batch in steps[step]["passes"]:
        if "targets" in batch:
            found += batch["targets"].unique().tolist()
        else:
            found += [int(row.max()) for row in batch["labels"] if row.max() > 0]
    return sorted(token - 1 for token in found)


@given(lengths, st.integers(1, 9), st.sampled_from([PACKED, Passes(False, 3, 0)]))
def test_an_epoch_takes_every_row_once(sizes: list[int], per_step: int, passes: Passes) -> None:
    steps = Steps(rows_of(sizes), per_step, 100, 7, passes)
    assert sorted(row for step in range(steps.per_epoch) for row in seen(steps, step)) == list(range(len(sizes)))


@given(lengths, st.integers(1, 9), st.integers(1, 4))
def test_devices_share_the_rows_of_a_step_and_agree_on_its_tokens(sizes: list[int], per_step: int, world: int) -> None:
    alone = Steps(rows_of(sizes), per_step, 100, 7, PACKED)
    shares = [Steps(rows_of(sizes), per_step, 100, 7, PACKED, rank, world) for rank in range(world)]
    for step in range(alone.per_epoch + 1):
        assert sorted(row for share in shares for row in seen(share, step)) == seen(alone, step)
        assert {share[step]["trained"] for share in shares} == {alone[step]["trained"]}
        assert sum(share[step]["tokens"] for share in shares) == alone[step]["tokens"]
        assert all(share[step]["passes"] for share in shares)


@given(lengths, st.integers(1, 9), st.integers(1, 4), st.sampled_from([PACKED, Passes(False, 2, 0)]))
def test_devices_in_step_make_as_many_passes(sizes: list[int], per_step: int, world: int, passes: Passes) -> None:
    """Where each holds a part of the weights, one that has no pass left would let the others wait for ever."""
    shares = [Steps(rows_of(sizes), per_step, 9, 7, passes, rank, world, in_step=True) for rank in range(world)]
    for step in range(shares[0].per_epoch):
        assert len({len(share[step]["passes"]) for share in shares}) == 1
    trained = [row for step in range(shares[0].per_epoch) for share in shares for row in seen(share, step)]
    assert sorted(trained) == list(range(len(sizes)))


def test_epochs_differ_and_follow_from_the_seed() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return Steps(rows_of([5] * 50), 50, 9, seed, PACKED).rows_of(epoch)

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


@given(lengths, st.integers(1, 9), st.integers(0, 60))
def test_the_tokens_before_a_step_are_those_of_the_steps_before_it(sizes: list[int], per_step: int, step: int) -> None:
    steps = Steps(rows_of(sizes), per_step, 100, 7, PACKED)
    assert steps.tokens_before(step) == sum(steps[number]["tokens"] for number in range(step))


@given(lengths, st.sampled_from([1, 16, 128]))
def test_no_pass_is_larger_than_it_may_be_but_for_its_filling(sizes: list[int], multiple: int) -> None:
    for batch in Passes(True, 64, 0, multiple).of(rows_of(sizes)):
        tokens = batch["input_ids"].numel()
        assert tokens % multiple == 0
        assert tokens <= 64 + multiple - 1


def test_passes_of_a_step_are_of_about_one_size() -> None:
    sizes = np.clip(np.random.default_rng(0).lognormal(np.log(260), 0.65, 32), 60, 1024).astype(int).tolist()
    found = [batch["input_ids"].numel() for batch in Passes(True, 8192, 0).of(rows_of(sizes))]
    assert len(found) == 2
    assert max(found) - min(found) < 0.02 * sum(found)


@given(lengths, st.integers(1, 8))
def test_rows_are_dealt_out_evenly(sizes: list[int], parts: int) -> None:
    dealt = divide(sizes, parts)
    assert sorted(row for part in dealt for row in part) == list(range(len(sizes)))
    tokens = [sum(sizes[row] for row in part) for part in dealt]
    assert max(tokens) - min(tokens) <= max(sizes)


def test_a_padded_pass_has_mask_and_labels_over_the_rows_alone() -> None:
    (batch,) = Passes(False, 4, 9).of(
        [(np.array([5, 6, 7]), np.array([IGNORED, 6, 7])), (np.array([8]), np.array([8]))]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]
    assert all(batch[key].dtype == torch.int64 for key in batch)


@pytest.mark.parametrize("world", [2, 3])
def test_a_device_without_a_row_trains_on_nothing(world: int) -> None:
    share = Steps(rows_of([6]), 4, 9, 7, PACKED, rank=world - 1, world=world)[0]
    assert share["tokens"] == 0
    assert [batch["targets"].numel() for batch in share["passes"]] == [0]
