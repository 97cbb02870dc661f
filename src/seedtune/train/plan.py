"""What a training run will take, before it is started, and what to change if it cannot run.

From the config, the tokenizer and the model's config.json; no weights are read. Where something is not known, the plan
says so. Not covered: loading and saving, the host's memory beside a GPU, several machines.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from seedtune import console, models
from seedtune.config import Config, TrainConfig
from seedtune.domains import load_domain
from seedtune.errors import ConfigError, TrainingError
from seedtune.train.architecture import count_parameters, read_architecture, shape_of
from seedtune.train.cost import Student, Way, cpu_operations
from seedtune.train.estimate import Estimate, Estimator, Machine, Work
from seedtune.train.gpus import GIB, GPUS, Gpu, detected, named

Settings = dict[str, Any]
"""Of the section ``train``, by name."""


@dataclass(frozen=True)
class Option:
    """Other settings or another machine, and what training takes with them."""

    change: str
    """What to set, as on the command line."""
    peak_gib: float
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What is planned for one config on one machine."""

    machine: Machine
    student: Student
    work: Work
    rows_per_step: int
    """Over all devices."""
    estimate: Estimate
    memory_band: float
    """Peaks may lie this share above or below."""
    time_band: tuple[float, float]
    """Factors of the time for its low and its high end."""
    options: tuple[Option, ...]
    """Where it does not fit, what would; else what would be faster."""
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether the peak stays within the device's memory."""
        return self.estimate.peak.total <= self.machine.usable

    @property
    def hours(self) -> tuple[float, float, float] | None:
        """Low end, estimate and high end; None where the speed is not known."""
        seconds, (low, high) = self.estimate.seconds, self.time_band
        return None if seconds is None else (low * seconds / 3600, seconds / 3600, high * seconds / 3600)

    def as_json(self) -> dict[str, Any]:
        """Plain values for another program."""
        found = self.estimate
        parts = {f"{name}_gib": round(size / GIB, 2) for name, size in asdict(found.peak).items()}
        return {
            "fits": self.fits,
            "device": {
                "name": self.machine.name,
                "count": self.machine.count,
                "usable_gib": round(self.machine.usable / GIB, 1),
            },
            "model": {**asdict(self.student.parameters), "whole": self.student.trained_whole},
            "way": asdict(found.way),
            "pass": {"tokens": found.pass_tokens, "padded_rows": found.pass_rows},
            "rows": {
                "train": len(self.work.training),
                "held_out": len(self.work.held_out),
                "assumed": self.work.assumed,
                "per_step": self.rows_per_step,
            },
            "steps": found.steps,
            "tokens": found.tokens,
            "useful_share": round(found.useful, 4),
            "flops": found.operations,
            "peak": {**parts, "gib": round(found.peak.total / GIB, 2), "band": self.memory_band},
            "hours": None if self.hours is None else [round(value, 4) for value in self.hours],
            "waiting_share": round(found.waiting, 3),
            "options": [asdict(option) for option in self.options],
            "notes": list(self.notes),
        }


def plan_training(config: Config, gpu: str | None = None, gpus: int | None = None) -> Plan:
    """Plan a config's training for this machine's devices, or for ``gpus`` GPUs of a name.

    Raises:
        ConfigError: no such GPU.
        TrainingError: the model is of a kind whose memory is not known, or the device lacks what the settings need.
        SeedtuneError: domain, data, tokenizer or config.json cannot be read.
    """
    machine, settings = _machine(config, gpu, gpus), config.train
    if settings.quantization == "fp8" and not (machine.gpu and machine.gpu.float8):
        raise TrainingError(
            f"train.quantization: fp8 needs a GPU of compute capability 8.9 or more, not {machine.name}"
        )
    # First: its errors say what to do about a model that is gated, private or not there.
    tokenizer = models.load_tokenizer(config.model)
    architecture = read_architecture(config.model)
    shape = shape_of(architecture, settings.lora.r)
    if shape is None:
        raise TrainingError(
            f"{config.model.name}: what a model of type {architecture.model_type} takes is not known here; "
            "train a few steps and look: seedtune train --set train.max_steps=10"
        )
    student = Student(shape, count_parameters(architecture, settings), settings.method == "full")
    work = Work.read(config, load_domain(config.domain), tokenizer)
    estimator = Estimator(config, student, work, architecture.model_type == "llama")
    estimate = estimator.estimate(settings, machine)
    fits = estimate.peak.total <= machine.usable
    return Plan(
        machine=machine,
        student=student,
        work=work,
        rows_per_step=settings.batch_size * settings.gradient_accumulation * machine.count,
        estimate=estimate,
        memory_band=_memory_band(estimate.way),
        time_band=_time_band(machine, estimate.way),
        options=tuple(_faster(estimator, estimate, machine) if fits else _fitting(estimator, machine)),
        notes=tuple(_notes(estimator, estimate, machine)),
    )


def _machine(config: Config, gpu: str | None, gpus: int | None) -> Machine:
    if gpus is not None and gpus < 1:
        raise ConfigError(f"--gpus {gpus}: expected 1 or more")
    count = gpus or config.train.gpus
    if gpu is not None:
        return Machine(named(gpu), count or 1) if gpu != "cpu" else Machine(None, 1, cpu_operations())
    found = detected()
    if found:
        return Machine(found[0], count or len(found))
    if gpus is not None:
        raise ConfigError(f"--gpus {gpus}: this machine has no GPU; name one with --gpu, such as --gpu h100")
    return Machine(None, 1, cpu_operations())


def _memory_band(way: Way) -> float:
    """Where peaks were measured the plan was within 5 (fused) and 10 per cent; elsewhere it is arithmetic."""
    if way.bytes == 4:
        return 0.5
    if way.kernels == "packed" or way.shards > 1:
        return 0.25
    return 0.05 if way.kernels == "fused" else 0.1


def _time_band(machine: Machine, way: Way) -> tuple[float, float]:
    if machine.gpu is None:
        return 0.4, 3.0
    measured = _like_measured(machine.gpu)
    if measured and way.kernels == "fused" and way.quantization != "4bit":
        return 0.9, 1.2
    return (0.75, 1.4) if measured else (0.6, 2.0)


def _like_measured(gpu: Gpu) -> bool:
    """Whether it has the chip that everything was measured on, at its full power."""
    return gpu.tflops == GPUS["h100"].tflops


def _faster(estimator: Estimator, present: Estimate, machine: Machine) -> Iterator[Option]:
    """Ways to do the same steps in less time: the best of them, if it saves a tenth."""
    settings = estimator.config.train
    rows = settings.batch_size * settings.gradient_accumulation
    changes: list[Settings] = []
    if present.way.kernels == "plain":
        sizes = [size for size in range(1, rows + 1) if rows % size == 0]
        batches: list[Settings] = [{"batch_size": size, "gradient_accumulation": rows // size} for size in sizes]
        whether: list[Settings] = [{"gradient_checkpointing": False}, {"gradient_checkpointing": True}]
        changes = [batch | checkpointing for batch in batches for checkpointing in whether]
        if settings.kernels == "plain" and settings.method == "lora" and not settings.lora.dora:
            changes.append({"kernels": "auto"})
    elif present.way.kernels == "fused" and machine.gpu and machine.gpu.float8 and settings.quantization is None:
        changes.append({"quantization": "fp8"})
    found = [(change, _with(estimator, change, machine)) for change in changes]
    timed = [
        (estimate.seconds, change, estimate)
        for change, estimate in found
        if estimate.seconds is not None and estimate.peak.total <= machine.usable
    ]
    if timed and present.seconds is not None:
        seconds, change, estimate = min(timed, key=lambda entry: entry[0])
        if seconds < 0.9 * present.seconds:
            yield _option(_spelt(change, settings), estimate)


def _fitting(estimator: Estimator, machine: Machine) -> Iterator[Option]:
    """What would fit: the same steps in smaller parts, fewer bits, shorter rows, more or larger GPUs."""
    settings = estimator.config.train
    rows, lora = settings.batch_size * settings.gradient_accumulation, settings.method == "lora"
    smaller: list[Settings] = [
        {"batch_size": size, "gradient_accumulation": rows // size}
        for size in range(settings.batch_size - 1, 0, -1)
        if rows % size == 0
    ]
    checkpointed: Settings = {"gradient_checkpointing": True}
    families: list[list[Settings]] = [
        smaller if settings.kernels == "plain" or not lora else [],
        [] if machine.gpu is None else [{"gradient_checkpointing": None}, checkpointed],
        [checkpointed | change for change in smaller],
        [{"kernels": "auto", "gradient_checkpointing": None}] if settings.kernels == "plain" and lora else [],
        [{"quantization": "4bit", "gradient_checkpointing": None}] if machine.gpu and lora else [],
    ]
    for family in families:
        for change in family:
            estimate = _with(estimator, change, machine)
            if estimate.peak.total <= machine.usable:
                yield _option(_spelt(change, settings), estimate)
                break
    if not lora:
        shape, parameters = estimator.student.shape, estimator.student.parameters
        adapted = Student(shape, replace(parameters, trained=shape.layers * shape.adapters))
        estimate = _with(replace(estimator, student=adapted), {"method": "lora"}, machine)
        if estimate.peak.total <= machine.usable:
            yield _option("--set train.method=lora", estimate)
    yield from _shorter(estimator, machine)
    yield from _other_machines(estimator, machine)


def _shorter(estimator: Estimator, machine: Machine) -> Iterator[Option]:
    """The longest rows that fit, to the next lower power of two."""
    settings, work = estimator.config.train, estimator.work
    limit = 1 << (max(work.training).bit_length() - 1)
    while limit >= 64:
        cut = replace(work, training=tuple(min(limit, length) for length in work.training), held_out=())
        shorter = replace(estimator, work=cut)
        change: Settings = {"max_length": limit}
        estimate = _with(shorter, change, machine)
        if estimate.peak.total <= machine.usable:
            yield _option(_spelt(change, settings), estimate)
            return
        limit //= 2


def _other_machines(estimator: Estimator, machine: Machine) -> Iterator[Option]:
    if machine.gpu is None:
        return
    settings = estimator.config.train
    for count in (2, 4, 8):
        more, change = replace(machine, count=count), {"sharding": "fsdp", "quantization": None}
        estimate = _with(estimator, change, more)
        if count > machine.count and estimate.peak.total <= more.usable:
            yield _option(f"--gpus {count} {_spelt(change, settings)}", estimate)
            break
    for gpu in sorted(GPUS.values(), key=lambda gpu: gpu.gib):
        larger = replace(machine, gpu=gpu)
        if gpu.gib > machine.gpu.gib:
            estimate = estimator.estimate(settings, larger)
            if estimate.peak.total <= larger.usable:
                yield _option(f"--gpu {gpu.name}", estimate)
                return


def _with(estimator: Estimator, change: Settings, machine: Machine) -> Estimate:
    return estimator.estimate(estimator.config.train.model_copy(update=change), machine)


def _option(change: str, estimate: Estimate) -> Option:
    return Option(change, round(estimate.peak.total / GIB, 1), estimate.seconds)


def _spelt(change: Settings, settings: TrainConfig) -> str:
    """As on the command line; what is so already is left out."""
    changed = {key: value for key, value in change.items() if getattr(settings, key) != value}
    return " ".join(f"--set train.{key}={json.dumps(value).strip(chr(34))}" for key, value in changed.items())


def _notes(estimator: Estimator, estimate: Estimate, machine: Machine) -> Iterator[str]:
    if estimator.work.assumed:
        yield f"{estimator.work.assumed:,} rows are still to be generated and taken to be as long as the seed tasks"
    if machine.gpu is None:
        yield "the speed is that of one large product on this CPU as busy as it is now; expect a factor of 3 either way"
    elif machine.gpu.tflops is None:
        yield f"how fast {machine.gpu.name} is, is not known here: no time is given"
    if estimate.waiting > 0.2:
        yield (
            f"steps of so few tokens leave the GPU waiting {estimate.waiting:.0%} of the time; "
            "a larger train.batch_size costs little (and changes what is learned: fewer steps)"
        )
    if estimate.way.kernels == "fused" and machine.gpu and not _like_measured(machine.gpu):
        yield "the fused kernels were measured on an H100; where they fail their test, training takes plain ones"
    if estimate.way.kernels == "packed" and machine.gpu is not None:
        yield "LoRA is fused for this architecture, the rest of its layers is not: nothing of the kind was measured"


def show_plan(plan: Plan, as_json: bool) -> int:
    """Print a plan; 1 if it does not fit, else 0."""
    if as_json:
        console.say_raw(json.dumps(plan.as_json(), indent=2))
        return 0 if plan.fits else 1
    found, machine = plan.estimate, plan.machine
    parameters = plan.student.parameters
    rows = [
        ["device", f"{machine.name}, {machine.usable / GIB:.1f} GiB usable{' each' if machine.count > 1 else ''}"],
        ["model", f"{parameters.base / 1e9:.3g} billion parameters, {parameters.trained / 1e6:.1f} million trained"],
        ["rows", f"{len(plan.work.training):,} to train on, {len(plan.work.held_out):,} held out"],
        ["steps", f"{found.steps:,} of {plan.rows_per_step} rows"],
        ["tokens", f"{found.tokens:,}; {found.useful:.0%} of what is computed is no padding"],
        ["operations", f"{found.operations / 1e15:,.3g} PFLOP"],
        ["passes", _passes(found, plan.student.shape.layers)],
        *([name, f"{size / GIB:.2f} GiB"] for name, size in asdict(found.peak).items()),
        ["peak", f"{found.peak.total / GIB:.1f} GiB, within {plan.memory_band:.0%}"],
        ["time", _time(plan)],
    ]
    console.show_table("plan", ["", "training"], rows)
    for note in plan.notes:
        console.say(f"note: {note}")
    if not plan.fits:
        console.say(f"it does not fit: {found.peak.total / GIB:.1f} of {machine.usable / GIB:.1f} GiB")
    lead = "faster" if plan.fits else "fits"
    for option in plan.options:
        seconds = "" if option.seconds is None else f", {console.duration(option.seconds)}"
        console.say(f"{lead}: {option.change} ({option.peak_gib:.1f} GiB{seconds})")
    if not plan.fits and not plan.options:
        console.say("nothing known here would make it fit: use a smaller model")
    return 0 if plan.fits else 1


def _passes(found: Estimate, layers: int) -> str:
    size = f"at most {found.pass_tokens:,} tokens"
    if found.pass_rows is not None:
        size = f"{found.pass_rows} rows, padded, {size}"
    count = found.way.checkpointed_layers
    return f"{found.way.kernels} kernels, {size}, {count} of {layers} layers checkpointed"


def _time(plan: Plan) -> str:
    if plan.hours is None or plan.estimate.seconds is None:
        return "not known"
    low, middle, high = (console.duration(3600 * hours) for hours in plan.hours)
    speed = plan.estimate.tokens / plan.estimate.seconds
    return f"{middle} ({low} to {high}), {speed:,.0f} useful tokens/s"
