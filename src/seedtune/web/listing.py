"""What the list of runs says of each, from the files of its folder."""

from typing import Any

from seedtune.web.children import Children, last_child
from seedtune.web.folders import RunFolder

STAGES = ("generate", "train", "evaluate")


def summary(run: RunFolder, children: Children) -> dict[str, Any]:
    """Plain values: state, stages, what it cost, key numbers."""
    worker = children.state(run)
    stages = _stages(run, bool(worker))
    child = last_child(run)
    return {
        "name": run.name,
        "state": _state(stages, worker),
        "worker": worker,
        "stages": stages,
        "seconds": sum(stage["seconds"] for stage in stages),
        "cost": _cost(run, stages[0]),
        "numbers": [*_generated(run), *_trained(stages[1]), *_evaluated(run)],
        "command": child.command if child else "",
        "started": child.at if child else "",
    }


def _stages(run: RunFolder, working: bool) -> list[dict[str, Any]]:
    said = _tree(run.read_json("manifest.json"), "stages")
    stages: list[dict[str, Any]] = []
    for name in STAGES:
        stage = _tree(said, name)
        state = str(stage.get("state", "not begun"))
        # A killed process leaves no word: what it was doing stands still.
        state = "stopped" if state == "running" and not working else state
        # What comes before it is done anew: its numbers are those of what was there.
        if state == "done" and any(before["state"] not in ("done", "not begun") for before in stages):
            state = "outdated"
        numbers = _tree(stage, "numbers")
        stages.append({"name": name, "state": state, "seconds": _number(stage, "seconds") or 0, "numbers": numbers})
    return stages


def _state(stages: list[dict[str, Any]], worker: str) -> str:
    states = {stage["state"] for stage in stages}
    if worker:
        return "working"
    if states == {"not begun"}:
        return "not begun"
    if states == {"done"}:
        return "done"
    return "partly done" if states == {"done", "not begun"} else "stopped"


def _cost(run: RunFolder, generate: dict[str, Any]) -> str:
    """Of the teacher, as the stage said; empty where no price was given."""
    spent = generate["numbers"] or run.read_json("generate/progress.json")
    cost = _number(spent, "cost")
    return "" if cost is None else f"{cost:,.2f} {spent.get('currency') or ''}".strip()


def _generated(run: RunFolder) -> list[tuple[str, str]]:
    counts = run.read_json("generate/funnel.json")
    progress = run.read_json("generate/progress.json")
    if progress.get("working") or not counts:
        counts = _tree(progress, "funnel") or counts
    accepted, goal = _number(counts, "accepted"), _number(progress, "goal")
    if accepted is None:
        return []
    said = f"{accepted:,}" + ("" if goal is None else f" of {goal:,}")
    return [("accepted", said), ("candidates", f"{_number(counts, 'candidates') or 0:,}")]


def _trained(train: dict[str, Any]) -> list[tuple[str, str]]:
    before, after = (_number(train["numbers"], f"held_out_loss_{when}") for when in ("before", "after"))
    if before is None or after is None:
        return []
    return [("held-out loss", f"{before:.3f} → {after:.3f}")]


def _evaluated(run: RunFolder) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, suite in _tree(run.read_json("evaluate/report.json"), "suites").items():
        base, tuned = (_number(_tree(suite, kind), "accuracy") for kind in ("base", "tuned"))
        if base is not None and tuned is not None:
            found.append((name, f"{base:.1%} → {tuned:.1%}"))
    return found


def _number(tree: dict[str, Any], key: str) -> float | None:
    """The number below a key; None where something else stands there: a run may be anybody's."""
    value = tree.get(key)
    return value if isinstance(value, int | float) else None


def _tree(value: Any, key: str) -> dict[str, Any]:
    """What stands below a key; empty where it is no object."""
    below = value.get(key) if isinstance(value, dict) else None
    return below if isinstance(below, dict) else {}
