"""Compare two evaluated runs: each one's tuned model (or base, where nothing is tuned) on the items that both asked."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from seedtune import console
from seedtune.errors import EvaluationError
from seedtune.evaluate.finished import Finished, read_finished
from seedtune.evaluate.results import EFFECT
from seedtune.evaluate.statistics import Estimate, PairedTest, gain, holm, mcnemar, paired_bootstrap, verdict

_SETTINGS = ("split", "shots", "seed", "decoding")
"""Two evaluations that differ in one of these asked their models different things."""


@dataclass(frozen=True)
class JobComparison:
    """Two runs on the common items of one job."""

    name: str
    n: int
    """Common items."""
    only_first: int
    """Items that only the first run asked."""
    only_second: int
    """Items that only the second run asked."""
    correct: tuple[int, int]
    test: PairedTest
    adjusted: float | None
    """By Holm's correction over the suites' primary methods; None for the others, and for one suite alone."""
    gain: Estimate
    """Of the second run over the first."""
    partial_gain: Estimate | None
    """Likewise, where answers can be right in part."""
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """Two runs."""

    first: str
    second: str
    notes: tuple[str, ...]
    """What differs besides the models, and may matter."""
    jobs: tuple[JobComparison, ...]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Compare the models of two runs, the second against the first.

    Raises:
        EvaluationError: a run is not evaluated, they were asked in different ways, or have no item in common.
    """
    one, two = read_finished(first), read_finished(second)
    differing = [
        f"{name}: {one.report[name]} and {two.report[name]}"
        for name in _SETTINGS
        if one.report[name] != two.report[name]
    ]
    if differing:
        raise EvaluationError(
            f"{first} and {second} were asked in different ways ({'; '.join(differing)}): "
            "evaluate one of them again with the settings of the other"
        )
    names = [name for name in one.items if name in two.items and one.items[name].keys() & two.items[name].keys()]
    if not names:
        raise EvaluationError(f"{first} and {second} have no item in common, so there is nothing to compare")
    tests = {name: mcnemar(*_right(one, two, name)) for name in names}
    primary = {name: tests[name].p for name in names if one.report["suites"][name]["primary"]}
    adjusted = holm(primary) if len(primary) > 1 else {}
    jobs = [_compare(one, two, name, tests[name], adjusted.get(name)) for name in names]
    return Comparison(str(first), str(second), tuple(_notes(one, two, names)), tuple(jobs))


def _common(one: Finished, two: Finished, name: str) -> list[str]:
    return [item for item in one.items[name] if item in two.items[name]]


def _right(one: Finished, two: Finished, name: str) -> tuple[list[bool], list[bool]]:
    common = _common(one, two, name)
    before = [bool(one.items[name][item][one.model]["correct"]) for item in common]
    return before, [bool(two.items[name][item][two.model]["correct"]) for item in common]


def _compare(one: Finished, two: Finished, name: str, test: PairedTest, adjusted: float | None) -> JobComparison:
    common, entry = _common(one, two, name), one.report["suites"][name]
    n, right = len(common), _right(one, two, name)
    partial = None
    if entry["parts"]:
        before = [one.items[name][item][one.model]["value"] for item in common]
        after = [two.items[name][item][two.model]["value"] for item in common]
        partial = paired_bootstrap(before, after, one.report["seed"])
    said = verdict(test, n, adjusted, effect=EFFECT)
    return JobComparison(
        name=name,
        n=n,
        only_first=len(one.items[name]) - n,
        only_second=len(two.items[name]) - n,
        correct=(sum(right[0]), sum(right[1])),
        test=test,
        adjusted=adjusted,
        gain=gain(test, n),
        partial_gain=partial,
        verdict=said if entry["primary"] else f"Beside the suite's test, without correction: {said}",
    )


def _notes(one: Finished, two: Finished, names: Sequence[str]) -> list[str]:
    notes: list[str] = []
    for key, what in (("base", "base models"), ("chat_template", "chat templates")):
        if one.report[key] != two.report[key]:
            notes.append(f"Their {what} differ: {one.report[key]} and {two.report[key]}.")
    for finished in (one, two):
        if alone := [name for name in finished.items if name not in names]:
            notes.append(f"Only in {finished.path}: {', '.join(alone)}.")
    if one.report["split"] == "test":
        notes.append("Choosing between runs by the test items makes these no measurement: choose by dev.")
    return notes


def show_comparison(found: Comparison, as_json: bool) -> int:
    """Show it.

    Returns:
        The exit code: 0.
    """
    if as_json:
        console.say_raw(json.dumps(asdict(found), indent=2, ensure_ascii=False))
        return 0
    rows: list[list[str]] = []
    for job in found.jobs:
        low, high = (f"{100 * bound:+.1f}" for bound in job.gain.interval)
        p = job.test.p if job.adjusted is None else job.adjusted
        shares = [f"{correct / job.n:.1%}" for correct in job.correct]
        rows.append([job.name, str(job.n), *shares, f"{100 * job.gain.value:+.1f} ({low} to {high})", f"{p:.2g}"])
    title = f"A: {found.first}, B: {found.second}"
    console.show_table(title, ["suite", "common items", "A right", "B right", "B over A, points", "p"], rows)
    for job in found.jobs:
        alone = f" ({job.only_first} items only in A, {job.only_second} only in B)"
        console.say(f"{job.name}: {job.verdict}{alone if job.only_first or job.only_second else ''}")
    for note in found.notes:
        console.say(note)
    return 0
