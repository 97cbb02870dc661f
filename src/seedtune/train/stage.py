"""Train the adapter: examples -> rows -> SFTTrainer -> adapter folder.

Checkpoints are written evenly over the run; after a crash or Ctrl-C the same command goes on from the last whole one.
"""

import json
import logging
import math
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedtune import console, models, runs
from seedtune.config import Config, TrainConfig
from seedtune.domains import Domain
from seedtune.errors import DataError, TrainingError
from seedtune.records import read_json_lines, write_atomic, write_records
from seedtune.train.card import model_card
from seedtune.train.checkpoints import last_checkpoint
from seedtune.train.dataset import Example, Row, collect_examples, make_row, split_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast
    from trl.trainer.sft_config import SFTConfig

logger = logging.getLogger(__name__)

_LOGS_PER_RUN = 200


def run_train(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        DataError: nothing to train on.
        TrainingError: it cannot start or go on.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint saved.
    """
    config = run.config
    packs = domain.select_packs(config.generate.packs)
    generated = _generated_file(run)
    fingerprint = runs.fingerprint(
        config.train.model_dump(mode="json", exclude={"report_to"}),
        config.model.model_dump(mode="json"),
        [config.seed, domain.file.system_prompt],
        run.output_digests("generate") if generated else {},
        [seed.id for pack in packs for seed in pack.seeds] if config.train.include_seeds else [],
        [[task_line for _, task_line in read_json_lines(path)] for path in config.train.data],
    )
    if run.is_done("train", fingerprint):
        logger.info("train: done before")
        return
    run.set_aside_if_other("train", fingerprint)
    folder = run.folder("train")
    with run.working("train", fingerprint) as done:
        examples = collect_examples(generated, packs, config.train.include_seeds, config.train.data)
        tokenizer = models.load_tokenizer(config.model)
        made = _make_rows(tokenizer, examples, domain, config.train)
        training, _ = split_examples([row.example for row in made], config.train.held_out, config.seed)
        training_ids = {example.task.id for example in training}
        rows = [row for row in made if row.example.task.id in training_ids]
        held_rows = [row for row in made if row.example.task.id not in training_ids]
        _record_rows(folder / "rows.jsonl", rows, held_rows)
        if not rows:
            raise DataError(
                f"no example has room for its answer in train.max_length = {config.train.max_length} tokens"
            )
        numbers = _train(run, rows, held_rows, tokenizer)
        adapter = folder / "adapter"
        write_atomic(adapter / "README.md", model_card(run, domain, numbers))
        outputs = [adapter / "adapter_model.safetensors", adapter / "adapter_config.json", folder / "metrics.jsonl"]
        done([*outputs, folder / "rows.jsonl"], numbers)


def _generated_file(run: runs.Run) -> Path | None:
    path = run.path / "generate" / "instructions.jsonl"
    if run.stage("generate").get("state") == "done" and path.is_file():
        return path
    if run.config.train.data:
        return None
    raise DataError(f"{run.path}: nothing is generated yet: run 'seedtune generate' first, or set train.data")


def _make_rows(
    tokenizer: "PreTrainedTokenizerFast", examples: Sequence[Example], domain: Domain, settings: TrainConfig
) -> list[Row]:
    max_length = settings.max_length
    made = [make_row(tokenizer, example, domain.file.system_prompt, max_length) for example in examples]
    rows = [row for row in made if row is not None and not (row.truncated and settings.too_long == "drop")]
    truncated = sum(row.truncated for row in rows)
    if len(rows) < len(made):
        logger.warning(
            "train: %d of %d examples left out: longer than %d tokens", len(made) - len(rows), len(made), max_length
        )
    if truncated:
        logger.warning("train: %d of %d answers are cut at max_length = %d tokens", truncated, len(rows), max_length)
    return rows


def _record_rows(path: Path, rows: Sequence[Row], held_rows: Sequence[Row]) -> None:
    """Which example went where, so that a wrong answer can be walked back to its seeds."""
    write_records(
        path,
        [
            {
                "id": row.example.task.id,
                "split": split,
                "source": row.example.source,
                "pack": row.example.pack,
                "tokens": len(row.input_ids),
                "trained_tokens": sum(label >= 0 for label in row.labels),
                "truncated": row.truncated,
            }
            for split, group in (("train", rows), ("held_out", held_rows))
            for row in group
        ],
    )


def _train(
    run: runs.Run, rows: list[Row], held_rows: list[Row], tokenizer: "PreTrainedTokenizerFast"
) -> dict[str, Any]:
    """Train, save the adapter, and return the run's numbers."""
    config, folder = run.config, run.folder("train")
    steps = _total_steps(config.train, len(rows))
    checkpoint = last_checkpoint(folder / "checkpoints")
    if checkpoint is not None:
        logger.info("train: going on from step %s", checkpoint.name.removeprefix("checkpoint-"))
    trainer = _make_trainer(config, folder / "checkpoints", steps, (rows, held_rows), tokenizer)
    with console.progress("train", steps) as advance, _graceful_interrupt() as interrupted, _explained(folder):
        from seedtune.train.progress import Recorder

        trainer.add_callback(Recorder(folder / "metrics.jsonl", advance, interrupted, resumed=checkpoint is not None))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if interrupted():
        raise KeyboardInterrupt
    _save_adapter(trainer, tokenizer, config, folder)
    return _numbers(folder / "metrics.jsonl", rows, held_rows, trainer)


def _make_trainer(
    config: Config,
    folder: Path,
    steps: int,
    rows: tuple[list[Row], list[Row]],
    tokenizer: "PreTrainedTokenizerFast",
) -> Any:
    """TRL's trainer over the base model with a fresh adapter; ``rows`` are those for training and the held-out ones."""
    try:
        from datasets import Dataset
        from peft import LoraConfig
        from transformers.trainer_callback import PrinterCallback
        from trl.trainer.sft_trainer import SFTTrainer
    except ImportError as problem:
        raise TrainingError(
            "training needs torch, transformers, trl and peft: pip install 'seedtune[train]'"
        ) from problem
    lora = config.train.lora
    training, held_out = (
        Dataset.from_dict({"input_ids": [r.input_ids for r in group], "labels": [r.labels for r in group]})
        for group in rows
    )
    trainer: Any = SFTTrainer(
        model=models.load_model(config.model, training=True),
        args=_trainer_arguments(config, folder, steps, evaluate=bool(rows[1])),
        train_dataset=training,
        eval_dataset=held_out if rows[1] else None,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
            lora_dropout=lora.dropout,
            target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
            bias="none",
            task_type="CAUSAL_LM",
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Turn what can go wrong while training into errors that say what to do."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as problem:
        raise TrainingError(
            "the GPU's memory is full: lower train.batch_size (and raise train.gradient_accumulation), "
            "lower train.max_length, or set train.gradient_checkpointing=true"
        ) from problem
    except OSError as problem:
        raise TrainingError(
            f"{folder}: cannot be written: {problem.strerror or problem}. Free some space and run again to go on"
        ) from problem


def _total_steps(settings: TrainConfig, rows: int) -> int:
    if settings.max_steps is not None:
        return settings.max_steps
    per_epoch = math.ceil(math.ceil(rows / settings.batch_size) / settings.gradient_accumulation)
    return max(1, math.ceil(per_epoch * settings.epochs))


def _trainer_arguments(config: Config, folder: Path, steps: int, evaluate: bool) -> "SFTConfig":
    """TRL's arguments: ours, and over them the user's ``trainer_args``."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    settings, gpu = config.train, torch.cuda.is_available()
    checkpointing = gpu if settings.gradient_checkpointing is None else settings.gradient_checkpointing
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine" if settings.scheduler == "cosine" else "constant_with_warmup",
        "warmup_steps": settings.warmup,
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": checkpointing,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "fp16": gpu and not torch.cuda.is_bf16_supported(),
        "use_cpu": models.pick_device().type == "cpu",
        "dataloader_pin_memory": gpu,
        # Rows of like length share a batch: on short rows a third of a batch would be padding otherwise.
        "train_sampling_strategy": "group_by_length",
        "seed": config.seed,
        "data_seed": config.seed,
        "eval_strategy": "steps" if evaluate else "no",
        "eval_steps": max(1, math.ceil(steps / settings.evaluations)),
        "eval_on_start": evaluate,
        "save_strategy": "steps",
        "save_steps": max(1, math.ceil(steps / settings.checkpoints)),
        "save_total_limit": 2,
        "logging_steps": max(1, steps // _LOGS_PER_RUN),
        "disable_tqdm": True,
        "report_to": list(settings.report_to) or "none",
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    try:
        return SFTConfig(**{**arguments, **settings.trainer_args})
    except (TypeError, ValueError) as problem:
        raise TrainingError(f"train.trainer_args: {problem}") from problem


@contextmanager
def _graceful_interrupt() -> Generator[Callable[[], bool]]:
    """The first Ctrl-C asks the trainer to save and stop; the second one is Python's own.

    Yields a function that tells whether there was one.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        console.complain("interrupted: saving a checkpoint (Ctrl-C again: stop at once)")
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _save_adapter(trainer: Any, tokenizer: "PreTrainedTokenizerFast", config: Config, folder: Path) -> None:
    """Adapter and tokenizer, whole or not at all."""
    temporary, final = folder / ".adapter", folder / "adapter"
    shutil.rmtree(temporary, ignore_errors=True)
    trainer.model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    path = temporary / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    # Where the embedded model lies in this machine's cache is of no use elsewhere.
    if config.model.name == models.EMBEDDED:
        settings["base_model_name_or_path"] = models.EMBEDDED_HUB_ID
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)


def _numbers(metrics: Path, rows: Sequence[Row], held_rows: Sequence[Row], trainer: Any) -> dict[str, Any]:
    losses = [line["eval_loss"] for _, line in read_json_lines(metrics) if "eval_loss" in line]
    training = [line["loss"] for _, line in read_json_lines(metrics) if "loss" in line]
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    return {
        "rows": len(rows),
        "held_out_rows": len(held_rows),
        "truncated_rows": sum(row.truncated for row in rows),
        "tokens_per_epoch": sum(len(row.input_ids) for row in rows),
        "steps": trainer.state.global_step,
        "trainable_parameters": sum(p.numel() for p in parameters),
        "first_loss": training[0] if training else None,
        "last_loss": training[-1] if training else None,
        "held_out_loss_before": losses[0] if losses else None,
        "held_out_loss_after": losses[-1] if losses else None,
    }
