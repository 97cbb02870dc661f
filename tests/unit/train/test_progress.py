"""metrics.jsonl under resumes and kills, and the stop that a user asks for."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import TrainerControl, TrainerState, TrainingArguments

from seedtune.records import read_json_lines
from seedtune.train.progress import Keeper, Recorder, Schedule, read_best


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
        self.recorder = Recorder(path, self.bar, resumed=start > 0, per_epoch=10)
        self.schedule = Schedule(2, lambda: stop)
        self.arguments = arguments(path.parent)
        self.state = TrainerState(global_step=start, epoch=start / 10)
        self.recorder.on_train_begin(self.arguments, self.state, self.control)

    def log(self, step: int, **logs: Any) -> None:
        self.state.global_step, self.state.epoch = step, step / 10
        self.recorder.on_log(self.arguments, self.state, self.control, logs=logs)

    def end_step(self, step: int) -> None:
        self.state.global_step = step
        self.recorder.on_step_end(self.arguments, self.state, self.control)
        self.schedule.on_step_end(self.arguments, self.state, self.control)

    def run(self, start: int, end: int) -> None:
        """The held-out loss before the first and every second step, the loss at every step."""
        if start == 0:
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
    assert kinds(metrics) == Counter([(5, "loss"), (6, "loss"), (6, "eval_loss")])


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


@pytest.mark.parametrize(("step", "measured"), [(1, False), (2, True), (4, True), (5, True)])
def test_the_held_out_loss_is_measured_evenly_and_at_the_end(metrics: Path, step: int, measured: bool) -> None:
    session = Session(metrics)
    session.state.max_steps = 5
    session.end_step(step)
    assert session.control.should_evaluate == measured


class Weights:
    """A model that is one number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(self.number))


class Measured:
    """A training told to a keeper: a loss, then a held-out loss, at each step."""

    def __init__(self, folder: Path, patience: int | None = None, history: list[dict[str, Any]] | None = None) -> None:
        self.folder = folder
        self.keeper = Keeper(folder, True, patience, history or [])
        self.state, self.control = TrainerState(global_step=0), TrainerControl()

    def take(self, step: int, held_out: float, training: float = 1.0) -> bool:
        """Whether it asks for a stop."""
        self.state.global_step = step
        where = (arguments(self.folder), self.state, self.control)
        if step > 0:
            self.keeper.on_log(*where, logs={"loss": training})
        self.keeper.on_log(*where, logs={"eval_loss": held_out})
        self.keeper.on_evaluate(*where, model=Weights(step))
        return self.control.should_training_stop


def test_the_weights_of_the_lowest_held_out_loss_are_kept_and_the_untrained_ones_never(tmp_path: Path) -> None:
    run = Measured(tmp_path)
    run.take(0, 0.5)
    assert read_best(tmp_path) is None
    for step, loss in [(1, 3.0), (2, 2.0), (3, 2.5), (4, 2.0)]:
        run.take(step, loss)
    assert read_best(tmp_path) == {"step": 2, "held_out_loss": 2.0}
    assert (tmp_path / "best" / "weights").read_text() == "2"


def test_patience_counts_over_sessions_and_none_never_stops(tmp_path: Path) -> None:
    losses = [3.0, 2.0, 2.1, 2.2, 2.3]
    assert [Measured(tmp_path).take(step, loss) for step, loss in enumerate(losses, 1)] == [False] * 5
    run = Measured(tmp_path, patience=2)
    assert [run.take(step, loss) for step, loss in enumerate(losses[:4], 1)] == [False, False, False, True]
    history = [{"step": step, "eval_loss": loss} for step, loss in enumerate(losses[:3], 1)]
    assert Measured(tmp_path, 2, history).take(4, 2.2)


def test_a_rising_held_out_loss_under_a_falling_training_loss_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Measured(tmp_path)
    for step in range(6):
        run.take(step, 2.0 + 0.1 * step, training=1.0 - 0.1 * step)
    assert caplog.text.count("by heart") == 1


def test_a_held_out_loss_that_rises_with_the_training_loss_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Measured(tmp_path)
    for step in range(6):
        run.take(step, 2.0 + 0.1 * step, training=1.0 + 0.1 * step)
    assert "by heart" not in caplog.text
