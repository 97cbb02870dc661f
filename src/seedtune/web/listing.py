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
        state = stage.get("state", "not begun")
        # A killed process leaves no word: what it was doing stands still.
        state = "stopped" if state == "running" and not working else state
        numbers = _tree(stage, "numbers")
        stages.append({"name": name, "state": state, "seconds": stage.get("seconds") or 0, "numbers": numbers})
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
    cost = spent.get("cost")
    return f"{cost:,.2f} {spent.get('currency') or ''}".strip() if isinstance(cost, int | float) else ""


def _generated(run: RunFolder) -> list[tuple[str, str]]:
    counts = run.read_json("generate/funnel.json")
    progress = run.read_json("generate/progress.json")
    if progress.get("working") or not counts:
        counts = _tree(progress, "funnel") or counts
    if "accepted" not in counts:
        return []
    goal = progress.get("goal")
    accepted = f"{counts['accepted']:,}" + (f" of {goal:,}" if isinstance(goal, int) else "")
    return [("accepted", accepted), ("candidates", f"{counts.get('candidates', 0):,}")]


def _trained(train: dict[str, Any]) -> list[tuple[str, str]]:
    before, after = (train["numbers"].get(f"held_out_loss_{when}") for when in ("before", "after"))
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return []
    return [("held-out loss", f"{before:.3f} → {after:.3f}")]


def _evaluated(run: RunFolder) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, suite in _tree(run.read_json("evaluate/report.json"), "suites").items():
        base, tuned = (_tree(suite, kind).get("accuracy") for kind in ("base", "tuned"))
        if isinstance(base, int | float) and isinstance(tuned, int | float):
            found.append((name, f"{base:.1%} → {tuned:.1%}"))
    return found


def _tree(value: Any, key: str) -> dict[str, Any]:
    """What stands below a key; empty where it is no object."""
    below = value.get(key) if isinstance(value, dict) else None
    return below if isinstance(below, dict) else {}
