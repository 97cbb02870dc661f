"""Put a training together from a job, and do it: model, adapter, kernels, passes, trainer. Runs in every process.

torch, transformers, trl and peft are imported when a function needs them.
"""

import dataclasses
import difflib
import logging
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seedtune import console, models
from seedtune.config import Config, TrainConfig
from seedtune.errors import ConfigError, TrainingError
from seedtune.train.gpus import USABLE
from seedtune.train.launch import Job, rank, world_size

if TYPE_CHECKING:
    from trl.trainer.sft_config import SFTConfig

    from seedtune.train.fused.memory import PassPlan
    from seedtune.train.trainer import Trainer

logger = logging.getLogger(__name__)

_NEEDS_TRAIN = "training needs torch, transformers, trl and peft: pip install 'seedtune[train]'"
_LOGS_PER_RUN = 200
_PLAIN_PASS = "rows are padded and layers take their stock way"

OURS = {
    "max_steps": "train.max_steps",
    "num_train_epochs": "train.epochs",
    "per_device_train_batch_size": "train.batch_size",
    "gradient_accumulation_steps": "train.gradient_accumulation",
    "packing": "train.kernels",
    "padding_free": "train.kernels",
    "train_sampling_strategy": "train.kernels",
    "gradient_checkpointing": "train.gradient_checkpointing",
    "eval_strategy": "train.evaluations",
    "load_best_model_at_end": "train.keep",
    "learning_rate": "train.learning_rate",
    "warmup_steps": "train.warmup",
    "max_length": "train.max_length",
    "save_strategy": "train.checkpoints",
    "save_steps": "train.checkpoints",
    "report_to": "train.report_to",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "seed": "seed",
    "data_seed": "seed",
    "output_dir": "runs_dir",
    "dataset_kwargs": "train.data",
}
"""What ``trainer_args`` cannot set, because a setting of ours does."""


def train(job: Job, advance: console.Advance, interrupted: Callable[[], bool]) -> "Trainer":
    """Train to the end, or until the user asks for a stop.

    Args:
        job: What to train on.
        advance: The progress bar; told in the first process alone.
        interrupted: Whether the user asked for a stop.

    Returns:
        The trainer with its model.

    Raises:
        TrainingError: it cannot start or go on.
    """
    from seedtune.train.progress import Keeper, Recorder, Schedule

    trainer = _make_trainer(job)
    first, every = rank() == 0, math.ceil(job.steps / job.config.train.evaluations) if job.held_out else 0
    trainer.add_callback(Schedule(every, interrupted))
    keep = first and job.config.train.keep == "best" and job.config.train.sharding == "ddp"
    trainer.add_callback(Keeper(job.folder, keep, job.config.train.patience, job.history))
    if first:
        per_epoch = trainer.steps.per_epoch
        trainer.add_callback(Recorder(job.folder / "metrics.jsonl", advance, job.checkpoint is not None, per_epoch))
    trainer.train(resume_from_checkpoint=str(job.checkpoint) if job.checkpoint else None)
    return trainer


def _make_trainer(job: Job) -> "Trainer":
    """With fused kernels where they are wanted and right, else with plain ones."""
    try:
        import torch
        import trl  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as problem:
        raise TrainingError(_NEEDS_TRAIN) from problem
    # Passes differ in size: without this a GPU's memory would fall into pieces.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    settings = job.config.train
    device = torch.device(models.pick_device()).type
    able = {"fp8": ("cuda",), "4bit": ("cuda", "cpu"), None: (device,)}[settings.quantization]
    if device not in able:
        raise TrainingError(f"train.quantization={settings.quantization} runs on {' or '.join(able)}, not on {device}")
    reason = plain_reason(job.config, device)
    if reason is None:
        try:
            return _assemble(job, fused=True)
        except _NotFused as problem:
            if settings.kernels == "fused" or settings.quantization == "fp8":
                raise TrainingError(str(problem)) from problem
            reason = str(problem)
    logger.info("train: plain kernels (%s): %s", reason, _PLAIN_PASS)
    return _assemble(job, fused=False)


def plain_reason(config: Config, device: str) -> str | None:
    """Why a config trains with plain kernels; None where fused ones are tried.

    Args:
        config: Of the run.
        device: ``cuda``, ``cpu`` or ``mps``.
    """
    settings = config.train
    if settings.kernels == "plain":
        return "train.kernels"
    if settings.method == "full":
        return "train.method: full"
    if settings.lora.dora:
        return "train.lora.dora"
    if settings.sharding == "fsdp":
        return "train.sharding: fsdp"
    if device not in ("cuda", "cpu"):
        return f"no fused kernels for {device}"
    if str(models.pick_dtype(config.model.dtype, training=False)) == "torch.float16":
        return "float16 needs its loss scaled"
    return None


class _NotFused(Exception):  # noqa: N818 (not an error: there is another way)
    """Fused kernels do not fit this model or machine."""


def _assemble(job: Job, fused: bool) -> "Trainer":
    from transformers.trainer_callback import PrinterCallback

    from seedtune.train.fused.four_bit import keep_trainable
    from seedtune.train.fused.llama import Fusion
    from seedtune.train.steps import Passes, Steps
    from seedtune.train.trainer import Trainer
    from seedtune.train.watch import LossWatch

    config, settings = job.config, job.config.train
    # Made first: it gives each process its GPU.
    arguments = _trainer_arguments(job, fused)
    tokenizer = models.load_tokenizer(config.model)
    full = settings.method == "full"
    model: Any = models.load_model(config.model, training=full, four_bit=settings.quantization == "4bit").train()
    if settings.quantization == "4bit" and model.device.type == "cpu":
        keep_trainable(model)
    _check_vocabulary(model, job)
    padding = int(tokenizer.pad_token_id)  # pyright: ignore[reportArgumentType]
    fusion, passes = None, Passes(False, settings.batch_size, padding)
    if fused:
        plan = _plan_passes(job, model)
        checkpointed = plan.checkpointed_layers
        if settings.gradient_checkpointing is not None:
            checkpointed = model.config.num_hidden_layers if settings.gradient_checkpointing else 0
        fusion = Fusion(float8=settings.quantization == "fp8", checkpointed_layers=checkpointed)
        # The tiles of a GPU's products; a part of one costs as much as the whole.
        passes = Passes(True, plan.tokens, padding, multiple=128 if model.device.type == "cuda" else 1)
    per_step = settings.batch_size * settings.gradient_accumulation * world_size()
    sharded = settings.sharding == "fsdp" and world_size() > 1
    steps = Steps(job.rows, per_step, job.steps, config.seed, passes, rank(), world_size(), in_step=sharded)
    try:
        trainer = Trainer(
            steps,
            job.held_out,
            fusion,
            LossWatch(settings.loss_jump, job.history),
            model=model,
            args=arguments,
            processing_class=tokenizer,
            peft_config=_lora(config) if settings.method == "lora" else None,
        )
        # TRL takes the adapters of 4-bit models to bfloat16, which rounds small steps away.
        for parameter in model.parameters() if settings.quantization == "4bit" else ():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        if fusion is not None:
            _check_kernels(trainer, job, padding)
    except TrainingError as problem:
        if not fused:
            raise
        raise _NotFused(str(problem)) from problem
    except ValueError as problem:
        reason = str(problem).splitlines()[0]
        raise TrainingError(f"train.lora or train.trainer_args do not fit {config.model.name}: {reason}") from problem
    if sharded and not trainer.is_fsdp_enabled:
        raise TrainingError(f"train.sharding=fsdp: models are sharded over GPUs, not on {model.device.type}")
    if settings.sharding == "fsdp" and not sharded:
        logger.warning("train: sharding=fsdp does nothing on one device, which takes plain kernels for it")
    trainer.remove_callback(PrinterCallback)
    return trainer


def _check_kernels(trainer: Any, job: Job, padding: int) -> None:
    from seedtune.train.fused.selftest import check_packed

    shortest = sorted(job.rows, key=lambda row: len(row[0]))[:3]
    check_packed(trainer.model, shortest if len(shortest) > 1 else shortest * 2, padding, trainer.fusion.float8)


def _lora(config: Config) -> Any:
    from peft import LoraConfig

    lora = config.train.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules),
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        bias="none",
        task_type="CAUSAL_LM",
    )


def _plan_passes(job: Job, model: Any) -> "PassPlan":
    """How many tokens the device takes at once.

    Raises:
        TrainingError: a GPU's memory cannot hold the longest row.
    """
    import torch

    from seedtune.train.fused.memory import MOST_TOKENS, PassPlan, Shape, plan_passes, step_bytes

    settings, longest = job.config.train, max(len(ids) for ids, _ in (*job.rows, *_all_held_out(job)))
    if model.device.type != "cuda" or model.config.model_type != "llama":
        # On a CPU a pass wants to stay in its caches. Of other models we know no memory plan: some rows at a time.
        most = 4096 if model.device.type == "cuda" else 1024
        return PassPlan(settings.pass_tokens or max(most, longest), 0)
    shape, quantized = Shape.of(model.config, settings.lora.r), settings.quantization
    available = int(USABLE * (torch.cuda.mem_get_info(model.device)[0] + torch.cuda.memory_reserved(model.device)))
    options = {"float8": quantized == "fp8", "four_bit": quantized == "4bit"}
    plan = plan_passes(shape, longest, available, settings.pass_tokens or max(MOST_TOKENS, longest), **options)
    if plan is None:
        needed = step_bytes(shape, longest, shape.layers, **options)
        shorter = "lower train.max_length" if quantized == "4bit" else "set train.quantization=4bit"
        raise TrainingError(
            f"a row of {longest} tokens needs {needed / 2**30:.1f} GiB with all layers checkpointed, and the GPU has "
            f"{available / 2**30:.1f} GiB to spare: {shorter}, lower train.lora.r, or use a smaller model"
        )
    logger.info(
        "train: passes of at most %d tokens%s",
        plan.tokens,
        f", {plan.checkpointed_layers} of {shape.layers} layers checkpointed" if plan.checkpointed_layers else "",
    )
    return plan


def _all_held_out(job: Job) -> list[Any]:
    return [row for rows in job.held_out.values() for row in rows]


def _check_vocabulary(model: Any, job: Job) -> None:
    highest = max(int(ids.max()) for ids, _ in (*job.rows, *_all_held_out(job)))
    known = model.get_input_embeddings().num_embeddings
    if highest >= known:
        raise TrainingError(
            f"{job.config.model.name}: its tokenizer gives token {highest}, and the model knows {known}: "
            "tokenizer and weights do not belong together"
        )


def _trainer_arguments(job: Job, fused: bool) -> "SFTConfig":
    """TRL's arguments: ours, and over them the user's ``trainer_args``."""
    import torch
    from trl.trainer.sft_config import SFTConfig

    from seedtune.train.trainer import ARGUMENTS, FUSED_ARGUMENTS

    settings, gpu = job.config.train, torch.cuda.is_available()
    checkpointing = gpu if settings.gradient_checkpointing is None else settings.gradient_checkpointing
    logging_steps = max(1, job.steps // _LOGS_PER_RUN)
    save_steps = math.ceil(job.steps / settings.checkpoints)
    arguments: dict[str, Any] = {
        "output_dir": str(job.folder / "checkpoints"),
        "max_steps": job.steps,
        "per_device_eval_batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "cosine" if settings.scheduler == "cosine" else "constant_with_warmup",
        "warmup_steps": settings.warmup,
        "max_grad_norm": settings.max_grad_norm,
        "gradient_checkpointing": checkpointing,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "fp16": gpu and not torch.cuda.is_bf16_supported(),
        "use_cpu": models.pick_device().type == "cpu",
        "dataloader_pin_memory": gpu,
        "optim": "adamw_torch_fused",
        "seed": job.config.seed,
        "data_seed": job.config.seed,
        "eval_on_start": bool(job.held_out) and job.checkpoint is None,
        "save_strategy": "steps",
        # A checkpoint behind each so many lines: the steps since a line would be missing in the next session's.
        "save_steps": math.ceil(save_steps / logging_steps) * logging_steps,
        "save_total_limit": 2,
        "logging_steps": logging_steps,
        "disable_tqdm": True,
        "report_to": list(settings.report_to) or "none",
        **ARGUMENTS,
        **(FUSED_ARGUMENTS if fused else {}),
        **(_fsdp() if settings.sharding == "fsdp" and world_size() > 1 else {}),
    }
    try:
        made = SFTConfig(**{**arguments, **settings.trainer_args})
    except (TypeError, ValueError) as problem:
        raise TrainingError(f"train.trainer_args: {problem}") from problem
    if made.n_gpu > 1:
        # One process takes one GPU, also where the machine has more (train.gpus).
        made._n_gpu = 1  # pyright: ignore[reportPrivateUsage]
    return made


def check_trainer(settings: TrainConfig) -> None:
    """Look at what is passed on to TRL and PEFT, before anything is touched.

    Raises:
        ConfigError: ``trainer_args`` names what TRL does not know or a setting of ours decides, or gives text for a
            number; ``report_to`` names what is not known or not installed; ``lora.target_modules`` names nothing.
        TrainingError: TRL is not installed.
    """
    try:
        from transformers.integrations.integration_utils import get_reporting_integration_callbacks
        from trl.trainer.sft_config import SFTConfig
    except ImportError as problem:
        raise TrainingError(_NEEDS_TRAIN) from problem
    if not settings.lora.target_modules:
        raise ConfigError("train.lora.target_modules: name at least one layer, such as [q_proj], or all-linear")
    known = {field.name: field for field in dataclasses.fields(SFTConfig)}
    for name, value in settings.trainer_args.items():
        place = f"train.trainer_args.{name}"
        if name in OURS:
            raise ConfigError(f"{place}: is set by {OURS[name]}; use that")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{place}: TRL's SFTConfig has no such setting{advice}")
        if isinstance(known[name].default, int | float) and not isinstance(value, int | float):
            raise ConfigError(f"{place}: expected {type(known[name].default).__name__}, not {value!r}")
    try:
        for callback in get_reporting_integration_callbacks(list(settings.report_to)):
            callback()
    except (ImportError, RuntimeError, ValueError) as problem:
        raise ConfigError(f"train.report_to: {problem}") from problem


def _fsdp() -> dict[str, Any]:
    """Each layer's weights over all devices (FSDP2), gathered when the layer runs."""
    return {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "state_dict_type": "FULL_STATE_DICT",
            "reshard_after_forward": True,
        },
    }
