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

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

logger = logging.getLogger(__name__)

_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

LOG_EVERY_S = 30.0
"""Without a terminal, progress is one line each so many seconds."""

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


@contextmanager
def progress(label: str, total: float) -> Generator[Advance]:
    """A bar with rate, ETA and a note (a cost, a loss); without a terminal a log line every 30 s."""
    start, first = time.monotonic(), [-1.0]

    def pace(done: float) -> str:
        """Rate and time left, counted from the first call: what a resumed run had done before is no speed."""
        if first[0] < 0:
            first[0] = done
        elapsed = time.monotonic() - start
        gained = done - first[0]
        if gained <= 0 or elapsed <= 0:
            return ""
        left = max(0.0, total - done) * elapsed / gained
        return f"{gained / elapsed:.2g}/s, {_clock(left)} left"

    if _err.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=_err, transient=True) as bar:
            task = bar.add_task(label, total=total, note="")

            def advance(done: float, note: str = "") -> None:
                bar.update(task, completed=done, note=", ".join(part for part in (pace(done), note) if part))

            yield advance
        return

    last = [start]
    logger.info("%s: starting, %g to do", label, total)

    def log(done: float, note: str = "") -> None:
        speed = pace(done)
        if time.monotonic() - last[0] >= LOG_EVERY_S:
            last[0] = time.monotonic()
            logger.info("%s: %s", label, ", ".join(part for part in (f"{done:g}/{total:g}", speed, note) if part))

    yield log


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
