"""Fine-tuning."""

import re
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator

from seedtune.config.section import Section, UserPath

_EXPONENT = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def _with_numbers(value: object) -> object:
    """YAML 1.1 reads ``1e-3``, without a point, as text; a field of ours knows better, a value for TRL does not."""
    if isinstance(value, dict):
        return {key: _with_numbers(child) for key, child in cast("dict[str, object]", value).items()}
    return float(value) if isinstance(value, str) and _EXPONENT.fullmatch(value) else value


class LoraConfig(Section):
    """The adapter. Its effective scale is alpha / r, with ``rslora`` alpha / sqrt(r)."""

    r: int = Field(default=64, ge=1, le=1024)
    """Rank."""
    alpha: float = Field(default=16, gt=0)
    rslora: bool = False
    """Scale by alpha / sqrt(r), so that a larger rank does not shrink what each step changes (Kalajdzievski, 2023)."""
    dora: bool = False
    """Learn magnitude and direction apart (DoRA, Liu et al., 2024); slower, plain kernels only."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    """``all-linear``, or the names of the layers, e.g. [q_proj, v_proj]."""
    allow_large_alpha: bool = False
    """Alpha of 32 and more is refused unless this is set."""

    @model_validator(mode="after")
    def _guard_alpha(self) -> Self:
        if self.alpha >= 32 and not self.allow_large_alpha:
            raise ValueError(
                f"alpha is {self.alpha:g}; 32 and more tends to overwrite what the base model knows. "
                "Use a smaller alpha, or set train.lora.allow_large_alpha=true"
            )
        return self

    @property
    def scale(self) -> float:
        """What the adapter's output is multiplied by."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)


class TrainConfig(Section):
    """Supervised fine-tuning with LoRA."""

    method: Literal["lora", "full"] = "lora"
    """``full`` trains every weight, for comparison: some nine times the memory, and a whole model in the end."""
    include_seeds: bool = True
    """Train on the packs' seed tasks too, not only on what was generated."""
    data: tuple[UserPath, ...] = ()
    """More examples: JSON Lines of instruction, input and output. With these, nothing need have been generated."""
    computed_tasks: int = Field(default=0, ge=0)
    """So many tasks that the domain makes from its own data, with computed answers, beside the others.
    With these, as with ``data``, nothing need have been generated."""
    computed_levels: tuple[Literal[1, 2, 3], ...] = Field(default=(1, 2, 3), min_length=1)
    """Levels of these tasks: 1 is short enough for small models."""
    epochs: float = Field(default=3, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; overrides epochs."""
    batch_size: int = Field(default=4, ge=1)
    """Rows per device and step, and at once where rows are padded. Packing does not change it: see ``pass_tokens``."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """So many times as many rows make one step."""
    kernels: Literal["auto", "fused", "plain"] = "auto"
    """``fused``: rows without padding, several operations in one kernel. ``auto``: fused for a LoRA on a model like
    LLaMA, after a test that rows packed together give what each gives alone; plain otherwise."""
    pass_tokens: int | None = Field(default=None, ge=16)
    """The rows of a step are packed into passes of at most so many tokens; None is what suits the device's memory."""
    quantization: Literal["fp8", "4bit"] | None = None
    """Of the frozen weights while training. ``fp8``: faster on GPUs that have it, for a third more memory. ``4bit``:
    QLoRA, for a quarter of the memory; needs bitsandbytes."""
    gpus: int | None = Field(default=None, ge=1)
    """GPUs of this machine to train on; None is all of them."""
    sharding: Literal["ddp", "fsdp"] = "ddp"
    """Several GPUs: a whole model on each, or with ``fsdp`` a part of it, where it does not fit (plain kernels)."""
    learning_rate: float = Field(default=1e-4, gt=0)
    scheduler: Literal["cosine", "constant"] = "cosine"
    """Both after the warm-up."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps with a rising learning rate."""
    max_grad_norm: float = Field(default=0.3, gt=0)
    max_length: int = Field(default=1024, ge=16)
    """In tokens, prompt and answer together."""
    too_long: Literal["cut", "drop"] = "cut"
    """What becomes of a longer row: the end of its answer is cut off, or the row is left out. Either is reported."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    """Share of the examples kept from training for the held-out loss."""
    evaluations: int = Field(default=4, ge=1)
    """How often the held-out loss is measured, evenly over the run."""
    keep: Literal["best", "last"] = "best"
    """The weights to end with: those of the lowest held-out loss, or those of the last step."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many measurements without a lower held-out loss; None never does."""
    loss_jump: float | None = Field(default=5, gt=1)
    """Stop at a step whose loss is this many times the usual one (the median of 50 steps), by 1 or more above it,
    half as high again as the highest of them, and above every held-out loss of the untrained model; None never does. A
    loss that is no number always stops the run."""
    checkpoints: int = Field(default=8, ge=1)
    """How often the run can be resumed from, evenly over the run; the last two are kept."""
    gradient_checkpointing: bool | None = None
    """Trade time for memory; None is as many layers as the memory asks for (plain kernels: on with a GPU)."""
    report_to: tuple[str, ...] = ()
    """``trackio``, ``wandb``, ``tensorboard``: besides metrics.jsonl."""
    lora: LoraConfig = LoraConfig()
    trainer_args: Annotated[dict[str, Any], BeforeValidator(_with_numbers)] = Field(default_factory=dict)
    """Passed to TRL's SFTConfig as they stand, and recorded."""

    @model_validator(mode="after")
    def _kernels_fit(self) -> Self:
        plain = [
            (self.method == "full", "method: full"),
            (self.lora.dora, "lora.dora"),
            (self.sharding == "fsdp", "sharding: fsdp"),
        ]
        reasons = [name for wanted, name in plain if wanted]
        if reasons and self.kernels == "fused":
            raise ValueError(f"{reasons[0]} needs kernels: plain (or auto)")
        if self.quantization == "fp8" and (reasons or self.kernels == "plain"):
            raise ValueError(f"quantization: fp8 needs fused kernels, and {(*reasons, 'kernels: plain')[0]} plain ones")
        if self.quantization and self.method == "full":
            raise ValueError("quantization freezes the weights, and method: full trains them; use one of the two")
        if self.pass_tokens is not None and self.pass_tokens < self.max_length:
            raise ValueError(
                f"pass_tokens is {self.pass_tokens}, less than the longest row, max_length = {self.max_length}"
            )
        return self
