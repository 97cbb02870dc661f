"""Local data as if it came in live: a clock for the whole process that follows the data.

``SEEDTUNE_BGP_REPLAY`` switches it on: ``max`` (nothing waits, the clock jumps), or a speed factor (``60``: an hour of
data in a minute), either with the clock's start behind it, ``max@2010-07-22 20:20:00``. Without that start the clock
stands at the beginning of the local archive, or, if there is none, of the earliest MRT file in the working directory.
If there is none either, programs see the real time until the first stream gives its first record.

A record is delivered when its time has come, so what lies before the clock's time comes at once, and a stream whose
first record lies later puts the clock forward to it. With ``max`` the clock moves only when a program takes a record or
sleeps, so that runs are equal to the last digit.

Programs see the clock through ``time.time``, ``time_ns``, ``monotonic``, ``monotonic_ns``, ``perf_counter``,
``perf_counter_ns`` and ``sleep``, through ``time.gmtime``, ``localtime``, ``ctime`` and ``strftime`` without a time,
and through ``datetime.now``, ``utcnow`` and ``today`` of ``datetime.datetime``; also under names that the main program
imported before this package. Not covered: ``date.today``, waiting with a timeout in ``threading``, ``queue``,
``select``, ``asyncio`` and ``signal``, child processes, and names that other modules took before.
"""

import copyreg
import datetime as datetime_module
import os
import sys
import time as time_module
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from ._archive import find_files
from ._mrt import MrtFile
from ._times import parse_time

ENVIRONMENT_VARIABLE = "SEEDTUNE_BGP_REPLAY"
HOW_TO_SWITCH_ON = f"give 'seedtune bgp run' the option --replay max, or set {ENVIRONMENT_VARIABLE}=max"

POLLS_AT_REST = 100_000
"""So often a program may look at the clock without reading or sleeping before looking takes time too: a program that
waits in a loop for the time to pass would wait for ever."""

POLL_SECONDS = 0.001

GRACE_SECONDS = 3600
"""A program that goes on sleeping so long after the last data has been watching a stream that is over."""

real_time = time_module.time
"""The true time, whatever programs are shown."""

_REAL_TIME_MODULES = ("threading", "queue")
"""Loaded before the clock is exchanged: they keep the functions of ``time``, and threads really wait."""

_real_monotonic = time_module.monotonic
_real_sleep = time_module.sleep
_RealDatetime = datetime_module.datetime


class ReplayOverError(SystemExit):
    """The data is over and the program still waits for more: a quiet end of the process with exit status 0."""


class Clock:
    """The time that a replayed program lives in.

    Attributes:
        speed: Seconds of data a real second, None for as fast as possible.
        running: Whether the clock has started; before, it shows the real time.
    """

    def __init__(self, speed: float | None, start: float | None, data_until: float = 0.0) -> None:
        """Make a clock.

        Args:
            speed: Seconds of data a real second, None for as fast as possible.
            start: Where it starts at once, None to let the first stream start it.
            data_until: Up to when data is known to exist.
        """
        self.speed = speed
        self.running = False
        self._time = 0.0
        self._since = 0.0
        self._polls = 0
        self._data_until = data_until
        self._over = False
        if start is not None:
            self.begin(start)

    def begin(self, moment: float) -> None:
        """Start the clock, or put it forward to a later time; a running one is never put back."""
        if not self.running or moment > self.now():
            self._time = float(moment)
            self._since = _real_monotonic()
            self.running = True

    def now(self) -> float:
        """Seconds since the epoch."""
        if not self.running:
            return real_time()
        if self.speed is None:
            return self._time
        return self._time + (_real_monotonic() - self._since) * self.speed

    def poll(self) -> float:
        """The time as the program sees it."""
        self._polls += 1
        if self._polls > POLLS_AT_REST and self.running and self.speed is None:
            self._time += POLL_SECONDS
        return self.now()

    def wait_until(self, moment: float) -> None:
        """Wait for a time; in the past it is no wait."""
        self._polls = 0
        missing = moment - self.now()
        if missing <= 0:
            return
        if self.speed is None:
            self._time = moment
        else:
            _real_sleep(missing / self.speed)

    def sleep(self, seconds: float) -> None:
        """What ``time.sleep`` does.

        Raises:
            ValueError: ``seconds`` is negative.
            ReplayOverError: All data was over long ago.
        """
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if not self.running:
            _real_sleep(seconds)
            return
        if self._over and self.now() > self._data_until + GRACE_SECONDS:
            sys.stderr.write("pybgpstream INFO: the replayed data is over\n")
            raise ReplayOverError(0)
        self.wait_until(self.now() + seconds)

    def data_ended(self, last: float) -> None:
        """Note that a stream has come to the end of its data, the last of which was at ``last``."""
        self._data_until = max(self._data_until, last)
        self._over = True


def clock_of(setting: str, data: tuple[int, int] | None) -> Clock:
    """The clock that a value of the environment variable describes.

    Args:
        setting: ``max`` or a speed factor, and perhaps ``@`` and a time.
        data: From when to when there is data, as far as that is known.

    Raises:
        ValueError: The value has another form.
    """
    speed, _, start = setting.partition("@")
    try:
        factor = None if speed.strip() == "max" else float(speed)
    except ValueError:
        factor = 0.0
    if factor is not None and not 0 < factor < float("inf"):
        raise ValueError(f"{ENVIRONMENT_VARIABLE}={setting}: write 'max', a speed factor, or 'max@2010-07-22 20:20:00'")
    data_from, data_until = data or (None, 0)
    return Clock(factor, parse_time(start.strip()) if start else data_from, data_until)


class _DatetimeType(type):
    """Lets datetimes of the original class count as instances of the one that stands in for it."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _RealDatetime)


def _datetime_class(clock: Clock) -> type[datetime_module.datetime]:
    """``datetime.datetime`` with the clock's time."""

    class ReplayedDatetime(_RealDatetime, metaclass=_DatetimeType):
        @classmethod
        def now(cls, tz: datetime_module.tzinfo | None = None) -> Any:
            return _RealDatetime.fromtimestamp(clock.poll(), tz)

        @classmethod
        def today(cls) -> Any:
            return _RealDatetime.fromtimestamp(clock.poll())

        @classmethod
        def utcnow(cls) -> Any:
            return _RealDatetime.fromtimestamp(clock.poll(), datetime_module.UTC).replace(tzinfo=None)

        def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
            return _RealDatetime(*arguments, **keywords)

    ReplayedDatetime.__name__ = ReplayedDatetime.__qualname__ = "datetime"
    ReplayedDatetime.__module__ = "datetime"
    return ReplayedDatetime


class _ReplayedTime:
    """What stands in for functions of the module ``time``.

    Methods of an object, since plain functions would turn into methods where a class keeps them (as in ``logging``).
    """

    def __init__(self, clock: Clock) -> None:
        self.time = self.monotonic = self.perf_counter = clock.poll
        self.sleep = clock.sleep
        self._gmtime, self._localtime = time_module.gmtime, time_module.localtime
        self._ctime, self._strftime = time_module.ctime, time_module.strftime

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    monotonic_ns = perf_counter_ns = time_ns

    def gmtime(self, seconds: float | None = None, /) -> time_module.struct_time:
        return self._gmtime(self.time() if seconds is None else seconds)

    def localtime(self, seconds: float | None = None, /) -> time_module.struct_time:
        return self._localtime(self.time() if seconds is None else seconds)

    def ctime(self, seconds: float | None = None, /) -> str:
        return self._ctime(self.time() if seconds is None else seconds)

    def strftime(self, format: str, moment: Any = None, /) -> str:
        return self._strftime(format, self.localtime() if moment is None else moment)


_TIME_FUNCTIONS = (
    *("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns", "sleep"),
    *("gmtime", "localtime", "ctime", "strftime"),
)


def patch(clock: Clock) -> None:
    """Show the clock to the program: in ``time``, in ``datetime``, and under the names that it imported already."""
    for name in _REAL_TIME_MODULES:
        import_module(name)
    replayed_time, replayed_datetime = _ReplayedTime(clock), _datetime_class(clock)
    stand_ins: dict[int, Any] = {id(_RealDatetime): replayed_datetime}
    for name in _TIME_FUNCTIONS:
        function = getattr(replayed_time, name)
        stand_ins[id(getattr(time_module, name))] = function
        setattr(time_module, name, function)
    datetime_module.datetime = replayed_datetime
    copyreg.pickle(_RealDatetime, _reduced)
    names = vars(sys.modules["__main__"])
    for name, value in list(names.items()):
        if id(value) in stand_ins:
            names[name] = stand_ins[id(value)]


def _reduced(moment: datetime_module.datetime) -> tuple[type[datetime_module.datetime], Any]:
    """What pickle writes of a datetime: it looks a class up under its name and wants to find the same one."""
    return datetime_module.datetime, moment.__reduce_ex__(2)[1]


clock: Clock | None = None
"""The clock of this process, None without replay."""


def switch_on(archive_folder: str) -> None:
    """Start the replay if the environment asks for it.

    Args:
        archive_folder: The local archive, empty if there is none.

    Raises:
        ValueError: The environment variable has a wrong form.
        OSError: The archive or the working directory cannot be read.
    """
    global clock
    setting = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if not setting:
        return
    data = None
    if archive_folder:
        files = find_files(archive_folder)
        if files:
            data = files[0].time, max(file.time + file.span for file in files)
    else:
        first = first_second(path for path in Path.cwd().iterdir() if path.is_file())
        data = None if first is None else (first, first)
    clock = clock_of(setting, data)
    patch(clock)


def first_second(paths: Iterable[str | os.PathLike[str]]) -> int | None:
    """The second of the earliest record that some files begin with; None if none of them is an MRT file."""
    seconds: list[int] = []
    for path in paths:
        try:
            with MrtFile(path) as file:
                record = next(file, None)
        except OSError:
            continue
        if record is not None and record.problem is None:
            seconds.append(int(record.time))
    return min(seconds, default=None)
