"""The lint as a whole: its corpus of right programs, the recorded traps of the real library, and texts of any kind."""

import ast
import io
import json
import random
import re
import tokenize
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT, cpu_seconds
from seedtune.domains.bgp.lint import RULES, CodeFinding, lint_program

SEEDS = ROOT / "src" / "seedtune" / "domains" / "bgp" / "seeds"


def seed_programs() -> dict[str, str]:
    """The programs that the seed tasks give as answers, by file and line."""
    programs: dict[str, str] = {}
    for path in (SEEDS / "pybgpstream.jsonl", SEEDS / "realtime.jsonl"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            blocks = re.findall(r"```python\n(.*?)```", json.loads(line)["output"], re.DOTALL)
            programs |= {f"{path.stem}:{number}.{index}": block for index, block in enumerate(blocks)}
    return programs


PROGRAMS = seed_programs()


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_right_programs_have_no_findings(program: str) -> None:
    assert lint_program(program) == []


def test_there_are_enough_right_programs() -> None:
    assert len(PROGRAMS) >= 80
    assert sum("BGPStream(" in program for program in PROGRAMS.values()) >= 70


QUESTIONS = {
    "pybgpstream:25": {"string-for-list", "record-type"},
    "pybgpstream:26": {"kept-element"},
    "pybgpstream:27": {"filter-string", "interface-option", "field-as-attribute", "community-pair"},
    "pybgpstream:51": {"kept-element"},
    "pybgpstream:53": {"changed-list"},
    "pybgpstream:57": {"endless-stream"},
    "pybgpstream:61": {"version-1"},
    "realtime:17": {"withdrawals-skipped"},
    "realtime:34": {"impossible-type"},
}
"""Seed tasks that show a faulty program and ask what is wrong with it."""


@pytest.mark.parametrize("place", QUESTIONS)
def test_the_faults_that_seed_tasks_ask_about_are_found(place: str) -> None:
    name, _, number = place.partition(":")
    program = json.loads((SEEDS / f"{name}.jsonl").read_text().splitlines()[int(number) - 1])["input"]
    if "import pybgpstream" not in program:
        program = f"import pybgpstream\nfrom pybgpstream import BGPStream, BGPRecord\n{program}"
    assert {finding.rule for finding in lint_program(program)} == QUESTIONS[place]


TRAPS = {
    "T01": {"kept-element"},
    "T02": {"kept-element"},
    "T03": {"kept-element"},
    "T05": {"time-type"},
    "T06": {"time-type"},
    "T07": {"time-zone"},
    "T09": {"string-for-list"},
    "T10": {"string-for-list", "ignored-selection"},
    "T11": {"changed-list"},
    "T12": {"record-type"},
    "T13": {"ignored-selection"},
    "T16": {"unchecked-field"},
    "T17": {"field-as-attribute"},
    "T18": {"field-as-attribute"},
    "T19": {"field-as-attribute", "communities-order"},
    "T20": {"field-as-attribute"},
    "T21": {"unknown-attribute"},
    "T22": {"unknown-field"},
    "T23": {"filter-string"},
    "T24": {"filter-string"},
    "T25": {"filter-string"},
    "T26": {"filter-string"},
    "T27": {"filter-string"},
    "T28": {"interface-option"},
    "T29": {"second-iteration"},
    "T30": {"int-and-str"},
    "T32": {"endless-stream"},
    "T33": {"endless-stream"},
    "T38": {"csv-window"},
    "T51": {"kept-element"},
    "T52": {"kept-record"},
    "T53": {"kept-record"},
    "T54": {"community-pair"},
    "T56": {"second-iteration"},
    "T59": {"low-level-element"},
    "T60": {"version-1"},
    "T61": {"not-started"},
    "T62": {"started-twice"},
    "T63": {"started-twice"},
    "T68": {"late-option"},
    "T71": {"filter-value", "interface-option"},
    "T72": {"filter-string"},
    "T73": {"window-order"},
    "T74": {"path-substring"},
    "T78": {"endless-stream"},
    "T81": {"missing-option"},
    "T88": {"unchecked-prefix"},
}
"""Recorded snippet -> what must be found; the others are right, or wrong only in what their files hold.

T88 prints the prefix of every element, which ends at the first peer state; its file has none.
"""


def test_the_recorded_traps(golden_fixtures: Path) -> None:
    recorded = json.loads((golden_fixtures / "traps.json").read_text())
    found = {
        trap["id"]: {finding.rule for finding in lint_program(recorded["prelude"] + trap["code"])}
        for trap in recorded["traps"]
    }
    assert len(found) == 88
    assert {trap: rules for trap, rules in found.items() if rules} == TRAPS


def test_a_finding_says_where_what_and_how_to_write_it() -> None:
    program = 'import pybgpstream\nfor é in pybgpstream.BGPStream(1, 2): print("é", é.prefix)\n'
    (finding,) = lint_program(program)
    assert (finding.line, finding.column) == (2, program.splitlines()[1].index("é.prefix") + 1)
    assert (finding.rule, finding.level, finding.right) == ("field-as-attribute", "error", 'elem.fields["prefix"]')
    assert "AttributeError" in finding.message
    with pytest.raises(FrozenInstanceError):
        finding.line = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_findings_come_by_line() -> None:
    program = (
        "import pybgpstream\ndef first(elem):\n    return elem.prefix\n"
        'stream = pybgpstream.BGPStream(1, 2, collectors="rrc00")\nfor elem in stream:\n    first(elem)\n'
        "print(elem.as_path)\n"
    )
    assert [finding.line for finding in lint_program(program)] == [3, 4, 7, 7]


@pytest.mark.parametrize("program", ["", "print(1)", "import csv\nfor elem in csv.reader(x):\n    elem.prefix\n"])
def test_programs_without_the_library_have_no_findings(program: str) -> None:
    assert lint_program(program) == []


@pytest.mark.parametrize(
    ("program", "line"),
    [("import pybgpstream\nprint 'version 1'\n", 2), ("for:\n", 1), ("\0", 1), ("x = " + "(" * 500, 1), ("\ud800", 1)],
)
def test_what_does_not_parse_is_one_finding(program: str, line: int) -> None:
    (finding,) = lint_program(program)
    assert (finding.line, finding.rule, finding.level) == (line, "syntax", "error")


LAST = "stream = pybgpstream.BGPStream(1, 2, colector='rrc00')\n"
DEEP = {
    "operators": "x = " + " + ".join(["'a'"] * 700),
    "parentheses": "x = " + "(" * 90 + "1" + ")" * 90,
    "calls": "x = " + "print(" * 90 + "1" + ")" * 90,
    "attributes": "x = pybgpstream" + ".a" * 700,
    "lambdas": "x = " + "lambda: " * 90 + "1",
    "conditions": "x = " + "not " * 700 + "1",
    "choices": "x = " + "1 if a else " * 90 + "2",
    "blocks": "\n".join("    " * level + "if x:" for level in range(90)) + "\n" + "    " * 90 + "pass",
    "alternatives": "if x:\n    pass\n" + "elif x:\n    pass\n" * 300,
    "functions": "def f(x):\n    return g(x), g(x), g(x)\ndef g(x):\n    return f(x), f(x), f(x)\nf(1)",
    "loops": "\n".join("    " * level + f"for e{level} in x:" for level in range(19)) + "\n" + "    " * 19 + "pass",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_programs_are_followed_to_their_end(text: str) -> None:
    findings = lint_program(f"import pybgpstream\n{text}\n{LAST}")
    assert [finding.rule for finding in findings] == ["unknown-argument"]


def test_names_that_go_round_in_nested_loops_cost_no_exponential_time() -> None:
    """A second turn is followed at one level only: with one at each, this would take hours."""
    loops = "".join("    " * level + f"for e{level} in stream:\n" for level in range(18))
    kept = "".join("    " * 18 + f"k{level} = e{level}\n" for level in range(18))
    program = f"import pybgpstream\nstream = pybgpstream.BGPStream(1, 2)\n{loops}{kept}"
    with cpu_seconds(60):
        assert {finding.rule for finding in lint_program(program)} == {"second-iteration"}


def sound(findings: list[CodeFinding]) -> bool:
    """Whether findings keep what is promised of them."""
    return findings == sorted(findings) and all(
        finding.rule in RULES and finding.line > 0 and finding.column > 0 and finding.message and finding.right
        for finding in findings
    )


@given(st.text(max_size=200))
@settings(deadline=None, max_examples=200)
def test_no_text_breaks_the_lint(text: str) -> None:
    assert sound(lint_program(text))
    assert sound(lint_program(f"import pybgpstream\n{text}"))


PLACES = """
import pybgpstream
text = {0!r}
stream = pybgpstream.BGPStream(from_time={0!r}, until_time={0!r}, collector={0!r}, project=text, filter={0!r})
stream.parse_filter_string(f"peer {{text}} {{x}} " + {0!r} % x + {0!r}.format(x))
for kind in ("peer-asn", "prefix", "aspath", "community", "ipversion", "elemtype", {0!r}):
    stream.add_filter(kind, {0!r})
stream.add_filter({0!r}, text)
stream.add_filter("aspath", {0!r})
stream.add_recent_interval_filter({0!r}, False)
stream.set_data_interface({0!r})
stream.set_data_interface_option("singlefile", {0!r}, {0!r})
for elem in stream:
    if elem.type == {0!r} or elem.type in {0!r} or elem.record_type == {0!r}:
        print(elem.fields[{0!r}], {0!r} in elem.fields["communities"], {0!r} in elem.fields["as-path"])
        print(elem.fields["new-state"] == {0!r}, getattr(elem, {0!r}), {0!r}.join(elem.fields["communities"]))
"""
"""A program with one text wherever the lint reads texts."""

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(" _0123456789.:/*()[]{}\\+?|^$!\"'-%aAnorpetixmsu", max_size=40),
    st.lists(st.sampled_from(["peer", "and", "or", "prefix", "more", "path", "1", "10.0.0.0/8", "{}", "%s"])).map(
        " ".join
    ),
    st.sampled_from(["9" * 5000, "rrc" + "9" * 5000, "(" * 300, "{" + "9" * 5000 + "}", "%" + "9" * 5000 + "s"]),
)


@given(TEXTS)
@settings(deadline=None, max_examples=150)
def test_no_text_in_a_program_breaks_the_lint(text: str) -> None:
    findings = lint_program(PLACES.format(text))
    assert sound(findings)
    assert "syntax" not in {finding.rule for finding in findings}


WORDS = sorted({word for program in PROGRAMS.values() for word in re.findall(r"\w+|[^\w\s]", program)})


@given(st.sampled_from(sorted(PROGRAMS)), st.integers(0, 2**32), st.integers(1, 6))
@settings(deadline=None, max_examples=150)
def test_no_program_with_words_exchanged_breaks_the_lint(name: str, seed: int, changes: int) -> None:
    rng = random.Random(seed)
    words = list(tokenize.generate_tokens(io.StringIO(PROGRAMS[name]).readline))
    for _ in range(changes):
        index = rng.randrange(len(words))
        if words[index].string.strip():
            words[index] = words[index]._replace(string=rng.choice(WORDS))
    assert sound(lint_program(tokenize.untokenize(word[:2] for word in words)))


EXPRESSIONS = [
    node
    for program in PROGRAMS.values()
    for node in ast.walk(ast.parse(program))
    if isinstance(node, ast.Name | ast.Call | ast.Attribute | ast.Subscript | ast.BinOp | ast.Compare | ast.ListComp)
    and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
]


class Exchange(ast.NodeTransformer):
    """Puts expressions of other programs into a program."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.JoinedStr):
            return node
        super().generic_visit(node)
        loads = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if isinstance(node, ast.expr) and loads and self.rng.random() < 0.04:
            return self.rng.choice(EXPRESSIONS)
        return node


@given(st.sampled_from(sorted(PROGRAMS)), st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_no_program_with_expressions_exchanged_breaks_the_lint(name: str, seed: int) -> None:
    tree = Exchange(random.Random(seed)).visit(ast.parse(PROGRAMS[name]))
    assert sound(lint_program(f"import pybgpstream\n{ast.unparse(ast.fix_missing_locations(tree))}"))


def test_every_rule_is_explained() -> None:
    """docs/lint.md has a row for each rule, in the order of the table, with its level."""
    rows = re.findall(r"^\| `([\w-]+)` \| (error|warning) \|", (ROOT / "docs" / "lint.md").read_text(), re.MULTILINE)
    assert rows == [(name, rule.level) for name, rule in RULES.items()]


def test_every_rule_is_found_by_some_test() -> None:
    """Each rule has a marked line in the tests of its theme, or is the parser's."""
    marked = "\n".join(path.read_text() for path in sorted((Path(__file__).parent / "lint").glob("test_*.py")))
    rules = {rule for line in re.findall(r"#! ([\w \-]+)", marked) for rule in line.split()}
    assert rules == set(RULES) - {"syntax"}


def test_rule_ids_are_short() -> None:
    assert [name for name in RULES if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+){0,2}", name)] == []


@pytest.mark.parametrize(
    ("line", "right"),
    [("print rec.status", "print(...)"), ("exec code", "exec(...)"), ("def f(:", "Python 3.11 can compile")],
)
def test_python_2_is_named_as_what_it_is(line: str, right: str) -> None:
    (finding,) = lint_program(f"import pybgpstream\n{line}\n")
    assert (finding.rule, finding.line) == ("syntax", 2)
    assert right in finding.right
    assert ("Python 2 is not run" in finding.right) == ("(...)" in right)


@pytest.mark.parametrize(
    "use",
    [
        "BGPStream(from_time={0}, until_time=-{0})",
        "BGPStream(from_time=1, until_time=2, filter=f'peer {{{0}}} and origin {{str({0})}}')",
        "BGPStream(from_time=1, until_time=2, filter='peer %d' % {0})",
        "BGPStream(from_time=1, until_time=2).add_filter('peer-asn', {0})",
        "BGPStream().add_recent_interval_filter({0})",
        "[elem for elem in BGPStream(from_time=1, until_time=2) if elem.type == {0} or elem.peer_asn == {0}]",
    ],
)
def test_a_number_that_python_does_not_write_is_only_a_number(use: str) -> None:
    """In digits it raises ValueError, which must not come out of the lint."""
    lint_program("from pybgpstream import BGPStream\n" + use.format("0x" + "f" * 5000))
