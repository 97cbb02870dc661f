"""Merge the adapter into its base model, and make sure that the merged model is the same model."""

import json
import logging
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedtune import models, runs
from seedtune.config import ModelConfig
from seedtune.errors import PublishError
from seedtune.publish.plan import TOKENIZER_FILES
from seedtune.records import file_sha256, read_json_lines

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

TOLERANCE = {"float32": 1e-3, "float16": 0.03, "bfloat16": 0.1}
"""Largest mean difference of the logits, in standard deviations of the logits. Merged weights are rounded once more
than the adapter's: float16 keeps 11 bits and bfloat16 8. Measured on SmolLM2-135M: 1.5e-6, 0.0033 and 0.046."""

_ROWS, _LONGEST = 8, 256
_RECORD = "merge.json"


def merge(run: runs.Run) -> tuple[Path, dict[str, Any]]:
    """Merge into the unquantised base in the dtype of its files, save, read back and compare the logits.

    What was merged before from the same adapter is used again.

    Returns:
        The folder of the whole model, and what was measured: ``dtype``, ``rows``, ``difference`` of merged model and
        adapter, ``effect`` (the difference of base and adapter) and ``tolerance``.

    Raises:
        RunError: nothing is trained yet, or what was trained has changed since.
        ModelError: the base cannot be loaded, or the adapter does not fit it.
        PublishError: the merged model answers otherwise than base and adapter.
    """
    adapter = run.tuned()
    target = run.path / "train" / "merged"
    digest = file_sha256(adapter / runs.WEIGHTS)
    record = _read_record(target)
    if record.get("adapter_sha256") == digest:
        return target, record
    dtype = _dtype_of_files(run.config.model)
    config = run.config.model.model_copy(update={"dtype": dtype})
    logger.info("push: merging the adapter into %s (%s)", config.name, dtype)
    rows = _rows(run, config)
    temporary = run.path / "train" / ".merged"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        expected, effect = _save_merged(config, adapter, rows, temporary)
        difference = _difference(expected, _logits(_load_saved(temporary, dtype), rows))
        # Written so that NaN is no agreement.
        if not (difference <= TOLERANCE[dtype] and difference < effect):
            raise PublishError(
                f"{run.path}: the merged model is not the adapter's: its logits differ by {difference:.2g} standard "
                f"deviations on average ({TOLERANCE[dtype]:g} is let through in {dtype}, and less than the base's "
                f"{effect:.2g}); push the adapter alone"
            )
        measured = {
            "dtype": dtype,
            "rows": len(rows),
            "difference": difference,
            "effect": effect,
            "tolerance": TOLERANCE[dtype],
        }
        record = {"adapter_sha256": digest, **measured}
        (temporary / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    except OSError as problem:
        raise PublishError(f"{target}: cannot be written: {problem.strerror or problem}") from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target, record


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _dtype_of_files(config: ModelConfig) -> str:
    """The dtype that the base model was published in; float32 where its config does not say."""
    name = str(models.read_config(config).dtype).removeprefix("torch.")
    return name if name in TOLERANCE else "float32"


def _rows(run: runs.Run, config: ModelConfig) -> "list[torch.Tensor]":
    """Some chats of the training data as token ids, each of shape (1, tokens)."""
    import torch

    tokenizer = models.load_tokenizer(config)
    data = run.path / "generate" / "instructions.jsonl"
    lines = islice(read_json_lines(data), _ROWS) if data.is_file() else ()
    questions = [str(line["instruction"]) for _, line in lines] or ["What is your task?"]
    rows: list[torch.Tensor] = []
    for question in questions:
        chat: Any = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        rows.append(chat["input_ids"][:, :_LONGEST])
    return rows


def _save_merged(
    config: ModelConfig, adapter: Path, rows: "Sequence[torch.Tensor]", folder: Path
) -> "tuple[list[torch.Tensor], float]":
    """Merge and save.

    Returns:
        The logits of base and adapter before the merge, and how far those of the base alone are from them.
    """
    # In the precision it was trained in: the sum is rounded once.
    model: Any = models.attach_adapter(models.load_model(config), adapter, config.name, float32=True)
    expected = _logits(model, rows)
    with model.disable_adapter():
        effect = _difference(expected, _logits(model, rows))
    # safe_merge: a weight that is not finite is an error instead of a broken model.
    try:
        merged: Any = model.merge_and_unload(safe_merge=True)
    except ValueError as problem:
        raise PublishError(f"{adapter}: cannot be merged: {problem}") from problem
    merged.save_pretrained(folder)
    # The tokenizer and the chat template that it was trained with.
    for name in TOKENIZER_FILES:
        if (adapter / name).is_file():
            shutil.copyfile(adapter / name, folder / name)
    return expected, effect


def _load_saved(folder: Path, dtype: str) -> Any:
    return models.load_model(ModelConfig.model_validate({"name": str(folder), "dtype": dtype}))


def _logits(model: Any, rows: "Sequence[torch.Tensor]") -> "list[torch.Tensor]":
    """Float32 logits of each row on the CPU, shape (tokens, vocabulary)."""
    import torch

    with torch.inference_mode():
        return [model(row.to(model.device)).logits[0].float().cpu() for row in rows]


def _difference(expected: "Sequence[torch.Tensor]", found: "Sequence[torch.Tensor]") -> float:
    """Mean absolute difference over all positions and tokens, in standard deviations of the expected logits."""
    import torch

    one, other = torch.cat(list(expected)), torch.cat(list(found))
    return float((one - other).abs().mean() / one.std())
