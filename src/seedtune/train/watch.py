"""Tell a run that goes wrong from one that goes well, by its losses alone."""

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

_REMEMBERED = 50
_ENOUGH = 10
"""Steps to be seen before a jump can be told."""
_BEYOND = 1.5


class LossWatch:
    """Looks at the loss of each training step.

    Data of several kinds makes steps of hard rows among many of easy ones: one seed task in prose among computed
    answers of a few tokens decides the mean over all. So a jump has to be one beside all that was sound so far.

    Args:
        jump: A loss is bad that is above this many times the median of the last 50, at least 1 above it, half as high
            again as the highest of them, and above what the untrained model had on any family of held-out rows; None:
            only one that is no number. The second condition keeps small losses, which jump easily, from stopping a run.
        history: Metrics of earlier sessions, in order.
    """

    def __init__(self, jump: float | None, history: Sequence[Mapping[str, Any]] = ()) -> None:
        self._jump = jump
        self._last: deque[float] = deque(maxlen=_REMEMBERED)
        self._untrained: float | None = None
        for numbers in history:
            self.measured(numbers)

    def measured(self, numbers: Mapping[str, Any]) -> None:
        """Take the first held-out losses, of all rows and of each family, for those of the untrained model."""
        losses = [value for name, value in numbers.items() if name.split("/")[0] == "eval_loss"]
        if self._untrained is None and losses:
            self._untrained = max(losses)

    def is_bad(self, loss: float) -> bool:
        """Whether the run must not go on; a good one is remembered."""
        if not math.isfinite(loss):
            return True
        if self._jump is not None and len(self._last) >= _ENOUGH:
            usual = statistics.median(self._last)
            if loss > max(self._jump * usual, usual + 1, _BEYOND * max(self._last), self._untrained or 0.0):
                return True
        self._last.append(loss)
        return False


def evaluations_since_best(losses: Sequence[float]) -> int:
    """How many held-out losses stand behind the lowest; 0 for none."""
    return len(losses) - 1 - min(range(len(losses)), key=lambda i: losses[i]) if losses else 0


def is_overfitting(held_out: Sequence[float], training: Sequence[float]) -> bool:
    """Whether the held-out loss rose twice in a row, by 1% or more in all, while the training loss fell.

    Args:
        held_out: Measured so far, in order.
        training: Mean training losses between the measurements: one less than those.
    """
    if len(held_out) < 3 or len(training) < 2:
        return False
    rises = held_out[-3] < held_out[-2] < held_out[-1] and held_out[-1] >= 1.01 * held_out[-3]
    return rises and training[-1] < training[-2]
