"""Spending stays within its limits, whatever is lost on the way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.config import LimitsConfig, LocalTeacherConfig, OpenAITeacherConfig, Prices, SamplingConfig
from seedtune.errors import ConfigError
from seedtune.records import Decoding, Message, Request, Usage
from seedtune.teachers import worst_case
from seedtune.teachers.ledger import FREE, Ledger, prices_of

PRICES = Prices(input_per_million=2.0, output_per_million=10.0, as_of="2026-11-01")


def usage(prompt: int, completion: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion)


def price(used: Usage) -> float:
    return (used.prompt_tokens * 2.0 + used.completion_tokens * 10.0) / 1e6


def ledger(max_tokens: int | None = None, max_cost: float | None = None, prices: Prices | None = PRICES) -> Ledger:
    return Ledger(LimitsConfig(max_tokens=max_tokens, max_cost=max_cost), {"teacher": prices})


def of_two(judge: Prices | None, max_tokens: int | None = None, max_cost: float | None = None) -> Ledger:
    """Books of a teacher and a judge."""
    limits = LimitsConfig(max_tokens=max_tokens, max_cost=max_cost)
    return Ledger(limits, {"teacher": PRICES, "judge": judge})


def test_without_limits_nothing_is_blocked() -> None:
    assert ledger().blocked_by(usage(10**12, 10**12)) == ""


def test_a_request_that_just_fits_is_allowed() -> None:
    assert ledger(max_tokens=100).blocked_by(usage(60, 40)) == ""


def test_a_request_that_could_pass_the_token_limit_is_blocked() -> None:
    assert ledger(max_tokens=100).blocked_by(usage(60, 41)) == "tokens"


def test_a_request_that_could_pass_the_cost_limit_is_blocked() -> None:
    book = ledger(max_cost=1e-3)
    assert (book.blocked_by(usage(0, 100)), book.blocked_by(usage(1, 100))) == ("", "cost")


def test_what_is_reserved_counts_against_the_token_limit() -> None:
    book = ledger(max_tokens=100)
    book.reserve(0, usage(50, 40))
    assert (book.blocked_by(usage(5, 5)), book.blocked_by(usage(5, 6))) == ("", "tokens")


def test_what_is_reserved_counts_against_the_cost_limit() -> None:
    book = ledger(max_cost=1e-3)
    book.reserve(0, usage(0, 60))
    assert (book.blocked_by(usage(0, 40)), book.blocked_by(usage(0, 41))) == ("", "cost")


def test_settling_frees_what_was_not_used() -> None:
    book = ledger(max_tokens=100)
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(10, 5))
    assert (book.blocked_by(usage(85, 0)), book.blocked_by(usage(86, 0))) == ("", "tokens")


def test_a_reservation_alone_is_not_spent() -> None:
    book = ledger()
    book.reserve(0, usage(50, 50))
    assert (book.tokens, book.cost) == (0, 0.0)


def test_what_was_used_is_spent() -> None:
    book = ledger()
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(10, 5))
    assert (book.prompt_tokens, book.completion_tokens, book.tokens) == (10, 5, 15)
    assert book.cost == pytest.approx(price(usage(10, 5)))


def test_a_request_sent_again_counts_its_first_worst_case_as_lost() -> None:
    book = ledger()
    book.reserve(0, usage(50, 50))
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(10, 5))
    assert (book.lost_tokens, book.tokens) == (100, 115)
    assert book.cost == pytest.approx(price(usage(60, 55)))


def test_what_is_lost_counts_against_the_limit_for_good() -> None:
    book = ledger(max_tokens=200)
    book.reserve(0, usage(50, 50))
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(0, 0))
    assert (book.blocked_by(usage(100, 0)), book.blocked_by(usage(101, 0))) == ("", "tokens")


def test_a_request_never_answered_stays_reserved() -> None:
    book = ledger(max_tokens=150)
    book.reserve(0, usage(50, 50))
    assert book.blocked_by(usage(51, 0)) == "tokens"


def test_a_reply_that_comes_twice_is_paid_twice() -> None:
    book = ledger()
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(10, 5))
    book.reserve(0, usage(50, 50))
    book.settle(0, usage(10, 5))
    assert (book.tokens, book.lost_tokens) == (30, 0)


def test_a_request_turned_away_costs_nothing() -> None:
    book = ledger(max_tokens=100)
    book.reserve(0, usage(50, 50))
    book.release(0)
    assert (book.tokens, book.cost, book.blocked_by(usage(50, 50))) == (0, 0.0, "")


def test_a_request_turned_away_and_sent_again_is_not_lost() -> None:
    book = ledger()
    book.reserve(0, usage(50, 50))
    book.release(0)
    book.reserve(0, usage(50, 50))
    assert book.lost_tokens == 0


def test_an_unknown_price_gives_an_unknown_cost() -> None:
    book = ledger(prices=None)
    book.reserve(0, usage(5, 5))
    book.settle(0, usage(5, 5))
    assert book.cost is None


def test_a_price_of_nothing_gives_a_cost_of_nothing() -> None:
    book = ledger(max_cost=1e-9, prices=Prices(input_per_million=0, output_per_million=0, as_of="2026-11-01"))
    book.settle(0, usage(10**9, 10**9))
    assert (book.cost, book.blocked_by(usage(10**9, 10**9))) == (0.0, "")


WORST = st.builds(usage, st.integers(0, 400), st.integers(0, 400))
STEPS = st.lists(
    st.tuples(st.sampled_from(["send", "answer", "again", "turn away"]), st.integers(0, 7), WORST), max_size=60
)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(1, 3000), st.floats(1e-4, 2e-2))
def test_no_sequence_of_requests_replies_and_losses_passes_a_limit(
    steps: list[tuple[str, int, Usage]], max_tokens: int, max_cost: float
) -> None:
    book = ledger(max_tokens, max_cost)
    paid: list[Usage] = []  # At most: what was used where that is known, the worst case elsewhere.
    flying: dict[int, Usage] = {}
    for index, (step, number, worst) in enumerate(steps):
        if step == "send" and not book.blocked_by(worst):
            book.reserve(index, worst)
            flying[index] = worst
        elif step == "answer" and flying:
            which = sorted(flying)[number % len(flying)]
            sent = flying.pop(which)
            used = usage(
                min(worst.prompt_tokens, sent.prompt_tokens), min(worst.completion_tokens, sent.completion_tokens)
            )
            book.settle(which, used)
            paid.append(used)
        elif step == "turn away" and flying:
            which = sorted(flying)[number % len(flying)]
            book.release(which)
            del flying[which]
        elif step == "again" and flying and not book.blocked_by(worst):
            which = sorted(flying)[number % len(flying)]
            paid.append(flying[which])
            book.reserve(which, worst)
            flying[which] = worst
        at_most = [*paid, *flying.values()]
        assert sum(used.total for used in at_most) <= max_tokens
        assert sum(map(price, at_most)) <= max_cost * (1 + 1e-9)
        assert book.tokens == sum(used.total for used in paid)
        assert book.cost == pytest.approx(sum(map(price, paid)))


def test_each_teacher_is_charged_by_its_own_prices() -> None:
    book = of_two(Prices(input_per_million=200, output_per_million=1000, as_of="2026-11-01"))
    book.reserve(0, usage(50, 50))
    book.reserve(1, usage(50, 50), "judge")
    book.settle(0, usage(10, 5))
    book.settle(1, usage(10, 5))
    assert book.of("teacher").cost == pytest.approx(price(usage(10, 5)))
    assert book.of("judge").cost == pytest.approx(100 * price(usage(10, 5)))
    assert book.cost == pytest.approx(101 * price(usage(10, 5)))
    assert (book.of("judge").tokens, book.tokens) == (15, 30)


def test_what_the_judge_lost_is_the_judges() -> None:
    book = of_two(PRICES)
    book.reserve(0, usage(50, 50), "judge")
    book.lose(0)
    assert (book.of("judge").lost_tokens, book.of("teacher").lost_tokens) == (100, 0)


def test_a_limit_is_of_all_teachers_together() -> None:
    book = of_two(PRICES, max_tokens=100)
    book.reserve(0, usage(50, 10))
    book.reserve(1, usage(20, 10), "judge")
    assert [book.blocked_by(usage(5, size), who) for who in ("teacher", "judge") for size in (5, 6)] == [
        "",
        "tokens",
    ] * 2


def test_the_budget_counts_what_each_would_charge() -> None:
    book = of_two(Prices(input_per_million=2, output_per_million=100, as_of="2026-11-01"), max_cost=1e-3)
    assert [book.blocked_by(usage(0, 11), who) for who in ("teacher", "judge")] == ["", "cost"]


def test_a_local_judge_costs_nothing() -> None:
    book = of_two(prices_of(LocalTeacherConfig()), max_cost=1e-3)
    book.settle(0, usage(10**9, 10**9), "judge")
    assert (book.cost, book.blocked_by(usage(10**9, 10**9), "judge")) == (0.0, "")


def test_a_judge_of_unknown_price_makes_the_cost_unknown_once_it_is_used() -> None:
    book = of_two(prices_of(OpenAITeacherConfig(model="fake")))
    book.settle(0, usage(5, 5))
    assert book.cost == pytest.approx(price(usage(5, 5)))
    book.reserve(1, usage(5, 5), "judge")
    assert book.cost is None


def test_an_unknown_price_cannot_be_kept_within_a_budget() -> None:
    assert ledger(max_cost=1e9, prices=None).blocked_by(usage(1, 1)) == "cost"


def test_two_currencies_are_refused() -> None:
    euros = Prices(input_per_million=1, output_per_million=1, currency="EUR", as_of="2026-11-01")
    with pytest.raises(ConfigError, match="judge EUR"):
        of_two(euros)
    assert of_two(FREE).cost == 0.0


def request(*texts: str, schema: dict[str, object] | None = None, max_tokens: int | None = None) -> Request:
    return Request(
        index=0,
        pack="made",
        parents=(),
        messages=tuple(Message(role="user", content=text) for text in texts),
        reply_schema=schema,
        decoding=Decoding(max_tokens=max_tokens) if max_tokens else None,
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=3), st.integers(16, 5000))
def test_the_worst_case_is_above_one_token_a_byte(texts: list[str], max_tokens: int) -> None:
    asked = request(*texts)
    worst = worst_case(asked, SamplingConfig(max_tokens=max_tokens))
    assert worst.prompt_tokens > sum(len(message.content.encode()) for message in asked.messages)
    assert (worst.completion_tokens, worst.estimated) == (max_tokens, True)


def test_the_worst_case_counts_bytes_not_characters() -> None:
    text = "前缀泄漏" * 50
    assert worst_case(request(text), SamplingConfig()).prompt_tokens >= len(text.encode())


def test_the_worst_case_counts_the_requests_own_token_limit() -> None:
    assert worst_case(request("a", max_tokens=3), SamplingConfig(max_tokens=99)).completion_tokens == 3


def test_the_worst_case_counts_the_schema() -> None:
    schema = {"type": "object", "description": "ü" * 100}
    bare, whole = (worst_case(request("a", schema=found), SamplingConfig()) for found in (None, schema))
    assert whole.prompt_tokens - bare.prompt_tokens >= 200
