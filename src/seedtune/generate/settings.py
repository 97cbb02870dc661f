"""The settings that shape a run's data: a journal goes on only under the same."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seedtune.config import Config, GenerateConfig, LocalTeacherConfig, OpenAITeacherConfig
from seedtune.domains import Domain, Pack
from seedtune.errors import RunError

_HOW_TO_REACH = {
    "base_url",
    "api_key_env",
    "concurrency",
    "rpm",
    "tpm",
    "timeout_s",
    "max_retries",
    "give_up_after_s",
    "transport",
    "batch_requests",
    "context_window",
    "structured_output",
    "prices",
}


def settings_of(config: Config, domain: Domain, packs: Sequence[Pack], contents: dict[str, str]) -> dict[str, Any]:
    """What shapes the data: a journal goes on only under the same.

    How many instructions, the limits, and how an endpoint is reached may change between sessions.

    Args:
        config: Of the run.
        domain: What it is about.
        packs: The packs in use.
        contents: Digests of what else is read: the evaluation items, the documents, the rubric, and of what programs
            are tried by.
    """
    return {
        "seed": config.seed,
        "domain": domain.name,
        "packs": [pack.name for pack in packs],
        "content": domain.content_id(list(packs)),
        **contents,
        "generate": _shaping(config.generate),
    }


def _shaping(config: GenerateConfig) -> dict[str, Any]:
    hidden: dict[str, Any] = {
        **dict.fromkeys(("num_instructions", "limits", "packs", "decontaminate", "programs"), True),
        "teacher": _HOW_TO_REACH,
        "judge": {"teacher": _HOW_TO_REACH, "rubric": True},
        "documents": {"folder": True},
    }
    return config.model_dump(mode="json", exclude=hidden)


def require_same(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Compare the settings a journal was begun with to those of now.

    A setting that came with a later version counts as its default; one that is no more counts for nothing.

    Raises:
        RunError: some differ; the message names them.
    """
    before, now = _flat(old), _flat(json.loads(json.dumps(new)))
    # Programs were once kept as they came.
    before = _defaults(now.get("generate.teacher.type")) | {"programs": ""} | before
    changed = [key for key in sorted(now) if before.get(key) != now[key]]
    changed += [key for key in sorted(before.keys() - now.keys()) if _is_known_part(key, now)]
    if changed:
        words = {
            "content": "the domain's prompts, seeds or filters",
            "items": "the domain's evaluation items, or decontaminate",
            "documents": "the documents",
            "rubric": "the judge's rubric",
            "programs": "how programs are verified: generate.programs, or the domain's programs.py or checks.py",
        }
        list_of = "; ".join(words.get(key) or f"{key}: {before.get(key)} -> {now.get(key)}" for key in changed)
        raise RunError(
            f"{path}: this run's data was begun with other settings ({list_of}). "
            "Change them back, or give the run another name (--set name=...)"
        )


def _defaults(teacher: object) -> dict[str, object]:
    default = OpenAITeacherConfig(model="") if teacher == "openai" else LocalTeacherConfig()
    return _flat({"generate": _shaping(GenerateConfig(teacher=default))})


def _is_known_part(key: str, now: dict[str, object]) -> bool:
    """Whether a key that is missing now belongs to a section that was switched off, such as ``judge``."""
    parts = key.split(".")
    return any(".".join(parts[:depth]) in now for depth in range(1, len(parts)))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, object]:
    leaves: dict[str, object] = {}
    for key, value in tree.items():
        # The fields of a body are the user's: null in it is not the same as none.
        is_section = isinstance(value, dict) and key != "extra_body"
        leaves |= _flat(value, f"{prefix}{key}.") if is_section else {prefix + key: value}  # pyright: ignore[reportUnknownArgumentType]
    return leaves
