"""A teacher over HTTP: what becomes of good replies, odd ones and refusals, and what an error tells its reader."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import FakeTeacher
from seedtune.config import OpenAITeacherConfig, SamplingConfig
from seedtune.errors import TeacherError
from seedtune.records import Message, Reply, Request
from seedtune.teachers import make_teacher, worst_case

KEY = "sk-very-secret-0123456789"
MESSAGES = (Message(role="system", content="You write tasks."), Message(role="user", content="Write 2 – now."))
CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {"role": "assistant", "content": "###"},
    "finish_reason": "stop",
}
BODY: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "fake",
    "choices": [CHOICE],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
}


class Scripted(FakeTeacher):
    """Answers with what the test says, if it says so, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self._server.RequestHandlerClass.disable_nagle_algorithm = True
        self.say()

    def say(self, status: int = 200, body: Any = None) -> str:
        """From now on; returns the URL. Without a body, a good reply."""
        self.status, self.body = status, body
        self.bodies: list[dict[str, Any]] = []
        self.received, self.faults, self.latency = 0, {}, 0.0
        return self.url

    def fail(self, fault: str, times: int = -1) -> str:
        """A fault of the fake teacher's own; by default each time."""
        self.say()
        self.faults = {-1: fault} if times < 0 else dict.fromkeys(range(times), fault)
        return self.url

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        return super().answer(body) if self.body is None else (self.status, self.body)


@pytest.fixture(scope="module")
def started() -> Iterator[Scripted]:
    with Scripted() as server:
        yield server


@pytest.fixture
def server(started: Scripted) -> Scripted:
    """A good teacher until the test says otherwise."""
    started.say()
    return started


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def request(index: int = 0) -> Request:
    return Request(index=index, pack="knowledge", parents=("p",), messages=MESSAGES, prefix="4. Instruction:")


def ask(url: str, *requests: Request, seed: int = 0, **config: Any) -> list[Reply]:
    settings = {"model": "fake", "base_url": url, "max_retries": 0, "timeout_s": 10} | config
    teacher = make_teacher(OpenAITeacherConfig.model_validate(settings), seed)

    async def complete() -> list[Reply]:
        try:
            return await teacher.complete(requests or [request()])
        finally:
            await teacher.close()

    return asyncio.run(complete())


def failure(url: str, **config: Any) -> str:
    with pytest.raises(TeacherError) as caught:
        ask(url, **config)
    return str(caught.value)


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def test_a_reply_carries_text_finish_reason_and_usage(server: Scripted) -> None:
    (reply,) = ask(server.say(body=BODY))
    assert (reply.text, reply.finish_reason, reply.error) == ("###", "stop", "")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.estimated) == (7, 3, False)


def test_a_reply_carries_the_index_of_its_request(server: Scripted) -> None:
    assert [reply.index for reply in ask(server.url, request(5), request(3))] == [5, 3]


def test_a_reply_cut_by_length_says_so(server: Scripted) -> None:
    assert ask(server.fail("length"))[0].finish_reason == "length"


def test_the_request_carries_messages_and_decoding_settings(server: Scripted) -> None:
    ask(server.url, sampling=SamplingConfig(temperature=0.5, top_p=0.9, max_tokens=99, presence_penalty=1.5))
    (body,) = server.bodies
    assert body["messages"] == [{"role": m.role, "content": m.content} for m in MESSAGES]
    sent = {key: body[key] for key in ("model", "temperature", "top_p", "max_tokens", "presence_penalty")}
    assert sent == {"model": "fake", "temperature": 0.5, "top_p": 0.9, "max_tokens": 99, "presence_penalty": 1.5}


def test_a_presence_penalty_that_is_not_set_is_not_sent(server: Scripted) -> None:
    ask(server.url)
    assert "presence_penalty" not in server.bodies[0]


def test_the_name_of_the_token_limit_can_be_chosen(server: Scripted) -> None:
    ask(server.url, max_tokens_field="max_completion_tokens")
    assert server.bodies[0]["max_completion_tokens"] == 2048
    assert "max_tokens" not in server.bodies[0]


def test_each_request_of_each_run_has_its_own_seed(server: Scripted) -> None:
    for seed in (0, 1):
        ask(server.url, request(0), request(1), seed=seed)
    assert len({body["seed"] for body in server.bodies}) == 4


def test_a_passing_fault_is_tried_again(server: Scripted) -> None:
    assert ask(server.fail("429", times=1), max_retries=1)[0].error == ""
    assert server.received == 2


def test_without_usage_the_worst_case_is_charged(server: Scripted) -> None:
    (reply,) = ask(server.fail("no_usage"), sampling=SamplingConfig(max_tokens=99))
    assert reply.usage == worst_case(MESSAGES, 99)
    assert reply.usage.estimated


def test_a_bad_request_is_an_error_reply_that_costs_nothing(server: Scripted) -> None:
    (reply,) = ask(server.fail("400"))
    assert (reply.finish_reason, reply.error, reply.text) == ("error", "scripted 400", "")
    assert reply.usage.total == 0


def test_a_bad_request_is_not_tried_again(server: Scripted) -> None:
    ask(server.fail("400"), max_retries=3)
    assert server.received == 1


def test_a_reply_without_choices_is_an_error_reply_that_is_paid(server: Scripted) -> None:
    (reply,) = ask(server.fail("no_choices"))
    assert (reply.finish_reason, reply.error) == ("error", "the reply has no choices")
    assert reply.usage.total == 150


def test_a_refusal_is_kept_as_the_error(server: Scripted) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    (reply,) = ask(server.say(body={**BODY, "choices": [{**CHOICE, "message": message}]}))
    assert (reply.text, reply.error) == ("", "I cannot.")


def test_broken_unicode_from_the_endpoint_can_be_written(server: Scripted) -> None:
    message = {"role": "assistant", "content": "a\ud800b"}
    (reply,) = ask(server.say(body={**BODY, "choices": [{**CHOICE, "message": message}]}))
    assert reply.model_dump_json().encode()
    assert re.fullmatch("a.b", reply.text)


@pytest.mark.parametrize("body", [[1], "hello", {"error": {"message": "overloaded"}}, {"choices": [None]}])
def test_a_body_that_is_no_completion_is_an_error_reply_at_its_worst_case(server: Scripted, body: Any) -> None:
    (reply,) = ask(server.say(body=body))
    assert reply.finish_reason == "error"
    assert reply.usage == worst_case(MESSAGES, 2048)


ODD_USAGE: dict[str, Any] = {
    "without its parts": {"total_tokens": 10},
    "nulls": {"prompt_tokens": None, "completion_tokens": None},
    "below zero": {"prompt_tokens": -1, "completion_tokens": 3},
    "a list": [7, 3],
}


@pytest.mark.parametrize("name", ODD_USAGE)
def test_usage_that_cannot_be_read_is_charged_at_the_worst_case(server: Scripted, name: str) -> None:
    (reply,) = ask(server.say(body={**BODY, "usage": ODD_USAGE[name]}))
    assert (reply.text, reply.usage) == ("###", worst_case(MESSAGES, 2048))


ODD_CHOICES: dict[str, Any] = {
    "no message": [{"index": 0, "finish_reason": "stop"}],
    "message is null": [{**CHOICE, "message": None}],
    "content is a list": [{**CHOICE, "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}}],
    "choices are a string": "abc",
}


@pytest.mark.parametrize("name", ODD_CHOICES)
def test_a_choice_that_cannot_be_read_is_an_error_reply(server: Scripted, name: str) -> None:
    (reply,) = ask(server.say(body={**BODY, "choices": ODD_CHOICES[name]}))
    assert reply.finish_reason == "error"


ADVICE = {
    "401": "OPENAI_API_KEY",
    "403": "access",
    "404": "teacher.base_url",
    "429": "teacher.concurrency",
    "500": "run again",
}


@pytest.mark.parametrize(("fault", "advice"), ADVICE.items())
def test_a_failure_says_what_to_set(server: Scripted, fault: str, advice: str) -> None:
    assert advice in failure(server.fail(fault))


@pytest.mark.parametrize("fault", ADVICE)
def test_a_failure_says_where_and_what_the_endpoint_said(server: Scripted, fault: str) -> None:
    text = failure(server.fail(fault))
    assert server.url in text
    assert f"scripted {fault}" in text


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_what_no_retry_mends_is_tried_once(server: Scripted, fault: str) -> None:
    failure(server.fail(fault), max_retries=3)
    assert server.received == 1


def test_a_refused_key_names_the_variable_that_is_configured(server: Scripted) -> None:
    assert "MY_KEY" in failure(server.fail("401"), api_key_env="MY_KEY")


def test_an_unknown_model_is_named(server: Scripted) -> None:
    text = failure(server.url, model="gpt-99")
    assert "gpt-99" in text
    assert "teacher.model" in text


def test_an_unreachable_endpoint_says_which_address_to_set() -> None:
    url = closed_port()
    text = failure(url)
    assert url in text
    assert "teacher.base_url" in text
    assert "OPENAI_BASE_URL" in text


def test_an_endpoint_that_hangs_up_says_what_happened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(1)
            # Unread bytes make this a reset.
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        text = failure(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
        thread.join()
    assert not re.search(r": *$", text.splitlines()[0])


def test_a_slow_endpoint_says_which_time_to_set(server: Scripted) -> None:
    server.latency = 0.3
    assert "teacher.timeout_s" in failure(server.url, timeout_s=0.05)


def test_without_key_and_address_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherError, match="OPENAI_API_KEY"):
        make_teacher(OpenAITeacherConfig(model="fake"), 0)


def test_an_endpoint_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch, server: Scripted) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask(server.url)[0].error == ""


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, server: Scripted) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    assert ask("", base_url=None)[0].error == ""


@pytest.mark.parametrize("fault", ADVICE)
def test_the_key_is_in_no_error(server: Scripted, fault: str) -> None:
    assert KEY not in failure(server.fail(fault))


def test_the_key_is_in_no_error_of_an_unreachable_endpoint() -> None:
    assert KEY not in failure(closed_port())


ECHO = {"error": {"message": f"Authentication failed: received API key = {KEY}"}}


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_key_that_the_endpoint_repeats_is_in_no_error(server: Scripted, status: int) -> None:
    assert KEY not in failure(server.say(status, ECHO))


def test_a_key_that_the_endpoint_repeats_is_in_no_reply(server: Scripted) -> None:
    assert KEY not in ask(server.say(400, ECHO))[0].error


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_key_read_with_its_line_end_is_in_no_error(
    monkeypatch: pytest.MonkeyPatch, server: Scripted, end: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + end)
    said = ""
    try:
        ask(server.url)
    except TeacherError as problem:
        said = str(problem)
    assert KEY not in said


def test_a_key_with_a_stray_character_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, server: Scripted
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "…")
    assert "OPENAI_API_KEY" in failure(server.url)


def test_a_password_in_the_address_is_in_no_error(server: Scripted) -> None:
    assert KEY not in failure(server.fail("500").replace("http://", f"http://me:{KEY}@"))


@pytest.mark.parametrize("key", ["x", "none", "EMPTY"])
def test_a_placeholder_for_a_key_does_not_garble_the_error(
    monkeypatch: pytest.MonkeyPatch, server: Scripted, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    said = "The context exceeds the maximum; none of the caches is EMPTY"
    assert said in failure(server.say(500, {"error": {"message": said}}))
