"""How an endpoint's answer is read: whether the text is whole, and what it used."""

import logging
from typing import Any

import pytest

from seedtune.config import OpenAITeacherConfig
from seedtune.records import Message, Reply, Request, Usage
from seedtune.teachers.openai_compatible import OpenAITeacher
from seedtune.teachers.replies import is_whole, read_completion

REQUEST = Request(index=3, pack="made", parents=(), messages=(Message(role="user", content="Write."),))
WORST = Usage(prompt_tokens=90, completion_tokens=300, estimated=True)
USED = {"prompt_tokens": 100, "completion_tokens": 50}


def body(reason: str | None = "stop", text: str | None = "###", usage: Any = USED, **message: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    return {"choices": [choice], "usage": usage}


def read(*parts: Any, **named: Any) -> Reply:
    return read_completion(body(*parts, **named), REQUEST, WORST)


def used(usage: Any, **named: Any) -> Usage:
    return read(usage=usage, **named).usage


@pytest.mark.parametrize(
    "word", ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE", None, ""]
)
def test_an_end_by_any_name_is_one(word: str | None) -> None:
    assert read(word).finish_reason == "stop"


@pytest.mark.parametrize("word", ["length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens"])
def test_a_limit_by_any_name_is_one(word: str) -> None:
    assert read(word).finish_reason == "length"


@pytest.mark.parametrize("word", ["content_filter", "safety", "recitation", "abort", "incomplete", "tool_calls", "new"])
def test_any_other_word_is_kept_and_says_that_the_reply_is_not_whole(word: str) -> None:
    assert read(word.upper()).finish_reason == word
    assert not is_whole(word)


def test_no_word_beside_a_call_of_a_tool_is_no_end() -> None:
    assert not is_whole(read(None, tool_calls=[{"id": "1"}]).finish_reason)


def test_a_text_that_an_error_ended_is_no_request_that_failed_for_good() -> None:
    reply = read("error")
    assert (reply.text, reply.error) == ("###", "")
    assert not is_whole(reply.finish_reason)
    assert reply.finish_reason != "error"


def test_an_error_without_a_text_is_a_failed_request_that_is_paid() -> None:
    reply = read("error", text=None)
    assert (reply.finish_reason, reply.usage.total) == ("error", 150)
    assert "error" in reply.error


@pytest.mark.parametrize(
    ("usage", "completion"),
    [
        (USED, 50),
        (USED | {"total_tokens": 150}, 50),
        (USED | {"total_tokens": None}, 50),
        (USED | {"total_tokens": 120}, 50),
        (USED | {"total_tokens": 1150}, 1050),
        (USED | {"total_tokens": 1150, "completion_tokens_details": {"reasoning_tokens": 1000}}, 1050),
        (USED | {"completion_tokens_details": {"reasoning_tokens": 1000}}, 1050),
        (USED | {"completion_tokens_details": {"reasoning_tokens": 40}}, 50),
        (USED | {"total_tokens": 150, "completion_tokens_details": {"reasoning_tokens": 1000}}, 1050),
    ],
)
def test_of_what_an_endpoint_counts_the_books_take_what_is_more(usage: Any, completion: int) -> None:
    found = used(usage)
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (100, completion, False)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        USED | {"completion_tokens": 0},
        USED | {"prompt_tokens": 0},
        USED | {"completion_tokens": -50},
        USED | {"completion_tokens": 0.5},
        USED | {"prompt_tokens": "100"},
        USED | {"total_tokens": -1},
    ],
)
def test_a_usage_that_cannot_be_true_is_charged_at_the_worst_case_and_marked(usage: Any) -> None:
    assert used(usage) == WORST


def test_a_usage_that_lacks_a_part_is_charged_no_less_than_the_part_it_has() -> None:
    found = used({"prompt_tokens": 0, "completion_tokens": 5000})
    assert (found.prompt_tokens, found.completion_tokens, found.estimated) == (90, 5000, True)


def test_no_completion_tokens_are_no_fault_where_nothing_was_written() -> None:
    assert used(USED | {"completion_tokens": 0}, text=None) == Usage(prompt_tokens=100, completion_tokens=0)


def test_details_of_one_part_that_cannot_be_read_do_not_hide_those_of_the_other() -> None:
    details = {"prompt_tokens_details": "?", "completion_tokens_details": {"reasoning_tokens": 7}}
    assert used(USED | details).reasoning_tokens == 7


def warnings_of(caplog: pytest.LogCaptureFixture, *bodies: Any) -> list[str]:
    """What a teacher with room for 60 tokens warns of when it reads these."""
    settings = {"model": "m", "base_url": "http://127.0.0.1:9/v1", "sampling": {"max_tokens": 60}}
    teacher = OpenAITeacher(OpenAITeacherConfig.model_validate(settings), 0)
    with caplog.at_level(logging.WARNING):
        for each in bodies:
            teacher._read(each, REQUEST)  # pyright: ignore[reportPrivateUsage]
    return [record.getMessage() for record in caplog.records]


def test_a_word_that_is_not_known_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    (said,) = warnings_of(caplog, body("eos"), body("length"), body("new_word"), body("new_word"))
    assert "'new_word'" in said


def test_a_reply_that_used_more_than_was_set_aside_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    (said,) = warnings_of(caplog, *[body(usage=USED | {"total_tokens": 1150})] * 2)
    assert "1,050 tokens, with max_tokens = 60" in said
    assert "max_cost" in said


def test_a_reply_within_its_limit_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog, body(), body(usage=None)) == []
