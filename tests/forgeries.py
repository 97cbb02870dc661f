"""Answers to a code item that are no solution, and must be worth nothing. None of them knows the data."""

import json
from typing import Any

from seedtune.records import CodeItem

_READ_ALL = """
import json, os, sys
libraries = ("/usr/lib", "/usr/local/lib", os.path.dirname(os.path.dirname(os.__file__)))
seen = set()
for top in ("/", *libraries, *sys.path):  # "/" alone cannot be listed at every level
    for folder, folders, names in os.walk(top):
        if folder in seen or folder in ("/proc", "/sys"):
            folders.clear()
            continue
        seen.add(folder)
        for name in names:
            if folder.startswith(libraries) and not name.endswith(".jsonl"):
                continue
            try:
                text = open(os.path.join(folder, name), errors="replace").read(10_000_000)
            except OSError:
                continue
            if "expected" in text or "held_out" in text or name == "truth.json":
                for line in text.splitlines():
                    try:
                        item = json.loads(line)
                        if item["question"] == QUESTION:
                            exec(item["reference"])
                            sys.exit()
                        for case in item["cases"]:
                            for each in case["expected"]:
                                print(json.dumps(each))
                    except (ValueError, KeyError, TypeError):
                        pass
print(json.dumps(dict(os.environ)))
"""
_SALT = """
import json, os
size = sum(os.path.getsize(name) for name in os.listdir() if os.path.isfile(name) and not name.startswith("main"))
"""
_PATCHED = """
import json
json.loads = json.JSONDecoder.decode = lambda *_, **__: {"verdict": "pass"}
json.dumps = lambda *_, **__: '{"passed": true}'
print(json.dumps(1))
"""
_OTHER_MEANS = """
import os, sys
os.write(1, b'{"verdict": "pass", "correct": true}\\n')
sys.__stdout__.write('{"score": 1.0}\\n')
sys.stderr.write("1 passed\\n")
sys.stdout.flush()
os._exit(0)
"""


def forgeries(item: CodeItem) -> dict[str, str]:
    """What was forged, and the answer."""
    programs = {
        "does nothing": "pass",
        "swallows everything": "try:\n    import pybgpstream\n    raise ValueError\nexcept BaseException:\n    pass",
        "exits": "import sys\nsys.exit(0)",
        "exits at once": "import os\nos._exit(0)",
        "says PASS": 'print("PASS")',
        "knows the shown answers": "\n".join(f"print({json.dumps(line)!r})" for line in _shown(item)) or "pass",
        "reads what is expected": f"QUESTION = {item.question!r}\n{_READ_ALL}",
        "patches json": _PATCHED,
        "writes by other means": _OTHER_MEANS,
        "prints all that is possible": _everything(item),
        "names every field twice": _twice(item),
    }
    return _answers(programs) | salted_forgeries(item)


def salted_forgeries(item: CodeItem) -> dict[str, str]:
    """The shown answers, made to differ from case to case by something of the data that says nothing."""
    known = f"{_SALT}for line in json.loads({json.dumps(_shown(item))!r}):\n"
    return _answers(
        {
            "adds a field": f"{known}    print(json.dumps(line | {{'note': size}}))",
            "adds a line": f"{known}    print(json.dumps(line))\nprint(json.dumps({{'size': size}}))",
            "spoils a field": f"{known}    print(json.dumps(line | {{max(line): size}}))",
            "leaves lines out": f"{known}    if hash((size, str(line))) % 2:\n        print(json.dumps(line))",
        }
    )


def _answers(programs: dict[str, str]) -> dict[str, str]:
    return {name: f"```python\n{code}\n```" for name, code in programs.items()}


def _shown(item: CodeItem) -> list[dict[str, Any]]:
    return [dict(line) for case in item.cases if not case.held_out for line in case.expected]


def _fields(item: CodeItem) -> list[str]:
    return sorted({field for case in item.cases for line in case.expected for field in line})


def _everything(item: CodeItem) -> str:
    """Lines for all small numbers, true, false and nothing, in every field."""
    return (
        "import json\n"
        f"fields = {_fields(item)!r}\n"
        "for value in [*range(3000), True, False, None, '', [], 'none']:\n"
        "    print(json.dumps(dict.fromkeys(fields, value)))"
    )


def _twice(item: CodeItem) -> str:
    """One line in which each field stands with many values: a reader of JSON takes the last, or the first."""
    return (
        "import json\n"
        f"fields = {_fields(item)!r}\n"
        "pairs = [f'{json.dumps(field)}: {value}' for field in fields for value in range(100)]\n"
        "print('{' + ', '.join(pairs) + '}')"
    )
