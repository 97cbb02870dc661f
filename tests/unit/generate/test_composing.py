"""A request follows from the run's seed, its index and what it may build on, and from nothing else."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.config import Config
from seedtune.domains import Pack
from seedtune.errors import ConfigError
from seedtune.generate.composing import Composer
from seedtune.generate.funnel import PENDING
from seedtune.generate.sequence import FollowUp
from seedtune.records import Candidate, Request, SeedTask, Verdict


def pack_of(name: str, size: int) -> Pack:
    seeds = tuple(SeedTask(instruction=f"Explain {name} {n}.", output=f"It is {name} {n}.") for n in range(size))
    return Pack(name, f"Write about {name}.", seeds, Path(f"{name}.jsonl"))


PACKS = (pack_of("routes", 9), pack_of("code", 5), pack_of("live", 2))


def composer(seed: int = 0, **generate: Any) -> Composer:
    return Composer(Config.model_validate({"seed": seed, "generate": {"tasks_per_request": 2, **generate}}), PACKS)


def draw(seed: int, index: int, seeds: int = 3) -> Request:
    return composer(seed, seeds_per_request=seeds).begin(index, index, [], structured=False)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 10_000), min_size=1, max_size=5))
def test_a_request_is_the_same_in_whatever_order_it_is_drawn(seed: int, indices: list[int]) -> None:
    forwards = {index: draw(seed, index) for index in indices}
    backwards = {index: draw(seed, index) for index in reversed(indices)}
    assert forwards == backwards


def test_a_request_does_not_depend_on_the_global_random_state() -> None:
    random.seed(1)
    first = draw(0, 5)
    random.seed(2)
    assert draw(0, 5) == first


def test_drawing_leaves_the_global_random_state_alone() -> None:
    random.seed(1)
    expected = random.Random(1).random()
    draw(0, 5)
    assert random.random() == expected


def test_a_run_begun_with_an_older_version_goes_on_with_the_same_draws() -> None:
    ids = [task.id for task in PACKS[0].seeds]
    assert [ids.index(parent) for parent in draw(7, 3, seeds=4).parents] == [0, 6, 2, 4]


def test_requests_of_one_run_differ() -> None:
    assert len({draw(0, index).parents for index in range(0, 300, 3)}) > 50


def test_other_seeds_draw_other_examples() -> None:
    assert len({draw(seed, 0).parents for seed in range(100)}) > 50


def test_packs_take_turns() -> None:
    assert [draw(0, index).pack for index in range(7)] == ["routes", "code", "live", "routes", "code", "live", "routes"]


def test_examples_come_from_the_requests_own_pack() -> None:
    for index in range(30):
        request, pack = draw(0, index), PACKS[index % 3]
        assert set(request.parents) <= {task.id for task in pack.seeds}
        assert request.messages[0].content == pack.prompt


def test_no_example_stands_twice_in_a_request() -> None:
    assert all(len(set(draw(0, index, 5).parents)) == min(5, len(PACKS[index % 3].seeds)) for index in range(30))


def test_every_seed_task_is_shown_some_day() -> None:
    shown = {parent for index in range(0, 150, 3) for parent in draw(0, index).parents}
    assert shown == {task.id for task in PACKS[0].seeds}


def test_a_small_pack_shows_all_it_has() -> None:
    assert set(draw(0, 2, seeds=20).parents) == {task.id for task in PACKS[2].seeds}


def test_the_examples_stand_in_the_messages_in_the_order_of_the_parents() -> None:
    request = draw(0, 0)
    by_id = {task.id: task.instruction for task in PACKS[0].seeds}
    text = request.messages[1].content
    places = [text.index(by_id[parent]) for parent in request.parents]
    assert places == sorted(places)


def test_the_prefix_numbers_the_first_new_task() -> None:
    assert [draw(0, index, 5).prefix for index in range(3)] == ["6. Instruction:", "6. Instruction:", "3. Instruction:"]


def test_structured_output_asks_for_json_by_a_schema() -> None:
    request = composer().begin(0, 0, [], structured=True)
    assert request.reply_schema is not None
    assert request.prefix.startswith("{")
    assert "JSON" in request.messages[1].content


def test_strict_fidelity_never_asks_for_json() -> None:
    for mode in ("alpaca", "classic"):
        strict = composer(mode=mode, fidelity="strict")
        assert strict.begin(0, 0, [], structured=True).reply_schema is None


def test_each_passage_is_shown_once_before_any_comes_again(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.md").write_text(f"Passage {name} has a few words of its own.")
    shown = composer(documents={"folder": tmp_path})
    sources = [shown.begin(turn, turn, [], structured=False).source for turn in range(12)]
    laps = [sources[start : start + 4] for start in (0, 4, 8)]
    assert all(sorted(lap) == ["a.md#1", "b.md#1", "c.md#1", "d.md#1"] for lap in laps)
    assert len({tuple(lap) for lap in laps}) > 1
    again = composer(documents={"folder": tmp_path})
    assert [again.begin(turn, turn, [], structured=False).source for turn in (7, 1, 11)] == [
        sources[turn] for turn in (7, 1, 11)
    ]


def test_only_the_packs_named_show_passages(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A passage of a few words.")
    shown = composer(documents={"folder": tmp_path, "packs": ["code"]})
    assert [bool(shown.begin(turn, turn, [], structured=False).source) for turn in range(3)] == [False, True, False]


def test_packs_without_passages_use_none_up(tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.md").write_text(f"Passage {name} has a few words of its own.")
    shown = composer(documents={"folder": tmp_path, "packs": ["routes", "live"]})
    sources = [source for turn in range(12) if (source := shown.begin(turn, turn, [], structured=False).source)]
    assert sorted(sources[:4]) == sorted(sources[4:]) == ["a.md#1", "b.md#1", "c.md#1", "d.md#1"]


def test_a_pack_that_is_not_in_use_cannot_show_documents(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A passage of a few words.")
    with pytest.raises(ConfigError, match=r"documents\.packs: 'cod' is not in use; there are: routes, code, live"):
        composer(documents={"folder": tmp_path, "packs": ["cod"]})


def test_a_classic_request_shows_two_of_what_the_teacher_wrote() -> None:
    written = [f"Written {n}." for n in range(9)]
    request = composer(mode="classic").begin(3, 3, written, structured=False)
    text = request.messages[-1].content
    assert sum(instruction in text for instruction in written) == 2
    assert len(request.parents) == 8


def pending(instruction: str = "Name a timer.", **parts: str) -> Verdict:
    candidate = Candidate(instruction=instruction, input="", output=parts.get("output", ""), pack="code", request=1)
    return Verdict(candidate=candidate, kept=False, reason=PENDING)


@pytest.mark.parametrize("step", ["classification", "instances", "judgement"])
def test_a_follow_up_shows_its_candidate_and_names_it_as_parent(step: Any) -> None:
    verdict = pending(output="The hold timer.")
    followed = composer(mode="classic", judge={}).follow(7, FollowUp(step, "code", (verdict,)), structured=False)
    assert verdict.candidate.instruction in followed.messages[-1].content
    assert followed.parents[0] == verdict.candidate.id
    assert (followed.index, followed.step) == (7, step)
