"""What `seedtune plan` says of each way to train against what `seedtune train` then takes of the GPU's memory.

Usage: python benchmarks/bench_train_plan.py FOLDER [--shape 1b] [--steps N] [--at-once N] [--only a;b] [--out FILE]

Makes a model of LLaMA-3.2-1B's shape with random weights in FOLDER, and rows of one length, so that each step is as
full as the plan's fullest. Runs can share a GPU: a peak is that of a process. Speeds are told of a run by itself alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parent))

from bench_train_command import make_model

RECIPES: dict[str, dict[str, Any]] = {
    "fused": {},
    "fused, 8 bits": {"quantization": "fp8"},
    "fused, 4 bits": {"quantization": "4bit"},
    "plain": {"kernels": "plain"},
    "plain, 4 bits": {"kernels": "plain", "quantization": "4bit"},
    "DoRA": {"lora": {"dora": True}},
    "all weights": {"method": "full", "learning_rate": 1e-5},
    "plain, compiled": {"kernels": "plain", "trainer_args": {"torch_compile": True}},
}
LENGTH = 512
"""Tokens of a row."""
WARM_UP = 2


def make_rows(path: Path, count: int) -> None:
    with path.open("w") as file:
        for row in range(count):
            # The template's markers make up the other four.
            words = [f"w{(row * LENGTH + place) % 1000}" for place in range(LENGTH - 4)]
            file.write(json.dumps({"instruction": " ".join(words[:5]), "output": " ".join(words[5:])}) + "\n")


def run(folder: Path, name: str, train: dict[str, Any], steps: int, alone: bool) -> dict[str, Any]:
    slug = "".join(c if c.isalnum() else "-" for c in name)
    settings = {
        "include_seeds": False,
        "data": [str(folder / "rows.jsonl")],
        "batch_size": 8,
        "max_steps": steps,
        "held_out": 0.02,
        "evaluations": 1,
        "checkpoints": 1,
        "gpus": 1,
        **train,
    }
    path = folder / f"{slug}.yaml"
    tree = {"name": slug, "runs_dir": str(folder / "runs"), "model": {"name": str(folder / "model")}, "train": settings}
    path.write_text(yaml.safe_dump(tree))
    began = time.perf_counter()
    planned, trained = (
        subprocess.run(
            [sys.executable, "-m", "seedtune", *arguments],
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in (["plan", str(path), "--json"], ["train", str(path)])
    )
    result: dict[str, Any] = {"recipe": name, "whole_s": round(time.perf_counter() - began, 1)}
    if planned.returncode or trained.returncode:
        return {**result, "problem": (planned.stderr[-400:], trained.stderr[-800:])}
    plan = json.loads(planned.stdout)
    stage = folder / "runs" / slug
    lines = [json.loads(line) for line in (stage / "train/metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if "loss" in line][WARM_UP:]
    numbers = json.loads((stage / "manifest.json").read_text())["stages"]["train"]["numbers"]
    return {
        **result,
        "pass_tokens": plan["pass"]["tokens"],
        "planned_gib": plan["peak"]["gib"],
        "peak_gib": numbers["peak_gpu_gib"],
        "last_loss": numbers["last_loss"],
        **({"tokens_per_second": round(max(speeds))} if alone else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--only", help="recipes, separated by semicolons")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    make_model(given.folder / "model", given.shape)
    make_rows(given.folder / "rows.jsonl", 400)
    import torch

    names = given.only.split(";") if given.only else list(RECIPES)
    with ThreadPoolExecutor(given.at_once) as pool:
        jobs = [pool.submit(run, given.folder, name, RECIPES[name], given.steps, given.at_once == 1) for name in names]
        results: list[dict[str, Any]] = []
        for job in jobs:
            results.append(job.result())
            print(json.dumps(results[-1]), flush=True)
    report = {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "date": time.strftime("%Y-%m-%d"),
        "shape": given.shape,
        "recipes": results,
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
