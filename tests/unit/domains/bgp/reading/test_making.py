"""Tasks: the same for the same seed, balanced, short enough, apart between splits, right."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from conftest import ROOT
from seedtune.domains import load_domain
from seedtune.domains.bgp import commands
from seedtune.domains.bgp.analyses import parse_prefix
from seedtune.domains.bgp.reading import FAMILIES, NUMBERS, TaskSplit, item_lines, make_items, make_tasks
from seedtune.domains.bgp.reading.chance import BASELINES, CHANCE, majority_share, picking_share, shown_values
from seedtune.domains.bgp.reading.draw import BUDGET, token_count
from seedtune.domains.bgp.reading.making import make_item
from seedtune.domains.bgp.reading.recordings import recordings
from seedtune.domains.bgp.reading.wordings import HELD_OUT, SHARED, wordings
from seedtune.domains.contamination import ItemGuard
from seedtune.errors import ConfigError, DomainError
from seedtune.records import ExactItem, json_line

SPLITS: tuple[TaskSplit, ...] = ("train", "dev", "test")
SEED = 6
"""Of the committed items."""

ADDRESS = re.compile(r"(?<![\w.:/])(?:\d+(?:\.\d+){3}|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*)(?:/\d+)?(?![\w.:])")


def many(split: TaskSplit, count: int = 192, seed: int = 1) -> list[ExactItem]:
    return list(make_items(split, count, seed))


def test_the_same_seed_gives_the_same_tasks_and_fewer_are_the_first() -> None:
    tasks = list(make_tasks("train", 60, 3))
    assert tasks[:20] == list(make_tasks("train", 20, 3))
    assert tasks != list(make_tasks("train", 60, 4))


def test_there_are_enough_families_and_each_is_asked_as_often_on_its_levels() -> None:
    assert len(FAMILIES) >= 15
    items = many("train", 6 * len(FAMILIES))
    assert set(Counter(item.level for item in items).values()) == {2 * len(FAMILIES)}
    for level in (1, 2, 3):
        counts = Counter(item.family for item in items if item.level == level)
        assert set(counts) == {name for name, family in FAMILIES.items() if level in family.levels}
        assert max(counts.values()) - min(counts.values()) <= 1


def test_levels_can_be_chosen() -> None:
    assert {task.level for task in make_tasks("train", 30, 0, levels=(1,))} == {1}


@pytest.mark.parametrize("split", SPLITS)
def test_every_family_makes_tasks_on_its_levels_within_the_budget(split: TaskSplit) -> None:
    for name, family in FAMILIES.items():
        for level in family.levels:
            item = make_item(split, name, level, "one")
            assert item.answer
            assert token_count(item.prompt) <= BUDGET[level]


def test_no_prompt_comes_twice() -> None:
    prompts = [item.prompt for item in many("train", 600)]
    assert len(set(prompts)) == len(prompts)


def _numbers(item: ExactItem) -> tuple[set[int], set[str]]:
    """The AS numbers and the prefixes and addresses of an item."""
    # Two texts: an address of the one must not join with the other.
    found = {text for part in (item.question, item.input) for text in ADDRESS.findall(part)}
    networks = {text for text in found if "." in text or "::" in text}
    numbers = map(int, re.findall(r"(?<![\w.:/])\d{5,10}(?![\w.:/])", f"{item.question} {item.input}"))
    first, last = 1_600_000_000, 1_800_000_000
    return {number for number in numbers if not first < number < last}, networks


@pytest.mark.parametrize("split", SPLITS)
def test_numbers_are_those_of_the_split(split: TaskSplit) -> None:
    """So two splits share neither AS numbers nor prefixes nor routers."""
    own = NUMBERS[split]
    ranges = [parse_prefix(str(each)) for each in (*own.prefixes[4], *own.prefixes[6], *own.routers.values())]
    for item in many(split):
        asns, networks = _numbers(item)
        assert all(any(low <= asn <= high for low, high in (*own.narrow, *own.wide)) for asn in asns), item.prompt
        for text in networks:
            assert any(each.covers(parse_prefix(text)) for each in ranges), (text, item.prompt)


def test_the_ranges_of_the_splits_are_disjoint() -> None:
    for a, b in combinations(NUMBERS.values(), 2):
        for low, high in (*a.narrow, *a.wide):
            assert all(high < first or last < low for first, last in (*b.narrow, *b.wide))
        assert a.times[1] < b.times[0] or b.times[1] < a.times[0]
        for version in (4, 6):
            pairs = [(x, y) for x in a.prefixes[version] for y in b.prefixes[version]]
            pairs.append((a.routers[version], b.routers[version]))
            assert not any(x.covers(y) or y.covers(x) for x, y in pairs)


def test_splits_read_different_files() -> None:
    names = {split: {recording.name for recording in recordings(split)} for split in SPLITS}
    assert all(names.values())
    for split in SPLITS:
        assert all(f"/{split}-" in name for name in names[split])


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="no recording of the split 'train'"):
        recordings("train", tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_many_wordings_and_some_that_train_never_sees(family: str) -> None:
    shared, held_out = wordings(family, held_out=False), wordings(family, held_out=True)
    assert len(set(shared)) >= 5
    assert len({*shared, *held_out}) >= 8
    assert len(set(held_out)) >= 2
    assert not {*shared} & {*held_out}
    assert all(words.count("{") == words.count("}") and "[" not in words for words in (*shared, *held_out))
    assert set(SHARED) == set(HELD_OUT) == set(FAMILIES)


def test_every_family_states_what_guessing_gives() -> None:
    """The table was counted on other tasks: the same shares within what chance allows."""
    assert set(BASELINES) == set(CHANCE) == set(FAMILIES)
    for name, family in FAMILIES.items():
        seeds = [(level, f"{name}/{level}/{number}") for level in family.levels for number in range(40)]
        items = [make_item("train", name, level, seed) for level, seed in seeds]
        most_frequent, picked = BASELINES[name]
        assert majority_share(item.answer for item in items) == pytest.approx(most_frequent, abs=0.13), name
        assert picking_share(items) == pytest.approx(picked, abs=0.1), name


def test_the_chance_of_an_item_is_the_larger_share() -> None:
    assert CHANCE["next_hop"] == BASELINES["next_hop"][1] > BASELINES["next_hop"][0]
    assert CHANCE["moas"] == BASELINES["moas"][0] > BASELINES["moas"][1]
    assert {make_item("dev", "next_hop", 1, "one").chance} == {CHANCE["next_hop"]}


def test_values_that_the_question_names_are_not_picked() -> None:
    text = "10.1.0.0/16  100.64.1.1  64512 64513 1651285768\n2001:db8::/32  fd00::1  AS64514i 64512:77"
    asked = {"question": "AS 64513, 10.1.0.0/16?", "input": text, "answer": "x", "family": "f"}

    def shown(kind: str) -> set[str]:
        return shown_values(ExactItem.model_validate({**asked, "kind": kind}))

    assert shown("prefix") == {"2001:db8::/32"}
    assert shown("address") == {"100.64.1.1", "fd00::1"}
    assert shown("asn") == {"64512"}
    assert shown("time") == {"1651285768"}
    assert shown("integer") == set()


def test_the_page_lists_the_families_with_their_chances() -> None:
    page = (ROOT / "docs/record-reading.md").read_text()
    for name, family in FAMILIES.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        *_, levels, most_frequent, picked, _ = (cell.strip() for cell in row.split("|"))
        assert levels == ", ".join(map(str, family.levels))
        assert (most_frequent, picked) == tuple(f"{share:.2f}" for share in BASELINES[name])


@pytest.mark.parametrize(("split", "count"), [("test", 240), ("dev", 120)])
def test_the_committed_items_are_those_that_are_made(split: TaskSplit, count: int) -> None:
    path = ROOT / "src/seedtune/domains/bgp/evaluation" / split / "record_reading.jsonl"
    made = "".join(map(json_line, item_lines(split, count, SEED)))
    assert path.read_text() == made, f"make it anew: seedtune bgp tasks --split {split} --count {count} --seed {SEED}"


def test_the_test_file_begins_with_the_canary() -> None:
    suite = load_domain("bgp").suites["record_reading"]
    assert suite.files["test"].canary == load_domain("bgp").suites["cloze"].files["test"].canary
    assert next(iter(item_lines("dev", 1, 0))).get("canary") is None


def test_training_tasks_share_nothing_with_any_item() -> None:
    guard = ItemGuard(load_domain("bgp").suites.values())
    hits = [(task.instruction, hit) for task in make_tasks("train", 600, 42) if (hit := guard.hit(task))]
    assert hits == []


def test_a_task_is_the_item_of_the_same_number() -> None:
    for task, item in zip(make_tasks("dev", 12, 9), make_items("dev", 12, 9), strict=True):
        assert (task.prompt, task.output, task.family, task.level) == (
            item.prompt,
            item.answer,
            item.family,
            item.level,
        )
        assert "/dev-" in task.source


def test_the_command_writes_tasks_and_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.tasks(split="dev", count=4, seed=2, level=[1]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["instruction"] for line in lines] == [task.instruction for task in make_tasks("dev", 4, 2, (1,))]
    path = tmp_path / "items.jsonl"
    assert commands.tasks(split="test", count=5, as_items=True, into=path) == 0
    first, *items = map(json.loads, path.read_text().splitlines())
    assert "canary" in first
    assert [ExactItem.model_validate(item) for item in items] == list(make_items("test", 5, 0))


def test_a_folder_is_named_as_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder; name a file in it"):
        commands.tasks(count=1, into=tmp_path)


def test_budgets_hold_for_the_embedded_models_tokenizer() -> None:
    """``token_count`` is a guess; it must not be far below the truth."""
    folder = next(iter(Path.home().glob(".cache/seedtune/SmolLM2-135M-Instruct-*")), None)
    if folder is None or not (folder / "tokenizer.json").is_file():
        pytest.skip("the embedded model was never unpacked here")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    for item in make_items("train", 180, 5):
        assert len(tokenizer(item.prompt)["input_ids"]) <= 1.15 * BUDGET[item.level], item.prompt
