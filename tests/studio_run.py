"""A run with a journal of any size, made without a teacher: what the studio's tests and its benchmark look at."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from seedtune.records import content_id, json_line

REASONS = ("similar", "too_short", "no_output", "echo")

Verdict = dict[str, Any]


def verdict(instruction: str, output: str = "An answer.", given: str = "", **more: Any) -> Verdict:
    """A verdict as the journal has it; ``reason`` makes it a rejected one."""
    place = {name: more.pop(name) for name in ("pack", "parents", "source", "quote") if name in more}
    candidate = {"instruction": instruction, "input": given, "output": output, "pack": "knowledge", **place}
    return {"candidate": candidate, "kept": "reason" not in more, **more}


def identity(made: Verdict) -> str:
    task = made["candidate"]
    return content_id(task["instruction"], task["input"], task["output"])


def verdicts(count: int) -> Iterator[Verdict]:
    """Different from each other; every fifth is rejected, every tenth has code."""
    for number in range(count):
        code = f"\n\n```python\nprint({number})\n```" if number % 10 == 0 else ""
        yield verdict(
            f"Explain case {number} of a session that flaps.",
            f"Case {number}: the hold timer expires after three missed keepalives.{code}",
            pack="programs" if code else "knowledge",
            similarity=round(number % 97 / 100, 2),
            **({"reason": REASONS[number // 5 % len(REASONS)]} if number % 5 == 4 else {}),
        )


def write_run(
    runs_dir: Path,
    name: str,
    made: Iterable[Verdict],
    *,
    domain: str = "bgp",
    goal: int = 1_000_000,
    views: bool = True,
) -> Path:
    """A run whose generation ended; two candidates a request. Its folder."""
    folder = runs_dir / name
    (folder / "generate").mkdir(parents=True)
    config = {"name": name, "domain": domain, "runs_dir": str(runs_dir), "generate": {"num_instructions": goal}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    stage = {
        "state": "done",
        "seconds": 61.5,
        "sessions": 1,
        "outputs": {},
        "numbers": {"cost": 1.25, "currency": "USD"},
    }
    (folder / "manifest.json").write_text(json.dumps({"name": name, "stages": {"generate": stage}}))
    with (folder / "generate" / "journal.jsonl").open("w") as journal:
        journal.write(json_line({"event": "start", "time": 0.0, "settings": {}}))
        for index, pair in enumerate(batched_pairs(made)):
            journal.writelines(json_line(event) for event in exchange(index, pair))
    if views:
        write_views(folder, goal)
    return folder


def exchange(index: int, pair: list[Verdict]) -> list[dict[str, Any]]:
    """The events of one request."""
    for one in pair:
        one["candidate"]["request"] = index
    message = {"role": "system", "content": f"You are a teacher. Prompt {index}."}
    text = json.dumps({"tasks": [one["candidate"]["instruction"] for one in pair]})
    reply = {
        "index": index,
        "text": text,
        "finish_reason": "stop",
        "usage": {"prompt_tokens": 9, "completion_tokens": 9},
    }
    return [
        {"event": "sent", "time": 1.0, "request": {"index": index, "pack": "knowledge", "messages": [message]}},
        {"event": "reply", "time": 2.0, "reply": reply},
        {"event": "committed", "time": 3.0, "index": index, "verdicts": pair},
    ]


def write_views(folder: Path, goal: int = 1_000_000) -> None:
    """``instructions.jsonl`` and ``rejected.jsonl`` of the journal's verdicts, as generation leaves them."""
    journal = (folder / "generate" / "journal.jsonl").read_text().split("\n")[:-1]
    made = [one for line in journal for one in json.loads(line).get("verdicts", ())]
    accepted = 0
    with (
        (folder / "generate" / "instructions.jsonl").open("w") as keep,
        (folder / "generate" / "rejected.jsonl").open("w") as reject,
    ):
        for one in made:
            if accepted >= goal:
                break
            accepted += one["kept"]
            extra = {"similarity": one.get("similarity", 0.0), "neighbours": []}
            line = {"id": identity(one), **one["candidate"], **extra} if one["kept"] else one
            (keep if one["kept"] else reject).write(json_line(line))


def batched_pairs(made: Iterable[Verdict]) -> Iterator[list[Verdict]]:
    pair: list[Verdict] = []
    for one in made:
        pair.append(one)
        if len(pair) == 2:
            yield pair
            pair = []
    if pair:
        yield pair
