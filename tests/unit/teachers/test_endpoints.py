"""Which address gets the next request, and when; time runs a hundred times as fast."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import openai
import pytest

from seedtune.records import Usage
from seedtune.teachers.endpoints import Clock, Endpoint, Endpoints, Place
from seedtune.teachers.failures import Failure
from seedtune.teachers.pacing import FAULTS_IN_A_ROW, START, Pacer

USED = Usage(prompt_tokens=5, completion_tokens=5)
FAULT = Failure("fault", "500", "failed", paid=True)
T = TypeVar("T")


def pool(size: int, ceiling: int = 8, rpm: int | None = None, now: Callable[[], float] | None = None) -> Endpoints:
    """Endpoints whose pace is kept by ``now``; by the fast clock where it is not given."""
    clock = Clock(speed=100)
    return Endpoints(
        [
            Endpoint(
                f"http://{number}",
                (openai.AsyncOpenAI(api_key="none", base_url=f"http://{number}"),),
                Pacer(ceiling, now or clock.now, lambda: 0.5, rpm),
            )
            for number in range(size)
        ],
        clock,
    )


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def within() -> T:
        async with asyncio.timeout(20):
            return await work()

    return asyncio.run(within())


def url_of(place: Place) -> str:
    return place.endpoint.url


def down(endpoint: Endpoint) -> None:
    for _ in range(FAULTS_IN_A_ROW):
        endpoint.pacer.failed(endpoint.pacer.send())


def test_requests_are_spread_evenly_over_equal_endpoints() -> None:
    async def work() -> Counter[str]:
        endpoints = pool(3)
        return Counter([url_of(await endpoints.place(index, 0)) for index in range(3 * START)])

    assert set(run(work).values()) == {START}


def test_a_wider_window_gets_more() -> None:
    async def work() -> Counter[str]:
        # Replies that take real microseconds differ in latency.
        endpoints = pool(2, ceiling=64, now=lambda: 0.0)
        wide = endpoints.members[0].pacer
        for _ in range(3):
            slots = [wide.send() for _ in range(wide.window)]
            for slot in slots:
                wide.answered(slot, 10, 1)
        assert wide.window == 8 * START
        return Counter([url_of(await endpoints.place(index, 0)) for index in range(9)])

    assert run(work) == {"http://0": 8, "http://1": 1}


def test_who_waits_is_served_by_age_not_by_arrival() -> None:
    async def work() -> list[int]:
        endpoints = pool(1, ceiling=1)
        served: list[int] = []

        async def ask(index: int) -> None:
            with await endpoints.place(index, 0) as place:
                served.append(index)
                await asyncio.sleep(0)
                place.answered(USED)

        await asyncio.gather(*(ask(index) for index in (0, 9, 4, 7, 1)))
        return served

    assert run(work) == [0, 1, 4, 7, 9]


def test_a_place_that_was_not_used_is_free_again() -> None:
    async def work() -> int:
        endpoints = pool(1, ceiling=1)
        for index in range(3):
            with await endpoints.place(index, 0):
                pass
        return endpoints.members[0].pacer.in_flight

    assert run(work) == 0


def test_who_gives_up_waiting_holds_no_place() -> None:
    async def work() -> int:
        endpoints = pool(1, ceiling=1)
        with await endpoints.place(0, 0) as place:
            waiting = [asyncio.create_task(endpoints.place(index, 0)) for index in (1, 2, 3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
            place.answered(USED)
        # Request 2 has its place now, and is cancelled before it learns of it.
        waiting[1].cancel()
        with await waiting[2] as place:
            place.answered(USED)
        return endpoints.members[0].pacer.in_flight

    assert run(work) == 0


def test_an_endpoint_that_is_down_is_left_out_and_probed_once() -> None:
    async def work() -> Counter[str]:
        endpoints = pool(2)
        down(endpoints.members[0])
        places = [await endpoints.place(index, 0) for index in range(START)]
        assert {url_of(place) for place in places} == {"http://1"}
        return Counter(url_of(place) for place in [await endpoints.place(START, 0)])

    assert run(work) == {"http://0": 1}


def test_when_all_are_down_the_first_to_have_rested_is_probed() -> None:
    async def work() -> str:
        endpoints = pool(2)
        for _ in range(2):
            down(endpoints.members[0])
            await asyncio.sleep(0.03)
            with await endpoints.place(0, 0) as place:
                place.failed(FAULT)
        down(endpoints.members[1])
        return url_of(await endpoints.place(1, 0))

    assert run(work) == "http://1"


def test_a_second_attempt_goes_elsewhere_if_it_can() -> None:
    async def work() -> list[str]:
        endpoints = pool(2)
        first = endpoints.members[0]
        chosen = [url_of(await endpoints.place(index, 0, avoid=first)) for index in range(START)]
        return [*chosen, url_of(await endpoints.place(START, 0, avoid=first))]

    assert run(work) == ["http://1"] * START + ["http://0"]


def test_requests_a_minute_hold_back_who_waits() -> None:
    async def work() -> list[float]:
        endpoints = pool(1, rpm=60)
        clock = Clock(speed=100)
        times: list[float] = []
        for index in range(4):
            with await endpoints.place(index, 0) as place:
                times.append(clock.now())
                place.answered(USED)
        return times

    times = run(work)
    assert times[-1] - times[0] >= 2.9


@pytest.mark.parametrize("size", [1, 3])
def test_the_room_is_that_of_all_endpoints(size: int) -> None:
    endpoints = pool(size)
    assert endpoints.room == size * START
    down(endpoints.members[0])
    assert endpoints.room == (size - 1) * START + 1
