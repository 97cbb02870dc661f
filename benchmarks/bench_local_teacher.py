"""Tokens a second of the local teacher beside plain ``generate`` of transformers, on the demo's own requests.

The embedded model, the demo's packs, sampling and batch size; each round is a batch of new requests, done by both in
turn. Tokens are those written up to the end of each reply; the time is that of prompts and replies together.
Usage: python benchmarks/bench_local_teacher.py [ROUNDS]. Prints one JSON line.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from seedtune.config import LocalTeacherConfig, ModelConfig, load_config
from seedtune.domains import load_domain
from seedtune.generate.prompting import build_messages, reply_prefix
from seedtune.models import load_model, load_tokenizer
from seedtune.records import Request
from seedtune.teachers.local import LocalTeacher

DEMO = Path(__file__).parent.parent / "configs" / "demo.yaml"


def demo_requests(batches: int) -> tuple[LocalTeacherConfig, list[Request]]:
    """The demo's teacher, and requests like those of its run."""
    config = load_config(DEMO)
    generate = config.generate
    assert isinstance(generate.teacher, LocalTeacherConfig)
    packs = load_domain(config.domain).select_packs(generate.packs)
    most = generate.max_example_words or sys.maxsize
    draw = random.Random(config.seed)
    requests: list[Request] = []
    for index in range(batches * generate.teacher.batch_size):
        pack = packs[index % len(packs)]
        short = [seed for seed in pack.seeds if len(f"{seed.prompt} {seed.output}".split()) <= most]
        seeds = draw.sample(short, generate.seeds_per_request)
        messages = build_messages(pack.prompt, seeds, generate.tasks_per_request)
        prefix = reply_prefix(len(seeds))
        requests.append(Request(index=index, pack=pack.name, parents=(), messages=messages, prefix=prefix))
    return generate.teacher, requests


class Plain:
    """What a user of transformers would write."""

    def __init__(self, config: LocalTeacherConfig) -> None:
        self.sampling = config.sampling
        self.model: Any = load_model(ModelConfig(name=config.model, dtype=config.dtype))
        self.tokenizer: Any = load_tokenizer(ModelConfig(name=config.model))
        self.tokenizer.padding_side = "left"

    @torch.inference_mode()
    def tokens(self, requests: list[Request]) -> int:
        turns = [[message.model_dump() for message in request.messages] for request in requests]
        texts = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        texts = [text + request.prefix for text, request in zip(texts, requests, strict=True)]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = inputs.to(self.model.device)
        output = self.model.generate(
            **inputs,
            max_new_tokens=self.sampling.max_tokens,
            do_sample=True,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            top_k=0,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        replies = output[:, inputs["input_ids"].shape[1] :].tolist()
        return sum(_length(reply, self.tokenizer.eos_token_id) for reply in replies)


def _length(tokens: list[int], end: int) -> int:
    return tokens.index(end) + 1 if end in tokens else len(tokens)


def main(rounds: int) -> None:
    config, requests = demo_requests(rounds)
    size = config.batch_size
    ours, plain = LocalTeacher(config, seed=0), Plain(config)
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    prompts: list[int] = []
    for begin in range(0, len(requests), size):
        batch = requests[begin : begin + size]
        start = time.perf_counter()
        count = plain.tokens(batch)
        middle = time.perf_counter()
        replies = asyncio.run(ours.complete(batch))
        end = time.perf_counter()
        rates["plain"].append(count / (middle - start))
        prompts += [reply.usage.prompt_tokens for reply in replies]
        rates["ours"].append(sum(reply.usage.completion_tokens for reply in replies) / (end - middle))
    result = {
        "model": ours.name,
        "dtype": str(plain.model.dtype).removeprefix("torch."),
        "device": str(plain.model.device),
        "batch": size,
        "prompt_tokens": round(statistics.mean(prompts)),
        "tokens_per_s": {name: round(statistics.median(found), 1) for name, found in rates.items()},
        "ratio": round(statistics.median(o / p for o, p in zip(rates["ours"], rates["plain"], strict=True)), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
