"""The model card as it goes to the hub: the one that training wrote, with what was measured and where things are."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from seedtune import models, runs
from seedtune.errors import DataError
from seedtune.publish.plan import front_matter

_PLACEHOLDER = re.compile("PATH_OR_HUB_ID_OF_THIS_(ADAPTER|MODEL)")
_REPORT = "stands in the run's `evaluate/report.json`"
_SECTION = re.compile(r"^(?=## )", re.MULTILINE)
EMBEDDED_LICENCE = "apache-2.0"


def published_card(
    run: runs.Run, repo: str | None, base: str, licence: str | None, merged: dict[str, Any] | None
) -> str:
    """The card of what the run trained, or of the model that its adapter was merged into.

    Args:
        run: The run; ``train/adapter/README.md`` is read, and ``evaluate/report.json`` where there is one.
        repo: Where it will be; None leaves the placeholder.
        base: The base model's hub id.
        licence: The base model's, as its card names it; None is unknown.
        merged: What :func:`seedtune.publish.merge.merge` measured; None is what was trained, as it is.

    Raises:
        DataError: the card is missing or has no front matter, or the report cannot be read.
    """
    path = run.path / "train" / "adapter" / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}; run 'seedtune train' again") from problem
    matter = front_matter(text, str(path))
    body = text.split("---\n", 2)[2]
    if (trained_on := str(matter.get("base_model", base))) != base:
        body = body.replace(_link(trained_on), _link(base))
    matter |= {"base_model": base, **_licence(licence, base)}
    if merged is not None:
        matter |= {"library_name": "transformers", "base_model_relation": "finetune"}
    if repo is not None:
        body = _PLACEHOLDER.sub(repo, body)
    if merged is not None:
        body = _as_merged(body, merged)
    report = run.path / "evaluate" / "report.json"
    if report.is_file() and "\n## Evaluation" not in body:
        body = _before_limits(body, _evaluation(report, run)).replace(_REPORT, "stands under Evaluation")
    else:
        body = body.replace(_REPORT, "has not been measured")
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---\n{body}"


def licence_of_base(name: str) -> str | None:
    """The base model's licence where this machine knows it: of the embedded model, or of a folder with a card."""
    if name == models.EMBEDDED:
        return EMBEDDED_LICENCE
    card = Path(name).expanduser() / "README.md"
    if not card.is_file():
        return None
    try:
        licence = front_matter(card.read_text(encoding="utf-8"), str(card)).get("license")
    except (DataError, OSError, UnicodeDecodeError):
        return None
    return licence if isinstance(licence, str) else None


def _link(model: str) -> str:
    return f"[{model}](https://huggingface.co/{model})"


def _licence(licence: str | None, base: str) -> dict[str, str]:
    if licence not in (None, "other"):
        return {"license": licence}
    return {
        "license": "other",
        "license_name": "that-of-the-base-model",
        "license_link": f"https://huggingface.co/{base}",
    }


def _as_merged(body: str, merged: dict[str, Any]) -> str:
    body = body.replace("A LoRA adapter for", "A LoRA adapter merged into", 1)
    body = body.replace(
        "from peft import AutoPeftModelForCausalLM\nfrom transformers import AutoTokenizer",
        ("from transformers import AutoModelForCausalLM, AutoTokenizer"),
    ).replace("AutoPeftModelForCausalLM", "AutoModelForCausalLM")
    section = (
        "## Merge\n\n"
        f"Merged into the base model's unquantised weights in {merged['dtype']}. On {merged['rows']} rows the logits "
        f"differ from those of base and adapter by {merged['difference']:.1e} on average, in units of their standard "
        f"deviation; those of the base alone by {merged['effect']:.1e}.\n\n"
    )
    return _before_limits(body, section)


def _evaluation(path: Path, run: runs.Run) -> str:
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read ({problem}); run 'seedtune evaluate' again") from problem
    if report.get("adapter_sha256") != run.output_digests("train").get("train/adapter/adapter_model.safetensors"):
        raise DataError(f"{path}: is about another adapter: run 'seedtune evaluate' again, or delete it")
    lines = [
        "## Evaluation",
        "",
        f"Base and tuned model answered the same questions of the domain {report['domain']} "
        f"({report.get('split', 'test')} split). Wilson 95% intervals.",
        "",
        "| suite | questions | chance | base | tuned |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, suite in report["suites"].items():
        cells = [_accuracy(suite[kind]) for kind in ("base", "tuned")]
        lines.append(f"| {name} | {suite['n']} | {suite['chance']:.0%} | {cells[0]} | {cells[1]} |")
    lines += ["", *(f"- {name}: {suite['verdict']}" for name, suite in report["suites"].items())]
    return "\n".join([*lines, "", ""])


def _accuracy(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return f"{result['accuracy'] * 100:.1f}% ({low * 100:.1f} to {high * 100:.1f})"


def _before_limits(body: str, section: str) -> str:
    """The body with a section more, ahead of "Limits" or at the end."""
    parts = _SECTION.split(body)
    place = next((n for n, part in enumerate(parts) if part.startswith("## Limits")), len(parts))
    if place == len(parts):
        parts[-1] = parts[-1].rstrip("\n") + "\n\n"
    return "".join([*parts[:place], section, *parts[place:]])
