"""Looks at the test items are counted over all runs that asked the same, whatever becomes of the files."""

import json
import multiprocessing
from pathlib import Path

import pytest

from conftest import write_jsonl
from seedtune.evaluate.looks import LOOKS, Looks, look

ITEMS = {"suite": "items"}


def looked(
    folder: Path, evaluation: str = "evaluation", model: str = "model", items: dict[str, str] | None = None
) -> Looks:
    """A look by the run in this folder."""
    stage = folder / "evaluate"
    stage.mkdir(parents=True, exist_ok=True)
    return look(stage, evaluation, model, ["suite/generate"], ITEMS if items is None else items)


def test_one_model_under_two_names_was_looked_at_twice(tmp_path: Path) -> None:
    assert looked(tmp_path / "one") == Looks(1, 1, 1, 1)
    assert looked(tmp_path / "two") == Looks(at_this_model=2, models=1, runs=2, total=2)


def test_the_same_evaluation_of_a_run_once_more_is_no_look(tmp_path: Path) -> None:
    looked(tmp_path / "one")
    assert looked(tmp_path / "one").total == 1
    assert len((tmp_path / LOOKS).read_text().splitlines()) == 1


def test_runs_that_asked_other_items_do_not_count(tmp_path: Path) -> None:
    looked(tmp_path / "one", items={"suite": "others"})
    looked(tmp_path / "two", items={"suite": "others", "more": "items"})
    assert looked(tmp_path / "three").total == 2


def test_the_combinations_of_a_sweep_count_with_the_run_and_with_each_other(tmp_path: Path) -> None:
    looked(tmp_path / "base", model="chosen")
    (tmp_path / "base" / "sweep").mkdir()
    (tmp_path / "base" / "sweep" / "sweep.json").write_text("{}")
    looked(tmp_path / "base" / "sweep" / "a", model="a")
    assert looked(tmp_path / "base" / "sweep" / "b", model="b") == Looks(1, 3, 3, 3)
    assert [path.parent for path in tmp_path.rglob(LOOKS) if path.parent.name != "evaluate"] == [tmp_path]


def test_a_lost_ledger_leaves_the_runs_own_looks(tmp_path: Path) -> None:
    looked(tmp_path / "one", "first")
    (tmp_path / LOOKS).unlink()
    assert looked(tmp_path / "one", "second").total == 2


@pytest.mark.parametrize("torn", ['{"time": "2026', "[1]", "\xff\x00", "[" * 100_000])
def test_a_torn_line_is_passed_over_and_spoils_no_other(
    tmp_path: Path, torn: str, caplog: pytest.LogCaptureFixture
) -> None:
    looked(tmp_path / "one")
    with (tmp_path / LOOKS).open("a", encoding="latin-1") as file:
        file.write(torn)
    assert looked(tmp_path / "two").total == 2
    assert looked(tmp_path / "three").total == 3
    assert f"{LOOKS}:2: is no look" in caplog.text


def test_a_ledger_that_cannot_be_written_is_warned_of_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LOOKS).mkdir()
    assert looked(tmp_path / "one") == Looks(1, 1, 1, 1)
    assert "cannot be written (Is a directory): other runs will not count this look" in caplog.text


def test_looks_that_an_earlier_version_noted_count_for_their_run(tmp_path: Path) -> None:
    line = {"time": "2026-11-01T00:00:00+00:00", "evaluation": "old", "model": "model", "jobs": ["suite/generate"]}
    for folder in ("evaluate", "evaluate.1"):
        write_jsonl(tmp_path / "one" / folder / LOOKS, [line | {"evaluation": folder}])
    assert looked(tmp_path / "one") == Looks(3, 1, 1, 3)


def test_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(looked, [tmp_path / str(number) for number in range(40)])
    runs = [json.loads(line)["run"] for line in (tmp_path / LOOKS).read_text().splitlines() if line]
    assert sorted(runs, key=int) == [str(number) for number in range(40)]
