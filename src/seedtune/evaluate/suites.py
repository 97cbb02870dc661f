"""Which questions an evaluation asks, and in which words. Pure functions: every model gets the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from seedtune.config import EvaluateConfig
from seedtune.domains import Domain, Suite
from seedtune.domains.asked import named_after
from seedtune.domains.description import SuiteType
from seedtune.domains.loader import Item
from seedtune.errors import ConfigError, EvaluationError
from seedtune.evaluate.prompts import open_question, option_order, spread, written_answer, written_question
from seedtune.records import EvalItem, Message, content_id
from seedtune.yaml_tree import hint

Method = Literal["loglikelihood", "generate"]
Part = Literal["domain", "own", "general"]

SHOWCASE = "showcase"
"""The name that the domain's showcase goes by among the suites."""
_WITH_OPTIONS = ("multiple_choice", "true_false")


@dataclass(frozen=True)
class Question:
    """One question of an evaluation."""

    item_id: str
    turns: tuple[Message, ...]
    """System prompt and examples from ``dev``, if any, and the question."""
    options: tuple[str, ...] = ()
    """The possible answers whose log-likelihoods are wanted; empty where the answer is written."""
    order: tuple[int, ...] = ()
    """The item's options as they are listed."""
    max_new_tokens: int = 0
    """Longest written answer."""
    sample: int = 0
    """Number of this answer among several to one item."""
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0
    """Of a sampled answer; below 2**63."""


@dataclass(frozen=True)
class Chosen:
    """A suite that is asked, and whose it is."""

    suite: Suite
    """With its ``dev`` items, whatever is asked."""
    asked: Suite
    """With the items that are asked, alone."""
    part: Part
    domain: Domain
    """Its system prompt is put before the questions; its own code runs programs."""


@dataclass(frozen=True)
class Job:
    """The items of one suite, asked by one method."""

    suite: str
    type: SuiteType
    method: Method
    items: tuple[Item, ...]
    questions: tuple[Question, ...]
    """One for each item, in order, or ``samples``."""
    primary: bool
    """Whether this method's comparison is the suite's one test; the other method is reported beside it."""
    part: Part = "domain"
    folder: Path = Path()
    """Of the domain whose code runs programs."""
    samples: int = 1

    @property
    def name(self) -> str:
        """Suite and method, as reports name it."""
        return f"{self.suite}/{self.method}"


def choose_suites(
    domain: Domain, config: EvaluateConfig, own: Sequence[Suite] = (), general: Domain | None = None
) -> list[Chosen]:
    """The suites of an evaluation: the domain's, the user's own, those on what may be forgotten.

    Args:
        domain: The run's.
        config: Names suites and split.
        own: Asked whole, whatever the split.
        general: Its suites are named after it, ``general:arithmetic``.

    Raises:
        ConfigError: a suite the domain does not have.
        EvaluationError: a suite of the user's own has the name of another.
    """
    selected = [] if config.suites == () else domain.select_suites(config.suites)
    if taken := [suite.name for suite in own if suite.name in domain.suites]:
        raise EvaluationError(f"evaluate.items: the domain has a suite {taken[0]} already; rename the file")
    chosen = [Chosen(suite, suite.only(config.split), "domain", domain) for suite in selected]
    chosen += [Chosen(suite, suite, "own", domain) for suite in own]
    if general is not None:
        chosen += [Chosen(suite, suite.only(config.split), "general", general) for suite in named_after(general)]
    known = {*domain.suites, *(each.suite.name for each in chosen)}
    for name in config.limit if isinstance(config.limit, dict) else ():
        if name not in known:
            raise ConfigError(f"evaluate.limit: no suite '{name}'; {hint(name, sorted(known))}")
    return [each for each in chosen if each.asked.items]


def plan_jobs(chosen: Sequence[Chosen], config: EvaluateConfig, seed: int) -> list[Job]:
    """The jobs of an evaluation, in the order of suites and methods.

    Raises:
        EvaluationError: nothing is left to ask, or examples are wanted and a suite has no ``dev`` file.
    """
    jobs = [_job(each, method, config, seed) for each in chosen for method in _methods(each.suite.type, config.methods)]
    if not jobs:
        raise EvaluationError(
            f"no suite with a {config.split} file is selected that can be asked by "
            f"evaluate.methods = {', '.join(config.methods)} (all but {' and '.join(_WITH_OPTIONS)} need generate)"
        )
    return jobs


def _methods(suite_type: SuiteType, wanted: Sequence[Method]) -> list[Method]:
    """Those of the wanted methods that such a suite can be asked by, the primary one first."""
    possible: tuple[Method, ...] = ("loglikelihood", "generate") if suite_type in _WITH_OPTIONS else ("generate",)
    return [method for method in possible if method in wanted]


def _job(chosen: Chosen, method: Method, config: EvaluateConfig, seed: int) -> Job:
    suite, own = chosen.suite, chosen.part == "own"
    items = tuple(spread(chosen.asked, None if own else config.limit_of(suite.name)))
    shown = [] if own else _examples(suite, config.shots, seed)
    samples = config.samples if suite.type == "code" else 1
    system = chosen.domain.file.system_prompt
    first = (Message(role="system", content=system),) if system else ()
    questions: list[Question] = []
    for item in items:
        before = [example for example in shown if example.id != item.id][: config.shots]
        examples = [turn for example in before for turn in _turns(example, suite.type, method, seed)]
        turns = (*first, *examples, _turns(item, suite.type, method, seed)[0])
        if method == "loglikelihood" and isinstance(item, EvalItem):
            questions.append(Question(item.id, turns, options=item.options))
            continue
        written = Question(item.id, turns, (), _order(item, suite.type, seed), _longest(suite.type, config))
        if samples == 1:
            questions.append(written)
        else:
            questions += [_sampled(written, number, config.temperature, seed) for number in range(samples)]
    primary = method == _methods(suite.type, config.methods)[0]
    folder = chosen.domain.folder
    return Job(suite.name, suite.type, method, items, tuple(questions), primary, chosen.part, folder, samples)


def _sampled(question: Question, number: int, temperature: float, seed: int) -> Question:
    drawn = int(content_id("sample", seed, question.item_id, number), 16) % 2**63
    return replace(question, sample=number, temperature=temperature, seed=drawn)


def _longest(suite_type: SuiteType, config: EvaluateConfig) -> int:
    """Tokens of a written answer."""
    lengths: dict[SuiteType, int] = {
        "exact": config.exact_tokens,
        "open": config.open_tokens,
        "constraints": config.open_tokens,
        "code": config.code_tokens,
    }
    return lengths.get(suite_type, config.max_new_tokens)


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
    """The domain's open questions that the models answer side by side."""
    system = domain.file.system_prompt
    first = (Message(role="system", content=system),) if system else ()
    return [
        Question(content_id(text), (*first, Message(role="user", content=text)), max_new_tokens=max_new_tokens)
        for text in domain.file.showcase
    ]
