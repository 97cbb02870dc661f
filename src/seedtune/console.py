"""Everything seedtune shows: the only place that prints.

Results go to standard output; progress, notes and errors to standard error, so that ``seedtune ... | jq`` works.
Text from models and files is shown with its control characters escaped and is never read as rich markup.
"""

import logging
import os
import sys
import time
import unicodedata
import warnings
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.logging import RichHandler
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

logger = logging.getLogger(__name__)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

LOG_EVERY_S = 30.0
"""Without a terminal, progress is one line each so many seconds."""

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_SHORTEST_BAR, _LONGEST_BAR = 10, 24
_NOTE_LINES = 4

_NOISY = ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3", "filelock", "fsspec", "asyncio", "datasets")


def set_up_logging(verbose: bool = False) -> None:
    """Log seedtune's own records at INFO (DEBUG if ``verbose``) and those of others at WARNING, to standard error.

    Bars and advice of the Hugging Face libraries are switched off: seedtune shows its own progress.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    handler: logging.Handler
    if _err.is_terminal:
        handler = RichHandler(console=_err, show_path=False, log_time_format="%H:%M:%S", show_level=False)
        handler.setFormatter(_Printable("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(_Printable("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Advice to the callers of these libraries; nothing a user of seedtune could act on.
    warnings.filterwarnings("ignore", module=r"(transformers|trl|peft|accelerate|datasets|torch)(\.|$)")
    logging.getLogger("seedtune").setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    # Wherever it is installed it warns at every start of a kernel that it could fetch for CPUs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


class _Printable(logging.Formatter):
    """Messages may hold what a model or an endpoint said."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def printable(text: str) -> str:
    """``text`` with every control character but newline and tab shown as an escape (terminal attacks stay words)."""
    return "".join(c if _harmless(c) else c.encode("unicode_escape").decode() for c in text)


def _harmless(character: str) -> bool:
    # str.isprintable() is false for every space but the ASCII one; "Zs" are spaces, not line or paragraph separators.
    return character in "\n\t" or character.isprintable() or unicodedata.category(character) == "Zs"


def _plain(text: str) -> Text:
    """``text`` letter for letter: in a ``Text``, rich reads neither markup nor ``:emoji:``."""
    return Text(printable(text))


def say(text: str = "") -> None:
    """A line of result on standard output."""
    _out.print(_plain(text))


def say_raw(text: str) -> None:
    """Text for another program (JSON) on standard output, untouched."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def pass_on(text: str, stream: TextIO | None = None) -> None:
    """Another program's words: to a pipe as they are, to a terminal with their control characters shown as words."""
    target = stream or sys.stdout
    target.write(printable(text) if target.isatty() else text)
    target.flush()


def complain(text: str) -> None:
    """An error line on standard error."""
    _err.print(Text.assemble(("error", "bold red"), " ", _plain(text)))


def show_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """A table on standard output; columns whose cells all look like numbers are set to the right."""
    table = Table(title=_plain(title), title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        numeric = all(row[index][:1].isdigit() or row[index][:1] in "-+" for row in rows if row[index])
        table.add_column(_plain(name), justify="right" if numeric and rows else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    _out.print(table)


def say_tokens(spans: Iterable[tuple[str, bool]]) -> None:
    """Tokens of a training row on standard output: those that are trained on (True) green and in brackets, others dim.

    Line ends are shown as ``↵``, other control characters as escapes.
    """
    shown = Text()
    for text, trained in spans:
        plain = printable(text).replace("\t", "\\t").replace("\n", "↵\n")
        shown.append(f"⟦{plain}⟧" if trained else plain, "green" if trained else "dim")
    _out.print(shown)


class Advance(Protocol):
    """Tells a progress bar how much is done, and what to say beside it."""

    def __call__(self, done: float, note: str = "") -> None:
        """``done`` is absolute, in the bar's unit."""
        ...


class _Pace:
    """Rate and time left, counted from the first number: what a resumed run had done before is no speed."""

    def __init__(self, total: float) -> None:
        self.total = total
        self.done = 0.0
        self._first: float | None = None
        self._began = time.monotonic()

    def reach(self, done: float) -> None:
        """So much is done by now."""
        self._first = done if self._first is None else self._first
        self.done = done

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def count(self) -> str:
        return f"{_number(self.done)}/{_number(self.total)}"

    @property
    def parts(self) -> list[str]:
        """Rate and time left; nothing while nothing was gained."""
        elapsed, gained = self.elapsed_s, self.done - (self._first or 0.0)
        if gained <= 0 or elapsed <= 0:
            return []
        return [_rate(gained / elapsed), f"{_clock(max(0.0, self.total - self.done) * elapsed / gained)} left"]


class _Board:
    """A bar with its numbers, and below it the note, on as many lines as the terminal's width makes it need.

    Nothing is wider than the terminal from 40 columns up: a line that wraps would leave its rest behind at every
    refresh. Lines once used are kept, so that what is below does not jump.
    """

    def __init__(self, label: str, pace: _Pace) -> None:
        self._label = label
        self._pace = pace
        self.note = ""
        self._lines = (0, 0)
        """The terminal's width, and the most lines of the note at that."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        frames = "-\\|/" if options.ascii_only else _SPINNER
        frame = frames[int(self._pace.elapsed_s * 10) % len(frames)]
        head = Text(f"{frame} {self._label} ", no_wrap=True, overflow="ellipsis")
        numbers, bar = _headline(self._pace, width - head.cell_len)
        cells = [head, ProgressBar(self._pace.total, self._pace.done, width=bar), Text(" ")] if bar else [head]
        line = Table.grid()
        line.add_row(*cells, Text(numbers, no_wrap=True, overflow="ellipsis"))
        yield line
        note = _folded(self.note, width)
        most = self._lines[1] if self._lines[0] == width else 0
        self._lines = width, max(most, len(note))
        for text in note + [""] * (most - len(note)):
            yield Text(text, no_wrap=True, overflow="ellipsis")


def _headline(pace: _Pace, room: int) -> tuple[str, int]:
    """The numbers beside a bar and the bar's width: as many numbers as leave it ten columns, or no bar at all.

    How much is done and how long it still takes are always there.
    """
    rate_and_left = pace.parts
    passed = f"{_clock(pace.elapsed_s)} passed"
    for parts in (
        [pace.count, *rate_and_left, passed],
        [pace.count, *rate_and_left],
        [pace.count, *rate_and_left[1:]],
    ):
        numbers = ", ".join(parts)
        if room - len(numbers) - 1 >= _SHORTEST_BAR:
            return numbers, min(_LONGEST_BAR, room - len(numbers) - 1)
    return ", ".join([pace.count, *rate_and_left[1:]]), 0


def _folded(note: str, width: int) -> list[str]:
    """The parts of a note on a few lines, broken between parts. Where that is not enough, "…" ends the last one."""
    lines: list[str] = []
    for part in filter(None, note.split(", ")):
        if lines and cell_len(f"{lines[-1]}, {part}") < width:
            lines[-1] += f", {part}"
        elif len(lines) < _NOTE_LINES:
            lines.append(part)
        else:
            lines[-1] += ", …"
            break
    return lines


@contextmanager
def progress(label: str, total: float) -> Generator[Advance]:
    """A bar with rate, time left and a note (a cost, a loss); without a terminal a log line every 30 s.

    The parts of a note are separated by a comma and a space, what matters most first.
    """
    pace = _Pace(total)
    if _err.is_terminal:
        board = _Board(label, pace)

        def advance(done: float, note: str = "") -> None:
            pace.reach(done)
            board.note = " ".join(printable(note).split())

        with Live(board, console=_err, transient=True, refresh_per_second=10):
            yield advance
        return

    last = time.monotonic()
    logger.info("%s: starting, %s to do", label, _number(total))

    def log(done: float, note: str = "") -> None:
        nonlocal last
        pace.reach(done)
        if time.monotonic() - last >= LOG_EVERY_S:
            last = time.monotonic()
            logger.info("%s: %s", label, ", ".join([pace.count, *pace.parts, *([note] if note else [])]))

    yield log


def _number(value: float) -> str:
    """Without exponents: ``1234.56`` -> ``1,235``, ``12.34`` -> ``12.3``, ``12.0`` -> ``12``."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"


def _rate(per_s: float) -> str:
    """In the unit that gives a number to read: ``155/s``, ``1.6/s``, ``0.5/s``, ``3.2/min``, ``2/h``."""
    unit, rate = next(
        ((unit, per_s * seconds) for unit, seconds in (("s", 1), ("min", 60)) if per_s * seconds >= 0.1),
        ("h", per_s * 3600),
    )
    return f"{rate:,.0f}/{unit}" if rate >= 9.95 else f"{round(rate, 1):g}/{unit}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """``95.2`` -> ``1:35``; under a minute in seconds with one decimal."""
    return f"{seconds:.1f} s" if round(seconds, 1) < 60 else _clock(seconds)


def relative(path: Path) -> str:
    """A path as a user would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
