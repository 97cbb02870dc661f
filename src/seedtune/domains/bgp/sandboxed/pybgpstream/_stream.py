"""The stream: what a program asks for, and the records that come of it."""

from collections.abc import Iterator
from functools import partial
from operator import index
from typing import Any

from . import _replay
from ._filters import METHOD_TERMS, Filter, FilterSyntaxError, parse_filter_string
from ._interfaces import FILE_TYPES, INTERFACES, OPTIONS, Request, check, explain_nothing, open_sources
from ._log import log
from ._records import BGPElem, BGPRecord, Cursor, LowLevelRecord
from ._sources import Item, Window, merge, read
from ._times import parse_span, parse_time


class StreamUseError(RuntimeError):
    """A call at the wrong time, where the real library would end the whole process."""


class EndlessStreamError(RuntimeError):
    """The local data of a stream without end is over, where the real library would wait for more for ever."""


class BGPStream:
    """A stream of BGP records and elements from local MRT files."""

    def __init__(  # noqa: PLR0913
        self,
        from_time: str | int | None = None,
        until_time: str | int | None = None,
        data_interface: str = "broker",
        project: str | None = None,
        projects: list[str] | None = None,
        collector: str | None = None,
        collectors: list[str] | None = None,
        record_type: str | None = None,
        record_types: list[str] | None = None,
        filter: str | None = None,
    ) -> None:
        """Describe a stream.

        Args:
            from_time: Start, inclusive: epoch seconds or a date string; zones in it are ignored. Without it a stream
                of the broker starts now and goes on for ever; others start at the beginning of their data.
            until_time: End, inclusive. Without it a stream that has a start has no end.
            data_interface: ``broker``, ``singlefile`` or ``csvfile``.
            project: Name of a project; adds to ``projects``.
            projects: List of names of projects.
            collector: Name of a collector; adds to ``collectors``.
            collectors: List of names of collectors.
            record_type: ``ribs`` or ``updates``; adds to ``record_types``.
            record_types: List of these.
            filter: A filter string.

        Raises:
            AssertionError: A time is neither str nor int.
            ValueError: No such date, interface or filter string.
            TypeError: Another argument has the wrong type.
        """
        self._filter = Filter()
        self._cursor = Cursor()
        self._options: dict[str, dict[str, str]] = {name: {} for name in INTERFACES}
        self._window: Window | None = None
        self._recent: tuple[int, bool] | None = None
        self._live = False
        self._rib_period = 0
        self._iterating = False
        start, end = _moment(from_time), _moment(until_time)
        self.set_data_interface(data_interface)
        for term, one, several in (
            ("project", project, projects),
            ("collector", collector, collectors),
            ("record-type", record_type, record_types),
        ):
            for value in _joined(one, several):
                self.add_filter(term, value)
        if filter is not None:
            self.parse_filter_string(filter)
        if start is None and data_interface == "broker":
            self._recent = (0, True)
            self._window = Window(0, end or None)
        elif start is not None or end is not None:
            self.add_interval_filter(start or 0, end or 0)

    @property
    def stream(self) -> "BGPStream":
        """The low-level stream; here it is the stream itself."""
        return self

    def add_filter(self, type: str, value: str) -> None:
        """Add one value of a filter; a wrong value is only logged.

        Args:
            type: ``project``, ``collector``, ``record-type``, ``peer-asn``, ``prefix``, ``prefix-exact``,
                ``prefix-more``, ``prefix-less``, ``prefix-any``, ``community``, ``aspath``, ``ipversion`` or
                ``elemtype``.
            value: One value.

        Raises:
            ValueError: There is no such type.
            TypeError: An argument is no str.
        """
        _check_text(type, value)
        if type not in METHOD_TERMS:
            raise ValueError(f"Invalid filter type: {type}")
        term, specificity = METHOD_TERMS[type]
        try:
            self._filter.add(term, value, specificity)
        except FilterSyntaxError as error:
            log("ERROR", error.reason)
        self._cursor.selector = self._filter.selector()

    def parse_filter_string(self, fstring: str) -> None:
        """Add the filters of a filter string to those that are set.

        Raises:
            ValueError: The string is invalid.
            TypeError: It is no str.
        """
        _check_text(fstring)
        try:
            self._filter.merge(parse_filter_string(fstring))
        except FilterSyntaxError as error:
            log("ERROR", error.reason)
            raise ValueError(f"Invalid filter string: {fstring}") from None
        self._cursor.selector = self._filter.selector()

    def add_interval_filter(self, start: int, end: int) -> None:
        """Set the time window in epoch seconds, both ends inclusive; an end of 0 means without end.

        Raises:
            TypeError: A time is no int.
        """
        self._refuse_after_start("add_interval_filter")
        self._window = Window(index(start), index(end) or None)
        self._recent = None

    def add_recent_interval_filter(self, interval: str, live: bool = False) -> None:
        """Set the time window to the last moments.

        Args:
            interval: A number and a unit of s, m, h or d, for example ``5 m``.
            live: Go on for ever, instead of ending at the present.

        Raises:
            ValueError: ``interval`` has another form.
        """
        self._refuse_after_start("add_recent_interval_filter")
        _check_text(interval)
        self._recent = (parse_span(interval), bool(live))
        self._window = Window()

    def add_rib_period_filter(self, period: int) -> None:
        """Leave out RIBs of a collector that follow its last one in less than ``period`` seconds."""
        self._refuse_after_start("add_rib_period_filter")
        self._rib_period = index(period)

    def set_data_interface(self, name: str) -> None:
        """Choose where the data comes from.

        Raises:
            ValueError: There is no such interface.
        """
        self._refuse_after_start("set_data_interface")
        _check_text(name)
        if name not in INTERFACES:
            raise ValueError(f"Invalid data interface: {name}")
        self._interface = name

    def set_data_interface_option(self, interface: str, option: str, value: str) -> None:
        """Set an option of an interface, for example the file of ``singlefile``.

        Raises:
            ValueError: There is no such interface or option.
        """
        self._refuse_after_start("set_data_interface_option")
        _check_text(interface, option, value)
        if interface not in INTERFACES:
            raise ValueError(f"Invalid data interface: {interface}")
        if option not in OPTIONS[interface]:
            raise ValueError(f"Invalid data interface option: {option}")
        if option in ("rib-type", "upd-type") and value not in FILE_TYPES:
            log("ERROR", f"Invalid {option} specified: '{value}'")
            return
        self._options[interface][option] = value

    def get_data_interfaces(self) -> list[dict[str, Any]]:
        """The interfaces: dicts of ``id``, ``name`` and ``description``."""
        return [
            {"id": number, "name": name, "description": text} for number, (name, text) in enumerate(INTERFACES.items())
        ]

    def get_data_interface_options(self, interface: str) -> list[dict[str, str]]:
        """The options of an interface: dicts of ``name`` and ``description``.

        Raises:
            ValueError: There is no such interface.
        """
        if interface not in OPTIONS:
            raise ValueError(f"Invalid data interface: {interface}")
        return [{"name": name, "description": text} for name, text in OPTIONS[interface].items()]

    def set_live_mode(self) -> None:
        """Wait for new data instead of ending with the data that is there."""
        self._refuse_after_start("set_live_mode")
        self._live = True

    def start(self) -> None:
        """Begin to read; iterating does it by itself.

        Raises:
            StreamUseError: The stream has been started before.
            RuntimeError: The window is empty, an option is missing, or the interface needs the network.
        """
        if self._cursor.items is not None:
            raise StreamUseError(
                "start() of a stream that was started: iterate it without start(), or start it once and then call "
                "get_next_record()"
            )
        check(self._request(None))
        window = self._resolved_window()
        if window is not None and window.end is not None and window.start > window.end:
            log("ERROR", f"Interval start {window.start} is later than end {window.end}")
            raise RuntimeError("Could not start stream")
        self._cursor.items = self._deliver(window)

    def records(self) -> Iterator[BGPRecord]:
        """The records of the stream; a second time those that are left.

        Raises:
            StreamUseError: ``start`` was called before.
            RuntimeError: The stream cannot be started or read.
            EndlessStreamError: The stream has no end, and the local data is over.
        """
        self._begin_iterating()
        while (record := self._cursor.next_record(BGPRecord)) is not None:
            yield record

    def __iter__(self) -> Iterator[BGPElem]:
        self._begin_iterating()
        return self._cursor.next_elems()

    def _begin_iterating(self) -> None:
        if not self._iterating:
            self.start()
            self._iterating = True

    def get_next_record(self) -> LowLevelRecord | None:
        """The next record in the low-level style, None at the end.

        Raises:
            StreamUseError: The stream has not been started.
            RuntimeError: The stream cannot be read.
            EndlessStreamError: The stream has no end, and the local data is over.
        """
        if self._cursor.items is None:
            raise StreamUseError("get_next_record() before start(): call stream.start() first, or iterate the stream")
        return self._cursor.next_record(LowLevelRecord)

    def _request(self, window: Window | None) -> Request:
        return Request(self._interface, self._options[self._interface], self._filter, window, self._rib_period)

    def _resolved_window(self) -> Window | None:
        """The time window with what is relative to the present made absolute."""
        if self._recent is None:
            return self._window
        span, live = self._recent
        clock = _replay.clock
        if clock is not None and not clock.running:
            first = _replay.first_second(source.path for source in open_sources(self._request(None)))
            if first is not None:
                clock.begin(first)
        now = int(clock.now() if clock is not None else _replay.real_time())
        end = self._window.end if self._window is not None else None
        return Window(now - span, end if live else now)

    def _deliver(self, window: Window | None) -> Iterator[Item]:
        request = self._request(window)
        sources = open_sources(request)
        if not sources:
            explain_nothing(request)
        items = merge(sources, partial(read, window=window))
        clock = _replay.clock
        if clock is not None:
            yield from _paced(items, clock)
            return
        yield from items
        if self._live or (window is not None and window.end is None):
            raise EndlessStreamError(
                "the local data is over, and this stream has no end: the real library would wait here for ever. Give "
                f"until_time; to replay the data as live {_replay.HOW_TO_SWITCH_ON}"
            )

    def _refuse_after_start(self, method: str) -> None:
        if self._cursor.items is not None:
            raise StreamUseError(f"{method}() after the stream was started: configure a stream before reading from it")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'_pybgpstream.BGPStream' object has no attribute '{name}'", name=name, obj=self)


def _paced(items: Iterator[Item], clock: _replay.Clock) -> Iterator[Item]:
    """The records of a stream, each when its time has come."""
    last: float | None = None
    for item in items:
        record = item[4]
        if record is not None and item[2] == "valid":
            if last is None:
                clock.begin(record.time)
            last = record.time
            clock.wait_until(last)
        yield item
    clock.data_ended(last or 0.0)


def _moment(value: object) -> int | None:
    """Epoch seconds of a time given to the constructor."""
    if value is None:
        return None
    if isinstance(value, str):
        return parse_time(value)
    if not isinstance(value, int):
        raise AssertionError(f"a time is an int or a str, not {type(value).__name__}: use int(moment.timestamp())")
    return value


def _joined(one: str | None, several: list[str] | None) -> list[str]:
    """The values of two arguments together. As in the real library a list that is given grows by the single value."""
    if several is None:
        return [] if one is None else [one]
    if one is not None:
        several.append(one)
    return several


def _check_text(*values: object) -> None:
    """Refuse what is no str, as the real library does.

    Raises:
        TypeError: A value is no str.
    """
    for number, value in enumerate(values, 1):
        if not isinstance(value, str):
            raise TypeError(f"argument {number} must be str, not {type(value).__name__}")
