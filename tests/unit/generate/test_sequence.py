"""Which work an index stands for: the same however far the run has come, and nothing is lost or done twice."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtune.generate.funnel import PENDING
from seedtune.generate.sequence import FollowUp, Sequence
from seedtune.records import Candidate, Step, Verdict


def follow_up(name: str, candidates: int = 1) -> FollowUp:
    candidate = Candidate(instruction=name, output="", pack="p", request=0)
    return FollowUp("classification", "p", (Verdict(candidate=candidate, kept=False, reason=PENDING),) * candidates)


def name_of(work: FollowUp | None) -> str:
    return work.pending[0].candidate.instruction if work else "new"


def played(brings: list[int], ahead: list[int], lookahead: int, block: int) -> list[str]:
    """What each request does; ``brings`` follow-ups come of each, and ``ahead`` is how far one looks before judging."""
    sequence = Sequence(lookahead, dependent=True, block=block)
    done: list[str] = []
    for index, count in enumerate(brings):
        sequence.is_known(index + ahead[index % len(ahead)])
        assert sequence.is_known(index)
        work = sequence.work(index).follow_up
        done.append(name_of(work))
        sequence.judged(index, [follow_up(f"{index}.{n}") for n in range(count if work is None else 0)])
    return done


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.lists(st.integers(0, 40), min_size=1, max_size=5),
    st.integers(0, 9),
    st.integers(1, 4),
)
def test_what_an_index_does_does_not_depend_on_how_far_ahead_requests_were_drawn(
    brings: list[int], ahead: list[int], lookahead: int, block: int
) -> None:
    assert played(brings, ahead, lookahead, block) == played(brings, [0], lookahead, block)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.integers(1, 9))
def test_every_follow_up_is_done_once_and_the_oldest_first(brings: list[int], lookahead: int) -> None:
    done = [name for name in played(brings + [0] * 500, [0], lookahead, 1) if name != "new"]
    begun = [index for index, name in enumerate(played(brings + [0] * 500, [0], lookahead, 1)) if name == "new"]
    assert done == [f"{index}.{n}" for index in begun if index < len(brings) for n in range(brings[index])]


def test_a_request_builds_on_nothing_within_its_stride() -> None:
    sequence = Sequence(8, dependent=True)
    for index in range(32, 200):
        assert 8 <= index - sequence.horizon(index) < 16


def test_a_young_run_looks_less_far_ahead() -> None:
    """Else a run that wants twelve instructions would begin two strides of work before it ends any."""
    sequence = Sequence(64, dependent=True)
    for index in range(2, 600):
        assert 1 <= index - sequence.horizon(index) <= max(2, index / 2)


def test_what_decides_soonest_comes_first() -> None:
    sequence = Sequence(1, dependent=True)
    steps: list[Step] = ["classification", "judgement", "instances"]
    left = [replace(follow_up(step), step=step) for step in steps]
    done: list[str] = []
    for index in range(5):
        assert sequence.is_known(index)
        done.append(name_of(sequence.work(index).follow_up))
        sequence.judged(index, left if index == 0 else [])
    assert done == ["new", "new", "judgement", "instances", "classification"]


def test_without_lookahead_requests_wait_for_each_other() -> None:
    sequence = Sequence(0, dependent=True)
    assert sequence.is_known(0)
    assert not sequence.is_known(1)


def test_where_nothing_depends_on_anything_all_is_known() -> None:
    assert Sequence(8, dependent=False).is_known(10_000)


@pytest.mark.parametrize("block", [1, 8, 12])
def test_the_next_block_is_known_once_all_before_it_is_judged(block: int) -> None:
    """Else a teacher that decodes blocks would wait for itself."""
    for lookahead in (0, 1, 5, 8):
        sequence = Sequence(lookahead, dependent=True, block=block)
        for index in range(60):
            if index % block == 0:
                assert sequence.is_known(index + block - 1)
            sequence.judged(index, [follow_up(str(index))])


def test_what_is_ahead_is_counted() -> None:
    sequence = Sequence(1, dependent=True)
    for index in range(3):
        assert sequence.is_known(index)
        sequence.judged(index, [follow_up("a", candidates=3)] if index == 0 else [])
    assert sequence.is_known(4)
    assert sequence.ahead(3) == (0, 0)
    assert sequence.ahead(4) == (1, 0)
    assert sequence.is_known(3)


def test_candidates_in_follow_ups_ahead_are_counted() -> None:
    sequence = Sequence(1, dependent=True)
    for index in range(2):
        assert sequence.is_known(index)
        sequence.judged(index, [follow_up("a", candidates=3)] if index == 0 else [])
    assert sequence.is_known(3)
    assert name_of(sequence.work(2).follow_up) == "a"
    assert sequence.ahead(3) == (0, 3)
