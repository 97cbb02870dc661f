"""The loop over endpoints that fail: each attempt is on the books, the bill stays within the budget, nothing stalls."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fake_teacher import Attempt, FaultyTeacher
from generation import generate, stage_of, stopped_by, views
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.errors import TeacherError
from seedtune.generate import stage
from seedtune.generate.state import State
from seedtune.teachers.endpoints import Clock
from seedtune.teachers.ledger import Ledger
from seedtune.teachers.openai_compatible import OpenAITeacher

PRICES = {"input_per_million": 1.0, "output_per_million": 10.0, "as_of": "2026-11-01"}
LOST_ON_THE_WAY = ("429", "429 retry", "500", "503", "hang", "reset", "cut", "truncated", "encoding", "trickle")
FOR_GOOD = ("no_choices", "length", "content_filter", "no_usage")
SPEED = 200.0
"""Rests are over so many times faster than they say."""

Configure = Callable[..., Config]


@pytest.fixture
def configure(tmp_path: Path, domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A config for the teacher at a URL, ``how`` in its section ``generate``; the stage's clock runs fast."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(stage, "make_teacher", partial(OpenAITeacher, clock=Clock(SPEED)))

    def make(
        url: str | list[str],
        goal: int = 100_000,
        name: str = "run",
        limits: Any = None,
        how: Any = None,
        **teacher: Any,
    ) -> Config:
        endpoint = {"type": "openai", "model": "fake", "base_url": url, "sampling": {"max_tokens": 200}}
        generate = {"num_instructions": goal, "seeds_per_request": 2, "tasks_per_request": 2} | (how or {})
        limits = {"stall_requests": None} | (limits or {})
        generate |= {"teacher": endpoint | teacher, "limits": limits}
        tree = {"name": name, "domain": str(domain_folder), "runs_dir": tmp_path / "runs", "generate": generate}
        return Config.model_validate(tree)

    return make


def journal(config: Config) -> list[dict[str, Any]]:
    text = (config.run_dir / "generate" / "journal.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def index_of(event: dict[str, Any]) -> int:
    part = event.get("request") or event.get("reply") or event
    return int(part["index"])


def in_hundred(*parts: int) -> int:
    """A number from 0 to 99 that follows from the arguments and looks random."""
    value = 0
    for part in parts:
        value = (value * 1_000_003 + part * 7_919 + 12_345) * 2_654_435_761 % 2**32
    return (value >> 11) % 100


def thirty_percent(attempt: Attempt, on_the_way: bool = True) -> str:
    """The fault of an attempt: 22% are lost on the way, again at another attempt; 8% are odd for good."""
    if on_the_way and in_hundred(attempt.index, attempt.number, 1) < 22:
        return LOST_ON_THE_WAY[in_hundred(attempt.index, attempt.number, 2) % len(LOST_ON_THE_WAY)]
    if in_hundred(attempt.index, 3) < 8:
        return FOR_GOOD[in_hundred(attempt.index, 4) % len(FOR_GOOD)]
    return ""


def cost_of(server: FaultyTeacher, times: int = 1) -> float:
    """In millionths, a whole number, at so many times the usual prices."""
    return times * sum(charge.prompt_tokens * 1 + charge.completion_tokens * 10 for charge in server.bill)


def attempts_of(config: Config) -> dict[str, Counter[int]]:
    found = {kind: Counter[int]() for kind in ("sent", "reply", "lost", "turned_away")}
    for event in journal(config):
        kind = "sent" if event["event"] == "resent" else event["event"]
        if kind in found:
            found[kind][index_of(event)] += 1
    return found


def books(config: Config) -> Ledger:
    """What the next session would find spent."""
    domain = load_domain(config.domain)
    packs = domain.select_packs(None)
    state = State(config, domain, packs)
    state.replay(config.run_dir / "generate" / "journal.jsonl", journal(config)[0]["settings"])
    return state.ledger


PATIENT = {"concurrency": 64, "timeout_s": 0.12, "max_retries": 60, "prices": PRICES}
CLASSIC = {"mode": "classic", "judge": {"min_score": 3}, "lookahead": 64}
COURT_PRICES = {"input_per_million": 3.0, "output_per_million": 30.0, "as_of": "2026-11-02"}


def judged_at(url: str) -> dict[str, Any]:
    """Another teacher judges, at three times the price."""
    sampling = {"max_tokens": 100}
    judge = PATIENT | {"type": "openai", "model": "court", "base_url": url, "prices": COURT_PRICES}
    return {"judge": {"teacher": judge | {"sampling": sampling}}, "lookahead": 64}


@pytest.mark.parametrize(
    ("requests", "how"),
    [pytest.param(5000, {}, marks=pytest.mark.slow, id="5000, alpaca"), pytest.param(600, CLASSIC, id="600, classic")],
)
def test_of_many_requests_at_thirty_percent_faults_every_attempt_is_accounted_for(
    configure: Configure, requests: int, how: dict[str, Any]
) -> None:
    with FaultyTeacher(fault=thirty_percent) as server:
        limits = {"max_requests": requests, "max_cost": 1000.0}
        config = configure(server.url, limits=limits, how=how, **PATIENT)
        assert stopped_by(config).cause == "requests"
    assert set(server.faults) == {"", *LOST_ON_THE_WAY, *FOR_GOOD}
    found = attempts_of(config)
    assert found["reply"] == dict.fromkeys(range(requests), 1)
    assert found["sent"] == found["reply"] + found["lost"] + found["turned_away"]
    # Whatever arrived is on the books; what timed out on its way there may not have.
    assert server.attempts <= found["sent"]
    charged = Counter(charge.index for charge in server.bill)
    assert charged <= found["reply"] + found["lost"]
    assert [event["index"] for event in journal(config) if event["event"] == "committed"] == list(range(requests))
    assert cost_of(server) <= (books(config).cost or 0.0) * 1e6
    if how:
        steps = json.loads((config.run_dir / "generate" / "funnel.json").read_text())["requests_by_step"]
        assert set(steps) == {"instructions", "classification", "instances", "judgement"}
        assert sum(steps.values()) == requests


@pytest.mark.parametrize("max_cost", [0.04, 0.2])
@pytest.mark.parametrize("concurrency", [1, 32])
def test_the_bills_of_teacher_and_judge_together_never_exceed_the_budget(
    configure: Configure, max_cost: float, concurrency: int
) -> None:
    with FaultyTeacher(fault=thirty_percent) as server, FaultyTeacher(fault=thirty_percent) as court:
        patient = PATIENT | {"concurrency": concurrency}
        config = configure(server.url, limits={"max_cost": max_cost}, how=judged_at(court.url), **patient)
        assert stopped_by(config).cause == "budget"
    ledger = books(config)
    paid = cost_of(server) + cost_of(court, times=3)
    assert 0.3 * max_cost * 1e6 < paid <= (ledger.cost or 0.0) * 1e6 <= max_cost * 1e6
    assert cost_of(server) <= (ledger.of("teacher").cost or 0.0) * 1e6
    assert 0 < cost_of(court, times=3) <= (ledger.of("judge").cost or 0.0) * 1e6


def test_a_free_teacher_with_a_judge_that_is_paid_keeps_within_the_budget(configure: Configure) -> None:
    free = PATIENT | {"prices": {"input_per_million": 0, "output_per_million": 0, "as_of": "2026-11-01"}}
    with FaultyTeacher() as server, FaultyTeacher(fault=thirty_percent) as court:
        config = configure(server.url, limits={"max_cost": 0.05}, how=judged_at(court.url), **free)
        assert stopped_by(config).cause == "budget"
        assert 0 < cost_of(court, times=3) <= 0.05 * 1e6
    assert (books(config).of("teacher").cost, len(server.bill) > 0) == (0.0, True)


def test_near_its_goal_a_judged_run_keeps_as_many_in_flight_as_it_needs(configure: Configure) -> None:
    """Requests up to the follow-ups that decide are needed in any case: they must not leave one by one."""
    with FaultyTeacher(latency=lambda _: 0.02) as server:
        generate(configure(server.url, goal=24, concurrency=16, how={"judge": {"min_score": 1}, "lookahead": 32}))
    alone = sum(load == 1 for load in server.loads)
    assert alone < len(server.loads) / 4


@pytest.mark.parametrize("max_cost", [0.02, 0.2])
@pytest.mark.parametrize("concurrency", [1, 32])
def test_the_bill_never_exceeds_the_budget_by_a_cent(configure: Configure, max_cost: float, concurrency: int) -> None:
    with FaultyTeacher(fault=thirty_percent) as server:
        config = configure(server.url, limits={"max_cost": max_cost}, **PATIENT | {"concurrency": concurrency})
        assert stopped_by(config).cause == "budget"
    assert 0.3 * max_cost * 1e6 < cost_of(server) <= (books(config).cost or 0.0) * 1e6 <= max_cost * 1e6


def test_a_run_goes_on_after_the_budget_was_raised_and_keeps_within_it(configure: Configure) -> None:
    with FaultyTeacher(fault=thirty_percent) as server:
        for max_cost in (0.02, 0.05, 0.1):
            config = configure(server.url, limits={"max_cost": max_cost}, **PATIENT)
            assert stopped_by(config).cause == "budget"
            assert cost_of(server) <= max_cost * 1e6
    found = attempts_of(config)
    assert found["sent"] == found["reply"] + found["lost"] + found["turned_away"]


def test_a_retry_that_the_budget_forbids_is_not_sent_and_ends_as_a_limit(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda attempt: "" if attempt.index < 2 else "500") as server:
        config = configure(server.url, limits={"max_cost": 0.02}, **PATIENT | {"concurrency": 1})
        assert stopped_by(config).cause == "budget"
        assert cost_of(server) <= 0.02 * 1e6
    found = attempts_of(config)
    assert sum(found["lost"].values()) >= 2
    assert set(found["reply"]) == {0, 1}
    assert len((config.run_dir / "generate" / "instructions.jsonl").read_text().splitlines()) == 2
    assert journal(config)[-1]["cause"] == "budget"


def test_what_was_lost_stays_charged_at_its_worst(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda attempt: "reset" if attempt.number < 2 else "") as server:
        config = configure(server.url, goal=1, **PATIENT | {"concurrency": 1})
        generate(config)
    numbers = stage_of(config)["numbers"]
    lost = [charge for charge in server.bill if charge.completion_tokens == 200]
    assert len(lost) == 2 * numbers["requests"]
    assert numbers["lost_tokens"] >= sum(charge.prompt_tokens + charge.completion_tokens for charge in lost)
    assert numbers["cost"] * 1e6 >= cost_of(server)


def test_what_was_turned_away_costs_nothing(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda attempt: "429 retry" if attempt.number < 3 else "") as server:
        # No fault here takes time: on a busy machine a short time-out would lose a reply that came.
        config = configure(server.url, goal=4, **PATIENT | {"timeout_s": 30})
        generate(config)
    numbers = stage_of(config)["numbers"]
    assert numbers["lost_tokens"] == 0
    assert numbers["cost"] * 1e6 == pytest.approx(cost_of(server))


def test_faults_on_the_way_concurrency_and_retries_do_not_change_a_byte(configure: Configure) -> None:
    with FaultyTeacher(fault=partial(thirty_percent, on_the_way=False)) as calm:
        limits = {"max_requests": 150}
        clean = configure(calm.url, name="calm", limits=limits, **PATIENT | {"concurrency": 1})
        stopped_by(clean)
    with FaultyTeacher(fault=thirty_percent, latency=lambda attempt: 0.001 * in_hundred(attempt.index, 5)) as server:
        faulty = configure(server.url, name="faulty", limits=limits, **PATIENT)
        stopped_by(faulty)
    assert any(server.attempts[index] > 1 for index in range(150))
    assert views(faulty.run_dir / "generate") == views(clean.run_dir / "generate")


def test_a_request_that_fails_again_and_again_while_others_are_answered_is_given_up(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda attempt: "500" if attempt.index == 3 else "") as server:
        config = configure(server.url, goal=20, timeout_s=5, max_retries=2)
        generate(config)
    funnel = json.loads((config.run_dir / "generate" / "funnel.json").read_text())
    assert funnel["failed_requests"] == {"given up after 3 attempts: 500": 1}
    assert server.attempts[3] == 3


def test_an_endpoint_that_comes_back_in_time_is_waited_for(configure: Configure) -> None:
    """No request is given up for it, however few retries each has."""
    down_at = 20

    def fault(_: Attempt) -> str:
        return "500" if down_at <= len(server.loads) < down_at + 15 else ""

    with FaultyTeacher(fault=fault) as server:
        config = configure(server.url, goal=20, max_retries=1, concurrency=1)
        generate(config)
    assert len(server.loads) >= down_at + 15
    assert "given up" not in (config.run_dir / "generate" / "funnel.json").read_text()


def test_an_endpoint_that_stays_away_stops_the_run_with_its_cause(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda _: "500" if len(server.loads) > 10 else "") as server:
        config = configure(server.url, goal=20, give_up_after_s=120)
        with pytest.raises(TeacherError, match=r"failed \(500\)(.|\n)*give_up_after_s"):
            generate(config)
        asked = len(server.loads)
    assert asked < 60
    assert stage_of(config)["state"] == "stopped"
    assert len((config.run_dir / "generate" / "instructions.jsonl").read_text().splitlines()) > 5


def test_a_longer_rest_than_the_run_has_patience_for_stops_it(configure: Configure) -> None:
    with FaultyTeacher(fault=lambda _: "429 retry") as server:
        with pytest.raises(TeacherError, match=r"too many requests(.|\n)*asks to wait"):
            generate(configure(server.url, give_up_after_s=0.5))
        assert len(server.loads) <= 4


def test_the_goal_is_reached_without_waiting_for_what_only_rests(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four requests leave, three are enough; the fourth would rest for five minutes."""
    monkeypatch.setattr(stage, "make_teacher", OpenAITeacher)

    def fault(attempt: Attempt) -> str:
        return "429 retry" if attempt.index == 3 else ""

    with FaultyTeacher(fault=fault, latency=lambda _: 0.2, tasks=2, retry_after_s=300) as server:
        config = configure(server.url, goal=4)
        generate(config)
    found = attempts_of(config)
    assert (set(found["sent"]), set(found["reply"])) == ({0, 1, 2, 3}, {0, 1, 2})


def test_ctrl_c_does_not_wait_for_what_only_rests(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest would take five minutes."""
    monkeypatch.setattr(stage, "make_teacher", OpenAITeacher)

    def interrupt() -> None:
        wait_until(lambda: len(server.loads) > 0)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    with FaultyTeacher(fault=lambda _: "429 retry", retry_after_s=300) as server:
        config = configure(server.url)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            generate(config)
    assert journal(config)[-1]["cause"] == "interrupt"


def test_what_a_second_ctrl_c_gives_up_is_charged_as_lost(configure: Configure) -> None:
    def interrupt() -> None:
        wait_until(lambda: len(server.bill) == 4)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    with FaultyTeacher(fault=lambda _: "hang") as server:
        config = configure(server.url, concurrency=4, timeout_s=300)
        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            generate(config)
    found = attempts_of(config)
    assert found["lost"] == found["sent"] == dict.fromkeys(range(4), 1)
    assert journal(config)[-1]["cause"] == "interrupt"


def three_servers(stack: ExitStack, **options: Any) -> list[FaultyTeacher]:
    return [stack.enter_context(FaultyTeacher(latency=lambda _: 0.02, **options)) for _ in range(3)]


def test_several_addresses_share_the_work(configure: Configure) -> None:
    with ExitStack() as stack:
        servers = three_servers(stack)
        stopped_by(configure([server.url for server in servers], limits={"max_requests": 300}))
    assert all(len(server.loads) >= 60 for server in servers)
    assert sum(len(server.loads) for server in servers) == 300


def test_several_addresses_give_the_same_bytes_as_one(configure: Configure) -> None:
    with ExitStack() as stack:
        servers = three_servers(stack)
        several = configure([server.url for server in servers], name="three", limits={"max_requests": 60})
        stopped_by(several)
        one = configure(servers[0].url, name="one", limits={"max_requests": 60})
        stopped_by(one)
    assert views(several.run_dir / "generate") == views(one.run_dir / "generate")


def test_an_address_that_dies_is_left_out_and_taken_back_when_it_returns(configure: Configure) -> None:
    before_death = after_return = 0
    with ExitStack() as stack:
        servers = three_servers(stack)
        mortal = servers[1]

        def fate() -> None:
            nonlocal before_death, after_return
            wait_until(lambda: len(mortal.loads) >= 30)
            before_death = len(mortal.loads)
            mortal.stop()
            others = len(servers[0].loads) + len(servers[2].loads)
            wait_until(lambda: len(servers[0].loads) + len(servers[2].loads) >= others + 150)
            assert len(mortal.loads) <= before_death + 20
            mortal.start()
            after_return = len(mortal.loads)

        thread = threading.Thread(target=fate)
        thread.start()
        config = configure([server.url for server in servers], limits={"max_requests": 900})
        assert stopped_by(config).cause == "requests"
        thread.join()
    assert len(mortal.loads) >= after_return + 60
    found = attempts_of(config)
    assert found["reply"] == dict.fromkeys(range(900), 1)
    assert "given up" not in (config.run_dir / "generate" / "funnel.json").read_text()
    # Only what the dead server had on the way is lost; what found it closed costs nothing.
    assert sum(found["lost"].values()) <= 20


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_endpoint_that_queues_is_kept_near_its_knee(configure: Configure) -> None:
    """It bears 16 at once; more only wait, without a word of complaint."""
    with FaultyTeacher(latency=lambda attempt: 0.1 * max(1.0, attempt.in_flight / 16)) as server:
        stopped_by(configure(server.url, limits={"max_requests": 600}, concurrency=256, timeout_s=30))
    late = sorted(server.loads[300:])
    # About 25 on a quiet machine; on a busy one latency says less. Without the controller it is 256.
    assert 8 <= late[len(late) // 2] <= 100


def test_replies_that_land_together_share_one_wait_for_the_disk(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("seedtune.generate.journal.os.fsync", synced.append)
    # Each reply is due at the next multiple of 100 ms: those of one moment come together.
    with FaultyTeacher(latency=lambda _: 0.1 - time.monotonic() % 0.1) as server:
        config = configure(server.url, limits={"max_requests": 96}, concurrency=32)
        stopped_by(config)
    assert sum(attempts_of(config)["reply"].values()) == 96
    assert len(synced) < 60
