"""Hold an evaluated run to conditions, for a build that shall fail where a model got worse.

By default a condition is held against what was measured, so that a small suite can pass by luck. With ``confident`` it
is held against the bound of the 95% interval that speaks against the model: then a pass is evidence, and a suite that
is too small for it fails. So does one on which the other model has nothing to lose (:func:`can_tell`); without
``confident`` that is said.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from seedtune import console
from seedtune.errors import ConfigError
from seedtune.evaluate.compare import compare_runs
from seedtune.evaluate.finished import Finished, read_finished
from seedtune.evaluate.statistics import Interval, above_guessing, can_tell, gain, mcnemar, room_to_lose

OWN_BASE = "base"
"""Names the run's own base model where another run could be named."""


@dataclass(frozen=True)
class Condition:
    """One condition, and whether it is met."""

    name: str
    """What is held to it: a job."""
    measured: float
    """Accuracy, or a gain: a share, 0..1 or -1..1."""
    interval: Interval
    """Of 95%."""
    bound: float
    """What is asked for: at least this."""
    against: str
    """Empty for an accuracy; else the model that the gain is over."""
    passed: bool
    weak: str = ""
    """Why the other model is too weak for a loss to show; empty where it is not."""

    @property
    def line(self) -> str:
        """The condition in a line."""
        low, high = self.interval
        if self.against:
            shown = f"{100 * self.measured:+.1f} points over {self.against} ({100 * low:+.1f} to {100 * high:+.1f})"
            asked = f"no loss above {-100 * self.bound:g} points"
            asked += f" ({self.against} is too weak for the question: {self.weak})" if self.weak else ""
        else:
            shown, asked = f"{self.measured:.1%} ({low:.1%} to {high:.1%})", f"at least {self.bound:.1%}"
        return f"{'pass' if self.passed else 'FAIL'}: {self.name}: {shown}; asked for: {asked}"


def check_gate(
    path: Path, least: Sequence[str], no_worse_than: str | None = None, margin: float = 0.05, confident: bool = False
) -> list[Condition]:
    """Hold a run to conditions.

    Args:
        path: The run folder.
        least: ``suite=0.6`` or ``suite/method=0.6``: the accuracy that is asked for; a suite alone means its primary
            method.
        no_worse_than: :data:`OWN_BASE`, or another run's folder: on no suite that both have may the run be worse.
        margin: By more than this share of the items.
        confident: Hold the lower bound of the interval to it, not what was measured.

    Raises:
        ConfigError: no condition, one that cannot be read, a suite that was not asked, or a folder that is not there.
        EvaluationError: a run is not evaluated, or the two cannot be compared.
    """
    if not least and no_worse_than is None:
        raise ConfigError("a gate needs a condition: --min SUITE=0.6, or --no-worse-than base (or RUN)")
    if not 0 < margin < 1:
        raise ConfigError(f"--margin {margin:g}: expected a share of the items, such as 0.05 for five points")
    for folder in (path, *((Path(no_worse_than),) if no_worse_than not in (None, OWN_BASE) else ())):
        if not folder.is_dir():
            raise ConfigError(f"{folder}: there is no such run folder")
    finished = read_finished(path)
    wanted = dict(_read(condition) for condition in least)
    conditions = [_accuracy(finished, suite, bound, confident) for suite, bound in wanted.items()]
    if no_worse_than is not None:
        for name, found in _gains(finished, no_worse_than).items():
            tells = can_tell(found.room, margin, found.interval)
            held = found.interval.low if confident else found.measured
            passed = held >= -margin and (tells or not confident)
            weak = "" if tells else above_guessing(found.room)
            conditions.append(Condition(name, found.measured, found.interval, -margin, no_worse_than, passed, weak))
    return conditions


def _read(condition: str) -> tuple[str, float]:
    suite, equals, number = condition.rpartition("=")
    try:
        bound = float(number)
    except ValueError:
        bound = -1.0
    if not equals or not suite or not 0 <= bound <= 1:
        raise ConfigError(f"--min {condition}: expected SUITE=ACCURACY from 0 to 1, such as multiple_choice=0.6")
    return suite, bound


def _accuracy(finished: Finished, suite: str, bound: float, confident: bool) -> Condition:
    name, entry = finished.entry(suite)
    result = entry[finished.model]
    interval = Interval(*result["interval"])
    measured = result["correct"] / result["n"]
    return Condition(name, measured, interval, bound, "", (interval.low if confident else measured) >= bound)


class _Gain(NamedTuple):
    """Over another model."""

    measured: float
    interval: Interval
    room: float
    """What the other model had to lose."""


def _gains(finished: Finished, other: str) -> Mapping[str, _Gain]:
    """What the run gained over another on each suite, by its primary method."""
    if other != OWN_BASE:
        found = compare_runs(Path(other), finished.path)
        suites = finished.report["suites"]
        return {
            job.name: _Gain(*job.gain[:2], room_to_lose(job.correct[0], job.n, suites[job.name]["chance"]))
            for job in found.jobs
            if suites[job.name]["primary"]
        }
    if finished.model == OWN_BASE:
        raise ConfigError(f"{finished.path}: has no tuned model that could be worse than its base")
    gains: dict[str, _Gain] = {}
    for name, entry in finished.report["suites"].items():
        if entry["primary"]:
            lines = finished.items[name].values()
            before = [line["base"]["correct"] for line in lines]
            found = gain(mcnemar(before, [line["tuned"]["correct"] for line in lines]), len(lines))
            gains[name] = _Gain(*found[:2], room_to_lose(sum(before), len(lines), entry["chance"]))
    return gains


def show_gate(conditions: Sequence[Condition], as_json: bool) -> int:
    """Show each condition.

    Returns:
        The exit code: 1 where one is not met.
    """
    passed = all(condition.passed for condition in conditions)
    if as_json:
        listed = [asdict(condition) for condition in conditions]
        console.say_raw(json.dumps({"passed": passed, "conditions": listed}, indent=2, ensure_ascii=False))
    else:
        for condition in conditions:
            console.say(condition.line)
    return 0 if passed else 1
