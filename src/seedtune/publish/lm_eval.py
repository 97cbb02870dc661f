"""Suites as tasks of lm-evaluation-harness (Gao et al.), which run there without seedtune.

Each suite with options becomes a task ``multiple_choice`` of the same questions and options, whose ``acc`` and
``acc_norm`` are the report's readings ``raw`` and ``normalised``. Suites that are answered in writing become tasks
``generate_until`` of the same prompts; they are scored by the functions of
:mod:`seedtune.publish.harness_tasks`, which read an answer in the form that was asked for and little besides. Open
questions, instructions with constraints and programs cannot be scored there, and are left out.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from seedtune import runs
from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, Suite, load_domain
from seedtune.errors import ConfigError, DataError
from seedtune.evaluate.own_items import own_suites
from seedtune.evaluate.prompts import written_answer
from seedtune.evaluate.suites import Chosen, Job, choose_suites, plan_jobs
from seedtune.records import ClozeItem, EvalItem, write_atomic, write_records

_CODE = "harness_tasks.py"
_SCORED = {"multiple_choice": "letter", "true_false": "truth", "cloze": "words", "exact": "words"}
"""Which function scores what was written to a suite of a type."""


class Exported(NamedTuple):
    """What was written."""

    folder: Path
    tag: str
    """Names all tasks together."""
    tasks: tuple[str, ...]


def export_tasks(source: str, out: Path | None = None) -> Exported:
    """Write the suites of a run, or of a domain, as tasks.

    Args:
        source: A run folder: the suites, items and lengths of its config. Else a domain, by name or path: all of it.
        out: The folder; None is below ``export`` in the run folder.

    Raises:
        ConfigError: a domain without ``out``.
        DomainError: there is no such domain.
        DataError: no suite can be scored there, or the folder cannot be written.
    """
    if (Path(source) / "config.yaml").is_file():
        run = runs.read_run(Path(source))
        domain, config, seed = load_domain(run.config.domain), run.config.evaluate, run.config.seed
        folder = out or run.path / "export" / "lm-eval"
    else:
        domain, config, seed = load_domain(source), EvaluateConfig(), 0
        if out is None:
            raise ConfigError(f"export {source}: a domain has no folder for it; name one with --out DIR")
        folder = out
    # Examples are the harness's own affair: --num_fewshot takes them from dev.
    config = config.model_copy(update={"shots": 0})
    chosen = choose_suites(domain, config, own_suites(config.item_files, domain))
    names: list[str] = []
    for job in plan_jobs(chosen, config, seed):
        if job.method == "loglikelihood" or job.type in _SCORED:
            suite = next(each for each in chosen if each.suite.name == job.suite)
            names.append(_write_task(folder, domain, suite, job, config, seed))
    if not names:
        raise DataError(f"{source}: none of its suites can be scored by lm-evaluation-harness")
    code = resources.files("seedtune.publish").joinpath(_CODE).read_text(encoding="utf-8")
    write_atomic(folder / _CODE, code)
    return Exported(folder, _name(domain.name), tuple(names))


def _write_task(folder: Path, domain: Domain, chosen: Chosen, job: Job, config: EvaluateConfig, seed: int) -> str:
    """A task's YAML and its items. Returns the task's name."""
    written = job.method == "generate"
    both = job.type in ("multiple_choice", "true_false")
    name = _name(domain.name, job.suite, "written" if written and both else "")
    task: dict[str, Any] = {
        "task": name,
        "tag": _name(domain.name),
        "custom_dataset": _Function(f"{Path(_CODE).stem}.load"),
        "test_split": "test",
        "doc_to_text": "query",
        "target_delimiter": "",
    }
    if domain.file.system_prompt:
        task["description"] = "system"
    files = {"items": f"{name}.jsonl"}
    write_records(folder / files["items"], _rows(job))
    if dev := _dev_job(chosen, job, config, seed):
        files["dev"] = f"{name}.dev.jsonl"
        write_records(folder / files["dev"], _rows(dev))
        task |= {"fewshot_split": "dev"}
    task |= _written(job) if written else _with_options()
    task["metadata"] = {"version": 1.0, **files}
    canaries = sorted({file.canary for file in chosen.suite.files.values() if file.canary})
    head = "".join(f"# {canary}\n" for canary in canaries)
    write_atomic(folder / f"{name}.yaml", head + yaml.dump(task, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
    return name


def _name(*parts: str) -> str:
    """A name as the harness takes it."""
    return "_".join(re.sub(r"\W+", "_", part.casefold()) for part in ("seedtune", *parts) if part)


def _with_options() -> dict[str, Any]:
    return {
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
    }


def _written(job: Job) -> dict[str, Any]:
    longest = job.questions[0].max_new_tokens
    return {
        "output_type": "generate_until",
        "doc_to_target": "gold",
        "generation_kwargs": {"until": [], "do_sample": False, "max_gen_toks": longest},
        "process_results": _Function(f"{Path(_CODE).stem}.score_{_SCORED[job.type]}"),
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }


def _dev_job(chosen: Chosen, job: Job, config: EvaluateConfig, seed: int) -> Job | None:
    """The suite's ``dev`` items, asked as the others are; None where there are none, or they are asked themselves."""
    dev = chosen.suite.only("dev")
    if not dev.items or config.split == "dev":
        return None
    asked = replace(chosen, asked=Suite(dev.name, dev.type, dev.files))
    return next(
        each for each in plan_jobs([asked], config.model_copy(update={"limit": None}), seed) if each.name == job.name
    )


def _rows(job: Job) -> Sequence[dict[str, Any]]:
    """A line for each item: what is asked, and what is right."""
    rows: list[dict[str, Any]] = []
    for item, question in zip(job.items, job.questions, strict=True):
        *before, last = question.turns
        row: dict[str, Any] = {"id": item.id, "query": last.content}
        row |= {turn.role: turn.content for turn in before}
        if job.method == "loglikelihood" and isinstance(item, EvalItem):
            row |= {"choices": list(item.options), "gold": item.key}
        else:
            asked_for = written_answer(item, job.type, question.order)
            right = list(item.answers) if isinstance(item, ClozeItem) else [asked_for]
            row |= {"answers": right, "gold": right[0]}
        rows.append(row)
    return rows


class _Function(str):
    """A function beside the YAML file, as the harness names one."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """YAML with functions."""


_Dumper.add_representer(_Function, lambda dumper, name: dumper.represent_scalar("!function", str(name)))
