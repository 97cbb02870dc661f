"""What stands beside the bar while generation runs: the numbers a user steers by, what matters most first."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from fake_teacher import FakeTeacher
from generation import PRICES, Configure, funnel, generate
from seedtune import console


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that was said beside the bar."""
    said: list[str] = []

    @contextmanager
    def progress(label: str, total: float) -> Generator[Callable[[float, str], None]]:
        yield lambda done, note="": said.append(note)

    monkeypatch.setattr(console, "progress", progress)
    return said


def test_the_note_begins_with_share_cost_concurrency_and_speed(
    configure: Configure, teacher: FakeTeacher, notes: list[str]
) -> None:
    generate(configure(teacher.url, 8, prices=PRICES))
    parts = notes[-1].split(", ")
    assert parts[0].endswith("% kept")
    assert parts[1].startswith("cost 0.0")
    assert " of about 0.0" in parts[1]
    assert parts[2].endswith(" in flight")
    assert parts[3].endswith(" tokens/s")
    assert parts[-1].endswith(" requests")


def test_the_share_kept_is_of_the_candidates_that_are_decided(
    configure: Configure, teacher: FakeTeacher, notes: list[str]
) -> None:
    """In classic mode and with a judge most candidates wait for a follow-up at any time: they are not lost."""
    counts = funnel(generate(configure(teacher.url, 6, judge={}, lookahead=4)))
    decided = counts["candidates"] - counts["undecided"]
    assert counts["undecided"] > 0
    assert notes[-1].startswith(f"{counts['accepted'] / decided:.0%} kept, ")
    assert "kept" not in notes[0]
