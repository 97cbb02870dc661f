"""Fields of a request's body that the user adds or takes away, and what a refusal of one tells its reader."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import FakeTeacher
from seedtune.config import EndpointRivalConfig, OpenAITeacherConfig
from seedtune.evaluate.subjects import Endpoint
from seedtune.records import Decoding, Message, Reply, Request
from seedtune.teachers import make_teacher


class Strict(FakeTeacher):
    """Keeps what it is sent; refuses in the words of the test, if there are any."""

    def __init__(self, status: int = 400, refusal: Any = None) -> None:
        super().__init__()
        self.status, self.refusal = status, refusal
        self.bodies: list[dict[str, Any]] = []

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        return super().answer(body) if self.refusal is None else (self.status, self.refusal)


@pytest.fixture
def server() -> Iterator[Strict]:
    with Strict() as started:
        yield started


def config(**settings: Any) -> OpenAITeacherConfig:
    return OpenAITeacherConfig.model_validate({"model": "fake", "max_retries": 0} | settings)


def ask(url: str, **settings: Any) -> Reply:
    teacher = make_teacher(config(base_url=url, **settings), 0)
    messages = (Message(role="user", content="Write tasks."),)
    request = Request(index=0, pack="made", parents=(), messages=messages, decoding=Decoding(stop=("###",)))

    async def complete() -> list[Reply]:
        try:
            return await teacher.complete([request])
        finally:
            await teacher.close()

    return asyncio.run(complete())[0]


def test_what_is_added_is_in_the_body_of_each_request(server: Strict) -> None:
    added = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 20, "metadata": {"team": None}}
    ask(server.url, extra_body=added)
    assert {name: server.bodies[0][name] for name in added} == added


@pytest.mark.parametrize("field", ["seed", "temperature", "top_p", "presence_penalty", "stop"])
def test_null_takes_one_field_away_and_leaves_the_others(server: Strict, field: str) -> None:
    sampling = {"presence_penalty": 1.5}
    ask(server.url, sampling=sampling)
    ask(server.url, sampling=sampling, extra_body={field: None})
    assert server.bodies[1] == {name: value for name, value in server.bodies[0].items() if name != field}


def test_a_batch_has_the_same_bodies(server: Strict) -> None:
    ask(server.url, extra_body={"top_k": 20, "seed": None})
    ask(server.url, extra_body={"top_k": 20, "seed": None}, transport="batch")
    assert server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize("value", [None, 5])
@pytest.mark.parametrize(
    "field", ["model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "response_format", "tools"]
)
def test_what_the_budget_and_the_reading_rest_on_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{field}' is decided by"):
        config(extra_body={field: value})


def test_what_each_request_has_of_its_own_cannot_be_set_for_all() -> None:
    with pytest.raises(ValueError, match="'seed' can only be taken away"):
        config(extra_body={"seed": 5})


@pytest.mark.parametrize("body", [{"api_key": "x"}, {"a": [{"Api-Key": "x"}]}, {"headers": {"Authorization": "x"}}])
def test_what_looks_like_a_key_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="keys live in the environment"):
        config(extra_body=body)


FORBIDDEN = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": 1}
REFUSALS: dict[str, tuple[int, Any, str]] = {
    "a validator": (422, {"detail": [FORBIDDEN]}, "teacher.extra_body={seed: null}"),
    "openai": (
        400,
        {"error": {"message": "Unsupported parameter: 'temperature' is not supported with this model."}},
        "teacher.extra_body={temperature: null}",
    ),
    "openai, a value": (
        400,
        {
            "error": {
                "message": "'top_p' does not support 0.9 with this model. Only the default (1) value is supported."
            }
        },
        "teacher.extra_body={top_p: null}",
    ),
    "named apart": (
        400,
        {"error": {"message": "This parameter is not supported with this model.", "param": "stop"}},
        "teacher.extra_body={stop: null}",
    ),
    "older": (400, {"error": {"message": "Unrecognized request argument supplied: seed"}}, "{seed: null}"),
    "several": (
        422,
        {"detail": [FORBIDDEN, FORBIDDEN | {"loc": ["body", "top_p"]}]},
        "teacher.extra_body={seed: null, top_p: null}",
    ),
    "the limit": (
        400,
        {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}},
        "teacher.max_tokens_field=max_completion_tokens",
    ),
    "what was added": (
        422,
        {"detail": [FORBIDDEN | {"loc": ["body", "top_k"]}]},
        "take top_k out of teacher.extra_body",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_of_a_field_says_how_to_leave_it_out(name: str) -> None:
    status, refusal, advice = REFUSALS[name]
    with Strict(status, refusal) as server:
        assert advice in ask(server.url, extra_body={"top_k": 20}).error


@pytest.mark.parametrize("said", ["the prompt is unsafe", "temperature is too high", "an unknown problem, please stop"])
def test_a_refusal_of_something_else_advises_nothing(said: str) -> None:
    with Strict(400, {"error": {"message": said}}) as server:
        assert ask(server.url).error == said


def test_answers_of_a_rival_are_those_of_its_body() -> None:
    def digest(**settings: Any) -> str:
        tree = {"type": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1", **settings}
        return Endpoint("rival", EndpointRivalConfig.model_validate(tree)).digest

    assert digest() == digest(extra_body={}) != digest(extra_body={"top_k": 20})
    assert digest(extra_body={"seed": None}) != digest()
