"""A run that goes wrong is told from one that goes well."""

import math

import pytest

from seedtune.train.watch import LossWatch, evaluations_since_best, is_overfitting


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("jump", [None, 5.0])
def test_what_is_no_number_is_bad_from_the_first_step(loss: float, jump: float | None) -> None:
    assert LossWatch(jump).is_bad(loss)


def watched(jump: float | None, usual: float, steps: int = 20) -> LossWatch:
    watch = LossWatch(jump)
    assert not any(watch.is_bad(usual) for _ in range(steps))
    return watch


@pytest.mark.parametrize(("loss", "bad"), [(9.9, False), (10.1, True)])
def test_a_jump_is_so_many_times_the_usual_loss(loss: float, bad: bool) -> None:
    assert watched(5.0, 2.0).is_bad(loss) == bad


def test_small_losses_may_jump() -> None:
    assert not watched(5.0, 0.01).is_bad(0.9)
    assert watched(5.0, 0.01).is_bad(1.1)


def test_a_step_of_hard_rows_among_easy_ones_is_no_jump() -> None:
    """Prose among computed answers of a few tokens: losses of 1.5 to 2 beside a median of 0.3."""
    watch = watched(5.0, 0.3)
    assert not watch.is_bad(1.25)
    assert not watch.is_bad(1.8)
    assert watch.is_bad(2.8)


def test_what_the_untrained_model_had_on_one_kind_of_rows_is_no_jump() -> None:
    """Seed tasks among a hundred times as many computed ones: none among 50 steps of 0.3, then one of 2.75."""
    untrained = {"step": 0, "eval_loss": 2.2, "eval_loss/knowledge": 3.3, "eval_accuracy": 9.0}
    for watch in (LossWatch(5.0), LossWatch(5.0, [untrained, {"eval_loss": 99.0}])):
        watch.measured(untrained)
        assert not any(watch.is_bad(0.3) for _ in range(50))
        assert not watch.is_bad(2.75)
        watch.measured({"eval_loss": 9.9})
        assert watch.is_bad(5.0)


def test_nothing_is_a_jump_before_there_is_a_usual_loss_or_without_a_limit() -> None:
    assert not watched(5.0, 1.0, steps=3).is_bad(100.0)
    assert not watched(None, 1.0).is_bad(100.0)


def test_a_bad_loss_does_not_become_usual() -> None:
    watch = watched(5.0, 1.0)
    assert all(watch.is_bad(100.0) for _ in range(60))


@pytest.mark.parametrize(("losses", "since"), [([], 0), ([3.0], 0), ([3.0, 2.0], 0), ([2.0, 3.0], 1), ([2.0, 2.0], 1)])
def test_measurements_since_the_best(losses: list[float], since: int) -> None:
    assert evaluations_since_best(losses) == since


@pytest.mark.parametrize(
    ("held_out", "training", "found"),
    [
        ([2.0, 2.1, 2.2], [1.0, 0.9], True),
        ([2.0, 2.1, 2.2], [1.0, 1.1], False),
        ([2.0, 2.001, 2.002], [1.0, 0.9], False),
        ([2.0, 2.2, 2.1], [1.0, 0.9], False),
        ([2.0, 2.1], [1.0], False),
    ],
)
def test_overfitting_is_a_held_out_loss_that_rises_while_the_training_loss_falls(
    held_out: list[float], training: list[float], found: bool
) -> None:
    assert is_overfitting(held_out, training) == found
