"""Show a sweep: a table on the terminal, and ``sweep.md`` with the same table and a picture."""

import json
from pathlib import Path
from typing import Any

from seedtune import console
from seedtune.records import write_atomic
from seedtune.report import charts

PAGE, PICTURE = "sweep.md", "sweep.svg"
_MEASURED = ("lowest", "at step", "last", "steps", "time", "")


def show_sweep(folder: Path) -> int:
    """Read ``sweep.json``, show the table, and write :data:`PAGE` and :data:`PICTURE`.

    Args:
        folder: Of the sweep.

    Returns:
        Exit code: 1 where no combination could be trained.
    """
    summary = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    results: list[dict[str, Any]] = sorted(summary["combinations"], key=lambda result: result.get("kept", float("inf")))
    columns = [*results[0]["settings"], *_MEASURED]
    rows = [_row(result, summary["best"]) for result in results]
    curves = {result["name"]: [charts.Point(*pair) for pair in result.get("curve", ())] for result in results}
    picture = charts.curves(curves, "steps")
    if picture:
        write_atomic(folder / PICTURE, picture + "\n")
    write_atomic(folder / PAGE, _page(columns, rows, results, bool(picture)))
    console.show_table("held-out loss", columns, rows)
    for line in _failures(results):
        console.say(line)
    if summary["best"] is None:
        console.complain("no combination could be trained")
        return 1
    console.say(_verdict(results[0]))
    best = console.relative(folder / "best.yaml")
    console.say(f"config: {best} (to train it in the run itself: seedtune train {best})")
    one = console.relative(folder / results[0]["label"] / "config.yaml")
    console.say(
        f"questions, while you choose: seedtune evaluate {one} --set evaluate.split=dev "
        "(test is for the one that is chosen)"
    )
    console.say(f"table and picture: {console.relative(folder / PAGE)}")
    return 0


def _row(result: dict[str, Any], best: str | None) -> list[str]:
    settings = list(result["settings"].values())
    if result["state"] != "done":
        return [*settings, "", "", "", "", "", result["state"]]
    return [
        *settings,
        f"{result['lowest']:.4f}",
        str(result["lowest_step"]),
        f"{result['last']:.4f}",
        str(result["steps"]),
        console.duration(result["seconds"]),
        "best" if result["label"] == best else "",
    ]


def _failures(results: list[dict[str, Any]]) -> list[str]:
    return [f"{result['name']} failed: {result['reason']}" for result in results if result["state"] == "failed"]


def _verdict(best: dict[str, Any]) -> str:
    verdict = f"best: {best['name']}, held-out loss {best['kept']:.4f} (untrained: {best['untrained']:.4f})"
    if best["kept"] >= best["untrained"]:
        verdict += "; no combination is better than the untrained model"
    return verdict


def _page(columns: list[str], rows: list[list[str]], results: list[dict[str, Any]], picture: bool) -> str:
    lines = ["# Sweep", "", "Held-out loss, per token of the answers.", ""]
    lines += [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in (columns, *rows)]
    lines.insert(5, "| " + " | ".join("---" for _ in columns) + " |")
    if results[0]["state"] == "done":
        lines += ["", _verdict(results[0])]
    for line in _failures(results):
        # A code block: a reason may hold anything.
        lines += ["", "```text", line.replace("```", "'''"), "```"]
    if picture:
        lines += ["", f"![Held-out loss over the steps]({PICTURE})"]
    return "\n".join(lines) + "\n"
