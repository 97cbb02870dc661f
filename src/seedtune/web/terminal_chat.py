"""``seedtune chat``: talk with a run's base and tuned model in the terminal."""

import re
import secrets
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TextIO

from seedtune import console
from seedtune.errors import ConfigError, ModelError, SeedtuneError
from seedtune.records import Message
from seedtune.web.pair import SIDES, Decoding, Ending, Pair, Piece, Side
from seedtune.web.terminal_review import user_name
from seedtune.web.votes import VOTES, Asked, Choice, append_vote, tally

HELP = "/reset begins anew, /quit or Ctrl-D ends, Ctrl-C breaks an answer off"
HELP_ON_BLIND = "/reveal says who is who"
_COMMAND = re.compile(r"/[a-z]+")
_PLACES: tuple[Choice, Choice] = ("left", "right")


@dataclass(frozen=True)
class Manner:
    """How a chat is held."""

    sides: tuple[Side, ...] = SIDES
    """Who answers."""
    blind: bool = False
    """Who is who is drawn for each conversation, and said when it is asked for."""
    system: str | None = None
    """A system prompt in the place of the domain's; empty is none."""
    by: str | None = None
    """Who votes; None is the user of the machine."""

    def __post_init__(self) -> None:
        if self.blind and len(self.sides) < len(SIDES):
            raise ConfigError("--blind: both sides must answer; leave --with out")


def chat(
    run_folder: Path,
    *,
    manner: Manner | None = None,
    decoding: Decoding | None = None,
    source: TextIO | None = None,
) -> int:
    """Answer what is typed until there is no more.

    Several sides answer one after the other, each from its own answers before.

    Args:
        run_folder: Of a run with a tuned model.
        manner: Who answers, and how they are shown.
        decoding: The same for all; greedy by default.
        source: Where questions come from, a line each; None is the terminal, or standard input.

    Returns:
        The exit code.

    Raises:
        RunError: nothing is trained, or what was trained has changed since.
        ModelError: a model cannot be loaded, or the adapter changes nothing.
    """
    manner = manner or Manner()
    pair = Pair(run_folder)
    console.say(f"base {pair.about.base}\nadapter sha256 {pair.about.adapter_sha256}")
    talk = _Talk(pair, manner, decoding or Decoding(), run_folder / VOTES)
    console.say(talk.help)
    while (text := _ask(source)) is not None:
        match text.strip():
            case "":
                continue
            case "/quit" | "/exit":
                break
            case "/reset":
                talk.reset()
            case "/help" | "/?":
                console.say(talk.help)
            case "/reveal":
                talk.reveal()
            case word if word in talk.votes:
                talk.vote(talk.votes[word])
            case word if _COMMAND.fullmatch(word):
                console.complain(f"{word}: no such command\n{talk.help}")
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

    def __init__(self, pair: Pair, manner: Manner, decoding: Decoding, votes: Path) -> None:
        self._pair = pair
        self._manner = manner
        self._decoding = decoding
        self._votes = votes
        self._begin()

    def _begin(self) -> None:
        about, manner = self._pair.about, self._manner
        system = about.system if manner.system is None else manner.system
        said = [Message(role="system", content=system)] if system.strip() else []
        turned = manner.blind and secrets.randbelow(2) == 1
        self._turns: dict[Side, list[Message]] = {
            side: list(said) for side in (reversed(manner.sides) if turned else manner.sides)
        }
        self._hidden = manner.blind
        self._id = secrets.token_urlsafe(12)
        self._asked = 0
        self._last: Asked | None = None

    @property
    def votes(self) -> dict[str, Choice]:
        """What can be said of two answers, by the names under which they are shown."""
        if len(self._turns) < len(SIDES):
            return {}
        named: dict[str, Choice] = {f"/{name}": place for name, place in zip(self._names, _PLACES, strict=True)}
        return {**named, "/both": "both", "/neither": "neither"}

    @property
    def _names(self) -> list[str]:
        """What the sides are called, in their order."""
        return list(_PLACES if self._hidden else self._turns)

    @property
    def help(self) -> str:
        """What can be typed besides questions."""
        votes = [f"{', '.join(self.votes)}: which of the last two answers is good"] if self.votes else []
        return "\n".join([HELP, *votes, *([HELP_ON_BLIND] if self._hidden else [])])

    def reset(self) -> None:
        """Forget it."""
        self._begin()
        console.say("A new conversation.")

    def reveal(self) -> None:
        """Say who is who; votes from now on are no blind ones."""
        self._hidden = False
        self._last = self._last._replace(blind=False) if self._last else None
        console.say(", ".join(f"{place}: {side}" for place, side in zip(_PLACES, self._turns, strict=False)))

    def vote(self, choice: Choice) -> None:
        """Keep what the reader says of the last two answers."""
        if self._last is None:
            console.complain("there are no two answers to vote on")
            return
        try:
            append_vote(self._votes, self._last, choice, self._manner.by or user_name())
            counts = tally(self._votes)
        except SeedtuneError as problem:
            console.complain(str(problem))
            return
        # How open votes stand says nothing about who is who; how this one was counted would.
        said = [f"{kind}: {sum(votes.values())}" for kind, votes in counts.items() if votes]
        console.say(f"saved; votes so far, {', '.join(said)}")

    def answer(self, question: str) -> None:
        """Let each side answer; what a side wrote before it was broken off counts as its answer."""
        asked = Message(role="user", content=question)
        answers: dict[Side, str] = {}
        with _interrupts() as stopped:
            for name, (side, turns) in zip(self._names, self._turns.items(), strict=True):
                if len(self._turns) > 1:
                    console.say(f"[{name}]")
                try:
                    answers[side] = self._stream(side, [*turns, asked], stopped)
                except ModelError as problem:
                    console.complain(str(problem))
                else:
                    turns += [asked, Message(role="assistant", content=answers[side])]
        self._last = self._asked_now(question, answers) if answers.keys() == set(SIDES) else None
        self._asked += 1

    def _asked_now(self, question: str, answers: dict[Side, str]) -> Asked:
        left, right = self._turns
        digest = self._pair.about.adapter_sha256
        return Asked(self._id, self._asked, (left, right), self._hidden, question, answers, self._decoding, digest)

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
