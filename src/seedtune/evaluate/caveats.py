"""What the reader of a report has to know before believing its numbers."""

from collections.abc import Mapping
from typing import Any


def caveats(report: Mapping[str, Any]) -> list[str]:
    """A sentence each."""
    left_out = [f"{name} was left out: {why}." for name, why in report["left_out"].items()]
    return [*left_out, *_of_contamination(report["contamination"]), *_of_looks(report), *_of_models(report)]


def _of_contamination(found: Mapping[str, Any]) -> list[str]:
    if not found["rows"] and not found["not_compared"]:
        return ["There is no tuned model, so nothing was compared with training rows."]
    compared = f"{found['rows']:,} training rows"
    said = [f"None of the items stands in the {compared}."]
    if found["items"]:
        said = [f"{len(found['items'])} items stand in the {compared}: clean and contaminated items are counted apart."]
    if found["near"]:
        said.append(f"{len(found['near'])} further items share eight words in a row with a training row.")
    if found["not_compared"]:
        said.append(f"{found['not_compared']:,} rows could not be compared: their text is in no file any more.")
    return said


def _of_looks(report: Mapping[str, Any]) -> list[str]:
    looks = report.get("looks")
    if looks is None:
        return ["These are the items that settings are chosen by: not a result to report."]
    if looks["total"] == 1:
        return ["The test items were looked at once."]
    where = f"in {looks['runs']} runs, " if looks["runs"] > 1 else ""
    return [
        f"The test items were looked at {looks['total']} times, {where}for {looks['models']} tuned models "
        f"({looks['at_this_model']} times for this one): each look is a chance to choose what happens to do well. "
        "Choose with evaluate.split=dev."
    ]


def _of_models(report: Mapping[str, Any]) -> list[str]:
    said: list[str] = []
    if "tuned" in report["models"] and report["forgetting"] is None:
        said.append("What the model forgot was not measured: evaluate.general=general does.")
    entries = report["suites"]
    for name, model in report["models"].items():
        if model["type"] == "local":
            continue
        errors = sum(entry["rivals"][name]["errors"] for entry in entries.values() if name in entry["rivals"])
        if errors:
            said.append(
                f"{name}: {errors} answers did not come; they count as wrong. Run again to ask for these alone."
            )
        if unasked := [job for job, entry in entries.items() if name not in entry["rivals"]]:
            said.append(
                f"{name} is asked in writing only: its endpoint gave no log-likelihoods ({', '.join(unasked)})."
            )
    return said
