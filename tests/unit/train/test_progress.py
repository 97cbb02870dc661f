"""metrics.jsonl under resumes and kills, and the stop that a user asks for."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from seedtune.records import read_json_lines
from seedtune.train.checkpoints import last_checkpoint
from seedtune.train.progress import Recorder


class Bar:
    """Takes what a progress bar would be told."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []

    def __call__(self, done: float, note: str = "") -> None:
        self.calls.append((done, note))


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    return TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **settings)


class Session:
    """One session of a training, told to a recorder as the trainer tells it."""

    def __init__(self, path: Path, start: int = 0, stop: bool = False) -> None:
        self.bar = Bar()
        self.control = TrainerControl()
        self.recorder = Recorder(path, self.bar, lambda: stop, resumed=start > 0)
        self.arguments = arguments(path.parent)
        self.state = TrainerState(global_step=start, epoch=start / 10)
        self.recorder.on_train_begin(self.arguments, self.state, self.control)

    def log(self, step: int, **logs: Any) -> None:
        self.state.global_step, self.state.epoch = step, step / 10
        self.recorder.on_log(self.arguments, self.state, self.control, logs=logs)

    def end_step(self, step: int) -> None:
        self.state.global_step = step
        self.recorder.on_step_end(self.arguments, self.state, self.control)

    def run(self, start: int, end: int) -> None:
        """The held-out loss at the start (as eval_on_start) and every second step, the loss at every step."""
        self.log(start, eval_loss=9.0)
        for step in range(start + 1, end + 1):
            self.log(step, loss=10.0 - step / 10, learning_rate=1e-4)
            if step % 2 == 0:
                self.log(step, eval_loss=9.0)


@pytest.fixture
def metrics(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [line for _, line in read_json_lines(path)]


def kinds(path: Path) -> Counter[tuple[int, str]]:
    """How often each step has a loss and a held-out loss."""
    return Counter((line["step"], "eval_loss" if "eval_loss" in line else "loss") for line in read(path))


def whole_run(steps: int) -> Counter[tuple[int, str]]:
    return Counter(
        [(0, "eval_loss")]
        + [(step, "loss") for step in range(1, steps + 1)]
        + [(step, "eval_loss") for step in range(2, steps + 1, 2)]
    )


def test_a_line_has_step_epoch_and_numbers(metrics: Path) -> None:
    Session(metrics).log(3, loss=1.5, grad_norm=0.25, learning_rate=1e-4)
    assert read(metrics) == [{"step": 3, "epoch": 0.3, "loss": 1.5, "grad_norm": 0.25, "learning_rate": 1e-4}]


def test_a_log_without_a_known_number_writes_no_line(metrics: Path) -> None:
    Session(metrics).log(10, train_runtime=12.0, train_samples_per_second=3.0)
    assert read(metrics) == []


def test_a_fresh_run_starts_an_empty_file(metrics: Path) -> None:
    metrics.write_text('{"step": 1, "loss": 1.0}\n')
    Session(metrics)
    assert read(metrics) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_each_step_stands_once_however_often_the_run_resumes(
    tmp_path_factory: pytest.TempPathFactory, breaks: list[tuple[int, int]]
) -> None:
    path = tmp_path_factory.mktemp("resumed") / "metrics.jsonl"
    checkpoint = 0
    for steps_saved, steps_lost in breaks:
        Session(path, checkpoint).run(checkpoint, checkpoint + 2 * steps_saved + steps_lost)
        checkpoint += 2 * steps_saved
    Session(path, checkpoint).run(checkpoint, checkpoint + 4)
    assert kinds(path) == whole_run(checkpoint + 4)


def test_steps_stand_in_order_after_a_resume(metrics: Path) -> None:
    Session(metrics).run(0, 7)
    Session(metrics, start=4).run(4, 8)
    steps = [line["step"] for line in read(metrics)]
    assert steps == sorted(steps)


@pytest.mark.parametrize("keep", [1, 10, 30])
def test_a_torn_last_line_is_cut_and_the_step_written_anew(metrics: Path, keep: int) -> None:
    Session(metrics).run(0, 3)
    whole, last = metrics.read_bytes().rstrip(b"\n").rsplit(b"\n", 1)
    metrics.write_bytes(whole + b"\n" + last[:keep])
    Session(metrics, start=2).run(2, 4)
    assert kinds(metrics) == whole_run(4)


def test_a_resume_without_metrics_starts_them(metrics: Path) -> None:
    Session(metrics, start=4).run(4, 6)
    assert kinds(metrics) == Counter([(4, "eval_loss"), (5, "loss"), (6, "loss"), (6, "eval_loss")])


def test_numbers_are_written_as_they_are(metrics: Path) -> None:
    Session(metrics).log(1, loss=0.1 + 0.2)
    assert json.loads(metrics.read_text())["loss"] == 0.1 + 0.2


def test_the_bar_begins_at_the_checkpoint(metrics: Path) -> None:
    assert Session(metrics, start=6).bar.calls[0][0] == 6


def test_the_bar_shows_loss_and_held_out_loss(metrics: Path) -> None:
    session = Session(metrics)
    session.log(1, eval_loss=2.0)
    session.log(1, loss=1.23456)
    session.log(2, eval_loss=1.9)
    assert [note for _, note in session.bar.calls[1:]] == [
        "held-out 2.000",
        "loss 1.235",
        "loss 1.235, held-out 1.900",
    ]


def test_a_second_held_out_loss_replaces_the_first_in_the_bar(metrics: Path) -> None:
    session = Session(metrics)
    session.log(0, eval_loss=2.0)
    session.log(2, eval_loss=1.9)
    assert session.bar.calls[-1] == (2, "held-out 1.900")


@pytest.mark.parametrize("asked", [True, False])
def test_a_stop_saves_and_ends_after_the_step_when_asked_for(metrics: Path, asked: bool) -> None:
    session = Session(metrics, stop=asked)
    session.end_step(1)
    assert (session.control.should_save, session.control.should_training_stop) == (asked, asked)


def train(llama: Path, folder: Path, stop_at: int | None = None) -> None:
    """A real training of eight steps on the tiny LLaMA, from its last checkpoint on."""
    rows = [{"input_ids": [5, 6, 7, 8 + n], "labels": [5, 6, 7, 8 + n]} for n in range(8)]
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(llama), LoraConfig(r=2, task_type="CAUSAL_LM"))
    settings = arguments(
        folder,
        max_steps=8,
        per_device_train_batch_size=1,
        logging_steps=1,
        eval_strategy="steps",
        eval_steps=2,
        eval_on_start=True,
        save_steps=4,
    )
    checkpoint, bar = last_checkpoint(folder), Bar()
    recorder = Recorder(
        folder / "metrics.jsonl",
        bar,
        lambda: stop_at is not None and bar.calls[-1][0] >= stop_at,
        resumed=checkpoint is not None,
    )
    trainer = Trainer(model, settings, train_dataset=rows, eval_dataset=rows[:2], callbacks=[recorder])
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def test_a_real_training_stops_when_asked_with_a_checkpoint_of_that_step(tiny_llama: Path, tmp_path: Path) -> None:
    train(tiny_llama, tmp_path, stop_at=3)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-3"


def test_a_real_training_that_was_killed_logs_each_step_once(tiny_llama: Path, tmp_path: Path) -> None:
    train(tiny_llama, tmp_path)
    # As after a kill at step 7: the last checkpoint is that of step 4, the last line is torn.
    shutil.rmtree(tmp_path / "checkpoint-8")
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_bytes(metrics.read_bytes()[:-60])
    train(tiny_llama, tmp_path)
    assert kinds(metrics) == whole_run(8)


def test_a_real_training_that_was_interrupted_logs_each_step_once(tiny_llama: Path, tmp_path: Path) -> None:
    train(tiny_llama, tmp_path, stop_at=4)
    train(tiny_llama, tmp_path)
    assert kinds(tmp_path / "metrics.jsonl") == whole_run(8)
