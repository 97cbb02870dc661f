"""GPUs by name: memory and speed, for plans made on another machine.

TFLOP/s are the vendor's figures for dense products of bfloat16 (float16 where there is no bfloat16) summed in float32;
data sheets often print twice as much, for sparse matrices. Memory is what is left of the figure on the box after error
correction and the driver's share, in GiB, rounded down; where a GPU is found in this machine, its own size counts.

Sources: NVIDIA's data sheets of A10, A40, A100, H100, H200, L4, L40S, RTX A6000, T4 and V100, its whitepapers of the
architectures GA102 (RTX 3090), AD102 (RTX 4090) and GB202 (RTX 5090), and the HGX B200 page; for the A10G, AWS's
description of G5 instances.
"""

from dataclasses import dataclass

from seedtune.errors import ConfigError

GIB = 1 << 30
USABLE = 0.92
"""Of a device's memory: the rest goes to the driver's context and to fragments."""


@dataclass(frozen=True)
class Gpu:
    """What a plan needs to know of a GPU."""

    name: str
    gib: float
    """Memory that a process can have."""
    tflops: float | None
    """Dense products, in 10**12 operations a second; None where it is not known."""
    float8: bool = False


GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("b200", 178, 2250, float8=True),
        Gpu("h200", 139, 989, float8=True),
        Gpu("h100", 79, 989, float8=True),
        Gpu("h100-pcie", 79, 756, float8=True),
        Gpu("a100-80", 79, 312),
        Gpu("a100-40", 39, 312),
        Gpu("l40s", 44, 362, float8=True),
        Gpu("l4", 22, 121, float8=True),
        Gpu("a40", 44, 150),
        Gpu("a6000", 47, 155),
        Gpu("a10", 22, 125),
        Gpu("a10g", 22, 70),
        Gpu("5090", 31, 209, float8=True),
        Gpu("4090", 23, 165, float8=True),
        Gpu("3090", 23, 71),
        Gpu("v100-32", 31, 125),
        Gpu("v100-16", 15, 125),
        Gpu("t4", 14, 65),
    )
}

_DRIVER_NAMES = {
    "B200": "b200",
    "H200": "h200",
    "H100 PCIe": "h100-pcie",
    "H100": "h100",
    "A100-SXM4-40GB": "a100-40",
    "A100-PCIE-40GB": "a100-40",
    "A100": "a100-80",
    "L40S": "l40s",
    "L4": "l4",
    "A40": "a40",
    "RTX A6000": "a6000",
    "A10G": "a10g",
    "A10": "a10",
    "RTX 5090": "5090",
    "RTX 4090": "4090",
    "RTX 3090": "3090",
    "V100": "v100-32",
    "T4": "t4",
}
"""How the driver names them; a name that holds another one stands first."""


def named(name: str) -> Gpu:
    """The GPU of a name such as ``h100`` or ``RTX-4090``.

    Raises:
        ConfigError: not in the table.
    """
    key = name.lower().replace(" ", "-").removeprefix("nvidia-").removeprefix("rtx-")
    if key not in GPUS:
        raise ConfigError(f"--gpu {name}: not known here; known are {', '.join(GPUS)}")
    return GPUS[key]


def recognized(driver_name: str, gib: float, capability: tuple[int, int]) -> Gpu:
    """A GPU found in a machine: its own memory, and the speed of its namesake in the table.

    Args:
        driver_name: As the driver reports it, e.g. ``NVIDIA H100 80GB HBM3``.
        gib: Its memory.
        capability: Its CUDA compute capability.
    """
    words = f" {driver_name} "
    known = next((key for part, key in _DRIVER_NAMES.items() if f" {part} " in words or f" {part}-" in words), None)
    tflops = GPUS[known].tflops if known else None
    return Gpu(driver_name, gib, tflops, capability >= (8, 9))


def detected() -> list[Gpu]:
    """The CUDA GPUs of this machine."""
    import torch

    if not torch.cuda.is_available():
        return []
    found: list[Gpu] = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        found.append(recognized(device.name, device.total_memory / GIB, (device.major, device.minor)))
    return found
