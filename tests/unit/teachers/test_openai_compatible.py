"""A teacher over HTTP: what becomes of good replies, odd ones and refusals, and what an error tells its reader."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
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
    """Answers with what the test says, and keeps what it was sent."""

    def __init__(self, status: int = 200, body: Any = None) -> None:
        super().__init__()
        self.script = (status, body)
        self.bodies: list[dict[str, Any]] = []

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        return super().answer(body) if self.script[1] is None else self.script


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    servers: list[Scripted] = []

    def start(status: int = 200, body: Any = None) -> Scripted:
        servers.append(Scripted(status, body))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__()


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


def test_a_reply_carries_text_finish_reason_and_usage(scripted: Callable[..., Scripted]) -> None:
    (reply,) = ask(scripted(body=BODY).url)
    assert (reply.text, reply.finish_reason, reply.error) == ("###", "stop", "")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.estimated) == (7, 3, False)


def test_a_reply_carries_the_index_of_its_request(teacher: FakeTeacher) -> None:
    assert [reply.index for reply in ask(teacher.url, request(5), request(3))] == [5, 3]


def test_a_reply_cut_by_length_says_so() -> None:
    with FakeTeacher(faults={0: "length"}) as server:
        assert ask(server.url)[0].finish_reason == "length"


def test_the_request_carries_messages_and_decoding_settings(scripted: Callable[..., Scripted]) -> None:
    server = scripted()
    ask(server.url, sampling=SamplingConfig(temperature=0.5, top_p=0.9, max_tokens=99, presence_penalty=1.5))
    (body,) = server.bodies
    assert body["messages"] == [{"role": m.role, "content": m.content} for m in MESSAGES]
    sent = {key: body[key] for key in ("model", "temperature", "top_p", "max_tokens", "presence_penalty")}
    assert sent == {"model": "fake", "temperature": 0.5, "top_p": 0.9, "max_tokens": 99, "presence_penalty": 1.5}


def test_a_presence_penalty_that_is_not_set_is_not_sent(scripted: Callable[..., Scripted]) -> None:
    server = scripted()
    ask(server.url)
    assert "presence_penalty" not in server.bodies[0]


def test_the_name_of_the_token_limit_can_be_chosen(scripted: Callable[..., Scripted]) -> None:
    server = scripted()
    ask(server.url, max_tokens_field="max_completion_tokens")
    assert server.bodies[0]["max_completion_tokens"] == 2048
    assert "max_tokens" not in server.bodies[0]


def test_each_request_of_each_run_has_its_own_seed(scripted: Callable[..., Scripted]) -> None:
    server = scripted()
    for seed in (0, 1):
        ask(server.url, request(0), request(1), seed=seed)
    assert len({body["seed"] for body in server.bodies}) == 4


def test_a_passing_fault_is_tried_again() -> None:
    with FakeTeacher(faults={0: "429"}) as server:
        assert ask(server.url, max_retries=1)[0].error == ""
        assert server.received == 2


def test_without_usage_the_worst_case_is_charged() -> None:
    with FakeTeacher(faults={0: "no_usage"}) as server:
        (reply,) = ask(server.url, sampling=SamplingConfig(max_tokens=99))
    assert reply.usage == worst_case(MESSAGES, 99)
    assert reply.usage.estimated


def test_a_bad_request_is_an_error_reply_that_costs_nothing() -> None:
    with FakeTeacher(faults={0: "400"}) as server:
        (reply,) = ask(server.url)
    assert (reply.finish_reason, reply.error, reply.text) == ("error", "scripted 400", "")
    assert reply.usage.total == 0


def test_a_bad_request_is_not_tried_again() -> None:
    with FakeTeacher(faults={-1: "400"}) as server:
        ask(server.url, max_retries=3)
        assert server.received == 1


def test_a_reply_without_choices_is_an_error_reply_that_is_paid() -> None:
    with FakeTeacher(faults={0: "no_choices"}) as server:
        (reply,) = ask(server.url)
    assert (reply.finish_reason, reply.error) == ("error", "the reply has no choices")
    assert reply.usage.total == 150


def test_a_refusal_is_kept_as_the_error(scripted: Callable[..., Scripted]) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot."}
    (reply,) = ask(scripted(body={**BODY, "choices": [{**CHOICE, "message": message}]}).url)
    assert (reply.text, reply.error) == ("", "I cannot.")


def test_broken_unicode_from_the_endpoint_can_be_written(scripted: Callable[..., Scripted]) -> None:
    message = {"role": "assistant", "content": "a\ud800b"}
    (reply,) = ask(scripted(body={**BODY, "choices": [{**CHOICE, "message": message}]}).url)
    assert reply.model_dump_json().encode()
    assert re.fullmatch("a.b", reply.text)


@pytest.mark.parametrize("body", [[1], "hello", {"error": {"message": "overloaded"}}, {"choices": [None]}])
def test_a_body_that_is_no_completion_is_an_error_reply_at_its_worst_case(
    scripted: Callable[..., Scripted], body: Any
) -> None:
    (reply,) = ask(scripted(body=body).url)
    assert reply.finish_reason == "error"
    assert reply.usage == worst_case(MESSAGES, 2048)


ODD_BODIES: dict[str, dict[str, Any]] = {
    "usage without its parts": {**BODY, "usage": {"total_tokens": 10}},
    "usage of nulls": {**BODY, "usage": {"prompt_tokens": None, "completion_tokens": None}},
    "usage below zero": {**BODY, "usage": {"prompt_tokens": -1, "completion_tokens": 3}},
    "usage is a list": {**BODY, "usage": [7, 3]},
}


@pytest.mark.xfail(strict=True, reason="openai_compatible.py:103: the SDK checks no types; pydantic's error escapes")
@pytest.mark.parametrize("name", ODD_BODIES)
def test_usage_that_cannot_be_read_is_charged_at_the_worst_case(scripted: Callable[..., Scripted], name: str) -> None:
    (reply,) = ask(scripted(body=ODD_BODIES[name]).url)
    assert (reply.text, reply.usage) == ("###", worst_case(MESSAGES, 2048))


ODD_CHOICES: dict[str, Any] = {
    "no message": {"index": 0, "finish_reason": "stop"},
    "message is null": {**CHOICE, "message": None},
    "content is a list": {**CHOICE, "message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}},
    "choices are a string": "abc",
}


@pytest.mark.xfail(strict=True, reason="openai_compatible.py:110: the SDK checks no types; AttributeError escapes")
@pytest.mark.parametrize("name", ODD_CHOICES)
def test_a_choice_that_cannot_be_read_is_an_error_reply(scripted: Callable[..., Scripted], name: str) -> None:
    choice = ODD_CHOICES[name]
    (reply,) = ask(scripted(body={**BODY, "choices": choice if isinstance(choice, str) else [choice]}).url)
    assert reply.finish_reason == "error"


ADVICE = {
    "401": "OPENAI_API_KEY",
    "403": "access",
    "404": "teacher.base_url",
    "429": "teacher.concurrency",
    "500": "run again",
}


@pytest.mark.parametrize(("fault", "advice"), ADVICE.items())
def test_a_failure_says_what_to_set(fault: str, advice: str) -> None:
    with FakeTeacher(faults={-1: fault}) as server:
        assert advice in failure(server.url)


@pytest.mark.parametrize("fault", ADVICE)
def test_a_failure_says_where_and_what_the_endpoint_said(fault: str) -> None:
    with FakeTeacher(faults={-1: fault}) as server:
        text = failure(server.url)
        assert server.url in text
        assert f"scripted {fault}" in text


@pytest.mark.parametrize("fault", ["401", "403", "404"])
def test_what_no_retry_mends_is_tried_once(fault: str) -> None:
    with FakeTeacher(faults={-1: fault}) as server:
        failure(server.url, max_retries=3)
        assert server.received == 1


def test_a_refused_key_names_the_variable_that_is_configured() -> None:
    with FakeTeacher(faults={-1: "401"}) as server:
        assert "MY_KEY" in failure(server.url, api_key_env="MY_KEY")


def test_an_unknown_model_is_named(teacher: FakeTeacher) -> None:
    text = failure(teacher.url, model="gpt-99")
    assert "gpt-99" in text
    assert "teacher.model" in text


def test_an_unreachable_endpoint_says_which_address_to_set() -> None:
    url = closed_port()
    text = failure(url)
    assert url in text
    assert "teacher.base_url" in text
    assert "OPENAI_BASE_URL" in text


def test_a_slow_endpoint_says_which_time_to_set() -> None:
    with FakeTeacher(latency=0.5) as server:
        assert "teacher.timeout_s" in failure(server.url, timeout_s=0.05)


def test_without_key_and_address_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherError, match="OPENAI_API_KEY"):
        make_teacher(OpenAITeacherConfig(model="fake"), 0)


def test_an_endpoint_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch, teacher: FakeTeacher) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert ask(teacher.url)[0].error == ""


def test_the_address_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, teacher: FakeTeacher) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", teacher.url)
    assert ask("", base_url=None)[0].error == ""


@pytest.mark.parametrize("fault", ADVICE)
def test_the_key_is_in_no_error(fault: str) -> None:
    with FakeTeacher(faults={-1: fault}) as server:
        assert KEY not in failure(server.url)


def test_the_key_is_in_no_error_of_an_unreachable_endpoint() -> None:
    assert KEY not in failure(closed_port())


ECHO = {"error": {"message": f"Authentication failed: received API key = {KEY}"}}


@pytest.mark.xfail(strict=True, reason="openai_compatible.py:164: the endpoint's words are passed on, key and all")
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_key_that_the_endpoint_repeats_is_in_no_error(scripted: Callable[..., Scripted], status: int) -> None:
    assert KEY not in failure(scripted(status, ECHO).url)


@pytest.mark.xfail(strict=True, reason="openai_compatible.py:164: a refusal's words go to the journal, key and all")
def test_a_key_that_the_endpoint_repeats_is_in_no_reply(scripted: Callable[..., Scripted]) -> None:
    assert KEY not in ask(scripted(400, ECHO).url)[0].error


@pytest.mark.xfail(
    strict=True, reason="openai_compatible.py:153: 'Illegal header value b'Bearer sk-...'' is printed and journaled"
)
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_a_key_read_with_its_line_end_is_in_no_error(
    monkeypatch: pytest.MonkeyPatch, teacher: FakeTeacher, end: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + end)
    try:
        ask(teacher.url)
    except TeacherError as problem:
        assert KEY not in str(problem)


@pytest.mark.xfail(
    strict=True, reason="openai_compatible.py:92: UnicodeEncodeError is a ValueError, taken for a paid, broken reply"
)
def test_a_key_with_a_stray_character_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, teacher: FakeTeacher
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + "…")
    assert "OPENAI_API_KEY" in failure(teacher.url)


@pytest.mark.xfail(strict=True, reason="openai_compatible.py:130: the address is shown with its user and password")
def test_a_password_in_the_address_is_in_no_error() -> None:
    with FakeTeacher(faults={-1: "500"}) as server:
        assert KEY not in failure(server.url.replace("http://", f"http://me:{KEY}@"))
