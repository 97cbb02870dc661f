"""Train once for each combination of some settings, on the same rows, and find the one with the lowest held-out loss.

    runs/<name>/sweep/
      sweep.json       each combination: its held-out losses, or why it failed; written after each training
      best.yaml        the run's config with the settings of the best one
      <combination>/   a run of its own, whose ``generate`` is a link to that of the run

A combination is trained by :func:`seedtune.train.stage.run_train`, so one that is done is skipped and one that was
broken off goes on. Not covered: whether a difference is more than chance; several seeds would tell. Who compares
combinations by questions as well asks those of ``dev`` (``evaluate.split=dev``); ``test`` is for the one that is
chosen.
"""

import gc
import itertools
import json
import logging
import math
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from seedtune import runs
from seedtune.config import Config, load_config
from seedtune.domains import Domain, load_domain
from seedtune.errors import ConfigError, DataError, ModelError, RunError, TrainingError
from seedtune.records import read_json_lines, write_atomic
from seedtune.train.build import check_trainer
from seedtune.train.stage import run_train

logger = logging.getLogger(__name__)

DEFAULT_GRID = ("scheduler=cosine,constant", "learning_rate=5e-5,1e-4,2e-4,4e-4")
SWEEP = "sweep"
"""The folder, in the run folder."""
SUMMARY = "sweep.json"
BEST = "best.yaml"

_DECIDE_WHAT_IS_MEASURED = {"data", "include_seeds", "held_out", "max_length", "too_long", "evaluations"}


@dataclass(frozen=True)
class Combination:
    """Settings to be tried."""

    settings: dict[str, Any]
    """By their names below ``train``."""
    config: Config
    """Of a run of its own."""

    @property
    def name(self) -> str:
        """For people: ``scheduler=cosine, learning_rate=0.0001``."""
        return ", ".join(f"{key}={_word(value)}" for key, value in self.settings.items())


def run_sweep(path: Path | None, overrides: Sequence[str], grid: Sequence[str]) -> Path:
    """Train all combinations of a grid.

    Args:
        path: The config file; None is the defaults.
        overrides: As :func:`load_config` takes them.
        grid: ``key=value,value,...`` each, with keys below ``train``; none of them is :data:`DEFAULT_GRID`.

    Returns:
        The sweep's folder, with :data:`SUMMARY` in it, and :data:`BEST` if at least one combination was trained.

    Raises:
        ConfigError: the grid or one of its combinations is not valid; nothing is trained then.
        DataError: there is nothing to train on.
        KeyboardInterrupt: after Ctrl-C, with a checkpoint saved.
    """
    if "WORLD_SIZE" in os.environ:
        raise ConfigError("a sweep starts its trainings itself, on all GPUs of this machine: call it without torchrun")
    config = load_config(path, overrides)
    if config.train.held_out == 0:
        raise ConfigError("a sweep is judged by the held-out loss: set train.held_out above 0")
    combinations = expand(path, overrides, grid or DEFAULT_GRID)
    for combination in combinations:
        check_trainer(combination.config.train)
    domain = load_domain(config.domain)
    folder = config.run_dir / SWEEP
    with runs.open_run(config) as run:
        if run.stage("generate").get("state") != "done" and not config.train.data:
            raise DataError(f"{run.path}: nothing is generated yet: run 'seedtune generate' first, or set train.data")
        (folder / BEST).unlink(missing_ok=True)
        results = [_result(combination, "open") for combination in combinations]
        for number, combination in enumerate(combinations):
            logger.info("sweep: %d of %d: %s", number + 1, len(combinations), combination.name)
            results[number] = _train(run, domain, combination)
            _write_summary(folder, results)
        best = best_of(results)
        if best is not None:
            winner = combinations[results.index(best)]
            settings = {"name": config.name, "runs_dir": config.runs_dir}
            write_atomic(folder / BEST, runs.dump_config(winner.config.model_copy(update=settings)))
    return folder


def expand(path: Path | None, overrides: Sequence[str], grid: Sequence[str]) -> list[Combination]:
    """All combinations of a grid, the last key changing fastest.

    Raises:
        ConfigError: a key or value that the config does not take, or one that stands twice.
    """
    axes = [_axis(text) for text in grid]
    keys = [key for key, _ in axes]
    parent = load_config(path, overrides)
    found: dict[str, Combination] = {}
    for values in itertools.product(*(values for _, values in axes)):
        chosen = [f"train.{key}={value}" for key, value in zip(keys, values, strict=True)]
        config = load_config(path, [*overrides, *chosen])
        settings = {key: _value_of(config, key) for key in keys}
        label = _label(settings)
        if label in found or len(set(keys)) < len(keys):
            raise ConfigError(f"--sweep: '{label if label in found else ' '.join(keys)}' stands twice in the grid")
        place = {"name": label, "runs_dir": parent.run_dir / SWEEP}
        found[label] = Combination(settings, config.model_copy(update=place))
    return list(found.values())


def _axis(text: str) -> tuple[str, list[str]]:
    """``learning_rate=1e-4,2e-4`` -> the key, and its values as YAML."""
    key, equals, listed = text.partition("=")
    key = key.strip().removeprefix("train.")
    if not equals or not key:
        raise ConfigError(
            f"--sweep {text}: expected key=value,value,... such as learning_rate=1e-4,2e-4; "
            "a config file stands before --sweep"
        )
    if key in _DECIDE_WHAT_IS_MEASURED:
        raise ConfigError(f"--sweep {key}: held-out losses can be compared only where this is the same; use --set")
    try:
        values: object = yaml.safe_load(f"[{listed}]")
    except yaml.YAMLError as problem:
        raise ConfigError(f"--sweep {text}: the values are not valid YAML") from problem
    if not isinstance(values, list) or not values:
        raise ConfigError(f"--sweep {text}: no value")
    return key, [json.dumps(value, default=str) for value in cast("list[object]", values)]


def _value_of(config: Config, key: str) -> Any:
    """What the config makes of a setting: 1e-4 and 0.0001 are the same."""
    node: Any = config.train.model_dump(mode="json")
    for part in key.split("."):
        node = node[part]
    return node


def _label(settings: dict[str, Any]) -> str:
    """A folder's name: ``scheduler-cosine.learning_rate-0.0001``."""
    words = ".".join(f"{key}-{_word(value)}" for key, value in settings.items())
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-")


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _train(parent: runs.Run, domain: Domain, combination: Combination) -> dict[str, Any]:
    """Train a combination, or what is left of it; a failure is a result."""
    config = combination.config
    with runs.open_run(config):
        _share_generated(parent, config.run_dir)
        run, reason = runs.Run(config.run_dir, config), None
        try:
            run_train(run, domain)
        except (TrainingError, ModelError) as problem:
            reason = str(problem)
            logger.warning("sweep: %s failed: %s", combination.name, reason)
        _clean_process()
        if reason is not None:
            return _result(combination, "failed", reason)
        # They are the larger part of a run, and a training that is done needs none.
        shutil.rmtree(run.path / "train" / "checkpoints", ignore_errors=True)
    stage = run.stage("train")
    numbers = stage["numbers"]
    kept = numbers["held_out_loss_after"]
    if kept is None or not math.isfinite(kept):
        return _result(combination, "failed", "there is no held-out loss: no row was held out, or it is no number")
    lines = [line for _, line in read_json_lines(run.path / "train" / "metrics.jsonl")]
    # The untrained model's is the same for all.
    curve = [[line["step"], line["eval_loss"]] for line in lines if "eval_loss" in line and line["step"] > 0]
    step, lowest = min(curve, key=lambda point: point[1])
    return _result(combination, "done") | {
        "kept": kept,
        "lowest": lowest,
        "lowest_step": step,
        "last": curve[-1][1],
        "untrained": numbers["held_out_loss_before"],
        "steps": numbers["steps"],
        "seconds": stage["seconds"],
        "curve": curve,
    }


def _share_generated(parent: runs.Run, folder: Path) -> None:
    """The generate stage of a combination's run is that of the sweep's run.

    Raises:
        RunError: the combination's run has generated instructions of its own.
    """
    path, link = folder / "manifest.json", folder / "generate"
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"stages": {}}
    manifest["stages"].pop("generate", None)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise RunError(f"{link}: is not the sweep's; move {folder} away")
    if parent.stage("generate"):
        manifest["stages"]["generate"] = parent.stage("generate")
        link.symlink_to(Path("..", "..", "generate"), target_is_directory=True)
    write_atomic(path, json.dumps(manifest, indent=2) + "\n")


def _clean_process() -> None:
    """Leave nothing of a training in this process: neither its memory nor its group of processes."""
    if "accelerate" not in sys.modules:
        return
    import torch
    from accelerate.state import AcceleratorState

    gc.collect()
    if torch.distributed.is_initialized():
        # A training that failed has not taken leave of its followers, which have been ended.
        torch.distributed.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)  # pyright: ignore[reportPrivateUsage]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _result(combination: Combination, state: str, reason: str | None = None) -> dict[str, Any]:
    return {
        "name": combination.name,
        "label": combination.config.name,
        "settings": {key: _word(value) for key, value in combination.settings.items()},
        "state": state,
        "reason": reason,
    }


def best_of(results: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The one whose weights, as kept by ``train.keep``, have the lowest held-out loss; None if none was trained."""
    return min((result for result in results if result["state"] == "done"), key=lambda r: r["kept"], default=None)


def _write_summary(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    best = best_of(results)
    summary = {"best": best["label"] if best else None, "combinations": list(results)}
    write_atomic(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
