"""The strict fidelity has the originals' faults, and the default has none of them.

``SEEDTUNE_UPDATE_GOLDEN=1`` writes the golden files anew.
"""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from seedtune.generate.filters import form
from seedtune.generate.filters.form import FilterRules
from seedtune.generate.wording import classic, strict
from seedtune.generate.wording.instances import Instance
from seedtune.generate.wording.parsing import ParsedTask, parse_reply
from seedtune.records import Candidate, Decoding, Message, SeedTask
from seedtune.similarity import RougeIndex, tokenize, tokenize_ascii

GOLDEN = ROOT / "tests" / "golden"
PROMPT = "You write training tasks about BGP."
SEEDS = (
    SeedTask(instruction="What does the hold\ntimer do:", output="It ends a session that is silent for too long."),
    SeedTask(instruction="Name the origin AS.", input="192.0.2.0/24  64496 64497 i", output="AS64497"),
    SeedTask(instruction="Print a prefix.", output="```python\nprint('192.0.2.0/24')\n```"),
)
FIXED_RULES = FilterRules(4, 150, 0.7, ())


def same_as_golden(name: str, messages: tuple[Message, ...]) -> None:
    text = "".join(f"[{message.role}]\n{message.content}\n" for message in messages)
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("SEEDTUNE_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def stopped(text: str, decoding: Decoding) -> str:
    """A reply as an endpoint returns it: it ends before the first stop string."""
    return text[: min((place for stop in decoding.stop if (place := text.find(stop)) >= 0), default=len(text))]


def candidate(instruction: str, output: str = "It ends.") -> Candidate:
    return Candidate(instruction=instruction, output=output, pack="knowledge", request=0)


def blocks(first: int, last: int, output: str = "It ends.") -> str:
    """Tasks in the form of alpaca mode, behind the prefix."""
    return "\n###\n".join(
        f"{n}. Instruction: Explain timer {n} of BGP\n{n}. Input:\n<noinput>\n{n}. Output:\n{output}"
        for n in range(first, last + 1)
    )


def test_the_request_of_alpaca_mode_is_as_in_the_golden_file() -> None:
    same_as_golden("strict_alpaca", strict.task_messages(PROMPT, SEEDS))


def test_the_request_for_instructions_is_as_in_the_golden_file() -> None:
    examples = [seed.instruction for seed in SEEDS]
    same_as_golden("strict_instructions", strict.instruction_messages(PROMPT, examples, 5))


def test_the_request_for_a_classification_is_as_in_the_golden_file() -> None:
    same_as_golden("strict_classification", strict.classification_messages("Is it valid?"))


@pytest.mark.parametrize("is_classification", [True, False], ids=["classification", "other"])
def test_the_request_for_instances_is_as_in_the_golden_file(is_classification: bool) -> None:
    name = "strict_labels" if is_classification else "strict_instances"
    same_as_golden(name, strict.instance_messages("Judge the route.", is_classification, PROMPT, SEEDS))


def test_a_request_ends_where_its_reply_begins() -> None:
    assert strict.task_messages(PROMPT, SEEDS)[1].content.endswith(f"###\n{strict.task_prefix(3)}")
    examples = ["a"] * 8
    assert strict.instruction_messages("", examples, 5)[0].content.endswith(strict.reply_prefix("instructions", 8))


def test_the_originals_decoding() -> None:
    """As in generate_instruction.py, bootstrap_instructions.py, identify_clf_or_not.py and generate_instances.py."""
    assert dict(strict.DECODING) == {
        "tasks": Decoding(temperature=1, top_p=1, max_tokens=3072, stop=("\n20", "20.")),
        "instructions": Decoding(
            temperature=0.7, top_p=0.5, presence_penalty=2, max_tokens=1024, stop=("\n\n", "\n16", "16.", "16 .")
        ),
        "classification": Decoding(temperature=0, presence_penalty=0, max_tokens=3, stop=("\n", "Task")),
        "instances": Decoding(temperature=0, presence_penalty=1.5, max_tokens=300, stop=("Example 6", "Task:")),
    }


def test_no_reply_is_asked_for_by_a_schema() -> None:
    assert strict.instructions_schema(5) is strict.classification_schema() is strict.instances_schema(True) is None


def test_instructions_lose_their_case() -> None:
    text = "9. Compare AS_PATH and RPKI states\n10. Explain the MED"
    assert strict.parse_instructions(text, "stop", 8).instructions == (
        "Compare as_path and rpki states",
        "Explain the med",
    )
    assert classic.parse_instructions(text, "stop", 8).instructions == (
        "Compare AS_PATH and RPKI states",
        "Explain the MED",
    )


def test_the_prefix_of_a_list_may_be_missing() -> None:
    text = "Compare two paths\n10. Explain the MED"
    with_prefix = strict.parse_instructions(f"9. {text}", "stop", 8)
    assert with_prefix == strict.parse_instructions(f" {text}", "stop", 8)
    assert with_prefix.instructions == ("Compare two paths", "Explain the med")


@pytest.mark.parametrize(
    ("instruction", "word"),
    [("Map each prefix to its origin.", "map"), ("Read the MRT file and count routes.", "file")],
)
def test_words_of_the_trade_reject(instruction: str, word: str) -> None:
    for rules in strict.RULES.values():
        assert strict.instruction_fault(candidate(instruction), rules) == ("blocked_word", word)
    assert form.instruction_fault(candidate(instruction), FIXED_RULES) is None


def test_alpaca_blocks_more_words_than_the_paper() -> None:
    task = candidate("Compose music for a router.")
    assert strict.instruction_fault(task, strict.RULES["classic"]) is None
    assert strict.instruction_fault(task, strict.RULES["alpaca"]) == ("blocked_word", "music")
    assert {mode: len(rules.blocked_words) for mode, rules in strict.RULES.items()} == {"classic": 13, "alpaca": 18}


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("Explain hold timers.", "too_short"),
        ("什么是路由泄漏以及运营商如何防止它。", "too_short"),
        ("word " * 151, "too_long"),
        ("Write a program that lists origins.", "write_program"),
        ('"Valley-free" means what here?', "bad_start"),
        ("Что такое таймер удержания?", "bad_start"),
        ("", "too_short"),
    ],
)
def test_the_originals_filters(instruction: str, reason: str) -> None:
    found = strict.instruction_fault(candidate(instruction), strict.RULES["alpaca"])
    assert found is not None
    assert found.reason == reason
    assert found.detail


@pytest.mark.parametrize(
    "instruction",
    ["word " * 150, "Explain hold timers briefly.", "write a program that lists origins.", "2 or 3 of it?"],
)
def test_the_originals_filters_leave_alone(instruction: str) -> None:
    assert strict.instruction_fault(candidate(instruction), strict.RULES["alpaca"]) is None


@pytest.mark.parametrize("output", ["The steps are:", "<noinput>", "a " * 999, "---"])
def test_any_output_will_do(output: str) -> None:
    task = candidate("Explain the hold timer.", output)
    assert strict.instance_fault(task, strict.RULES["alpaca"]) is None
    assert form.instance_fault(task, FIXED_RULES) is not None


def test_a_task_without_an_output_is_rejected_although_alpaca_kept_it() -> None:
    assert strict.instance_fault(candidate("Explain the hold timer.", ""), strict.RULES["alpaca"]) is not None


ADDRESS = "9. Say what holds for 172.16.0.0/12 today\n10. Explain the hold timer"


def test_a_stop_string_cuts_an_address_and_the_stump_is_kept() -> None:
    reply = stopped(ADDRESS, strict.DECODING["instructions"])
    assert strict.parse_instructions(reply, "stop", 8).instructions == ("Say what holds for 172.",)
    reply = stopped(ADDRESS, classic.DECODING["instructions"])
    assert classic.parse_instructions(reply, "stop", 8).instructions == (
        "Say what holds for 172.16.0.0/12 today",
        "Explain the hold timer",
    )


def test_alpaca_asks_for_20_and_keeps_16_at_most() -> None:
    assert "20 different tasks" in strict.task_messages(PROMPT, SEEDS)[1].content
    reply = stopped(blocks(4, 23), strict.DECODING["tasks"])
    tasks = strict.parse_tasks(reply, "stop", 3).tasks
    assert (len(tasks), tasks[-1].instruction) == (16, "Explain timer 19 of BGP")
    assert len(parse_reply(blocks(4, 23), "stop").tasks) == 20


@pytest.mark.parametrize("reply", [blocks(1, 5), "###\n" + blocks(4, 8)], ids=["restarts at 1", "opens with ###"])
def test_numbers_that_do_not_fit_lose_every_block(reply: str) -> None:
    assert strict.parse_tasks(reply, "stop", 3).tasks == ()
    assert len(parse_reply(reply, "stop").tasks) == 5


def test_a_fitting_reply_is_read_with_and_without_its_prefix() -> None:
    expected = tuple(ParsedTask(f"Explain timer {n} of BGP", "", "It ends.") for n in range(4, 9))
    reply = blocks(4, 8)
    assert strict.parse_tasks(reply, "stop", 3).tasks == expected
    assert strict.parse_tasks(reply.removeprefix("4. Instruction:"), "stop", 3).tasks == expected
    assert strict.parse_tasks(reply, "stop", 3).faults == ()


BROKEN_OFF = pytest.mark.parametrize("word", ["length", "content_filter", "abort"])
"""The originals know the first alone."""


@BROKEN_OFF
def test_only_the_last_task_is_dropped_when_the_reply_was_cut_off(word: str) -> None:
    parsed = strict.parse_tasks(blocks(4, 8), word, 3)
    assert (len(parsed.tasks), parsed.faults) == (4, ("cut",))


def test_a_separator_within_an_output_shifts_all_numbers_behind_it() -> None:
    reply = blocks(4, 4, "### Steps") + "\n###\n" + blocks(5, 8)
    assert [task.output for task in strict.parse_tasks(reply, "stop", 3).tasks] == [""]
    assert len(parse_reply(reply, "stop").tasks) == 5


@BROKEN_OFF
def test_a_list_that_was_cut_off_is_dropped_whole(word: str) -> None:
    assert strict.parse_instructions(ADDRESS, word, 8)[:2] == ((), ("cut",))
    assert len(classic.parse_instructions(ADDRESS, "length", 8).instructions) == 1


@pytest.mark.parametrize(("text", "expected"), [("Yes", True), (" yes\n", True), ("YES", True), ("Yes.", False)])
def test_any_answer_but_yes_is_no(text: str, expected: bool) -> None:
    assert strict.parse_classification(text) is expected
    assert classic.parse_classification(text) is True


def test_a_label_within_an_output_tears_it() -> None:
    text = "Example 1\nInput: a\nOutput: See\nthe Output: of it, Example 2. Done"
    torn = (Instance("a", "See\nthe"), Instance("", "Done"))
    assert strict.parse_instances(text, "stop", False).instances == torn
    assert classic.parse_instances(text, "stop", False).instances == (
        Instance("a", "See\nthe Output: of it, Example 2. Done"),
    )


def test_instances_with_labels_are_read() -> None:
    text = "Class label: valid\n192.0.2.0/24\nAS64496\nClass label: invalid\n\nClass label: none:\nx"
    parsed = strict.parse_instances(text, "stop", True)
    assert parsed[:2] == ((Instance("192.0.2.0/24\nAS64496", "valid"), Instance("", "invalid")), ("cut_off",))


def test_instances_with_inputs_are_read() -> None:
    text = "Example 1\nInput: a\nOutput: b\n\nExample 2\nInput: c\nOutput: d\nInput: e"
    assert strict.parse_instances(text, "stop", False).instances == (Instance("a", "b"), Instance("c", "d"))
    assert strict.parse_instances("Output: b", "stop", False).instances == (Instance("", "b"),)


@BROKEN_OFF
def test_the_last_instance_of_a_reply_that_was_cut_off_is_dropped(word: str) -> None:
    text = "Example 1\nInput: a\nOutput: b\n\nExample 2\nInput: c\nOutput: d"
    assert strict.parse_instances(text, word, False)[:2] == ((Instance("a", "b"),), ("cut",))


@pytest.mark.parametrize("is_classification", [True, False])
def test_a_reply_without_labels_has_no_instance(is_classification: bool) -> None:
    assert strict.parse_instances("It ends.", "stop", is_classification)[:2] == ((), ("no_task",))


def test_similarity_is_blind_beyond_ascii() -> None:
    """Two wordings of one Korean question, of which only the acronym is in ASCII."""
    text, other = "경로 유출 은 BGP 에서 무엇 인가 요", "커뮤니티 속성 의 BGP 용도 를 설명 하라"
    for tokenizer, similar in ((tokenize_ascii, True), (tokenize, False)):
        pool = RougeIndex(tokenizer)
        pool.add("seed0", text)
        assert (pool.nearest(other).score > strict.RULES["classic"].rouge_threshold) is similar


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                ["###", "4. Instruction:", "4. Input:", "4. Output:", "Example 1", "Class label:", "\n9. "]
            ),
            st.text(max_size=9),
        ),
        max_size=30,
    ).map("".join),
    st.sampled_from(["stop", "length", "error"]),
    st.booleans(),
)
def test_no_text_breaks_the_readers(text: str, finish_reason: str, is_classification: bool) -> None:
    parsed = strict.parse_tasks(text, finish_reason, 3)
    assert len(parsed.tasks) + len(parsed.faults) == len(text.split("###"))
    assert all(strict.parse_instructions(text, finish_reason, 8).instructions)
    assert all(i.output for i in strict.parse_instances(text, finish_reason, is_classification).instances)
