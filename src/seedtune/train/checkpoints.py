"""Find the checkpoint to go on from, whatever broke the last session off."""

import json
import logging
import shutil
from pathlib import Path

logger = logging.getLogger(__name__)

_BINARY = {".safetensors", ".pt", ".pth", ".bin"}
"""Weights, optimizer, scheduler and random state: none of them is ever empty."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; broken ones are deleted.

    The trainer writes ``trainer_state.json`` last, so a checkpoint without a readable one was cut off.
    A power cut can still leave empty files beside it: the trainer flushes nothing to the disk.
    """
    found: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        step = path.name.removeprefix("checkpoint-")
        if not step.isdigit():
            continue
        if _is_whole(path, int(step)):
            found[int(step)] = path
        else:
            logger.warning("%s was cut off while it was written: deleted", path.name)
            shutil.rmtree(path)
    return found[max(found)] if found else None


def _is_whole(path: Path, step: int) -> bool:
    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    sizes = {file.name: file.stat().st_size for file in path.iterdir() if file.suffix in _BINARY}
    weights = {"adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"}
    there = {file.name for file in path.iterdir()}
    return state.get("global_step") == step and bool(weights & there) and all(sizes.values())
