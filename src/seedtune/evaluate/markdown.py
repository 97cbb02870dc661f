"""The report in Markdown, for a merge request or a chat."""

from collections.abc import Mapping
from typing import Any

Tree = Mapping[str, Any]


def as_markdown(report: Tree) -> str:
    """The comparison as a page: a table, what may be said of each suite, and what speaks against it."""
    lines = [
        f"# {report['base']}, tuned for {report['domain']}",
        "",
        f"Base and tuned model answered the same questions of the split {report['split']}"
        + (f", with {report['shots']} examples before each" if report["shots"] else "")
        + f". Adapter {report['adapter_sha256'][:12]}, chat template {report['chat_template']}, seed {report['seed']}.",
        "",
        "| suite | n | chance | base | tuned | gain, points | p |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_row(name, entry) for name, entry in report["suites"].items()),
        "",
        "Shares right with Wilson 95% intervals; the gain with Tango's interval for paired proportions; p is from the "
        "exact McNemar test, after Holm's correction where it is the one test of several suites.",
        "",
        *(f"- **{name}**: {entry['verdict']}" for name, entry in report["suites"].items()),
    ]
    for name, entry in report["suites"].items():
        lines += [f"- **{name}**, {said}" for said in _beside(entry)]
    lines += ["", *report["caveats"], ""]
    return "\n".join(lines)


def _row(name: str, entry: Tree) -> str:
    test, gained = entry["mcnemar"], entry["gain"]
    p = test["p"] if test["adjusted"] is None else test["adjusted"]
    low, high = (f"{100 * bound:+.1f}" for bound in gained["interval"])
    cells = [_share(entry[variant]) for variant in ("base", "tuned")]
    return (
        f"| {name} | {entry['n']} | {entry['chance']:.0%} | {cells[0]} | {cells[1]} "
        f"| {100 * gained['value']:+.1f} ({low} to {high}) | {p:.2g} |"
    )


def _share(result: Tree) -> str:
    low, high = (f"{100 * bound:.0f}" for bound in result["interval"])
    return f"{result['correct']} ({100 * result['accuracy']:.1f}%, {low} to {high})"


def _beside(entry: Tree) -> list[str]:
    """What else was measured of a suite."""
    base, tuned = entry["base"], entry["tuned"]
    said = [
        f"{name}: base {base['also'][name]['correct']}, tuned {tuned['also'][name]['correct']} of {entry['n']}"
        for name in base["also"]
    ]
    if entry["method"] == "generate":
        said.append(f"could not be parsed: base {base['unparsed']}, tuned {tuned['unparsed']}")
    if "coverage" in base:
        low, high = (f"{100 * bound:+.1f}" for bound in entry["coverage_gain"]["interval"])
        said.append(
            f"key points covered: base {base['coverage']['value']:.1%}, tuned {tuned['coverage']['value']:.1%} "
            f"({100 * entry['coverage_gain']['value']:+.1f} points, {low} to {high})"
        )
    for kind in ("clean", "contaminated"):
        if part := entry.get(kind):
            said.append(
                f"{kind} items: base {part['base']['correct']}, tuned {part['tuned']['correct']} of {part['n']}"
            )
    return said
