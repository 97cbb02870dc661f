"""What is asked of whom, and how an answer is written down."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from seedtune.evaluate.suites import Method, Question
from seedtune.records import Answer, Usage

Keep = Callable[[list["Answer"]], None]
"""Takes answers as they come: they are on disk when it returns."""


@dataclass(frozen=True)
class Ask:
    """A question that is put to one of the models."""

    subject: str
    """Name of the model."""
    suite: str
    method: Method
    question: Question
    prompt: str
    """All that the model is told."""
    key: str
    """Identity of the answer."""

    @property
    def place(self) -> tuple[str, str, str, int]:
        """Where its answer belongs: model, job, item, sample."""
        return self.subject, f"{self.suite}/{self.method}", self.question.item_id, self.question.sample

    def answer(
        self, text: str = "", scores: Sequence[float] = (), error: str = "", usage: Usage | None = None
    ) -> Answer:
        """What came, as it is kept; scores in nats, rounded to 1e-4."""
        return Answer(
            key=self.key,
            item=self.question.item_id,
            suite=self.suite,
            method=self.method,
            model=self.subject,
            sample=self.question.sample,
            order=self.question.order,
            text=text,
            scores=tuple(round(score, 4) for score in scores),
            error=error,
            usage=usage,
        )


def batches(asks: Sequence[Ask], size: int) -> Iterator[list[Ask]]:
    """Questions of one model, suite and method together, the long ones apart from the short ones."""
    groups: dict[tuple[str, str, str], list[Ask]] = {}
    for ask in sorted(asks, key=lambda ask: ask.subject):
        groups.setdefault((ask.subject, ask.suite, ask.method), []).append(ask)
    for group in groups.values():
        group.sort(key=lambda ask: (len(ask.prompt), ask.key))
        for start in range(0, len(group), size):
            yield group[start : start + size]
