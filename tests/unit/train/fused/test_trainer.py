"""TRL's trainer over packed batches gives the losses of TRL's trainer over padded ones."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from seedtune.train.fused.llama import Fusion
from seedtune.train.fused.packing import IGNORED, PackedRows
from seedtune.train.fused.trainer import ARGUMENTS, FusedTrainer

STEPS, ROWS_A_STEP = 4, 4


def rows() -> list[tuple[list[int], list[int]]]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 260, (5 + 3 * i,), generator=generator).tolist() for i in range(STEPS * ROWS_A_STEP)]
    return [(row, [IGNORED, IGNORED, *row[2:]]) for row in ids]


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
        "per_device_train_batch_size": ROWS_A_STEP,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "train_sampling_strategy": "sequential",
    }
    made = rows()
    return {
        "model": AutoModelForCausalLM.from_pretrained(tiny_llama),
        "args": SFTConfig(**{**arguments, **extra}),
        "train_dataset": Dataset.from_dict({"input_ids": [r[0] for r in made], "labels": [r[1] for r in made]}),
        "processing_class": AutoTokenizer.from_pretrained(tiny_llama),
        "peft_config": LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    }


def packed(accumulation: int = 1) -> PackedRows:
    """The rows of each step of the padded run, cut into ``accumulation`` batches."""
    size = ROWS_A_STEP // accumulation
    return PackedRows.of(
        rows(), [list(range(i, i + size)) for i in range(0, STEPS * ROWS_A_STEP, size)], 0, 200 // accumulation
    )


def history(trainer: Any) -> list[dict[str, float]]:
    trainer.train()
    return [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_losses_gradients_and_accuracy_are_those_of_the_padded_recipe(
    tiny_llama: Path, tmp_path: Path, accumulation: int
) -> None:
    stock = history(SFTTrainer(**settings(tmp_path, tiny_llama)))
    arguments = settings(tmp_path, tiny_llama, **{**ARGUMENTS, "gradient_accumulation_steps": accumulation})
    trainer = FusedTrainer(packed(accumulation), Fusion(), shuffle=False, **arguments)
    fused = history(trainer)
    assert len(stock) == len(fused) == STEPS
    for right, tested in zip(stock, fused, strict=True):
        assert tested["loss"] == pytest.approx(right["loss"], rel=1e-5)
        assert tested["grad_norm"] == pytest.approx(right["grad_norm"], rel=1e-4)
        assert tested["mean_token_accuracy"] == pytest.approx(right["mean_token_accuracy"], abs=1e-6)
        assert tested["num_tokens"] == right["num_tokens"]
    assert stock[-1]["loss"] < stock[0]["loss"] - 1e-3


def test_without_packing_the_stock_samplers_rows_make_the_steps(tiny_llama: Path, tmp_path: Path) -> None:
    """Shuffled, in groups of like length: the order is the stock trainer's own."""
    sampling = {"train_sampling_strategy": "group_by_length"}
    stock = history(SFTTrainer(**settings(tmp_path, tiny_llama, **sampling)))
    fused = history(FusedTrainer(**settings(tmp_path, tiny_llama, **ARGUMENTS, **sampling)))
    for right, tested in zip(stock, fused, strict=True):
        assert tested["loss"] == pytest.approx(right["loss"], rel=1e-5)
        assert tested["num_tokens"] == right["num_tokens"]


def test_what_is_logged_seldom_is_the_mean_of_what_was_in_between(tiny_llama: Path, tmp_path: Path) -> None:
    often = history(FusedTrainer(packed(), Fusion(), shuffle=False, **settings(tmp_path, tiny_llama, **ARGUMENTS)))
    arguments = settings(tmp_path, tiny_llama, **ARGUMENTS, logging_steps=STEPS)
    (once,) = history(FusedTrainer(packed(), Fusion(), shuffle=False, **arguments))
    assert once["loss"] == pytest.approx(sum(line["loss"] for line in often) / STEPS, rel=1e-5)
    hits = sum(line["mean_token_accuracy"] * n for line, n in zip(often, trained(), strict=True))
    assert once["mean_token_accuracy"] == pytest.approx(hits / sum(trained()), rel=1e-5)
    assert once["num_tokens"] == often[-1]["num_tokens"]


def trained() -> list[int]:
    return [int(packed()[i]["targets"].numel()) for i in range(STEPS)]


def test_a_resumed_run_ends_with_the_adapter_of_an_unbroken_one(tiny_llama: Path, tmp_path: Path) -> None:
    """With dropout: the masks must go on where they were."""

    def trainer(name: str, steps: int) -> FusedTrainer:
        arguments = settings(tmp_path / name, tiny_llama, **ARGUMENTS, save_strategy="steps", save_steps=2)
        arguments["args"].max_steps = steps
        arguments["peft_config"].lora_dropout = 0.3
        return FusedTrainer(packed(), Fusion(), **arguments)

    trainer("whole", STEPS).train()
    trainer("broken", 2).train()
    trainer("broken", STEPS).train(resume_from_checkpoint=str(tmp_path / "broken" / "checkpoint-2"))
    whole, broken = (
        load_file(tmp_path / name / f"checkpoint-{STEPS}" / "adapter_model.safetensors") for name in ("whole", "broken")
    )
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_evaluation_and_the_saved_adapter_are_stock(tiny_llama: Path, tmp_path: Path) -> None:
    arguments = settings(tmp_path, tiny_llama, **ARGUMENTS)
    trainer = FusedTrainer(packed(), Fusion(), eval_dataset=arguments["train_dataset"], **arguments)
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    trainer.model.save_pretrained(tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    loaded = PeftModel.from_pretrained(base, tmp_path / "adapter")
    again = settings(tmp_path, tiny_llama)
    stock = SFTTrainer(
        model=loaded,
        eval_dataset=again["train_dataset"],
        **{key: again[key] for key in ("args", "train_dataset", "processing_class")},
    )
    assert stock.evaluate()["eval_loss"] == pytest.approx(loss, rel=1e-5)
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"
