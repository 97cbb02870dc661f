"""Tokens a second of the local teacher, on the demo's own requests.

The embedded model, the demo's packs, sampling and batch size, in two comparisons:

- ``ours`` beside ``plain``, transformers' ``generate``: each round is a batch of new requests, done by both in turn.
- ``continuous`` beside ``batches``, both ours: each round is three batches of new requests, whose replies may have from
  8 tokens to the demo's most, at random.

Tokens are those written up to the end of each reply; the time is that of prompts and replies together.
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
from seedtune.generate.wording.prompting import build_messages, reply_prefix
from seedtune.models import load_model, load_tokenizer
from seedtune.records import Decoding, Reply, Request
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


def beside_plain(config: LocalTeacherConfig, requests: list[Request]) -> dict[str, Any]:
    """Batches of ours and of plain ``generate``."""
    size = config.batch_size
    ours, plain = LocalTeacher(config.model_copy(update={"continuous": False}), seed=0), Plain(config)
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
        rates["ours"].append(_written(replies) / (end - middle))
    return {
        "model": ours.name,
        "dtype": str(plain.model.dtype).removeprefix("torch."),
        "device": str(plain.model.device),
        "batch": size,
        "prompt_tokens": round(statistics.mean(prompts)),
        **_compared(rates, "ours", "plain"),
    }


def continuous_beside_batches(config: LocalTeacherConfig, requests: list[Request]) -> dict[str, Any]:
    """Short and long replies mixed."""
    draw = random.Random(0)
    lengths = [draw.randint(8, config.sampling.max_tokens) for _ in requests]
    mixed = [
        request.model_copy(update={"decoding": Decoding(max_tokens=length)})
        for request, length in zip(requests, lengths, strict=True)
    ]
    teachers = {
        name: LocalTeacher(config.model_copy(update={"continuous": name == "continuous"}), seed=0)
        for name in ("batches", "continuous")
    }
    rates: dict[str, list[float]] = {name: [] for name in teachers}
    for begin in range(0, len(mixed), 3 * config.batch_size):
        for name, teacher in teachers.items():
            start = time.perf_counter()
            replies = asyncio.run(_all(teacher, mixed[begin : begin + 3 * config.batch_size]))
            rates[name].append(_written(replies) / (time.perf_counter() - start))
    return _compared(rates, "continuous", "batches")


async def _all(teacher: LocalTeacher, requests: list[Request]) -> list[Reply]:
    """As the loop of a run hands them over."""
    places = asyncio.Semaphore(teacher.concurrency)

    async def call(begin: int) -> list[Reply]:
        async with places:
            return await teacher.complete(requests[begin : begin + teacher.batch_size])

    calls = await asyncio.gather(*map(call, range(0, len(requests), teacher.batch_size)))
    return [reply for replies in calls for reply in replies]


def _written(replies: list[Reply]) -> int:
    return sum(reply.usage.completion_tokens for reply in replies)


def _compared(rates: dict[str, list[float]], ours: str, other: str) -> dict[str, Any]:
    return {
        "tokens_per_s": {name: round(statistics.median(found), 1) for name, found in rates.items()},
        "ratio": round(statistics.median(o / p for o, p in zip(rates[ours], rates[other], strict=True)), 2),
    }


def main(rounds: int) -> None:
    config, requests = demo_requests(3 * rounds)
    result = beside_plain(config, requests[: rounds * config.batch_size])
    print(json.dumps({**result, "mixed_lengths": continuous_beside_batches(config, requests)}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
