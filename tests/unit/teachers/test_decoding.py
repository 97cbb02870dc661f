"""Decoding on this machine: the shortcuts change no text."""

import random
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, TopPLogitsWarper

from seedtune.teachers.decoding import Decoder, Row, Writing, pick, shared_beginnings
from seedtune.teachers.engine import write
from seedtune.teachers.packed_batch import PackedBatch
from seedtune.teachers.protocol import Sampling
from seedtune.teachers.slot_batch import SlotBatch

END = 1
COMMON = list(range(10, 60))
PROMPTS = [[*COMMON, 70, 71, 72], [*COMMON, 80], [*COMMON, 90, 91, 92, 93, 94, 95]]


@pytest.fixture(scope="module")
def model(tiny_llama: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval()


@pytest.fixture
def decoder(model: PreTrainedModel, tiny_llama: Path) -> Decoder:
    return Decoder(model, frozenset([END]), AutoTokenizer.from_pretrained(tiny_llama).decode)


def row(
    prompt: list[int], family: object = "one", seed: int = 0, max_tokens: int = 12, temperature: float = 1.0
) -> Row:
    return Row(prompt, family, Sampling(temperature, 0.95, max_tokens, None, ()), seed)


def rows(prompts: list[list[int]] = PROMPTS, **settings: float) -> list[Row]:
    return [row(prompt, seed=seed, **settings) for seed, prompt in enumerate(prompts)]


def tokens_of(decoder: Decoder, asked: list[Row]) -> list[list[int]]:
    return [written.tokens for written in write(decoder, asked)]


@contextmanager
def forwards(model: PreTrainedModel) -> Iterator[list[tuple[int, ...]]]:
    """The shape [rows, tokens] of what goes into each forward pass."""
    shapes: list[tuple[int, ...]] = []
    hook = model.register_forward_pre_hook(
        lambda _module, _args, given: shapes.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    try:
        yield shapes
    finally:
        hook.remove()


@torch.inference_mode()
def test_logits_after_a_kept_beginning_are_those_of_the_whole_prompt(model: PreTrainedModel, decoder: Decoder) -> None:
    for prompt in PROMPTS:
        plain = model(torch.tensor([prompt])).logits[0, -1]
        for _ in range(2):
            _, logits = decoder.prefill(prompt, len(COMMON))
            torch.testing.assert_close(logits, plain, rtol=1e-4, atol=1e-5)


def test_a_shared_beginning_changes_no_text(decoder: Decoder) -> None:
    apart = [row(prompt, family=number, seed=number) for number, prompt in enumerate(PROMPTS)]
    assert shared_beginnings(apart, {}) == [0, 0, 0]
    assert tokens_of(decoder, rows()) == tokens_of(decoder, apart)


def test_text_is_that_of_transformers(model: PreTrainedModel, decoder: Decoder) -> None:
    for prompt, found in zip(PROMPTS, tokens_of(decoder, rows(temperature=0.0, max_tokens=20)), strict=True):
        output = model.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)
        assert found == output[0, len(prompt) :].tolist()


def test_a_row_is_the_same_alone_and_beside_others(decoder: Decoder) -> None:
    together = tokens_of(decoder, rows(max_tokens=30))
    assert together == [tokens_of(decoder, [asked])[0] for asked in rows(max_tokens=30)]


def test_rows_that_end_leave_the_others_as_they_are(model: PreTrainedModel, decoder: Decoder) -> None:
    whole = tokens_of(decoder, rows(max_tokens=20))
    mixed = [row(PROMPTS[seed], seed=seed, max_tokens=count) for seed, count in enumerate((3, 20, 9))]
    with forwards(model) as shapes:
        assert tokens_of(decoder, mixed) == [whole[0][:3], whole[1], whole[2][:9]]
    assert [shape[0] for shape in shapes if shape[1] == 1][-17:] == [2] * 6 + [1] * 11


def test_a_shared_beginning_is_run_once_and_kept_for_later_batches(model: PreTrainedModel, decoder: Decoder) -> None:
    with forwards(model) as shapes:
        write(decoder, rows(max_tokens=1))
        write(decoder, rows([[*COMMON, 5, 6], [*COMMON, 7, 8]], max_tokens=1))
    assert shapes == [(1, 50), (1, 3), (1, 1), (1, 6), (1, 2), (1, 2)]


def test_only_the_latest_beginnings_are_kept(decoder: Decoder) -> None:
    for first in range(100, 120):
        write(decoder, rows([[first, *COMMON, 4], [first, *COMMON, 5]], max_tokens=1))
    assert len(decoder._beginnings) == 8


def test_decoding_leaves_the_kept_beginnings_as_they_are(decoder: Decoder) -> None:
    first = tokens_of(decoder, rows())
    tokens_of(decoder, rows([[*COMMON, 5], [*COMMON, 6]]))
    assert tokens_of(decoder, rows()) == first


@pytest.mark.parametrize(
    ("ends", "counts"),
    [
        ([[2, 3], [2, 4]], [51, 51]),
        ([[2], [2]], [50, 50]),
        ([[], [3]], [49, 49]),
        ([[2, 3]], [0]),
    ],
)
def test_a_beginning_is_what_all_have_and_never_the_whole(ends: list[list[int]], counts: list[int]) -> None:
    assert shared_beginnings(rows([[*COMMON, *end] for end in ends]), {}) == counts


def test_a_short_beginning_is_not_worth_keeping() -> None:
    assert shared_beginnings(rows([[*COMMON[:10], 1], [*COMMON[:10], 2]]), {}) == [0, 0]


def test_text_longer_than_the_memory_set_aside_goes_on(model: PreTrainedModel, decoder: Decoder) -> None:
    (found,) = tokens_of(decoder, rows(PROMPTS[:1], temperature=0.0, max_tokens=600))
    output = model.generate(torch.tensor(PROMPTS[:1]), max_new_tokens=600, do_sample=False)
    assert found == output[0, len(PROMPTS[0]) :].tolist()
    assert len(found) == 600


@pytest.mark.parametrize("kind", [PackedBatch, SlotBatch])
@pytest.mark.parametrize("seed", range(10))
def test_rows_that_join_and_leave_are_each_as_alone(
    decoder: Decoder, kind: type[PackedBatch | SlotBatch], seed: int
) -> None:
    """Whatever the order: shorter and longer than those there, after all have left, beyond the memory laid out."""
    chance = random.Random(seed)
    writings: list[Writing] = []
    for number in range(9):
        prompt = [10 + (7 * number + place) % 80 for place in range(chance.choice([1, 5, 60, 130, 200]))]
        asked = row(prompt, family=number % 2, seed=number, max_tokens=chance.choice([1, 2, 30, 160]))
        writings.append(Writing(asked))
    batch, waiting = kind(decoder, 3), list(writings)
    while waiting or batch.writings:
        count = chance.randint(0, 3 - len(batch.writings))
        if waiting[:count]:
            batch.join(waiting[:count])
            waiting = waiting[count:]
        for _ in range(chance.choice([1, 10, 140])):
            batch.step()
    assert [writing.tokens for writing in writings] == [tokens_of(decoder, [writing.row])[0] for writing in writings]


def test_padding_goes_with_the_longest_row(decoder: Decoder) -> None:
    batch = PackedBatch(decoder, 2)
    batch.join([Writing(row(COMMON * 4, max_tokens=3)), Writing(row(COMMON[:9], max_tokens=40))])
    widths = []
    for _ in range(5):
        batch.step()
        widths.append(batch._layers[0].get_seq_length())
    assert widths == [201, 11, 12, 13, 14]


def test_a_family_shares_what_all_of_it_had_so_far() -> None:
    families: dict[Hashable, list[int]] = {}
    found = [shared_beginnings([row([*COMMON[:count], 99, 98])], families)[0] for count in (50, 50, 40, 50, 20, 50)]
    assert found == [0, 51, 40, 40, 0, 0]


def test_no_rows_give_no_text(decoder: Decoder) -> None:
    assert write(decoder, []) == []


def test_an_interruption_before_the_first_token_runs_nothing(model: PreTrainedModel, decoder: Decoder) -> None:
    with forwards(model) as shapes:
        assert len(write(decoder, rows(), lambda: True)) == 3
    assert shapes == []


def full(*values: float) -> Tensor:
    return torch.tensor(values)


LOGITS = torch.randn(1, 40, generator=torch.Generator().manual_seed(0)) * 2


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("likeliest", [5, 40])
def test_tokens_are_drawn_as_often_as_their_odds_in_the_nucleus(top_p: float, likeliest: int) -> None:
    count = 20_000
    warped = TopPLogitsWarper(top_p)(None, LOGITS / 0.8).softmax(-1)[0]  # pyright: ignore[reportArgumentType]
    draws = (torch.arange(count) + 0.5) / count
    drawn = pick(LOGITS.expand(count, -1), full(0.8).expand(count), full(top_p).expand(count), draws, likeliest)
    found = torch.bincount(drawn, minlength=40) / count
    torch.testing.assert_close(found, warped, rtol=0, atol=2e-4)


def test_rows_of_different_settings_are_drawn_each_by_its_own() -> None:
    same = LOGITS.expand(3, -1)
    tokens = pick(same, full(0.0, 1.0, 1.0), full(1.0, 1e-6, 1.0), full(0.99, 0.99, 1 - 2**-24))
    best, worst = int(LOGITS.argmax()), int(LOGITS.argmin())
    assert tokens.tolist() == [best, best, worst]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.05, 1), st.integers(1, 64))
def test_sorting_few_tokens_first_changes_no_draw(seed: int, top_p: float, likeliest: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits, draw = torch.randn(2, 64, generator=random) * 3, torch.rand(2, generator=random)
    arguments = (logits, full(1.0, 0.7), full(top_p, top_p), draw)
    assert pick(*arguments, likeliest).tolist() == pick(*arguments, 64).tolist()


@torch.inference_mode()
@pytest.mark.parametrize("shared", [0, len(COMMON)])
def test_prompts_that_are_run_together_end_as_each_does_alone(decoder: Decoder, shared: int) -> None:
    layers, own, logits = decoder.prefill_together(PROMPTS, shared)
    for number, prompt in enumerate(PROMPTS):
        right, last = decoder.prefill(prompt, shared)
        torch.testing.assert_close(logits[number], last, rtol=1e-4, atol=1e-5)
        for pair, tested in zip(right, layers, strict=True):
            for states, found in zip(pair, tested, strict=True):
                torch.testing.assert_close(found[number][:, own[number]], states[0], rtol=1e-4, atol=1e-5)


def test_slots_take_few_passes(model: PreTrainedModel, decoder: Decoder) -> None:
    """Prompts of one beginning in one, and then all slots at each step."""
    batch = SlotBatch(decoder, 4)
    with forwards(model) as shapes:
        batch.join([Writing(row(prompt, max_tokens=most)) for prompt, most in zip(PROMPTS, (3, 9, 6), strict=True)])
        while batch.writings:
            batch.step()
    assert shapes == [(1, 50), (3, 6), *[(4, 1)] * 8]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_step_writes_what_a_plain_one_does(tiny_llama: Path) -> None:
    """In float32, through several sizes of the memory; the step is recorded anew at each."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32).eval().cuda()
    decoder = Decoder(model, frozenset(), str)
    texts: list[list[list[int]]] = []
    for kind in (PackedBatch, SlotBatch):
        writings = [Writing(asked) for asked in rows(max_tokens=1400, temperature=0.7)]
        batch = kind(decoder, 4)
        batch.join(writings)
        while batch.writings:
            batch.step()
        texts.append([writing.tokens for writing in writings])
    assert texts[0] == texts[1]
