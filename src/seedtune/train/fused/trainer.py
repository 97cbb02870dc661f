"""TRL's trainer, fed with packed batches, through a fused model, without ever waiting for the GPU.

What the stock loop asks the GPU for at each step (loss, accuracy, token counts) is summed on the device and read when
a line is logged. Base model and adapters keep the precision they have: no autocast.
"""

import functools
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler
from trl.trainer.sft_trainer import SFTTrainer

from seedtune.train.fused.llama import Fusion, PackedLoss, fuse
from seedtune.train.fused.packing import Batch, Collator, PackedRows, only

ARGUMENTS: dict[str, Any] = {
    # The projections cast the adapters themselves; autocast would cast every input a second time.
    "bf16": False,
    "fp16": False,
    # It reads the loss at each step.
    "logging_nan_inf_filter": False,
    # Layers are checkpointed by Fusion.checkpointed_layers.
    "gradient_checkpointing": False,
    "optim": "adamw_torch_fused",
    # A blocking copy of the next batch waits until the GPU has done this one.
    "accelerator_config": {"non_blocking": True},
}
"""What SFTConfig must be given."""


class FusedTrainer(SFTTrainer):
    """An SFTTrainer whose training batches have no padding; evaluation goes the stock way.

    Args:
        packed: Training batches made ahead, each step one of them; the order is drawn anew each epoch. None: those rows
            that the stock trainer would take for a step, in one batch; same rows, same steps, same losses.
        fusion: Which pieces of the model are fused.
        shuffle: Off: packed batches come as they stand.
        arguments: As SFTTrainer takes them; ``args`` made with :data:`ARGUMENTS`.
    """

    def __init__(
        self, packed: PackedRows | None = None, fusion: Fusion | None = None, shuffle: bool = True, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        fuse(self.model, fusion or Fusion())
        model = cast("Any", self.model)
        model.train = functools.partial(_switch, model)
        self._packed = packed
        self._shuffle = shuffle
        self._flops: dict[int, int] = {}
        self._hits = torch.zeros((), device=self.args.device)
        self._trained = self._tokens = 0

    def get_train_dataloader(self) -> Any:
        """Packed batches as they stand, or the stock loader with another collator."""
        if self._packed is None:
            stock, self.data_collator = self.data_collator, Collator(cast("int", self._tokenizer.pad_token_id))
            try:
                return super().get_train_dataloader()
            finally:
                self.data_collator = stock
        sampler = RandomSampler(self._packed) if self._shuffle else SequentialSampler(self._packed)
        loader: DataLoader[Batch] = DataLoader(
            self._packed, batch_size=1, sampler=sampler, collate_fn=only, pin_memory=self.args.dataloader_pin_memory
        )
        return self.accelerator.prepare(loader)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the trained tokens of the whole optimizer step."""
        if "places" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs.pop("labels")
        tokens = cast("int", inputs.pop("num_tokens"))
        outputs = cast("PackedLoss", model(**inputs))
        trained = inputs["places"].numel()
        count = trained if num_items_in_batch is None else num_items_in_batch
        loss = outputs.loss / torch.as_tensor(count, device=outputs.loss.device).clamp(min=1)
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        if model.training:
            self._hits = self._hits + outputs.hits.detach()
            self._trained += trained
            self._tokens += tokens
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Read what was summed since the last log, here alone."""
        if cast("Any", self.model).training and self._tokens:
            sums = torch.tensor(
                [self._hits.item(), self._trained, self._tokens], dtype=torch.float64, device=self._hits.device
            )
            hits, trained, tokens = cast("torch.Tensor", self.accelerator.reduce(sums, "sum")).tolist()
            self._hits, self._trained, self._tokens = torch.zeros_like(self._hits), 0, 0
            self._total_train_tokens += int(tokens)
            self._metrics["train"]["mean_token_accuracy"] = [hits / max(trained, 1.0)]
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """As the base class counts them; it walks through all parameters, so once for each size."""
        tokens = inputs["input_ids"].numel()
        if tokens not in self._flops:
            self._flops[tokens] = super().floating_point_ops(inputs)
        return self._flops[tokens]


def _switch(model: Any, mode: bool = True) -> Any:
    """``model.train(mode)`` as the loop calls it at each step, without a walk through thousands of modules."""
    return model if model.training == mode else type(model).train(model, mode)
