"""The report in Markdown, for a merge request or a chat."""

from collections.abc import Iterator, Mapping
from typing import Any

Tree = Mapping[str, Any]

_FIGURES = (
    "Shares right with Wilson 95% intervals; gains with Tango's interval for paired proportions; p is from the exact "
    "McNemar test, after Holm's correction where it is the one test of several suites."
)


def as_markdown(report: Tree) -> str:
    """The comparison as a page: tables, what may be said of each suite, and what speaks against it."""
    tuned = "tuned" in report["models"]
    entries: Mapping[str, Tree] = report["suites"]
    lines = [f"# {report['base']}{', tuned for' if tuned else ' on'} {report['domain']}", ""]
    lines += [_what_was_asked(report), ""]
    lines += ["| suite | n | chance | base | tuned | gain, points | p |" if tuned else "| suite | n | chance | base |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |" if tuned else "| --- | ---: | ---: | ---: |"]
    lines += [_row(name, entry) for name, entry in entries.items()]
    lines += ["", _FIGURES, ""]
    lines += [f"- **{name}**: {entry['verdict']}" for name, entry in entries.items() if "verdict" in entry]
    lines += [f"- **{name}**, {said}" for name, entry in entries.items() for said in _beside(entry)]
    lines += _judge(report.get("judge"))
    lines += _rivals(report)
    lines += _forgetting(report["forgetting"])
    for name, entry in entries.items():
        lines += _groups(name, entry)
        lines += _classes(name, entry)
    return "\n".join([*lines, "", *report["caveats"], ""])


def _judge(said: Tree | None) -> list[str]:
    if not said:
        return []
    alike = said["agreement"]
    trust = ""
    if alike:
        kappa = "" if alike["kappa"] is None else f" (Cohen's kappa {alike['kappa']:.2f})"
        trust = f" It agrees with people on {alike['share']:.0%} of {alike['n']} marked pairs{kappa}."
    return [
        f"- **open answers, judged by {said['model']}** in both orders: {said['verdict']} {said['tie']} ties, "
        f"{said['undecided']} of {said['n']} undecided.{trust}"
    ]


def _what_was_asked(report: Tree) -> str:
    shots = f", with {report['shots']} examples before each" if report["shots"] else ""
    adapter = f" Adapter {report['adapter_sha256'][:12]}." if report["adapter_sha256"] else ""
    return (
        f"{len(report['models'])} models answered the same questions of the split {report['split']}{shots}.{adapter} "
        f"Chat template {report['chat_template']}, seed {report['seed']}."
    )


def _row(name: str, entry: Tree) -> str:
    cells = [name, str(entry["n"]), f"{entry['chance']:.0%}", _share(entry["base"])]
    if "tuned" in entry:
        cells += [_share(entry["tuned"]), *_difference(entry)]
    return f"| {' | '.join(cells)} |"


def _difference(pair: Tree) -> list[str]:
    test = pair["mcnemar"]
    p = test["p"] if test["adjusted"] is None else test["adjusted"]
    return [_points(pair["gain"]), f"{p:.2g}"]


def _points(estimate: Tree) -> str:
    low, high = (f"{100 * bound:+.1f}" for bound in estimate["interval"])
    return f"{100 * estimate['value']:+.1f} ({low} to {high})"


def _share(result: Tree) -> str:
    low, high = (f"{100 * bound:.0f}" for bound in result["interval"])
    errors = f", {result['errors']} errors" if result.get("errors") else ""
    return f"{result['correct']} ({100 * result['accuracy']:.1f}%, {low} to {high}{errors})"


def _models(entry: Tree) -> dict[str, Tree]:
    """Each model's results."""
    return {name: entry[name] for name in ("base", "tuned") if name in entry} | dict(entry["rivals"])


def _beside(entry: Tree) -> Iterator[str]:
    """What else was measured of a suite."""
    models = _models(entry)
    for way in entry["base"]["also"]:
        told = ", ".join(f"{name} {result['also'][way]['correct']}" for name, result in models.items())
        yield f"{way}: {told} of {entry['n']}"
    if entry["method"] == "generate":
        told = ", ".join(f"{name} {result['unparsed']}" for name, result in models.items())
        yield f"could not be parsed: {told}"
    if entry["parts"]:
        told = ", ".join(f"{name} {result['partial']['value']:.1%}" for name, result in models.items())
        gained = f"; tuned {_points(entry['partial_gain'])} points" if "partial_gain" in entry else ""
        yield f"{entry['parts']} right: {told}{gained}"
    for part in ("clean", "contaminated"):
        if group := entry.get(part):
            told = ", ".join(f"{name} {group[name]['correct']}" for name in models)
            yield f"{part} items: {told} of {group['n']}"


def _rivals(report: Tree) -> list[str]:
    names = [name for name in report["models"] if name not in ("base", "tuned")]
    if not names:
        return []
    lines = ["", f"## Rivals, against the {report['reference']} model", ""]
    lines += ["| suite | model | right | gain, points | p |", "| --- | --- | ---: | ---: | ---: |"]
    for name, entry in report["suites"].items():
        for rival, result in entry["rivals"].items():
            difference = _difference(result) if "gain" in result else ["", ""]
            lines.append(f"| {name} | {_cell(rival)} | {_share(result)} | {' | '.join(difference)} |")
    titles = "; ".join(f"{_cell(name)} is {_cell(report['models'][name]['title'])}" for name in names)
    return [*lines, "", f"{titles}. A gain is the rival's over the {report['reference']} model."]


def _forgetting(found: Tree | None) -> list[str]:
    if found is None:
        return []
    margin = f"{100 * found['margin']:g}"
    lines = ["", "## What was forgotten", "", f"**{found['verdict']}**", ""]
    lines += [f"A loss of {margin} points was accepted beforehand (`evaluate.margin`). One-sided score test.", ""]
    lines += ["| suite | n | chance | base | tuned | gain, points | |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | --- |"]
    for name, entry in {**found["suites"], "all": found}.items():
        said = "no worse" if entry["shown"] else "not shown" if entry["tells"] else "base too weak to tell"
        cells = [name, str(entry["n"]), f"{entry['chance']:.0%}", _share(entry["base"]), _share(entry["tuned"])]
        lines.append(f"| {' | '.join(cells)} | {_points(entry['gain'])} | {said} |")
    return lines


def _groups(name: str, entry: Tree) -> list[str]:
    """Families and levels, each beside what guessing gives."""
    lines: list[str] = []
    models = list(_models(entry))
    for kind in ("levels", "families"):
        if groups := entry.get(kind):
            lines += ["", f"### {name} by {'level' if kind == 'levels' else 'family'}", ""]
            lines += [f"| | n | chance | {' | '.join(map(_cell, models))} |", f"| --- {'| ---: ' * (len(models) + 2)}|"]
            for group, found in groups.items():
                shares = [f"{found[model]['correct']} ({found[model]['accuracy']:.0%})" for model in models]
                lines.append(f"| {_cell(group)} | {found['n']} | {found['chance']:.0%} | {' | '.join(shares)} |")
    return lines


def _classes(name: str, entry: Tree) -> list[str]:
    """What became of the programs, and pass@k."""
    if entry["type"] != "code":
        return []
    models = _models(entry)
    lines = ["", f"### {name}: what became of the programs", ""]
    lines += [f"| | {' | '.join(map(_cell, models))} |", f"| --- {'| ---: ' * len(models)}|"]
    for verdict in entry["base"]["classes"]:
        lines.append(f"| {verdict} | {' | '.join(str(result['classes'][verdict]) for result in models.values())} |")
    for k in entry["base"]["pass_at"]:
        cells: list[str] = []
        for result in models.values():
            low, high = (f"{bound:.0%}" for bound in result["pass_at"][k]["interval"])
            cells.append(f"{result['pass_at'][k]['value']:.1%} ({low} to {high})")
        lines.append(f"| pass@{k} | {' | '.join(cells)} |")
    return lines


def _cell(text: str) -> str:
    """A name that a user gave, safe in a table."""
    return text.replace("|", "\\|").replace("\n", " ")
