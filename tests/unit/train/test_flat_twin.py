"""The plain loop of ``examples/lora_sft_flat.py`` gives the losses of ``seedtune train``: the layers above it add
nothing to what is learned, and take nothing from it."""

import json
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import ROOT, write_jsonl
from seedtune.config import load_config
from seedtune.domains import load_domain
from seedtune.records import content_id
from seedtune.runs import open_run
from seedtune.train.stage import run_train

TOLERANCE = 2e-6
"""Relative; the largest difference seen is 4e-7. Both add up the same float32 numbers, in passes of other sizes."""


@pytest.fixture(scope="module")
def twin() -> ModuleType:
    spec = spec_from_file_location("lora_sft_flat", ROOT / "examples" / "lora_sft_flat.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("scheduler", "kernels"), [("cosine", "plain"), ("constant", "plain"), ("cosine", "fused")])
def test_the_plain_loop_gives_the_losses_of_the_command(
    twin: ModuleType,
    scheduler: str,
    kernels: str,
    tmp_path: Path,
    tiny_llama: Path,
    domain_folder: Path,
    write_config: Callable[..., Path],
) -> None:
    tasks = [
        {"instruction": f"Name loaf {n}." + " Please." * (n % 5), "output": f"Loaf {n} of {n + 3}, baked {n} times. "}
        for n in range(23)
    ]
    train = {"epochs": 2.5, "learning_rate": 1e-2, "scheduler": scheduler, "warmup": 0.2, "held_out": 0.25}
    lora = {"r": 4, "alpha": 8, "dropout": 0}
    path = write_config(
        name="one",
        seed=3,
        domain=str(domain_folder),
        model={"name": str(tiny_llama), "dtype": "float32"},
        train={
            **train,
            "lora": lora,
            "data": [str(write_jsonl(tmp_path / "rows.jsonl", tasks))],
            "include_seeds": False,
            "kernels": kernels,
            "batch_size": 2,
            "gradient_accumulation": 2,
        },
    )
    domain = load_domain(str(domain_folder))
    with open_run(load_config(path)) as run:
        run_train(run, domain)
    theirs = read(run.path / "train" / "metrics.jsonl")

    splits = {line["id"]: line["split"] for line in read(run.path / "train" / "rows.jsonl")}
    files: list[Path] = []
    for split in ("train", "held_out"):
        chosen = [t for t in tasks if splits[content_id(t["instruction"], "", t["output"])] == split]
        files.append(
            write_jsonl(tmp_path / f"{split}.jsonl", [chat(task, domain.file.system_prompt) for task in chosen])
        )
    settings = twin.Settings(**{k: v for k, v in train.items() if k != "held_out"}, **lora, batch_size=4, seed=3)
    model, tokenizer = twin.load(str(tiny_llama), settings)
    rows, held_out = (twin.read_rows(tokenizer, file, settings.max_length) for file in files)
    ours = list(twin.train(model, rows, held_out, settings))

    for name in ("loss", "grad_norm", "eval_loss"):
        expected = {line["step"]: line[name] for line in theirs if name in line}
        found = {line["step"]: line[name] for line in ours if name in line}
        assert found == pytest.approx(expected, rel=TOLERANCE)
        assert len(set(found.values())) == len(found) > 3
    assert len(rows) == len([split for split in splits.values() if split == "train"])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def chat(task: dict[str, str], system: str | None) -> dict[str, Any]:
    turns = [{"role": "user", "content": task["instruction"]}, {"role": "assistant", "content": task["output"]}]
    return {"messages": [{"role": "system", "content": system}, *turns] if system else turns}
