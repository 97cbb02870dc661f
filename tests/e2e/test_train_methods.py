"""What can be trained beside a plain LoRA: DoRA, rank-stabilised LoRA, all weights, frozen weights in 4 bits."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from conftest import clean_environment, seedtune, write_jsonl

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
    return config.with_suffix("") / "train" / "adapter", held_out_losses(config.with_suffix(""))


def held_out_losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text().splitlines()]
    return [line["eval_loss"] for line in lines if "eval_loss" in line]


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
    card = (model / "README.md").read_text()
    assert "library_name: transformers" in card
    assert "lora" not in card.casefold()
    assert "adapter" not in card.casefold()


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


METHODS = pytest.mark.parametrize("train", [{}, {"method": "full", "learning_rate": 1e-3}], ids=["lora", "full"])


@METHODS
def test_shards_on_two_cpus_learn_what_whole_copies_do(
    tmp_path: Path, tiny_llama: Path, make: Make, train: dict[str, Any]
) -> None:
    """Accelerate shards over GPUs alone; told that these are some, it does the same over CPUs.

    A long row weighs as much as three short ones: one device makes one pass in a step and the other two, and would wait
    for ever if the first did not gather its part of the weights once more.
    """
    short, long = "Which peer is it?", "Which peer is it? " * 6
    rows = [{"instruction": short if n % 4 else long, "input": "", "output": f"Peer {n % 5}."} for n in range(40)]
    data = write_jsonl(tmp_path / "uneven.jsonl", rows)
    found: dict[str, list[float]] = {}
    saved: dict[str, dict[str, torch.Tensor]] = {}
    for sharding, command in (("ddp", ["-m", "seedtune"]), ("fsdp", [str(Path(__file__).parent / "cpus_as_gpus.py")])):
        settings = {"kernels": "plain", "lora": {"dropout": 0.0}, "max_steps": 8, "keep": "last", **train}
        settings |= {"data": [str(data)], "max_length": 400, "batch_size": 2}
        result = two_processes(*command, "train", str(make(sharding, tiny_llama, sharding=sharding, **settings)))
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("report: ") == 1
        found[sharding] = held_out_losses(tmp_path / sharding)
        (weights,) = (tmp_path / sharding / "train" / "adapter").glob("*.safetensors")
        saved[sharding] = load_file(weights)
    assert found["fsdp"] == pytest.approx(found["ddp"], rel=1e-4)
    assert saved["fsdp"].keys() == saved["ddp"].keys()
    assert all(torch.allclose(saved["fsdp"][name], weight, atol=1e-3) for name, weight in saved["ddp"].items())


def test_shards_without_gpus_say_so(tiny_llama: Path, make: Make) -> None:
    result = two_processes("-m", "seedtune", "train", str(make("run", tiny_llama, sharding="fsdp")))
    assert result.returncode == 1
    assert "train.sharding=fsdp: models are sharded over GPUs, not on cpu" in result.stderr


def two_processes(*command: str) -> subprocess.CompletedProcess[str]:
    """Started by torchrun, as on several machines."""
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command],
        capture_output=True,
        text=True,
        timeout=200,
        env=clean_environment(OMP_NUM_THREADS="1"),
        check=False,
    )


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@METHODS
def test_shards_on_two_gpus_learn_what_whole_copies_do(tiny_llama: Path, make: Make, train: dict[str, Any]) -> None:
    settings = {"kernels": "plain", "gpus": 2, "lora": {"dropout": 0.0}, **train}
    copies, found = trained(make("copies", tiny_llama, sharding="ddp", **settings))
    shards, tested = trained(make("shards", tiny_llama, sharding="fsdp", **settings))
    assert tested == pytest.approx(found, rel=5e-3)
    assert sorted(path.name for path in shards.iterdir()) == sorted(path.name for path in copies.iterdir())
