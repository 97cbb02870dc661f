"""The real command, `seedtune train`, at the work of bench_train.py: what a user gets, start-up aside.

Usage: python benchmarks/bench_train_command.py FOLDER [--shape 8b] [--rows N] [--steps N] [--out FILE] [--only a,b]

Makes a model of LLaMA-3.1-8B's shape with random weights in FOLDER (16 GB; a few tokens' vocabulary is enough for
words), rows of 60 to 1024 tokens (lognormal, mean 309), and runs the command with each recipe. Speed is the useful
tokens a second that metrics.jsonl says, without the first steps; memory is what the manifest says.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent))

RECIPES: dict[str, dict[str, Any]] = {
    "bf16": {"batch_size": 32},
    "bf16, 4 rows a step": {"batch_size": 4},
    "bf16, 128 rows a step": {"batch_size": 32, "gradient_accumulation": 4},
    "fp8": {"batch_size": 32, "quantization": "fp8"},
    "4bit": {"batch_size": 32, "quantization": "4bit"},
    "4bit, passes of 1024, checkpointed": {
        "batch_size": 4,
        "quantization": "4bit",
        "pass_tokens": 1024,
        "gradient_checkpointing": True,
    },
    "plain": {"batch_size": 4, "kernels": "plain"},
}
WARM_UP = 5
TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }} <eos> {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def make_model(folder: Path, shape: str) -> None:
    import torch
    from bench_train import SHAPES, base_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if (folder / "config.json").exists():
        return
    gpu = torch.cuda.is_available()
    base_model(shape, "cuda" if gpu else "cpu").save_pretrained(folder)
    special = ["<pad>", "<eos>", "<user>", "<assistant>", "<system>", "<unk>"]
    count = SHAPES[shape]["vocab_size"] - 300
    words = {word: i for i, word in enumerate([*special, *(f"w{i}" for i in range(count - len(special)))])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)


def make_rows(path: Path, count: int, shape: str) -> None:
    from bench_train import SHAPES, SHORTER

    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(260), 0.65, count).astype(int), 60, 1024) // SHORTER[shape]
    known = SHAPES[shape]["vocab_size"] - 400
    with path.open("w") as file:
        for length in lengths:
            # The template's markers and the question make up the other nine.
            words = [f"w{i}" for i in generator.integers(0, known, 5 + max(1, int(length) - 9))]
            ask, answer = words[:5], words[5:]
            line = {"instruction": " ".join(ask), "input": "", "output": " ".join(answer)}
            file.write(json.dumps(line) + "\n")


def write_config(folder: Path, name: str, train: dict[str, Any], steps: int, gpus: int | None) -> Path:
    """A config for the model and the rows in ``folder``; its run is below ``folder/runs``, under the file's name."""
    slug = "".join(c if c.isalnum() else "-" for c in name) + (f"-{gpus}gpu" if gpus else "")
    config = {
        "name": slug,
        "runs_dir": str(folder / "runs"),
        "domain": "bgp",
        "model": {"name": str(folder / "model")},
        "train": {
            "include_seeds": False,
            "data": [str(folder / "rows.jsonl")],
            "max_steps": steps,
            "held_out": 0.02,
            "evaluations": 1,
            "checkpoints": 1,
            **({"gpus": gpus} if gpus else {}),
            **train,
        },
    }
    path = folder / f"{slug}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def seedtune(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "seedtune", *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def run(folder: Path, name: str, train: dict[str, Any], steps: int, gpus: int | None) -> dict[str, Any]:
    path = write_config(folder, name, train, steps, gpus)
    began = time.perf_counter()
    done = seedtune("train", str(path))
    seconds = time.perf_counter() - began
    result: dict[str, Any] = {"recipe": name, "gpus": gpus or 1, "whole_s": round(seconds, 1)}
    print(done.stderr[-3000:], flush=True)
    if done.returncode:
        return {**result, "problem": done.stderr[-800:]}
    stage = folder / "runs" / path.stem
    lines = [json.loads(line) for line in (stage / "train/metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if "loss" in line][WARM_UP:]
    numbers = json.loads((stage / "manifest.json").read_text())["stages"]["train"]["numbers"]
    return {
        **result,
        "useful_tokens_per_second": round(statistics.harmonic_mean(speeds)),
        "median_step": round(statistics.median(speeds)),
        "steps": len(speeds),
        "peak_gib": numbers["peak_gpu_gib"],
        "kernels": numbers["kernels"],
        "rows_per_step": numbers["rows_per_step"],
        "first_loss": numbers["first_loss"],
        "last_loss": numbers["last_loss"],
        "held_out": [numbers["held_out_loss_before"], numbers["held_out_loss_after"]],
    }


def new_report(shape: str) -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"device": device, "date": time.strftime("%Y-%m-%d"), "shape": shape, "recipes": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="8b")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--only", help="recipes, separated by semicolons")
    parser.add_argument("--gpus", default="", help="numbers of GPUs to try, separated by commas")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    make_model(given.folder / "model", given.shape)
    make_rows(given.folder / "rows.jsonl", given.rows, given.shape)
    report = new_report(given.shape)
    for name in given.only.split(";") if given.only else RECIPES:
        for gpus in [int(n) for n in given.gpus.split(",")] if given.gpus else [None]:
            result = run(given.folder, name, RECIPES[name], given.steps, gpus)
            print(json.dumps(result), flush=True)
            report["recipes"].append(result)
            if given.out:
                given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
