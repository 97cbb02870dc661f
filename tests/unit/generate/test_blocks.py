"""A teacher that decodes requests in blocks: a run broken off within one goes on to the same bytes."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from typing import Any

import pytest

from fake_teacher import reply_for
from generation import Configure, generate, views
from seedtune.config import Config, TeacherConfig
from seedtune.generate import stage
from seedtune.records import Reply, Request, Usage
from seedtune.teachers.protocol import NO_ACCOUNT, Account

USED = Usage(prompt_tokens=100, completion_tokens=50)


class Blocks:
    """Each reply follows from all requests of its block, as where rows are padded to one length."""

    bulk = 1
    concurrency = 1
    structured = False
    status = ""
    name = "blocks"

    def __init__(self, config: TeacherConfig, decoded: list[tuple[int, ...]]) -> None:
        self.batch_size = config.batch_size if config.type == "local" else 1
        self._decoded = decoded

    async def check(self, request: Request) -> None:
        pass

    async def complete(self, requests: Sequence[Request], account: Account = NO_ACCOUNT) -> list[Reply]:
        account.sending(requests)
        assert len(requests) <= self.batch_size
        self._decoded.append(tuple(request.index for request in requests))
        whole = hashlib.sha256("".join(request.model_dump_json() for request in requests).encode()).hexdigest()
        return [Reply(index=r.index, text=self._text(r, f"{r.index} {whole}"), usage=USED) for r in requests]

    def _text(self, request: Request, mark: str) -> str:
        messages = [{"role": "system", "content": mark}, *(message.model_dump() for message in request.messages)]
        return reply_for({"messages": messages}, 2)

    def interrupt(self) -> None:
        pass

    async def close(self) -> None:
        pass


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Indices of each block that was decoded."""
    found: list[tuple[int, ...]] = []
    monkeypatch.setattr(stage, "make_teacher", lambda config, seed: Blocks(config, found))
    return found


COURT = {"type": "openai", "model": "court", "base_url": "http://127.0.0.1:1/v1"}
MODES: dict[str, dict[str, Any]] = {
    "alpaca": {},
    "classic": {"mode": "classic", "lookahead": 8},
    "classic, strict": {"mode": "classic", "fidelity": "strict"},
    "judge": {"judge": {}, "lookahead": 8},
    "another judge": {"judge": {"teacher": COURT}, "lookahead": 8},
}


def in_blocks(configure: Configure, mode: str, goal: int, name: str) -> Config:
    tree = configure("http://127.0.0.1:1/v1", goal, name=name, **MODES[mode]).model_dump(mode="json")
    tree["generate"]["teacher"] = {"type": "local", "batch_size": 4}
    return Config.model_validate(tree)


@pytest.mark.parametrize("mode", MODES)
def test_a_run_broken_off_after_any_line_decodes_the_same_blocks_and_ends_with_the_same_bytes(
    configure: Configure, decoded: list[tuple[int, ...]], mode: str
) -> None:
    expected = views(generate(in_blocks(configure, mode, 5, "whole")))
    folder = in_blocks(configure, mode, 5, "whole").run_dir / "generate"
    journal = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    config = in_blocks(configure, mode, 5, "broken")
    for kept in range(1, len(journal), max(1, len(journal) // 16)):
        shutil.rmtree(config.run_dir, ignore_errors=True)
        (config.run_dir / "generate").mkdir(parents=True)
        (config.run_dir / "generate" / "journal.jsonl").write_bytes(b"".join(journal[:kept]) + journal[kept][:15])
        assert views(generate(config)) == expected
    blocks = {index: block for block in reversed(decoded) for index in block}
    assert all(blocks[index] == block for block in decoded for index in block)
    assert mode != "alpaca" or all(len(block) == 4 for block in decoded)


@pytest.mark.parametrize("mode", MODES)
def test_a_higher_goal_reached_in_steps_gives_the_same_bytes(
    configure: Configure, decoded: list[tuple[int, ...]], mode: str
) -> None:
    at_once = views(generate(in_blocks(configure, mode, 9, "at-once")))
    for goal in (2, 3, 7, 9):
        in_steps = generate(in_blocks(configure, mode, goal, "in-steps"))
    assert views(in_steps) == at_once
    sent = [json.loads(line) for line in (in_steps / "journal.jsonl").read_text().splitlines()]
    assert sum(event["event"] == "start" for event in sent) == 1
