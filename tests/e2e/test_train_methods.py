"""What can be trained beside a plain LoRA: DoRA, rank-stabilised LoRA, all weights, frozen weights in 4 bits."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from conftest import seedtune, write_jsonl

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a config for some steps over rows that are easy to learn; keyword arguments are train settings."""
    rows = [{"instruction": f"Which peer is number {n % 5}?", "output": f"Peer {n % 5} it is. " * 3} for n in range(40)]
    data = write_jsonl(tmp_path / "rows.jsonl", [{**row, "input": "x" * n} for n, row in enumerate(rows)])

    def config(name: str, model: Path, **train: Any) -> Path:
        settings = {"include_seeds": False, "data": [str(data)], "max_steps": 16, "max_length": 128, "evaluations": 2}
        tree = {"name": name, "runs_dir": str(tmp_path), "model": {"name": str(model)}}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**tree, "train": {**settings, "learning_rate": 3e-3, **train}}))
        return path

    return config


def trained(config: Path) -> tuple[Path, list[float]]:
    """The adapter's folder, and the held-out losses of a run."""
    result = seedtune("train", config)
    assert result.returncode == 0, result.stderr
    folder = config.with_suffix("") / "train"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return folder / "adapter", [line["eval_loss"] for line in lines if "eval_loss" in line]


@pytest.mark.parametrize(("setting", "flag"), [("dora", "use_dora"), ("rslora", "use_rslora")])
def test_the_variants_of_lora_learn_and_are_saved_as_peft_reads_them(
    tmp_path: Path, tiny_llama: Path, make: Make, setting: str, flag: str
) -> None:
    adapter, losses = trained(make("run", tiny_llama, lora={"r": 8, setting: True}))
    assert losses[-1] < losses[0] - 0.05
    assert json.loads((adapter / "adapter_config.json").read_text())[flag] is True
    weights = load_file(adapter / "adapter_model.safetensors")
    assert any("lora_magnitude_vector" in name for name in weights) == (setting == "dora")
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    loaded = PeftModel.from_pretrained(base, adapter)
    assert all((loaded.get_parameter(_live(name)) == weights[name]).all() for name in weights)


def _live(name: str) -> str:
    """A saved weight's name in the model in memory."""
    if name.endswith("lora_magnitude_vector"):
        return f"{name}.default.weight"
    return name.replace(".weight", ".default.weight")


def test_full_fine_tuning_changes_every_weight_and_ends_with_a_whole_model(tiny_llama: Path, make: Make) -> None:
    model, losses = trained(make("run", tiny_llama, method="full", learning_rate=1e-3))
    assert losses[-1] < losses[0] - 0.05
    before = AutoModelForCausalLM.from_pretrained(tiny_llama).state_dict()
    after = AutoModelForCausalLM.from_pretrained(model).state_dict()
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before)
    assert AutoTokenizer.from_pretrained(model).chat_template
    assert not (model / "adapter_config.json").exists()


def test_eight_bits_without_a_gpu_say_so(tiny_llama: Path, make: Make) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = seedtune("train", make("run", tiny_llama, quantization="fp8"))
    assert result.returncode == 1
    assert "train.quantization=fp8 runs on cuda, not on cpu" in result.stderr


@pytest.mark.parametrize("kernels", ["fused", "plain"])
def test_frozen_weights_in_four_bits_learn_nearly_what_whole_ones_do(
    tmp_path: Path, tiny_llama: Path, make: Make, kernels: str
) -> None:
    """On a GPU, and on a CPU, where a measurement of the held-out loss must not take the gradients away.

    The adapter fits the unquantised base: it is loaded onto it, and its loss is close to that of one trained there.
    """
    pytest.importorskip("bitsandbytes")
    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    torch.manual_seed(0)
    shape = {"hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8, "num_key_value_heads": 4}
    known = LlamaConfig.from_pretrained(tiny_llama)
    LlamaForCausalLM(LlamaConfig(**{**known.to_dict(), **shape, "head_dim": 64})).save_pretrained(model)
    _, whole = trained(make("whole", model, kernels=kernels))
    adapter, packed = trained(make("packed", model, kernels=kernels, quantization="4bit"))
    assert packed[-1] < packed[0] - 0.05
    assert packed[-1] == pytest.approx(whole[-1], rel=0.05)
    PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter)
    # In bfloat16, as TRL would have them, they could not take small steps.
    weights = load_file(adapter / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("train", [{}, {"method": "full", "learning_rate": 1e-3}], ids=["lora", "full"])
def test_shards_on_two_gpus_learn_what_whole_copies_do(tiny_llama: Path, make: Make, train: dict[str, Any]) -> None:
    settings = {"kernels": "plain", "gpus": 2, "lora": {"dropout": 0.0}, **train}
    copies, found = trained(make("copies", tiny_llama, sharding="ddp", **settings))
    shards, tested = trained(make("shards", tiny_llama, sharding="fsdp", **settings))
    assert tested == pytest.approx(found, rel=5e-3)
    assert sorted(path.name for path in shards.iterdir()) == sorted(path.name for path in copies.iterdir())
