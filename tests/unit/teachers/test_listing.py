"""What is found out before anything is paid: the model, the key, the context window."""

import asyncio
import logging
from typing import Any

import pytest

from conftest import FakeTeacher
from fake_teacher import FaultyTeacher
from seedtune.config import OpenAITeacherConfig
from seedtune.errors import TeacherError
from seedtune.records import Decoding, Message, Request
from seedtune.teachers import make_teacher


class Listing(FakeTeacher):
    """Answers for its list of models with what the test says."""

    def __init__(self, status: int = 200, body: Any = None, *entries: dict[str, Any]) -> None:
        super().__init__()
        self.status, self.body = status, body if body is not None else {"data": list(entries)}

    def models(self) -> tuple[int, Any]:
        return self.status, self.body


def of(*entries: dict[str, Any]) -> Listing:
    return Listing(200, None, *entries)


def request(length: int = 400, max_tokens: int | None = None) -> Request:
    decoding = None if max_tokens is None else Decoding(max_tokens=max_tokens)
    message = Message(role="user", content="a" * length)
    return Request(index=0, pack="made", parents=(), messages=(message,), decoding=decoding)


def check(url: str | list[str], asked: Request | None = None, **config: Any) -> None:
    settings = {"model": "fake", "base_url": url, "sampling": {"max_tokens": 100}} | config
    teacher = make_teacher(OpenAITeacherConfig.model_validate(settings), 0)

    async def run() -> None:
        try:
            await teacher.check(asked or request())
        finally:
            await teacher.close()

    asyncio.run(run())


def refusal(url: str | list[str], asked: Request | None = None, **config: Any) -> str:
    with pytest.raises(TeacherError) as caught:
        check(url, asked, **config)
    return str(caught.value)


def test_a_model_in_the_list_is_checked_without_a_request(teacher: FakeTeacher) -> None:
    check(teacher.url)
    assert teacher.received == 0


def test_an_unknown_model_is_told_with_the_known_ones_the_nearest_first() -> None:
    with of(*({"id": name} for name in ("alpha", "gpt-4.1", "gpt-4.1-mini", "b", "c", "d", "e"))) as server:
        said = refusal(server.url, model="gpt-4.1-mimi")
    assert "'gpt-4.1-mimi'" in said
    assert "it has gpt-4.1-mini, gpt-4.1, " in said
    assert "and 2 more" in said
    assert "teacher.model" in said


KNOWN_BY_ANOTHER_NAME: dict[str, dict[str, Any]] = {
    "ollama": {"id": "fake:latest"},
    "gemini": {"id": "models/fake"},
    "alias": {"id": "publisher/file.gguf", "aliases": ["fake"]},
    "llama.cpp answers to any": {"id": "file.gguf", "owned_by": "llamacpp"},
    "azure lists no deployments": {"id": "gpt-4.1", "lifecycle_status": "preview"},
}


@pytest.mark.parametrize("name", KNOWN_BY_ANOTHER_NAME)
def test_a_model_that_answers_to_the_name_is_accepted(name: str) -> None:
    with of(KNOWN_BY_ANOTHER_NAME[name]) as server:
        check(server.url)


@pytest.mark.parametrize("body", [{"data": []}, {"data": [{"id": "b"}], "has_more": True}, {"models": []}, "hello"])
def test_a_list_that_cannot_tell_is_passed_over(body: Any) -> None:
    with Listing(200, body) as server:
        check(server.url)


@pytest.mark.parametrize("status", [404, 405, 429, 500, 501, 503])
def test_an_endpoint_without_a_list_is_passed_over(status: int) -> None:
    with Listing(status, {"error": {"message": "no"}}) as server:
        check(server.url)


def test_an_endpoint_that_is_not_there_is_left_to_the_requests_to_find_out() -> None:
    with FakeTeacher() as server:
        url = server.url
    check(url)


def test_an_endpoint_that_has_no_get_is_passed_over() -> None:
    with FaultyTeacher() as server:
        check(server.url)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_at_once_with_the_reason(status: int) -> None:
    with Listing(status, {"error": {"message": "Incorrect API key provided"}}) as server:
        assert "Incorrect API key provided" in refusal(server.url)


def test_a_key_for_completions_alone_is_good_enough() -> None:
    said = "You have insufficient permissions for this operation. Missing scopes: api.model.read."
    with Listing(403, {"error": {"message": said}}) as server:
        check(server.url)


WINDOWS: dict[str, dict[str, Any]] = {
    "vllm": {"max_model_len": 150},
    "a gateway": {"context_length": 150},
    "another": {"context_window": 150},
    "llama.cpp": {"meta": {"n_ctx": 150, "n_ctx_train": 9999}},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_request_that_cannot_fit_is_refused_by_the_window_that_the_list_names(name: str) -> None:
    with of({"id": "fake", **WINDOWS[name]}) as server:
        said = refusal(server.url, request(length=400))
    assert "about 50 more than the context window of 150" in said
    for setting in ("seeds_per_request", "max_example_words", "sampling.max_tokens", "passage_words"):
        assert setting in said


def test_a_request_that_fits_is_accepted() -> None:
    with of({"id": "fake", "max_model_len": 200}) as server:
        check(server.url, request(length=400))


def test_a_request_that_may_fit_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """400 bytes are about 100 tokens, and no fewer than 66."""
    with of({"id": "fake", "max_model_len": 180}) as server, caplog.at_level(logging.WARNING):
        check(server.url, request(length=400))
    assert "about 20 more than the context window of 180" in caplog.text


def test_the_requests_own_token_limit_counts() -> None:
    with of({"id": "fake", "max_model_len": 150}) as server:
        check(server.url, request(length=400, max_tokens=16))


def test_the_configs_window_goes_before_the_lists() -> None:
    with of({"id": "fake", "max_model_len": 10}) as server:
        check(server.url, context_window=10_000)
    with of({"id": "fake", "max_model_len": 10_000}) as server:
        assert "context window of 50" in refusal(server.url, context_window=50)


def test_of_several_addresses_the_smallest_window_counts() -> None:
    with of({"id": "fake", "max_model_len": 10_000}) as large, of({"id": "fake", "max_model_len": 150}) as small:
        assert "window of 150" in refusal([large.url, small.url])
