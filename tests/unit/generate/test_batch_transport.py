"""The Batch API under the loop: the same bytes as sending directly, nothing sent twice, whatever becomes of a batch."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import clean_environment
from fake_teacher import FakeTeacher
from generation import VIEWS, generate, stopped_by, views
from seedtune.config import Config
from seedtune.errors import TeacherError
from seedtune.generate import stage
from seedtune.teachers import batches
from seedtune.teachers.endpoints import Clock
from seedtune.teachers.openai_compatible import OpenAITeacher

PRICES = {"input_per_million": 1.0, "output_per_million": 10.0, "batch_factor": 0.5, "as_of": "2026-11-01"}
SPEED = 500.0
"""The first poll is after ten seconds, the last after five minutes."""

RUN = f"""
import sys
from functools import partial
from pathlib import Path
from seedtune import runs
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.generate import stage
from seedtune.teachers.endpoints import Clock
from seedtune.teachers.openai_compatible import OpenAITeacher

stage.make_teacher = partial(OpenAITeacher, clock=Clock({SPEED}))
config = Config.model_validate_json(Path(sys.argv[1]).read_text())
with runs.open_run(config) as run:
    stage.run_generate(run, load_domain(config.domain))
"""

Configure = Callable[..., Config]


@pytest.fixture
def server() -> Iterator[FakeTeacher]:
    with FakeTeacher() as teacher:
        yield teacher


@pytest.fixture
def configure(server: FakeTeacher, tmp_path: Path, domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """A config for the server; the stage's clock runs fast."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(stage, "make_teacher", partial(OpenAITeacher, clock=Clock(SPEED)))

    def make(goal: int = 12, name: str = "run", limits: Any = None, **teacher: Any) -> Config:
        endpoint = {"type": "openai", "model": "fake", "base_url": server.url, "transport": "batch"}
        endpoint |= {"sampling": {"max_tokens": 500}}
        generate = {"num_instructions": goal, "seeds_per_request": 2, "tasks_per_request": 2}
        generate |= {"teacher": endpoint | teacher, "limits": limits or {}}
        tree = {"name": name, "domain": str(domain_folder), "runs_dir": tmp_path / "runs", "generate": generate}
        return Config.model_validate(tree)

    return make


def events(config: Config, kind: str) -> list[dict[str, Any]]:
    path = config.run_dir / "generate" / "journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def numbers(config: Config) -> dict[str, Any]:
    manifest = json.loads((config.run_dir / "manifest.json").read_text())
    found: dict[str, Any] = manifest["stages"]["generate"]["numbers"]
    return found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sizes(server: FakeTeacher) -> list[int]:
    return [len(batch["lines"]) for batch in server.batches.created]


def test_a_batch_gives_the_same_bytes_as_sending_directly(configure: Configure) -> None:
    by_batch = views(generate(configure(name="batch")))
    assert views(generate(configure(name="direct", transport="direct"))) == by_batch


def test_a_batch_is_as_large_as_the_goal_asks_for(configure: Configure, server: FakeTeacher) -> None:
    generate(configure(goal=20))
    assert sizes(server)[0] == 20  # half the tasks, of two in each request, are expected to be kept
    assert sum(sizes(server)) == server.received


def test_a_batch_is_no_larger_than_allowed(configure: Configure, server: FakeTeacher) -> None:
    generate(configure(goal=20, batch_requests=6, concurrency=1))
    assert sizes(server)[0] == max(sizes(server)) == 6


def test_what_a_batch_holds_is_what_would_be_sent_directly(configure: Configure, server: FakeTeacher) -> None:
    generate(configure(goal=2))
    line = server.batches.created[0]["lines"][0]
    assert (line["custom_id"], line["method"], line["url"]) == ("0", "POST", "/v1/chat/completions")
    assert server.batches.created[0]["endpoint"] == line["url"]
    before = set(server.served)
    generate(configure(goal=2, name="direct", transport="direct"))
    assert set(server.served) == before


def test_a_batch_costs_the_stated_part_of_the_price(configure: Configure, server: FakeTeacher) -> None:
    config = configure(prices=PRICES)
    generate(config)
    assert numbers(config)["cost"] == pytest.approx(0.5 * server.received * (100 * 1.0 + 50 * 10.0) / 1e6)


def test_what_was_sent_in_a_batch_keeps_its_price_when_the_rest_is_sent_directly(
    configure: Configure, server: FakeTeacher
) -> None:
    generate(configure(goal=4, prices=PRICES))
    in_batches = server.received
    config = configure(goal=12, prices=PRICES, transport="direct")
    generate(config)
    directly = server.received - in_batches
    assert directly > 0
    assert numbers(config)["cost"] == pytest.approx((0.5 * in_batches + directly) * 600 / 1e6)


def test_a_batch_is_no_larger_than_the_budget(configure: Configure, server: FakeTeacher) -> None:
    """At its worst a request costs some 2,700 millionths at half the price."""
    config = configure(goal=100, prices=PRICES, limits={"max_cost": 0.02})
    assert stopped_by(config).cause == "budget"
    assert 0 < sizes(server)[0] < 10
    assert server.received * 0.5 * 600 <= 0.02 * 1e6


@pytest.mark.parametrize("outcome", ["expired", "cancelled", "errors", "torn"])
def test_what_a_batch_lacks_is_sent_again(configure: Configure, server: FakeTeacher, outcome: str) -> None:
    server.batches.outcomes = {0: outcome}
    broken = views(generate(configure(name="broken", goal=9)))
    assert len(server.batches.created) > 1
    assert views(generate(configure(name="direct", goal=9, transport="direct"))) == broken


@pytest.mark.parametrize(("outcome", "lost"), [("expired", 0), ("cancelled", 0), ("errors", 4), ("torn", 5)])
def test_what_was_not_run_costs_nothing_and_what_may_have_run_is_charged(
    configure: Configure, server: FakeTeacher, outcome: str, lost: int
) -> None:
    server.batches.outcomes = {0: outcome}
    config = configure(goal=9)
    generate(config)
    assert len(events(config, "lost")) == lost
    assert (numbers(config)["lost_tokens"] > 0) == (lost > 0)


def test_all_gaps_in_a_batch_are_filled_by_the_next(configure: Configure, server: FakeTeacher) -> None:
    server.batches.outcomes = {0: "expired"}
    generate(configure(goal=16))
    assert sizes(server)[0] == 16
    assert 2 <= len(server.batches.created) <= 3


def test_a_request_without_a_reply_in_one_batch_after_another_is_given_up(
    configure: Configure, server: FakeTeacher
) -> None:
    server.batches.outcomes = dict.fromkeys(range(100), "errors")
    folder = generate(configure(goal=16, max_retries=1))
    failed = json.loads((folder / "funnel.json").read_text())["failed_requests"]
    assert set(failed) == {"given up after 2 attempts: 500"}


def test_a_batch_of_more_tokens_than_may_queue_is_cut_in_half(configure: Configure, server: FakeTeacher) -> None:
    server.batches.outcomes = {0: "too_large"}
    config = configure(goal=12)
    generate(config)
    assert sizes(server)[0] == 12
    assert max(sizes(server)[1:]) == 6
    assert numbers(config)["lost_tokens"] == 0


def test_a_batch_that_is_refused_stops_the_run_with_the_endpoints_words(
    configure: Configure, server: FakeTeacher
) -> None:
    server.batches.outcomes = {0: "failed"}
    config = configure()
    with pytest.raises(TeacherError, match="did not take batch batch_0: scripted failed"):
        generate(config)
    generate(config)
    assert numbers(config)["lost_tokens"] == 0


def test_files_that_are_gone_are_charged_and_asked_for_again(configure: Configure, server: FakeTeacher) -> None:
    server.batches.outcomes = {0: "gone"}
    config = configure(goal=6)
    generate(config)
    assert len(events(config, "lost")) == sizes(server)[0]
    assert len(server.batches.created) > 1


def test_a_creation_whose_answer_was_lost_is_not_repeated(configure: Configure, server: FakeTeacher) -> None:
    server.batches.lost_creations = 1
    config = configure(goal=8)
    generate(config)
    assert sum(sizes(server)) == len(events(config, "reply")) == server.received
    assert set(server.served.values()) == {1}


def test_an_endpoint_without_batches_says_what_to_set(configure: Configure, server: FakeTeacher) -> None:
    server.batches.upload = lambda *_: (404, {"error": {"message": "no such path"}})  # type: ignore[method-assign]
    with pytest.raises(TeacherError, match=r"teacher\.transport=direct"):
        generate(configure())


def test_a_killed_process_goes_on_polling_the_same_batch(
    configure: Configure, server: FakeTeacher, tmp_path: Path
) -> None:
    config = configure(goal=10)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    server.batches.polls = 10**9
    arguments = [sys.executable, "-c", RUN, str(tmp_path / "config.json")]
    process = subprocess.Popen(arguments, env=clean_environment(), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: server.batches.asked >= 3)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not events(config, "reply")
    server.batches.polls = server.batches.created[0]["polls"] + 2
    folder = generate(config)
    assert len(server.batches.created) == len(sizes(server)) == 1
    assert set(server.served.values()) == {1}
    assert numbers(config)["lost_tokens"] == 0
    server.batches.polls = 1
    assert views(generate(configure(goal=10, name="direct", transport="direct"))) == views(folder)


def test_a_run_broken_off_after_any_line_sends_no_batch_twice(configure: Configure, server: FakeTeacher) -> None:
    """Also between the upload and the batch's name: it is found by its file."""
    config = configure(goal=5)
    folder = generate(config)
    expected = views(folder)
    journal = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    tickets = [number for number, line in enumerate(journal) if b'"event": "ticket"' in line]
    created = len(server.batches.created)
    for kept in range(tickets[0] + 1, len(journal)):
        for name in VIEWS:
            (folder / name).unlink()
        (folder / "journal.jsonl").write_bytes(b"".join(journal[:kept]) + journal[kept][:15])
        assert views(generate(config)) == expected
        assert len(server.batches.created) == created
    assert numbers(config)["lost_tokens"] == 0


def test_a_batch_in_flight_is_fetched_though_the_rest_is_sent_directly(
    configure: Configure, server: FakeTeacher
) -> None:
    config = configure(goal=10)
    folder = generate(config)
    expected = views(folder)
    for name in VIEWS:
        (folder / name).unlink()
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    named = max(number for number, line in enumerate(lines) if '"ticket": "batch:' in line)
    (folder / "journal.jsonl").write_text("".join(lines[: named + 1]))
    assert views(generate(configure(goal=10, transport="direct"))) == expected
    assert set(server.served.values()) == {1}


def test_ctrl_c_does_not_wait_for_a_batch_and_the_next_session_fetches_it(
    configure: Configure, server: FakeTeacher
) -> None:
    server.batches.polls = 10**9

    def interrupt() -> None:
        wait_until(lambda: server.batches.asked >= 2)
        os.kill(os.getpid(), signal.SIGINT)

    config = configure(goal=6)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        generate(config)
    server.batches.polls = server.batches.created[0]["polls"] + 1
    generate(config)
    assert set(server.served.values()) == {1}
    assert numbers(config)["lost_tokens"] == 0


def test_a_file_as_large_as_the_endpoint_takes_is_sent_and_the_rest_after_it(
    configure: Configure, server: FakeTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "LARGEST_FILE", 10_000)
    generate(configure(goal=12, concurrency=1))
    assert 1 <= max(sizes(server)) < 12
    assert set(server.served.values()) == {1}


def test_a_batch_whose_name_is_not_known_any_more_is_not_sent_again_in_silence(
    configure: Configure, server: FakeTeacher
) -> None:
    config = configure(goal=6)
    folder = generate(config)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    named = next(number for number, line in enumerate(lines) if '"ticket": "batch:' in line)
    (folder / "journal.jsonl").write_text("".join(lines[: named + 1]))
    (folder / "instructions.jsonl").unlink()
    server.batches.created.clear()
    with pytest.raises(TeacherError, match="batch_0 cannot be fetched"):
        generate(config)
    assert not server.batches.created
    without = [line for line in lines[: named + 1] if '"event": "ticket"' not in line]
    (folder / "journal.jsonl").write_text("".join(without))
    generate(config)
    assert numbers(config)["lost_tokens"] > 0
