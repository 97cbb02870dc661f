"""Instances read out of replies: what models write, what must be dropped, and no half example from any text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import cpu_seconds
from seedtune.generate.wording.instances import MAX_INSTANCES, Instance, parse_instances

TWO = (Instance("192.0.2.0/24 64496", "AS64496"), Instance("2001:db8::/32 64497", "AS64497"))


def read(text: str, finish_reason: str = "stop", is_classification: bool = False) -> tuple[Instance, ...]:
    return parse_instances(text, finish_reason, is_classification).instances


def faults(text: str, finish_reason: str = "stop", is_classification: bool = False) -> tuple[str, ...]:
    return parse_instances(text, finish_reason, is_classification).faults


PLAIN = """Example 1
Input: 192.0.2.0/24 64496
Output: AS64496

Example 2
Input: 2001:db8::/32 64497
Output: AS64497
"""

FORMS = {
    "as asked": PLAIN,
    "without blank lines": PLAIN.replace("\n\n", "\n"),
    "as headings": PLAIN.replace("Example", "### Example"),
    "in bold": PLAIN.replace("Example 1", "**Example 1:**").replace("Input:", "**Input:**"),
    "bold with the colon outside": PLAIN.replace("Output:", "**Output**:"),
    "as a list": PLAIN.replace("Input", "- Input").replace("Output", "- Output"),
    "numbered labels": PLAIN.replace("Input:", "Input 1:").replace("Output:", "Output 1:"),
    "lower case": PLAIN.lower().replace("as6449", "AS6449"),
    "text below the labels": PLAIN.replace(": ", ":\n"),
    "without headings": PLAIN.replace("Example 1\n", "").replace("Example 2\n", ""),
    "after the prefix": PLAIN.removeprefix("Example 1\n"),
    "numbered from 3": PLAIN.replace("Example 2", "Example 4").replace("Example 1", "Example 3"),
    "separators": PLAIN.replace("\n\n", "\n---\n"),
    "chatter before": "Here are two instances:\n\n" + PLAIN,
    "in a fence": f"```text\n{PLAIN}```\n",
    "windows lines": PLAIN.replace("\n", "\r\n"),
    "reasoning before": f"<think>\nExample 1\nInput: no\nOutput: no\n</think>\n{PLAIN}",
    "on to another task": f"{PLAIN}\nTask: Tell something else.\nExample 1\nInput: a\nOutput: b",
    "JSON": json.dumps({"instances": [i._asdict() for i in TWO]}),
    "JSON in a fence": f"Sure!\n```json\n{json.dumps({'instances': [i._asdict() for i in TWO]}, indent=2)}\n```",
    "a bare JSON list": json.dumps([i._asdict() for i in TWO]),
    "JSON with other case": json.dumps({"Instances": [{"Input": i.input, "Output": i.output} for i in TWO]}),
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_instances_are_read_however_the_reply_is_laid_out(text: str) -> None:
    assert read(text) == TWO
    assert faults(text) == ()


LABELLED = """Example 1
Class label: invalid
Input: 192.0.2.0/24 from AS64500
ROA: AS64496
Example 2
Class label: valid
Input: 192.0.2.0/24 from AS64496
ROA: AS64496
"""
LABELS = (
    Instance("192.0.2.0/24 from AS64500\nROA: AS64496", "invalid"),
    Instance("192.0.2.0/24 from AS64496\nROA: AS64496", "valid"),
)

LABELLED_FORMS = {
    "as asked": LABELLED,
    "without headings": LABELLED.replace("Example 1\n", "").replace("Example 2\n", "\n"),
    "as in the paper": LABELLED.replace("Example 1\n", "").replace("Example 2\n", "").replace("Input: ", ""),
    "named otherwise": LABELLED.replace("Class label", "**Label**"),
    "as output": LABELLED.replace("Class label", "Output"),
    "label in bold": LABELLED.replace(": valid", ": **valid**").replace(": invalid", ': "invalid"'),
    "label below": LABELLED.replace("Class label: ", "Class label:\n"),
    "JSON": json.dumps({"instances": [{"label": i.output, "input": i.input} for i in LABELS]}),
    "JSON as the paper names it": json.dumps(
        {"instances": [{"Class label": i.output, "input": i.input} for i in LABELS]}
    ),
}


@pytest.mark.parametrize("text", LABELLED_FORMS.values(), ids=LABELLED_FORMS)
def test_labels_and_their_inputs_are_read(text: str) -> None:
    assert read(text, is_classification=True) == LABELS
    assert faults(text, is_classification=True) == ()


def test_an_input_that_stands_before_its_label_is_read_too() -> None:
    text = "Example 1\nInput: a b\nClass label: x\nExample 2\nInput: c d\nClass label: y"
    assert read(text, is_classification=True) == (Instance("a b", "x"), Instance("c d", "y"))


def test_a_label_may_need_no_input() -> None:
    assert read("Class label: yes", is_classification=True) == (Instance("", "yes"),)


@pytest.mark.parametrize("word", ["<noinput>", "[noinput]", "(no input)", "None.", "N/A", "no input needed"])
def test_a_word_for_no_input_is_none(word: str) -> None:
    assert read(f"Example 1\nInput: {word}\nOutput: It ends.") == (Instance("", "It ends."),)


@pytest.mark.parametrize("value", ["null", '""', '"<noinput>"'])
def test_no_input_in_json_is_none(value: str) -> None:
    assert read(f'{{"instances": [{{"input": {value}, "output": "It ends."}}]}}') == (Instance("", "It ends."),)


def test_an_output_alone_is_an_instance() -> None:
    assert read("Output: It ends.\n\nThen it starts.") == (Instance("", "It ends.\n\nThen it starts."),)


CODE = "```python\nprint('Input: x')\nInput: y\nExample 1\nOutput: z\n```\nThat is all."


def test_labels_within_code_are_text() -> None:
    text = f"Example 1\nInput: a\nOutput: {CODE}\n\nExample 2\nInput: b\nOutput: c"
    assert read(text) == (Instance("a", CODE), Instance("b", "c"))


def test_json_within_an_output_is_text() -> None:
    output = '{"instances": [{"input": "a", "output": "b"}]}'
    assert read(f"Example 1\nInput: x\nOutput:\n{output}") == (Instance("x", output),)


def test_a_heading_out_of_turn_is_text() -> None:
    text = "Example 1\nInput: a\nOutput: As in\nExample 7\nof the manual."
    assert read(text) == (Instance("a", "As in\nExample 7\nof the manual."),)


def test_the_word_task_in_an_output_is_text_unless_a_task_follows() -> None:
    assert read("Output: A ticket:\n\nTask: call the peer.") == (Instance("", "A ticket:\n\nTask: call the peer."),)


DROPPED = {
    "no_output": "Example 1\nInput: a\nOutput:\nExample 2\nInput: b\nOutput: c",
    "echo": "Example 1\nInput: a\nOutput: a\nExample 2\nInput: b\nOutput: c",
    "cut_off": "Example 1\nInput: a\nOutput: These:\nExample 2\nInput: b\nOutput: c",
    "mixed_labels": "Example 1\nInput: a\nOutput: d\nOutput: e\nExample 2\nInput: b\nOutput: c",
    "repeated": "Example 1\nInput: b\nOutput: c\nExample 2\nInput: b\nOutput: c",
    "wrong_type": '{"instances": [{"input": true, "output": "d"}, {"input": "b", "output": "c"}]}',
}


@pytest.mark.parametrize(("fault", "text"), DROPPED.items(), ids=DROPPED)
def test_an_instance_with_a_fault_is_dropped_alone(fault: str, text: str) -> None:
    assert parse_instances(text, "stop", False)[:2] == ((Instance("b", "c"),), (fault,))


def test_an_input_that_announces_something_is_incomplete() -> None:
    assert faults("Input: The routes are:\nOutput: two") == ("cut_off",)


def test_an_input_without_an_output_is_no_instance() -> None:
    assert parse_instances("Example 1\nInput: a", "stop", False)[:2] == ((), ("no_output",))


def test_one_input_with_two_outputs_drops_all() -> None:
    text = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: a\nOutput: c\nExample 3\nInput: d\nOutput: e"
    assert parse_instances(text, "stop", False)[:2] == ((), ("contradiction",) * 3)


def test_several_outputs_without_an_input_may_stand() -> None:
    text = "Example 1\nInput: <noinput>\nOutput: b\nExample 2\nInput: <noinput>\nOutput: c"
    assert read(text) == (Instance("", "b"), Instance("", "c"))


def test_what_is_dropped_contradicts_nothing() -> None:
    assert read("Example 1\nInput: a\nOutput: a\nExample 2\nInput: a\nOutput: c") == (Instance("a", "c"),)


def test_no_more_than_five_are_kept() -> None:
    text = "\n".join(f"Example {n}\nInput: a{n}\nOutput: b{n}" for n in range(1, 8))
    parsed = parse_instances(text, "stop", False)
    assert [i.input for i in parsed.instances] == ["a1", "a2", "a3", "a4", "a5"]
    assert len(parsed.instances) == MAX_INSTANCES
    assert parsed.faults == ("too_many",) * 2


@pytest.mark.parametrize(
    "finish_reason", ["length", "content_filter", "model_length", "MAX_TOKENS", "abort", "new_word"]
)
@pytest.mark.parametrize("text", [PLAIN, LABELLED])
def test_only_the_last_is_dropped_when_the_reply_was_cut_off(text: str, finish_reason: str) -> None:
    is_classification = text is LABELLED
    assert read(text, finish_reason, is_classification) == (LABELS if is_classification else TWO)[:1]
    assert faults(text, finish_reason, is_classification) == ("cut",)


def test_json_that_was_cut_off_keeps_each_instance_that_is_whole() -> None:
    text = json.dumps({"instances": [i._asdict() for i in TWO]})
    assert read(text[:-10], "length") == TWO[:1]
    assert faults(text[:-10], "length") == ("cut",)
    assert read(text[:-2], "length") == TWO


@pytest.mark.parametrize("text", ["", "I cannot do that.", "<think>Example 1\nInput: a\nOutput: b", "{}", "[]"])
def test_a_reply_without_instances_says_so(text: str) -> None:
    assert parse_instances(text, "stop", False)[:2] == ((), ("no_task",))


@pytest.mark.parametrize("text", ["", "<think>Example 1\nInput: a\nOutput: b"])
def test_nothing_left_of_a_reply_that_was_cut_off_is_a_cut(text: str) -> None:
    assert faults(text, "length") == ("cut",)


def test_the_path_is_told() -> None:
    assert parse_instances(PLAIN, "stop", False).path == "text"
    assert parse_instances(FORMS["JSON"], "stop", False).path == "json"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*FORMS.values(), *LABELLED_FORMS.values()]), st.integers(0, 400), st.booleans())
def test_a_reply_cut_anywhere_yields_whole_instances_alone(text: str, end: int, is_classification: bool) -> None:
    known = {*TWO, *LABELS, Instance("a", "b")}
    if is_classification == (text in LABELLED_FORMS.values()):
        assert set(read(text[:end], "length", is_classification)) <= known


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["Example 1", "Input:", "Output:", "Class label:", "```", "Task:", "\n", '{"instances": [', "]}"]
            ),
            st.text(max_size=12),
        ),
        max_size=30,
    ).map("\n".join),
    st.sampled_from(["stop", "length", "error"]),
    st.booleans(),
)
def test_no_text_breaks_the_reader(text: str, finish_reason: str, is_classification: bool) -> None:
    for instance in read(text, finish_reason, is_classification):
        assert instance.output
        assert instance.input != instance.output


@pytest.mark.parametrize("line", ["Task:\n\n", "Input: a\n", "Example 1\n", "```\n", "*" * 80 + "\n", '{"input": ['])
def test_a_long_reply_of_one_line_is_read_in_linear_time(line: str) -> None:
    with cpu_seconds(5):
        read(line * 20_000)
