"""The loop over a real HTTP teacher: exactly N, the same bytes however the work is cut up, nothing paid twice."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from fake_teacher import FakeTeacher
from generation import (
    KEY,
    PRICES,
    TOKENS_A_REPLY,
    VIEWS,
    Brisk,
    ByIndex,
    Configure,
    events,
    funnel,
    generate,
    lines,
    stage_of,
    stopped_by,
    views,
)
from seedtune.config import Config, EvaluateConfig
from seedtune.errors import ConfigError, DataError, RunError, TeacherError


@pytest.mark.parametrize(("goal", "concurrency"), [(1, 16), (5, 1), (5, 16)])
def test_exactly_as_many_as_asked_for_are_accepted(
    configure: Configure, teacher: FakeTeacher, goal: int, concurrency: int
) -> None:
    folder = generate(configure(teacher.url, goal, concurrency))
    assert len(lines(folder / "instructions.jsonl")) == goal


def test_the_funnel_adds_up(configure: Configure, teacher: FakeTeacher) -> None:
    counts = funnel(generate(configure(teacher.url, 20)))
    assert counts["rejected"]
    assert counts["candidates"] == counts["accepted"] + sum(counts["rejected"].values())
    assert counts["accepted"] == sum(counts["accepted_by_pack"].values()) == 20


def test_every_rejected_candidate_is_kept_with_its_reason(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 20))
    rejected = lines(folder / "rejected.jsonl")
    assert {line["reason"] for line in rejected} == set(funnel(folder)["rejected"])
    assert len(rejected) == sum(funnel(folder)["rejected"].values())


def test_every_instruction_names_its_request_and_its_seed_tasks(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url)
    folder = generate(config)
    sent = {event["request"]["index"]: event["request"]["parents"] for event in events(folder, "sent")}
    accepted = lines(folder / "instructions.jsonl")
    assert [line["parents"] for line in accepted] == [sent[line["request"]] for line in accepted]


def test_one_or_sixteen_requests_in_flight_give_the_same_bytes(configure: Configure) -> None:
    delays = {index: 0.06 - 0.02 * (index % 4) for index in range(100)}
    found = []
    for concurrency in (1, 16):
        with ByIndex(delays={} if concurrency == 1 else delays) as server:
            found.append(views(generate(configure(server.url, 16, concurrency, name=f"c{concurrency}"))))
    assert found[0] == found[1]


def test_replies_that_come_in_another_order_are_judged_in_the_order_of_requests(configure: Configure) -> None:
    with ByIndex(delays={0: 0.3}) as server:
        folder = generate(configure(server.url, 6, concurrency=4))
    assert server.indices[0] != 0
    assert [event["index"] for event in events(folder, "committed")] == list(range(len(events(folder, "reply"))))


def test_a_refused_request_gives_the_same_bytes_in_any_concurrency(configure: Configure) -> None:
    found = []
    for concurrency in (1, 16):
        with ByIndex({1: "400", 3: "400"}) as server:
            found.append(views(generate(configure(server.url, 8, concurrency, name=f"c{concurrency}"))))
    assert found[0] == found[1]
    assert json.loads(found[0]["funnel.json"])["failed_requests"] == {"scripted 400": 2}


def test_another_seed_gives_other_instructions(configure: Configure, teacher: FakeTeacher) -> None:
    first, second = (views(generate(configure(teacher.url, 4, name=f"s{seed}", seed=seed))) for seed in (0, 1))
    assert first["instructions.jsonl"] != second["instructions.jsonl"]


def test_a_done_stage_sends_nothing(configure: Configure, teacher: FakeTeacher) -> None:
    before = views(generate(configure(teacher.url)))
    sent = teacher.received
    assert views(generate(configure(teacher.url))) == before
    assert teacher.received == sent


def test_lost_views_are_written_again_from_the_journal_alone(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url))
    before, sent = views(folder), teacher.received
    for name in VIEWS:
        (folder / name).unlink()
    assert views(generate(configure(teacher.url))) == before
    assert teacher.received == sent


def test_a_higher_goal_goes_on_without_paying_again(configure: Configure, teacher: FakeTeacher) -> None:
    for goal in (4, 12):
        generate(configure(teacher.url, goal))
    assert set(teacher.served.values()) == {1}


def test_a_higher_goal_reached_in_steps_gives_the_same_bytes(configure: Configure, teacher: FakeTeacher) -> None:
    for goal in (3, 8, 14):
        steps = views(generate(configure(teacher.url, goal, name="steps")))
    assert views(generate(configure(teacher.url, 14, name="once"))) == steps


def test_a_goal_below_what_is_there_is_refused_and_loses_nothing(configure: Configure, teacher: FakeTeacher) -> None:
    before = views(generate(configure(teacher.url, 12)))
    with pytest.raises(ConfigError, match=r"num_instructions is 5, but this run has 12 already.*--set name"):
        generate(configure(teacher.url, 5))
    assert views(configure(teacher.url).run_dir / "generate") == before


def test_a_run_broken_off_after_any_line_ends_with_the_same_bytes(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 4, concurrency=2)
    expected = views(generate(config))
    journal = (config.run_dir / "generate" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(len(journal)):
        shutil.rmtree(config.run_dir)
        folder = config.run_dir / "generate"
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(b"".join(journal[:kept]) + journal[kept][:15])
        assert views(generate(config)) == expected


def test_recorded_replies_are_judged_before_anything_is_sent(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 4, concurrency=1))
    before, sent = views(folder), teacher.received
    journal = [event for event in lines(folder / "journal.jsonl") if event["event"] != "committed"]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in journal))
    (folder / "instructions.jsonl").unlink()
    assert views(generate(configure(teacher.url, 4, concurrency=1))) == before
    assert teacher.received == sent


def test_after_a_crash_only_requests_without_a_recorded_reply_are_sent(configure: Configure) -> None:
    with ByIndex() as server:
        config = configure(server.url, 6, concurrency=1)
        folder = generate(config)
        journal = lines(folder / "journal.jsonl")
        recorded = {event["reply"]["index"] for event in journal[:-3] if event["event"] == "reply"}
        text = "".join(json.dumps(event) + "\n" for event in journal[:-3])
        (folder / "journal.jsonl").write_text(text)
        (folder / "instructions.jsonl").unlink()
        server.indices.clear()
        generate(config)
    assert server.indices
    assert not recorded & set(server.indices)


OTHER_SETTINGS: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "generate.max_words": {"max_words": 99},
    "generate.tasks_per_request": {"tasks_per_request": 3},
    "generate.rouge_threshold": {"rouge_threshold": 0.5},
    "generate.teacher.sampling.temperature": {"sampling": {"temperature": 0.2}},
}


@pytest.mark.parametrize("key", OTHER_SETTINGS)
def test_a_run_does_not_go_on_under_other_settings(configure: Configure, teacher: FakeTeacher, key: str) -> None:
    before = views(generate(configure(teacher.url, 2)))
    with pytest.raises(RunError, match=rf"\({key}: \S+ -> \S+\)"):
        generate(configure(teacher.url, 4, **OTHER_SETTINGS[key]))
    assert views(configure(teacher.url).run_dir / "generate") == before


def test_a_run_does_not_go_on_with_another_prompt(
    configure: Configure, teacher: FakeTeacher, domain_folder: Path
) -> None:
    generate(configure(teacher.url, 2))
    (domain_folder / "prompts" / "knowledge.md").write_text("Write about something else.")
    with pytest.raises(RunError, match="the domain's prompts, seeds or filters"):
        generate(configure(teacher.url, 4))


def test_limits_prices_and_concurrency_may_change(configure: Configure, teacher: FakeTeacher) -> None:
    generate(configure(teacher.url, 2))
    changed = configure(teacher.url, 4, concurrency=9, prices=PRICES, limits={"max_requests": 50})
    assert len(lines(generate(changed) / "instructions.jsonl")) == 4


def test_items_of_ones_own_are_kept_out_and_do_not_stop_what_is_under_way(
    configure: Configure, teacher: FakeTeacher, tmp_path: Path
) -> None:
    accepted = lines(generate(configure(teacher.url, 12)) / "instructions.jsonl")
    kept, known = accepted[1]["instruction"], accepted[-1]["instruction"]
    write_jsonl(tmp_path / "mine.jsonl", [{"statement": text, "answer": True} for text in (kept, known)])

    def asking(goal: int, name: str) -> Config:
        config = configure(teacher.url, goal, name=name)
        return config.model_copy(update={"evaluate": EvaluateConfig(items=(tmp_path / "mine.jsonl",))})

    # What was decided before the items were there stays decided.
    assert lines(generate(asking(14, "run")) / "instructions.jsonl")[:12] == accepted
    rejected = lines(generate(asking(12, "another")) / "rejected.jsonl")
    out = {line["candidate"]["instruction"] for line in rejected if line["reason"] == "contaminated"}
    assert {kept, known} <= out


def test_a_refused_run_keeps_the_config_its_data_was_made_with(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 2)
    generate(config)
    before = (config.run_dir / "config.yaml").read_text()
    with pytest.raises(RunError):
        generate(configure(teacher.url, 2, max_words=99))
    assert (config.run_dir / "config.yaml").read_text() == before


LIMITS: dict[str, dict[str, Any]] = {
    "requests": {"max_requests": 3},
    "tokens": {"max_tokens": 4_700},
    "budget": {"max_cost": 0.012},
}
SHORT = {"max_tokens": 500}


@pytest.mark.parametrize("cause", LIMITS)
def test_a_limit_stops_with_its_cause_and_exit_code_3(configure: Configure, teacher: FakeTeacher, cause: str) -> None:
    stop = stopped_by(configure(teacher.url, 100, limits=LIMITS[cause], prices=PRICES, sampling=SHORT))
    assert (stop.cause, stop.exit_code) == (cause, 3)


@pytest.mark.parametrize("cause", LIMITS)
def test_a_limit_names_the_setting_that_stopped_the_run(configure: Configure, teacher: FakeTeacher, cause: str) -> None:
    stop = stopped_by(configure(teacher.url, 100, limits=LIMITS[cause], prices=PRICES, sampling=SHORT))
    assert f"limits.{next(iter(LIMITS[cause]))}" in str(stop)


@pytest.mark.parametrize("cause", LIMITS)
def test_a_limit_leaves_everything_saved(configure: Configure, teacher: FakeTeacher, cause: str) -> None:
    config = configure(teacher.url, 100, limits=LIMITS[cause], prices=PRICES, sampling=SHORT)
    stopped_by(config)
    folder = config.run_dir / "generate"
    verdicts = [verdict for event in events(folder, "committed") for verdict in event["verdicts"]]
    accepted = [verdict["candidate"]["instruction"] for verdict in verdicts if verdict["kept"]]
    assert len(events(folder, "reply")) == teacher.received
    assert [line["instruction"] for line in lines(folder / "instructions.jsonl")] == accepted != []
    assert stage_of(config)["state"] == "stopped"
    assert events(folder, "stopped")[-1]["cause"] == cause


@pytest.mark.parametrize("cause", LIMITS)
def test_a_raised_limit_goes_on_to_the_same_bytes(configure: Configure, teacher: FakeTeacher, cause: str) -> None:
    stopped_by(configure(teacher.url, 24, name="stopped", limits=LIMITS[cause], prices=PRICES, sampling=SHORT))
    folder = generate(configure(teacher.url, 24, name="stopped", sampling=SHORT))
    assert set(teacher.served.values()) == {1}
    assert views(folder) == views(generate(configure(teacher.url, 24, name="once", sampling=SHORT)))


@pytest.mark.parametrize("cause", LIMITS)
def test_the_same_limit_again_sends_nothing_more(configure: Configure, teacher: FakeTeacher, cause: str) -> None:
    config = configure(teacher.url, 100, limits=LIMITS[cause], prices=PRICES, sampling=SHORT)
    stopped_by(config)
    sent = teacher.received
    assert stopped_by(config).cause == cause
    assert teacher.received == sent


@pytest.mark.parametrize("concurrency", [1, 16])
def test_exactly_as_many_requests_as_allowed_are_sent(
    configure: Configure, teacher: FakeTeacher, concurrency: int
) -> None:
    stopped_by(configure(teacher.url, 100, concurrency, limits={"max_requests": 5}))
    assert teacher.received == 5


@pytest.mark.parametrize("max_tokens", [5_400, 7_777])
@pytest.mark.parametrize("fault", ["", "no_usage"])
def test_the_token_budget_is_never_passed(configure: Configure, max_tokens: int, fault: str) -> None:
    with Brisk(faults={-1: fault}) as server:
        config = configure(server.url, 100, 16, limits={"max_tokens": max_tokens}, sampling=SHORT)
        stopped_by(config)
        replies = events(config.run_dir / "generate", "reply")
        used = [event["reply"]["usage"] for event in replies]
    assert 0 < sum(usage["prompt_tokens"] + usage["completion_tokens"] for usage in used) <= max_tokens


@pytest.mark.parametrize("max_cost", [0.009, 0.015])
def test_the_money_budget_is_never_passed(configure: Configure, teacher: FakeTeacher, max_cost: float) -> None:
    config = configure(teacher.url, 100, 16, limits={"max_cost": max_cost}, prices=PRICES, sampling=SHORT)
    stopped_by(config)
    assert 0 < teacher.received * (100 * 1.0 + 50 * 10.0) / 1e6 <= max_cost


def test_a_budget_too_small_for_one_request_sends_none(configure: Configure, teacher: FakeTeacher) -> None:
    assert stopped_by(configure(teacher.url, limits={"max_tokens": 100})).cause == "tokens"
    assert teacher.received == 0


def test_what_a_killed_process_had_sent_stays_charged(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 2, concurrency=1)
    folder = generate(config)
    journal = lines(folder / "journal.jsonl")
    killed = journal[: next(n for n, event in enumerate(journal) if event["event"] == "reply")]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in killed))
    (folder / "instructions.jsonl").unlink()
    generate(config)
    numbers = stage_of(config)["numbers"]
    assert numbers["lost_tokens"] > 2048
    assert numbers["prompt_tokens"] + numbers["completion_tokens"] == numbers["requests"] * TOKENS_A_REPLY


def test_what_was_spent_stands_in_the_manifest(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, prices=PRICES)
    generate(config)
    numbers = stage_of(config)["numbers"]
    assert (numbers["prompt_tokens"], numbers["completion_tokens"]) == (100 * teacher.received, 50 * teacher.received)
    assert numbers["cost"] == pytest.approx(teacher.received * 600 / 1e6)
    assert (numbers["lost_tokens"], numbers["currency"], numbers["prices_as_of"]) == (0, "USD", "2026-11-01")


def test_an_unknown_price_is_no_cost_of_zero(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 2)
    generate(config)
    assert stage_of(config)["numbers"]["cost"] is None


def test_a_teacher_that_writes_nonsense_stalls_the_run(configure: Configure) -> None:
    with Brisk(faults={-1: "nonsense"}) as server:
        stop = stopped_by(configure(server.url, concurrency=1, limits={"stall_requests": 4}))
        assert (stop.cause, stop.exit_code, server.received) == ("stall", 3, 4)


def test_a_saturated_pool_stalls_the_run(configure: Configure) -> None:
    class Parrot(Brisk):
        def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            return super().answer({**body, "messages": [{"role": "user", "content": "again"}]})

    with Parrot() as server:
        config = configure(server.url, limits={"stall_requests": 3})
        assert stopped_by(config).cause == "stall"
    assert set(funnel(config.run_dir / "generate")["rejected"]) == {"similar"}


def test_a_request_that_adds_something_ends_a_stall(configure: Configure) -> None:
    with Brisk(faults=dict.fromkeys((0, 1, 3, 4, 6, 7), "nonsense")) as server:
        folder = generate(configure(server.url, 6, concurrency=1, limits={"stall_requests": 3}))
    assert funnel(folder)["requests"] == 9


def test_a_reply_without_any_task_is_counted(configure: Configure) -> None:
    with Brisk(faults={0: "nonsense"}) as server:
        folder = generate(configure(server.url, 4, concurrency=1))
    assert funnel(folder)["broken_tasks"] == {"no_task": 1}


def test_a_reply_cut_by_length_gives_no_half_task(configure: Configure) -> None:
    with Brisk(faults={-1: "length"}) as server:
        folder = generate(configure(server.url, 4, structured_output="off"))
    counts = funnel(folder)
    assert counts["broken_tasks"] == {"cut": counts["requests"]}
    assert counts["broken_off"] == {"length": counts["requests"]}
    assert counts["candidates"] == counts["requests"]


def test_five_refusals_in_a_row_stop_the_run(configure: Configure) -> None:
    with Brisk(faults={-1: "400"}) as server:
        with pytest.raises(TeacherError, match=r"refused 5 requests in a row.*scripted 400"):
            generate(configure(server.url, concurrency=1))
        assert server.received == 5


def test_four_refusals_in_a_row_do_not_stop_the_run(configure: Configure) -> None:
    with ByIndex(dict.fromkeys((0, 1, 2, 3, 5, 6, 7, 8), "400")) as server:
        folder = generate(configure(server.url, 4, concurrency=1))
    assert funnel(folder)["failed_requests"] == {"scripted 400": 8}


@pytest.mark.parametrize("fault", ["401", "403", "404", "429", "500"])
def test_a_teacher_that_fails_stops_the_run_with_everything_saved(configure: Configure, fault: str) -> None:
    with ByIndex({2: fault}) as server:
        config = configure(server.url, concurrency=1)
        with pytest.raises(TeacherError):
            generate(config)
    assert len(lines(config.run_dir / "generate" / "instructions.jsonl")) == 4
    assert stage_of(config)["state"] == "stopped"


def test_after_a_failure_what_is_in_flight_is_recorded(configure: Configure) -> None:
    with ByIndex({0: "500"}, delays={1: 0.2, 2: 0.2}) as server:
        config = configure(server.url, concurrency=3)
        with pytest.raises(TeacherError):
            generate(config)
    replies = events(config.run_dir / "generate", "reply")
    assert {event["reply"]["index"] for event in replies} == {1, 2}


def test_replies_recorded_beside_a_failure_are_not_paid_again(configure: Configure) -> None:
    with ByIndex({0: "500"}, delays={1: 0.2, 2: 0.2}) as server:
        config = configure(server.url, concurrency=3)
        with pytest.raises(TeacherError):
            generate(config)
        server.by_index = {}
        generate(config)
    assert set(server.served.values()) == {1}


def test_a_run_stopped_by_its_teacher_goes_on_to_the_same_bytes(configure: Configure, teacher: FakeTeacher) -> None:
    with ByIndex({3: "500"}) as server, pytest.raises(TeacherError):
        generate(configure(server.url, name="stopped"))
    stopped = views(generate(configure(teacher.url, name="stopped")))
    assert views(generate(configure(teacher.url, name="once"))) == stopped


def test_a_broken_journal_is_an_error_that_names_the_line(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 2)
    journal = generate(config) / "journal.jsonl"
    journal.write_text("{\n" + journal.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(DataError, match=r"journal\.jsonl:1:"):
        generate(configure(teacher.url, 4))


def test_the_key_is_in_no_file_of_the_run(configure: Configure, teacher: FakeTeacher) -> None:
    config = configure(teacher.url, 4)
    generate(config)
    files = [path for path in config.run_dir.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_a_failure_beyond_the_goal_does_not_fail_the_run(configure: Configure) -> None:
    with ByIndex({1: "500"}) as server:
        folder = generate(configure(server.url, 2, concurrency=2))
    assert len(lines(folder / "instructions.jsonl")) == 2


def test_refusals_beyond_the_goal_do_not_fail_the_run(configure: Configure) -> None:
    with ByIndex(dict.fromkeys(range(6, 50), "400")) as server:
        folder = generate(configure(server.url, 12, concurrency=16))
    assert len(lines(folder / "instructions.jsonl")) == 12


def test_a_run_mended_after_refusals_goes_on(configure: Configure) -> None:
    with ByIndex(dict.fromkeys(range(5), "400")) as server, pytest.raises(TeacherError):
        generate(configure(server.url, 20, concurrency=1))
    with ByIndex(delays={5: 0.3}) as server:
        folder = generate(configure(server.url, 20, concurrency=4))
    assert len(lines(folder / "instructions.jsonl")) == 20


@pytest.mark.parametrize("fault", ["401", "404", "429"])
def test_a_request_that_was_turned_away_costs_nothing(configure: Configure, teacher: FakeTeacher, fault: str) -> None:
    with Brisk(faults={-1: fault}) as server, pytest.raises(TeacherError):
        generate(configure(server.url, 4))
    config = configure(teacher.url, 4)
    generate(config)
    assert stage_of(config)["numbers"]["lost_tokens"] == 0


def test_an_endpoint_that_was_never_reached_costs_nothing(configure: Configure, teacher: FakeTeacher) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(TeacherError):
        generate(configure(closed, 2))
    config = configure(teacher.url, 2)
    generate(config)
    assert stage_of(config)["numbers"]["lost_tokens"] == 0
