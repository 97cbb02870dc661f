"""The journal: whole lines only, in order, whatever broke off the process that wrote it."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seedtune.errors import DataError
from seedtune.generate.journal import Journal, read_events

EVENTS: list[dict[str, Any]] = [{"index": n, "text": f'Réponse {n}\n\u2028\x85 \U0001f600 "quoted"'} for n in range(3)]


def write(path: Path, events: list[dict[str, Any]]) -> None:
    with Journal(path) as journal:
        for event in events:
            journal.append("reply", [event])


def contents(path: Path) -> list[dict[str, Any]]:
    return [{key: event[key] for key in ("index", "text")} for event in read_events(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "generate" / "journal.jsonl"


def test_what_was_appended_is_read_in_order(path: Path) -> None:
    write(path, EVENTS)
    assert contents(path) == EVENTS


def test_several_items_are_one_line_each(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("reply", EVENTS)
    assert path.read_bytes().count(b"\n") == 3
    assert contents(path) == EVENTS


def test_a_reopened_journal_goes_on_at_its_end(path: Path) -> None:
    write(path, EVENTS[:1])
    write(path, EVENTS[1:])
    assert contents(path) == EVENTS


def test_a_line_can_be_read_by_another_process_once_appended(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("reply", EVENTS[:1])
        assert contents(path) == EVENTS[:1]


def test_each_event_has_its_kind_and_its_time(path: Path) -> None:
    with Journal(path) as journal:
        journal.append("stopped", [{"cause": "cost"}], durable=True)
    (event,) = read_events(path)
    assert (event["event"], event["cause"]) == ("stopped", "cost")
    assert event["time"] > 1.6e9


def test_a_missing_journal_has_no_events(path: Path) -> None:
    assert list(read_events(path)) == []
    assert not path.exists()


def test_a_last_line_torn_at_any_byte_is_cut_off(path: Path) -> None:
    write(path, EVENTS)
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(data)):
        path.write_bytes(data[:end])
        assert contents(path) == EVENTS[:2]
        assert path.read_bytes() == data[:last]


def test_a_journal_that_is_one_torn_line_is_emptied(path: Path) -> None:
    write(path, EVENTS[:1])
    path.write_bytes(path.read_bytes()[:-1])
    assert contents(path) == []
    assert path.read_bytes() == b""


def test_a_torn_line_longer_than_a_block_is_cut_off(path: Path) -> None:
    write(path, EVENTS)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "reply", "text": "' + b"x" * 200_000)
    assert contents(path) == EVENTS
    assert path.read_bytes() == whole


def test_after_a_repair_the_journal_goes_on_cleanly(path: Path) -> None:
    write(path, EVENTS[:2])
    path.write_bytes(path.read_bytes()[:-20])
    assert contents(path) == EVENTS[:1]
    write(path, EVENTS[1:])
    assert contents(path) == EVENTS


def test_a_whole_journal_is_left_as_it_is(path: Path) -> None:
    write(path, EVENTS)
    before = path.read_bytes()
    contents(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line",
    ['{"event": "reply", "ind', "[1, 2]", '{"event": "unheard of"}', '{"index": 1}', '"reply"', "\x00\x00"],
    ids=["torn", "list", "unknown", "no event", "string", "zeros"],
)
def test_a_broken_line_in_the_middle_is_an_error_that_names_file_and_line(path: Path, line: str) -> None:
    write(path, EVENTS[:2])
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([lines[0], line, *lines[1:]]), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        contents(path)
    assert f"{path}:2:" in str(caught.value)


def test_a_broken_line_is_not_repaired_away(path: Path) -> None:
    write(path, EVENTS[:2])
    broken = b'{"event": \n' + path.read_bytes()
    path.write_bytes(broken)
    with pytest.raises(DataError):
        contents(path)
    assert path.read_bytes() == broken


def test_a_journal_that_is_no_utf8_is_an_error_that_names_the_file(path: Path) -> None:
    write(path, EVENTS)
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    with pytest.raises(DataError, match="UTF-8"):
        contents(path)


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Ten more bytes fit into the file. It is mostly a hole, so no other file of this process meets the limit."""
    size = 1 << 30
    os.truncate(path, size)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_an_error_that_names_the_file(path: Path) -> None:
    write(path, EVENTS)
    with full_disk(path), pytest.raises(DataError, match=r"journal\.jsonl: cannot be written"):
        write(path, EVENTS)


def test_a_full_disk_leaves_no_half_line(path: Path) -> None:
    write(path, EVENTS)
    with full_disk(path):
        with pytest.raises(DataError):
            write(path, EVENTS)
        assert path.stat().st_size == 1 << 30
