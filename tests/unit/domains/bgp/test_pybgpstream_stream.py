"""The stream over small files made here: what it gives and refuses, how it merges files, which dates it reads."""

import gzip
import random
from calendar import timegm
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mrt_writer as w
from seedtune.domains.bgp.sandboxed.pybgpstream import (
    BGPElem,
    BGPRecord,
    BGPStream,
    SourceError,
    SpoiledElementError,
    SpoiledRecordError,
    StreamUseError,
)
from seedtune.domains.bgp.sandboxed.pybgpstream._sources import Source, merge, read
from seedtune.domains.bgp.sandboxed.pybgpstream._times import parse_span, parse_time

ROUTE = [w.origin(), w.as_path(64496, 3356, {7, 8}), w.next_hop("192.0.2.1"), w.communities("286:888", "1:2")]
T = 1_700_000_000


def single(path: Path, option: str = "upd-file", **arguments: Any) -> BGPStream:
    stream = BGPStream(data_interface="singlefile", **arguments)
    stream.set_data_interface_option("singlefile", option, str(path))
    return stream


def listed(folder: Path, rows: Iterable[Iterable[object]], **arguments: Any) -> BGPStream:
    path = folder / "files.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    stream = BGPStream(data_interface="csvfile", **arguments)
    stream.set_data_interface_option("csvfile", "csv-file", str(path))
    return stream


@pytest.fixture
def updates(tmp_path: Path) -> Path:
    """Three messages: two announcements, a withdrawal, a lost session."""
    return w.write_mrt(
        tmp_path / "updates.mrt",
        [
            w.update(T, announce=["10.0.0.0/8", "10.1.0.0/16"], attributes=ROUTE),
            w.withdrawal(T + 1, "2001:db8::/32"),
            w.state_change(T + 2, w.ESTABLISHED, w.IDLE),
        ],
    )


def one_second_files(folder: Path, name: str, seconds: Iterable[float]) -> Path:
    """A file with one withdrawal at each time."""
    return w.write_mrt(folder / name, [w.withdrawal(second, "10.0.0.0/8") for second in seconds])


# --- records and elements ---------------------------------------------------------------------------------------------


def test_elements_have_their_records_values(updates: Path) -> None:
    seen = [(e.type, e.time, e.peer_asn, e.peer_address, e.record_type, e.status, e.collector) for e in single(updates)]
    head = (64496, "192.0.2.1", "update", "valid", "singlefile")
    assert seen == [("A", T, *head), ("A", T, *head), ("W", T + 1, *head), ("S", T + 2, *head)]


def test_fields_by_type(updates: Path) -> None:
    fields = [elem.fields for elem in single(updates)]
    assert fields[0] == {
        "next-hop": "192.0.2.1",
        "as-path": "64496 3356 {7,8}",
        "communities": {"286:888", "1:2"},
        "prefix": "10.0.0.0/8",
    }
    assert fields[2:] == [{"prefix": "2001:db8::/32"}, {"old-state": "ESTABLISHED", "new-state": "IDLE"}]


def test_the_set_of_communities_belongs_to_one_element(updates: Path) -> None:
    """Routes of a message share their attributes; a program may change what it gets."""
    elems = iter(single(updates))
    next(elems).fields["communities"].clear()
    assert next(elems).fields["communities"] == {"286:888", "1:2"}


def test_microseconds_are_kept(tmp_path: Path) -> None:
    path = w.write_mrt(tmp_path / "et.mrt", [w.bgp4mp(T + 0.25, w.message(4), extended=True)])
    path.write_bytes(path.read_bytes() + w.update(T + 0.5, withdraw=["10.0.0.0/8"], extended=True))
    times: list[float] = []
    for record in single(path).records():
        times += [record.time, *(elem.time for elem in record)]
    assert times == [T + 0.25, T + 0.5, T + 0.5]


def test_what_str_shows(updates: Path) -> None:
    stream = single(updates)
    record = next(stream.records())
    assert str(record) == f"update|start|{T}.000000|singlefile|singlefile|None|None|valid|{record.dump_time}"
    shown = [str(elem) for elem in single(updates, filter="elemtype withdrawals peerstates")]
    head = "singlefile|singlefile|None|None|64496|192.0.2.1"
    assert shown[0] == f"update|W|{T + 1}.000000|{head}|2001:db8::/32|None|None|None|None|None"
    assert shown[1] == f"update|S|{T + 2}.000000|{head}|None|None|None|None|ESTABLISHED|IDLE"


def test_an_element_knows_its_record(updates: Path) -> None:
    for elem in single(updates):
        assert isinstance(elem.record, BGPRecord)
        assert elem.record is elem.record
        assert elem.record.time == elem.time


@pytest.mark.parametrize("name", ["prefix", "as_path", "communities", "timestamp", "spoil", "version"])
def test_an_element_has_no_other_attributes(updates: Path, name: str) -> None:
    elem = next(iter(single(updates)))
    with pytest.raises(AttributeError, match=f"'_pybgpstream.BGPRecord' object has no attribute '{name}'"):
        getattr(elem, name)


def test_low_level_reading(updates: Path) -> None:
    stream = single(updates)
    stream.start()
    types: list[str] = []
    while (record := stream.get_next_record()) is not None:
        while (elem := record.get_next_elem()) is not None:
            types.append(elem.type)
            assert not hasattr(elem, "time")
    assert types == ["A", "A", "W", "S"]
    assert stream.get_next_record() is None


def test_a_low_level_record_can_be_made_one_that_iterates(updates: Path) -> None:
    stream = single(updates)
    stream.start()
    low_level = stream.get_next_record()
    assert low_level is not None
    with pytest.raises(TypeError):
        iter(low_level)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert [elem.type for elem in BGPRecord(low_level)] == ["A", "A"]


# --- too late ---------------------------------------------------------------------------------------------------------


def test_an_element_can_be_read_until_the_next_one_is_taken(updates: Path) -> None:
    record = next(single(updates).records())
    elems = list(record)
    assert elems[-1].type == "A"
    with pytest.raises(SpoiledElementError, match=r"dict\(elem\.fields\)"):
        _ = elems[0].type


def test_an_element_can_be_read_after_a_break(updates: Path) -> None:
    elem = None
    for elem in single(updates):  # noqa: B007 (what is left of it is the point)
        break
    assert elem is not None
    assert elem.fields["prefix"] == "10.0.0.0/8"


@pytest.mark.parametrize("name", ["type", "time", "peer_asn", "fields", "record", "project", "nonsense"])
def test_nothing_of_a_spoiled_element_can_be_read(updates: Path, name: str) -> None:
    kept = list(single(updates))
    assert all(isinstance(elem, BGPElem) for elem in kept)
    for elem in kept:
        with pytest.raises(SpoiledElementError):
            getattr(elem, name)
    with pytest.raises(SpoiledElementError):
        str(kept[0])


def test_fields_taken_in_time_stay(updates: Path) -> None:
    kept: list[tuple[BGPElem, dict[str, Any]]] = [(elem, elem.fields) for elem in single(updates)]
    assert [fields["prefix"] for _, fields in kept[:3]] == ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"]
    assert all(elem.fields is fields for elem, fields in kept)


def test_a_record_is_spoiled_by_the_next_one_and_by_the_end(updates: Path) -> None:
    kept = list(single(updates).records())
    assert len(kept) == 3
    for record in kept:
        with pytest.raises(SpoiledRecordError):
            _ = record.time
        with pytest.raises(SpoiledRecordError):
            list(record)


def test_the_elements_of_a_record_end_with_its_turn(updates: Path) -> None:
    """An iterator that was left standing must not hand out elements of a record that is gone."""
    records = single(updates).records()
    elems = iter(next(records))
    next(elems)
    next(records)
    with pytest.raises(SpoiledElementError):
        next(elems)


def test_low_level_elements_and_records_are_spoiled_too(updates: Path) -> None:
    stream = single(updates)
    stream.start()
    record = stream.get_next_record()
    assert record is not None
    elem = record.get_next_elem()
    assert elem is not None
    record.get_next_elem()
    with pytest.raises(SpoiledElementError):
        _ = elem.type
    stream.get_next_record()
    with pytest.raises(SpoiledRecordError):
        _ = record.status


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("start", ()),
        ("set_data_interface", ("csvfile",)),
        ("set_data_interface_option", ("singlefile", "upd-file", "x")),
        ("add_interval_filter", (1, 2)),
        ("add_recent_interval_filter", ("5 m", True)),
        ("add_rib_period_filter", (3600,)),
        ("set_live_mode", ()),
    ],
)
def test_a_stream_is_configured_before_it_is_read(updates: Path, method: str, arguments: tuple[Any, ...]) -> None:
    stream = single(updates)
    next(iter(stream))
    with pytest.raises(StreamUseError, match=method):
        getattr(stream, method)(*arguments)


def test_iterating_after_start_says_what_to_do(updates: Path) -> None:
    stream = single(updates)
    stream.start()
    with pytest.raises(StreamUseError, match="get_next_record"):
        next(stream.records())


@pytest.mark.parametrize("kind", ["bmp", "ris-live"])
def test_other_formats_are_refused_at_the_start(updates: Path, kind: str) -> None:
    stream = single(updates)
    stream.set_data_interface_option("singlefile", "upd-type", kind)
    with pytest.raises(SourceError, match=kind):
        next(stream.records())


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("a,ris,updates,rrc00,now,300,1500000000", "seconds since the epoch"),
        ("a,ris,rib,rrc00,1,300,1500000000", "neither 'ribs' nor 'updates'"),
        ("a,ris,updates,rrc00,1,300", "6 fields instead of 7"),
        pytest.param("a" * 200_000, "field limit", id="a field too long"),
    ],
)
def test_a_csv_row_that_is_none_is_named_by_its_line(tmp_path: Path, row: str, complaint: str) -> None:
    stream = listed(tmp_path, [["a", "ris", "updates", "rrc00", 1, 300, 0], [row]])
    with pytest.raises(SourceError, match=f"files.csv:2: .*{complaint}"):
        next(stream.records())


def test_a_damaged_gzip_file_says_so_in_a_csv_stream(tmp_path: Path) -> None:
    whole = gzip.compress(random.Random(0).randbytes(5000))
    (tmp_path / "cut.gz").write_bytes(whole[:3000])
    rows = [[tmp_path / "cut.gz", "ris", "updates", "rrc00", T, 300, 1]]
    assert [(r.status, r.dump_position) for r in listed(tmp_path, rows).records()] == [("corrupted-source", "end")]
    assert list(single(tmp_path / "cut.gz").records()) == []


# --- merging ----------------------------------------------------------------------------------------------------------


def row(path: Path, collector: str, time: int, kind: str = "updates", span: int = 300) -> list[object]:
    return [path, "lab", kind, collector, time, span, 1]


def test_ribs_come_first_in_a_tied_second(tmp_path: Path) -> None:
    path = one_second_files(tmp_path, "a", [T, T + 1])
    rows = [row(path, "late", T, "ribs"), row(path, "early", T)]
    for order in (rows, rows[::-1]):
        types = [record.type for record in listed(tmp_path, order).records()]
        assert types == ["rib", "update", "rib", "update"]


def test_files_that_begin_later_are_opened_later(tmp_path: Path) -> None:
    """A year of an archive must not need a year's open files."""
    opened: list[int] = []
    sources = []
    for number in range(5):
        start = T + 300 * number
        path = one_second_files(tmp_path, f"file{number}", [start, start + 300])
        sources.append(Source(str(path), "lab", "c", "update", start, 300))

    def open_source(source: Source) -> Any:
        opened.append(source.time)
        return read(source, None)

    seconds: list[int] = []
    for second, *_ in merge(sources, open_source):
        seconds.append(second)
        assert max(opened) <= second
    assert seconds == sorted(seconds)
    assert len(seconds) == 10


file_times = st.lists(st.integers(0, 4), min_size=1, max_size=5).map(sorted)


@given(st.lists(st.tuples(file_times, st.booleans(), st.booleans()), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_merging_follows_the_rule_of_the_recordings(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[list[int], bool, bool]]
) -> None:
    """Against the rule done naively: look at all files before each record."""
    folder = tmp_path_factory.mktemp("merge")
    rows: list[list[object]] = []
    heads: list[tuple[str, bool, list[int]]] = []
    for number, (times, is_rib, in_place) in enumerate(files):
        path = one_second_files(folder, str(number), [T + time for time in times])
        filetime = T + times[0] if in_place else T - 1
        rows.append(row(path, str(number), filetime, "ribs" if is_rib else "updates"))
        heads.append((str(number), is_rib, [filetime, *(T + time for time in times)]))
    stack = [head for head in heads if head[2][0] == head[2][1]]
    stack += [head for head in heads if head[2][0] != head[2][1]][::-1]
    for _, _, times in stack:
        del times[0]
    expected: list[tuple[str, int]] = []
    while stack:
        first = min(stack, key=lambda head: (head[2][0], not head[1], -stack.index(head)))
        name, _, times = first
        second = times.pop(0)
        expected.append((name, second))
        if not times or times[0] != second:
            stack.remove(first)
            stack += [first] if times else []
    got = [(record.collector, int(record.time)) for record in listed(folder, rows).records()]
    assert got == expected


def test_a_rib_period_thins_the_ribs_of_each_collector(tmp_path: Path) -> None:
    path = one_second_files(tmp_path, "a", [T])
    rows = [row(path, name, T + 3600 * hour, "ribs", 0) for hour in range(5) for name in ("one", "two")]
    rows.append(row(path, "one", T + 60))
    stream = listed(tmp_path, rows)
    stream.add_rib_period_filter(7200)
    kept = Counter((record.collector, record.type, (record.dump_time - T) // 3600) for record in stream.records())
    assert kept == {
        **{(name, "rib", hour): 1 for name in ("one", "two") for hour in (0, 2, 4)},
        ("one", "update", 0): 1,
    }


# --- windows and dates ------------------------------------------------------------------------------------------------


def test_a_window_is_whole_seconds_at_both_ends(tmp_path: Path) -> None:
    times = [T, T + 0.5, T + 1.999999, T + 2]
    path = w.write_mrt(tmp_path / "et", [w.update(t, withdraw=["10.0.0.0/8"], extended=True) for t in times])
    statuses = [(r.status, r.time) for r in single(path, from_time=T, until_time=T + 1).records()]
    assert statuses == [("valid", T), ("valid", T + 0.5), ("valid", T + 1.999999), ("unknown", T + 2)]


def test_a_file_that_was_skipped_in_part_has_no_start(tmp_path: Path) -> None:
    path = one_second_files(tmp_path, "a", [T, T + 1, T + 2])
    positions = [record.dump_position for record in single(path, from_time=T + 1, until_time=T + 9).records()]
    assert positions == ["middle", "end"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1279829760", 1279829760),
        ("2010-07-22", 1279756800),
        ("2010-07-22 20:16", 1279829760),
        ("2010-07-22T20:16:00Z", 1279829760),
        ("2010-07-22 20:16:00 UTC", 1279829760),
        ("2010-07-22T20:16:00+09:00", 1279829760),
        ("2010/07/22 20:16:00.999", 1279829760),
        ("2010-7-2 8:16 pm", 1278101760),
        ("22 July 2010 20:17", 1279829820),
        ("Jul 22, 2010 20:17:00", 1279829820),
        ("Thu, 22 Jul 2010 20:16:00 GMT", 1279829760),
        ("Thu Jul 22 20:16:00 2010", 1279829760),
        ("20100722T201600", 1279829760),
    ],
)
def test_dates(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds
    assert _by_dateutil(text) in (seconds, None)


def _by_dateutil(text: str) -> int | None:
    """What the real module's parser makes of a date; None where it is not installed."""
    try:
        from dateutil.parser import parse
    except ImportError:
        return None
    return int(text) if text.isdigit() else timegm(parse(text, ignoretz=True).timetuple())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a date",
        "2010-13-01",
        "2010-02-30",
        "20:16",
        "July 2010",
        "7/8/2010",
        "2010-07-22 25:00",
        "2010-07-22 13 pm",
    ],
)
def test_what_is_no_date_or_a_guess_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(ValueError, match="YYYY-MM-DD HH:MM:SS"):
        parse_time(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("5 m", 300), ("1h", 3600), ("30 s", 30), ("2 d", 172800), ("3 min", 180)]
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "m 5", "five m", "5", "5 y", "-5 m"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'5 m'"):
        parse_span(text)


def test_a_recent_interval_ends_now(updates: Path) -> None:
    stream = single(updates)
    stream.add_recent_interval_filter("5 m")
    assert [record.status for record in stream.records()] == ["filtered-source"]


def test_the_stream_has_a_name_for_its_low_level_part(updates: Path) -> None:
    """Tutorials set options as ``stream.stream.set_data_interface_option(...)``."""
    stream = BGPStream(data_interface="singlefile")
    stream.stream.set_data_interface_option("singlefile", "upd-file", str(updates))
    assert sum(1 for _ in stream) == 4
