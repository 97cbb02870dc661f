"""Held-out loss after LoRA training by TRL and by seedtune, on the same rows in the same steps. Needs a GPU.

Usage: python benchmarks/bench_train_loss.py [--seeds N] [--steps N] [--out FILE]

A small LLaMA (4 layers, width 512) learns a made-up language here: each row belongs to a topic, named by its first
token, and a topic says which four tokens may follow each token and how likely. The adapter (rank 16 on all linear
layers, dropout 0.1) then learns topics that the model has never seen. What is compared is the loss on rows that neither
has seen; the language's entropy is its floor.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_train import Bins, InOrder, arguments, base_model, tokenizer, version
from datasets import Dataset
from peft import LoraConfig, get_peft_model

from seedtune.train.fused.llama import Fusion
from seedtune.train.fused.packing import pack
from seedtune.train.steps import Passes
from seedtune.train.trainer import ARGUMENTS, FUSED_ARGUMENTS, Trainer

VOCABULARY, TOPICS, KNOWN = 512, 10, 8
ODDS = (0.6, 0.2, 0.15, 0.05)
ENTROPY = -sum(p * math.log(p) for p in ODDS)
TOKENS_A_STEP = 4096
Rows = list[list[int]]


def language(count: int, topics: range, seed: int) -> Rows:
    """Rows of 15 to 255 tokens; the tables of a topic are the same for every seed."""
    tables = np.random.default_rng(0).integers(32, VOCABULARY, (TOPICS, VOCABULARY, len(ODDS)))
    generator = np.random.default_rng(seed)
    lengths = np.clip(generator.lognormal(np.log(65), 0.65, count).astype(int), 15, 255)
    made: Rows = []
    for length in lengths:
        topic = int(generator.choice(topics))
        row = [5 + topic, int(generator.integers(32, VOCABULARY))]
        for choice in generator.choice(len(ODDS), length, p=ODDS):
            row.append(int(tables[topic, row[-1], choice]))
        made.append(row)
    return made


def held_out_loss(model: Any, rows: Rows) -> float:
    """Mean over the tokens whose topic and predecessor are known, through the stock forward in bfloat16."""
    model.eval()
    total = count = 0.0
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        for start in range(0, len(rows), 128):
            part = [torch.tensor(row) for row in rows[start : start + 128]]
            ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True).cuda()
            mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in part], batch_first=True).cuda()
            logits = model(input_ids=ids, attention_mask=mask).logits[:, 1:-1].float()
            labels = ids[:, 2:].masked_fill(mask[:, 2:] == 0, -100)
            total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum").item()
            count += float((labels != -100).sum())
    model.train()
    return total / count


def pretrained(steps: int) -> Any:
    model = base_model("small", "cuda").float()
    rows = language(20000, range(KNOWN), 1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    generator = np.random.default_rng(2)
    for _ in range(steps):
        part = [torch.tensor(rows[row]) for row in generator.integers(0, len(rows), 128)]
        ids = torch.nn.utils.rnn.pad_sequence(part, batch_first=True).cuda()
        labels = torch.nn.utils.rnn.pad_sequence(part, batch_first=True, padding_value=-100).cuda()
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model.bfloat16()


def tuned(base: Any, recipe: str, seed: int, steps: int, data: tuple[Rows, Rows]) -> dict[str, Any]:
    rows, held_out = data
    bins = pack([len(row) for row in rows], TOKENS_A_STEP)
    np.random.default_rng(seed).shuffle(bins)
    common = {"processing_class": tokenizer()}
    adapter = LoraConfig(
        r=16, lora_alpha=32, lora_dropout=0.1, bias="none", task_type="CAUSAL_LM", target_modules="all-linear"
    )
    learning = {"learning_rate": 2e-3, "max_grad_norm": 1.0, "logging_steps": 20, "seed": seed}
    torch.manual_seed(seed)
    if recipe == "trl":
        base.set_attn_implementation("sdpa")
        given = arguments(steps, True, gradient_checkpointing=False, **learning)
        dataset = Dataset.from_dict({"input_ids": rows})
        trainer: Any = InOrder(
            groups=bins, model=base, args=given, peft_config=adapter, train_dataset=dataset, **common
        )
    else:
        pairs = [(np.array(row), np.array(row)) for row in rows]
        trainer = Trainer(
            Bins(pairs, 1, steps, 0, Passes(True, TOKENS_A_STEP, 0, multiple=128), bins=tuple(bins)),
            fusion=Fusion(float8=recipe == "fused-fp8"),
            model=get_peft_model(base, adapter),
            args=arguments(steps, True, **ARGUMENTS, **FUSED_ARGUMENTS, **learning),
            **common,
        )
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    losses = [round(line["loss"], 4) for line in trainer.state.log_history if "loss" in line]
    loss = held_out_loss(trainer.model, held_out)
    trainer.model.unload()
    base.__dict__.pop("forward", None)
    return {
        "recipe": recipe,
        "seed": seed,
        "held_out": round(loss, 5),
        "training": losses,
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="trl,fused,fused-fp8")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    base = pretrained(400)
    new = range(KNOWN, TOPICS)
    data = (language(8000, new, 3), language(1000, new, 4))
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft", "triton")},
        "date": time.strftime("%Y-%m-%d"),
        "entropy": round(ENTROPY, 5),
        "known_topics_before": round(held_out_loss(base, language(500, range(KNOWN), 5)), 5),
        "new_topics_before": round(held_out_loss(base, data[1]), 5),
        "runs": [],
    }
    print(json.dumps(report), flush=True)
    for seed in range(given.seeds):
        for recipe in given.recipes.split(","):
            result = tuned(base, recipe, seed, given.steps, data)
            print(json.dumps(result), flush=True)
            report["runs"].append(result)
            if given.out:
                given.out.write_text(json.dumps(report, indent=1) + "\n")
    for recipe in given.recipes.split(","):
        losses = [run["held_out"] for run in report["runs"] if run["recipe"] == recipe]
        print(f"{recipe:12s} held-out {np.mean(losses):.4f}, each seed {losses}")


if __name__ == "__main__":
    main()
