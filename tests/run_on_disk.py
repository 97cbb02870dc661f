"""A run folder as generate, train and evaluate leave it, made by hand: for tests of what reads it."""

import json
from pathlib import Path
from typing import Any

from conftest import write_jsonl
from seedtune.records import content_id
from seedtune.runs import Run, StageName

ADAPTER_CARD = """---
base_model: tiny/base
library_name: peft
tags:
- lora
---

# one

A LoRA adapter for [tiny/base](https://huggingface.co/tiny/base).

## Use

model = AutoPeftModelForCausalLM.from_pretrained("PATH_OR_HUB_ID_OF_THIS_ADAPTER")

## Limits

How the adapter compares with its base stands in the run's `evaluate/report.json`.
"""

Row = dict[str, Any]


def row(instruction: str, given: str = "", output: str = "An answer.", **more: Any) -> Row:
    """A line of instructions.jsonl as older versions wrote it; ``more`` are the newer keys."""
    return {
        "id": content_id(instruction, given, output),
        "instruction": instruction,
        "input": given,
        "output": output,
        "pack": "knowledge",
        "request": 0,
        "parents": ["ab"],
        "similarity": 0.31,
        "nearest": "ab",
        **more,
    }


ROWS = [
    row("Explain how the hold timer works."),
    row("Write a filter that drops bogons.", "64.0.0.0/8\n10.0.0.0/8", "```\ndeny\n```"),
    row("What is a route reflector?", output="A router; it “reflects” — ja, 反射."),
]
FUNNEL: Row = {
    "requests": 4,
    "failed_requests": {"no": 1},
    "broken_tasks": {"cut": 2},
    "candidates": 5,
    "rejected": {"similar": 1, "contaminated": 1},
    "accepted": 3,
    "accepted_by_pack": {"knowledge": 3},
}
SPENT: Row = {
    "teacher": "gpt-x",
    "requests": 4,
    "prompt_tokens": 1000,
    "completion_tokens": 234,
    "cost": 0.125,
    "currency": "USD",
    "prices_as_of": "2026-11-01",
}


def finish(run: Run, stage: StageName, outputs: list[Path], numbers: Row) -> None:
    with run.working(stage, "f") as done:
        done(outputs, numbers)


def generated(run: Run, rows: list[Row], funnel: Row | None = None) -> None:
    """A generate stage that ended."""
    folder = run.folder("generate")
    write_jsonl(folder / "instructions.jsonl", rows)
    write_jsonl(folder / "rejected.jsonl", [])
    write_jsonl(folder / "journal.jsonl", [{"event": "start"}])
    (folder / "funnel.json").write_text(json.dumps({**FUNNEL, "accepted": len(rows), **(funnel or {})}))
    finish(run, "generate", [], SPENT)


def trained(run: Run, weights: bytes = b"\0" * 200_000) -> None:
    """A train stage that ended, with a checkpoint and optimizer states beside the adapter."""
    folder = run.folder("train")
    adapter = folder / "adapter"
    adapter.mkdir()
    files = {
        "README.md": ADAPTER_CARD.encode(),
        "adapter_model.safetensors": weights,
        "adapter_config.json": json.dumps({"base_model_name_or_path": "/home/ada/base", "r": 4}).encode(),
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
        "chat_template.jinja": b"{{ messages }}",
        "optimizer.pt": b"states",
        "training_args.bin": b"arguments",
    }
    for name, content in files.items():
        (adapter / name).write_bytes(content)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "optimizer.pt").write_bytes(b"states")
    finish(run, "train", [adapter / "adapter_model.safetensors"], {})


def evaluated(run: Run) -> None:
    """An evaluate stage that ended."""
    result = {"n": 10, "correct": 5, "accuracy": 0.5, "interval": [0.237, 0.763], "unparsed": 0}
    suite = {"n": 10, "chance": 0.25, "base": result, "tuned": {**result, "accuracy": 0.9}, "verdict": "Better."}
    digest = run.output_digests("train").get("train/adapter/adapter_model.safetensors")
    report = {"domain": "bgp", "base": "x", "adapter_sha256": digest, "split": "test", "suites": {"mc/generate": suite}}
    (run.folder("evaluate") / "report.json").write_text(json.dumps(report))
