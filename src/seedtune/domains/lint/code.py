"""Code items: their data are there, a right output can be told from a wrong one, and held-out cases ask anew.

The reference is checked as all programs are (:func:`.programs.check_programs`), and not run. Whether it passes its
cases is said by :func:`seedtune.evaluate.programs.check_references`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seedtune.domains.lint.content import Content, Finding
from seedtune.records import CodeItem


def check_code(content: Content) -> Iterator[Finding]:
    """Every fault of every code item."""
    folder = content.domain.folder
    for entry in content.items:
        item = entry.item
        if not isinstance(item, CodeItem):
            continue
        for name in sorted({file for case in item.cases for file in case.files}):
            path = (folder / name).resolve()
            if not path.is_file() or not path.is_relative_to(folder.resolve()):
                yield Finding("error", entry.place, f"there is no file {name} in the domain's folder")
        for message in (*_names(item), *_keys(item), *_held_out(item)):
            yield Finding("error", entry.place, message)


def _names(item: CodeItem) -> Iterator[str]:
    """A program must not be able to tell one case from another by names, and must know the names."""
    names = {case.inside for case in item.cases}
    if len(names) > 1:
        yield f"its cases name their files differently: {', '.join(' '.join(each) for each in sorted(names))}"
    given = {argument for case in item.cases for argument in case.arguments}
    for name in sorted({name for each in names for name in each} - given):
        # An archive's files are known by what is asked of the broker.
        if name not in item.question and "/" not in name:
            yield f"the question does not name the file {name}"


def _keys(item: CodeItem) -> Iterator[str]:
    most = max(len(case.expected) for case in item.cases)
    if most > 1 and not item.keys and not item.ordered:
        yield f"{most} lines are expected, and neither 'keys' nor 'ordered' says which is which"
    for case in item.cases:
        lacking = [key for key in item.keys for line in case.expected if key not in line]
        if lacking:
            yield f"the key {lacking[0]} is missing in a line that is expected"
        values = [[line.get(key) for key in item.keys] for line in case.expected]
        if any(isinstance(value, float | list | dict) for each in values for value in each):
            yield "a key's value is text, a whole number, true, false or null: others may be equal in several ways"
        if item.keys and len({json.dumps(each) for each in values}) < len(values):
            yield f"two lines that are expected have the same {', '.join(item.keys)}"


def _held_out(item: CodeItem) -> Iterator[str]:
    shown = [_canonical(case.expected) for case in item.cases if not case.held_out]
    held_out = [_canonical(case.expected) for case in item.cases if case.held_out]
    if any(expected in shown for expected in held_out):
        yield "a held-out case expects the same as one that is shown; a program with that output in it would pass"
    if len({*shown, *held_out}) == 1:
        yield "all of its cases expect the same; a program that prints it without reading anything would pass"
    if not any(case.expected for case in item.cases):
        yield "no case expects a line; a program that does nothing would pass"


def _canonical(expected: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(sorted(json.dumps(line, sort_keys=True) for line in expected))
