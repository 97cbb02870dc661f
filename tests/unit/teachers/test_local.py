"""The teacher on this machine, with the tiny LLaMA."""

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from seedtune.config import LocalTeacherConfig, OpenAITeacherConfig, SamplingConfig
from seedtune.errors import TeacherError
from seedtune.records import Decoding, Message, Reply, Request
from seedtune.teachers import block_of, protocol
from seedtune.teachers.decoding import Decoder
from seedtune.teachers.local import LocalTeacher

PREFIX = "###\n1. Instruction:"


def request(
    index: int,
    content: str = "Write tasks on the session of a peer.",
    prefix: str = "",
    decoding: Decoding | None = None,
) -> Request:
    return Request(
        index=index,
        pack="made",
        parents=(),
        messages=(Message(role="user", content=content),),
        prefix=prefix,
        decoding=decoding,
    )


BATCH = [
    request(0),
    request(1, "Answer.", prefix=PREFIX),
    request(2, "A prompt that is a good deal longer than the others " * 3),
]


def local_teacher(
    model: Path, seed: int = 0, max_tokens: int = 24, temperature: float = 1.0, **settings: Any
) -> LocalTeacher:
    sampling = SamplingConfig(max_tokens=max_tokens, temperature=temperature)
    return LocalTeacher(LocalTeacherConfig(model=str(model), dtype="float32", sampling=sampling, **settings), seed)


def ask(teacher: LocalTeacher, requests: Sequence[Request]) -> list[Reply]:
    return asyncio.run(teacher.complete(requests))


def texts(replies: Sequence[Reply]) -> list[str]:
    return [reply.text for reply in replies]


@pytest.fixture(scope="module")
def greedy(tiny_llama: Path) -> LocalTeacher:
    return local_teacher(tiny_llama, temperature=0.0)


@pytest.fixture(scope="module")
def sampling(tiny_llama: Path) -> LocalTeacher:
    return local_teacher(tiny_llama)


def prompt_ids(model: Path, asked: Request) -> list[int]:
    tokenizer = AutoTokenizer.from_pretrained(model)
    text = f"<|user|>\n{asked.messages[0].content}<|end|>\n<|assistant|>\n{asked.prefix}"
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@torch.inference_mode()
def greedy_ids(model: Path, asked: Request, count: int) -> list[int]:
    """Greedy continuation, one forward pass over everything per token."""
    llama = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    prompt = prompt_ids(model, asked)
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(llama(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def stopping_after(tiny_llama: Path, target: Path, asked: Request, tokens: int) -> Path:
    """The tiny LLaMA, whose generation config names the ``tokens``-th token of a greedy reply as a second end."""
    folder = shutil.copytree(tiny_llama, target)
    ids = greedy_ids(tiny_llama, asked, tokens)
    assert ids[-1] not in ids[:-1]
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": [1, ids[-1]]}))
    return folder


@contextmanager
def counted_forward_passes() -> Iterator[list[int]]:
    """Grows by one for each forward pass of a whole LLaMA."""
    passes: list[int] = []

    def count(module: torch.nn.Module, *_: object) -> None:
        if isinstance(module, LlamaForCausalLM):
            passes.append(1)

    hook = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield passes
    finally:
        hook.remove()


def test_the_same_batch_gives_the_same_text(sampling: LocalTeacher) -> None:
    assert texts(ask(sampling, BATCH)) == texts(ask(sampling, BATCH))


def test_the_same_batch_gives_the_same_text_in_another_session(tiny_llama: Path, sampling: LocalTeacher) -> None:
    assert texts(ask(local_teacher(tiny_llama), BATCH)) == texts(ask(sampling, BATCH))


def test_the_same_batch_gives_the_same_text_whatever_came_before(sampling: LocalTeacher) -> None:
    first = texts(ask(sampling, BATCH))
    ask(sampling, [request(8)])
    torch.manual_seed(99)
    assert texts(ask(sampling, BATCH)) == first


def test_another_seed_gives_other_text(tiny_llama: Path, sampling: LocalTeacher) -> None:
    assert texts(ask(local_teacher(tiny_llama, seed=1), BATCH)) != texts(ask(sampling, BATCH))


def test_another_batch_of_the_same_prompts_gives_other_text(sampling: LocalTeacher) -> None:
    later = [asked.model_copy(update={"index": asked.index + 8}) for asked in BATCH]
    assert texts(ask(sampling, later)) != texts(ask(sampling, BATCH))


def test_rows_of_a_batch_with_the_same_prompt_differ(sampling: LocalTeacher) -> None:
    assert len(set(texts(ask(sampling, [request(index) for index in range(4)])))) == 4


def test_greedy_replies_are_those_of_plain_decoding(tiny_llama: Path, greedy: LocalTeacher) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    expected = [
        asked.prefix + tokenizer.decode(greedy_ids(tiny_llama, asked, 24), skip_special_tokens=True) for asked in BATCH
    ]
    assert texts(ask(greedy, BATCH)) == expected


def test_greedy_replies_in_a_batch_are_those_alone(greedy: LocalTeacher) -> None:
    assert texts(ask(greedy, BATCH)) == [ask(greedy, [asked])[0].text for asked in BATCH]


def test_replies_come_in_the_order_of_the_requests(sampling: LocalTeacher) -> None:
    requests = [request(index) for index in (16, 17, 18)]
    assert [reply.index for reply in ask(sampling, requests)] == [16, 17, 18]


def test_a_reply_begins_with_the_prefix(sampling: LocalTeacher) -> None:
    reply = ask(sampling, [request(0, prefix=PREFIX)])[0]
    assert reply.text.startswith(PREFIX)
    assert len(reply.text) > len(PREFIX)


def test_a_reply_goes_on_from_the_prefix(greedy: LocalTeacher) -> None:
    with_prefix, without = ask(greedy, [request(0, prefix=PREFIX), request(1)])
    assert with_prefix.text.removeprefix(PREFIX) != without.text


def test_a_reply_holds_no_special_tokens(sampling: LocalTeacher) -> None:
    assert not any("<|" in text for text in texts(ask(sampling, BATCH)))


def test_a_reply_that_is_cut_off_ends_by_length(greedy: LocalTeacher) -> None:
    assert [reply.finish_reason for reply in ask(greedy, BATCH)] == ["length"] * 3


def test_a_reply_that_ends_by_itself_ends_by_stop(tiny_llama: Path, tmp_path: Path) -> None:
    teacher = local_teacher(stopping_after(tiny_llama, tmp_path / "llama", BATCH[0], 1), temperature=0.0)
    reply = ask(teacher, [BATCH[0]])[0]
    assert (reply.finish_reason, reply.text, reply.usage.completion_tokens) == ("stop", "", 1)


def test_a_reply_ends_by_stop_beside_one_that_goes_on(tiny_llama: Path, tmp_path: Path) -> None:
    teacher = local_teacher(stopping_after(tiny_llama, tmp_path / "llama", BATCH[0], 1), temperature=0.0)
    ended, longer = ask(teacher, [BATCH[0], BATCH[1]])
    assert (ended.finish_reason, ended.text, ended.usage.completion_tokens) == ("stop", "", 1)
    assert longer.usage.completion_tokens > 1


def test_usage_counts_the_tokens_of_prompt_and_prefix_without_padding(tiny_llama: Path, greedy: LocalTeacher) -> None:
    counted = [reply.usage.prompt_tokens for reply in ask(greedy, BATCH)]
    assert counted == [len(prompt_ids(tiny_llama, asked)) for asked in BATCH]


def test_usage_counts_the_tokens_written(greedy: LocalTeacher) -> None:
    assert [reply.usage.completion_tokens for reply in ask(greedy, BATCH)] == [24, 24, 24]


def test_usage_is_counted_and_not_estimated(greedy: LocalTeacher) -> None:
    assert not any(reply.usage.estimated for reply in ask(greedy, BATCH))


def test_an_interrupt_ends_the_batch_with_cancelled_error(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, max_tokens=1800)

    async def interrupted() -> None:
        work = asyncio.create_task(teacher.complete([request(0)]))
        await asyncio.sleep(0)
        teacher.interrupt()
        await work

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())


def test_an_interrupt_stops_decoding_at_the_next_token(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, max_tokens=1800, temperature=0.0)
    with counted_forward_passes() as passes:

        def interrupt_at_the_tenth(*_: object) -> None:
            if len(passes) == 10:
                teacher.interrupt()

        hook = torch.nn.modules.module.register_module_forward_hook(interrupt_at_the_tenth)
        try:
            with pytest.raises(asyncio.CancelledError):
                ask(teacher, BATCH)
        finally:
            hook.remove()
    assert len(passes) == 10


def test_the_loop_stays_awake_while_the_teacher_decodes(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, max_tokens=1800, temperature=0.0)

    async def watch() -> bool:
        work = asyncio.create_task(teacher.complete(BATCH))
        await asyncio.sleep(0)
        # Only a loop that is awake gets here before the work is done, and can interrupt it.
        teacher.interrupt()
        await asyncio.wait([work])
        return work.cancelled()

    assert asyncio.run(watch())


def test_sampling_leaves_no_token_out_that_the_config_does_not_exclude(tiny_llama: Path, tmp_path: Path) -> None:
    flat = shutil.copytree(tiny_llama, tmp_path / "flat")
    model = AutoModelForCausalLM.from_pretrained(flat)
    # One embedding for all tokens, and hardly any weight on the logits: at every place the same distribution, all but
    # uniform over the whole vocabulary.
    torch.nn.init.ones_(model.model.embed_tokens.weight)
    model.lm_head.weight.data *= 1e-3
    model.save_pretrained(flat)
    tokenizer = AutoTokenizer.from_pretrained(flat)
    replies = ask(local_teacher(flat, max_tokens=100), [request(index, "A") for index in range(32)])
    # About 50 under a limit of 50, about 240 without one (some of the 298 are parts of characters).
    seen = {token for reply in replies for token in tokenizer(reply.text)["input_ids"]}
    assert len(seen) > 150


def test_the_teachers_name_is_the_models(tiny_llama: Path, greedy: LocalTeacher) -> None:
    assert greedy.name == str(tiny_llama)


def test_one_batch_is_in_flight_at_a_time_on_a_cpu(greedy: LocalTeacher) -> None:
    assert (greedy.concurrency, greedy.batch_size) == (1, 8)


def test_continuous_decoding_has_a_request_waiting_for_the_next_free_place(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, continuous=True)
    assert (teacher.concurrency, teacher.batch_size) == (9, 1)


@pytest.mark.parametrize(
    ("settings", "device", "block"),
    [
        ({}, "cpu", 8),
        ({}, "mps", 8),
        ({}, "cuda", 1),
        ({"continuous": False}, "cuda", 8),
        ({"continuous": True}, "cpu", 1),
        ({"continuous": True, "batch_size": 1}, "cpu", 1),
    ],
)
def test_decoding_is_continuous_on_a_gpu_unless_the_config_says_otherwise(
    settings: dict[str, Any], device: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "pick_device", lambda: torch.device(device))
    assert block_of(LocalTeacherConfig(**settings)) == block


def test_an_endpoints_requests_stand_alone() -> None:
    assert block_of(OpenAITeacherConfig(model="any")) == 1


async def one_by_one(teacher: LocalTeacher, requests: Sequence[Request]) -> list[Reply]:
    """As the loop hands them over: as many calls at once as are of use."""
    places = asyncio.Semaphore(teacher.concurrency)

    async def call(asked: Request) -> Reply:
        async with places:
            return (await teacher.complete([asked]))[0]

    return await asyncio.gather(*map(call, requests))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_is_the_same_in_continuous_decoding_and_alone(tiny_llama: Path, temperature: float) -> None:
    teacher = local_teacher(tiny_llama, temperature=temperature, continuous=True, batch_size=3)
    asked = [
        request(
            index, "Write tasks on the session. " + "peer " * (37 * index % 23), decoding=Decoding(max_tokens=count)
        )
        for index, count in enumerate((20, 1, 9, 50, 17, 1, 30, 90, 5, 12, 3, 25))
    ]
    alone = local_teacher(tiny_llama, temperature=temperature)
    replies = asyncio.run(one_by_one(teacher, asked))
    assert texts(replies) == [ask(alone, [one])[0].text for one in asked]
    assert [reply.index for reply in replies] == list(range(12))


def test_continuous_decoding_goes_on_after_a_pause(tiny_llama: Path, greedy: LocalTeacher) -> None:
    teacher = local_teacher(tiny_llama, temperature=0.0, continuous=True)
    for _ in range(2):
        assert texts(asyncio.run(one_by_one(teacher, BATCH))) == texts(ask(greedy, BATCH))


def test_a_request_takes_the_place_of_one_that_has_ended(tiny_llama: Path) -> None:
    """Twelve replies of 10 or 40 tokens, two at a time: in batches, each pair would take as long as its longer one."""
    teacher = local_teacher(tiny_llama, temperature=0.0, continuous=True, batch_size=2)
    asked = [request(index, decoding=Decoding(max_tokens=10 + 30 * (index % 2))) for index in range(12)]

    async def at_once() -> list[list[Reply]]:
        return await asyncio.gather(*(teacher.complete([one]) for one in asked))

    with counted_forward_passes() as passes:
        replies = asyncio.run(at_once())
    assert sum(reply.usage.completion_tokens for (reply,) in replies) == 300
    # One pass for each prompt and one for the beginning that they share; then two rows at a time, but for the last one.
    assert len(passes) <= 13 + 300 // 2 + 40
    assert len(passes) < 12 + 6 * 39


def test_an_interrupt_breaks_continuous_decoding_off_at_the_next_token(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, max_tokens=1800, temperature=0.0, continuous=True, batch_size=2)
    with counted_forward_passes() as passes:

        def interrupt_at_the_tenth(*_: object) -> None:
            if len(passes) == 10:
                teacher.interrupt()

        async def interrupted() -> list[bool]:
            work = [asyncio.create_task(teacher.complete([request(index)])) for index in range(3)]
            await asyncio.wait(work)
            return [task.cancelled() for task in work]

        hook = torch.nn.modules.module.register_module_forward_hook(interrupt_at_the_tenth)
        try:
            assert asyncio.run(interrupted()) == [True] * 3
        finally:
            hook.remove()
    assert len(passes) == 10


def test_a_call_that_is_given_up_leaves_the_others_alone(tiny_llama: Path, greedy: LocalTeacher) -> None:
    teacher = local_teacher(tiny_llama, temperature=0.0, continuous=True, batch_size=2)

    async def watch() -> list[Reply]:
        given_up = asyncio.create_task(teacher.complete([BATCH[0]]))
        others = [asyncio.create_task(teacher.complete([asked])) for asked in BATCH[1:]]
        await asyncio.sleep(0)
        given_up.cancel()
        return [reply for work in others for reply in await work]

    assert texts(asyncio.run(watch())) == texts(ask(greedy, BATCH))[1:]


@pytest.mark.parametrize("continuous", [False, True])
def test_what_does_not_fit_into_memory_fails_every_request_and_says_what_helps(
    tiny_llama: Path, continuous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = local_teacher(tiny_llama, continuous=continuous)

    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Decoder, "prefill", out_of_memory)

    async def failed() -> list[BaseException | list[Reply]]:
        return await asyncio.gather(*(teacher.complete([one]) for one in BATCH), return_exceptions=True)

    for problem in asyncio.run(failed()):
        assert isinstance(problem, TeacherError)
        assert "lower teacher.batch_size" in str(problem)


def test_nothing_is_decoded_after_closing(tiny_llama: Path) -> None:
    teacher = local_teacher(tiny_llama, continuous=True)

    async def closed() -> None:
        await teacher.close()
        await teacher.complete([request(0)])

    with counted_forward_passes() as passes, pytest.raises(asyncio.CancelledError):
        asyncio.run(closed())
    assert passes == []


def test_requests_of_one_batch_are_decoded_each_in_its_own_way(greedy: LocalTeacher) -> None:
    short, plain = ask(greedy, [request(0, decoding=Decoding(max_tokens=3)), request(1)])
    assert (short.usage.completion_tokens, short.finish_reason) == (3, "length")
    assert plain.text.startswith(short.text)
    assert plain.usage.completion_tokens == 24


def test_a_temperature_of_its_own_goes_before_the_teachers(sampling: LocalTeacher) -> None:
    cold = Decoding(temperature=0)
    assert len(set(texts(ask(sampling, [request(index, decoding=cold) for index in range(3)])))) == 1


def test_a_penalty_keeps_tokens_from_coming_twice(greedy: LocalTeacher) -> None:
    plain, varied = ask(greedy, [request(0), request(1, decoding=Decoding(presence_penalty=2))])
    assert len(set(varied.text)) > len(set(plain.text))


def test_a_reply_ends_before_its_stop_string(greedy: LocalTeacher) -> None:
    whole = ask(greedy, [request(0)])[0].text
    stop = whole[len(whole) // 2 :][:3]
    reply, other = ask(greedy, [request(0, decoding=Decoding(stop=("nowhere", stop))), request(1)])
    assert (reply.text, reply.finish_reason) == (whole.partition(stop)[0], "stop")
    assert reply.usage.completion_tokens < 24
    assert other.text == whole


def test_a_stop_string_in_the_prefix_ends_nothing(greedy: LocalTeacher) -> None:
    (reply,) = ask(greedy, [request(0, prefix=PREFIX, decoding=Decoding(stop=("Instruction:",)))])
    assert len(reply.text) > len(PREFIX)


def test_a_request_that_fits_the_model_passes_the_check(greedy: LocalTeacher) -> None:
    asyncio.run(greedy.check(BATCH[2]))


def test_a_request_beyond_the_models_window_says_by_how_much_and_what_helps(tiny_llama: Path) -> None:
    asked = request(0, "peer " * 600)
    over = len(prompt_ids(tiny_llama, asked)) + 1800 - 2048
    with pytest.raises(TeacherError, match=rf"{over:,} more than the context window of 2,048.*sampling\.max_tokens"):
        asyncio.run(local_teacher(tiny_llama, max_tokens=1800).check(asked))


def test_a_follow_up_beyond_the_models_window_fails_alone(greedy: LocalTeacher) -> None:
    long, short = ask(greedy, [request(0, "peer " * 3000), request(1)])
    assert (long.finish_reason, long.usage.total) == ("error", 0)
    assert "context window" in long.error
    assert short.usage.completion_tokens == 24


def test_it_gives_no_replies_by_a_schema(greedy: LocalTeacher) -> None:
    assert not greedy.structured
