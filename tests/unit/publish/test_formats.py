"""Exports are read back by the library that most tools read them with."""

import builtins
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import write_jsonl
from run_on_disk import ROWS, generated, row
from seedtune.domains import load_domain
from seedtune.errors import DataError
from seedtune.publish.formats import FILES, Format, export
from seedtune.runs import Run

QUESTION = "Write a filter that drops bogons.\n\n64.0.0.0/8\n10.0.0.0/8"


def written(run: Run, to: Format, **options: Any) -> Path:
    return export(run, load_domain(run.config.domain), to, **options)


def loaded(path: Path, kind: str) -> list[dict[str, Any]]:
    from datasets import load_dataset

    return list(load_dataset(kind, data_files=str(path), split="train", cache_dir=str(path.parent / "cache")))


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    made = make_run()
    generated(made, ROWS)
    return made


def with_system_prompt(run: Run) -> None:
    path = Path(run.config.domain) / "domain.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "system_prompt": "You bake."}))


def test_messages_are_chats(run: Run) -> None:
    rows = loaded(written(run, "messages"), "json")
    assert [row["messages"][0] for row in rows][1] == {"role": "user", "content": QUESTION}
    assert [row["messages"][-1]["content"] for row in rows] == [row["output"] for row in ROWS]


def test_sharegpt_is_conversations(run: Run) -> None:
    rows = loaded(written(run, "sharegpt"), "json")
    assert [turn["from"] for turn in rows[1]["conversations"]] == ["human", "gpt"]
    assert rows[1]["conversations"][0]["value"] == QUESTION


def test_alpaca_is_one_list(run: Run) -> None:
    path = written(run, "alpaca")
    expected = [{key: row[key] for key in ("instruction", "input", "output")} for row in ROWS]
    assert loaded(path, "json") == expected == json.loads(path.read_text(encoding="utf-8"))


def test_parquet_is_a_table(run: Run) -> None:
    rows = loaded(written(run, "parquet"), "parquet")
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert rows[0]["origin"] == "generated"


@pytest.mark.parametrize(
    ("to", "key", "who"), [("messages", "role", "messages"), ("sharegpt", "from", "conversations")]
)
def test_the_domains_system_prompt_comes_first(run: Run, to: Format, key: str, who: str) -> None:
    with_system_prompt(run)
    first = loaded(written(run, to), "json")[0][who][0]
    assert first[key] == "system"
    assert "You bake." in first.values()


@pytest.mark.parametrize("to", FILES)
def test_seeds_come_first_where_asked_for(run: Run, to: Format) -> None:
    seeds = [task for pack in load_domain(run.config.domain).packs.values() for task in pack.seeds]
    path = written(run, to, with_seeds=True)
    rows = loaded(path, "parquet" if to == "parquet" else "json")
    assert len(rows) == len(seeds) + len(ROWS)
    assert seeds[0].instruction in str(rows[0])
    assert "hold timer" in str(rows[len(seeds)])


@pytest.mark.parametrize("to", FILES)
def test_what_people_rejected_or_changed_is_exported_so(run: Run, to: Format) -> None:
    better = {"instruction": "Explain the hold timer.", "output": "Better."}
    words = [
        {"id": ROWS[0]["id"], "decision": "accept", "edited": better},
        {"id": ROWS[1]["id"], "decision": "reject"},
    ]
    write_jsonl(run.path / "generate" / "review.jsonl", words)
    rows = str(loaded(written(run, to), "parquet" if to == "parquet" else "json"))
    assert "Better." in rows
    assert "route reflector" in rows
    assert "bogons" not in rows


@pytest.mark.parametrize("to", ["messages", "sharegpt", "alpaca"])
def test_an_export_holds_a_row_at_a_time(run: Run, to: Format) -> None:
    rows = [row(f"Explain {n}.", output="x" * 2000) for n in range(3_000)]
    write_jsonl(run.path / "generate" / "instructions.jsonl", rows)
    written(run, to)
    tracemalloc.start()
    try:
        written(run, to)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("to", FILES)
def test_a_broken_line_leaves_the_old_file_and_nothing_beside_it(run: Run, to: Format, tmp_path: Path) -> None:
    out = tmp_path / "out" / "data"
    out.parent.mkdir()
    out.write_text("old")
    with (run.path / "generate" / "instructions.jsonl").open("a") as file:
        file.write('{"instruction": "no more"}\n')
    with pytest.raises(DataError, match=r"instructions.jsonl:4: is no task"):
        written(run, to, out=out)
    assert out.read_text() == "old"
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("to", FILES)
def test_an_empty_dataset_is_an_empty_file(make_run: Callable[..., Run], to: Format) -> None:
    run = make_run()
    generated(run, [])
    path = written(run, to)
    if to == "alpaca":
        assert json.loads(path.read_text()) == []
    elif to != "parquet":
        assert path.read_text() == ""


def test_without_pyarrow_the_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **more: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DataError, match=r"seedtune\[train\]"):
        written(run, "parquet")


def test_a_folder_is_no_file_and_nothing_generated_is_said(
    run: Run, make_run: Callable[..., Run], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"is a folder"):
        written(run, "alpaca", out=tmp_path)
    with pytest.raises(DataError, match="seedtune generate"):
        written(make_run(name="two"), "alpaca")
