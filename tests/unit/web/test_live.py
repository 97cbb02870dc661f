"""A run's numbers while it works: nothing is missed, nothing is told twice, nothing is read twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from seedtune.web import live
from seedtune.web.live import read_tail
from studio_page import Page
from studio_run import verdicts, write_run


def line(step: int, **numbers: Any) -> str:
    return json.dumps({"step": step, "epoch": step / 10, **numbers}) + "\n"


class Reader:
    """Follows a file as the page does."""

    def __init__(self, path: Path) -> None:
        self.path, self.at, self.mark = path, 0, ""
        self.steps: list[int] = []
        self.broken = 0

    def look(self) -> "Reader":
        while True:
            tail = read_tail(self.path, self.at, self.mark)
            if tail.fresh:
                self.steps, self.broken = [], 0
            self.steps += [one["step"] for one in tail.lines]
            self.broken += tail.broken
            self.at, self.mark = tail.at, tail.mark
            if not tail.more:
                return self


@pytest.fixture
def metrics(runs_dir: Path) -> Path:
    path = runs_dir / "one" / "train" / "metrics.jsonl"
    path.parent.mkdir()
    return path


def test_each_line_is_told_once(metrics: Path) -> None:
    reader = Reader(metrics)
    assert reader.look().steps == []
    metrics.write_text(line(1) + line(2))
    assert reader.look().steps == [1, 2]
    with metrics.open("a") as file:
        file.write(line(3))
    assert reader.look().steps == [1, 2, 3]
    assert read_tail(metrics, reader.at, reader.mark).lines == []


def test_a_line_that_is_being_written_waits(metrics: Path) -> None:
    reader = Reader(metrics)
    metrics.write_text(line(1) + line(2)[:9])
    assert reader.look().steps == [1]
    with metrics.open("a") as file:
        file.write(line(2)[9:])
    assert reader.look().steps == [1, 2]


@pytest.mark.parametrize("kept", [[1, 2], [1, 2, 3, 4, 5], []])
def test_a_run_that_goes_on_from_a_checkpoint_is_read_anew(metrics: Path, kept: list[int]) -> None:
    """It cuts its lines and goes on, also where the file is longer than before when the page looks again."""
    metrics.write_text("".join(line(step, loss=1.0) for step in range(1, 5)))
    reader = Reader(metrics).look()
    replacement = metrics.with_suffix(".new")
    replacement.write_text("".join(line(step, loss=2.0) for step in kept))
    replacement.replace(metrics)
    assert reader.look().steps == kept


def test_a_long_file_is_read_in_pieces(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_READ_BYTES", 100)
    metrics.write_text("".join(line(step) for step in range(50)))
    assert Reader(metrics).look().steps == list(range(50))


def test_what_is_known_is_not_read_again(metrics: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cost of a look at a run of a week is that of what is new."""
    metrics.write_text("".join(line(step) for step in range(10_000)))
    reader = Reader(metrics).look()
    with metrics.open("a") as file:
        file.write(line(10_000))
    monkeypatch.setattr(live, "_READ_BYTES", 200)
    tail = read_tail(metrics, reader.at, reader.mark)
    assert [one["step"] for one in tail.lines] == [10_000]
    assert not tail.more


def test_a_broken_line_is_counted_and_the_others_are_read(metrics: Path) -> None:
    metrics.write_text(line(1) + "{oops\n" + "[1]\n" + line(2))
    reader = Reader(metrics).look()
    assert reader.steps == [1, 2]
    assert reader.broken == 2


def test_a_loss_that_is_no_number_is_told_as_none(page: Page, metrics: Path) -> None:
    """NaN is no JSON: a browser could not read the rest either."""
    metrics.write_text('{"step": 1, "epoch": 0.1, "loss": NaN, "learning_rate": Infinity}\n')
    [told] = page.get("/live")["metrics"]["lines"]
    assert told == {"step": 1, "epoch": 0.1, "loss": None, "learning_rate": None}


def test_nothing_but_the_stamp_is_sent_while_nothing_changes(page: Page, runs_dir: Path) -> None:
    first = page.get("/live")
    assert first["now"]["funnel"] == {}
    again = page.get("/live", seen=first["seen"])
    assert again["now"] is None
    progress = {"working": True, "accepted": 3, "goal": 9, "funnel": {"candidates": 5, "accepted": 3}, "in_flight": 4}
    (runs_dir / "one" / "generate" / "progress.json").write_text(json.dumps(progress))
    changed = page.get("/live", seen=first["seen"])["now"]
    assert changed["funnel"] == {"candidates": 5, "accepted": 3}
    assert changed["progress"]["in_flight"] == 4


@pytest.mark.parametrize(("count", "parts"), [(7, 1), (120, 4), (3000, 60)])
def test_the_accept_rate_is_counted_in_equal_parts(tmp_path: Path, count: int, parts: int) -> None:
    """Every fifth candidate is rejected; a part is never so small that its rate says nothing."""
    folder = write_run(tmp_path / "runs", "one", verdicts(count))
    (folder / "generate" / "funnel.json").write_text(json.dumps({"candidates": count, "accepted": 1}))
    page = Page(tmp_path / "runs")
    page.rows()  # the index is made
    told = page.get("/live")["now"]["acceptance"]
    assert len(told) == parts
    assert told[-1][0] == count
    assert all(share == pytest.approx(0.8, abs=0.06) for _, share in told)


def test_a_link_out_of_the_run_is_not_followed(page: Page, metrics: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text('{"step": 1, "loss": 42}\n')
    metrics.symlink_to(tmp_path / "secret.jsonl")
    assert page.client.get("/api/runs/one/live").status_code == 404
