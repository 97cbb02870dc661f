"""Follow the trainer: metrics.jsonl, the progress bar, and a stop when the user asks for one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from seedtune.console import Advance
from seedtune.records import cut_torn_end, json_line, read_json_lines, write_records

_KEPT = (
    "loss",
    "grad_norm",
    "learning_rate",
    "eval_loss",
    "mean_token_accuracy",
    "eval_mean_token_accuracy",
    "num_tokens",
)


class Recorder(TrainerCallback):
    """Writes each log of the trainer as a line with its step.

    A resumed run repeats the steps since its checkpoint: their lines are taken out first, so each step stands once.
    """

    def __init__(self, path: Path, advance: Advance, interrupted: Callable[[], bool], resumed: bool) -> None:
        self._path = path
        self._advance = advance
        self._interrupted = interrupted
        self._resumed = resumed
        self._loss = self._note = ""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Keep the lines up to the checkpoint; a fresh run starts an empty file."""
        lines: list[dict[str, Any]] = []
        if self._resumed and self._path.is_file():
            cut_torn_end(self._path)
            lines = [line for _, line in read_json_lines(self._path)]
        write_records(self._path, [line for line in lines if line["step"] <= state.global_step])
        self._advance(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """One line a log; the held-out loss measured again on resuming is no new one."""
        numbers = {key: value for key, value in (logs or {}).items() if key in _KEPT}
        repeated = self._resumed and "eval_loss" in numbers and self._has_eval(state.global_step)
        if not numbers or repeated:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json_line({"step": state.global_step, "epoch": round(state.epoch or 0.0, 4), **numbers}))
        if "loss" in numbers:
            self._loss = self._note = f"loss {numbers['loss']:.3f}"
        if "eval_loss" in numbers:
            self._note = f"{self._loss}, held-out {numbers['eval_loss']:.3f}".removeprefix(", ")
        self._advance(state.global_step, self._note)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Advance; stop and save when asked to."""
        self._advance(state.global_step, self._note)
        if self._interrupted():
            control.should_save = True
            control.should_training_stop = True

    def _has_eval(self, step: int) -> bool:
        return any(line["step"] == step and "eval_loss" in line for _, line in read_json_lines(self._path))
