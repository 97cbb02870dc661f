"""The computed dropout mask behaves like drawn bits."""

from collections.abc import Callable

import pytest
import torch

from seedtune.train.fused.masks import Mask, draw_mask, hashed, keep

Made = Callable[..., torch.Tensor]
CPU = torch.device("cpu")
SIZE = (1024, 1024)
both_ways = pytest.mark.parametrize("made", [hashed, keep], ids=["as the kernels", "as a CPU"])


@both_ways
@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5, 0.9])
def test_the_dropped_share_is_the_probability_overall_and_in_every_row_and_column(
    made: Made, probability: float
) -> None:
    torch.manual_seed(3)
    dropped = ~made(draw_mask(probability), *SIZE, 0, CPU)
    deviation = (probability * (1 - probability)) ** 0.5
    assert abs(dropped.float().mean() - probability) < 5 * deviation / 1024
    for lines in (dropped.float().mean(0), dropped.float().mean(1)):
        assert (lines - probability).abs().max() < 5 * deviation / 32
        assert lines.std() == pytest.approx(deviation / 32, rel=0.15)


@both_ways
def test_masks_of_two_adapters_rows_columns_and_draws_are_not_correlated(made: Made) -> None:
    torch.manual_seed(4)
    mask = draw_mask(0.1)
    first = (~made(mask, *SIZE, 0, CPU)).float() - 0.1
    others = {
        "adapter": (~made(mask, *SIZE, 1, CPU)).float() - 0.1,
        "third adapter": (~made(mask, *SIZE, 2, CPU)).float() - 0.1,
        "draw": (~made(draw_mask(0.1), *SIZE, 0, CPU)).float() - 0.1,
        "next row": first.roll(1, 0),
        "next column": first.roll(1, 1),
        "diagonal": first.roll((1, 1), (0, 1)),
        "transposed": first.T,
    }
    for name, other in others.items():
        # A million pairs: the correlation of independent bits has a standard deviation of 0.001.
        assert abs((first * other).mean() / 0.09) < 0.005, name


def test_four_corners_of_rectangles_are_not_correlated() -> None:
    """The exclusive or of the four hashes' inputs is zero: a weak hash would show it here."""
    signs = hashed(Mask(0.5, 17, 29), 512, 512, 0, CPU).float() * 2 - 1
    corners = signs * signs.roll(7, 0) * signs.roll(5, 1) * signs.roll((7, 5), (0, 1))
    assert abs(corners.mean()) < 5 / 512


def test_a_mask_follows_from_torchs_cpu_generator() -> None:
    """Checkpoints save that generator, and activation checkpointing rewinds it."""
    state = torch.get_rng_state()
    first = draw_mask(0.1)
    torch.set_rng_state(state)
    assert draw_mask(0.1) == first
    assert draw_mask(0.1) != first


def test_without_dropout_everything_is_kept_and_nothing_is_drawn() -> None:
    state = torch.get_rng_state()
    mask = draw_mask(0.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert mask.scale == 1.0
    assert keep(mask, 64, 64, 0, CPU).all()


def test_on_a_cpu_a_mask_of_the_same_seeds_is_the_same() -> None:
    """A layer that runs again, and a resumed run, have the seeds alone."""
    assert torch.equal(keep(Mask(0.3, 5, 6), 64, 32, 1, CPU), keep(Mask(0.3, 5, 6), 64, 32, 1, CPU))
    assert not torch.equal(keep(Mask(0.3, 5, 6), 64, 32, 1, CPU), keep(Mask(0.3, 5, 7), 64, 32, 1, CPU))
