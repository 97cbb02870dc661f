"""The dataset card: ``generate/README.md`` in the hub's format, its pictures, and ``generate/card.html``.

Everything in it is counted from the run's files, with the decisions of people applied. Text of a model or an endpoint
stands in fences and code spans only, so that a task cannot put a link, a picture or HTML into the card. Addresses and
folders of the run stay out of it.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from seedtune import __version__, console, models, runs
from seedtune.config import Config, JudgeConfig, LocalTeacherConfig, OpenAITeacherConfig
from seedtune.domains import Domain
from seedtune.domains.asked import guard_of
from seedtune.domains.contamination import ItemGuard
from seedtune.errors import DataError
from seedtune.generate.wording.judging import Agreement, agreement
from seedtune.publish import pictures
from seedtune.publish.method import method_of
from seedtune.publish.statistics import PARTS, DatasetStatistics, Histogram, count
from seedtune.records import Task, content_id, read_json_lines, write_atomic
from seedtune.review_decisions import REVIEW, ReviewedLine, read_decisions, read_reviewed

CARD, PAGE, DATA, FUNNEL = "README.md", "card.html", "instructions.jsonl", "funnel.json"
PICTURES = ("verbs.svg", "lengths.svg", "similarity.svg")
HUB_ID = "PATH_OR_HUB_ID_OF_THIS_DATASET"
"""Stands in the card until it is pushed."""

_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
_PROGRAMS = {"run": "run and kept", "fragments": "fragments, not run", "none": "answers without a program"}
_LICENCES = {
    *("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("cc-by-nd-4.0", "cc-by-3.0", "cc-by-sa-3.0", "odc-by", "odbl", "pddl", "gpl-3.0", "lgpl-3.0", "unlicense"),
}
"""Those of the hub's identifiers that suit a dataset."""


@dataclass(frozen=True)
class Card:
    """What is said of a dataset."""

    text: str
    """Markdown behind front matter."""
    page: str
    """The same in HTML, with the pictures in it."""
    drawn: dict[str, Markup]
    """The pictures by file name; empty where there is nothing to draw."""
    funnel: dict[str, Any]
    """Of ``funnel.json``; what people decided is under ``reviewed``."""


def write_dataset_card(run: runs.Run, domain: Domain) -> Path:
    """Write the card, its pictures and the page into ``generate/``.

    Args:
        run: The run.
        domain: The domain that it was generated for.

    Returns:
        The path of ``README.md``.

    Raises:
        DataError: nothing is generated yet, or a file is broken.
    """
    folder = run.path / "generate"
    card = compose(run, domain)
    for name, picture in card.drawn.items():
        if picture:
            write_atomic(folder / name, str(picture) + "\n")
        else:
            (folder / name).unlink(missing_ok=True)
    write_atomic(folder / CARD, card.text)
    write_atomic(folder / PAGE, card.page)
    return folder / CARD


def compose(
    run: runs.Run, domain: Domain, hub_id: str = HUB_ID, keep: Callable[[dict[str, Any]], None] | None = None
) -> Card:
    """The card of a dataset as people left it, from one reading of its rows.

    Args:
        run: The run; ``generate/instructions.jsonl``, ``funnel.json`` and the decisions of people are read.
        domain: The domain that it was generated for.
        hub_id: Where it can be loaded from.
        keep: Takes every row that is counted.

    Raises:
        DataError: nothing is generated yet, or a file is broken.
    """
    folder = generated(run)
    reviewed = read_reviewed(folder)
    recheck = _Recheck(domain, run.config)

    def rows() -> Iterator[dict[str, Any]]:
        for line in reviewed:
            recheck.see(line)
            if keep is not None:
                keep(line.task)
            yield line.task

    statistics = count(rows(), run.config.seed)
    drawn = _draw(statistics)
    funnel = _read_object(folder / FUNNEL)
    if reviewed.decisions.digest():
        funnel["reviewed"] = {key: reviewed.counts[key] for key in ("removed", "edited", "added", "kept")}
    facts = {
        **_facts(run, domain, statistics, funnel),
        "hub_id": hub_id,
        "drawn": drawn,
        "read": sum(reviewed.counts[said] for said in ("kept", "edited", "added")),
        "edited": reviewed.counts["edited"],
        "recheck": recheck,
    }
    matter = yaml.safe_dump(front_matter(domain, statistics), sort_keys=False, allow_unicode=True)
    text = f"---\n{matter}---\n\n{_render('dataset_card.md.j2', facts, markdown=True)}"
    return Card(text, _render("dataset_card.html.j2", facts, markdown=False), drawn, funnel)


def generated(run: runs.Run) -> Path:
    """The folder of the stage.

    Raises:
        DataError: nothing is generated yet.
    """
    folder = run.path / "generate"
    if not (folder / DATA).is_file() or not (folder / FUNNEL).is_file():
        raise DataError(f"{folder}: nothing is generated yet: run 'seedtune generate' first")
    return folder


class _Recheck:
    """Whether what people changed or added resembles an evaluation item: filters saw another text, or were outvoted."""

    def __init__(self, domain: Domain, config: Config) -> None:
        self._domain = domain
        self._config = config
        self.n = 0
        self.hits = 0

    def see(self, line: ReviewedLine) -> None:
        """Compare a line, if it is one of those."""
        if self._config.generate.decontaminate and line.said in ("edited", "added"):
            self.n += 1
            self.hits += self._guard.hit(Task(**{part: line.task[part] for part in PARTS})) is not None

    @cached_property
    def _guard(self) -> ItemGuard:
        return guard_of(self._domain, self._config.evaluate)


def front_matter(domain: Domain, statistics: DatasetStatistics) -> dict[str, Any]:
    """The card's YAML: licence, language where it was recognised, size, tags, and where the rows are."""
    name = domain.file.licence.casefold().replace(" ", "-")
    if name in _LICENCES:
        licence = {"license": name}
    elif name:
        licence = {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-")}
    else:
        licence = {"license": "unknown"}
    size = next((label for top, label in _SIZES.items() if statistics.rows < top), "n>10M")
    return {
        "pretty_name": f"Instructions on {domain.file.title}",
        **licence,
        **({"language": [statistics.language]} if statistics.language else {}),
        "size_categories": [size],
        "task_categories": ["text-generation"],
        "tags": ["synthetic", "self-instruct", "instruction-tuning", "seedtune", domain.name],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": DATA}]}],
    }


def _draw(statistics: DatasetStatistics) -> dict[str, Markup]:
    lengths = [
        pictures.Panel(f"{part}, in words", Histogram.of_words(statistics.words[part]), open_ended=True)
        for part in PARTS
        if statistics.words[part]
    ]
    similarity = [
        pictures.Panel("ROUGE-L F with the nearest task", statistics.similarity.histogram),
        pictures.Panel("mean ROUGE-L F with all tasks", statistics.mean_similarity.histogram),
    ]
    drawn = (
        pictures.sunburst(pictures.wedges(statistics.roots)),
        pictures.histograms(lengths),
        pictures.histograms(similarity),
    )
    return dict(zip(PICTURES, drawn, strict=True))


def _facts(run: runs.Run, domain: Domain, statistics: DatasetStatistics, funnel: dict[str, Any]) -> dict[str, Any]:
    """What both templates show of the run."""
    config, folder = run.config, run.path / "generate"
    packs = domain.select_packs(config.generate.packs)
    spent = run.stage("generate").get("numbers", {})
    guarded = sum(len(suite.items) for suite in domain.suites.values())
    return {
        "name": config.name,
        "title": domain.file.title,
        "domain": domain.name,
        "licence": domain.file.licence,
        "content": domain.content_id(packs),
        "packs": {pack.name: len(pack.seeds) for pack in packs},
        "funnel": funnel,
        "steps": _funnel_rows(funnel, statistics.rows),
        "statistics": statistics,
        "shown": sum(wedge.total for wedge in pictures.wedges(statistics.roots)),
        "settings": method_of(config.generate, packs),
        "teacher": _public_teacher(config.generate.teacher),
        "spent": spent,
        "cost": _cost(spent, isinstance(config.generate.teacher, LocalTeacherConfig)),
        "contaminated": sum(funnel.get(key, {}).get("contaminated", 0) for key in ("rejected", "rejected_instances")),
        "guarded": guarded if config.generate.decontaminate else 0,
        "documents": config.generate.documents is not None,
        "judge": _judge(folder, config.generate.judge, config, statistics),
        "version": run.manifest.get("versions", {}).get("seedtune", __version__),
        "seed": config.seed,
    }


def _funnel_rows(funnel: dict[str, Any], rows: int) -> list[tuple[str, int, str]]:
    """What came in, what was lost and what stayed: words, count, and its kind (``in``, ``lost``, ``kept``)."""
    steps = [("requests to the teacher", funnel["requests"], "in")]
    if failed := sum(funnel["failed_requests"].values()):
        steps.append(("of them failed", failed, "lost"))
    steps += [(f"not whole: {fault}", n, "lost") for fault, n in funnel["broken_tasks"].items()]
    steps.append(("candidates", funnel["candidates"], "in"))
    steps += [(f"rejected: {reason}", n, "lost") for reason, n in funnel["rejected"].items()]
    if undecided := funnel.get("undecided"):
        steps.append(("never decided", undecided, "lost"))
    steps.append(("accepted instructions", funnel["accepted"], "kept"))
    steps += [
        (f"rejected instances: {reason}", n, "lost") for reason, n in funnel.get("rejected_instances", {}).items()
    ]
    if funnel.get("examples", funnel["accepted"]) != funnel["accepted"]:
        steps.append(("examples (instances of them)", funnel["examples"], "kept"))
    steps += [(f"in packs of programs: {_PROGRAMS[kind]}", n, "kept") for kind, n in funnel.get("programs", {}).items()]
    if reviewed := funnel.get("reviewed"):
        steps.append(("removed by people", reviewed["removed"], "lost"))
        steps.append(("changed by people", reviewed["edited"], "in"))
        steps.append(("rejected before, added by people", reviewed["added"], "in"))
        steps.append(("tasks in this dataset", rows, "kept"))
    return steps


def _public_teacher(teacher: LocalTeacherConfig | OpenAITeacherConfig) -> str:
    return models.public_name(teacher.model) if isinstance(teacher, LocalTeacherConfig) else teacher.model


def _cost(spent: dict[str, Any], local: bool) -> str:
    if (cost := spent.get("cost")) is not None:
        amount = f"{cost:,.2f}" if cost >= 1 else f"{cost:.4f}"
        return f"{amount} {spent['currency']}, at the prices of {spent['prices_as_of']}"
    return "none: the teacher ran on the maker's machine" if local else "unknown: no prices were given"


def _judge(
    folder: Path, judge: JudgeConfig | None, config: Config, statistics: DatasetStatistics
) -> dict[str, Any] | None:
    """Who judged, the scores of what was kept, and how far people who reviewed it agree."""
    if judge is None:
        return None
    return {
        "model": _public_teacher(judge.teacher or config.generate.teacher),
        "is_teacher": judge.teacher is None,
        "min_score": judge.min_score,
        "scores": dict(sorted(statistics.judge.items())),
        "agreement": _agreement(folder, judge.min_score),
    }


def _agreement(folder: Path, min_score: int) -> Agreement | None:
    """Judge and people on the tasks that both decided about; None where there are none."""
    decisions = read_decisions(folder / REVIEW)
    outcomes = {identity: decisions.outcome(identity).decision for identity in decisions.ids()}
    decided = {identity: decision == "accept" for identity, decision in outcomes.items() if decision != "none"}
    if not decided:
        return None
    scores: dict[str, float] = {}
    for _, line in read_json_lines(folder / DATA):
        if line["id"] in decided and "judge" in line.get("scores", {}):
            scores[line["id"]] = line["scores"]["judge"]
    rejected = folder / "rejected.jsonl"
    for _, line in read_json_lines(rejected) if rejected.is_file() else ():
        task = line["candidate"]
        identity = content_id(task["instruction"], task["input"], task["output"])
        if identity in decided and "judge" in line.get("scores", {}):
            scores.setdefault(identity, line["scores"]["judge"])
    pairs = [(score >= min_score, decided[identity]) for identity, score in sorted(scores.items())]
    return agreement(pairs) if pairs else None


def _render(template: str, facts: dict[str, Any], markdown: bool) -> str:
    environment = Environment(
        undefined=StrictUndefined,
        autoescape=not markdown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"printable": console.printable, "fence": fence, "code": code_span, "number": "{:,}".format}
    text = resources.files("seedtune.publish").joinpath(template).read_text(encoding="utf-8")
    return environment.from_string(text).render(facts)


def fence(text: str) -> str:
    """A Markdown code block that ``text`` cannot close."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}text\n{console.printable(text)}\n{bar}"


def code_span(text: str) -> str:
    """``text`` as Markdown code within a line, a table's cell included."""
    line = " ".join(console.printable(text).split()).replace("|", "\\|")
    bar = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{bar}{gap}{line}{gap}{bar}"


def _read_object(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read ({problem}); run 'seedtune generate' again") from problem
