"""TRL's trainer over steps of our own: packed rows through fused kernels, or padded ones the stock way.

Optimizer, schedule, checkpoints and logging are TRL's. What its loop asks the device for at each step (loss, accuracy,
token counts) is summed on the device and read when a line is logged, so that a GPU never waits for the host.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import transformers
from datasets import Dataset
from torch.utils.data import DataLoader
from trl.trainer.sft_trainer import SFTTrainer

from seedtune.errors import TrainingError
from seedtune.train.fused.llama import Fusion, PackedLoss, fuse
from seedtune.train.fused.packing import Batch, Tokens
from seedtune.train.steps import Step, Steps
from seedtune.train.watch import LossWatch

FUSED_ARGUMENTS: dict[str, Any] = {
    # The projections cast the adapters themselves; autocast would cast every input a second time.
    "bf16": False,
    "fp16": False,
    # Layers are checkpointed by Fusion.checkpointed_layers.
    "gradient_checkpointing": False,
}
"""What SFTConfig must be given for a fused model, besides :data:`ARGUMENTS`."""

ARGUMENTS: dict[str, Any] = {
    # A step is one item of Steps, however many passes it takes.
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    # It reads the loss at each step.
    "logging_nan_inf_filter": False,
    # Every adapter is used in every pass.
    "ddp_find_unused_parameters": False,
    "max_length": None,
    "dataset_kwargs": {"skip_prepare_dataset": True},
}
"""What SFTConfig must be given."""


class BadStep(TrainingError):  # noqa: N818 (it tells of a step)
    """The loss of a step is no number, or far above those before it.

    Attributes:
        step: Its number, from 0.
        loss: Its loss.
    """

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss of step {step + 1} is {loss:.4g}")
        self.step = step
        self.loss = loss


class Trainer(SFTTrainer):
    """An SFTTrainer that does the steps of :class:`Steps` and measures the held-out loss of each family of rows.

    Args:
        steps: What each step is trained on.
        held_out: Rows that are not trained on, by family.
        fusion: The pieces of the model to be fused; None: the stock way, for padded passes.
        watch: Looks at each step's loss.
        arguments: As SFTTrainer takes them; ``args`` made with :data:`ARGUMENTS`.
    """

    def __init__(
        self,
        steps: Steps,
        held_out: Mapping[str, Sequence[Tokens]] | None = None,
        fusion: Fusion | None = None,
        watch: LossWatch | None = None,
        **arguments: Any,
    ) -> None:
        ids, labels = steps.rows[0]
        # It wants to see a dataset; the batches come from the steps.
        sample = Dataset.from_dict({"input_ids": [ids], "labels": [labels]})
        super().__init__(train_dataset=sample, **arguments)
        self.fusion = fusion
        if fusion is not None:
            fuse(self.model, fusion)
        self.steps = steps
        self._held_out = {family: steps.passes.of(rows) for family, rows in (held_out or {}).items() if rows}
        self._watch = watch or LossWatch(None)
        self._flops_per_token: int | None = None
        self._hits: torch.Tensor | None = None
        self._trained = self._useful = 0
        self._losses: list[tuple[int, torch.Tensor]] = []
        self._since = time.monotonic()

    def get_train_dataloader(self) -> Any:
        """One item a step, made on the host while the device works on the one before."""
        pinned = self.args.dataloader_pin_memory and self.args.device.type == "cuda"
        return DataLoader(self.steps, batch_size=1, collate_fn=_only, pin_memory=pinned)

    def training_step(self, model: Any, inputs: Step, num_items_in_batch: Any = None) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Forward and backward over all passes of a step; the mean loss of its trained tokens."""
        if not model.training:
            # Not at every step: it walks through thousands of modules.
            model.train()
        # Gradients are averaged over the devices, and the mean is to be over the tokens of all of them.
        factor = self.args.world_size / max(1, inputs["trained"])
        total = torch.zeros((), device=self.args.device)
        last = len(inputs["passes"]) - 1
        for number, batch in enumerate(inputs["passes"]):
            waits = contextlib.nullcontext() if number == last else self.accelerator.no_sync(model)
            with waits, self.maybe_activation_offload_context:
                with self.compute_loss_context_manager():
                    loss, hits = self._sums(model, batch)
                self.accelerator.backward(loss * factor)
            total += loss.detach() * factor
            self._hits = hits.detach() if self._hits is None else self._hits + hits.detach()
        self._trained += inputs["trained"]
        self._useful += inputs["tokens"]
        self._losses.append((inputs["number"], total))
        return total

    def _sums(self, model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Cross-entropy of a batch's trained tokens, summed, and how many of them had the highest logit."""
        moved = {
            key: value.to(self.args.device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for key, value in batch.items()
        }
        if "places" in moved:
            packed = cast("PackedLoss", model(**moved))
            return packed.loss, packed.hits
        padded = model(**moved, use_cache=False, fused_lm_head=True)
        return -padded.log_probs.sum(), padded.is_top1.sum()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Read what was summed since the last log, here alone.

        Raises:
            BadStep: the loss of a step in between is no number, or far above those before it.
        """
        if "loss" in logs and self._hits is not None:
            logs |= self._read_sums()
        # SFTTrainer would add means of what its own loop collects.
        transformers.Trainer.log(self, logs, start_time)

    def _read_sums(self) -> dict[str, float]:
        hits = cast("torch.Tensor", self._hits).to(torch.float64)
        useful = torch.tensor(self._useful, dtype=torch.float64, device=hits.device)
        sums = torch.stack([hits, useful, *(loss.to(torch.float64) for _, loss in self._losses)])
        found = cast("torch.Tensor", self.accelerator.reduce(sums, "sum")).tolist()
        losses = [loss / self.args.world_size for loss in found[2:]]
        for (number, _), loss in zip(self._losses, losses, strict=True):
            if self._watch.is_bad(loss):
                raise BadStep(number, loss)
        now = time.monotonic()
        read = {
            "mean_token_accuracy": found[0] / max(1, self._trained),
            "num_tokens": float(self.steps.tokens_before(self.state.global_step)),
            "tokens_per_second": round(found[1] / max(1e-9, now - self._since), 1),
        }
        if hits.is_cuda:
            read["peak_gpu_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        self._hits, self._trained, self._useful, self._since = None, 0, 0, now
        self._losses.clear()
        return read

    def evaluate(self, *arguments: Any, **rest: Any) -> dict[str, float]:
        """The held-out loss: a mean over all tokens of completions, and one for each family where there are several."""
        began = time.monotonic()
        model = cast("Any", self.model)
        model.eval()
        passes = [(number, batch) for number, group in enumerate(self._held_out.values()) for batch in group]
        sums = torch.zeros(len(self._held_out), 3, dtype=torch.float64, device=self.args.device)
        # A sharded model computes together: each device then takes all of them.
        together = self.is_fsdp_enabled
        own = passes if together else passes[self.args.process_index :: self.args.world_size]
        with torch.no_grad(), self.compute_loss_context_manager():
            for number, batch in own:
                loss, hits = self._sums(model, batch)
                sums[number] += torch.stack([loss.double(), hits.double(), torch.tensor(_trained(batch)).to(loss)])
        summed = sums if together else cast("torch.Tensor", self.accelerator.reduce(sums, "sum"))
        model.train()
        loss, hits, trained = summed.sum(0).tolist()
        metrics = {"eval_loss": loss / max(1, trained), "eval_mean_token_accuracy": hits / max(1, trained)}
        if len(self._held_out) > 1:
            for family, (part, _, count) in zip(self._held_out, summed.tolist(), strict=True):
                metrics[f"eval_loss/{family}"] = part / max(1, count)
        self._watch.measured(metrics)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        # Speed is counted without this.
        self._since += time.monotonic() - began
        return metrics

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """As the base class counts them; it walks through all parameters, so once for a single token."""
        if self._flops_per_token is None:
            self._flops_per_token = super().floating_point_ops({"input_ids": torch.zeros(1, 1)})
        return self._flops_per_token * inputs["tokens"]


def _trained(batch: Batch) -> int:
    if "targets" in batch:
        return cast("torch.Tensor", batch["targets"]).numel()
    return int((cast("torch.Tensor", batch["labels"])[:, 1:] >= 0).sum())


def _only(steps: list[Step]) -> Step:
    """The one step of a list of one."""
    (step,) = steps
    return step
