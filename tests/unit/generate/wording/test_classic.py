"""Classic mode: what its three steps ask, and how instructions and classifications are read.

``SEEDTUNE_UPDATE_GOLDEN=1`` writes the golden files anew.
"""

import json
import os
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT, cpu_seconds
from seedtune.generate.wording import classic
from seedtune.generate.wording.instances import parse_instances
from seedtune.generate.wording.prompting import Form
from seedtune.records import Decoding, Message, SeedTask

GOLDEN = ROOT / "tests" / "golden"
PROMPT = "You write training tasks about BGP."
EXAMPLES = [
    "What does  the hold\ntimer do?",
    "List the fields of an UPDATE:",
    "Is 172.16.0.0/12 a bogon? Say {{ why }}.",
]
SEEDS = (
    SeedTask(instruction="Name the origin AS.", input="192.0.2.0/24  64496 64497 i", output="AS64497"),
    SeedTask(instruction="Print a prefix.", output="```python\nprint('192.0.2.0/24')\n```"),
)
FORMS: tuple[Form, ...] = ("text", "json")


def same_as_golden(name: str, messages: tuple[Message, ...]) -> None:
    text = "".join(f"[{message.role}]\n{message.content}\n" for message in messages)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("SEEDTUNE_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", FORMS)
def test_the_request_for_instructions_is_as_in_the_golden_file(form: Form) -> None:
    same_as_golden(f"classic_instructions_{form}", classic.instruction_messages(PROMPT, EXAMPLES, 5, form))


@pytest.mark.parametrize("form", FORMS)
def test_the_request_for_a_classification_is_as_in_the_golden_file(form: Form) -> None:
    same_as_golden(f"classic_classification_{form}", classic.classification_messages("Is it\nvalid?", form))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_classification", [True, False], ids=["classification", "other"])
def test_the_request_for_instances_is_as_in_the_golden_file(is_classification: bool, form: Form) -> None:
    name = f"classic_{'labels' if is_classification else 'instances'}_{form}"
    same_as_golden(name, classic.instance_messages("Judge the route.", is_classification, PROMPT, SEEDS, form))


def test_the_instructions_of_one_request_are_asked_for_in_the_singular() -> None:
    text = classic.instruction_messages(PROMPT, EXAMPLES, 1)[1].content
    assert "with 1 new one." in text
    assert "number 4 of the list" in text


def test_there_are_12_examples_of_a_classification_and_19_of_other_tasks() -> None:
    kinds = [shot.is_classification for shot in classic.shots()]
    assert (kinds.count(True), kinds.count(False)) == (12, 19)
    assert len({shot.instruction for shot in classic.shots()}) == 31


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_classification", [True, False])
def test_the_examples_shown_can_be_read_back_as_replies(is_classification: bool, form: Form) -> None:
    text = classic.instance_messages("Do it.", is_classification, PROMPT, SEEDS, form)[1].content
    shown = [shot for shot in classic.shots() if shot.instances and shot.is_classification == is_classification]
    expected = [shot.instances for shot in shown]
    if not is_classification:
        expected += [((seed.input, seed.output),) for seed in SEEDS]
    read = [parse_instances(block, "stop", is_classification) for block in text.split("\nTask: ")[1:-1]]
    assert [found.instances for found in read] == expected
    assert {found.path for found in read} == {form}


def test_seeds_are_no_examples_of_labels() -> None:
    text = classic.instance_messages("Judge it.", True, PROMPT, SEEDS)[1].content
    assert SEEDS[0].instruction not in text


@pytest.mark.parametrize(
    ("machine", "expected"), [([], 0), (["m0"], 1), (["m0", "m1", "m2", "m3"], 2)], ids=["none", "one", "more"]
)
def test_two_of_eight_examples_at_most_are_machine_written(machine: list[str], expected: int) -> None:
    picked = classic.pick_examples(random.Random("0/1"), [f"h{n}" for n in range(20)], machine)
    assert (len(picked), len(set(picked))) == (8, 8)
    assert sum(instruction.startswith("m") for instruction in picked) == expected


def test_machine_written_examples_stand_anywhere() -> None:
    human, machine = [f"h{n}" for n in range(20)], ["m0", "m1"]
    places = {classic.pick_examples(random.Random(n), human, machine).index("m0") for n in range(200)}
    assert places == set(range(8))


def test_a_draw_depends_on_its_seed_alone() -> None:
    human = [f"h{n}" for n in range(20)]
    first, again, other = (classic.pick_examples(random.Random(s), human, ["m"]) for s in ("0/1", "0/1", "0/2"))
    assert first == again
    assert first != other


def test_few_seeds_are_all_shown() -> None:
    assert sorted(classic.pick_examples(random.Random(0), ["h0", "h1"], ["m0", "m1"])) == ["h0", "h1", "m0", "m1"]


def test_the_paper_s_constants() -> None:
    """Wang et al. 2023, appendix; the limits on length and the stop strings are those of the strict fidelity."""
    assert dict(classic.DECODING) == {
        "instructions": Decoding(temperature=0.7, top_p=0.5, presence_penalty=2, max_tokens=1024),
        "classification": Decoding(temperature=0, max_tokens=32),
        "instances": Decoding(temperature=0, presence_penalty=1.5),
    }


def test_no_stop_string_can_cut_an_answer() -> None:
    assert all(decoding.stop == () for decoding in classic.DECODING.values())


SCHEMAS = [
    classic.instructions_schema(5),
    classic.classification_schema(),
    *(schema["properties"]["instances"]["items"] for schema in map(classic.instances_schema, (True, False))),
    *map(classic.instances_schema, (True, False)),
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_schema_is_closed_and_requires_all(schema: dict[str, Any]) -> None:
    """Strict structured output refuses others."""
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert schema["required"] == [*schema["properties"]] != []


def test_the_schema_has_the_label_written_before_the_input() -> None:
    items = classic.instances_schema(True)["properties"]["instances"]["items"]
    assert items["required"] == ["label", "input"]
    assert classic.instances_schema(False)["properties"]["instances"]["items"]["required"] == ["input", "output"]


NEW = ("Explain what AS_PATH and RPKI have in common.", "Is 172.16.0.0/12 announced? Say why.")
LIST = f"9. {NEW[0]}\n10. {NEW[1]}\n"
LISTS = {
    "with the prefix": LIST,
    "behind the prefix": LIST.removeprefix("9."),
    "with blank lines": LIST.replace("\n", "\n\n"),
    "from 1": LIST.replace("10.", "2.").replace("9.", "1."),
    "always 1": LIST.replace("10.", "1.").replace("9.", "1."),
    "a number skipped": LIST.replace("10.", "11."),
    "brackets": LIST.replace(". Ex", ") Ex").replace(". Is", ") Is"),
    "space before the dot": LIST.replace("9.", "9 .").replace("10.", "10 ."),
    "bold numbers": LIST.replace("9.", "**9.**").replace("10.", "**10.**"),
    "bold items": f"9. **{NEW[0]}**\n10. **{NEW[1]}**",
    "quoted items": f'9. "{NEW[0]}"\n10. "{NEW[1]}"',
    "labels": f"9. Instruction: {NEW[0]}\n10. **Task:** {NEW[1]}",
    "task numbers": f"Task 9: {NEW[0]}\nTask 10: {NEW[1]}",
    "bullets": f"- {NEW[0]}\n- {NEW[1]}",
    "text below the number": LIST.replace(". Ex", ".\nEx").replace(". Is", ".\nIs"),
    "chatter": f"Here are more instructions:\n\n{LIST}\nLet me know if you want others!",
    "reasoning": f"<think>9. Not this one.\n10. Nor this.</think>\n{LIST}",
    "windows lines": LIST.replace("\n", "\r\n"),
    "JSON": json.dumps({"instructions": NEW}),
    "JSON with numbers": json.dumps({"instructions": [f"{n}. {text}" for n, text in enumerate(NEW, 9)]}),
    "JSON objects": json.dumps({"instructions": [{"instruction": text} for text in NEW]}),
    "a JSON list in a fence": f"```json\n{json.dumps(NEW)}\n```",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_instructions_are_read_however_the_list_is_laid_out(text: str) -> None:
    parsed = classic.parse_instructions(text, "stop", 8)
    assert parsed[:2] == (NEW, ())


@pytest.mark.parametrize("line", ["172.16.0.0/12 is in it.", "16. of May", "3. of these", "2026-05-01 as well"])
def test_a_number_within_an_item_does_not_end_it(line: str) -> None:
    text = f"9. Say what the table shows:\n{line}\n10. {NEW[0]}"
    assert classic.parse_instructions(text, "stop", 8).instructions == (f"Say what the table shows:\n{line}", NEW[0])


def test_an_item_keeps_its_case() -> None:
    assert classic.parse_instructions("9. compare AS_PATH and RPKI", "stop", 8).instructions == (
        "compare AS_PATH and RPKI",
    )


@pytest.mark.parametrize(
    "finish_reason", ["length", "content_filter", "model_length", "MAX_TOKENS", "abort", "new_word"]
)
def test_only_the_last_instruction_is_dropped_when_the_reply_was_cut_off(finish_reason: str) -> None:
    assert classic.parse_instructions(LIST, finish_reason, 8)[:2] == (NEW[:1], ("cut",))


@pytest.mark.parametrize("text", ["", "<think>9. Explain"])
def test_nothing_left_of_a_reply_that_was_cut_off_is_a_cut(text: str) -> None:
    assert classic.parse_instructions(text, "length", 8)[:2] == ((), ("cut",))


def test_json_that_was_cut_off_keeps_what_is_whole() -> None:
    assert classic.parse_instructions(LISTS["JSON"][:-8], "length", 8)[:2] == (NEW[:1], ("cut",))


def test_a_single_item_behind_the_prefix_is_none() -> None:
    """Nothing tells it from a refusal."""
    assert classic.parse_instructions("I am sorry, I cannot do that.", "stop", 8)[:2] == ((), ("no_task",))


def test_what_is_no_text_in_json_is_a_fault() -> None:
    text = '{"instructions": ["Explain the hold timer.", 7, {"task": "x"}, ""]}'
    parsed = classic.parse_instructions(text, "stop", 8)
    assert parsed == (("Explain the hold timer.",), ("wrong_type", "wrong_type", "no_instruction"), "json")


def test_json_within_an_item_is_text() -> None:
    text = '9. Say what is wrong here:\n["a", "b"]\n10. Explain the hold timer.'
    assert classic.parse_instructions(text, "stop", 8).instructions == (
        'Say what is wrong here:\n["a", "b"]',
        "Explain the hold timer.",
    )


YES = ["Yes", "yes.", " Yes, it has two labels.", "**Yes**", "Classification: yes", "Is it classification? Yes", "True"]
YES += [
    '{"is_classification": true}',
    '```json\n{"is_classification": "yes"}\n```',
    "<think>No?</think>Yes",
    "Answer: YES",
]
NO = ["No", "no.", "No, it is open.", "**No**", "Classification: no", '{"is_classification": false}', "False"]


@pytest.mark.parametrize(("text", "expected"), [*((t, True) for t in YES), *((t, False) for t in NO)])
def test_the_answer_is_read_however_it_is_put(text: str, expected: bool) -> None:
    assert classic.parse_classification(text) is expected


@pytest.mark.parametrize(
    "text", ["", "Maybe", "I think so", "Not sure", "Nobody knows", "<think>Yes", "{}", "yesterday"]
)
def test_no_answer_is_not_guessed(text: str) -> None:
    assert classic.parse_classification(text) is None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*LISTS.values()]), st.integers(0, 200))
def test_a_list_cut_anywhere_yields_whole_instructions_alone(text: str, end: int) -> None:
    assert set(classic.parse_instructions(text[:end], "length", 8).instructions) <= set(NEW)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(["9. ", "\n", "- ", "```", '{"instructions": [', '"', "]}", "**"]), st.text(max_size=9)
        ),
        max_size=30,
    ).map("".join),
    st.sampled_from(["stop", "length", "error"]),
)
def test_no_text_breaks_the_readers(text: str, finish_reason: str) -> None:
    assert all(classic.parse_instructions(text, finish_reason, 8).instructions)
    assert classic.parse_classification(text) in (True, False, None)


@pytest.mark.parametrize(
    "line", ["9. ", "- x\n", "```\n", "\n", "172.16.0.0/12 ", '{"instructions": [', "is it ", "* " * 40]
)
def test_a_long_reply_is_read_in_linear_time(line: str) -> None:
    with cpu_seconds(5):
        classic.parse_instructions(line * 20_000, "stop", 8)
        classic.parse_classification(line * 20_000)


@pytest.mark.parametrize("form", FORMS)
def test_a_reply_that_keeps_to_its_prefix_is_read(form: Form) -> None:
    """A teacher that can makes the model go on from the prefix, and returns it as part of the text."""
    rest = {"text": f" {LIST.removeprefix('9. ')}", "json": f'{NEW[0]}", "{NEW[1]}"]}}'}[form]
    text = classic.reply_prefix("instructions", 8, form) + rest
    assert classic.parse_instructions(text, "stop", 8).instructions == NEW
    rest = {"text": "Input: a\nOutput: b", "json": 'input": "a", "output": "b"}]}'}[form]
    assert parse_instances(classic.reply_prefix("instances", form=form) + rest, "stop", False).instances == (
        ("a", "b"),
    )
    text = classic.reply_prefix("classification", form=form) + {"text": "yes", "json": "true}"}[form]
    assert classic.parse_classification(text) is True
