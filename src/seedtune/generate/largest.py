"""Hold the largest requests of a run against the teachers' context windows, before anything is paid.

Two things decide how large a request is. What people wrote is there: the longest seed tasks and the longest passage are
shown some day, so a run in which these do not fit is refused. What the teacher will write is not there yet, but its
replies have a bound: a candidate, which follow-ups show, is no longer than its reply may be. A run in which such a
follow-up would not fit is warned of only, for few replies come near their bound.

Not covered: a teacher that writes more tasks than it was asked for, which the judge is then shown.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from seedtune.config import GenerateConfig, SamplingConfig
from seedtune.domains import Pack
from seedtune.errors import TeacherError
from seedtune.generate.composing import Composer
from seedtune.generate.funnel import PENDING
from seedtune.generate.sequence import FollowUp
from seedtune.generate.state import JUDGE, State
from seedtune.generate.wording import strict
from seedtune.generate.wording.classic import MACHINE_SHARE, SHOWN
from seedtune.generate.wording.instances import MAX_INSTANCES
from seedtune.records import Candidate, Request, SeedTask, Step, Verdict
from seedtune.teachers import ChatTeacher
from seedtune.teachers.protocol import prompt_bytes, sampling_of

logger = logging.getLogger(__name__)

_TOKEN = "the "
"""One token of nearly every tokenizer, and of as many bytes as one has on average."""

_Compose = Callable[[Composer], Request]


@dataclass(frozen=True)
class Largest:
    """The largest requests of a run: of each pack, step and form that a reply may be asked for in."""

    known: tuple[Request, ...]
    """With nothing that the teacher is still to write."""
    possible: tuple[Request, ...]
    """With as much of it as its replies may hold."""


async def check_windows(state: State, teachers: Mapping[str, ChatTeacher]) -> None:
    """Check each teacher with the largest requests that it will get, and warn of those that it may get.

    Raises:
        TeacherError: as :meth:`ChatTeacher.check`; a request that is sure to come does not fit the context window.
    """
    for name, teacher in teachers.items():
        # The examples of each request are looked through, which takes a while where a pack has thousands.
        largest = await asyncio.to_thread(largest_requests, state.config, state.composer, teacher.structured)
        sampling = state.teachers[name].sampling
        known = _heaviest((r for r in largest.known if state.asks(r) == name), sampling)
        possible = _heaviest([*known, *(r for r in largest.possible if state.asks(r) == name)], sampling)
        whose = "generate.judge.teacher: " if name == JUDGE else ""
        for request in known:
            try:
                await teacher.check(request)
            except TeacherError as problem:
                raise TeacherError(f"{whose}{problem}") from problem
        for request in possible:
            if request not in known:
                try:
                    await teacher.check(request)
                except TeacherError as problem:
                    logger.warning("%sif replies are as long as they may be: %s", whose, problem)


def largest_requests(config: GenerateConfig, composer: Composer, structured: bool) -> Largest:
    """The largest requests of a run.

    Args:
        config: What is asked.
        composer: Composes the run's requests.
        structured: The teacher offers replies by a schema. It may still turn out not to, and be asked for text.
    """
    passages = sorted(composer.passages.values(), key=lambda passage: len(passage.text.encode()))[-1:]
    known: list[Request] = []
    possible: list[Request] = []
    for pack in composer.packs:
        for form in dict.fromkeys((structured, False)):
            extremes = _Extremes(config, composer.only([pack], passages), pack, form)
            known += extremes.requests(written=False)
            possible += extremes.requests(written=True)
    return Largest(tuple(known), tuple(possible))


def _heaviest(requests: Iterable[Request], sampling: SamplingConfig) -> list[Request]:
    """Those that no other exceeds both in its prompt and in its reply; mostly one."""
    sizes = [(prompt_bytes(request), sampling_of(request, sampling).max_tokens, request) for request in requests]
    found: list[Request] = []
    longest_reply = 0
    for _, reply, request in sorted(sizes, key=lambda size: size[:2], reverse=True):
        if reply > longest_reply:
            found.append(request)
            longest_reply = reply
    return found


class _Extremes:
    """The largest requests of one pack, asked for in one form."""

    def __init__(self, config: GenerateConfig, composer: Composer, pack: Pack, structured: bool) -> None:
        self._config = config
        self._composer = composer
        self._pack = pack
        self._structured = structured
        self._order: dict[Step, Sequence[SeedTask]] = {}

    def requests(self, written: bool) -> list[Request]:
        """Of each step; with ``written``, those that show as much as the teacher may write."""
        begun = self._begin(())
        reply = self._reply_to(begun) if written else ""
        if self._config.mode == "alpaca":
            others = [self._pending()] * (self._composer.tasks_asked - 1) if written else []
            return [begun, *self._judgements([self._pending(output=reply), *others], begun.source)]
        # Whatever the seed tasks, one of these is the longest: the teacher's own may be longer or shorter.
        beginnings = [self._begin([reply] * n) for n in range(1, MACHINE_SHARE + 1)] if written else [begun]
        about = self._pending(reply)
        classification = self._follow(FollowUp("classification", self._pack.name, (about,)))
        instances, labels = (
            self._follow(FollowUp("instances", self._pack.name, (about,), is_classification=is_classification))
            for is_classification in (False, True)
        )
        answer = self._reply_to(instances) if written else ""
        others = [about] * (MAX_INSTANCES - 1) if written else []
        judgements = self._judgements([self._pending(reply, answer), *others])
        return [*beginnings, classification, instances, labels, *judgements]

    def _begin(self, written: Sequence[str]) -> Request:
        if self._config.mode == "classic":
            count = SHOWN - len(written)
        else:
            count = strict.SEEDS if self._config.fidelity == "strict" else self._config.seeds_per_request
        step = "instructions" if self._config.mode == "classic" else "tasks"
        return self._with_longest(step, count, lambda composer: composer.begin(0, 0, written, self._structured))

    def _follow(self, work: FollowUp) -> Request:
        shows_seeds = work.step == "instances" and not work.is_classification and self._config.fidelity == "fixed"
        count = self._config.seeds_per_request if shows_seeds else 0
        return self._with_longest(work.step, count, lambda composer: composer.follow(0, work, self._structured))

    def _judgements(self, tasks: Sequence[Verdict], source: str = "") -> list[Request]:
        if self._config.judge is None:
            return []
        return [self._follow(FollowUp("judgement", self._pack.name, tuple(tasks), source))]

    def _with_longest(self, step: Step, count: int, compose: _Compose) -> Request:
        """A request with those ``count`` seed tasks that make it longest."""
        if count and step not in self._order:
            # Composed with each alone: how long an example becomes is known to the templates only.
            self._order[step] = sorted(
                self._pack.seeds, key=lambda seed: prompt_bytes(self._with([seed], compose)), reverse=True
            )
        return self._with(self._order[step][:count] if count else (), compose)

    def _with(self, seeds: Sequence[SeedTask], compose: _Compose) -> Request:
        pack = replace(self._pack, seeds=tuple(seeds))
        return compose(self._composer.only([pack], self._composer.passages.values()))

    def _reply_to(self, request: Request) -> str:
        """A text as long as the teacher's reply may be."""
        return (_TOKEN * sampling_of(request, self._config.teacher.sampling).max_tokens)[:-1] + "."

    def _pending(self, instruction: str = "", output: str = "") -> Verdict:
        candidate = Candidate(instruction=instruction, input="", output=output, pack=self._pack.name, request=0)
        return Verdict(candidate=candidate, kept=False, reason=PENDING)
