"""Classic mode, strict fidelity, documents, filters and the judge in the loop: exactly N, and the same bytes always."""

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fake_teacher import FakeTeacher, step_of
from generation import Brisk, ByIndex, Configure, events, funnel, generate, lines, stage_of, stopped_by, views
from seedtune.errors import ConfigError, DomainError, RunError
from seedtune.records import content_id

MODES: dict[str, dict[str, Any]] = {
    "alpaca": {},
    "alpaca, text": {"structured_output": "off"},
    "alpaca, strict": {"fidelity": "strict"},
    "classic": {"mode": "classic", "lookahead": 4},
    "classic, text": {"mode": "classic", "lookahead": 4, "structured_output": "off"},
    "classic, strict": {"mode": "classic", "fidelity": "strict"},
    "judge": {"judge": {}, "lookahead": 4},
    "classic, judge": {"mode": "classic", "judge": {"min_score": 4}, "lookahead": 4},
    "further filters": {"minhash": {"threshold": 0.5}},
}


@pytest.mark.parametrize("mode", MODES)
def test_exactly_as_many_as_asked_for(configure: Configure, teacher: FakeTeacher, mode: str) -> None:
    folder = generate(configure(teacher.url, 7, **MODES[mode]))
    accepted = lines(folder / "instructions.jsonl")
    assert len({line["instruction"] for line in accepted}) == 7
    assert all(line["output"] for line in accepted)


@pytest.mark.parametrize("mode", MODES)
def test_the_funnel_adds_up(configure: Configure, teacher: FakeTeacher, mode: str) -> None:
    folder = generate(configure(teacher.url, 7, **MODES[mode]))
    counts = funnel(folder)
    assert counts["candidates"] == sum(counts["rejected"].values()) + counts["accepted"] + counts["undecided"]
    assert counts["accepted"] == 7
    assert counts["examples"] == len(lines(folder / "instructions.jsonl"))
    rejected = sum(counts["rejected"].values()) + sum(counts.get("rejected_instances", {}).values())
    assert rejected == len(lines(folder / "rejected.jsonl"))
    assert counts["requests"] == sum(counts["requests_by_step"].values())


@pytest.mark.parametrize("mode", MODES)
def test_one_or_sixteen_requests_in_flight_give_the_same_bytes(configure: Configure, mode: str) -> None:
    delays = {index: 0.05 - 0.02 * (index % 3) for index in range(400)}
    found = []
    for concurrency in (1, 16):
        with ByIndex(delays={} if concurrency == 1 else delays) as server:
            found.append(views(generate(configure(server.url, 7, concurrency, f"c{concurrency}", **MODES[mode]))))
    assert found[0] == found[1]


@pytest.mark.parametrize("mode", ["classic", "judge", "classic, judge"])
def test_a_run_broken_off_after_any_line_ends_with_the_same_bytes(
    configure: Configure, teacher: FakeTeacher, mode: str
) -> None:
    config = configure(teacher.url, 3, concurrency=2, **MODES[mode])
    expected = views(generate(config))
    journal = (config.run_dir / "generate" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(1, len(journal), max(1, len(journal) // 24)):
        shutil.rmtree(config.run_dir)
        folder = config.run_dir / "generate"
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(b"".join(journal[:kept]) + journal[kept][:15])
        assert views(generate(config)) == expected


def test_a_classic_run_goes_through_its_steps(configure: Configure, teacher: FakeTeacher) -> None:
    counts = funnel(generate(configure(teacher.url, 5, **MODES["classic"])))
    assert set(counts["requests_by_step"]) == {"instructions", "classification", "instances"}


def test_instances_of_one_instruction_count_once(configure: Configure) -> None:
    with Brisk(tasks=3) as server:
        folder = generate(configure(server.url, 4, **MODES["classic"]))
    counts = funnel(folder)
    assert counts["accepted"] == 4 < counts["examples"]


def pending_of(folder: Path) -> list[dict[str, Any]]:
    """Candidates that waited for a follow-up."""
    verdicts = [verdict for event in events(folder, "committed") for verdict in event["verdicts"]]
    return [verdict["candidate"] for verdict in verdicts if verdict.get("reason") == "pending"]


def test_a_classic_example_leads_back_to_its_instruction(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 4, **MODES["classic"]))
    written = {candidate["instruction"] for candidate in pending_of(folder)}
    for line in lines(folder / "instructions.jsonl"):
        assert line["parents"][0] == content_id(line["instruction"], "", "")
        assert line["instruction"] in written


def test_classic_requests_show_what_the_teacher_wrote_before(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 24, **MODES["classic"]))
    written = {content_id(candidate["instruction"], "", "") for candidate in pending_of(folder)}
    begun = [e["request"] for e in events(folder, "sent") if e["request"].get("step") == "instructions"]
    assert not set(begun[0]["parents"]) & written
    assert any(set(request["parents"]) & written for request in begun)


class Refusing(Brisk):
    """Refuses every second request of one step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self.step = step
        self.asked = 0

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked += step_of(body) == self.step
        if step_of(body) == self.step and self.asked % 2:
            return 400, {"error": {"message": "scripted 400"}}
        return super().answer(body)


@pytest.mark.parametrize(
    ("mode", "step", "reason"),
    [
        ("classic", "classification", "no_instance"),
        ("classic", "instances", "no_instance"),
        ("judge", "judgement", "judge_unreadable"),
    ],
)
def test_a_follow_up_that_is_refused_rejects_its_candidates(
    configure: Configure, mode: str, step: str, reason: str
) -> None:
    with Refusing(step) as server:
        folder = generate(configure(server.url, 5, concurrency=1, **MODES[mode]))
    rejected = [line for line in lines(folder / "rejected.jsonl") if line["reason"] == reason]
    assert rejected
    assert all("scripted 400" in line["detail"] for line in rejected)


def test_what_the_judge_says_stands_with_the_example(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 8, judge={"min_score": 4}, lookahead=4))
    assert {line["scores"]["judge"] for line in lines(folder / "instructions.jsonl")} <= {4.0, 5.0}
    low = [line for line in lines(folder / "rejected.jsonl") if line["reason"] == "judged_low"]
    assert low
    assert all(line["scores"]["judge"] < 4 and line["detail"] for line in low)


def test_another_teacher_judges_where_one_is_named(configure: Configure, teacher: FakeTeacher) -> None:
    with Brisk(model="judge") as court:
        judge = {"teacher": {"type": "openai", "model": "judge", "base_url": court.url, "max_retries": 0}}
        config = configure(teacher.url, 5, judge=judge, lookahead=4)
        folder = generate(config)
    judged = [event for event in events(folder, "sent") if event["request"].get("step") == "judgement"]
    assert sum(court.served.values()) == len(judged) > 0
    assert stage_of(config)["numbers"]["judge"] == "judge"


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three passages."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for name in ("dough", "oven", "crust"):
        (folder / f"{name}.md").write_text(f"The {name} needs care on every single day of the week, so look at it.\n")
    return folder


def test_an_example_quotes_its_passage(configure: Configure, teacher: FakeTeacher, documents: Path) -> None:
    folder = generate(configure(teacher.url, 8, documents={"folder": documents}))
    for line in lines(folder / "instructions.jsonl"):
        name = line["source"].removesuffix(".md#1")
        assert line["quote"]
        assert line["quote"] in (documents / f"{name}.md").read_text()


def test_a_quote_that_is_not_in_the_passage_rejects_the_task(
    configure: Configure, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inventive(Brisk):
        def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            status, reply = super().answer(body)
            message = reply["choices"][0]["message"]
            message["content"] = message["content"].replace("needs care on every", "wants nothing at all on any")
            return status, reply

    with Inventive() as server:
        config = configure(server.url, 8, documents={"folder": documents}, limits={"max_requests": 3})
        assert stopped_by(config).cause == "requests"
    counts = funnel(config.run_dir / "generate")
    assert (counts["accepted"], set(counts["rejected"])) == (0, {"quote_not_found"})


def test_other_documents_are_other_settings(configure: Configure, teacher: FakeTeacher, documents: Path) -> None:
    generate(configure(teacher.url, 3, documents={"folder": documents}))
    (documents / "oven.md").write_text("Something else altogether stands in this passage of the documents now.")
    with pytest.raises(RunError, match="the documents"):
        generate(configure(teacher.url, 5, documents={"folder": documents}))


def test_documents_are_no_part_of_the_original_modes(
    configure: Configure, teacher: FakeTeacher, documents: Path
) -> None:
    with pytest.raises(ConfigError, match="documents needs mode: alpaca and fidelity: fixed"):
        generate(configure(teacher.url, 3, mode="classic", documents={"folder": documents}))
    assert teacher.received == 0


def test_an_endpoint_without_structured_output_is_asked_for_text(configure: Configure) -> None:
    with Brisk(structured=False) as server:
        folder = generate(configure(server.url, 9))
    assert set(funnel(folder)["yield"]) == {"text"}
    assert len(lines(folder / "instructions.jsonl")) == 9


def test_text_after_a_refused_schema_gives_the_bytes_of_text_from_the_start(configure: Configure) -> None:
    found = []
    for way in ("auto", "off"):
        with Brisk(structured=False) as server:
            found.append(views(generate(configure(server.url, 9, name=way, structured_output=way))))
    assert found[0] == found[1]


def test_the_yield_of_structured_output_is_counted(configure: Configure, teacher: FakeTeacher) -> None:
    counts = funnel(generate(configure(teacher.url, 9)))
    assert counts["yield"]["json"]["replies"] == counts["requests"]
    assert counts["yield"]["json"]["tasks"] >= counts["candidates"]


class Copying(Brisk):
    """Writes an evaluation item of the domain as a task."""

    def __init__(self, item: str) -> None:
        super().__init__()
        self.item = item

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, reply = super().answer(body)
        made = json.loads(reply["choices"][0]["message"]["content"])
        made["tasks"][0]["instruction"] = self.item
        reply["choices"][0]["message"]["content"] = json.dumps(made)
        return status, reply


def first_item(domain_folder: Path) -> str:
    files = sorted((domain_folder / "evaluation").rglob("*.jsonl"))
    found = [line for path in files for line in lines(path) if "question" in line]
    question: str = found[0]["question"]
    return question


def test_an_evaluation_item_never_becomes_an_example(configure: Configure, domain_folder: Path) -> None:
    item = first_item(domain_folder)
    with Copying(item) as server:
        folder = generate(configure(server.url, 6))
    rejected = [line for line in lines(folder / "rejected.jsonl") if line["candidate"]["instruction"] == item]
    assert {line["reason"] for line in rejected} == {"contaminated"}
    assert item not in {line["instruction"] for line in lines(folder / "instructions.jsonl")}


def test_an_evaluation_set_equal_to_the_seeds_is_refused(
    configure: Configure, teacher: FakeTeacher, domain_folder: Path
) -> None:
    config = configure(teacher.url, 6)
    seeds = next((domain_folder / "seeds").glob("*.jsonl"))
    seed = lines(seeds)[0] | {"instruction": first_item(domain_folder)}
    seeds.write_text(json.dumps(seed) + "\n" + seeds.read_text())
    with pytest.raises(DomainError, match=r"evaluation.*:\d+.*seeds.*:1"):
        generate(config)
    assert teacher.received == 0


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("mode", ["alpaca", "classic"])
def test_the_candidates_limit_is_never_passed(
    configure: Configure, teacher: FakeTeacher, mode: str, concurrency: int
) -> None:
    config = configure(teacher.url, 100, concurrency, limits={"max_candidates": 5}, **MODES[mode])
    assert stopped_by(config).cause == "candidates"
    assert funnel(config.run_dir / "generate")["candidates"] == 4


def test_a_candidates_limit_below_one_request_is_refused(configure: Configure) -> None:
    with pytest.raises(ValueError, match="max_candidates is 1, less than the tasks_per_request = 2"):
        configure("http://127.0.0.1:9/v1", limits={"max_candidates": 1})


def test_off_and_on_may_be_written_as_words(configure: Configure) -> None:
    """YAML reads them as false and true."""
    for written, read in ((False, "off"), (True, "on"), ("auto", "auto")):
        assert configure("http://127.0.0.1:9/v1", structured_output=written).generate.teacher.structured_output == read


def test_a_small_run_begins_no_more_than_it_needs(configure: Configure, teacher: FakeTeacher) -> None:
    """Ten instructions to look at must not cost what a hundred do."""
    for name, mode in {"classic": {"mode": "classic"}, "judge": {"judge": {}}}.items():
        counts = funnel(generate(configure(teacher.url, 10, concurrency=16, name=name, **mode)))
        assert counts["candidates"] <= 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_what_is_in_flight_end_and_the_run_goes_on(configure: Configure, number: int) -> None:
    with Brisk(latency=0.1) as server:
        config = configure(server.url, 40)

        def signal_once_there_is_something() -> None:
            while server.received < 3:
                time.sleep(0.01)
            os.kill(os.getpid(), number)

        threading.Thread(target=signal_once_there_is_something, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            generate(config)
        folder = config.run_dir / "generate"
        assert len(events(folder, "reply")) == server.received > 0
        assert events(folder, "stopped")[-1]["cause"] == "interrupt"
        assert len(lines(generate(config) / "instructions.jsonl")) == 40
    assert set(server.served.values()) == {1}


def test_the_wall_time_limit_stops_a_session_and_the_next_one_goes_on(configure: Configure) -> None:
    with Brisk(latency=0.02) as server:
        first = stopped_by(configure(server.url, 10_000, limits={"max_hours": 0.2 / 3600}))
        before = server.received
        second = stopped_by(configure(server.url, 10_000, limits={"max_hours": 0.2 / 3600}))
    assert (first.cause, second.cause) == ("wall_time", "wall_time")
    assert server.received > before > 0


def test_a_low_accept_rate_is_a_stall(configure: Configure, teacher: FakeTeacher) -> None:
    """The fake teacher's vocabulary is small: after some hundred instructions few are new."""
    config = configure(teacher.url, 10_000, limits={"stall_requests": 20, "stall_accepted": 12})
    assert stopped_by(config).cause == "stall"
    assert funnel(config.run_dir / "generate")["accepted"] > 0


def test_progress_is_written_for_who_looks_from_outside(configure: Configure, teacher: FakeTeacher) -> None:
    folder = generate(configure(teacher.url, 6))
    progress = json.loads((folder / "progress.json").read_text())
    assert (progress["accepted"], progress["goal"], progress["working"]) == (6, 6, False)
