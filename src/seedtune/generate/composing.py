"""Compose request ``index``: what it shows and asks for follows from its index and from what it may build on."""

import copy
import random
from collections.abc import Iterable, Sequence

from seedtune.config import Config, GenerateConfig
from seedtune.domains import Pack
from seedtune.errors import ConfigError
from seedtune.generate.documents import Passage, digest, read_passages
from seedtune.generate.sampling import draw_for, draw_seeds, usable_packs
from seedtune.generate.sequence import FollowUp
from seedtune.generate.wording import classic, strict
from seedtune.generate.wording.judging import (
    JUDGEMENT_DECODING,
    judgement_messages,
    judgement_prefix,
    judgement_schema,
    read_rubric,
)
from seedtune.generate.wording.prompting import Form, build_messages, reply_prefix
from seedtune.generate.wording.structured import tasks_schema
from seedtune.records import Decoding, Request, SeedTask, Step, content_id


class Composer:
    """Composes the requests of one run."""

    def __init__(self, config: Config, packs: Sequence[Pack]) -> None:
        """Read the documents and the rubric.

        Raises:
            DomainError: no seed task of a pack is short enough to be shown.
            DataError: the documents or the rubric cannot be read.
            ConfigError: ``documents.packs`` names a pack that is not in use.
        """
        generate = config.generate
        self._seed = config.seed
        self._config = generate
        self._classic = strict if generate.fidelity == "strict" else classic
        self._packs = {pack.name: pack for pack in usable_packs(packs, generate.max_example_words)}
        documents = generate.documents
        self.passages: dict[str, Passage] = {}
        if documents is not None:
            self.passages = {p.id: p for p in read_passages(documents.folder, documents.passage_words)}
            unknown = set(documents.packs or ()) - self._packs.keys()
            if unknown:
                raise ConfigError(
                    f"generate.documents.packs: '{min(unknown)}' is not in use; there are: {', '.join(self._packs)}"
                )
        self.rubric = read_rubric(generate.judge.rubric) if generate.judge else ""
        self._order: tuple[int, list[str]] = (-1, [])

    @property
    def tasks_asked(self) -> int:
        """New tasks that one request asks for."""
        return tasks_asked(self._config)

    @property
    def passages_digest(self) -> str:
        """Content hash of all passages; empty without documents."""
        return digest(list(self.passages.values())) if self.passages else ""

    def begin(self, index: int, turn: int, written: Sequence[str], structured: bool) -> Request:
        """A request for new tasks, or in classic mode for new instructions.

        Args:
            index: Of the request.
            turn: How many requests began new work before it; the packs and the passages take turns.
            written: Instructions of the teacher that it may show.
            structured: Ask for JSON by a schema; strict fidelity never does.
        """
        structured = structured and self._config.fidelity == "fixed"
        pack = list(self._packs.values())[turn % len(self._packs)]
        if self._config.mode == "classic":
            return self._instructions(index, pack, written, structured)
        if self._config.fidelity == "strict":
            return self._strict_tasks(index, pack)
        return self._tasks(index, turn, pack, structured)

    @property
    def packs(self) -> tuple[Pack, ...]:
        """The packs in use, with the seed tasks that are short enough to be shown."""
        return tuple(self._packs.values())

    def only(self, packs: Iterable[Pack], passages: Iterable[Passage]) -> "Composer":
        """A composer of the same run that knows these packs and passages alone."""
        narrow = copy.copy(self)
        narrow._packs = {pack.name: pack for pack in packs}
        narrow.passages = {passage.id: passage for passage in passages}
        narrow._order = (-1, [])
        return narrow

    def follow(self, index: int, work: FollowUp, structured: bool) -> Request:
        """A request about candidates that wait for it."""
        structured = structured and (self._config.fidelity == "fixed" or work.step == "judgement")
        compose = {
            "classification": self._classification,
            "instances": self._instances,
            "judgement": self._judgement,
        }[work.step]
        return compose(index, work, structured)

    def passage(self, source: str) -> str:
        """The text of a passage by its id; empty for none."""
        return self.passages[source].text if source else ""

    def _tasks(self, index: int, turn: int, pack: Pack, structured: bool) -> Request:
        seeds = draw_seeds(self._seed, index, pack, self._config.seeds_per_request)
        passage = self._passage_for(turn) if self._shows_passages(pack) else None
        return self._asking(index, pack, seeds, passage, structured)

    def _asking(
        self, index: int, pack: Pack, seeds: Sequence[SeedTask], passage: Passage | None, structured: bool
    ) -> Request:
        tasks, form = self._config.tasks_per_request, _form(structured)
        return Request(
            index=index,
            pack=pack.name,
            parents=tuple(task.id for task in seeds),
            messages=build_messages(
                pack.prompt, seeds, tasks, form=form, passage=passage.text if passage is not None else ""
            ),
            prefix=reply_prefix(len(seeds), form),
            reply_schema=tasks_schema(tasks, quote=passage is not None) if structured else None,
            source=passage.id if passage is not None else "",
        )

    def _strict_tasks(self, index: int, pack: Pack) -> Request:
        seeds = draw_seeds(self._seed, index, pack, strict.SEEDS)
        return Request(
            index=index,
            pack=pack.name,
            parents=tuple(task.id for task in seeds),
            messages=strict.task_messages(pack.prompt, seeds),
            prefix=strict.task_prefix(len(seeds)),
            decoding=decoding_of(self._config, "tasks"),
        )

    def _shows_passages(self, pack: Pack) -> bool:
        documents = self._config.documents
        return documents is not None and (documents.packs is None or pack.name in documents.packs)

    def _passage_for(self, turn: int) -> Passage:
        """Each passage once, in a random order, before any comes again."""
        showing = [self._shows_passages(pack) for pack in self._packs.values()]
        round_, pack = divmod(turn, len(showing))
        lap, place = divmod(round_ * sum(showing) + sum(showing[:pack]), len(self.passages))
        if self._order[0] != lap:
            order = list(self.passages)
            random.Random(f"{self._seed}/passages/{lap}").shuffle(order)
            self._order = lap, order
        return self.passages[self._order[1][place]]

    def _instructions(self, index: int, pack: Pack, written: Sequence[str], structured: bool) -> Request:
        human = [task.instruction for task in pack.seeds]
        shown = classic.pick_examples(draw_for(self._seed, index), human, written)
        count, form = self._config.tasks_per_request, _form(structured)
        ids = {task.instruction: task.id for task in pack.seeds}
        return Request(
            index=index,
            step="instructions",
            pack=pack.name,
            parents=tuple(ids.get(instruction) or instruction_id(instruction) for instruction in shown),
            messages=self._classic.instruction_messages(pack.prompt, shown, count, form),
            prefix=self._classic.reply_prefix("instructions", len(shown), form),
            reply_schema=classic.instructions_schema(count) if structured else None,
            decoding=decoding_of(self._config, "instructions"),
        )

    def _classification(self, index: int, work: FollowUp, structured: bool) -> Request:
        candidate, form = work.pending[0].candidate, _form(structured)
        return Request(
            index=index,
            step="classification",
            pack=work.pack,
            parents=(candidate.id,),
            messages=self._classic.classification_messages(candidate.instruction, form),
            prefix=self._classic.reply_prefix("classification", form=form),
            reply_schema=classic.classification_schema() if structured else None,
            decoding=decoding_of(self._config, "classification"),
        )

    def _instances(self, index: int, work: FollowUp, structured: bool) -> Request:
        candidate, form, pack = work.pending[0].candidate, _form(structured), self._packs[work.pack]
        seeds = [] if work.is_classification else draw_seeds(self._seed, index, pack, self._config.seeds_per_request)
        return Request(
            index=index,
            step="instances",
            pack=work.pack,
            parents=(candidate.id, *(task.id for task in seeds)),
            messages=self._classic.instance_messages(
                candidate.instruction, work.is_classification, pack.prompt, seeds, form
            ),
            prefix=self._classic.reply_prefix("instances", form=form),
            reply_schema=classic.instances_schema(work.is_classification) if structured else None,
            decoding=decoding_of(self._config, "instances"),
        )

    def _judgement(self, index: int, work: FollowUp, structured: bool) -> Request:
        candidates, form = [verdict.candidate for verdict in work.pending], _form(structured)
        return Request(
            index=index,
            step="judgement",
            pack=work.pack,
            parents=tuple(candidate.id for candidate in candidates),
            messages=judgement_messages(self.rubric, candidates, form, passage=self.passage(work.source)),
            prefix=judgement_prefix(form),
            reply_schema=judgement_schema(len(candidates)) if structured else None,
            decoding=decoding_of(self._config, "judgement"),
            source=work.source,
        )


def tasks_asked(config: GenerateConfig) -> int:
    """New tasks, or in classic mode instructions, that one request asks for."""
    return strict.ASKED[config.mode] if config.fidelity == "strict" else config.tasks_per_request


def decoding_of(config: GenerateConfig, step: Step) -> Decoding | None:
    """What a request sets itself; None leaves all to the teacher's settings.

    Classic mode is as in the paper; in fixed mode no reply is longer than the user lets the teacher write.
    """
    if step == "judgement":
        return JUDGEMENT_DECODING
    own = (strict if config.fidelity == "strict" else classic).DECODING.get(step)
    if own is None or own.max_tokens is None or config.fidelity == "strict":
        return own
    return own.model_copy(update={"max_tokens": min(own.max_tokens, config.teacher.sampling.max_tokens)})


def instruction_id(instruction: str) -> str:
    """The id of a candidate that has no input and output yet."""
    return content_id(instruction, "", "")


def _form(structured: bool) -> Form:
    return "json" if structured else "text"
