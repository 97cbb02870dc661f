"""Conversations with base and tuned model side by side."""

import secrets
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from seedtune.domains.programs import programs_of
from seedtune.errors import ModelError, RunError
from seedtune.records import Message
from seedtune.web.folders import RunFolder
from seedtune.web.pair import SIDES, Decoding, Side
from seedtune.web.talker import Talker
from seedtune.web.votes import VOTES, Asked, Choice, append_vote

_KEPT = 200
"""Conversations that a studio remembers."""

Event = dict[str, Any]


@dataclass
class Turn:
    """A question and both answers to it."""

    text: str
    decoding: Decoding
    answers: dict[Side, str] = field(default_factory=dict[Side, str])


@dataclass
class Conversation:
    """Who answers in which pane is known here alone while it is blind."""

    run: str
    system: str
    order: tuple[Side, Side]
    """The side in the left pane, and the one in the right."""
    blind: bool
    """Nobody was told the order yet."""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    turns: list[Turn] = field(default_factory=list[Turn])

    def messages(self, side: Side, text: str) -> list[Message]:
        """What this side is to answer."""
        said = [Message(role="system", content=self.system)] if self.system.strip() else []
        for turn in self.turns:
            said.append(Message(role="user", content=turn.text))
            said.append(Message(role="assistant", content=turn.answers.get(side, "")))
        return [*said, Message(role="user", content=text)]


class ChatRoom:
    """The conversations of one studio, and the models of one run at a time."""

    def __init__(self) -> None:
        self._talker: Talker | None = None
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = Lock()

    def talker(self, run: RunFolder) -> Talker | None:
        """The models of this run, if they were loaded last."""
        return self._talker if self._talker and self._talker.run.path == run.path else None

    def load(self, run: RunFolder) -> Talker:
        """Load the models of a run; those of another one leave memory.

        Raises:
            RunError: another run's models are at work.
            DataError: the run folder cannot be written.
        """
        with self._lock:
            found = self._talker
            if found and found.state != "ended":
                if found.run.path == run.path:
                    return found
                if found.state == "answering":
                    raise RunError(f"the models of {found.run.name} are answering; stop them first")
                found.close()
            self._talker = Talker(run)
            return self._talker

    def unload(self, run: RunFolder) -> None:
        """Take the models of a run out of memory."""
        with self._lock:
            if found := self.talker(run):
                found.close()
                self._talker = None

    def begin(self, run: RunFolder, system: str, blind: bool) -> Conversation:
        """A new conversation; who stands where is drawn if it is blind."""
        turned = blind and secrets.randbelow(2) == 1
        conversation = Conversation(run.name, system, ("tuned", "base") if turned else SIDES, blind)
        with self._lock:
            self._conversations[conversation.id] = conversation
            while len(self._conversations) > _KEPT:
                self._conversations.popitem(last=False)
        return conversation

    def conversation(self, run: RunFolder, identity: str) -> Conversation:
        """One that was begun.

        Raises:
            RunError: this studio does not know it.
        """
        found = self._conversations.get(identity)
        if found is None or found.run != run.name:
            raise RunError("this conversation is not known any more; begin a new one")
        return found

    def say(self, run: RunFolder, conversation: Conversation, text: str, decoding: Decoding) -> Generator[Event]:
        """Ask both sides; events name the pane, 0 or 1, never the side.

        Raises:
            RunError: the models are not loaded, or answer already.
        """
        talker = self.talker(run)
        if talker is None:
            raise RunError("the models are not loaded; load them first")
        asked: dict[Side, list[Message]] = {side: conversation.messages(side, text) for side in SIDES}
        return _answers(conversation, Turn(text, decoding), talker.answer(asked, decoding))

    def reveal(self, run: RunFolder, identity: str) -> tuple[Side, Side]:
        """Who stands in which pane; votes from now on are no blind ones."""
        conversation = self.conversation(run, identity)
        conversation.blind = False
        return conversation.order

    def vote(self, run: RunFolder, identity: str, turn: int, choice: Choice, by: str) -> None:
        """Append what somebody said of a turn's answers; on the disk when this returns.

        Raises:
            RunError: there is no such turn.
            DataError: it cannot be written.
        """
        conversation, talker = self.conversation(run, identity), self.talker(run)
        if not 0 <= turn < len(conversation.turns):
            raise RunError("there is no such answer to vote on")
        said = conversation.turns[turn]
        asked = Asked(
            conversation.id,
            turn,
            conversation.order,
            conversation.blind,
            said.text,
            said.answers,
            said.decoding,
            talker.about.get("adapter_sha256", "") if talker else "",
        )
        with self._lock:
            append_vote(run.file(VOTES), asked, choice, by)


def _answers(conversation: Conversation, turn: Turn, events: Generator[Event]) -> Generator[Event]:
    """The events for a page. The turn counts, and has a number, once both sides have ended and the page was told."""
    try:
        for event in events:
            pane = conversation.order.index(event["side"])
            if event["event"] == "piece":
                yield {"pane": pane, "text": event["text"]}
            else:
                turn.answers[event["side"]] = event["text"]
                ending = {name: event[name] for name in ("text", "tokens", "seconds", "ended")}
                yield {"pane": pane, "ending": {**ending, "programs": len(programs_of(event["text"]))}}
    except ModelError as problem:
        yield {"fault": str(problem)}
        return
    finally:
        events.close()
    conversation.turns.append(turn)
    yield {"turn": len(conversation.turns) - 1}
