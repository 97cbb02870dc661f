"""Which questions an evaluation asks, and in which words. Pure functions: both models get the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, Suite
from seedtune.domains.description import SuiteType
from seedtune.domains.loader import Item
from seedtune.errors import EvaluationError
from seedtune.evaluate.prompts import open_question, option_order, spread, written_answer, written_question
from seedtune.records import EvalItem, Message, content_id

Method = Literal["loglikelihood", "generate"]

SHOWCASE = "showcase"
"""The name that the domain's showcase goes by among the suites."""


@dataclass(frozen=True)
class Question:
    """One question of an evaluation."""

    item_id: str
    turns: tuple[Message, ...]
    """Examples from ``dev``, if any, and the question; the system prompt is put before them by who asks."""
    options: tuple[str, ...] = ()
    """The possible answers whose log-likelihoods are wanted; empty where the answer is written."""
    order: tuple[int, ...] = ()
    """The item's options as they are listed."""
    max_new_tokens: int = 0
    """Longest written answer."""


@dataclass(frozen=True)
class Job:
    """The items of one suite, asked by one method."""

    suite: str
    type: SuiteType
    method: Method
    items: tuple[Item, ...]
    questions: tuple[Question, ...]
    """One for each item, in order."""
    primary: bool
    """Whether this method's comparison is the suite's one test; the other method is reported beside it."""

    @property
    def name(self) -> str:
        """Suite and method, as reports name it."""
        return f"{self.suite}/{self.method}"


def plan_jobs(domain: Domain, config: EvaluateConfig, seed: int) -> list[Job]:
    """The jobs of an evaluation, in the order of suites and methods.

    Raises:
        DomainError: a suite the domain does not have.
        EvaluationError: nothing is left to ask, or examples are wanted and a suite has no ``dev`` file.
    """
    jobs: list[Job] = []
    for suite in domain.select_suites(config.suites):
        asked, methods = suite.only(config.split), _methods(suite.type, config.methods)
        if asked.items:
            jobs += [_job(suite, asked, method, config, seed) for method in methods]
    if not jobs:
        raise EvaluationError(
            f"{domain.folder}: no suite with a {config.split} file is selected that can be asked by "
            f"evaluate.methods = {', '.join(config.methods)} (cloze and open need generate)"
        )
    return jobs


def _methods(suite_type: SuiteType, wanted: Sequence[Method]) -> list[Method]:
    """Those of the wanted methods that such a suite can be asked by, the primary one first."""
    possible: tuple[Method, ...] = ("loglikelihood", "generate")
    if suite_type in ("cloze", "open"):
        possible = ("generate",)
    return [method for method in possible if method in wanted]


def _job(suite: Suite, asked: Suite, method: Method, config: EvaluateConfig, seed: int) -> Job:
    items = tuple(spread(asked, config.limit))
    primary = method == _methods(suite.type, config.methods)[0]
    shown = _examples(suite, config.shots, seed)
    longest = config.open_tokens if suite.type == "open" else config.max_new_tokens
    questions: list[Question] = []
    for item in items:
        before = [example for example in shown if example.id != item.id][: config.shots]
        examples = [turn for example in before for turn in _turns(example, suite.type, method, seed)]
        turns = (*examples, _turns(item, suite.type, method, seed)[0])
        if method == "loglikelihood" and isinstance(item, EvalItem):
            questions.append(Question(item.id, turns, options=item.options))
        else:
            order = _order(item, suite.type, seed)
            questions.append(Question(item.id, turns, order=order, max_new_tokens=longest))
    return Job(suite.name, suite.type, method, items, tuple(questions), primary)


def _examples(suite: Suite, shots: int, seed: int) -> list[Item]:
    """The ``dev`` items that are shown, and one in reserve: an item is never shown before itself."""
    if not shots:
        return []
    dev = suite.only("dev").items
    if len(dev) <= shots:
        raise EvaluationError(
            f"evaluate.shots = {shots} needs more than {shots} items in 'dev:' of the suite {suite.name}, which has "
            f"{len(dev)}; set evaluate.shots=0, or leave the suite out with evaluate.suites"
        )
    return sorted(dev, key=lambda item: content_id("shot", seed, item.id))[: shots + 1]


def _turns(item: Item, suite_type: SuiteType, method: Method, seed: int) -> tuple[Message, Message]:
    """An item's question and its right answer."""
    if method == "loglikelihood" and isinstance(item, EvalItem):
        question, answer = open_question(item, suite_type), item.answer
    else:
        order = _order(item, suite_type, seed)
        question, answer = written_question(item, suite_type, order), written_answer(item, suite_type, order)
    return Message(role="user", content=question), Message(role="assistant", content=answer)


def _order(item: Item, suite_type: SuiteType, seed: int) -> tuple[int, ...]:
    """How a choice's options are listed; nothing where none are."""
    if suite_type == "multiple_choice" and isinstance(item, EvalItem):
        return tuple(option_order(item, seed))
    return ()


def showcase_questions(domain: Domain, max_new_tokens: int) -> list[Question]:
    """The domain's open questions that both models answer side by side."""
    return [
        Question(content_id(text), (Message(role="user", content=text),), max_new_tokens=max_new_tokens)
        for text in domain.file.showcase
    ]
