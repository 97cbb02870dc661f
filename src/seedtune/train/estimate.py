"""What a config's training takes on a device: its steps and passes as training will do them, their memory and time."""

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seedtune.config import Config, TrainConfig
from seedtune.domains import Domain
from seedtune.errors import DataError
from seedtune.train.build import plain_reason
from seedtune.train.corpus import Corpus, generated_file, read_corpus, refuse_errors
from seedtune.train.cost import Peak, Student, Way, flops, pass_seconds, peak
from seedtune.train.dataset import fit_row, make_row, split_examples
from seedtune.train.fused.memory import MOST_TOKENS, PassPlan, plan_passes
from seedtune.train.gpus import GIB, USABLE, Gpu
from seedtune.train.steps import Passes, Steps

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_PROCESS = GIB
"""What Python and torch take by themselves, where that is the memory that counts."""
_SIMULATED_STEPS = 1000
_MULTI_GPU = 0.95
"""Share of the speed that is left where GPUs exchange gradients."""


@dataclass(frozen=True)
class Machine:
    """Where training is to run."""

    gpu: Gpu | None
    """None is the CPU."""
    count: int = 1
    """GPUs."""
    cpu_operations: float | None = None
    """Floating point operations a second that training reaches on the CPU, where it was measured."""

    @property
    def name(self) -> str:
        """For people."""
        if self.gpu is None:
            return "CPU"
        return self.gpu.name if self.count == 1 else f"{self.count} x {self.gpu.name}"

    @property
    def usable(self) -> int:
        """Bytes of one device that training may fill."""
        if self.gpu is not None:
            return int(USABLE * self.gpu.gib * GIB)
        return int(USABLE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) - _PROCESS


@dataclass(frozen=True)
class Work:
    """The rows, by their lengths in tokens."""

    training: tuple[int, ...]
    held_out: tuple[int, ...]
    assumed: int = 0
    """So many of both are still to be generated, and taken to be as long as the others."""

    @classmethod
    def read(cls, config: Config, domain: Domain, tokenizer: "PreTrainedTokenizerFast") -> "Work":
        """The rows that training would make of what there is, and of what is still to be generated.

        Raises:
            DataError: a file cannot be read, or no row has room for its answer.
        """
        corpus, faults = read_corpus(config, domain, generated_file(config))
        refuse_errors(faults)
        settings, system = config.train, domain.file.system_prompt
        fitted = (fit_row(make_row(tokenizer, example, system), settings) for example in corpus.examples)
        rows = [row for row in fitted if row is not None]
        if not rows:
            raise DataError(f"no row has room for its answer in train.max_length = {settings.max_length} tokens")
        lengths = {row.example.task.id: len(row.input_ids) for row in rows}
        training, held_out = split_examples([row.example for row in rows], settings.held_out, config.seed)
        known = [tuple(lengths[example.task.id] for example in part) for part in (training, held_out)]
        return cls(known[0], known[1]).with_more(_missing(config, corpus), settings.held_out)

    def with_more(self, count: int, held_out: float) -> "Work":
        """As if there were ``count`` rows more, as long as these and split alike."""
        every = self.training + self.held_out
        more = [every[number % len(every)] for number in range(count)]
        cut = round(count * held_out)
        return Work(self.training + tuple(more[cut:]), self.held_out + tuple(more[:cut]), count)


def _missing(config: Config, corpus: Corpus) -> int:
    generated = sum(example.source == "generated" for example in corpus.examples)
    return 0 if generated or config.train.data else config.generate.num_instructions


@dataclass(frozen=True)
class Estimate:
    """What one way of training takes."""

    way: Way
    pass_rows: int | None
    """The most rows of a pass where they are padded."""
    pass_tokens: int
    """The most tokens of a pass on one device, padding included."""
    peak: Peak
    steps: int
    tokens: int
    """Of the rows, over the whole run and all devices."""
    useful: float
    """Share of the computed tokens that are no padding."""
    operations: float
    """Floating point operations of the whole run, over all devices, held-out loss included."""
    seconds: float | None
    """None where the device's speed is not known."""
    waiting: float
    """Share of the time that the GPU waits for the host, because the passes are small."""


@dataclass(frozen=True)
class Estimator:
    """Estimates for one model and one set of rows."""

    config: Config
    student: Student
    work: Work
    llama: bool
    """Its architecture is LLaMA's, which the fused kernels know."""

    def estimate(self, settings: TrainConfig, machine: Machine) -> Estimate:
        """What training with these settings takes; it need not fit."""
        way, passes = self.passes(settings, machine)
        lengths, per_step = self.work.training, settings.batch_size * settings.gradient_accumulation * machine.count
        rows = [(np.zeros(length, np.int64), np.zeros(length, np.int64)) for length in lengths]
        count = optimizer_steps(settings, len(rows), machine.count)
        steps = Steps(rows, per_step, count, self.config.seed, passes, world=machine.count)
        seen = [steps[number] for number in range(min(count, steps.per_epoch, _SIMULATED_STEPS))]
        shapes = [batch["input_ids"].shape for step in seen for batch in step["passes"]]  # pyright: ignore[reportAttributeAccessIssue]
        computed = sum(shape.numel() for shape in shapes)
        # Attention costs a token as much as its row is long; padded rows are as long as the longest.
        mean = sum(length**2 for length in lengths) / sum(lengths)
        each = [shape.numel() * flops(self.student, way, mean if passes.packed else shape[1]) for shape in shapes]
        scale = count / len(seen) * machine.count
        held_out = (settings.evaluations + 1) * sum(self.work.held_out) * flops(self.student, way, mean) / 2
        seconds, waiting = self._time(way, machine, each)
        whole = sum(each) * scale
        tokens_of_pass = max(self._largest(settings, passes), *(shape.numel() for shape in shapes))
        return Estimate(
            way=way,
            pass_rows=None if passes.packed else passes.size,
            pass_tokens=tokens_of_pass,
            peak=peak(self.student, way, tokens_of_pass),
            steps=count,
            tokens=round(count / steps.per_epoch * sum(lengths)),
            useful=sum(step["tokens"] for step in seen) / computed,
            operations=whole + held_out,
            seconds=None if seconds is None else seconds * count / len(seen) * (1 + held_out / whole),
            waiting=waiting,
        )

    def passes(self, settings: TrainConfig, machine: Machine) -> tuple[Way, Passes]:
        """How the steps are computed, as training chooses it."""
        shape, gpu, quantization = self.student.shape, machine.gpu, settings.quantization
        wanted, dropout, size = settings.gradient_checkpointing, settings.lora.dropout > 0, 2 if gpu else 4
        if plain_reason(self.config.model_copy(update={"train": settings}), "cuda" if gpu else "cpu") is not None:
            shards = machine.count if settings.sharding == "fsdp" else 1
            checkpointed = shape.layers if (gpu is not None if wanted is None else wanted) else 0
            copies = machine.count if shards == 1 else 1
            dora = settings.method == "lora" and settings.lora.dora
            way = Way("plain", checkpointed, quantization, size, dropout, dora, shards, copies)
            return way, Passes(packed=False, size=settings.batch_size, padding=0)
        longest = max(self.work.training + self.work.held_out)
        if gpu is None or not self.llama:
            way = Way("packed", shape.layers if wanted else 0, quantization, size, dropout, copies=machine.count)
            most = settings.pass_tokens or max(longest, 4096 if gpu else 1024)
            return way, Passes(packed=True, size=most, padding=0)
        options = {"float8": quantization == "fp8", "four_bit": quantization == "4bit"}
        most = settings.pass_tokens or max(MOST_TOKENS, longest)
        found = plan_passes(shape, longest, machine.usable, most, **options) or PassPlan(longest, shape.layers)
        checkpointed = found.checkpointed_layers if wanted is None else shape.layers * wanted
        way = Way("fused", checkpointed, quantization, size, dropout, copies=machine.count)
        return way, Passes(packed=True, size=found.tokens, padding=0, multiple=128)

    def _largest(self, settings: TrainConfig, passes: Passes) -> int:
        """Tokens of the largest pass that any order of the rows can bring, padding included."""
        lengths = sorted(self.work.training, reverse=True)
        if not passes.packed:
            return lengths[0] * min(passes.size, len(lengths))
        rows = settings.batch_size * settings.gradient_accumulation
        return max(lengths[0], min(passes.size, sum(lengths[:rows])))

    def _time(self, way: Way, machine: Machine, each: list[float]) -> tuple[float | None, float]:
        """Seconds of passes of so many operations each, and the share of them that a GPU waits."""
        if machine.gpu is None:
            return (sum(each) / machine.cpu_operations if machine.cpu_operations else None), 0.0
        if machine.gpu.tflops is None:
            return None, 0.0
        tflops = machine.gpu.tflops
        times = [pass_seconds(self.student, way, operations, tflops) for operations in each]
        whole = sum(time for time, _ in times)
        return whole / (_MULTI_GPU if machine.count > 1 else 1.0), sum(waits for _, waits in times) / whole


def optimizer_steps(settings: TrainConfig, rows: int, devices: int = 1) -> int:
    """Optimizer steps of a run over so many rows."""
    if settings.max_steps is not None:
        return settings.max_steps
    per_step = settings.batch_size * settings.gradient_accumulation * devices
    return max(1, math.ceil(math.ceil(rows / per_step) * settings.epochs))
