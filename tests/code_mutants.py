"""Programs that disregard one thing in the elements: made of every task's reference, to find tasks that are too weak.

A rule that a question states must make a difference on its data. So the reference is run on elements of which one thing
is missing or confused. What it prints then is wrong on a held-out case, or else the mutant stands in
``data/bgp/code_tasks/equivalents.yaml``, below the reason why the task does not ask for what it breaks.
"""

import json

import yaml

from code_tasks import SOURCES

MUTANTS = {
    "an AS_SET is taken apart": """
if "{" in elem.fields.get("as-path", ""):
    elem.fields["as-path"] = elem.fields["as-path"].replace("{", "").replace("}", "").replace(",", " ")
""",
    "routes with an AS_SET are left out": """
if "{" in elem.fields.get("as-path", ""):
    elements = []
""",
    "IPv6 is left out": """
if ":" in elem.fields.get("prefix", ""):
    elements = []
""",
    "withdrawals are left out": """
if elem.type == "W":
    elements = []
""",
    "peer states are left out": """
if elem.type == "S":
    elements = []
""",
    "a lost session withdraws its routes": """
key = elem.peer_asn, elem.peer_address
if elem.type in "RA":
    seen.setdefault(key, {})[elem.fields["prefix"]] = True
elif elem.type == "W":
    seen.get(key, {}).pop(elem.fields["prefix"], None)
elif elem.fields["old-state"] == "ESTABLISHED":
    for prefix in seen.pop(key, {}):
        head = {"time": elem.time, "peer_asn": key[0], "peer_address": key[1]}
        elements.append(SimpleNamespace(type="W", fields={"prefix": prefix}, **head))
""",
    "times are cut to seconds": """
elem.time = float(int(elem.time))
""",
    "the sessions of an AS are one peer": """
elem.peer_address = seen.setdefault(elem.peer_asn, elem.peer_address)
""",
    "prepending is removed": """
if "as-path" in elem.fields:
    elem.fields["as-path"] = " ".join(hop for hop, _ in groupby(elem.fields["as-path"].split()))
""",
}
"""By what is wrong: Python that changes an element ``elem``, or the list ``elements`` of what the program gets in its
place. The dict ``seen`` lives as long as the run."""

_HARNESS = """
import json
import os
import sys
from itertools import groupby
from types import SimpleNamespace

import pybgpstream

iterate = pybgpstream.BGPStream.__iter__
tools = {"groupby": groupby, "SimpleNamespace": SimpleNamespace}


def run(change):
    def mutated(stream):
        for elem in iterate(stream):
            elements = [elem]
            exec(change, {**tools, "elem": elem, "elements": elements, "seen": seen}, names := {})
            yield from names.get("elements", elements)

    seen = {}
    pybgpstream.BGPStream.__iter__ = mutated
    exec(compile(PROGRAM, "program", "exec"), {"__name__": "__main__"})


for name, change in MUTANTS.items():
    reading, writing = os.pipe()
    child = os.fork()  # so that the clock of a replay begins anew
    if not child:
        os.dup2(writing, 1)
        run(compile(change, name, "exec"))
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    print(json.dumps([name, status, text]), flush=True)
"""


def all_mutants(program: str) -> str:
    """A program that runs another one with each of the mutants, one after the other."""
    return f"PROGRAM = {program!r}\nMUTANTS = {MUTANTS!r}\n{_HARNESS}"


def outputs(stdout: str) -> dict[str, str | None]:
    """What :func:`all_mutants` printed, as what the program printed with each of them; None where it failed."""
    lines = [json.loads(line) for line in stdout.splitlines()]
    return {mutant: text if status == 0 else None for mutant, status, text in lines}


def equivalents() -> set[tuple[str, str]]:
    """Mutant and place of the task, where the mutant gives the right answer for a reason."""
    listed = yaml.safe_load((SOURCES / "equivalents.yaml").read_text())
    return {(mutant, place) for mutant, reasons in listed.items() for places in reasons.values() for place in places}
