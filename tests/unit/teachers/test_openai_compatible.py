"""A teacher over HTTP: what becomes of good replies, odd ones and refusals, and what an error tells its reader."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from conftest import FakeTeacher
from fake_teacher import Attempt, FaultyTeacher
from seedtune.config import OpenAITeacherConfig, Prices, SamplingConfig
from seedtune.errors import TeacherError
from seedtune.records import Message, Reply, Request
from seedtune.teachers import Forbidden, make_teacher, worst_case
from seedtune.teachers.endpoints import Clock
from seedtune.teachers.openai_compatible import OpenAITeacher

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
    assert reply.usage == worst_case(request(), SamplingConfig(max_tokens=99))
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
    assert reply.usage == worst_case(request(), SamplingConfig())


ODD_USAGE: dict[str, Any] = {
    "without its parts": {"total_tokens": 10},
    "nulls": {"prompt_tokens": None, "completion_tokens": None},
    "below zero": {"prompt_tokens": -1, "completion_tokens": 3},
    "a list": [7, 3],
}


@pytest.mark.parametrize("name", ODD_USAGE)
def test_usage_that_cannot_be_read_is_charged_at_the_worst_case(server: Scripted, name: str) -> None:
    (reply,) = ask(server.say(body={**BODY, "usage": ODD_USAGE[name]}))
    assert (reply.text, reply.usage) == ("###", worst_case(request(), SamplingConfig()))


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


class Books:
    """An account that writes down what it is told."""

    def __init__(self, allowed: int = 1000) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.allowed = allowed

    def sending(self, requests: Sequence[Request]) -> None:
        if self.allowed == 0:
            raise Forbidden
        self.allowed -= 1
        self.lines.append(("sending", *(request.index for request in requests)))

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        self.lines.append(("lost" if paid else "turned away", why))

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        self.lines.append(("keep", ticket))

    def kept(self, requests: Sequence[Request]) -> str:
        return ""


def ask_quickly(url: str, books: Books, **config: Any) -> Reply:
    """One request, with every rest cut short."""
    settings = {"model": "fake", "base_url": url, "timeout_s": 0.5} | config
    teacher = OpenAITeacher(OpenAITeacherConfig.model_validate(settings), 0, Clock(speed=100))

    async def complete() -> list[Reply]:
        try:
            return await teacher.complete([request()], books)
        finally:
            await teacher.close()

    return asyncio.run(complete())[0]


def first_attempt(fault: str) -> FaultyTeacher:
    return FaultyTeacher(fault=lambda attempt: fault if attempt.number == 0 else "")


@pytest.mark.parametrize(
    "fault", ["500", "503", "529", "hang", "reset", "cut", "truncated", "encoding", "trickle", "408"]
)
def test_what_may_have_been_paid_is_on_the_books_before_it_is_sent_again(fault: str) -> None:
    books = Books()
    with first_attempt(fault) as server:
        reply = ask_quickly(server.url, books)
    assert reply.error == ""
    assert [line[0] for line in books.lines] == ["sending", "lost", "sending"]


@pytest.mark.parametrize("fault", ["429", "429 retry"])
def test_what_was_refused_is_on_the_books_as_turned_away(fault: str) -> None:
    books = Books()
    with first_attempt(fault) as server:
        ask_quickly(server.url, books)
    assert books.lines == [("sending", 0), ("turned away", "429"), ("sending", 0)]


def test_what_never_left_is_on_the_books_as_turned_away() -> None:
    books = Books()
    with pytest.raises(TeacherError, match="cannot be reached"):
        ask_quickly(closed_port(), books, max_retries=2)
    assert books.lines == [("sending", 0), ("turned away", "ConnectError")] * 3


def test_what_the_account_forbids_is_not_sent() -> None:
    with FaultyTeacher(fault=lambda _: "500") as server:
        with pytest.raises(Forbidden):
            ask_quickly(server.url, Books(allowed=2))
        assert len(server.loads) == 2


def test_each_reply_of_an_attempt_says_why_it_failed() -> None:
    books = Books()
    faults = ["500", "hang", "reset", "truncated", "429"]
    with FaultyTeacher(fault=lambda attempt: faults[attempt.number] if attempt.number < 5 else "") as server:
        ask_quickly(server.url, books)
    assert [line[1] for line in books.lines if line[0] != "sending"] == [
        "500",
        "timeout",
        "ReadError",
        "broken reply",
        "429",
    ]


def test_a_body_that_is_never_json_is_an_error_reply_in_the_end() -> None:
    books = Books()
    with FaultyTeacher(fault=lambda _: "truncated") as server:
        reply = ask_quickly(server.url, books, max_retries=2)
        assert len(server.loads) == 3
    assert (reply.error, reply.usage.total) == ("given up after 3 attempts: broken reply", 0)
    assert books.lines == [("sending", 0), ("lost", "broken reply")] * 3


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_an_account_without_money_is_not_asked_again(server: Scripted, code: str) -> None:
    server.say(429, {"error": {"message": "You exceeded your current quota", "code": code, "type": code}})
    text = failure(server.url, max_retries=5)
    assert "exceeded your current quota" in text
    assert "Top up" in text
    assert len(server.bodies) == 1


def test_an_unknown_model_is_found_out_whatever_the_status(server: Scripted) -> None:
    server.say(400, {"error": {"message": "no such model", "code": "model_not_found"}})
    assert "teacher.model" in failure(server.url, max_retries=5)
    assert len(server.bodies) == 1


def test_a_failure_without_any_reply_before_stops_after_the_retries(server: Scripted) -> None:
    text = failure(server.fail("500"), max_retries=1)
    assert server.received == 2
    assert "Nothing came of 2 attempts" in text


def test_details_of_the_usage_are_kept(server: Scripted) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 2}}
    (reply,) = ask(server.say(body={**BODY, "usage": BODY["usage"] | details}))
    assert (reply.usage.cached_tokens, reply.usage.reasoning_tokens, reply.usage.estimated) == (5, 2, False)


@pytest.mark.parametrize("details", [None, {}, [], {"cached_tokens": "many"}, {"cached_tokens": -1}])
def test_details_that_cannot_be_read_do_not_spoil_the_usage(server: Scripted, details: Any) -> None:
    (reply,) = ask(server.say(body={**BODY, "usage": BODY["usage"] | {"prompt_tokens_details": details}}))
    assert (reply.usage.prompt_tokens, reply.usage.cached_tokens) == (7, None)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "http://", "http://[1::2", "ftp://host/v1", "host"])
def test_an_address_that_is_none_is_an_error_that_shows_one(url: str) -> None:
    with pytest.raises(TeacherError, match="expected one such as http://"):
        make_teacher(OpenAITeacherConfig(model="fake", base_url=url), 0)


def test_a_trickling_reply_does_not_outlast_the_time_limit() -> None:
    with first_attempt("trickle") as server:
        assert ask_quickly(server.url, Books()).error == ""
        assert len(server.loads) == 2


def test_a_request_that_failed_at_one_address_goes_to_another() -> None:
    def fault(_: Attempt) -> str:
        return "500"

    with FaultyTeacher(fault=fault) as bad, FaultyTeacher() as good:
        settings = {"model": "fake", "base_url": [bad.url, good.url]}
        teacher = OpenAITeacher(OpenAITeacherConfig.model_validate(settings), 0, Clock(speed=100))

        async def complete() -> list[list[Reply]]:
            calls = (teacher.complete([request(index)]) for index in range(8))
            try:
                return await asyncio.gather(*calls)
            finally:
                await teacher.close()

        replies = asyncio.run(complete())
    assert [reply.error for (reply,) in replies] == [""] * 8
    assert max(bad.attempts.values()) <= 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": ["http://a", "http://a"]}, "different"),
        ({"base_url": ["http://a", ""]}, "different"),
        ({"base_url": ["http://a", "http://b"], "transport": "batch"}, "one address"),
        (
            {"transport": "batch", "prices": Prices(input_per_million=1, output_per_million=1, as_of="2026-11-01")},
            "batch_factor",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OpenAITeacherConfig.model_validate({"model": "fake"} | settings)
