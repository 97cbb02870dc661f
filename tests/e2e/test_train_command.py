"""`seedtune train` as a user runs it, on a tiny LLaMA: broken off, changed, in two processes, with a bad row."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from conftest import clean_environment, seedtune, start_seedtune, write_jsonl

WORDS = ["peer", "session", "route", "prefix", "path", "origin", "update", "table", "policy", "community"]
STEPS = 12


@pytest.fixture
def made(tmp_path: Path, tiny_llama: Path) -> Any:
    """Write a config for twelve steps of four rows; keyword arguments are train settings."""
    chosen = random.Random(0)
    rows = [
        {
            "instruction": f"Explain {chosen.choice(WORDS)} number {number}.",
            "input": "",
            "output": " ".join(chosen.choices(WORDS, k=chosen.randint(3, 30))),
        }
        for number in range(60)
    ]
    data = write_jsonl(tmp_path / "rows.jsonl", rows)

    def config(name: str, **train: Any) -> Path:
        settings = {
            "include_seeds": False,
            "data": [str(data)],
            "max_steps": STEPS,
            "max_length": 256,
            "learning_rate": 1e-3,
            "evaluations": 2,
            "checkpoints": 6,
        }
        tree = {"name": name, "runs_dir": str(tmp_path), "model": {"name": str(tiny_llama), "dtype": "float32"}}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({**tree, "train": {**settings, **train}}))
        return path

    return config


def adapter(folder: Path) -> dict[str, Any]:
    return load_file(folder / "train/adapter/adapter_model.safetensors")


def losses(folder: Path) -> list[tuple[int, str, float]]:
    lines = [json.loads(line) for line in (folder / "train/metrics.jsonl").read_text().splitlines()]
    return [(line["step"], key, line[key]) for line in lines for key in ("loss", "eval_loss") if key in line]


@pytest.mark.parametrize("kernels", ["fused", "plain"])
def test_a_run_that_was_killed_ends_with_the_bits_of_an_unbroken_one(tmp_path: Path, made: Any, kernels: str) -> None:
    """Weights and all losses, with dropout: order of the rows, masks, optimizer and schedule go on where they were."""
    result = seedtune("train", made("whole", kernels=kernels))
    assert result.returncode == 0, result.stderr
    config = made("killed", kernels=kernels)
    process = start_seedtune("train", config)
    deadline = time.monotonic() + 120
    while not (tmp_path / "killed/train/checkpoints/checkpoint-6/trainer_state.json").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    result = seedtune("train", config)
    assert result.returncode == 0, result.stderr
    assert "going on from step" in result.stderr
    assert "begins anew" not in result.stderr
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    whole, killed = adapter(tmp_path / "whole"), adapter(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all((whole[name] == killed[name]).all() for name in whole)


def test_several_processes_learn_what_one_does(tmp_path: Path, made: Any) -> None:
    """Started by torchrun, as on several machines; the same rows a step, so the same losses but for rounding."""
    plain = {"lora": {"dropout": 0.0}}
    one = seedtune("train", made("one", batch_size=4, **plain))
    assert one.returncode == 0, one.stderr
    right = losses(tmp_path / "one")
    for count in (2, 4):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        several = subprocess.run(
            [*command, "-m", "seedtune", "train", str(made(f"{count}", batch_size=4 // count, **plain))],
            capture_output=True,
            text=True,
            timeout=240,
            env=clean_environment(OMP_NUM_THREADS="1"),
            check=False,
        )
        assert several.returncode == 0, several.stderr
        found = losses(tmp_path / f"{count}")
        assert [line[:2] for line in found] == [line[:2] for line in right]
        assert [line[2] for line in found] == pytest.approx([line[2] for line in right], rel=1e-5)


def test_changed_settings_are_named_and_the_work_before_is_set_aside(tmp_path: Path, made: Any) -> None:
    assert seedtune("train", made("run")).returncode == 0
    result = seedtune("train", made("run", learning_rate=2e-3, checkpoints=3))
    assert result.returncode == 0, result.stderr
    assert "train.learning_rate: 0.001 -> 0.002" in result.stderr
    assert "train.checkpoints" not in result.stderr
    assert (tmp_path / "run/train.1/adapter").is_dir()


def test_what_cannot_be_trained_pushes_nothing_aside(tmp_path: Path, made: Any) -> None:
    assert seedtune("train", made("run")).returncode == 0
    result = seedtune("train", made("run", max_length=16))
    assert result.returncode == 1
    assert "no row has room for its answer in train.max_length = 16 tokens" in result.stderr
    assert "done before" in seedtune("train", made("run")).stderr
    assert not (tmp_path / "run/train.1").exists()


# The adapter's file does not fit, and then the optimizer's, which another library writes.
@pytest.mark.parametrize("room", [60_000, 400_000])
def test_a_full_disk_says_so_and_the_run_goes_on_when_there_is_room(tmp_path: Path, made: Any, room: int) -> None:
    config = made("run")
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    result = subprocess.run(
        [sys.executable, "-c", f"{limited}; from seedtune.cli import main; main()", "train", str(config)],
        capture_output=True,
        text=True,
        timeout=240,
        env=clean_environment(),
        check=False,
    )
    assert result.returncode == 1, result.stderr
    assert f"{tmp_path / 'run/train'}: cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    again = seedtune("train", config)
    assert again.returncode == 0, again.stderr
    assert "begins anew" not in again.stderr


def test_settings_that_change_only_how_it_is_done_leave_a_run_done(made: Any) -> None:
    assert seedtune("train", made("run")).returncode == 0
    result = seedtune("train", made("run", checkpoints=3, pass_tokens=300))
    assert "done before" in result.stderr


def test_a_loss_that_jumps_stops_the_run_and_its_rows_are_saved(tmp_path: Path, made: Any) -> None:
    result = seedtune("train", made("run", learning_rate=1e4, max_steps=40, scheduler="constant", loss_jump=1.1))
    assert result.returncode == 1, result.stderr
    assert "training stopped. Its 4 rows" in result.stderr
    assert "Traceback" not in result.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/train/bad-step.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert all(row["id"] in result.stderr and row["instruction"] for row in rows)


def test_a_model_whose_weights_are_no_numbers_is_told_from_broken_rows(
    tmp_path: Path, tiny_llama: Path, made: Any
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_llama, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    result = seedtune("train", made("run"), "--set", f"model.name={folder}")
    assert result.returncode == 1
    assert "nothing has been learned yet: training stopped" in result.stderr
    assert f"the weights of {folder} hold no numbers" in result.stderr


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "trainer_args={save_step: 5}",
            "train.trainer_args.save_step: TRL's SFTConfig has no such setting; did you mean",
        ),
        ("trainer_args={max_steps: 5}", "train.trainer_args.max_steps: is set by train.max_steps"),
        ("trainer_args={weight_decay: much}", "train.trainer_args.weight_decay: expected float, not 'much'"),
        ("report_to=[nowhere]", "train.report_to: nowhere is not supported"),
        ("lora.target_modules=[]", "name at least one layer"),
    ],
)
def test_a_setting_that_the_trainer_does_not_take_is_a_fault_of_the_config(
    tmp_path: Path, made: Any, setting: str, message: str
) -> None:
    result = seedtune("train", made("run"), "--set", f"train.{setting}")
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert not (tmp_path / "run/train").exists()


def test_layers_that_the_model_does_not_have_are_named(made: Any) -> None:
    result = seedtune("train", made("run", lora={"target_modules": ["nowhere"]}))
    assert result.returncode == 1
    assert "train.lora or train.trainer_args do not fit" in result.stderr
    assert "nowhere" in result.stderr


def test_half_a_surrogate_pair_in_the_data_is_replaced(tmp_path: Path, made: Any) -> None:
    """As a truncated emoji is exported: valid JSON, but no text that can be written."""
    config = made("run", max_steps=1)
    with (tmp_path / "rows.jsonl").open("a") as file:
        file.write('{"instruction": "Half \\ud83d of one.", "output": "Yes."}\n')
    result = seedtune("train", config)
    assert result.returncode == 0, result.stderr


def test_a_number_for_trl_may_be_written_as_yaml_does_not_know_it(tmp_path: Path, made: Any) -> None:
    """``1e-2``, without a point, is text in YAML 1.1."""
    result = seedtune("train", made("run", max_steps=1), "--set", "train.trainer_args={weight_decay: 1e-2}")
    assert result.returncode == 0, result.stderr
    resolved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert resolved["train"]["trainer_args"] == {"weight_decay": 0.01}
