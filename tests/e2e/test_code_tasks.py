"""The code tasks of the BGP domain: files are what their sources say, references are right, short cuts are not."""

import gzip
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

import code_answers
import code_answers_in_time
import code_answers_on_paths
import code_mutants
from code_answers import Case, Lines
from code_tasks import DOMAIN, SPLITS, Task, data_files, item_of, read_tasks
from forgeries import forgeries, salted_forgeries
from seedtune.domains import load_domain
from seedtune.evaluate.code_output import compare, read_output
from seedtune.evaluate.programs import CodeRunner, judge_many, reference_lines
from seedtune.records import CodeItem

TASKS = {task.place: task for split in SPLITS for task in read_tasks(split)}
ANSWERS: dict[str, Callable[[Case], Lines]] = (
    code_answers.ANSWERS | code_answers_on_paths.ANSWERS | code_answers_in_time.ANSWERS
)
Entry = TypeVar("Entry")
Result = TypeVar("Result")
UPDATE = bool(os.environ.get("SEEDTUNE_UPDATE_GOLDEN"))


@pytest.fixture(scope="module", autouse=True)
def up_to_date() -> None:
    """With SEEDTUNE_UPDATE_GOLDEN=1 everything is made anew from its sources before it is looked at."""
    if UPDATE:
        for path in _shipped_data().keys() - data_files().keys():
            path.unlink()
        for path, content in data_files().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(content, mtime=0))
        for split in SPLITS:
            _update(split)


def _update(split: str) -> None:
    canary = [line for line in _lines(split) if "canary" in line]
    lines = [*canary, *in_parallel(_item_with_outputs, read_tasks(split))]
    _suite(split).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _item_with_outputs(task: Task) -> dict[str, Any]:
    unanswered = CodeItem.model_validate(item_of(task, [[] for _ in task.cases()]))
    return item_of(task, reference_lines(unanswered, runner()))


@cache
def runner() -> CodeRunner:
    return CodeRunner(load_domain("bgp"))


def in_parallel(function: Callable[[Entry], Result], entries: Iterable[Entry]) -> list[Result]:
    with ThreadPoolExecutor(runner().workers) as pool:
        return list(pool.map(function, entries))


@cache
def items() -> dict[str, CodeItem]:
    """The items as they are shipped, by split and name of the task."""
    found: dict[str, CodeItem] = {}
    for split in SPLITS:
        for task, line in zip(read_tasks(split), _shipped(split), strict=True):
            found[task.place] = CodeItem.model_validate(line)
    return found


def _lines(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _suite(split).read_text().splitlines()]


def _shipped(split: str) -> list[dict[str, Any]]:
    return [line for line in _lines(split) if "canary" not in line]


def _shipped_data() -> dict[Path, bytes]:
    return {path: gzip.decompress(path.read_bytes()) for path in (DOMAIN / "evaluation" / "data").rglob("*.mrt.gz")}


def _suite(split: str) -> Path:
    return DOMAIN / "evaluation" / split / "code.jsonl"


def _canonical(lines: Any, item: CodeItem) -> list[str]:
    texts = [json.dumps(line, sort_keys=True) for line in lines]
    return texts if item.ordered else sorted(texts)


def test_the_data_files_are_what_their_scripts_say() -> None:
    """Rewrite them with SEEDTUNE_UPDATE_GOLDEN=1."""
    assert _shipped_data() == data_files()


@pytest.mark.parametrize("split", SPLITS)
def test_the_suite_is_what_its_tasks_say(split: str) -> None:
    """Rewrite it with SEEDTUNE_UPDATE_GOLDEN=1."""
    shipped = _shipped(split)
    expected = [[case["expected"] for case in line["cases"]] for line in shipped]
    assert shipped == [item_of(task, each) for task, each in zip(read_tasks(split), expected, strict=True)]


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_data_of_its_own(split: str) -> None:
    files = [file for task in read_tasks(split) for case in task.cases() for file in case["files"].values()]
    assert all(
        file.startswith(f"evaluation/data/{split}/") or file.split("/")[2].startswith(f"{split}-") for file in files
    )


@pytest.mark.slow
def test_every_reference_passes_strictly() -> None:
    def fault(entry: tuple[str, int]) -> str:
        place, number = entry
        item = items()[place]
        result = runner().reference(item, number)
        found = compare(read_output(result.stdout), item.cases[number], item)
        return "" if result.ok and not found.why and not found.lapse else f"{place}: {result.summary()}: {found}"

    cases = [(place, number) for place in TASKS for number in range(len(items()[place].cases))]
    assert list(filter(None, in_parallel(fault, cases))) == []


@pytest.mark.slow
def test_a_held_out_case_finds_out_every_short_cut() -> None:
    """By its values: a program that crashed would say nothing about the case."""

    def verdict(entry: tuple[str, str, str]) -> str:
        place, title, program = entry
        item = items()[place]
        for number, case in enumerate(item.cases):
            if case.held_out:
                result = runner().run(program, item, number)
                if not result.ok:
                    return f"{place}: {title}: {result.summary()}"
                if compare(read_output(result.stdout), case, item).why:
                    return ""
        return f"{place}: {title}: passes"

    wrong = [(task.place, title, program) for task in TASKS.values() for title, program in task.wrong.items()]
    assert {place for place, _, _ in wrong} == set(TASKS)
    assert list(filter(None, in_parallel(verdict, wrong))) == []


@pytest.mark.slow
def test_a_held_out_case_finds_out_who_disregards_a_rule() -> None:
    """Or the list of equivalents says why the task has no such rule; it holds no others."""

    def found_out(entry: tuple[str, int]) -> set[tuple[str, str]]:
        place, number = entry
        item = items()[place]
        result = runner().run(code_mutants.all_mutants(item.reference), item, number)
        assert result.ok, f"{place}: {result.summary()}"
        printed = code_mutants.outputs(result.stdout)
        assert list(printed) == list(code_mutants.MUTANTS)
        assert [mutant for mutant, text in printed.items() if text is None] == [], f"fail on {place}"
        return {
            (mutant, place)
            for mutant, text in printed.items()
            if compare(read_output(text or ""), item.cases[number], item).why
        }

    cases = [(place, number) for place in TASKS for number, case in enumerate(items()[place].cases) if case.held_out]
    found = set[tuple[str, str]]().union(*in_parallel(found_out, cases))
    passing = {(mutant, place) for mutant in code_mutants.MUTANTS for place in TASKS} - found
    assert sorted(passing - code_mutants.equivalents()) == []
    assert sorted(code_mutants.equivalents() - passing) == []


@pytest.mark.parametrize("place", ANSWERS)
def test_a_second_implementation_gives_the_same(place: str) -> None:
    task, item = TASKS[place], items()[place]
    for case, shipped in zip(task.cases(), item.cases, strict=True):
        files = {name: DOMAIN / path for name, path in case["files"].items()}
        lines = ANSWERS[place](code_answers.load(files, case.get("arguments", ())))
        assert _canonical(lines, item) == _canonical(shipped.expected, item)


def test_most_tasks_have_a_second_implementation() -> None:
    assert ANSWERS.keys() <= TASKS.keys()
    assert len(ANSWERS) >= 60


@pytest.mark.slow
def test_forged_answers_are_worth_nothing() -> None:
    """Do nothing, swallow all, leave at once, print PASS, print the shown answers, look for them on the disk, ..."""
    answers = [(text, item) for item in list(items().values())[::10] for text in forgeries(item).values()]
    salts = ("adds a field", "adds a line")
    answers += [(salted_forgeries(item)[salt], item) for item in items().values() for salt in salts]
    assert len(answers) > 60
    scores = judge_many(answers, runner())
    assert [(score.verdict, score.value) for score in scores if score.verdict == "pass" or score.value] == []
