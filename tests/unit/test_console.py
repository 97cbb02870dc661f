"""What is shown: text from models and files stays text, and progress works without a terminal."""

import contextlib
import io
import json
import logging
import unicodedata
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from seedtune import console

Capture = pytest.CaptureFixture[str]
BORDERS = settings(max_examples=100, deadline=None, database=None)

ATTACKS = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x07click\x1b]8;;\x07",
    "clear": "\x1b[2J\x1b[H",
    "return": "safe\rEVIL",
    "backspace": "rm\x08\x08",
    "c1": "\x9b31m",
    "bidi": "abc\u202edef\u2066",
    "zero width": "pay\u200bpal",
    "separator": "a\u2028b",
    "nul": "a\x00b",
    "surrogate": "a\ud800b",
}
MARKUP = [
    "[bold]x[/bold]",
    "[/]",
    "[link=http://evil.example]x[/link]",
    r"\[bold]x",
    r"\\[bold]x",
    "[red",
    "[@click=app.bell]x[/]",
    "routes[0]['as_path'] = [64500]",
]
SHORTCODES = ["64500:100:7", "2001:db8:a:b::1", ":warning:"]
TEXTS = [*MARKUP, *SHORTCODES, "C:\\"]


# Control characters


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_on_the_terminal_is_shown_as_words(text: str) -> None:
    assert console.printable(text).isprintable()


@given(text=st.text(st.characters() | st.sampled_from("\x1b\x07\r\u202e\ud800")))
@BORDERS
def test_no_control_format_or_surrogate_character_but_newline_and_tab_is_shown(text: str) -> None:
    shown = console.printable(text).replace("\n", "").replace("\t", "")
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(text=st.text(st.characters(categories=["L", "M", "N", "P", "S"]) | st.sampled_from(" \n\t")))
@BORDERS
def test_text_that_is_harmless_is_shown_as_it_is(text: str) -> None:
    assert console.printable(text) == text


@pytest.mark.parametrize("space", ["\u00a0", "\u202f", "\u3000"], ids=["no-break", "narrow", "ideographic"])
def test_spaces_of_other_scripts_are_no_control_characters(space: str) -> None:
    assert console.printable(f"10{space}000") == f"10{space}000"


def test_an_escape_says_which_character_it_was() -> None:
    assert console.printable("\x1b[31m\u202e") == "\\x1b[31m\\u202e"


# Results, errors, tables


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_of_result_shows_the_text_letter_for_letter(capsys: Capture, text: str) -> None:
    console.say(text)
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize("text", TEXTS)
def test_an_error_shows_the_text_letter_for_letter(capsys: Capture, text: str) -> None:
    console.complain(text)
    assert capsys.readouterr().err == f"error {text}\n"


@pytest.mark.parametrize("text", TEXTS)
def test_a_table_shows_its_cells_letter_for_letter(capsys: Capture, text: str) -> None:
    console.show_table("title", ["cells"], [[text]])
    assert f"│ {text} " in capsys.readouterr().out


@pytest.mark.parametrize("text", TEXTS)
def test_a_table_shows_title_and_columns_letter_for_letter(capsys: Capture, text: str) -> None:
    console.show_table(text, [text], [["a long cell that keeps the table wide enough"]])
    out = capsys.readouterr().out
    assert out.startswith(text)
    assert f"┃ {text} " in out


@given(text=st.text(st.characters(exclude_characters="\t")))
@BORDERS
def test_any_text_is_shown_letter_for_letter(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as shown:  # capsys cannot be used with @given
        console.say(text)
        console.say("ends with \\")
    assert shown.getvalue() == f"{console.printable(text)}\nends with \\\n"


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_neither_result_nor_error_lets_an_escape_through(capsys: Capture, text: str) -> None:
    console.say(text)
    console.complain(text)
    console.show_table("t", ["c"], [[text]])
    shown = "".join(capsys.readouterr())
    assert all(c.isprintable() or c == "\n" for c in shown)


def test_a_table_lets_no_escape_through_in_title_and_columns(capsys: Capture) -> None:
    console.show_table("\x1b[31mtitle", ["\x9bcolumn"], [["cell"]])
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().out)


def test_results_go_to_standard_output_and_errors_to_standard_error(capsys: Capture) -> None:
    console.say("result")
    console.complain("wrong")
    assert capsys.readouterr() == ("result\n", "error wrong\n")


def test_a_long_line_is_not_broken(capsys: Capture) -> None:
    console.say("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_json_for_another_program_is_untouched(capsys: Capture) -> None:
    text = json.dumps({"a": "[red]:100:\\", "b": ["x" * 300]})
    console.say_raw(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_numbers_are_set_to_the_right_and_words_to_the_left(capsys: Capture) -> None:
    console.show_table("t", ["word column", "number column"], [["a", "1"], ["b", "-2.5"], ["c", ""]])
    assert "│ a           │             1 │" in capsys.readouterr().out


# Progress without a terminal


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Clock]:
    moved = Clock()
    caplog.set_level(logging.INFO, logger="seedtune.console")
    with monkeypatch.context() as patched:
        patched.setattr("seedtune.console.time.monotonic", moved)
        yield moved


def test_progress_says_that_it_starts(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("generate", 100):
        pass
    assert caplog.messages == ["generate: starting, 100 to do"]


def test_progress_logs_a_line_each_thirty_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("train", 100) as advance:
        for done in range(61):
            advance(done, "loss 1.000")
            clock.now += 1
    lines = caplog.messages[1:]
    assert [line.split(",")[0] for line in lines] == ["train: 30/100", "train: 60/100"]
    assert all(line.endswith("loss 1.000") for line in lines)


def test_progress_tells_rate_and_time_left(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("train", 100) as advance:
        advance(0)
        clock.now += 40
        advance(20)
    assert caplog.messages[-1] == "train: 20/100, 0.5/s, 2:40 left"


def test_what_an_earlier_session_did_is_no_speed(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("train", 100) as advance:
        advance(90)
        clock.now += 50
        advance(95)
    assert caplog.messages[-1] == "train: 95/100, 0.1/s, 0:50 left"


def test_progress_of_nothing_is_no_division_by_zero(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("evaluate", 0) as advance:
        clock.now += 60
        advance(0)
    assert caplog.messages[-1] == "evaluate: 0/0"


def test_no_time_is_left_when_more_was_done_than_announced(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with console.progress("train", 10) as advance:
        advance(0)
        clock.now += 60
        advance(20)
    assert "-" not in caplog.messages[-1]


def test_progress_writes_nothing_to_the_streams(clock: Clock, capsys: Capture) -> None:
    with console.progress("train", 10) as advance:
        clock.now += 60
        advance(5)
    assert capsys.readouterr() == ("", "")


# Progress on a terminal

NOTE = (
    "62% kept, cost 0.0712 of about 0.1301, 48 in flight, 1,234 tokens/s, 2 of 3 addresses down, 12 x 429, "
    "up to 12,345 tokens lost, 123,456 tokens, 123 requests"
)
REQUIRED = NOTE.split(", up to")[0].split(", ")
WIDTHS = [40, 80, 120, 200]


class Terminal:
    """What a terminal of some width shows of a bar."""

    def __init__(self, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = io.StringIO()
        self.rich = Console(
            file=self._file, force_terminal=True, width=width, soft_wrap=True, color_system=None, legacy_windows=False
        )
        self._shown: list[Any] = []
        monkeypatch.setattr(console, "_err", self.rich)
        monkeypatch.setattr(console, "Live", self._live)

    @contextlib.contextmanager
    def _live(self, shown: Any, **options: Any) -> Generator[None]:
        self._shown.append(shown)
        yield

    def lines(self) -> list[str]:
        found = self.rich.render_lines(self._shown[-1], self.rich.options, pad=False)
        return ["".join(segment.text for segment in line).rstrip() for line in found]


@pytest.mark.parametrize("width", [*WIDTHS, 41, 59, 97])
@pytest.mark.parametrize(
    ("label", "total", "note"),
    [
        ("generate", 155, NOTE),
        ("generate", 1_000_000, f"{NOTE}, {'a very long word of an endpoint ' * 9}"),
        ("train", 1200, "loss 1.234, 12,345 tokens/s"),
        ("fetching, MB", 1234.567, "前缀" * 60),
    ],
)
def test_no_line_is_wider_than_the_terminal(
    width: int, label: str, total: float, note: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(width, monkeypatch)
    with console.progress(label, total) as advance:
        for done in (0, total / 3, total):
            clock.now += 5000
            advance(done, note)
            assert max(map(cell_len, terminal.lines())) <= width
            assert len(terminal.lines()) <= 5


@pytest.mark.parametrize("width", WIDTHS)
def test_what_must_be_seen_is_seen_at_any_width(width: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(width, monkeypatch)
    with console.progress("generate", 100_000) as advance:
        advance(0)
        clock.now += 3600
        advance(62_000, NOTE)
    head, *note = terminal.lines()
    assert "generate" in head
    assert "62,000/100,000, " in head
    assert "36:46 left" in head
    for part in REQUIRED:
        assert sum(part in line for line in note) == 1


def test_eighty_columns_hold_the_whole_note(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80, monkeypatch)
    with console.progress("generate", 155) as advance:
        advance(0)
        clock.now += 10
        advance(97, NOTE)
    head, *note = terminal.lines()
    assert ", ".join(note) == NOTE
    assert head.split()[-1] == "passed"
    assert "━━━━" in head
    assert "97/155, 9.7/s, 0:06 left" in head


def test_a_note_that_gets_shorter_leaves_its_lines(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(40, monkeypatch)
    with console.progress("generate", 155) as advance:
        advance(1, NOTE)
        tall = len(terminal.lines())
        advance(2, "62% kept")
        assert len(terminal.lines()) == tall
        assert terminal.lines()[2:] == [""] * (tall - 2)


def test_a_note_lets_no_escape_and_no_line_end_through(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80, monkeypatch)
    with console.progress("generate", 155) as advance:
        advance(1, "\x1b[2J[bold]it says\nno[/bold]")
    assert terminal.lines()[1:] == ["\\x1b[2J[bold]it says no[/bold]"]


def test_a_bar_is_gone_when_its_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(console, "_err", Console(file=file, force_terminal=True, width=40, soft_wrap=True))
    with console.progress("generate", 155) as advance:
        advance(1, NOTE)
    assert "generate" in file.getvalue()
    assert file.getvalue().rstrip("\n").endswith("\x1b[2K")


@pytest.mark.parametrize(
    ("gained", "seconds", "words"),
    [
        (4650, 30, "155/s"),
        (48, 30, "1.6/s"),
        (3, 30, "0.1/s"),
        (1, 60, "1/min"),
        (1, 1800, "2/h"),
        (9960, 1000, "10/s"),
    ],
)
def test_a_rate_is_a_plain_number(
    gained: int, seconds: int, words: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with console.progress("train", 1e6) as advance:
        advance(0)
        clock.now += seconds
        advance(gained)
    assert f"/1,000,000, {words}, " in caplog.messages[-1]


def test_the_line_in_the_log_holds_the_whole_note_and_plain_numbers(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with console.progress("generate", 1_000_000) as advance:
        advance(0)
        clock.now += 100
        advance(15_500, NOTE)
    assert caplog.messages == [
        "generate: starting, 1,000,000 to do",
        f"generate: 15,500/1,000,000, 155/s, 1:45:52 left, {NOTE}",
    ]


# Words for times and paths


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.05, "0.1 s"),
        (59.9, "59.9 s"),
        (59.96, "1:00"),
        (60, "1:00"),
        (95.2, "1:35"),
        (3599, "59:59"),
        (3600, "1:00:00"),
        (90061, "25:01:01"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert console.duration(seconds) == words


def test_a_path_below_this_folder_is_shown_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert console.relative(tmp_path / "runs" / "x") == "runs/x"


def test_a_path_elsewhere_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert console.relative(tmp_path / "there") == str(tmp_path / "there")


def test_what_an_endpoint_said_reaches_the_log_as_words(capfd: pytest.CaptureFixture[str]) -> None:
    console.set_up_logging()
    logging.getLogger("seedtune.test").warning("the endpoint says: %s", "\x1b[2J\u202eowned")
    assert "the endpoint says: \\x1b[2J\\u202eowned" in capfd.readouterr().err
