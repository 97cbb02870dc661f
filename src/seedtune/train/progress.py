"""Follow the trainer: metrics.jsonl, the progress bar, when to measure, what to keep, and when to stop."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from seedtune.console import Advance
from seedtune.records import cut_torn_end, json_line, read_json_lines, write_records
from seedtune.train.watch import evaluations_since_best, is_overfitting

logger = logging.getLogger(__name__)

_KEPT = (
    "loss",
    "grad_norm",
    "learning_rate",
    "eval_loss",
    "mean_token_accuracy",
    "eval_mean_token_accuracy",
    "num_tokens",
    "tokens_per_second",
    "peak_gpu_gib",
)
BEST = "best"
"""The folder of the best weights so far; ``best.json`` in it says of which step and with which held-out loss."""


def metrics_until(path: Path, step: int) -> list[dict[str, Any]]:
    """The lines of a metrics file up to a step; a torn last line, left by a killed process, is taken off."""
    if not path.is_file():
        return []
    cut_torn_end(path)
    return [line for _, line in read_json_lines(path) if line["step"] <= step]


class Recorder(TrainerCallback):
    """Writes each log of the trainer as a line with its step.

    A resumed run repeats the steps since its checkpoint: their lines are taken out first, so each step stands once.

    Args:
        path: The metrics file.
        advance: The progress bar.
        resumed: Go on with the file; a fresh run starts an empty one.
        per_epoch: Steps of an epoch.
    """

    def __init__(self, path: Path, advance: Advance, resumed: bool, per_epoch: int) -> None:
        self._path = path
        self._advance = advance
        self._resumed = resumed
        self._per_epoch = per_epoch
        self._loss = self._note = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Keep the lines up to the checkpoint; a fresh run starts an empty file."""
        write_records(self._path, metrics_until(self._path, state.global_step) if self._resumed else [])
        self._advance(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """One line a log."""
        numbers = {k: v for k, v in (logs or {}).items() if k in _KEPT or k.startswith("eval_loss/")}
        if not numbers:
            return
        epoch = round(state.global_step / self._per_epoch, 4)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json_line({"step": state.global_step, "epoch": epoch, **numbers}))
        if "loss" in numbers:
            self._loss = self._note = f"loss {numbers['loss']:.3f}"
        if "eval_loss" in numbers:
            self._note = f"{self._loss}, held-out {numbers['eval_loss']:.3f}".removeprefix(", ")
        self._advance(state.global_step, self._note)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Advance."""
        self._advance(state.global_step, self._note)


class Schedule(TrainerCallback):
    """Asks for the held-out loss evenly over the run and at its end, and for a stop when the user wants one.

    Args:
        every: Steps between two measurements; 0: none.
        interrupted: Whether the user asked for a stop; several processes stop at one step, when the first one says so.
    """

    def __init__(self, every: int, interrupted: Callable[[], bool]) -> None:
        self._every = every
        self._interrupted = interrupted
        self._group: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Make a way for the processes to agree that does not wait for a GPU."""
        if args.world_size > 1:
            from torch import distributed

            self._group = distributed.new_group(backend="gloo")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Measure; or log, save and stop when asked to."""
        last = state.global_step >= state.max_steps
        if self._every and (last or state.global_step % self._every == 0):
            control.should_evaluate = True
        if self._asked():
            # A line of its own: the steps since the last one would be missing in the next session's.
            control.should_log = control.should_save = control.should_training_stop = True
            control.should_evaluate = False

    def _asked(self) -> bool:
        asked = self._interrupted()
        if self._group is None:
            return asked
        import torch
        from torch import distributed

        flag = torch.tensor(int(asked))
        distributed.all_reduce(flag, distributed.ReduceOp.MAX, group=self._group)
        return bool(flag)


class Keeper(TrainerCallback):
    """Keeps the weights of the lowest held-out loss, warns of overfitting, and stops when nothing gets better.

    Args:
        folder: Where :data:`BEST` is written.
        keep: Write it; off in all processes but one.
        patience: Stop after so many measurements without a lower loss; None never does.
        history: The metrics of the sessions before, up to the checkpoint.
    """

    def __init__(self, folder: Path, keep: bool, patience: int | None, history: Sequence[dict[str, Any]]) -> None:
        self._folder = folder
        self._keep = keep
        self._patience = patience
        self._held_out: list[tuple[int, float]] = []
        self._training: list[float] = []
        self._since: list[float] = []
        self._warned = False
        for line in history:
            self._take(line["step"], line)

    def _take(self, step: int, numbers: dict[str, Any]) -> None:
        if "loss" in numbers:
            self._since.append(numbers["loss"])
        if "eval_loss" in numbers:
            if self._since:
                self._training.append(sum(self._since) / len(self._since))
                self._since = []
            self._held_out.append((step, numbers["eval_loss"]))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """Remember."""
        self._take(state.global_step, logs or {})

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the weights if they are the best so far; stop if those of long ago still are."""
        # The untrained model is no result.
        losses = [loss for step, loss in self._held_out if step > 0]
        if not losses:
            return
        since = evaluations_since_best(losses)
        if since == 0 and self._keep:
            _write_best(self._folder, kwargs["model"], state.global_step, losses[-1])
        if self._patience is not None and since >= self._patience:
            logger.info("train: no lower held-out loss for %d measurements: stopped (train.patience)", since)
            control.should_training_stop = True
        if not self._warned and is_overfitting([loss for _, loss in self._held_out], self._training):
            self._warned = True
            logger.warning(
                "the held-out loss rises (%.3f, %.3f, %.3f) while the training loss falls: the model learns its rows "
                "by heart. Fewer epochs, a lower learning rate or more data help; train.keep=best ends with the best",
                *(loss for _, loss in self._held_out[-3:]),
            )


def _write_best(folder: Path, model: Any, step: int, loss: float) -> None:
    """The weights as they are now; whole or not at all."""
    temporary, final = folder / f".{BEST}", folder / BEST
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    (temporary / "best.json").write_text(json.dumps({"step": step, "held_out_loss": loss}) + "\n", encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)


def read_best(folder: Path) -> dict[str, Any] | None:
    """Step and held-out loss of the best weights; None where none were kept."""
    path = folder / BEST / "best.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
