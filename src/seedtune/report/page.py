"""Gather a run's files and render ``report.html``."""

import json
from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from seedtune import console, models, runs
from seedtune.errors import DataError
from seedtune.records import read_json_lines, write_atomic
from seedtune.report import charts
from seedtune.report.evaluation import prepared

REPORT = "report.html"
"""The page's name in the run folder."""

_SAMPLES = 10
_PER_REASON = 2


def write_report(run: runs.Run) -> Path:
    """Render the page from what there is: stages that have not run are said to be missing.

    Returns:
        The path of ``report.html``.
    """
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_template),
    )
    environment.filters["percent"] = lambda value: f"{value * 100:.1f}%"
    environment.filters["duration"] = console.duration
    environment.filters["printable"] = console.printable
    page = environment.get_template("report.html.j2").render(
        name=run.config.name,
        config=run.config,
        config_text=runs.dump_config(run.config),
        manifest={"versions": {}, "machine": {}, "git_revision": None, **run.manifest},
        stages={stage: run.stage(stage) for stage in ("generate", "train", "evaluate")},
        base=models.public_name(run.config.model.name),
        generate=_generate(run.path / "generate", run.stage("generate")),
        train=_train(run.path / "train", run.stage("train")),
        evaluate=_evaluate(run.path / "evaluate"),
    )
    path = run.path / REPORT
    write_atomic(path, page)
    return path


def _template(name: str) -> str:
    return resources.files("seedtune.report").joinpath(name).read_text(encoding="utf-8")


def _generate(folder: Path, stage: dict[str, Any]) -> dict[str, Any] | None:
    if not (folder / "funnel.json").is_file():
        return None
    accepted = [line for _, line in read_json_lines(folder / "instructions.jsonl")]
    shown = min(_SAMPLES, len(accepted))
    by_reason: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _, line in read_json_lines(folder / "rejected.jsonl"):
        if len(by_reason[line["reason"]]) < _PER_REASON:
            by_reason[line["reason"]].append(line)
    return {
        "funnel": _read_summary(folder / "funnel.json"),
        "accepted": [accepted[number * len(accepted) // shown] for number in range(shown)],
        "rejected": by_reason,
        "spent": stage.get("numbers", {}),
    }


def _train(folder: Path, stage: dict[str, Any]) -> dict[str, Any] | None:
    if stage.get("state") != "done" or not (folder / "metrics.jsonl").is_file():
        return None
    metrics = [line for _, line in read_json_lines(folder / "metrics.jsonl")]
    loss = [charts.Point(line["step"], line["loss"]) for line in metrics if "loss" in line]
    held_out = [charts.Point(line["step"], line["eval_loss"]) for line in metrics if "eval_loss" in line]
    series = {name: points for name, points in (("training_loss", loss), ("held-out_loss", held_out)) if points}
    return {"numbers": stage["numbers"], "chart": charts.lines(series, "steps")}


def _evaluate(folder: Path) -> dict[str, Any] | None:
    if not (folder / "report.json").is_file():
        return None
    return prepared(folder, _read_summary(folder / "report.json"))


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read ({problem}); run 'seedtune {path.parent.name}' again") from problem
