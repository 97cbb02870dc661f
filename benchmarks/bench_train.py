"""Training speed of LoRA recipes on one GPU, in one run: a model of LLaMA-3.1-8B's shape, short instruction rows.

Usage: python benchmarks/bench_train.py [--recipes a,b] [--steps N] [--out FILE] [--profile FOLDER]

Rows have 60 to 1024 tokens (lognormal, mean 309). LoRA rank 64 on all linear layers, dropout 0.1. A useful token is one
that is not padding. Speed is the useful tokens of the measured steps over the time they took, everything included that
a user waits for (data, logging, optimizer); beside it the median of the steps by themselves.

Recipes:
  padded        every row padded to 2048, batch 4, checkpointing: what many tutorials do
  trl           TRL's defaults: padded to the longest of 4, checkpointing
  trl-packed    TRL's packing (bfd, 4 x 2048) with torch's varlen attention, checkpointing
  fused         seedtune: packed to 8192 tokens, everything fused
  fused-fp8     the same with frozen weights in 8-bit floating point
  fused-nodrop  the same without dropout
  fused-KEY     the same with one piece switched off (lora, norm, rotation, swiglu, loss), with another attention
                (attention=flash), or with so many layers run again in the backward pass (checkpoint=32)
  equal-trl, equal-fused, equal-fused-fp8
                the same rows in the same steps through TRL padded and through seedtune, without dropout: their losses
                are printed side by side
"""

import argparse
import dataclasses
import gc
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from seedtune.train.fused import attention
from seedtune.train.fused.llama import Fusion
from seedtune.train.fused.packing import pack
from seedtune.train.steps import Passes, Steps
from seedtune.train.trainer import ARGUMENTS, FUSED_ARGUMENTS, Trainer

WARM_UP = 3
TOKENS_A_STEP = 8192
SHAPES = {
    "8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
    "small": {
        "vocab_size": 512,
        "hidden_size": 512,
        "intermediate_size": 1536,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
    },
    "tiny": {
        "vocab_size": 1000,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}


SHORTER = {"8b": 1, "1b": 1, "small": 1, "tiny": 16}
"""Rows of the tiny shape, which only tries the script out on a CPU, are so much shorter."""


def rows(count: int, vocabulary: int, shorter: int) -> list[list[int]]:
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(260), 0.65, count).astype(int), 60, 1024) // shorter
    return [generator.integers(5, vocabulary - 256, length).tolist() for length in lengths]


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "a": 2}, unk_token="a"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")


def base_model(shape: str, device: str) -> Any:
    config = LlamaConfig(
        **SHAPES[shape],
        max_position_embeddings=131072,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        pad_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model


class Clock(TrainerCallback):
    """Notes when each step begins, on the GPU's clock and on the wall's; waits for the GPU at the end alone."""

    def __init__(self) -> None:
        self.marks: list[Any] = []
        self.walls: list[float] = []

    def on_step_begin(self, *arguments: Any, **rest: Any) -> None:
        if torch.cuda.is_available():
            if len(self.marks) == WARM_UP:
                torch.cuda.synchronize()
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        else:
            mark = time.perf_counter()
        self.marks.append(mark)
        self.walls.append(time.perf_counter())

    def on_train_end(self, *arguments: Any, **rest: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.on_step_begin()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def steps(self) -> list[float]:
        """Seconds of each step."""
        if torch.cuda.is_available():
            return [a.elapsed_time(b) / 1000 for a, b in zip(self.marks, self.marks[1:], strict=False)]
        return [b - a for a, b in zip(self.marks, self.marks[1:], strict=False)]


class Profile(TrainerCallback):
    """Two steps under torch's profiler: kernels summed by name, and how long the GPU had nothing to do."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path
        self.profiler: Any = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step == self.step:
            self.profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self.profiler.__enter__()
            self.start = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if self.profiler is None or state.global_step != self.step + 2:
            return
        launched = (time.perf_counter() - self.start) / 2
        torch.cuda.synchronize()
        self.profiler.__exit__(None, None, None)
        found = [
            (event.start_ns(), event.duration_ns(), event.name())
            for event in self.profiler.profiler.kineto_results.events()
            if event.device_type() == torch.profiler.DeviceType.CUDA
        ]
        found.sort()
        sums: dict[str, list[float]] = {}
        end, busy = found[0][0], 0
        for start, duration, name in found:
            busy += max(0, start + duration - max(start, end))
            end = max(end, start + duration)
            entry = sums.setdefault(name, [0.0, 0])
            entry[0] += duration / 2e6
            entry[1] += 0.5
        span = (end - found[0][0]) / 2e6
        lines = [
            f"a step: launched in {launched * 1e3:.0f} ms, {span:.0f} ms on the GPU, of which {busy / 2e6:.0f} busy"
        ]
        lines += [
            f"{ms:8.2f} ms {count:6.1f} x {name[:110]}"
            for name, (ms, count) in sorted(sums.items(), key=lambda e: -e[1][0])
        ]
        self.path.write_text("\n".join(lines) + "\n")
        print("\n".join(lines[:32]), flush=True)


def lora(dropout: float) -> LoraConfig:
    return LoraConfig(
        r=64, lora_alpha=16, lora_dropout=dropout, bias="none", task_type="CAUSAL_LM", target_modules="all-linear"
    )


def arguments(steps: int, gpu: bool, **extra: Any) -> SFTConfig:
    given: dict[str, Any] = {
        "output_dir": tempfile.gettempdir() + "/bench_train",
        "max_steps": steps,
        "logging_steps": 10,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.3,
        "bf16": gpu,
        "use_cpu": not gpu,
        "optim": "adamw_torch_fused",
        "max_length": 2048,
        "per_device_train_batch_size": 4,
    }
    return SFTConfig(**{**given, **extra})


@dataclasses.dataclass(frozen=True, eq=False)
class Bins(Steps):
    """Steps of full passes, made ahead: what a GPU can do at best."""

    bins: tuple[list[int], ...] = ()

    @property
    def per_epoch(self) -> int:
        return len(self.bins)

    def rows_of(self, step: int) -> list[int]:
        return self.bins[step % len(self.bins)]


class InOrder(SFTTrainer):
    """TRL's trainer over given groups of rows, padded to the longest of a group."""

    def __init__(self, groups: list[list[int]], **rest: Any) -> None:
        super().__init__(**rest)
        self._groups = groups

    def get_train_dataloader(self) -> Any:
        loader = torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=self._groups, collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)


@dataclasses.dataclass
class Bench:
    base: Any
    data: list[list[int]]
    steps: int
    gpu: bool
    shorter: int
    tokens: int
    profile: Path | None

    def trainer(self, recipe: str, steps: int) -> tuple[Any, list[int] | None]:
        """A trainer and the useful tokens of each step, where they are known ahead."""
        common = {"processing_class": tokenizer(), "train_dataset": Dataset.from_dict({"input_ids": self.data})}
        capacity = self.tokens // self.shorter
        bins = pack([len(row) for row in self.data], capacity)
        np.random.default_rng(0).shuffle(bins)
        useful = [sum(len(self.data[row]) for row in group) for group in bins]
        if recipe in ("padded", "trl", "trl-packed"):
            self.base.set_attn_implementation("sdpa")
            extra: dict[str, Any] = {"gradient_checkpointing": True}
            if recipe == "trl-packed":
                attention.register(attention.varlen if self.gpu else attention.row_by_row)
                self.base.set_attn_implementation(attention.NAME)
                extra.update(packing=True, packing_strategy="bfd", max_length=2048 // self.shorter)
            if recipe == "padded":
                common["data_collator"] = DataCollatorForLanguageModeling(
                    pad_token_id=0, pad_to_multiple_of=2048 // self.shorter
                )
            made = SFTTrainer(
                model=self.base, args=arguments(steps, self.gpu, **extra), peft_config=lora(0.1), **common
            )
            return made, None
        if recipe == "equal-trl":
            self.base.set_attn_implementation("sdpa")
            given = arguments(steps, self.gpu, gradient_checkpointing=True, logging_steps=1)
            return InOrder(groups=bins, model=self.base, args=given, peft_config=lora(0.0), **common), useful
        dropout, logs, fusion = 0.1, 10, Fusion()
        if recipe.startswith("equal-fused"):
            dropout, logs, fusion = 0.0, 1, Fusion(float8=recipe.endswith("fp8"))
        elif recipe == "fused-fp8":
            fusion = Fusion(float8=True)
        elif recipe == "fused-nodrop":
            dropout = 0.0
        elif recipe.startswith("fused-attention="):
            fusion = Fusion(attention=recipe.partition("=")[2])
        elif recipe.startswith("fused-checkpoint="):
            fusion = Fusion(checkpointed_layers=int(recipe.partition("=")[2]))
        elif recipe != "fused":
            fusion = dataclasses.replace(fusion, **{recipe.removeprefix("fused-"): False})
        pairs = [(np.array(row), np.array(row)) for row in self.data]
        passes = Passes(True, capacity, 0, multiple=128)
        packed = Bins(pairs, 1, steps, 0, passes, bins=tuple(bins))
        given = arguments(steps, self.gpu, **ARGUMENTS, **FUSED_ARGUMENTS, logging_steps=logs)
        # Without autocast stock PEFT would multiply in float32.
        cast = {"autocast_adapter_dtype": False} if recipe == "fused-lora" else {}
        model = get_peft_model(self.base, lora(dropout), **cast)
        common.pop("train_dataset")
        return Trainer(packed, fusion=fusion, model=model, args=given, **common), useful

    def run(self, recipe: str) -> dict[str, Any]:
        steps = self.steps + WARM_UP
        if recipe in ("padded", "trl", "trl-packed"):
            steps = max(4, self.steps // 3) + WARM_UP
        elif recipe.startswith("equal"):
            steps = min(6, self.steps)
        elif recipe not in ("fused", "fused-fp8"):
            steps = self.steps // 2 + WARM_UP
        torch.manual_seed(0)
        trainer, useful = self.trainer(recipe, steps)
        clock, seen = Clock(), []
        trainer.add_callback(clock)
        if self.profile is not None and recipe in ("fused", "fused-fp8"):
            trainer.add_callback(Profile(steps - 3, self.profile / f"{recipe}.txt"))
        if useful is None:
            stock = trainer.training_step

            def step(model: Any, inputs: Any, *rest: Any, **more: Any) -> Any:
                mask = inputs.get("attention_mask")
                seen.append(inputs["input_ids"].numel() if mask is None else mask.sum())
                return stock(model, inputs, *rest, **more)

            trainer.training_step = step
        if self.gpu:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        tokens = [int(count) for count in (seen if useful is None else useful[:steps])]
        seconds = clock.steps()[:steps]
        cut = WARM_UP if steps > WARM_UP + 2 else 1
        if self.profile is not None and recipe in ("fused", "fused-fp8"):
            tokens, seconds = tokens[: steps - 3], seconds[: steps - 3]
        history = [line["loss"] for line in trainer.state.log_history if "loss" in line]
        result = {
            "recipe": recipe,
            "useful_tokens_per_second": round(sum(tokens[cut:]) / sum(seconds[cut:])),
            "median_step": round(statistics.median(t / s for t, s in zip(tokens[cut:], seconds[cut:], strict=True))),
            "tokens_per_step": round(statistics.mean(tokens[cut:])),
            "step_ms": round(1000 * statistics.median(seconds[cut:]), 1),
            "steps": len(tokens) - cut,
            "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if self.gpu else None,
            "losses": [round(loss, 5) for loss in history],
        }
        trainer.model.unload()
        return result


def results(bench: Bench, recipes: list[str]) -> Iterator[dict[str, Any]]:
    for recipe in recipes:
        start = time.perf_counter()
        try:
            result = bench.run(recipe)
        except Exception as problem:
            # One recipe that does not run here must not cost the others' results.
            logging.exception("%s", recipe)
            result = {"recipe": recipe, "problem": f"{type(problem).__name__}: {problem}"[:300]}
        bench.base.__dict__.pop("forward", None)
        gc.collect()
        if bench.gpu:
            torch.cuda.empty_cache()
        yield {**result, "whole_s": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", default="padded,trl,trl-packed,fused,equal-trl,equal-fused")
    parser.add_argument("--steps", type=int, default=30, help="measured steps of the fused recipes")
    parser.add_argument("--tokens", type=int, default=TOKENS_A_STEP, help="tokens of a packed batch")
    parser.add_argument("--shape", default="8b", choices=SHAPES)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    for noisy in ("httpx", "datasets", "transformers"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    gpu = torch.cuda.is_available()
    base = base_model(given.shape, "cuda" if gpu else "cpu")
    shorter = SHORTER[given.shape]
    data = rows(3000 if gpu else 1000, SHAPES[given.shape]["vocab_size"], shorter)
    bench = Bench(base, data, given.steps, gpu, shorter, given.tokens, given.profile)
    report = {
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft", "triton")},
        "date": time.strftime("%Y-%m-%d"),
        "shape": given.shape,
        "recipes": [],
    }
    for result in results(bench, given.recipes.split(",")):
        print(json.dumps(result), flush=True)
        report["recipes"].append(result)
        if given.out:
            given.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{'recipe':24s} {'tok/s':>7s} {'median':>7s} {'GiB':>6s} {'step ms':>8s} last loss")
    for r in report["recipes"]:
        if "problem" in r:
            print(f"{r['recipe']:24s} {r['problem'][:90]}")
        else:
            last = r["losses"][-1] if r["losses"] else float("nan")
            print(
                f"{r['recipe']:24s} {r['useful_tokens_per_second']:7d} {r['median_step']:7d} {r['peak_gib'] or 0:6.1f} "
                f"{r['step_ms']:8.1f} {last}"
            )


def version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
