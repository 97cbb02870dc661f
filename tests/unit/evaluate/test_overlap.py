"""Which items the training rows hold."""

import json
from pathlib import Path
from typing import Any

from conftest import write_jsonl
from seedtune.config import load_config
from seedtune.domains import ItemFile, Suite, load_domain
from seedtune.domains.computed import computed_tasks
from seedtune.evaluate.overlap import find_overlap, training_tasks
from seedtune.records import EvalItem, SeedTask, Task
from seedtune.runs import open_run

GUID = "0f0f0f0f-1111-2222-3333-444444444444"
LONG = "which of the four loaves on the wooden table was baked first in the old stone oven this morning"


def item(question: str) -> EvalItem:
    return EvalItem(question=question, options=("yes", "no"), answer="yes")


def suite(*questions: str, canary: str | None = None) -> Suite:
    file = ItemFile(Path("s.jsonl"), tuple(item(question) for question in questions), canary=canary)
    return Suite("s", "multiple_choice", {"test": file})


def task(instruction: str, output: str = "An answer.") -> Task:
    return Task(instruction=instruction, output=output)


def test_every_item_that_one_row_holds_is_found() -> None:
    first, second = "What makes a crust crisp?", "Why is steam let into the oven?"
    overlap = find_overlap([suite(first, second, "What is rye?")], [task(f"{first}\n{second}")])
    assert overlap.items("s") == {item(first).id, item(second).id}


def test_a_passage_inside_an_answer_is_found_and_named() -> None:
    dirty = task("Tell a story.", f"Someone asked {LONG}.")
    [found] = find_overlap([suite(LONG)], [task("Bake."), dirty]).found
    assert (found.task, found.how) == (dirty.id, "13-gram")
    assert found.detail in LONG


def test_a_canary_is_found_and_is_no_item() -> None:
    overlap = find_overlap([suite("What is rye?", canary=f"canary GUID {GUID}")], [task(f"Explain {GUID}.")] * 2)
    assert [found.item for found in overlap.found] == [""]
    assert overlap.items("s") == frozenset()


def test_eight_words_are_a_warning_only() -> None:
    overlap = find_overlap([suite(LONG)], [task("Say " + " ".join(LONG.split()[:8]))])
    assert overlap.found == ()
    assert [near.how for near in overlap.near] == ["8-gram"]


def test_clean_rows_hold_nothing() -> None:
    overlap = find_overlap([suite(LONG)], [task("Describe the smell of rye.")])
    assert (overlap.rows, overlap.found, overlap.near) == (1, (), ())


def test_the_tasks_are_those_of_the_training_rows_from_seeds_generated_data_and_own_files(
    tmp_path: Path, domain_folder: Path
) -> None:
    domain = load_domain(str(domain_folder))
    seed = next(iter(domain.packs.values())).seeds[0]
    written = [SeedTask(instruction=name, output="o") for name in ("generated", "own", "held out", "not trained on")]
    lines: list[dict[str, Any]] = [json.loads(task.model_dump_json()) for task in written]
    own = write_jsonl(tmp_path / "own.jsonl", lines[1:2])
    config = load_config(None, [f"runs_dir={tmp_path / 'runs'}", f"train.data=[{own}]"])
    with open_run(config) as run:
        write_jsonl(run.path / "generate/instructions.jsonl", [{**lines[n], "pack": "x"} for n in (0, 2, 3)])
        ids = [(key, "train") for key in (seed.id, written[0].id, written[1].id, "gone")] + [
            (written[2].id, "held_out")
        ]
        write_jsonl(run.path / "train/rows.jsonl", [{"id": key, "split": split} for key, split in ids])
        tasks, lost = training_tasks(run, domain)
    assert {task.id for task in tasks} == {seed.id, written[0].id, written[1].id}
    assert lost == 1


def test_computed_rows_are_compared_and_share_nothing_with_the_items_of_their_kind(tmp_path: Path) -> None:
    """Their questions are of the same words; what must not be seen is the material."""
    domain = load_domain("bgp")
    config = load_config(None, [f"runs_dir={tmp_path}", "train.computed_tasks=90"])
    tasks = computed_tasks(config, domain)
    with open_run(config) as run:
        write_jsonl(run.path / "train" / "rows.jsonl", [{"id": task.id, "split": "train"} for task in tasks])
        found, lost = training_tasks(run, domain)
    assert (len(found), lost) == (90, 0)
    overlap = find_overlap([domain.suites["record_reading"].only("test")], found)
    assert (overlap.found, overlap.near) == ((), ())
