"""Replies in JSON: whole, wrapped, cut off and mangled; and the schemas that ask for them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import cpu_seconds
from seedtune.generate.wording.judging import judgement_schema
from seedtune.generate.wording.parsing import ParsedTask, parse_reply
from seedtune.generate.wording.structured import members, read_list, tasks_schema, text_of

ONE = ParsedTask("Describe the hold timer.", "", "It ends a silent session.")
TWO = ParsedTask("Count the prefixes.", "10.0.0.0/8\n172.16.0.0/12", "There are 2.")
QUOTED = ParsedTask("Name it.", "", "The hold timer.", "If the hold timer\nexpires, the session ends.")

LINES = st.text(alphabet='ab 1.#:{}[]"\\/é', min_size=1, max_size=12).map(lambda text: f"the {text} end")
TASKS = st.builds(ParsedTask, LINES, st.one_of(st.just(""), LINES), LINES)


def block(task: ParsedTask) -> str:
    """A task in text."""
    return f"1. Instruction: {task.instruction}\n1. Input: {task.input or '<noinput>'}\n1. Output: {task.output}"


def tasks_of(text: str) -> list[ParsedTask]:
    return list(parse_reply(text).tasks)


def as_json(task: ParsedTask) -> dict[str, str]:
    return {"instruction": task.instruction, "input": task.input, "output": task.output}


BOTH = json.dumps({"tasks": [as_json(ONE), as_json(TWO)]}, indent=1)
JSON_SHAPES = {
    "as asked": BOTH,
    "fenced": f"```json\n{BOTH}\n```",
    "chat phrases around it": f"Sure! [two] tasks {{new}}:\n\n```\n{BOTH}\n```\nI hope they help: 1. Output: all",
    "a bare list": json.dumps([as_json(ONE), as_json(TWO)]),
    "a bare list behind a phrase": f"Here:\n{json.dumps([{'id': n, **as_json(t)} for n, t in enumerate((ONE, TWO))])}",
    "one object a line": f"{json.dumps(as_json(ONE))}\n{json.dumps(as_json(TWO))}",
    "another name for the list": json.dumps({"new_tasks": [as_json(ONE), as_json(TWO)]}),
    "names in another case": BOTH.replace('"instruction"', '"Instruction"').replace('"tasks"', '"TASKS"'),
    "more names": BOTH.replace('"instruction"', '"topic": {"a": [1]}, "number": 7, "instruction"'),
    "something before the list": BOTH.replace('"tasks"', '"count": 2, "tasks"'),
    "no input as null": BOTH.replace('"input": ""', '"input": null'),
    "no input in words": BOTH.replace('"input": ""', '"input": "<noinput>"'),
    "no input left out": BOTH.replace('"input": "",', ""),
    "commas too many": BOTH.replace("}", "},"),
    "line breaks within strings": BOTH.replace("\\n", "\n"),
    "a list of lines": json.dumps({"tasks": [as_json(ONE), as_json(TWO) | {"input": TWO.input.split("\n")}]}),
}


@pytest.mark.parametrize("name", JSON_SHAPES)
def test_both_tasks_are_read_from_the_json(name: str) -> None:
    reply = parse_reply(JSON_SHAPES[name])
    assert (reply.tasks, reply.faults, reply.path) == ((ONE, TWO), (), "json")


@pytest.mark.parametrize("name", ["quote", "Source_Quote", "supporting-quote"])
def test_a_quote_is_read_from_the_json(name: str) -> None:
    text = json.dumps({"tasks": [{**as_json(QUOTED), name: QUOTED.quote}]})
    assert parse_reply(text).tasks == (QUOTED,)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ('"a\\n b "', "a\n b"),
        ("65000", "65000"),
        ("1.10", "1.10"),
        ("7" * 5000, "7" * 5000),
        ('{"asn": 64500, "up": true}', '{"asn": 64500, "up": true}'),
        ('["a", 2]', "a\n2"),
        ('[{"a": 1}, null]', '[{"a": 1}, null]'),
        (r'"\d+ \. \\d"', r"\d+ \. \d"),
        ('"\\u00e9 \\"x\\""', 'é "x"'),
    ],
)
def test_a_value_that_is_no_text_is_kept_as_it_was_written(value: str, output: str) -> None:
    assert tasks_of(f'{{"tasks": [{{"instruction": "a", "output": {value}}}]}}') == [ParsedTask("a", "", output)]


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ('{"instruction": "a", "output": true}', "wrong_type"),
        ('{"instruction": "a", "output": NaN}', "wrong_type"),
        ('{"instruction": "a", "output": -Infinity}', "wrong_type"),
        ('{"instruction": ["a"], "output": "b"}', "wrong_type"),
        ('"a task"', "wrong_type"),
        ("5", "wrong_type"),
        ('{"instruction": "a", "output": null}', "no_output"),
        ('{"instruction": "a"}', "no_output"),
        ('{"output": "b"}', "no_instruction"),
        ("{}", "no_instruction"),
        ('{"instruction": "a", "output": "b", "Output": "c"}', "mixed_labels"),
    ],
)
def test_json_that_is_no_task_is_a_fault_and_the_others_stay(task: str, fault: str) -> None:
    reply = parse_reply(f'{{"tasks": [{json.dumps(as_json(ONE))}, {task}, {json.dumps(as_json(TWO))}]}}')
    assert (reply.tasks, reply.faults) == ((ONE, TWO), (fault,))


def test_an_empty_list_is_a_reply_without_tasks() -> None:
    assert parse_reply('{"tasks": []}').faults == ("no_task",)


@pytest.mark.parametrize("finish_reason", ["length", "content_filter", "stop"])
def test_json_cut_off_within_a_task_keeps_those_before_it(finish_reason: str) -> None:
    reply = parse_reply(BOTH[: BOTH.index("There are")], finish_reason)
    assert (reply.tasks, reply.faults) == ((ONE,), ("cut",))


def test_json_that_breaks_in_the_middle_keeps_the_tasks_before_it() -> None:
    reply = parse_reply(BOTH.replace('"Count', 'Count"'))
    assert (reply.tasks, reply.faults) == ((ONE,), ("broken_json",))


@pytest.mark.parametrize(
    "output", [BOTH, f"```json\n{BOTH}\n```", '[\n{"a": 1}\n]', json.dumps({"instruction": "x", "output": "y"})]
)
def test_json_within_a_task_in_text_is_part_of_it(output: str) -> None:
    task = ParsedTask("Print the tasks as JSON.", "", output)
    assert tasks_of(f"{block(ONE)}\n###\n{block(task)}") == [ONE, task]


def test_tasks_in_text_behind_an_empty_form_in_json_are_found() -> None:
    assert tasks_of(f'Not as {{"tasks": []}} but as text:\n{block(ONE)}') == [ONE]


JSON_REPLY = "Here:\n```json\n" + json.dumps({"tasks": [as_json(ONE), as_json(TWO), as_json(ONE)]}) + "\n```"


def test_json_cut_anywhere_holds_only_whole_tasks() -> None:
    whole = [ONE, TWO, ONE]
    for end in range(len(JSON_REPLY) + 1):
        reply = parse_reply(JSON_REPLY[:end], "length")
        assert list(reply.tasks) == whole[: len(reply.tasks)]
        assert reply.faults or len(reply.tasks) == 3


ANY_TASKS = st.lists(
    st.builds(ParsedTask, *[st.text(min_size=1).map(str.strip).filter(bool)] * 3), min_size=1, max_size=4
)
INDENTS = st.sampled_from([None, 0, 2, "\t"])


@settings(max_examples=100, deadline=None)
@given(ANY_TASKS, INDENTS, st.booleans(), st.integers(0), st.sampled_from(["stop", "length"]))
def test_json_cut_at_any_byte_holds_only_whole_tasks(
    tasks: list[ParsedTask], indent: int | str | None, ascii_only: bool, cut: int, finish_reason: str
) -> None:
    data = json.dumps({"tasks": [as_json(t) for t in tasks]}, indent=indent, ensure_ascii=ascii_only)
    raw = data.encode("utf-8", "surrogatepass")
    text = raw[: cut % (len(raw) + 1)].decode("utf-8", "replace")
    found = parse_reply(text, finish_reason).tasks
    whole = parse_reply(data).tasks
    assert len(whole) == len(tasks)
    assert found == whole[: len(found)]


JUNK = st.one_of(
    st.sampled_from(
        ['"', "{", "}", "[", "]", ",", "\\", "\n", ":", "null", "```", '{"tasks": [', "<think>", "###", "NaN"]
    ),
    st.text(max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TASKS, min_size=1, max_size=4), INDENTS, st.data())
def test_junk_in_json_leaves_the_tasks_before_it(
    tasks: list[ParsedTask], indent: int | str | None, data: st.DataObject
) -> None:
    elements = [json.dumps(as_json(task), indent=indent) for task in tasks]
    intact = data.draw(st.integers(0, len(tasks) - 1))
    place = data.draw(st.integers(0, len(elements[intact])))
    elements[intact] = elements[intact][:place] + data.draw(JUNK) + elements[intact][place:]
    found = parse_reply('{"tasks": [' + ", ".join(elements) + "]}").tasks
    assert list(found[:intact]) == tasks[:intact]
    assert len(found) <= len(tasks) or place in (0, len(elements[intact]))


@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": ' + "[" * 120_000,
        '{"tasks": [' + '{"a":' * 40_000,
        '{"instruction":' * 8_000,
        '{"tasks": [' * 12_000,
        "{" + " " * 120_000,
        '[{"instruction": "a"' + "," * 120_000,
        '{"tasks": [' + "1," * 60_000,
        '{"tasks": ["' + "\\" * 120_001,
        "<think>" * 17_000,
        "</think>" * 15_000,
        " " * 120_000 + "</think>",
        "<think></think>" * 8_000,
    ],
    ids=lambda text: text[:16],
)
def test_json_without_an_end_neither_crashes_nor_hangs_the_parser(text: str) -> None:
    with cpu_seconds(1):
        assert parse_reply(text).tasks == ()


@pytest.mark.parametrize("quote", [True, False])
def test_a_reply_that_follows_the_schema_is_read_whole(quote: bool) -> None:
    task = tasks_schema(2, quote)["properties"]["tasks"]["items"]
    reply = {"tasks": [dict.fromkeys(task["required"], "x y")] * 2}
    assert tasks_of(json.dumps(reply)) == [ParsedTask("x y", "x y", "x y", "x y" if quote else "")] * 2


@pytest.mark.parametrize("schema", [tasks_schema(5, quote=True), tasks_schema(1, quote=False), judgement_schema(3)])
def test_schemas_keep_to_what_every_server_takes(schema: dict[str, Any]) -> None:
    """OpenAI's strict mode: every object closed, every property required. The words are those all servers know."""

    def check(node: dict[str, Any]) -> None:
        assert node.keys() <= {"type", "properties", "required", "additionalProperties", "items", "description", "enum"}
        if node["type"] == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for child in node["properties"].values():
                check(child)
        if node["type"] == "array":
            check(node["items"])

    assert schema["type"] == "object"
    check(schema)


@pytest.mark.parametrize(("tasks", "says"), [(1, "1 new task."), (5, "5 new tasks.")])
def test_the_schema_says_how_many_tasks_are_asked_for(tasks: int, says: str) -> None:
    assert tasks_schema(tasks, quote=False)["properties"]["tasks"]["description"] == says


@pytest.mark.parametrize(
    ("text", "values", "fault"),
    [
        ('{"names": ["a", "b"]}', ('"a"', '"b"'), ""),
        ('{"names": ["a", "b', ('"a"',), "cut"),
        ('{"names": ["a", b]}', ('"a"',), "broken_json"),
        ('["a"]', ('"a"',), ""),
        ('{"names": {"a": 1}}', ('{"a": 1}',), ""),
        ('{"names": []} {"names": ["later"]}', (), ""),
    ],
)
def test_a_list_is_read_as_far_as_it_goes(text: str, values: tuple[str, ...], fault: str) -> None:
    listed = read_list(text, "names")
    assert listed is not None
    assert (listed.values, listed.fault) == (values, fault)


@pytest.mark.parametrize("text", ["", "names: a, b", '{"names": "a"}', '{"other": 1}', "[1] and [2]"])
def test_a_reply_without_the_list_has_none(text: str) -> None:
    assert read_list(text, "names") is None


def test_a_name_that_stands_twice_is_seen() -> None:
    assert members('{"a": 1, "b": {"a": 2}, "a": [3]}') == [("a", "1"), ("b", '{"a": 2}'), ("a", "[3]")]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=8), st.lists(st.integers(), max_size=3))))
def test_members_are_those_of_the_object(value: dict[str, Any]) -> None:
    found = members(json.dumps(value))
    assert found is not None
    assert {name: json.loads(raw) for name, raw in found} == value


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_text_in_json_is_that_text(text: str) -> None:
    assert text_of(json.dumps(text)) == text.strip()
