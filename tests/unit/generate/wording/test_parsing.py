"""Replies as teachers write them, and mangled: tolerant in form, strict where half a task could slip in."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conftest import cpu_seconds
from seedtune.generate.wording.parsing import ParsedTask, parse_reply

ONE = ParsedTask("Describe the hold timer.", "", "It ends a silent session.")
TWO = ParsedTask("Count the prefixes.", "10.0.0.0/8\n172.16.0.0/12", "There are 2.")


def tasks_of(text: str, finish_reason: str = "stop") -> list[ParsedTask]:
    return list(parse_reply(text, finish_reason).tasks)


def block(task: ParsedTask, number: str = "1. ", label: str = "{}:") -> str:
    return "\n".join(
        f"{number}{label.format(name)} {content}"
        for name, content in (
            ("Instruction", task.instruction),
            ("Input", task.input or "<noinput>"),
            ("Output", task.output),
        )
    )


SHAPES = {
    "as asked": "###\n4. Instruction: {i1}\n4. Input: <noinput>\n4. Output: {o1}\n###\n5. Instruction: {i2}\n"
    "5. Input: {n2}\n5. Output: {o2}\n###",
    "no separator at the start": "4. Instruction: {i1}\n4. Input: <noinput>\n4. Output: {o1}\n###\n5. Instruction: {i2}"
    "\n5. Input: {n2}\n5. Output: {o2}",
    "numbering starts again": "###\n1. Instruction: {i1}\n1. Input: <noinput>\n1. Output: {o1}\n###\n1. Instruction: "
    "{i2}\n1. Input: {n2}\n1. Output: {o2}",
    "numbering is missing": "Instruction: {i1}\nInput: <noinput>\nOutput: {o1}\n\nInstruction: {i2}\nInput: {n2}\n"
    "Output: {o2}",
    "only the instruction is numbered": "1. Instruction: {i1}\nInput: <noinput>\nOutput: {o1}\n2. Instruction: {i2}\n"
    "Input: {n2}\nOutput: {o2}",
    "numbers in round brackets": "1) Instruction: {i1}\n1) Input: <noinput>\n1) Output: {o1}\n2) Instruction: {i2}\n"
    "2) Input: {n2}\n2) Output: {o2}",
    "bold labels": "**Instruction:** {i1}\n**Input:** <noinput>\n**Output:** {o1}\n\n**Instruction:** {i2}\n"
    "**Input:** {n2}\n**Output:** {o2}",
    "bold with the colon outside": "1. **Instruction**: {i1}\n1. **Input**: <noinput>\n1. **Output**: {o1}\n"
    "2. **Instruction**: {i2}\n2. **Input**: {n2}\n2. **Output**: {o2}",
    "bold with the number": "**1. Instruction:** {i1}\n**1. Input:** <noinput>\n**1. Output:** {o1}\n"
    "**2. Instruction:** {i2}\n**2. Input:** {n2}\n**2. Output:** {o2}",
    "headings": "### Instruction:\n{i1}\n\n### Input:\n<noinput>\n\n### Output:\n{o1}\n\n### Instruction:\n{i2}\n\n"
    "### Input:\n{n2}\n\n### Output:\n{o2}",
    "lists": "- Instruction: {i1}\n- Input: <noinput>\n- Output: {o1}\n- Instruction: {i2}\n- Input: {n2}\n"
    "- Output: {o2}",
    "quoted": "> Instruction: {i1}\n> Input: <noinput>\n> Output: {o1}\n\n> Instruction: {i2}\n> Input: {n2}\n"
    "> Output: {o2}",
    "indented": "1. Instruction: {i1}\n   Input: <noinput>\n   Output: {o1}\n2. Instruction: {i2}\n   Input: {n2}\n"
    "   Output: {o2}",
    "other case": "INSTRUCTION: {i1}\nINPUT: <noinput>\nOUTPUT: {o1}\ninstruction: {i2}\ninput: {n2}\noutput: {o2}",
    "number after the label": "Instruction 1: {i1}\nInput 1: <noinput>\nOutput 1: {o1}\nInstruction 2: {i2}\n"
    "Input 2: {n2}\nOutput 2: {o2}",
    "task numbers": "Task 1: Instruction: {i1}\nInput: <noinput>\nOutput: {o1}\nTask 2: Instruction: {i2}\n"
    "Input: {n2}\nOutput: {o2}",
    "content on the next line": "1. Instruction:\n{i1}\n1. Input:\n<noinput>\n1. Output:\n{o1}\n2. Instruction:\n{i2}"
    "\n2. Input:\n{n2}\n2. Output:\n{o2}",
    "chat phrase first": "Sure! Here are two new tasks in the same form:\n\n###\n1. Instruction: {i1}\n1. Input: "
    "<noinput>\n1. Output: {o1}\n###\n2. Instruction: {i2}\n2. Input: {n2}\n2. Output: {o2}",
    "doubled separators": "###\n\n###\n1. Instruction: {i1}\n1. Input: <noinput>\n1. Output: {o1}\n\n###\n###\n\n"
    "2. Instruction: {i2}\n2. Input: {n2}\n2. Output: {o2}\n\n###\n###\n",
    "rules as separators": "Instruction: {i1}\nInput: <noinput>\nOutput: {o1}\n\n---\n\nInstruction: {i2}\n"
    "Input: {n2}\nOutput: {o2}\n\n***\n",
    "numbered headings": "### Task 1\nInstruction: {i1}\nInput: <noinput>\nOutput: {o1}\n\n### Task 2\nInstruction: "
    "{i2}\nInput: {n2}\nOutput: {o2}\n\n### 3\n",
    "input left out": "1. Instruction: {i1}\n1. Output: {o1}\n2. Instruction: {i2}\n2. Input: {n2}\n2. Output: {o2}",
}


def shape(text: str) -> str:
    return text.format(i1=ONE.instruction, o1=ONE.output, i2=TWO.instruction, n2=TWO.input, o2=TWO.output)


@pytest.mark.parametrize("name", SHAPES)
def test_both_tasks_are_read_from_the_shape(name: str) -> None:
    assert tasks_of(shape(SHAPES[name])) == [ONE, TWO]


@pytest.mark.parametrize("name", SHAPES)
def test_a_whole_reply_has_no_fault(name: str) -> None:
    assert parse_reply(shape(SHAPES[name])).faults == ()


def test_headings_need_no_colon() -> None:
    text = "### Instruction\n{i1}\n\n### Input\n<noinput>\n\n### Output\n{o1}\n\n"
    text += "### Instruction\n{i2}\n\n### Input\n{n2}\n\n### Output\n{o2}"
    assert tasks_of(shape(text)) == [ONE, TWO]


def test_bold_around_a_whole_line_is_no_part_of_it() -> None:
    text = "**1. Instruction: {i1}**\n1. Input: <noinput>\n1. Output: {o1}\n"
    text += "**2. Instruction: {i2}**\n2. Input: {n2}\n2. Output: {o2}"
    assert tasks_of(shape(text)) == [ONE, TWO]


def test_windows_line_ends_are_no_part_of_a_task() -> None:
    assert tasks_of(shape(SHAPES["as asked"]).replace("10.0.0.0/8\n", "10.0.0.0/8 ").replace("\n", "\r\n")) == [
        ONE,
        ParsedTask(TWO.instruction, TWO.input.replace("\n", " "), TWO.output),
    ]


@pytest.mark.parametrize("title", ["### Task 2", "### Task 2:", "## 2.", "###\n\n---\n###"])
def test_a_separator_is_no_part_of_an_output(title: str) -> None:
    assert tasks_of(f"{block(ONE)}\n\n{title}\n{block(TWO)}") == [ONE, TWO]


@pytest.mark.parametrize(
    "title",
    ["**Task 2**", "**Task 2:**", "Task 2:", "## Task 2: Prefixes", "###\n2.", "---\n**Task 2**"],
)
def test_the_title_of_the_next_task_is_no_part_of_an_output(title: str) -> None:
    assert tasks_of(f"{block(ONE)}\n\n{title}\n{block(TWO)}") == [ONE, TWO]


@pytest.mark.parametrize(
    "output", ["42", "The hops are\n1. 192.0.2.1\n2. 192.0.2.2", "# bgpd.conf\nrouter bgp 64500", "2"]
)
def test_numbers_and_comments_that_end_an_output_stay(output: str) -> None:
    task = ParsedTask("Name the answer.", "", output)
    assert tasks_of(f"{block(task)}\n###\n{block(TWO)}") == [task, TWO]


@pytest.mark.parametrize(
    "content",
    [
        "172.16.0.0/12",
        "see 16. Input of the table",
        "16. 10.0.0.0/8",
        "5. Outputs: none",
        "a\n16.\nb",
        "a\nsee Input: 5",
    ],
)
def test_numbers_inside_a_text_do_not_end_it(content: str) -> None:
    task = ParsedTask(f"Explain {content}", content, f"It is {content}")
    assert tasks_of(block(task)) == [task]


@pytest.mark.parametrize("comment", ["# Input", "# Output:", "output: 5"])
def test_lines_of_a_code_block_are_no_labels(comment: str) -> None:
    task = ParsedTask("Write it.", "", f"Run\n```python\n{comment}\nprint(1)\n```")
    assert tasks_of(block(task)) == [task]


FENCED = {
    "a comment like a label behind a fence on the label's line": ParsedTask(
        "Write it.", "", "```python\n# Output:\nprint(1)\n```"
    ),
    "input and output both fenced on the label's line": ParsedTask("Fix it.", "```\nhold 0\n```", "```\nhold 90\n```"),
    "an input fenced on the label's line": ParsedTask("Fix it.", "```\nhold 0\n```", "Set:\n```\nhold 90\n```\nDone."),
    "two fences in an output": ParsedTask("Fix it.", "hold 0", "```\nOutput: a\n```\nor\n```\nOutput: b\n```"),
}


@pytest.mark.parametrize("name", FENCED)
def test_code_fences_keep_a_task_whole(name: str) -> None:
    assert tasks_of(f"{block(ONE)}\n###\n{block(FENCED[name])}\n###\n{block(TWO)}") == [ONE, FENCED[name], TWO]


def test_a_fence_left_open_does_not_swallow_the_next_task() -> None:
    task = ParsedTask("Write it.", "", "Run\n```python\nprint(1)")
    assert tasks_of(f"{block(task)}\n###\n{block(TWO)}")[1:] == [TWO]


@pytest.mark.parametrize("fence", ["```", "```markdown", "```text"])
def test_a_fence_around_the_reply_is_no_part_of_a_task(fence: str) -> None:
    assert tasks_of(f"Sure:\n{fence}\n{block(ONE)}\n###\n{block(TWO)}\n```") == [ONE, TWO]


def test_a_heading_of_an_answer_does_not_leave_half_of_it() -> None:
    task = ParsedTask("Write a runbook.", "", "# Runbook\nFor the NOC.\n## Instructions\nCall the peer.")
    assert tasks_of(f"{block(task)}\n###\n{block(TWO)}") in ([task, TWO], [TWO])


def test_text_behind_a_long_rule_is_no_separator() -> None:
    task = ParsedTask("Print it.", "", f"first\n{'-' * 80} last")
    assert tasks_of(block(task)) == [task]


@pytest.mark.parametrize(
    "wrapping", ["{}", "{}.", "<{}>", "<{}>.", "[{}]", "({}.)", "{{{}}}", "`<{}>`", '"{}"', "**({})**"]
)
@pytest.mark.parametrize(
    "words",
    ["noinput", "NoInput", "no_input", "None", "N/A", "No input is needed", "not applicable", "-", "—"],
)
def test_every_spelling_of_no_input_is_empty(words: str, wrapping: str) -> None:
    assert tasks_of(f"Instruction: a\nInput: {wrapping.format(words)}\nOutput: b") == [ParsedTask("a", "", "b")]


def test_an_input_without_anything_is_empty() -> None:
    assert tasks_of("Instruction: a\nInput:\n\nOutput: b") == [ParsedTask("a", "", "b")]


@pytest.mark.parametrize(
    "given_input", ["none of the peers is up", "no input queue: 0", "N/A 10.0.0.0/8", "[none] 5", "---a", "empty"]
)
def test_an_input_that_only_begins_like_none_stays(given_input: str) -> None:
    assert tasks_of(f"Instruction: a\nInput: {given_input}\nOutput: b") == [ParsedTask("a", given_input, "b")]


@pytest.mark.parametrize("text", ["", "\n", "###", "I am sorry, I cannot do that.", "1. 2. 3.", "\x00\ufffe\ud800"])
def test_a_reply_without_labels_is_a_fault(text: str) -> None:
    reply = parse_reply(text)
    assert (reply.tasks, reply.faults) == ((), ("no_task",))


def test_a_task_without_output_is_a_fault() -> None:
    reply = parse_reply(f"Instruction: a\nInput: b\n###\n{block(TWO)}")
    assert (reply.tasks, reply.faults) == ((TWO,), ("no_output",))


def test_a_task_without_instruction_is_a_fault() -> None:
    reply = parse_reply(f"Input: a\nOutput: b\n###\n{block(TWO)}")
    assert (reply.tasks, reply.faults) == ((TWO,), ("no_instruction",))


def test_a_label_twice_in_one_task_is_a_fault() -> None:
    reply = parse_reply(f"{block(ONE)}\nInput: more\n###\n{block(TWO)}")
    assert (reply.tasks, reply.faults) == ((TWO,), ("mixed_labels",))


def test_a_reply_cut_by_length_loses_its_last_task() -> None:
    reply = parse_reply(f"{block(ONE)}\n###\n{block(TWO)}", "length")
    assert (reply.tasks, reply.faults) == ((ONE,), ("cut",))


@pytest.mark.parametrize(
    "finish_reason",
    ["content_filter", "model_length", "MAX_TOKENS", "error", "abort", "SAFETY", "tool_calls", "new_word"],
)
def test_a_reply_that_did_not_come_to_its_end_loses_its_last_task(finish_reason: str) -> None:
    reply = parse_reply(f"{block(ONE)}\n###\n{block(TWO)}", finish_reason)
    assert (reply.tasks, reply.faults) == ((ONE,), ("cut",))


@pytest.mark.parametrize("finish_reason", ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence"])
def test_whatever_an_endpoint_calls_an_end_no_task_is_lost(finish_reason: str) -> None:
    assert tasks_of(f"{block(ONE)}\n###\n{block(TWO)}", finish_reason) == [ONE, TWO]


def test_an_input_after_the_output_is_a_fault() -> None:
    reply = parse_reply("Instruction: Show how int() reads a number.\nOutput: Type\nInput: 5\nwhich prints 5.")
    assert (reply.tasks, reply.faults) == ((), ("mixed_labels",))


def test_a_label_in_turkish_letters_loses_no_input() -> None:
    assert tasks_of("Instruction: a\nınput: 10.0.0.0/8\nOutput: b") != [ParsedTask("a", "", "b")]


REPLY = f"Of course:\n###\n{block(ONE, '4. ')}\n###\n{block(TWO, '5. ')}\n###\n{block(ONE, '6. ')}\n###\n"


def test_a_reply_cut_anywhere_holds_only_whole_tasks() -> None:
    whole = tasks_of(REPLY)
    assert len(whole) == 3
    for end in range(len(REPLY) + 1):
        found = tasks_of(REPLY[:end], "length")
        assert found == whole[: len(found)]


WORDS = st.lists(
    st.sampled_from(["172.16.0.0/12", "16.", "Input", "output", "AS_PATH", "a:", "#", "(x)", "prefix", "é", "*"]),
    max_size=6,
)
# A line begins with a plain word: a label at the start of a line does end a text.
LINES = WORDS.map(lambda words: " ".join(["the", *words, "end"]))
TEXTS = st.lists(LINES, min_size=1, max_size=3).map("\n".join)
TASKS = st.builds(ParsedTask, TEXTS, st.one_of(st.just(""), TEXTS), TEXTS)
NUMBERS = st.sampled_from(["", "1. ", "2. ", "16. ", "999) ", "Task 3: ", "0: "])
LABELS = st.sampled_from(["{}:", "**{}:**", "**{}**:", "_{}_:", "{} :", "{} 7:"])
SEPARATORS = st.sampled_from(["\n", "\n\n", "\n###\n", "\n\n###\n\n", "\n---\n", "\n### Task 9\n", "\n###\n###\n"])
OPENINGS = st.sampled_from(["", "###\n", "Sure, here you are:\n", "\n\n", "Great!\n\n---\n"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TASKS, NUMBERS, LABELS, SEPARATORS), max_size=5), OPENINGS)
def test_tasks_survive_any_mix_of_numbers_labels_and_separators(
    blocks: list[tuple[ParsedTask, str, str, str]], opening: str
) -> None:
    text = opening + "".join(block(task, number, label) + separator for task, number, label, separator in blocks)
    assert tasks_of(text) == [task for task, *_ in blocks]


@settings(max_examples=60, deadline=None)
@given(st.lists(TASKS, min_size=1, max_size=4), st.data())
def test_block_numbers_are_irrelevant(tasks: list[ParsedTask], data: st.DataObject) -> None:
    plain = "\n###\n".join(block(task, "") for task in tasks)
    numbered = "\n###\n".join(block(task, data.draw(NUMBERS)) for task in tasks)
    assert parse_reply(numbered) == parse_reply(plain)


@settings(max_examples=100, deadline=None)
@given(st.text(), st.sampled_from(["stop", "length", "content_filter", "error", ""]))
def test_no_text_makes_the_parser_raise(text: str, finish_reason: str) -> None:
    parse_reply(text, finish_reason)


PIECES = st.one_of(
    st.sampled_from(
        [
            "Instruction:",
            "Input:",
            "Output:",
            "\n",
            "###",
            "1.",
            "**",
            "-",
            ">",
            "Task",
            ":",
            " ",
            "<noinput>",
            "\r",
            "*",
        ]
    ),
    st.text(max_size=5),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join), st.sampled_from(["stop", "length"]))
@example('[""', "stop")
def test_a_mangled_reply_is_never_cut_apart_and_lost(text: str, finish_reason: str) -> None:
    reply = parse_reply(text, finish_reason)
    # JSON has an element more than commas, and may lack its end.
    most = {"text": text.casefold().count("instruction") + 1, "json": text.count(",") + 2}
    assert len(reply.tasks) + len(reply.faults) <= most[reply.path]
    assert all(part in text for task in reply.tasks for part in (task.instruction, task.output))


@settings(max_examples=100, deadline=None)
@given(st.lists(TASKS, min_size=1, max_size=4), st.data())
def test_a_reply_with_a_lost_line_holds_no_half_task(tasks: list[ParsedTask], data: st.DataObject) -> None:
    flat = [ParsedTask(*(part.replace("\n", " ") for part in (t.instruction, t.input, t.output))) for t in tasks]
    lines = "\n###\n".join(block(task) for task in flat).split("\n")
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    whole = {*flat, *(ParsedTask(task.instruction, "", task.output) for task in flat)}
    assert set(tasks_of("\n".join(lines))) <= whole


@pytest.mark.parametrize("run", ["*", " ", "\n", "\n###"], ids=["stars", "spaces", "lines", "rules"])
def test_a_teacher_stuck_on_one_token_does_not_hang_the_parser(run: str) -> None:
    text = f"{block(ONE)}\n{run * (120_000 // len(run))}x"
    with cpu_seconds(0.5):
        parse_reply(text)


@pytest.mark.parametrize("end", [" ###", "###", "\n###", "\n\n### ", " ###\n###\n"])
def test_a_stray_separator_at_the_end_of_an_output_is_no_part_of_it(end: str) -> None:
    assert tasks_of(f"{block(ONE)}{end}") == [ONE]


def test_what_stands_behind_the_end_of_a_task_is_no_part_of_it() -> None:
    assert tasks_of(f"{block(ONE)}\n###\nA title\n{block(TWO)}\n###\n\nI hope these help!\n") == [ONE, TWO]


def test_an_end_mark_within_a_code_block_or_an_input_stays() -> None:
    task = ParsedTask("Explain the marks.", "first\n###\nsecond", "They are\n```\na\n###\nb\n```\ncomments.")
    assert tasks_of(block(task)) == [task]


@pytest.mark.parametrize("output", ["Use C#", "a#b###", "# a\n#### b", "##########"])
def test_hashes_that_belong_to_an_output_stay(output: str) -> None:
    task = ParsedTask("Write it.", "", output)
    assert tasks_of(block(task)) == [task]


REASONING = {
    "closed": f"<think>\nI could write:\n{block(TWO)}\nNo.\n</think>\n\n",
    "in another case": "<THINK>Hm.</THINK>",
    "twice": "<think>Hm.</think>\n<think></think>\n",
    "begun by the chat template": f"I could write:\n{block(TWO)}\nNo.\n</think>\n",
    "by its long name": "<thinking>Hm.</thinking>",
}


@pytest.mark.parametrize("name", REASONING)
@pytest.mark.parametrize(
    "reply", [block(ONE), '[{"instruction": "Describe the hold timer.", "output": "It ends a silent session."}]']
)
def test_drafts_in_the_reasoning_are_no_tasks(name: str, reply: str) -> None:
    assert tasks_of(REASONING[name] + reply) == [ONE]


@pytest.mark.parametrize(("finish_reason", "fault"), [("stop", "no_task"), ("length", "cut")])
def test_reasoning_without_an_end_leaves_nothing(finish_reason: str, fault: str) -> None:
    reply = parse_reply(f"<think>\n{block(ONE)}\n###\n{block(TWO)}", finish_reason)
    assert (reply.tasks, reply.faults) == ((), (fault,))


def test_marks_of_reasoning_within_a_task_stay() -> None:
    task = ParsedTask("Explain the marks.", "", "A model writes <think>...</think> before it answers.")
    assert tasks_of(block(task)) == [task]


QUOTED = ParsedTask("Name it.", "", "The hold timer.", "If the hold timer\nexpires, the session ends.")


@pytest.mark.parametrize(
    "label", ["Quote:", "1. Quote:", "Source quote:", "**Supporting Quote:**", "QUOTE 1:", "### Quote:\n"]
)
def test_a_quote_is_the_last_part_where_one_was_asked_for(label: str) -> None:
    text = f"{block(ONE)}\n###\n{block(QUOTED)}\n{label} {QUOTED.quote}\n###\n{block(TWO)}"
    assert parse_reply(text, quoted=True).tasks == (ONE, QUOTED, TWO)


def test_a_quote_that_nobody_asked_for_is_part_of_the_answer() -> None:
    task = ParsedTask("Write a letter.", "", "Dear peer,\nQuote: 5 EUR a month\nYours, AS64500")
    assert tasks_of(block(task)) == [task]


@pytest.mark.parametrize(
    "text", ["Instruction: a\nQuote: b\nOutput: c", "Instruction: a\nOutput: b\nQuote: c\nQuote: d"]
)
def test_a_quote_in_another_place_or_twice_is_a_fault(text: str) -> None:
    reply = parse_reply(text, quoted=True)
    assert (reply.tasks, reply.faults) == ((), ("mixed_labels",))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(TASKS, min_size=2, max_size=4),
    st.sampled_from(["junk", "# junk", "\x00", "-----", "42", "<x>", "}"]),
    st.data(),
)
def test_a_line_of_junk_in_text_spoils_at_most_the_task_that_it_is_in(
    tasks: list[ParsedTask], junk: str, data: st.DataObject
) -> None:
    blocks = [block(task) for task in tasks]
    spoilt = data.draw(st.integers(0, len(tasks) - 1))
    lines = blocks[spoilt].split("\n")
    lines.insert(data.draw(st.integers(0, len(lines))), junk)
    blocks[spoilt] = "\n".join(lines)
    found = tasks_of("\n###\n".join(blocks))
    assert [task for n, task in enumerate(tasks) if n != spoilt] == found[:spoilt] + found[spoilt + 1 :]


def test_a_reply_in_text_is_counted_as_text() -> None:
    assert parse_reply(block(ONE)).path == "text"
