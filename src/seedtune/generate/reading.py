"""Read the reply to a request, whatever it asked for, as candidates. Pure; nothing is judged here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seedtune.config import GenerateConfig
from seedtune.generate.sequence import FollowUp
from seedtune.generate.wording import classic, instances, strict
from seedtune.generate.wording.parsing import parse_reply
from seedtune.records import Candidate, Reply, Request


@dataclass(frozen=True)
class Reading:
    """What a reply says."""

    candidates: tuple[Candidate, ...] = ()
    path: str = ""
    """How it was read: ``json``, ``text``, or empty where there was nothing to read."""
    faults: tuple[str, ...] = ()
    """Of the parts that are no whole task."""
    is_classification: bool = False
    """What a classification request was told."""


class Reader:
    """Reads the replies of one run."""

    def __init__(self, config: GenerateConfig) -> None:
        self._is_strict = config.fidelity == "strict"
        self._classic = strict if self._is_strict else classic
        self._parse_instances = strict.parse_instances if self._is_strict else instances.parse_instances

    def read(self, request: Request, work: FollowUp | None, reply: Reply) -> Reading:
        """What the reply says; nothing for an error, and for a judgement, which is no task.

        Args:
            request: What was asked.
            work: The follow-up it was; None for a beginning.
            reply: What came.
        """
        if reply.error:
            return Reading()
        if work is None:
            return self._tasks(request, reply) if request.step == "tasks" else self._instructions(request, reply)
        if request.step == "classification":
            answer = self._classic.parse_classification(reply.text)
            return Reading(faults=() if answer is not None else ("no_answer",), is_classification=bool(answer))
        return self._instances(request, work, reply) if request.step == "instances" else Reading()

    def _tasks(self, request: Request, reply: Reply) -> Reading:
        parsed = (
            strict.parse_tasks(reply.text, reply.finish_reason, len(request.parents))
            if self._is_strict
            else parse_reply(reply.text, reply.finish_reason, quoted=bool(request.source))
        )
        tasks = ((task.instruction, task.input, task.output, task.quote) for task in parsed.tasks)
        return Reading(_candidates(request, request.parents, tasks), parsed.path, parsed.faults)

    def _instructions(self, request: Request, reply: Reply) -> Reading:
        parsed = self._classic.parse_instructions(reply.text, reply.finish_reason, len(request.parents))
        tasks = ((instruction, "", "", "") for instruction in parsed.instructions)
        return Reading(_candidates(request, request.parents, tasks), parsed.path, parsed.faults)

    def _instances(self, request: Request, work: FollowUp, reply: Reply) -> Reading:
        parsed = self._parse_instances(reply.text, reply.finish_reason, work.is_classification)
        about = work.pending[0].candidate
        tasks = ((about.instruction, instance.input, instance.output, "") for instance in parsed.instances)
        return Reading(_candidates(request, (about.id, *about.parents), tasks), parsed.path, parsed.faults)


def _candidates(
    request: Request, parents: Sequence[str], tasks: Iterable[tuple[str, str, str, str]]
) -> tuple[Candidate, ...]:
    """From instruction, input, output and quote of each."""
    return tuple(
        Candidate(
            instruction=instruction,
            input=given,
            output=output,
            pack=request.pack,
            request=request.index,
            parents=tuple(parents),
            source=request.source,
            quote=quote,
        )
        for instruction, given, output, quote in tasks
    )
