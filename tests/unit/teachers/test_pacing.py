"""The pace of an endpoint, in simulated time: never above the ceiling, up while it bears it, down when it complains."""

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count, pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedtune.teachers.pacing import FAULTS_IN_A_ROW, LONGEST_REST_S, START, Pacer, Slot, retry_after_s


class Hands:
    """A pacer with a clock that stands still until it is moved; chance is always at its highest."""

    def __init__(self, ceiling: int = 64, chance: float = 1.0, **limits: int) -> None:
        self.now = 1000.0
        self.pacer = Pacer(ceiling, lambda: self.now, lambda: chance, **limits)

    def fill(self) -> list[Slot]:
        slots: list[Slot] = []
        while self.pacer.wait_s() == 0:
            slots.append(self.pacer.send())
        return slots

    def round(self, seconds: float = 1.0, tokens: int = 1) -> int:
        """A whole window leaves, and is answered after so long by so many tokens each. How many there were."""
        slots = self.fill()
        self.now += seconds
        for slot in slots:
            self.pacer.answered(slot, 10 + tokens, tokens)
        return len(slots)

    def faults(self, times: int = FAULTS_IN_A_ROW) -> None:
        for _ in range(times):
            self.pacer.failed(self.pacer.send())


def test_the_window_starts_small_and_doubles_each_round_up_to_the_ceiling() -> None:
    hands = Hands(ceiling=50)
    assert [hands.round() for _ in range(6)] == [START, 2 * START, 4 * START, 8 * START, 50, 50]


def test_a_ceiling_below_the_start_is_kept() -> None:
    hands = Hands(ceiling=1)
    assert [hands.round() for _ in range(20)] == [1] * 20


def test_a_window_that_is_not_filled_does_not_grow() -> None:
    hands = Hands()
    for _ in range(100):
        slot = hands.pacer.send()
        hands.now += 1
        hands.pacer.answered(slot, 10, 1)
    assert hands.pacer.window <= START + 1


def test_a_refusal_shrinks_the_window_and_ends_the_doubling() -> None:
    hands = Hands()
    for _ in range(3):
        hands.round()
    before = hands.pacer.window
    hands.pacer.busy(hands.pacer.send())
    shrunk = hands.pacer.window
    assert shrunk == int(before * 0.7)
    hands.now += LONGEST_REST_S
    hands.round()
    assert hands.pacer.window == shrunk + 1


def test_all_refusals_of_one_round_shrink_the_window_once() -> None:
    hands = Hands()
    for _ in range(3):
        hands.round()
    slots = hands.fill()
    for slot in slots:
        hands.pacer.busy(slot)
    assert hands.pacer.window == int(len(slots) * 0.7)


def test_refusals_of_later_rounds_shrink_it_again_but_never_below_one() -> None:
    hands = Hands()
    seen: list[int] = []
    for _ in range(10):
        hands.now += LONGEST_REST_S
        for slot in hands.fill():
            hands.pacer.busy(slot)
        seen.append(hands.pacer.window)
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 1


def test_retry_after_rests_the_endpoint_exactly_so_long() -> None:
    hands = Hands(chance=0.0)
    hands.pacer.busy(hands.pacer.send(), retry_after_s=7.0)
    assert hands.pacer.wait_s() == hands.pacer.rest_s == 7.0
    hands.now += 7.0
    assert hands.pacer.wait_s() == 0


def test_a_shorter_retry_after_does_not_cut_a_longer_one_short() -> None:
    hands = Hands(chance=0.0)
    slots = hands.fill()
    hands.pacer.busy(slots[0], retry_after_s=30.0)
    hands.pacer.busy(slots[1], retry_after_s=1.0)
    assert hands.pacer.rest_s == 30.0


def test_without_retry_after_the_rest_doubles_to_a_bound_and_ends_with_a_success() -> None:
    hands = Hands()
    rests: list[float] = []
    for _ in range(10):
        hands.now += LONGEST_REST_S
        hands.pacer.busy(hands.pacer.send())
        rests.append(hands.pacer.rest_s)
    assert rests == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    hands.now += LONGEST_REST_S
    hands.round()
    hands.pacer.busy(hands.pacer.send())
    assert hands.pacer.rest_s == 0.5


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_rest_before_a_retry_is_drawn_from_zero_to_its_bound(before: int, chance: float) -> None:
    rest = Hands(chance=chance).pacer.jitter_s(before)
    assert 0 <= rest <= min(LONGEST_REST_S, 0.5 * 2 ** min(before, 30)) * chance + 1e-9


def test_faults_in_a_row_open_the_breaker_and_a_success_in_between_does_not() -> None:
    hands = Hands()
    hands.faults(FAULTS_IN_A_ROW - 1)
    hands.round()
    hands.faults(FAULTS_IN_A_ROW - 1)
    assert not hands.pacer.broken
    hands.faults(1)
    assert hands.pacer.broken
    assert hands.pacer.wait_s() > 0


def test_an_open_breaker_lets_one_probe_through_after_a_rest() -> None:
    hands = Hands()
    hands.faults()
    hands.now += hands.pacer.wait_s()
    assert len(hands.fill()) == 1
    assert hands.pacer.wait_s() == inf


def test_what_hangs_since_before_the_breaker_opened_does_not_keep_the_probe_back() -> None:
    hands = Hands()
    slots = [hands.pacer.send() for _ in range(FAULTS_IN_A_ROW + START)]
    for slot in slots[:FAULTS_IN_A_ROW]:
        hands.pacer.failed(slot)
    hands.now += LONGEST_REST_S * 2
    assert hands.pacer.wait_s() == 0


def test_a_round_of_which_most_time_out_shrinks_the_window() -> None:
    hands = Hands()
    for _ in range(4):
        hands.round()
    before = hands.pacer.window
    for number, slot in enumerate(hands.fill()):
        if number % 3 == 0:
            hands.pacer.answered(slot, 10, 1)
        else:
            hands.pacer.timed_out(slot)
    assert not hands.pacer.broken
    assert hands.pacer.window < before


def test_a_failed_probe_opens_the_breaker_for_longer() -> None:
    hands = Hands(chance=0.0)
    hands.faults()
    rests: list[float] = []
    for _ in range(9):
        rests.append(hands.pacer.rest_s)
        hands.now += rests[-1]
        hands.pacer.failed(hands.pacer.send())
    assert rests == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_an_answered_probe_closes_the_breaker_and_the_window_starts_small() -> None:
    hands = Hands()
    for _ in range(4):
        hands.round()
    hands.faults()
    hands.now += hands.pacer.rest_s
    assert hands.round() == 1
    assert not hands.pacer.broken
    assert hands.pacer.window <= START + 1


@pytest.mark.parametrize("how", ["busy", "refused"])
def test_a_probe_that_is_turned_away_shows_that_the_endpoint_lives(how: str) -> None:
    hands = Hands()
    hands.faults()
    hands.now += hands.pacer.rest_s
    getattr(hands.pacer, how)(hands.pacer.send())
    assert not hands.pacer.broken


def test_a_probe_that_was_not_sent_after_all_leaves_the_breaker_open_for_another() -> None:
    hands = Hands()
    hands.faults()
    hands.now += hands.pacer.rest_s
    hands.pacer.withdrawn(hands.pacer.send())
    assert (hands.pacer.broken, hands.pacer.wait_s()) == (True, 0)


def test_requests_a_minute_are_spread_evenly() -> None:
    hands = Hands(rpm=60)
    sent_at: list[float] = []
    for _ in range(20):
        hands.now += hands.pacer.wait_s()
        sent_at.append(hands.now)
        hands.pacer.answered(hands.pacer.send(), 0, 1)
    assert [round(later - earlier, 6) for earlier, later in pairwise(sent_at)] == [1.0] * 19


def test_tokens_a_minute_are_charged_as_expected_and_settled_on_what_was_used() -> None:
    hands = Hands(tpm=6000)  # 100 a second
    slot = hands.pacer.send(tokens=1010)
    assert hands.pacer.wait_s() == pytest.approx(10.01)
    hands.pacer.answered(slot, 510, 1)
    assert hands.pacer.wait_s() == pytest.approx(5.01)


def test_a_request_larger_than_a_minutes_tokens_is_not_held_for_ever() -> None:
    hands = Hands(tpm=10)
    assert hands.pacer.wait_s() == 0
    hands.pacer.send(tokens=1000)
    assert hands.pacer.wait_s() < inf


class Simulation:
    """An endpoint in simulated time that is asked as fast as the pacer allows."""

    def __init__(
        self,
        pacer_of: Callable[["Simulation"], Pacer],
        reply: Callable[[int, float], tuple[float, str]],
        length: Callable[[int], int],
    ) -> None:
        self.now = 0.0
        self.loads: list[int] = []
        self.done: list[float] = []
        self.pacer = pacer_of(self)
        self._reply = reply
        self._length = length
        self._ends: list[tuple[float, int, Slot, str]] = []
        self._order = count()

    def run(self, seconds: float) -> "Simulation":
        until = self.now + seconds
        while self.now < until:
            while (wait := self.pacer.wait_s()) == 0:
                slot = self.pacer.send(tokens=10)
                self.loads.append(self.pacer.in_flight)
                takes, end = self._reply(self.pacer.in_flight, self.now)
                takes *= alone_s(self._length(slot.number))
                heapq.heappush(self._ends, (self.now + takes, next(self._order), slot, end))
            following = self._ends[0][0] if self._ends else inf
            if following > self.now + wait:
                # A hair more, or a wait of less than the clock's own grain would never end.
                self.now += wait + 1e-9
                continue
            self.now, _, slot, end = heapq.heappop(self._ends)
            if end == "":
                self.pacer.answered(slot, 10, self._length(slot.number))
                self.done.append(self.now)
            elif end == "busy":
                self.pacer.busy(slot)
            elif end == "timeout":
                self.pacer.timed_out(slot)
            else:
                self.pacer.failed(slot)
        return self


def alone_s(tokens: int) -> float:
    """How long a reply takes that nothing holds up: a second for the first token, and little for each further one."""
    return 1.0 + 0.02 * (tokens - 1)


def simulate(
    reply: Callable[[int, float], tuple[float, str]],
    ceiling: int = 256,
    length: Callable[[int], int] = lambda _: 1,
    rpm: int | None = None,
    tpm: int | None = None,
) -> Simulation:
    """``reply`` says, of load and time, how many times as long as alone a reply takes, and how it ends; ``length`` how
    many tokens the reply to a request has."""
    draw = random.Random(0).random
    return Simulation(lambda simulation: Pacer(ceiling, lambda: simulation.now, draw, rpm, tpm), reply, length)


def typical_load(simulation: Simulation) -> float:
    """The median over the last half."""
    late = sorted(simulation.loads[len(simulation.loads) // 2 :])
    return late[len(late) // 2]


def test_the_window_settles_near_the_knee_of_an_endpoint_that_queues_without_a_word() -> None:
    settled = simulate(lambda load, _: (max(1.0, load / 16), "")).run(600)
    assert 16 <= typical_load(settled) <= 32
    assert max(settled.loads) <= 128


def in_phases(number: int) -> int:
    """Tokens of a reply: many short ones, then many long ones, as the steps of classic mode come."""
    return 2 if number % 128 < 64 else 100 + number % 100


def test_short_replies_after_long_ones_are_no_sign_of_load() -> None:
    """On two tokens the time before the first weighs a hundred times more."""
    settled = simulate(lambda load, _: (1.0, ""), ceiling=64, length=in_phases).run(600)
    assert typical_load(settled) == 64


def test_among_replies_of_many_lengths_the_knee_is_found_all_the_same() -> None:
    settled = simulate(lambda load, _: (max(1.0, load / 16), ""), length=in_phases).run(2000)
    assert 16 <= typical_load(settled) <= 40


def test_a_length_that_was_not_seen_before_says_nothing_against_the_window() -> None:
    hands = Hands(ceiling=16)
    for _ in range(4):
        hands.round(seconds=4.0, tokens=200)
    assert [hands.round(seconds=1.0, tokens=tokens) for tokens in (1, 5, 20)] == [16] * 3


def test_doubling_that_went_too_far_is_taken_back_at_once() -> None:
    assert simulate(lambda load, _: (max(1.0, load / 16), "")).run(10).pacer.window <= 32


def test_an_endpoint_that_batches_well_is_used_up_to_the_ceiling() -> None:
    """Ten times as many at once take half as long again: that is no reason to hold back."""
    settled = simulate(lambda load, _: (1.0 + load / 100, ""), ceiling=64).run(200)
    assert typical_load(settled) == 64


def test_an_endpoint_that_refuses_above_its_limit_is_used_to_three_quarters_and_more() -> None:
    settled = simulate(lambda load, _: (1.0, "busy" if load > 20 else "")).run(600)
    assert typical_load(settled) >= 15
    assert len(settled.done) >= 0.65 * 20 * 600


def test_an_endpoint_that_is_slower_for_good_is_not_starved() -> None:
    """What was the best latency once is forgotten where no window is small enough to reach it."""
    settled = simulate(lambda load, now: (1.0 if now < 100 else 5.0, ""), ceiling=32).run(1000)
    assert typical_load(settled) >= 24


def test_an_endpoint_that_was_down_is_used_again_in_full() -> None:
    settled = simulate(lambda load, now: (1.0, "fault" if 50 < now < 200 else ""), ceiling=32).run(500)
    down = [when for when in settled.done if 60 < when < 200]
    assert not down
    assert len([when for when in settled.done if when > 400]) >= 0.9 * 32 * 100


def test_while_an_endpoint_is_down_it_is_hardly_asked() -> None:
    settled = simulate(lambda load, now: (0.1, "fault")).run(600)
    assert len(settled.loads) < 40


def test_time_outs_of_an_overloaded_endpoint_make_the_window_small() -> None:
    settled = simulate(lambda load, _: (10.0, "timeout") if load > 8 else (1.0, ""), ceiling=64).run(1000)
    assert typical_load(settled) <= 12


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20),
    st.lists(st.sampled_from(["", "", "", "busy", "fault", "timeout"]), min_size=1, max_size=40),
    st.lists(st.floats(0.2, 20), min_size=1, max_size=20),
    st.none() | st.integers(10, 1000),
    st.none() | st.integers(100, 10_000),
)
def test_whatever_an_endpoint_does_the_ceiling_holds_and_it_recovers(
    ceiling: int, ends: list[str], times: list[float], rpm: int | None, tpm: int | None
) -> None:
    asked = count()

    def reply(load: int, now: float) -> tuple[float, str]:
        number = next(asked)
        return (times[number % len(times)], ends[number % len(ends)]) if now < 300 else (1.0, "")

    simulation = simulate(reply, ceiling, rpm=rpm, tpm=tpm).run(300)
    assert max(simulation.loads) <= ceiling
    if rpm is not None:
        assert len(simulation.loads) <= rpm * 5 + max(1, rpm / 600) + 1
    simulation.run(400)
    assert max(simulation.loads) <= ceiling
    assert simulation.pacer.in_flight <= ceiling
    late = [when for when in simulation.done if when > 500]
    most = min(ceiling, (rpm or inf) / 60, (tpm or inf) / 600)
    assert len(late) >= 0.5 * most * 200 - 1


NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:30 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT", "date": "Sun, 22 Nov 2026 12:00:20 GMT"}, 10.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_is_too_odd_to_be_read(after: str, date: str) -> None:
    seconds = retry_after_s({"retry-after": after, "retry-after-ms": date, "date": date}, NOW)
    assert seconds is None or 0 <= seconds < inf
