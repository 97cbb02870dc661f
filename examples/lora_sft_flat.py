"""Fine-tune a chat model with LoRA in one plain loop: what `seedtune train` does, without its trainer.

    seedtune export runs/demo --to messages --with-seeds --out rows.jsonl
    awk 'NR % 10' rows.jsonl > train.jsonl; awk 'NR % 10 == 0' rows.jsonl > held_out.jsonl
    python lora_sft_flat.py MODEL train.jsonl held_out.jsonl --out adapter

With the rows and the split of a run, in float32 and without dropout, it gives the run's losses: a test compares them.
Needs torch, transformers and peft. One GPU or the CPU, no packing, no checkpoints; all rows of a step at once.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

IGNORED = -100
Row = tuple[list[int], list[int]]
"""Token ids, and the same as labels, with IGNORED for the prompt."""


@dataclass(frozen=True)
class Settings:
    """The defaults of `seedtune train`, but for dropout."""

    epochs: float = 3
    batch_size: int = 4
    learning_rate: float = 1e-4
    scheduler: str = "cosine"
    warmup: float = 0.05
    max_grad_norm: float = 0.3
    max_length: int = 1024
    evaluations: int = 4
    r: int = 64
    alpha: float = 16
    dropout: float = 0.0
    seed: int = 0


def make_row(tokenizer: Any, messages: list[dict[str, str]], max_length: int) -> Row | None:
    """Tokens of a chat whose last turn is trained on, up to the end-of-sequence token; None if no room is left."""
    answer = {**messages[-1], "content": messages[-1]["content"].strip()}
    prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*messages[:-1], answer], tokenize=False)
    if not whole.startswith(prompt):
        raise SystemExit("the chat template renders a prompt differently when an answer follows")
    # Apart, so that training sees the prompt's tokens as inference will.
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer_ids = tokenizer(whole[len(prompt) :], add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    # Templates put a newline behind the token that ends a turn; the model never gets to write it.
    while end in answer_ids and answer_ids[-1] != end:
        answer_ids.pop()
    ids = (prompt_ids + answer_ids + [end] * (end not in answer_ids))[:max_length]
    labels = [IGNORED] * len(prompt_ids) + ids[len(prompt_ids) :]
    return (ids, labels) if len(ids) > len(prompt_ids) else None


def read_rows(tokenizer: Any, path: Path, max_length: int) -> list[Row]:
    """Rows of a file of JSON Lines {"messages": [{"role", "content"}, ...]}, cut at max_length."""
    chats = [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for chat in chats if (row := make_row(tokenizer, chat, max_length)) is not None]


def sum_of_losses(model: Any, rows: list[Row]) -> tuple[torch.Tensor, int]:
    """Cross-entropy summed over the trained tokens of some rows, padded to the longest, and how many those are."""
    longest = max(len(ids) for ids, _ in rows)
    # Token 0 as padding, whatever it is: the mask keeps it out of attention, the labels out of the loss.
    ids = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows], device=model.device)
    labels = torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in rows], device=model.device)
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows], device=model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
        logits = model(input_ids=ids, attention_mask=mask).logits
    # The logits at a token are those of the next one.
    targets = labels[:, 1:].flatten()
    loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum")
    return loss, int((targets != IGNORED).sum())


@torch.no_grad()
def held_out_loss(model: Any, rows: list[Row], batch_size: int) -> float:
    """Mean over all trained tokens."""
    model.eval()
    sums = [sum_of_losses(model, rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]
    model.train()
    return sum(loss.item() for loss, _ in sums) / sum(count for _, count in sums)


def rate(step: int, steps: int, settings: Settings) -> float:
    """Learning rate of a step: a straight rise, then half a cosine down to 0, or constant."""
    warmup = math.ceil(steps * settings.warmup)
    if step < warmup:
        return settings.learning_rate * step / warmup
    fall = math.pi * (step - warmup) / (steps - warmup) if settings.scheduler == "cosine" else 0
    return settings.learning_rate * 0.5 * (1 + math.cos(fall))


def train(model: Any, rows: list[Row], held_out: list[Row], settings: Settings) -> Iterator[dict[str, float]]:
    """Train a model that has an adapter; yields the numbers of each step, the first before any training."""
    steps_per_epoch = math.ceil(len(rows) / settings.batch_size)
    steps = math.ceil(steps_per_epoch * settings.epochs)
    every = math.ceil(steps / settings.evaluations)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, weight_decay=0.0)
    yield {"step": 0, "eval_loss": held_out_loss(model, held_out, settings.batch_size)}
    for step in range(steps):
        epoch, place = divmod(step, steps_per_epoch)
        order = np.random.default_rng([settings.seed, epoch]).permutation(len(rows))
        batch = [rows[i] for i in order[place * settings.batch_size : (place + 1) * settings.batch_size]]
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, settings)
        total, count = sum_of_losses(model, batch)
        (total / count).backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        numbers = {"step": step + 1, "loss": (total / count).item(), "grad_norm": norm.item()}
        if (step + 1) % every == 0 or step + 1 == steps:
            numbers["eval_loss"] = held_out_loss(model, held_out, settings.batch_size)
        yield numbers


def load(name: str, settings: Settings) -> tuple[Any, Any]:
    """A model with a fresh adapter on all its linear layers, and its tokenizer."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
    torch.manual_seed(settings.seed)
    adapter = {"r": settings.r, "lora_alpha": settings.alpha, "lora_dropout": settings.dropout}
    model = get_peft_model(model, LoraConfig(**adapter, target_modules="all-linear", task_type="CAUSAL_LM"))
    return model.to(device).train(), AutoTokenizer.from_pretrained(name)


def main() -> None:
    """Read the arguments, train, and save the adapter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="hub id or folder of a chat model")
    parser.add_argument("rows", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--out", type=Path, default=Path("adapter"))
    for name, default in vars(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    settings = Settings(**{name: given[name] for name in vars(Settings())})
    model, tokenizer = load(given["model"], settings)
    rows, held_out = (read_rows(tokenizer, given[name], settings.max_length) for name in ("rows", "held_out"))
    for numbers in train(model, rows, held_out, settings):
        print(json.dumps(numbers), flush=True)
    model.save_pretrained(given["out"])
    tokenizer.save_pretrained(given["out"])


if __name__ == "__main__":
    main()
