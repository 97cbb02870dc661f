"""What a training step costs: memory at its peak, floating point operations, time.

The fused way's memory is :mod:`seedtune.train.fused.memory`; that of transformers' own layers is here, counted in the
same manner: what the forward pass saves for the backward pass, read off with autograd's saved-tensor hooks, and on top
of it what passes through the widest place of the backward pass. ``docs/check-and-plan.md`` holds both against measured
peaks.

Not covered: mixtures of experts, other adapters than LoRA, optimizers other than AdamW.
"""

import time
from dataclasses import dataclass
from typing import Literal

from seedtune.train.architecture import Parameters
from seedtune.train.fused.memory import Shape, fixed_bytes, step_bytes

# Measured on an H100 with LLaMA-3.1-8B's shape at rank 64 (benchmarks/results/train-h100.json, docs/LOG.md).
# What stands for "packed" lies between the others and was not measured.
_SHARE = {"fused": 0.57, "packed": 0.42, "plain": 0.30}
_FLOAT8_SHARE = 0.75
"""Of the GPU's bfloat16 TFLOP/s that training reaches."""
_HOST_S = {"fused": 0.0036, "packed": 0.015, "plain": 0.027}
"""Seconds a layer that the host needs to launch a pass, however few its tokens."""
_CPU_SHARE = 0.3
"""Of the speed of one large product in float32."""
_FOUR_BITS = (4 + 8 / 64 + 32 / (64 * 256)) / 8
"""Bytes of a weight in NF4: a scale of 8 bits for 64 weights, and of 32 bits for 256 scales (Dettmers et al. 2023)."""


@dataclass(frozen=True)
class Way:
    """How the steps are computed."""

    kernels: Literal["fused", "packed", "plain"]
    """``packed``: fused LoRA in layers that are otherwise transformers' own, as on a CPU or in other models than LLaMA;
    ``plain``: padded rows through transformers and PEFT."""
    checkpointed_layers: int = 0
    quantization: Literal["fp8", "4bit"] | None = None
    bytes: int = 2
    """Of a frozen weight and an activation: 4 in float32, on a CPU."""
    dropout: bool = True
    dora: bool = False
    shards: int = 1
    """GPUs that share the weights, with FSDP."""
    copies: int = 1
    """GPUs that each hold all weights; more than one sum their gradients in buffers of their own."""


@dataclass(frozen=True)
class Student:
    """The model that is trained."""

    shape: Shape
    parameters: Parameters
    trained_whole: bool = False
    """Every weight is trained, without adapters."""


@dataclass(frozen=True)
class Peak:
    """Bytes at the fullest moment of a step, on one device."""

    weights: int
    """Frozen ones; all, where all are trained."""
    trained: int
    """Trained parameters in float32, their gradients, AdamW's two moments."""
    step: int
    """What grows with the tokens of a pass."""

    @property
    def total(self) -> int:
        """All together, as ``torch.cuda.max_memory_allocated`` counts it."""
        return self.weights + self.trained + self.step


def peak(student: Student, way: Way, tokens: int) -> Peak:
    """The peak of a pass of so many tokens, padding included."""
    weights, trained = _standing(student, way)
    if way.kernels != "fused":
        step = tokens * _stock_bytes(student.shape, way) + (_dora_bytes(student.shape, way) if way.dora else 0)
        return Peak(weights, trained, step)
    quantized = {"float8": way.quantization == "fp8", "four_bit": way.quantization == "4bit"}
    fixed = fixed_bytes(student.shape, **quantized)
    step = step_bytes(student.shape, tokens, way.checkpointed_layers, **quantized) - fixed
    adapters = 16 * student.shape.layers * student.shape.adapters
    return Peak(fixed - adapters, trained, step)


def _standing(student: Student, way: Way) -> tuple[int, int]:
    """Bytes of weights, and of all that training them or the adapters takes beside."""
    parameters = student.parameters
    if student.trained_whole:
        # Weights, gradients and AdamW's moments in float32.
        return parameters.base * 4 // way.shards, parameters.base * 12 // way.shards
    head = student.shape.vocabulary * student.shape.width
    frozen = parameters.base * way.bytes
    if way.quantization == "4bit":
        layers = parameters.multiplied - head
        frozen = (parameters.base - layers) * way.bytes + round(layers * _FOUR_BITS)
        # One projection at a time is unpacked.
        frozen += student.shape.width * student.shape.feed_forward * way.bytes
    gathered = student.shape.projections * way.bytes if way.shards > 1 else 0
    return frozen // way.shards + gathered, parameters.trained * (20 if way.copies > 1 else 16) // way.shards


def _stock_bytes(shape: Shape, way: Way) -> int:
    """What a token takes in transformers' layers: kept by all of them, and passing through one."""
    kept, size, width = stock_kept_bytes(shape, way), way.bytes, shape.width
    # In 16 bits plain adapters give the activation's gradient in float32, before dropout and after.
    passing = (8 if way.kernels == "plain" else 3 * size) * shape.feed_forward + 2 * size * width
    if not way.checkpointed_layers:
        return shape.layers * kept + passing
    return shape.layers * width * size + kept + passing


def _dora_bytes(shape: Shape, way: Way) -> int:
    """What PEFT makes of the widest projection to know its norm, whatever the tokens.

    A unit matrix in float32 that is sent through the adapter, under autocast once more in 16 bits; the weight with its
    update, twice.
    """
    unit = shape.feed_forward**2 * (4 if way.bytes == 4 else 4 + way.bytes)
    return unit + 2 * 4 * shape.feed_forward * shape.width


def stock_kept_bytes(shape: Shape, way: Way) -> int:
    """What one of transformers' layers keeps of each token.

    The norms keep float32. In 16 bits PEFT under autocast casts each adapter's input anew, so that query, key, value,
    gate and up keep a copy each, and dropout a mask of bytes; in float32 dropout keeps a mask and a result of 4 bytes.
    """
    size, width, wide, seen = way.bytes, shape.width, shape.feed_forward, shape.heads * shape.head_size
    attention = 2 * seen + 2 * shape.key_heads * shape.head_size
    kept = size * (3 * wide + attention + 7 * shape.rank) + 8 * width + 4 * (shape.heads + 2)
    inputs = 5 * width + seen + wide
    if way.kernels == "packed" or (size == 4 and not way.dropout):
        return kept + size * (2 * width + wide)
    if size == 4:
        return kept + 2 * size * inputs
    return kept + size * inputs + (inputs if way.dropout else 0)


def flops(student: Student, way: Way, length: float) -> float:
    """Floating point operations for a token of a row, forward and backward; a multiplication with its sum counts two.

    Two for each parameter forward; backward two more for the activations' gradients and, of trained parameters, two for
    their own (Kaplan et al. 2020, section 2.1; Hu et al. 2021, section 4). Attention takes ``2 * length`` times its
    width forward, half of the square being masked, and twice that backward. A checkpointed layer goes forward twice.
    """
    shape, parameters = student.shape, student.parameters
    adapters = 0 if student.trained_whole else parameters.trained
    attention = 2 * length * shape.heads * shape.head_size * shape.layers
    forward = 2 * (parameters.multiplied + adapters) + attention
    own = 2 * (parameters.multiplied if student.trained_whole else adapters)
    again = (forward - 2 * shape.vocabulary * shape.width) * way.checkpointed_layers / shape.layers
    return 2 * forward + own + attention + again


def pass_seconds(student: Student, way: Way, operations: float, tflops: float) -> tuple[float, float]:
    """Time of a pass on a GPU of such a speed, and how much of it the GPU waits for the host."""
    share = _FLOAT8_SHARE if way.quantization == "fp8" else _SHARE[way.kernels]
    busy = operations / (share * tflops * 1e12)
    whole = max(busy, _HOST_S[way.kernels] * student.shape.layers)
    return whole, whole - busy


def cpu_operations() -> float:
    """Operations a second that training reaches on this CPU, from a probe of a fifth of a second."""
    import torch

    left, right = torch.rand(1024, 1024), torch.rand(1024, 1024)
    times: list[float] = []
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - start)
    # The best: what else runs on this machine comes and goes.
    return _CPU_SHARE * 2 * 1024**3 / min(times)
