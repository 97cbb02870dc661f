"""Train the adapter: examples -> rows -> trainer -> adapter folder.

Checkpoints are written evenly over the run; after a crash or Ctrl-C the same command goes on from the last whole one,
with the very numbers that an unbroken run would have had.
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
from seedtune.train import launch
from seedtune.train.card import model_card
from seedtune.train.checkpoints import last_checkpoint
from seedtune.train.corpus import generated_file, read_corpus, refuse_errors
from seedtune.train.dataset import Row, split_examples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from seedtune.train.trainer import BadStep

logger = logging.getLogger(__name__)

_HOW_NOT_WHAT = {"report_to", "pass_tokens", "gradient_checkpointing", "checkpoints", "gpus"}
"""Settings that do not change what is learned: a run goes on, and stays done, whatever they are."""


def run_train(run: runs.Run, domain: Domain) -> None:
    """Do the stage, or what is left of it; nothing if it is done.

    Raises:
        DataError: nothing to train on.
        TrainingError: it cannot start or go on.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint saved.
    """
    from seedtune.train.build import check_trainer
    from seedtune.train.check import before_training

    config = run.config
    corpus, faults = read_corpus(config, domain, _generated_file(run))
    refuse_errors(faults)
    fingerprint = runs.fingerprint(
        config.train.model_dump(mode="json", exclude=_HOW_NOT_WHAT),
        config.model.model_dump(mode="json"),
        [config.seed, domain.file.system_prompt],
        [[example.task.id, example.source, example.pack] for example in corpus.examples],
    )
    if run.is_done("train", fingerprint):
        logger.info("train: done before")
        launch.hand_out(None)
        return
    check_trainer(config.train)
    tokenizer = models.load_tokenizer(config.model)
    made = before_training(config, domain, tokenizer, corpus, faults)
    # Not before: what cannot be trained must not push aside what was trained.
    if run.stage("train").get("fingerprint") != fingerprint:
        _say_what_changed(run)
        run.set_aside_if_other("train", fingerprint)
    folder = run.folder("train")
    with run.working("train", fingerprint) as done:
        training, _ = split_examples([row.example for row in made], config.train.held_out, config.seed)
        training_ids = {example.task.id for example in training}
        rows = [row for row in made if row.example.task.id in training_ids]
        held_rows = [row for row in made if row.example.task.id not in training_ids]
        _record_rows(folder / "rows.jsonl", rows, held_rows)
        numbers = _train(run, rows, held_rows, tokenizer)
        adapter = folder / "adapter"
        write_atomic(adapter / "README.md", model_card(run, domain, numbers))
        tuned = [adapter / name for name in runs.tuned_files(config)]
        done([*tuned, folder / "metrics.jsonl", folder / "rows.jsonl"], numbers)


_SETTINGS = "settings.json"
"""What the stage's folder was made with."""
_PER_STEP = "rows_per_step"
_SMALL_SCALE = 0.5


def _settings(config: Config) -> dict[str, Any]:
    train = config.train.model_dump(mode="json")
    return {"train": train, "model": config.model.model_dump(mode="json"), "seed": config.seed}


def _say_what_changed(run: runs.Run) -> None:
    """Name the settings that differ from those that the stage's folder was made with."""
    path = run.path / "train" / _SETTINGS
    if not path.is_file():
        return
    before, now = _flat(json.loads(path.read_text(encoding="utf-8"))), _flat(_settings(run.config))
    changed = [
        f"{key}: {before.get(key)} -> {now.get(key)}"
        for key in sorted({*before, *now} - {_PER_STEP})
        if before.get(key) != now.get(key) and key.removeprefix("train.") not in _HOW_NOT_WHAT
    ]
    what = f"settings have changed since: {'; '.join(changed)}" if changed else "its rows have changed since"
    logger.warning("train: training begins anew, because %s", what)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return found


def _generated_file(run: runs.Run) -> Path | None:
    """What was generated, once all of it is there; None where other rows stand in for it.

    Raises:
        DataError: nothing stands in.
    """
    path = generated_file(run.config)
    if path is not None and run.stage("generate").get("state") == "done":
        return path
    if run.config.train.data or run.config.train.computed_tasks:
        if path is not None:
            logger.warning("train: %s is not finished, and is not trained on: see 'seedtune generate'", path)
        return None
    raise DataError(
        f"{run.path}: nothing is generated yet: run 'seedtune generate' first, or set train.data or "
        "train.computed_tasks"
    )


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
    from seedtune.train import build
    from seedtune.train.trainer import BadStep

    config, folder = run.config, run.folder("train")
    checkpoint = last_checkpoint(folder / "checkpoints")
    if checkpoint is None:
        shutil.rmtree(folder / "best", ignore_errors=True)
    count = launch.wanted_processes(config)
    job = _job(config, folder, checkpoint, (rows, held_rows), count)
    _say_scale(config.train)
    try:
        with (
            launch.team(count),
            console.progress("train", job.steps) as advance,
            _graceful_interrupt() as interrupted,
            _explained(folder),
        ):
            launch.hand_out(job)
            trainer = build.train(job, advance, interrupted)
    except BadStep as problem:
        raise _named(problem, job, rows, folder) from problem
    if interrupted():
        raise KeyboardInterrupt
    with _explained(folder):
        best = _save(trainer, tokenizer, config, folder)
    return _numbers(folder / "metrics.jsonl", rows, held_rows, trainer, best)


def _job(
    config: Config, folder: Path, checkpoint: Path | None, rows: tuple[list[Row], list[Row]], processes: int
) -> launch.Job:
    from seedtune.train.estimate import optimizer_steps
    from seedtune.train.progress import metrics_until

    training, held_out = rows
    per_step = config.train.batch_size * config.train.gradient_accumulation * processes
    history: list[dict[str, Any]] = []
    if checkpoint is None:
        write_atomic(folder / _SETTINGS, json.dumps(_settings(config) | {_PER_STEP: per_step}, indent=2) + "\n")
    else:
        _check_same_steps(folder / _SETTINGS, per_step, config.train)
        done = int(checkpoint.name.removeprefix("checkpoint-"))
        logger.info("train: going on from step %d", done)
        history = metrics_until(folder / "metrics.jsonl", done)
    families: dict[str, list[Any]] = {}
    for row in held_out:
        families.setdefault(row.example.pack, []).append(_tokens(row))
    steps = optimizer_steps(config.train, len(training), processes)
    return launch.Job(config, folder, checkpoint, steps, [_tokens(row) for row in training], families, history)


def _check_same_steps(path: Path, per_step: int, settings: TrainConfig) -> None:
    """A run that was begun on other hardware may go on only with steps of as many rows."""
    if not path.is_file():
        return
    before = json.loads(path.read_text(encoding="utf-8")).get(_PER_STEP, per_step)
    if before != per_step:
        raise TrainingError(
            f"{path.parent}: begun with {before} rows a step, and here a step would have {per_step} "
            f"(train.batch_size {settings.batch_size} x train.gradient_accumulation {settings.gradient_accumulation} x "
            "GPUs): go on with as many GPUs as before (train.gpus), or give this run another name"
        )


def _tokens(row: Row) -> Any:
    import numpy as np

    return np.array(row.input_ids, np.int64), np.array(row.labels, np.int64)


def _say_scale(settings: TrainConfig) -> None:
    lora = settings.lora
    if settings.method == "full":
        logger.info("train: all weights are trained")
        return
    logger.info("train: the adapter's effective scale is %.3g (alpha %g, r %d)", lora.scale, lora.alpha, lora.r)
    if lora.scale < _SMALL_SCALE and not lora.rslora:
        logger.info(
            "train: that is little for a rank of %d; train.lora.rslora=true would make it %.3g (alpha / sqrt(r))",
            lora.r,
            lora.alpha / lora.r**0.5,
        )


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    """Turn what can go wrong while training into errors that say what to do."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError as problem:
        raise TrainingError(
            "the GPU's memory is full: lower train.pass_tokens or train.batch_size (raise train.gradient_accumulation "
            "as much), lower train.max_length, set train.gradient_checkpointing=true, or train.quantization=4bit. "
            "'seedtune plan' says what fits"
        ) from problem
    except (OSError, SafetensorError, RuntimeError) as problem:
        # What torch.save raises when the disk is full comes from this file of its source.
        if isinstance(problem, RuntimeError) and "inline_container" not in str(problem):
            raise
        why = getattr(problem, "strerror", None) or str(problem).splitlines()[0]
        raise TrainingError(f"{folder}: cannot be written: {why}. Free some space and run again to go on") from problem


def _named(problem: "BadStep", job: launch.Job, rows: Sequence[Row], folder: Path) -> TrainingError:
    """Save the rows of a step whose loss went wrong, and say which they are."""
    from seedtune.train.steps import Passes, Steps

    settings = job.config.train
    per_step = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))[_PER_STEP]
    steps = Steps(job.rows, per_step, job.steps, job.config.seed, Passes(False, settings.batch_size, 0))
    chosen = [rows[number] for number in steps.rows_of(problem.step)]
    path = folder / "bad-step.jsonl"
    write_records(
        path,
        [
            {
                "step": problem.step + 1,
                "id": row.example.task.id,
                "pack": row.example.pack,
                "tokens": len(row.input_ids),
                "instruction": row.example.task.instruction,
                "input": row.example.task.input,
                "output": row.example.task.output,
            }
            for row in chosen
        ],
    )
    if math.isfinite(problem.loss):
        what = f"jumped to {problem.loss:.3g}"
        advice = (
            "look for broken text among them, lower train.learning_rate, or raise train.loss_jump if they are sound"
        )
    elif problem.step == 0:
        what = "is no number, and nothing has been learned yet"
        advice = f"the weights of {job.config.model.name} hold no numbers, or model.dtype is too narrow for them"
    else:
        what = "is no number"
        advice = "lower train.learning_rate, or look for broken text among them"
    few = ", ".join(row.example.task.id for row in chosen[:4]) + (", ..." if len(chosen) > 4 else "")
    return TrainingError(
        f"the loss of step {problem.step + 1} {what}: training stopped. Its {len(chosen)} rows ({few}) are in {path}: "
        f"{advice}"
    )


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


def _save(trainer: Any, tokenizer: "PreTrainedTokenizerFast", config: Config, folder: Path) -> dict[str, Any] | None:
    """Weights and tokenizer, whole or not at all.

    Returns:
        Step and held-out loss of the best weights, if those are the ones saved.
    """
    from seedtune.train.progress import BEST, read_best

    temporary, final = folder / ".adapter", folder / "adapter"
    shutil.rmtree(temporary, ignore_errors=True)
    best = read_best(folder) if config.train.keep == "best" else None
    if best is not None:
        shutil.copytree(folder / BEST, temporary, ignore=shutil.ignore_patterns("best.json", "README.md"))
        if best["step"] < trainer.state.global_step:
            logger.info("train: kept the weights of step %d, whose held-out loss was lowest", best["step"])
    elif config.train.sharding == "fsdp" and trainer.args.world_size > 1:
        # The parts were put together for the last checkpoint; here each process has its own alone.
        checkpoint = folder / "checkpoints" / f"checkpoint-{trainer.state.global_step}"
        shutil.copytree(
            checkpoint, temporary, ignore=shutil.ignore_patterns("*.pt", "*.pth", "*.bin", "trainer_state*")
        )
    else:
        trainer.model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    path = temporary / "adapter_config.json"
    if path.is_file():
        settings = json.loads(path.read_text(encoding="utf-8"))
        # Where the embedded model lies in this machine's cache is of no use elsewhere.
        if config.model.name == models.EMBEDDED:
            settings["base_model_name_or_path"] = models.EMBEDDED_HUB_ID
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(final, ignore_errors=True)
    temporary.rename(final)
    return best


def _numbers(
    metrics: Path, rows: Sequence[Row], held_rows: Sequence[Row], trainer: Any, best: dict[str, Any] | None
) -> dict[str, Any]:
    lines = [line for _, line in read_json_lines(metrics)]
    losses = [line["eval_loss"] for line in lines if "eval_loss" in line]
    training = [line["loss"] for line in lines if "loss" in line]
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    return {
        "rows": len(rows),
        "held_out_rows": len(held_rows),
        "truncated_rows": sum(row.truncated for row in rows),
        "tokens_per_epoch": sum(len(row.input_ids) for row in rows),
        "steps": trainer.state.global_step,
        "rows_per_step": trainer.steps.per_step,
        "kept_step": best["step"] if best else trainer.state.global_step,
        "kernels": "plain" if trainer.fusion is None else "fused",
        "peak_gpu_gib": _peak_gib(),
        "trainable_parameters": sum(p.numel() for p in parameters),
        "first_loss": training[0] if training else None,
        "last_loss": training[-1] if training else None,
        "held_out_loss_before": losses[0] if losses else None,
        "held_out_loss_after": (best["held_out_loss"] if best else losses[-1]) if losses else None,
    }


def _peak_gib() -> float | None:
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if torch.cuda.is_available() else None
