"""The run folder: where the stages meet, in files.

    runs/<name>/
      config.yaml      the resolved config
      manifest.json    versions, git revision, machine, seed; each stage's state, time, and SHA-256 of its outputs
      generate/        journal.jsonl (append-only, the truth), instructions.jsonl, rejected.jsonl, funnel.json,
                       progress.json, README.md and card.html (the dataset's card)
      train/           metrics.jsonl, rows.jsonl, adapter/, checkpoints/
      evaluate/        records.jsonl (append-only), items.jsonl, looks.jsonl, showcase.jsonl, report.json, report.md
      report.html

A stage is *done* when the manifest says so and its outputs still have the SHA-256 written there. It is done *for a
fingerprint* of its config and inputs: with another one it is done again, and what it made before is set aside as
``train.1``, never deleted. A lock keeps two processes out of one folder; the kernel frees it however a process ends.
"""

import fcntl
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from seedtune.config import Config
from seedtune.errors import RunError
from seedtune.records import content_id, file_sha256, validation_message, write_atomic

logger = logging.getLogger(__name__)

StageName = Literal["generate", "train", "evaluate"]
_PACKAGES = (
    "seedtune",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "openai",
    "numpy",
)
_MIN_FREE_BYTES = 64 * 1024**2


WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""Of an adapter, as peft names them."""


def tuned_files(config: Config) -> tuple[str, ...]:
    """What a tuned model is known by: its adapter's files, or its config where all weights were trained."""
    return ("config.json",) if config.train.method == "full" else (WEIGHTS, SETTINGS)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="allow")

    stages: dict[str, dict[str, Any]]


class Run:
    """One run folder. Open it with :func:`open_run`."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config
        self._manifest: dict[str, Any] = _read_manifest(path) or {"stages": {}}

    def folder(self, stage: StageName) -> Path:
        """The stage's folder, made if it is missing."""
        folder = self.path / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def stage(self, name: StageName) -> dict[str, Any]:
        """What the manifest says of a stage: state, seconds, fingerprint, outputs and the stage's own numbers."""
        return dict(self._manifest["stages"].get(name, {}))

    def is_done(self, name: StageName, fingerprint: str) -> bool:
        """True if the stage ended for this fingerprint and its outputs are still what it wrote."""
        stage = self.stage(name)
        if stage.get("state") != "done" or stage.get("fingerprint") != fingerprint:
            return False
        for output, digest in stage.get("outputs", {}).items():
            path = self.path / output
            if not path.is_file() or file_sha256(path) != digest:
                logger.warning("%s has changed since %s ended: the stage is done again", path, name)
                return False
        return True

    def output_digests(self, name: StageName) -> dict[str, str]:
        """SHA-256 of each output of a stage: the inputs of the next one's fingerprint."""
        return dict(self.stage(name).get("outputs", {}))

    def tuned(self) -> Path:
        """``train/adapter`` as training left it: the adapter, or the whole model where all weights were trained.

        Raises:
            RunError: nothing is trained yet, or what was trained has changed since.
        """
        folder = self.path / "train" / "adapter"
        if self.stage("train").get("state") != "done":
            raise RunError(f"{self.path}: there is no tuned model yet: run 'seedtune train' first")
        written = self.output_digests("train")
        for path in (folder / name for name in tuned_files(self.config)):
            digest = written.get(str(path.relative_to(self.path)))
            if not path.is_file() or digest not in (None, file_sha256(path)):
                raise RunError(f"{path}: this is not what 'seedtune train' wrote; restore it, or train again")
        return folder

    def set_aside_if_other(self, name: StageName, fingerprint: str) -> None:
        """Move a stage's folder away unless it was made for this fingerprint, and forget what the manifest says of it.

        A folder that the manifest does not know was made for nobody knows what, so it goes as well.
        """
        folder = self.path / name
        if self.stage(name).get("fingerprint") == fingerprint:
            return
        if folder.exists():
            number = next(n for n in range(1, 10_000) if not (self.path / f"{name}.{n}").exists())
            folder.rename(self.path / f"{name}.{number}")
            logger.info("%s held work for another config or other inputs: it is now in %s.%d", name, name, number)
        if self._manifest["stages"].pop(name, None) is not None:
            self._write()

    @contextmanager
    def working(self, name: StageName, fingerprint: str) -> Generator[Callable[[Sequence[Path], dict[str, Any]], None]]:
        """Record a stage's work in the manifest: time even when it breaks off, outputs when it ends.

        Yields a function ``done(outputs, numbers)`` that marks the stage as done.
        """
        stage = self.stage(name)
        # Not before: a config that does not fit what is here must not replace the one that does.
        write_atomic(self.path / "config.yaml", dump_config(self.config))
        spent, start = float(stage.get("seconds", 0.0)), time.monotonic()
        # Outputs and numbers of the session before are not this one's.
        begun = {"fingerprint": fingerprint, "sessions": stage.get("sessions", 0) + 1}
        finished: dict[str, Any] = {}

        def done(outputs: Sequence[Path], numbers: dict[str, Any]) -> None:
            digests = {str(path.relative_to(self.path)): file_sha256(path) for path in outputs}
            finished.update(state="done", outputs=digests, numbers=numbers)

        self._record(name, {**begun, "state": "running", "seconds": spent})
        try:
            yield done
        finally:
            seconds = round(spent + time.monotonic() - start, 2)
            self._record(name, {**begun, "state": "stopped", "seconds": seconds, **finished})

    def _record(self, name: StageName, stage: dict[str, Any]) -> None:
        self._manifest["stages"][name] = stage
        self._write()

    def _write(self) -> None:
        self._manifest |= {"name": self.config.name, "seed": self.config.seed, **_environment()}
        write_atomic(self.path / "manifest.json", json.dumps(self._manifest, indent=2) + "\n")

    @property
    def manifest(self) -> dict[str, Any]:
        """The whole manifest, as it stands."""
        return dict(self._manifest)


@contextmanager
def open_run(config: Config) -> Generator[Run]:
    """Make or reopen the config's run folder and hold its lock.

    Raises:
        RunError: another process works in it, the folder cannot be written, or the disk is full.
    """
    path = config.run_dir
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / ".lock").open("a+")
    except OSError as problem:
        raise RunError(f"{path}: the run folder cannot be written: {problem.strerror}; set runs_dir") from problem
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RunError(
                f"{path}: another seedtune (process {lock.read().strip() or 'unknown'}) is working in this run; "
                "wait for it, or give this run another name"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        free = shutil.disk_usage(path).free
        if free < _MIN_FREE_BYTES:
            raise RunError(
                f"{path}: only {free // 1024**2} MiB free on this disk; free some, or set runs_dir to another"
            )
        yield Run(path, config)


def read_run(path: Path) -> Run:
    """A run folder for reading: no lock, nothing written.

    Raises:
        RunError: the folder is no run.
    """
    from seedtune.config import load_config

    if not (path / "config.yaml").is_file():
        raise RunError(f"{path}: this is no run folder (no config.yaml in it)")
    return Run(path, load_config(path / "config.yaml"))


def dump_config(config: Config) -> str:
    """The resolved config as YAML; loading it gives the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def fingerprint(*parts: object) -> str:
    """Identity of a stage's config and inputs."""
    return content_id(*parts)


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        value: object = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        return _Manifest.model_validate(value).model_dump()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        reason = validation_message(problem) if isinstance(problem, ValidationError) else problem
        raise RunError(
            f"{path / 'manifest.json'}: cannot be read ({reason}); restore it or use another name"
        ) from problem


def _environment() -> dict[str, Any]:
    """What the run was made with. Names of the machine, the user and their folders stay out of it."""
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "versions": {"python": sys.version.split()[0], **{k: v for k, v in versions.items() if v}},
        "git_revision": _git_revision(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "gpus": _gpu_names(),
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Revision of the checkout seedtune runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None


def _gpu_names() -> list[str]:
    """Names of the GPUs, asked only of a torch that is loaded already: importing it here would cost seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [str(torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())]
