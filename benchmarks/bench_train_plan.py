"""What `seedtune plan` says of each way to train against what `seedtune train` then takes of the GPU's memory.

Usage: python benchmarks/bench_train_plan.py FOLDER [--shape 1b] [--steps N] [--at-once N] [--only a;b] [--out FILE]

Makes a model of LLaMA-3.2-1B's shape with random weights in FOLDER, and rows of one length, so that each step is as
full as the plan's fullest. Runs can share a GPU: a peak is that of a process, but a speed only that of a run by itself.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bench_train_command as train_command
from bench_train_command import make_model, new_report, seedtune, write_config

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


def make_rows(path: Path, count: int) -> None:
    with path.open("w") as file:
        for row in range(count):
            # The template's markers make up the other four.
            words = [f"w{(row * LENGTH + place) % 1000}" for place in range(LENGTH - 4)]
            file.write(json.dumps({"instruction": " ".join(words[:5]), "output": " ".join(words[5:])}) + "\n")


def run(folder: Path, name: str, train: dict[str, Any], steps: int) -> dict[str, Any]:
    settings = {"batch_size": 8, **train}
    planned = seedtune("plan", str(write_config(folder, name, settings, steps, 1)), "--json")
    trained = train_command.run(folder, name, settings, steps, 1)
    if planned.returncode:
        return {**trained, "problem": planned.stderr[-800:]}
    plan = json.loads(planned.stdout)
    return {**trained, "pass_tokens": plan["pass"]["tokens"], "planned_gib": plan["peak"]["gib"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", default="1b")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--only", help="recipes, separated by semicolons")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    make_model(given.folder / "model", given.shape)
    make_rows(given.folder / "rows.jsonl", 400)
    names, report = given.only.split(";") if given.only else list(RECIPES), new_report(given.shape)
    with ThreadPoolExecutor(given.at_once) as pool:
        for job in [pool.submit(run, given.folder, name, RECIPES[name], given.steps) for name in names]:
            report["recipes"].append(job.result())
            print(json.dumps(report["recipes"][-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
