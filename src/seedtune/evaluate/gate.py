"""Hold an evaluated run to conditions, for a build that shall fail where a model got worse.

By default a condition is held against what was measured, so that a small suite can pass by luck. With ``confident`` it
is held against the bound of the 95% interval that speaks against the model: then a pass is evidence, and a suite that
is too small for it fails.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from seedtune import console
from seedtune.errors import ConfigError
from seedtune.evaluate.compare import compare_runs
from seedtune.evaluate.finished import Finished, read_finished
from seedtune.evaluate.statistics import Interval, gain, mcnemar

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

    @property
    def line(self) -> str:
        """The condition in a line."""
        low, high = self.interval
        if self.against:
            shown = f"{100 * self.measured:+.1f} points over {self.against} ({100 * low:+.1f} to {100 * high:+.1f})"
            asked = f"no loss above {-100 * self.bound:g} points"
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
        for name, (measured, interval) in _gains(finished, no_worse_than).items():
            held = interval.low if confident else measured
            conditions.append(Condition(name, measured, interval, -margin, no_worse_than, held >= -margin))
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


def _gains(finished: Finished, other: str) -> Mapping[str, tuple[float, Interval]]:
    """What the run gained over another on each suite, by its primary method."""
    if other != OWN_BASE:
        found = compare_runs(Path(other), finished.path)
        suites = finished.report["suites"]
        return {job.name: (job.gain.value, job.gain.interval) for job in found.jobs if suites[job.name]["primary"]}
    if finished.model == OWN_BASE:
        raise ConfigError(f"{finished.path}: has no tuned model that could be worse than its base")
    gains: dict[str, tuple[float, Interval]] = {}
    for name, entry in finished.report["suites"].items():
        if entry["primary"]:
            lines = finished.items[name].values()
            test = mcnemar([line["base"]["correct"] for line in lines], [line["tuned"]["correct"] for line in lines])
            found = gain(test, len(lines))
            gains[name] = (found.value, found.interval)
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
