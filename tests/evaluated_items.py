"""An evaluation as ``seedtune evaluate`` leaves it, made by hand, with as many items as a test wants."""

import json
from pathlib import Path
from typing import Any

from conftest import write_jsonl

Item = dict[str, Any]


def item(number: int, base: bool, tuned: bool, **more: Any) -> Item:
    """A line of ``items.jsonl``; an argument takes the place of a key."""
    return {
        "suite": "multiple_choice",
        "method": "generate",
        "item": f"{number:016x}",
        "topic": ("policy", "session")[number % 2],
        "level": number % 3 + 1,
        "citation": "RFC 4271",
        "question": f"Question {number}?",
        "options": ["yes", "no"],
        "right": ["yes"],
        "contaminated": False,
        "base": answered(base),
        "tuned": answered(tuned),
        "rivals": {"large": answered(True)},
        **more,
    }


def answered(correct: bool, text: str = "", **more: Any) -> dict[str, Any]:
    """One model's answer."""
    text = text or ("yes" if correct else "no")
    return {"correct": correct, "strict": correct, "value": float(correct), "parsed": True, "error": "", "why": ""} | {
        "extracted": text,
        "text": text,
        "likelihoods": {},
        **more,
    }


def write_evaluation(folder: Path, items: list[Item]) -> None:
    """Items and the report on them, in a run folder."""
    write_jsonl(folder / "evaluate" / "items.jsonl", items)
    suites: dict[str, Any] = {}
    for name in dict.fromkeys(f"{one['suite']}/{one['method']}" for one in items):
        own = [one for one in items if f"{one['suite']}/{one['method']}" == name]
        rivals = {"large": {**_result([one["rivals"]["large"] for one in own]), "verdict": "Larger is better."}}
        suites[name] = {
            "suite": own[0]["suite"],
            "method": own[0]["method"],
            "primary": own[0]["method"] == "generate",
            "part": "domain",
            "n": len(own),
            "chance": 0.5,
            "base": _result([one["base"] for one in own]),
            "tuned": _result([one["tuned"] for one in own]),
            "rivals": rivals,
            "verdict": "No difference shown.",
        }
    report = {"domain": "bgp", "base": "tiny", "adapter_sha256": "ab" * 32, "split": "test", "suites": suites}
    report |= {"caveats": ["One caveat."], "models": {"large": {"title": "a-large-model"}}}
    (folder / "evaluate" / "report.json").write_text(json.dumps(report))
    shown = {"question": "What is BGP?", "base": "A bird.", "tuned": "A protocol.", "rivals": {"large": "It is ..."}}
    write_jsonl(folder / "evaluate" / "showcase.jsonl", [shown])


def _result(answers: list[dict[str, Any]]) -> dict[str, Any]:
    correct = sum(answer["correct"] for answer in answers)
    n = len(answers)
    share = correct / n
    return {"n": n, "correct": correct, "accuracy": share, "interval": [max(0, share - 0.1), min(1, share + 0.1)]}
