"""From examples to token ids and labels. The golden file is written anew by SEEDTUNE_UPDATE_GOLDEN=1."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from conftest import CHAT_TEMPLATE
from seedtune.config import TrainConfig
from seedtune.errors import TrainingError
from seedtune.records import Task
from seedtune.train.dataset import IGNORED, Example, Row, chat, fit_row, make_row, split_examples

GOLDEN = Path(__file__).parents[2] / "golden" / "row.json"
NO_END = "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}" + (
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
END_LAST = "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}<|end|>{% endfor %}" + (
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
TEMPLATES = {"a newline behind the end": CHAT_TEMPLATE, "the end last": END_LAST, "no end": NO_END}

TASK = Task(instruction="Name a peer.", input="192.0.2.1", output="The session of a peer.")

texts = st.text(min_size=1, max_size=40).filter(str.strip)
all_templates = pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)


@pytest.fixture
def tokenizer(tiny_llama: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(tiny_llama)


@pytest.fixture(scope="module")
def shared_tokenizer(tiny_llama: Path) -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(tiny_llama)


def row_of(tokenizer: PreTrainedTokenizerFast, task: Task, system: str | None = None) -> Row:
    return make_row(tokenizer, Example(task, "seed", "made"), system)


def cut_to(length: int, **settings: Any) -> TrainConfig:
    """Settings with such a max_length, also below what a config may have."""
    return TrainConfig.model_validate(settings).model_copy(update={"max_length": length})


def decoded(tokenizer: PreTrainedTokenizerFast, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def trained(row: Row) -> list[int]:
    return [label for label in row.labels if label != IGNORED]


def prompt_length(row: Row) -> int:
    return len(row.labels) - len(trained(row))


@given(instruction=texts, given_input=st.text(max_size=20), output=texts, system=st.none() | texts)
@settings(max_examples=60, deadline=None)
def test_the_loss_covers_the_completion_only(
    shared_tokenizer: PreTrainedTokenizerFast, instruction: str, given_input: str, output: str, system: str | None
) -> None:
    task = Task(instruction=instruction, input=given_input, output=output)
    row = row_of(shared_tokenizer, task, system=system)
    start = prompt_length(row)
    assert row.labels == [IGNORED] * start + row.input_ids[start:]
    assert decoded(shared_tokenizer, trained(row)) == f"{output.strip()}<|end|>"


@given(instruction=texts, given_input=st.text(max_size=20), output=texts, system=st.none() | texts)
@settings(max_examples=60, deadline=None)
def test_the_untrained_part_is_the_prompt(
    shared_tokenizer: PreTrainedTokenizerFast, instruction: str, given_input: str, output: str, system: str | None
) -> None:
    task = Task(instruction=instruction, input=given_input, output=output)
    row = row_of(shared_tokenizer, task, system=system)
    asked = f"{instruction}\n\n{given_input}" if given_input else instruction
    before = f"<|system|>\n{system}<|end|>\n" if system else ""
    prompt = f"{before}<|user|>\n{asked}<|end|>\n<|assistant|>\n"
    assert decoded(shared_tokenizer, row.input_ids[: prompt_length(row)]) == prompt


@all_templates
def test_the_last_trained_token_is_the_end_of_sequence(tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    tokenizer.chat_template = template
    assert trained(row_of(tokenizer, TASK))[-1] == tokenizer.eos_token_id


@all_templates
def test_the_end_of_sequence_is_trained_once(tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    tokenizer.chat_template = template
    assert trained(row_of(tokenizer, TASK)).count(tokenizer.eos_token_id) == 1


@all_templates
def test_nothing_stands_between_the_answer_and_its_end_but_white_space(
    tokenizer: PreTrainedTokenizerFast, template: str
) -> None:
    tokenizer.chat_template = template
    answer = decoded(tokenizer, trained(row_of(tokenizer, TASK)))
    assert answer.removesuffix("<|end|>").rstrip() == TASK.output


@all_templates
def test_an_answer_that_spells_the_end_of_sequence_is_not_cut_there(
    tokenizer: PreTrainedTokenizerFast, template: str
) -> None:
    tokenizer.chat_template = template
    task = Task(instruction="How does a turn end?", output="With <|end|> and a newline.")
    assert "and a newline." in decoded(tokenizer, trained(row_of(tokenizer, task)))


def test_white_space_around_an_answer_is_not_trained(tokenizer: PreTrainedTokenizerFast) -> None:
    task = Task(instruction="Name a peer.", output="\n  The session. \n")
    assert decoded(tokenizer, trained(row_of(tokenizer, task))) == "The session.<|end|>"


def test_the_row_is_the_golden_one(tokenizer: PreTrainedTokenizerFast) -> None:
    row = row_of(tokenizer, TASK, system="You are a router.")
    found = {"text": decoded(tokenizer, row.input_ids), "input_ids": row.input_ids, "labels": row.labels}
    if os.environ.get("SEEDTUNE_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(found) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_a_beginning_of_sequence_written_by_the_template_stands_once(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    begin = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    tokenizer.chat_template = "{{ bos_token }}" + CHAT_TEMPLATE
    assert tokenizer("x")["input_ids"][0] == begin, "this tokenizer is to add one of its own"
    ids = row_of(tokenizer, TASK).input_ids
    assert ids[0] == begin
    assert ids.count(begin) == 1


@given(st.integers(-6, 6))
@settings(max_examples=13, deadline=None)
def test_max_length_cuts_the_end_of_the_answer_and_says_so(
    shared_tokenizer: PreTrainedTokenizerFast, difference: int
) -> None:
    whole = row_of(shared_tokenizer, TASK)
    length = len(whole.input_ids) + difference
    row = fit_row(whole, cut_to(length))
    assert row is not None
    assert row.input_ids == whole.input_ids[:length]
    assert row.labels == whole.labels[:length]
    assert row.truncated == (difference < 0)


def test_a_prompt_that_fills_max_length_gives_no_row(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = row_of(tokenizer, TASK)
    start = prompt_length(whole)
    assert whole.prompt_tokens == start
    made = [fit_row(whole, cut_to(length)) for length in (start - 1, start, start + 1)]
    assert [row is not None for row in made] == [False, False, True]


def test_longer_rows_are_dropped_whole_where_that_is_wanted(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = row_of(tokenizer, TASK)
    length = len(whole.input_ids)
    assert fit_row(whole, cut_to(length, too_long="drop")) == whole
    assert fit_row(whole, cut_to(length - 1, too_long="drop")) is None


@pytest.mark.parametrize(
    "template",
    [
        # As reasoning models do: the generation prompt opens a thought that a finished turn does not show.
        CHAT_TEMPLATE.replace("<|assistant|>\n{% endif", "<|assistant|>\n<think>\n{% endif"),
        "{% if messages[-1].role == 'assistant' %}Answered.\n{% endif %}" + CHAT_TEMPLATE,
    ],
    ids=["generation prompt goes further", "prompt changes"],
)
def test_a_template_whose_prompt_is_no_prefix_is_refused(tokenizer: PreTrainedTokenizerFast, template: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(TrainingError, match=r"model\.chat_template"):
        row_of(tokenizer, TASK)


def test_a_template_that_refuses_a_system_turn_says_so(tokenizer: PreTrainedTokenizerFast) -> None:
    refusal = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refusal + CHAT_TEMPLATE
    with pytest.raises(TrainingError, match="System role not supported"):
        row_of(tokenizer, TASK, system="You are a router.")


@pytest.mark.parametrize("system", [None, ""])
def test_without_a_system_prompt_there_is_no_system_turn(system: str | None) -> None:
    assert [turn["role"] for turn in chat(TASK, system)] == ["user"]


def examples(count: int) -> list[Example]:
    return [Example(Task(instruction=f"Task {n}", output="Done."), "generated", "made") for n in range(count)]


EXAMPLES = examples(120)
shares = st.floats(0.01, 0.99)
subsets = st.lists(st.sampled_from(EXAMPLES), unique_by=lambda example: example.task.id)


@given(subsets, st.floats(0, 0.99), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_split_loses_and_repeats_nothing(chosen: list[Example], share: float, seed: int) -> None:
    training, held_out = split_examples(chosen, share, seed)
    assert [example for example in chosen if example in training] == training
    assert [example for example in chosen if example in held_out] == held_out
    assert len(training) + len(held_out) == len(chosen)


@given(subsets.filter(lambda chosen: len(chosen) > 1), shares, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_split_leaves_neither_side_empty(chosen: list[Example], share: float, seed: int) -> None:
    training, held_out = split_examples(chosen, share, seed)
    assert training
    assert held_out


@given(st.permutations(EXAMPLES), st.integers(40, 119), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_adding_examples_moves_none_across(shuffled: list[Example], before: int, seed: int) -> None:
    # Enough examples that no side has to be filled by force.
    small, large = split_examples(shuffled[:before], 0.4, seed), split_examples(shuffled, 0.4, seed)
    known = shuffled[:before]
    for few, many in zip(small, large, strict=True):
        assert few == [example for example in many if example in known]


def test_a_split_repeats() -> None:
    assert split_examples(EXAMPLES, 0.3, 5) == split_examples(EXAMPLES, 0.3, 5)


def test_a_split_depends_on_the_seed() -> None:
    assert split_examples(EXAMPLES, 0.3, 5) != split_examples(EXAMPLES, 0.3, 6)


def test_a_split_holds_out_about_its_share() -> None:
    held_out = split_examples(examples(1000), 0.1, 0)[1]
    # Five standard deviations to each side.
    assert 53 < len(held_out) < 147


@pytest.mark.parametrize(("count", "share"), [(5, 0.0), (1, 0.5), (0, 0.5)])
def test_nothing_is_held_out_without_a_share_or_a_second_example(count: int, share: float) -> None:
    assert split_examples(EXAMPLES[:count], share, 0) == (EXAMPLES[:count], [])
