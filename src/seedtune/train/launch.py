"""One training in several processes, one for each GPU.

``seedtune train`` starts the others itself when the machine has more than one GPU. Under torchrun (several machines)
they are there already. Either way the first process is the command: it holds the run folder, makes the rows, and hands
the others a job; they write nothing but their random state into the checkpoints.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from seedtune import console
from seedtune.config import Config
from seedtune.errors import TrainingError

if TYPE_CHECKING:
    from seedtune.train.fused.packing import Tokens

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What every process needs to know."""

    config: Config
    folder: Path
    """Of the stage; all processes see it."""
    checkpoint: Path | None
    steps: int
    rows: "Sequence[Tokens]"
    held_out: "Mapping[str, Sequence[Tokens]]"
    """By pack."""
    history: Sequence[dict[str, Any]]
    """Metrics up to the checkpoint."""


def rank() -> int:
    """This process's number; 0 is the command itself."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together, as far as they have been started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wanted_processes(config: Config) -> int:
    """How many processes are to train: those of torchrun, or one for each GPU.

    Raises:
        TrainingError: more GPUs are asked for than there are.
    """
    import torch

    if "WORLD_SIZE" in os.environ:
        return world_size()
    there, asked = torch.cuda.device_count(), config.train.gpus
    if asked is not None and asked > max(there, 1):
        raise TrainingError(f"train.gpus is {asked}, and this machine has {there}")
    return max(1, asked if asked is not None else there)


@contextlib.contextmanager
def team(count: int) -> Generator[None]:
    """Start the other processes and join them; within it, :func:`hand_out` gives them their job.

    Followers end with this process, however it ends; if one of them ends before, so does this process, because the
    others would wait for it for ever.
    """
    if count == 1 or "WORLD_SIZE" in os.environ:
        yield
        return
    own = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    logger.info("train: on %d GPUs", count)
    # They share this machine's cores.
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))}
    followers = [
        subprocess.Popen(
            [sys.executable, "-m", "seedtune.train.launch"],
            env={**os.environ, **own, **threads, "RANK": str(number), "LOCAL_RANK": str(number)},
            stdin=subprocess.DEVNULL,
        )
        for number in range(1, count)
    ]
    os.environ |= {**own, "RANK": "0", "LOCAL_RANK": "0"}
    finished = threading.Event()
    watcher = threading.Thread(target=_watch, args=(followers, finished), daemon=True)
    watcher.start()
    try:
        yield
        finished.set()
        _part()
        for follower in followers:
            follower.wait()
    finally:
        finished.set()
        for follower in followers:
            follower.kill()
            follower.wait()
        for name in (*own, "RANK", "LOCAL_RANK"):
            del os.environ[name]


def _watch(followers: Sequence["subprocess.Popen[bytes]"], finished: threading.Event) -> None:
    while not finished.wait(1.0):
        for follower in followers:
            if follower.poll() not in (None, 0) and not finished.is_set():
                console.complain(
                    f"one of the training processes ended with code {follower.returncode} (see above); "
                    "run the same command again to go on from the last checkpoint"
                )
                # This process may be waiting for the lost one inside a driver, where no exception reaches it.
                os._exit(1)


def hand_out(job: Job | None) -> None:
    """Give the other processes their job; None: there is nothing to do."""
    if world_size() > 1:
        _exchange([job])


def follow() -> None:
    """What the other processes do: take the job, train, end."""
    # Ctrl-C reaches all processes of a terminal; the first one decides at which step all of them stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    console.set_up_logging()
    logging.getLogger("seedtune").setLevel(logging.WARNING)
    received: list[Job | None] = [None]
    _exchange(received)
    if received[0] is not None:
        from seedtune.train.build import train
        from seedtune.train.trainer import BadStep

        # The first process meets it at the same step, and says so.
        with contextlib.suppress(BadStep):
            train(received[0], lambda done, note="": None, lambda: False)
    _part()


def _part() -> None:
    """Leave the group of processes."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _exchange(jobs: list[Job | None]) -> None:
    """The first process's job becomes everyone's."""
    import torch
    from accelerate import PartialState
    from torch import distributed

    cuda = torch.cuda.is_available()
    PartialState(cpu=not cuda)
    device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")
    distributed.broadcast_object_list(cast("list[Any]", jobs), src=0, device=device)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _end_with_parent() -> None:
    """Ask Linux to end this process when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


if __name__ == "__main__":
    _end_with_parent()
    follow()
