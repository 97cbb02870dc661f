"""``seedtune chat``: talk with a run's base and tuned model in the terminal."""

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TextIO

from seedtune import console
from seedtune.errors import ModelError
from seedtune.records import Message
from seedtune.web.pair import SIDES, Decoding, Ending, Pair, Piece, Side

HELP = "/reset begins anew, /quit or Ctrl-D ends, Ctrl-C breaks an answer off"


def chat(
    run_folder: Path,
    *,
    sides: tuple[Side, ...] = SIDES,
    decoding: Decoding | None = None,
    system: str | None = None,
    source: TextIO | None = None,
) -> int:
    """Answer what is typed until there is no more.

    Several sides answer one after the other, each from its own answers before.

    Args:
        run_folder: Of a run with a tuned model.
        sides: Who answers.
        decoding: The same for all; greedy by default.
        system: A system prompt in the place of the domain's; empty is none.
        source: Where questions come from, a line each; None is the terminal, or standard input.

    Returns:
        The exit code.

    Raises:
        RunError: nothing is trained, or what was trained has changed since.
        ModelError: a model cannot be loaded, or the adapter changes nothing.
    """
    pair = Pair(run_folder)
    about = pair.about
    console.say(f"base {about.base}\nadapter sha256 {about.adapter_sha256}\n{HELP}")
    talk = _Talk(pair, sides, decoding or Decoding(), about.system if system is None else system)
    while (text := _ask(source)) is not None:
        match text.strip():
            case "":
                continue
            case "/quit" | "/exit":
                break
            case "/reset":
                talk.reset()
            case "/help" | "/?":
                console.say(HELP)
            case question:
                talk.answer(question)
    return 0


def _ask(source: TextIO | None) -> str | None:
    """The next line; None where there is no more."""
    if source is None and sys.stdin.isatty():
        with suppress(ImportError):
            import_module("readline")  # it gives input() its line editor
        try:
            return input("> ")
        except EOFError:
            console.say()
            return None
        except KeyboardInterrupt:
            console.say()
            return ""
    return (source or sys.stdin).readline() or None


class _Talk:
    """What was said so far."""

    def __init__(self, pair: Pair, sides: tuple[Side, ...], decoding: Decoding, system: str) -> None:
        self._pair = pair
        self._decoding = decoding
        self._system = [Message(role="system", content=system)] if system.strip() else []
        self._turns: dict[Side, list[Message]] = {side: list(self._system) for side in sides}

    def reset(self) -> None:
        """Forget it."""
        self._turns = {side: list(self._system) for side in self._turns}
        console.say("A new conversation.")

    def answer(self, question: str) -> None:
        """Let each side answer; what a side wrote before it was broken off counts as its answer."""
        asked = Message(role="user", content=question)
        with _interrupts() as stopped:
            for side, turns in self._turns.items():
                if len(self._turns) > 1:
                    console.say(f"[{side}]")
                try:
                    said = self._stream(side, [*turns, asked], stopped)
                except ModelError as problem:
                    console.complain(str(problem))
                else:
                    turns += [asked, Message(role="assistant", content=said)]

    def _stream(self, side: Side, turns: list[Message], stopped: Event) -> str:
        whole = ""
        for found in self._pair.answer({side: turns}, self._decoding, stopped.is_set):
            match found:
                case Piece(text=text):
                    console.pass_on(text)
                case Ending(text=text, ended=ended):
                    whole = text
                    console.say("" if ended else " [stopped]" if stopped.is_set() else " [cut: its longest answer]")
        return whole


@contextmanager
def _interrupts() -> Generator[Event]:
    """Within it Ctrl-C sets the event, and ends nothing."""
    stopped = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
