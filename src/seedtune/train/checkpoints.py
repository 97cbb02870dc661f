"""Find the checkpoint to go on from, whatever broke the last session off."""

import json
import logging
import shutil
import zipfile
from pathlib import Path

logger = logging.getLogger(__name__)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; broken ones are deleted.

    The trainer writes ``trainer_state.json`` last, so a checkpoint without a readable one was cut off.
    A power cut can still leave empty or short files beside it: the trainer flushes nothing to the disk.
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
    there = {file.name for file in path.iterdir()}
    weights = {"adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"}
    return state.get("global_step") == step and bool(weights & there) and all(map(_is_readable, path.iterdir()))


def _is_readable(file: Path) -> bool:
    """Whether a file of weights, optimizer, scheduler or random state goes to its end; others pass."""
    from safetensors import SafetensorError, safe_open

    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "np"):
                return True
        except (OSError, SafetensorError):
            return False
    # torch.save writes a zip archive, whose directory stands at its end.
    return file.suffix not in {".pt", ".pth", ".bin"} or zipfile.is_zipfile(file)
