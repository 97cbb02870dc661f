"""Judging that is slower than the endpoint: no pile is paid for, replies are read, and who gives up may go."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fake_teacher import tasks_for
from generation import BySeed, Configure, events, generate, lines, views
from seedtune.config import Config
from seedtune.generate import stage
from seedtune.generate.deciding import Decider
from seedtune.records import Reply, Request, Usage
from seedtune.teachers.protocol import NO_ACCOUNT, Account


@pytest.fixture
def endpoint() -> Iterator[BySeed]:
    with BySeed() as server:
        yield server


def slow_judging(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    decide = Decider.decide

    def slowly(self: Decider, *arguments: Any) -> Any:
        time.sleep(seconds)
        return decide(self, *arguments)

    monkeypatch.setattr(Decider, "decide", slowly)


def open_at_once(config: Config) -> int:
    """The most requests that were sent and not yet judged."""
    unjudged = most = 0
    for event in lines(config.run_dir / "generate" / "journal.jsonl"):
        unjudged += {"sent": 1, "committed": -1}.get(event["event"], 0)
        most = max(most, unjudged)
    return most


class Prompt:
    """A teacher that answers before anything can be judged."""

    batch_size = bulk = 1
    concurrency = 4
    structured = False
    name, status = "prompt", ""

    async def check(self, request: Request) -> None:
        pass

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        account.sending(requests)
        await asyncio.sleep(0)
        [request] = requests
        messages = [message.model_dump() for message in request.messages]
        text = tasks_for({"messages": [{"role": "system", "content": str(request.index)}, *messages]}, 1)
        return [Reply(index=request.index, text=text, usage=Usage(prompt_tokens=100, completion_tokens=50))]

    def interrupt(self) -> None:
        pass

    async def close(self) -> None:
        pass


def test_no_more_is_sent_while_a_pile_waits_to_be_judged(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "make_teacher", lambda config, seed: Prompt())
    slow_judging(monkeypatch, 0.005)
    config = configure("http://127.0.0.1:1/v1", 80, 4)
    generate(config)
    assert open_at_once(config) <= 2 * Prompt.concurrency + 1 + Prompt.concurrency


def test_the_pace_of_judging_changes_no_byte(
    configure: Configure, endpoint: BySeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = views(generate(configure(endpoint.url, 20, 8, name="quick")))
    slow_judging(monkeypatch, 0.02)
    assert views(generate(configure(endpoint.url, 20, 8, name="slow"))) == quick


def test_the_thread_that_reads_replies_does_no_slow_judging(
    configure: Configure, endpoint: BySeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_judging(monkeypatch, 0.02)
    decide, judging = Decider.decide, set[threading.Thread]()

    def noted(self: Decider, *arguments: Any) -> Any:
        judging.add(threading.current_thread())
        return decide(self, *arguments)

    monkeypatch.setattr(Decider, "decide", noted)
    generate(configure(endpoint.url, 12, 4))
    assert judging
    assert threading.current_thread() not in judging


def test_who_gives_up_waits_for_no_judgement_and_loses_no_reply(
    configure: Configure, endpoint: BySeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = views(generate(configure(endpoint.url, 100, 8, name="undisturbed")))
    with monkeypatch.context() as patch:
        slow_judging(patch, 0.3)
        config = configure(endpoint.url, 100, 8, name="broken-off")

        def interrupt() -> None:
            while len(endpoint.indices) < 16:
                time.sleep(0.01)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)

        endpoint.indices.clear()
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            generate(config)
        interrupting.join()
        folder = config.run_dir / "generate"
        # Most of what had come was not judged any more, and all of it is there.
        assert len(events(folder, "reply")) - len(events(folder, "committed")) > 4
        assert not events(folder, "lost")
    assert views(generate(config)) == undisturbed
