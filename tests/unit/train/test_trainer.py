"""The trainer's steps give the losses of TRL's trainer over padded rows, however the rows are passed through."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from seedtune.errors import TrainingError
from seedtune.train.fused import attention
from seedtune.train.fused.llama import Fusion, fuse
from seedtune.train.fused.packing import IGNORED, Tokens
from seedtune.train.fused.selftest import check_packed
from seedtune.train.steps import Passes, Steps
from seedtune.train.trainer import ARGUMENTS, FUSED_ARGUMENTS, BadStep, Trainer
from seedtune.train.watch import LossWatch

STEPS, ROWS_A_STEP = 4, 4
PACKED, PADDED = Passes(True, 200, 0), Passes(False, 2, 0)


def rows() -> list[Tokens]:
    """The first two tokens of each are prompt."""
    generator = np.random.default_rng(0)
    ids = [generator.integers(5, 260, 5 + 3 * i) for i in range(STEPS * ROWS_A_STEP)]
    return [(row, np.where(np.arange(len(row)) < 2, IGNORED, row)) for row in ids]


class InOrder(Steps):
    """As the rows stand."""

    def rows_of(self, step: int) -> list[int]:
        return list(range(len(self.rows)))[step * self.per_step : (step + 1) * self.per_step]


def settings(folder: Path, tiny_llama: Path, **extra: Any) -> dict[str, Any]:
    arguments = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
    }
    return {
        "model": AutoModelForCausalLM.from_pretrained(tiny_llama),
        "args": SFTConfig(**{**arguments, **extra}),
        "processing_class": AutoTokenizer.from_pretrained(tiny_llama),
        "peft_config": LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    }


def trainer(
    folder: Path, tiny_llama: Path, passes: Passes = PACKED, watch: LossWatch | None = None, **extra: Any
) -> Trainer:
    fused = FUSED_ARGUMENTS if passes.packed else {}
    given = settings(folder, tiny_llama, **{**ARGUMENTS, **fused, **extra})
    steps = InOrder(rows(), ROWS_A_STEP, STEPS, 0, passes)
    held_out = {"short": rows()[:3], "long": rows()[-3:]}
    return Trainer(steps, held_out, Fusion() if passes.packed else None, watch, **given)


def history(trainer: Any) -> list[dict[str, float]]:
    trainer.train()
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize(
    "passes",
    [PACKED, Passes(True, 60, 0), Passes(True, 200, 0, multiple=64), PADDED, Passes(False, 4, 0)],
    ids=["one packed pass", "several", "filled up", "two padded passes", "one"],
)
def test_losses_gradients_and_accuracy_are_those_of_the_padded_recipe(
    tiny_llama: Path, tmp_path: Path, passes: Passes
) -> None:
    made = rows()
    dataset = Dataset.from_dict({"input_ids": [r[0] for r in made], "labels": [r[1] for r in made]})
    given = settings(
        tmp_path, tiny_llama, per_device_train_batch_size=ROWS_A_STEP, train_sampling_strategy="sequential"
    )
    stock = history(SFTTrainer(**given, train_dataset=dataset))
    ours = history(trainer(tmp_path, tiny_llama, passes))
    assert len(stock) == len(ours) == STEPS
    for right, tested in zip(stock, ours, strict=True):
        assert tested["loss"] == pytest.approx(right["loss"], rel=1e-5)
        assert tested["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-4)
        assert tested["mean_token_accuracy"] == pytest.approx(right["mean_token_accuracy"], abs=1e-6)
        assert tested["num_tokens"] == right["num_tokens"]
    assert len({line["loss"] for line in stock}) == STEPS


def test_what_is_logged_seldom_is_the_mean_of_what_was_in_between(tiny_llama: Path, tmp_path: Path) -> None:
    often = history(trainer(tmp_path, tiny_llama))
    (once,) = history(trainer(tmp_path, tiny_llama, logging_steps=STEPS))
    assert once["loss"] == pytest.approx(sum(line["loss"] for line in often) / STEPS, rel=1e-5)
    made = rows()
    trained = [sum(len(ids) - 2 for ids, _ in made[i : i + ROWS_A_STEP]) for i in range(0, len(made), ROWS_A_STEP)]
    hits = sum(line["mean_token_accuracy"] * n for line, n in zip(often, trained, strict=True))
    assert once["mean_token_accuracy"] == pytest.approx(hits / sum(trained), rel=1e-5)
    assert once["num_tokens"] == often[-1]["num_tokens"]


@pytest.mark.parametrize("passes", [PACKED, PADDED], ids=["packed", "padded"])
def test_the_held_out_loss_is_that_of_the_saved_adapter_by_family_and_over_all_tokens(
    tiny_llama: Path, tmp_path: Path, passes: Passes
) -> None:
    ours = trainer(tmp_path, tiny_llama, passes)
    ours.train()
    found = ours.evaluate()
    ours.model.save_pretrained(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()

    def loss(group: list[Tokens]) -> tuple[float, int]:
        total, count = 0.0, 0
        for ids, labels in group:
            logits = loaded(input_ids=torch.tensor(ids)[None]).logits[0, :-1]
            targets = torch.tensor(labels[1:])
            total += torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum").item()
            count += int((targets != IGNORED).sum())
        return total, count

    short, long = loss(rows()[:3]), loss(rows()[-3:])
    assert found["eval_loss/short"] == pytest.approx(short[0] / short[1], rel=1e-5)
    assert found["eval_loss/long"] == pytest.approx(long[0] / long[1], rel=1e-5)
    assert found["eval_loss"] == pytest.approx((short[0] + long[0]) / (short[1] + long[1]), rel=1e-5)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"


@pytest.mark.parametrize("passes", [PACKED, PADDED], ids=["packed", "padded"])
def test_a_resumed_run_ends_with_the_adapter_of_an_unbroken_one(
    tiny_llama: Path, tmp_path: Path, passes: Passes
) -> None:
    """With dropout: the masks must go on where they were."""

    def made(name: str, steps: int) -> Trainer:
        saving = {"save_strategy": "steps", "save_steps": 2}
        given = settings(tmp_path / name, tiny_llama, **{**ARGUMENTS, **FUSED_ARGUMENTS, **saving})
        given["args"].max_steps = steps
        given["peft_config"].lora_dropout = 0.3
        fusion = Fusion() if passes.packed else None
        return Trainer(Steps(rows(), ROWS_A_STEP, steps, 0, passes), {"all": rows()[:2]}, fusion, **given)

    made("whole", STEPS).train()
    made("broken", 2).train()
    made("broken", STEPS).train(resume_from_checkpoint=str(tmp_path / "broken" / "checkpoint-2"))
    whole, broken = (
        load_file(tmp_path / name / f"checkpoint-{STEPS}" / "adapter_model.safetensors") for name in ("whole", "broken")
    )
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


@pytest.mark.parametrize("logging_steps", [1, STEPS])
def test_a_loss_that_is_no_number_stops_the_run_and_names_its_step(
    tiny_llama: Path, tmp_path: Path, logging_steps: int
) -> None:
    ours = trainer(tmp_path, tiny_llama, logging_steps=logging_steps)
    stock = ours._sums

    def sums(model: Any, batch: Any) -> Any:
        loss, hits = stock(model, batch)
        return loss * (float("nan") if ours.state.global_step == 2 else 1.0), hits

    ours._sums = sums
    with pytest.raises(BadStep) as problem:
        ours.train()
    assert problem.value.step == 2


def test_a_jump_of_the_loss_stops_the_run(tiny_llama: Path, tmp_path: Path) -> None:
    watch = LossWatch(2.0)
    for _ in range(10):
        assert not watch.is_bad(1.0)
    with pytest.raises(BadStep) as problem:
        trainer(tmp_path, tiny_llama, watch=watch).train()
    assert problem.value.step == 0


def mixing(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rows: attention.Rows) -> torch.Tensor:
    """Attention that has lost the boundaries between rows."""
    whole = attention.Rows(torch.tensor([0, query.shape[0]], dtype=torch.int32), query.shape[0])
    return attention.row_by_row(query, key, value, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_start_up_test_passes_a_right_model_and_refuses_one_that_mixes_rows(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    def model() -> Any:
        base = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=dtype)
        config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        given = settings(tmp_path, tiny_llama, **ARGUMENTS, **FUSED_ARGUMENTS)
        given |= {"model": get_peft_model(base, config), "peft_config": None}
        return Trainer(Steps(rows(), ROWS_A_STEP, STEPS, 0, PACKED), **given).model

    right = model()
    fuse(right, Fusion())
    before = {name: parameter.clone() for name, parameter in right.named_parameters()}
    state = torch.get_rng_state()
    check_packed(right, rows()[8:11], 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(parameter, before[name]) for name, parameter in right.named_parameters())
    wrong = model()
    monkeypatch.setattr(attention, "pick", lambda *arguments: mixing)
    fuse(wrong, Fusion())
    with pytest.raises(TrainingError, match="rows packed together differ from rows alone"):
        check_packed(wrong, rows()[8:11], 0)
