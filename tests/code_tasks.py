"""The code tasks of the BGP domain as they are written, and the files that are made from them.

    SEEDTUNE_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/e2e/test_code_tasks.py

makes ``evaluation/data`` and ``evaluation/{test,dev}/code.jsonl`` anew; what a program must print, its reference says.

A task is a Markdown file in ``data/bgp/code_tasks/<split>``: front matter, the question, a reference program, and
programs that go wrong as one easily does, each as a change of the reference:

    ---
    family: moas
    level: 2
    keys: [prefix]
    shown:
      - {rib.mrt.gz: plain-rib}
    held_out:
      - {rib.mrt.gz: mixed-rib}
      - {rib.mrt.gz: quiet-rib}
    ---
    What is asked.

    ## Reference
    ## Wrong: an AS_SET is taken for an origin

A case gives each file its name in the program's working folder, and a source: a recording of the lab
(``08-flapping/test-1/bird-updates``), or a script of ``data/bgp/code_tasks/data/<split>``. ``arguments`` and ``replay``
stand beside the files. A script is text, a line a record, times relative to its ``start``; what belongs to a prefix
stands behind bars: AS path, communities, next hop.

    start 2024-03-10 08:58:30
    peer a 64496 192.0.2.1
    +0.5 a A 10.64.0.0/16 10.65.0.0/16 | 64496 64499 {64501,64502} | 64496:100 | 192.0.2.9
    +70 a W 10.64.0.0/16
    +180 a S ESTABLISHED IDLE
    +240 a K
    a R 10.64.0.0/16 | 64496 64499 64501
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from conftest import ROOT
from seed_cases import mrt_records

SOURCES = ROOT / "tests" / "data" / "bgp" / "code_tasks"
DOMAIN = ROOT / "src" / "seedtune" / "domains" / "bgp"
SPLITS = ("test", "dev")
FORM = "Answer with a program in one ```python block."
"""Ends every question."""

_TASK = re.compile(r"---\n(?P<front>.*?)\n---\n(?P<question>.*?)\n## Reference\n(?P<rest>.*)", re.DOTALL)
_FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
_WRONG = re.compile(r"## Wrong: (.*?)\n\n```diff\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """A code task as it is written."""

    name: str
    split: str
    front: dict[str, Any]
    question: str
    reference: str
    wrong: dict[str, str]
    """Programs that a held-out case must find out, by what is wrong with them."""

    @property
    def place(self) -> str:
        """Split and name."""
        return f"{self.split}/{self.name}"

    def cases(self) -> Iterator[dict[str, Any]]:
        """Each case's files, as name and path below the domain's folder, with what else a case has."""
        for kind in ("shown", "held_out"):
            for case in self.front[kind]:
                given = {key: case[key] for key in ("arguments", "replay") if key in case}
                files = {name: _place(source, self.split) for name, source in case.items() if name not in given}
                yield {"files": files, **given, "held_out": kind == "held_out"}


def read_tasks(split: str) -> list[Task]:
    """The tasks of a split, in the order of their file names."""
    return [_read_task(path, split) for path in sorted((SOURCES / split).glob("*.md"))]


def _read_task(path: Path, split: str) -> Task:
    found = _TASK.fullmatch(path.read_text())
    if found is None:
        raise ValueError(f"{path}: front matter, question, '## Reference' in this order")
    reference = _FENCE.findall(found["rest"])[0]
    wrong = {title: changed(reference, diff) for title, diff in _WRONG.findall(found["rest"])}
    return Task(path.stem, split, yaml.safe_load(found["front"]), found["question"].strip(), reference, wrong)


def changed(program: str, diff: str) -> str:
    """The program with some hunks put in, separated by ``@@``; each must fit at exactly one place."""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        if program.count(old) != 1:
            raise ValueError(f"fits at {program.count(old)} places of the program:\n{old}")
        program = program.replace(old, new)
    return program


def _place(source: str, split: str) -> str:
    return f"recordings/{source}.mrt.gz" if "/" in source else f"evaluation/data/{split}/{source}.mrt.gz"


def item_of(task: Task, expected: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The line of a task in the suite's file.

    Args:
        task: The task.
        expected: What the reference prints on each case.
    """
    front = task.front
    return {
        "topic": front["topic"],
        "level": front["level"],
        "rationale": f"Held-out cases find out: {'; '.join(task.wrong)}.",
        "question": f"{task.question}\n\n{FORM}",
        "family": front["family"],
        **{key: front[key] for key in ("keys", "ordered", "tolerance") if front.get(key)},
        "cases": [_case(case, lines) for case, lines in zip(task.cases(), expected, strict=True)],
        "reference": task.reference,
    }


def _case(case: dict[str, Any], lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    given = {key: case[key] for key in ("replay", "arguments") if key in case}
    files = {"files": list(case["files"].values()), "names": list(case["files"])}
    return {**files, **given, "expected": list(lines)} | ({"held_out": True} if case["held_out"] else {})


def data_files() -> dict[Path, bytes]:
    """The MRT records of every file that is made from a script, by its path; the files themselves are gzip."""
    return {
        DOMAIN / "evaluation" / "data" / split / f"{script.stem}.mrt.gz": mrt_of(script)
        for split in SPLITS
        for script in sorted((SOURCES / "data" / split).glob("*.txt"))
    }


def mrt_of(script: Path) -> bytes:
    """The MRT records of a script."""
    start, peers, rows = 0.0, dict[str, tuple[int, str]](), list[list[Any]]()
    for line in script.read_text().splitlines():
        words = line.split()
        match words:
            case ["#", *_]:
                continue
            case ["start", day, clock]:
                start = datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=UTC).timestamp()
            case ["peer", name, asn, address]:
                peers[name] = int(asn), address
            case [peer, "R", *_]:
                rows.append(["R", start, *peers[peer], *_route(line.split(" R ")[1], peers[peer][1])])
            case [offset, peer, kind, *rest]:
                time = start + float(offset)
                head = [kind, int(time) if time.is_integer() else time, *peers[peer]]
                rows.append(head + _rest(kind, rest, line, peers[peer][1]))
            case _:
                raise ValueError(f"{script}: not a line of a script: {line!r}")
    return b"".join(mrt_records(rows))


def _rest(kind: str, rest: list[str], line: str, address: str) -> list[Any]:
    match kind:
        case "A":
            return _route(line.split(" A ")[1], address)
        case "W":
            return [rest]
        case _:
            return list(rest)


def _route(text: str, address: str) -> list[Any]:
    prefixes, path, communities, next_hop = (part.strip() for part in (text + "|||").split("|")[:4])
    version = 6 if ":" in prefixes else 4
    own = address if ip_address(address).version == version else {4: "192.0.2.99", 6: "2001:db8:ffff::99"}[version]
    return [prefixes.split(), path, communities.split(), next_hop or own]
