"""Replies by a schema: how an endpoint is asked for them, and what becomes of one that refuses."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from conftest import FakeTeacher
from seedtune.config import OpenAITeacherConfig, SamplingConfig
from seedtune.errors import TeacherError
from seedtune.records import Decoding, Message, Reply, Request
from seedtune.teachers import NotStructured
from seedtune.teachers.endpoints import Clock
from seedtune.teachers.openai_compatible import OpenAITeacher
from seedtune.teachers.structure import Structure

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"tasks": {"type": "array"}}}
REFUSALS = {
    "openai": "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
    "volcengine": "The parameter `response_format.type` is not valid: supported values are: `json_object` and `text`",
    "deepseek": "This response_format type is unavailable now",
    "vllm": "Grammar error: unsupported keyword in the schema",
}


class Books:
    """An account that writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def sending(self, requests: Sequence[Request]) -> None:
        self.lines += [("sending", request.index) for request in requests]

    def failed(self, requests: Sequence[Request], why: str, paid: bool) -> None:
        self.lines += [("lost" if paid else "turned away", request.index) for request in requests]

    def keep(self, requests: Sequence[Request], ticket: str) -> None:
        pass

    def kept(self, requests: Sequence[Request]) -> str:
        return ""


class Refusing(FakeTeacher):
    """Refuses what has a schema, with the status and in the words of the test; keeps what it was sent."""

    def __init__(self, status: int = 400, said: str = REFUSALS["openai"], body: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.status, self.refusal = status, body or {"error": {"message": said}}
        self.bodies: list[dict[str, Any]] = []

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        return (self.status, self.refusal) if "response_format" in body else super().answer(body)


def request(index: int = 0, schema: dict[str, Any] | None = SCHEMA, decoding: Decoding | None = None) -> Request:
    return Request(
        index=index,
        pack="made",
        parents=(),
        messages=(Message(role="user", content="Write tasks."),),
        reply_schema=schema,
        decoding=decoding,
    )


def teacher_at(url: str | list[str], **config: Any) -> OpenAITeacher:
    settings = {"model": "fake", "base_url": url, "max_retries": 0} | config
    return OpenAITeacher(OpenAITeacherConfig.model_validate(settings), 0, Clock(speed=100))


def ask(teacher: OpenAITeacher, *requests: Request, books: Books | None = None) -> list[Reply]:
    async def complete() -> list[Reply]:
        try:
            return await teacher.complete(requests, books or Books())
        finally:
            await teacher.close()

    return asyncio.run(complete())


def test_a_schema_is_sent_as_a_strict_response_format() -> None:
    with Refusing(status=200) as server:
        ask(teacher_at(server.url), request())
    sent = server.bodies[0]["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "tasks", "strict": True, "schema": SCHEMA}}


def test_a_request_without_a_schema_asks_for_text(teacher: FakeTeacher) -> None:
    with Refusing() as server:
        assert ask(teacher_at(server.url), request(schema=None))[0].error == ""
    assert "response_format" not in server.bodies[0]


def test_a_reply_by_a_schema_comes_back_as_its_json(teacher: FakeTeacher) -> None:
    (reply,) = ask(teacher_at(teacher.url), request())
    assert len(json.loads(reply.text)["tasks"]) == 2


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_schema_that_is_refused_costs_nothing_and_is_not_asked_for_again(status: int, name: str) -> None:
    books = Books()
    with Refusing(status, REFUSALS[name]) as server:
        teacher = teacher_at(server.url)
        assert teacher.structured
        with pytest.raises(NotStructured):
            ask(teacher, request(), books=books)
    assert not teacher.structured
    assert books.lines == [("sending", 0), ("turned away", 0)]


def test_a_refusal_in_the_way_of_a_validator_is_understood() -> None:
    where = {"loc": ["body", "response_format", "type"], "msg": "Input should be 'text'"}
    with Refusing(422, body={"detail": [where]}) as server, pytest.raises(NotStructured):
        ask(teacher_at(server.url), request())


def test_after_a_refusal_no_schema_is_sent() -> None:
    books = Books()

    async def twice(teacher: OpenAITeacher) -> None:
        for index in range(2):
            with pytest.raises(NotStructured):
                await teacher.complete([request(index)], books)
        assert (await teacher.complete([request(2, schema=None)], books))[0].error == ""
        await teacher.close()

    with Refusing() as server:
        asyncio.run(twice(teacher_at(server.url)))
    assert ["response_format" in body for body in server.bodies] == [True, False]
    assert books.lines == [("sending", 0), ("turned away", 0), ("sending", 2)]


@pytest.mark.parametrize("first", ["taken", "refused"])
def test_addresses_that_differ_are_warned_of_once_a_schema_was_answered(
    first: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask_both(teacher: OpenAITeacher) -> None:
        for index in range(2):
            with contextlib.suppress(NotStructured):
                await teacher.complete([request(index)], Books())
            # A place that is held makes the next request go to the other address.
            await teacher._endpoints.place(9, 0)  # pyright: ignore[reportPrivateUsage]
        await teacher.close()

    with FakeTeacher() as willing, Refusing() as refusing:
        urls = [willing.url, refusing.url]
        asyncio.run(ask_both(teacher_at(urls if first == "taken" else urls[::-1])))
    assert ("depends on time" in caplog.text) == (first == "taken")


def test_of_several_requests_those_refused_are_missing() -> None:
    with Refusing() as server:
        replies = ask(teacher_at(server.url), request(0), request(1, schema=None), request(2))
    assert [reply.index for reply in replies] == [1]


def test_a_refusal_of_something_else_is_an_error_reply() -> None:
    with Refusing(said="max_tokens is too large") as server:
        teacher = teacher_at(server.url)
        assert ask(teacher, request())[0].error == "max_tokens is too large"
    assert teacher.structured


def test_a_text_request_that_is_refused_says_nothing_of_schemas(teacher: FakeTeacher) -> None:
    teacher.faults = {-1: "400"}
    endpoint = teacher_at(teacher.url)
    assert ask(endpoint, request(schema=None))[0].error == "scripted 400"
    assert endpoint.structured


def test_who_insists_on_schemas_is_told_what_to_set() -> None:
    books = Books()
    with Refusing() as server, pytest.raises(TeacherError, match=r"teacher\.structured_output") as caught:
        ask(teacher_at(server.url, structured_output="on"), request(), books=books)
    assert REFUSALS["openai"] in str(caught.value)
    assert books.lines == [("sending", 0), ("turned away", 0)]


def test_who_wants_text_is_offered_no_schemas(teacher: FakeTeacher) -> None:
    assert not teacher_at(teacher.url, structured_output="off").structured
    assert Structure("on").offered


def test_a_prompt_that_does_not_fit_says_what_helps() -> None:
    said = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (response_format)."
    with Refusing(said=said) as server:
        teacher = teacher_at(server.url)
        (reply,) = ask(teacher, request())
    assert said in reply.error
    assert "generate.seeds_per_request" in reply.error
    assert teacher.structured


def test_what_was_thought_is_no_part_of_the_text(teacher: FakeTeacher) -> None:
    message = {"role": "assistant", "content": "###", "reasoning_content": "I think"}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}]}
    with Refusing(status=200, body=answer) as server:
        assert ask(teacher_at(server.url), request())[0].text == "###"


OWN = Decoding(temperature=0, top_p=0.5, max_tokens=3, presence_penalty=1.5, stop=("\n\n", "Task:"))


def test_a_request_brings_its_own_decoding() -> None:
    with Refusing() as server:
        ask(teacher_at(server.url, sampling=SamplingConfig(max_tokens=99)), request(schema=None, decoding=OWN))
    names = ("temperature", "top_p", "max_tokens", "presence_penalty", "stop")
    assert [server.bodies[0][name] for name in names] == [0, 0.5, 3, 1.5, ["\n\n", "Task:"]]


def test_what_a_request_leaves_open_is_the_teachers() -> None:
    sampling = SamplingConfig(temperature=0.3, top_p=0.8, max_tokens=99)
    with Refusing() as server:
        ask(teacher_at(server.url, sampling=sampling), request(schema=None, decoding=Decoding(top_p=0.5)))
    body = server.bodies[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.3, 0.5, 99)
    assert not {"stop", "presence_penalty"} & set(body)


def test_in_a_batch_only_what_has_a_schema_is_left_out() -> None:
    books = Books()
    with Refusing() as server:
        teacher = teacher_at(server.url, transport="batch")
        replies = ask(teacher, request(0), request(1, schema=None, decoding=OWN), books=books)
    assert [reply.index for reply in replies] == [1]
    assert not teacher.structured
    assert ("turned away", 0) in books.lines
    assert server.bodies[1]["stop"] == ["\n\n", "Task:"]


def test_a_batch_of_schemas_alone_is_not_sent_once_they_are_refused() -> None:
    async def twice(teacher: OpenAITeacher) -> None:
        assert await teacher.complete([request(0)], Books()) == []
        with pytest.raises(NotStructured):
            await teacher.complete([request(0)], Books())
        await teacher.close()

    with Refusing() as server:
        asyncio.run(twice(teacher_at(server.url, transport="batch")))
        assert len(server.batches.created) == 1


def test_a_batch_insists_on_schemas_where_the_config_does() -> None:
    with Refusing() as server, pytest.raises(TeacherError, match=r"teacher\.structured_output"):
        ask(teacher_at(server.url, transport="batch", structured_output="on"), request())
