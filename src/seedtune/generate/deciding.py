"""What becomes of a reply: verdicts on its candidates, and what is still to be done about them.

Everything a candidate is held against is here: its own form, the passage it must quote, the pool of all instructions so
far, the further filters, the evaluation items, what its programs do, and the judge.
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from seedtune.config import GenerateConfig
from seedtune.domains import Domain, Pack
from seedtune.domains.contamination import ItemGuard
from seedtune.generate.composing import Composer
from seedtune.generate.documents import quote_fault
from seedtune.generate.filters import form
from seedtune.generate.filters.execution import ProgramTrials, Trial
from seedtune.generate.filters.form import FilterRules, Rejection
from seedtune.generate.filters.further import further_filters
from seedtune.generate.funnel import PENDING
from seedtune.generate.reading import Reader, Reading
from seedtune.generate.sequence import FollowUp
from seedtune.generate.wording import strict
from seedtune.generate.wording.judging import Judgement, parse_judgement
from seedtune.records import Candidate, Reply, Request, Verdict
from seedtune.similarity import RougeIndex, tokenize, tokenize_ascii


@dataclass(frozen=True)
class Outcome:
    """Of one reply."""

    reading: Reading
    verdicts: tuple[Verdict, ...]
    follow_ups: tuple[FollowUp, ...]


class Decider:
    """Decides on the replies of one run, in the order of their requests."""

    def __init__(
        self,
        config: GenerateConfig,
        domain: Domain,
        packs: Sequence[Pack],
        composer: Composer,
        guard: ItemGuard | None,
    ) -> None:
        """Make ready.

        Args:
            config: Of the stage.
            domain: What the run is about.
            packs: Those in use.
            composer: Has the passages that candidates must quote.
            guard: Has the evaluation items that are kept out; those beside the domain's may change between sessions,
                what was decided stays as it was. None where nothing is.
        """
        self._config = config
        self._composer = composer
        self._reader = Reader(config)
        is_strict = config.fidelity == "strict"
        self._filters = strict if is_strict else form
        blocked = domain.file.filters.blocked_words
        fixed = FilterRules(config.min_words, config.max_words, config.rouge_threshold, blocked)
        self._rules = strict.RULES[config.mode] if is_strict else fixed
        self._guard = guard
        # The originals run nothing.
        self._programs = ProgramTrials(config.programs, domain, () if is_strict else packs)
        self._pool = RougeIndex(tokenize_ascii if is_strict else tokenize)
        self._further = further_filters(config)
        self._read: dict[int, Reading] = {}
        """Replies whose programs are being tried, by request."""
        for pack in packs:
            for seed in pack.seeds:
                self._pool.add(seed.id, seed.instruction)
                for further in self._further:
                    further.add(seed)

    @property
    def items_digest(self) -> str:
        """Content hash of the domain's evaluation items, which candidates are held against; empty for none."""
        return self._guard.digest if self._guard else ""

    @property
    def programs_digest(self) -> str:
        """Content hash of what programs are tried by; empty where none are."""
        return self._programs.digest

    @property
    def tried_packs(self) -> Collection[str]:
        """The packs in whose answers programs are tried."""
        return self._programs.packs

    def prepare(self) -> None:
        """Do now what would keep paid replies waiting later, and see that programs can be run.

        Raises:
            SandboxError: there will be programs, and they cannot.
        """
        for further in self._further:
            further.prepare()
        self._programs.prepare()

    def listen(self, heard: Callable[[], None]) -> None:
        """Have ``heard`` called, from another thread, whenever programs have been tried."""
        self._programs.listen(heard)

    def close(self) -> None:
        """Try no more programs."""
        self._programs.close()

    def try_programs(self, request: Request, work: FollowUp | None, reply: Reply) -> Sequence[Future[Trial]]:
        """Begin with the programs of a reply, and have what :meth:`decide` would otherwise wait for."""
        if not self._programs.concerns(request.pack) or request.step not in ("tasks", "instances"):
            return ()
        reading = self._read[request.index] = self._reader.read(request, work, reply)
        return [self._programs.start(each) for each in reading.candidates if not self._malformed(request, each)]

    def decide(self, request: Request, work: FollowUp | None, reply: Reply) -> Outcome:
        """Verdicts on a reply; what it brings is in the pool when this returns.

        Args:
            request: What was asked.
            work: The follow-up it was; None for a beginning.
            reply: What came.
        """
        reading = self._read.pop(request.index, None) or self._reader.read(request, work, reply)
        if work is None:
            verdicts = [self._begun(request, candidate) for candidate in reading.candidates]
        elif request.step == "judgement":
            verdicts = self._judged(work, reply)
        elif request.step == "instances" or reply.error:
            verdicts = self._instances(request, work, reply, reading)
        else:
            verdicts = []
        for candidate in reading.candidates:
            self._programs.forget(candidate)
        return Outcome(reading, tuple(verdicts), self._next(request, work, reading, verdicts))

    def restore(self, request: Request, work: FollowUp | None, reply: Reply, verdicts: Sequence[Verdict]) -> Outcome:
        """As :meth:`decide`, with verdicts that were recorded."""
        reading = self._reader.read(request, work, reply)
        for verdict in verdicts if work is None else ():
            self._learn(verdict)
        return Outcome(reading, tuple(verdicts), self._next(request, work, reading, verdicts))

    def _begun(self, request: Request, candidate: Candidate) -> Verdict:
        """A new task, or in classic mode a new instruction."""
        is_whole = request.step == "tasks"
        found = self._malformed(request, candidate) or (self._unsupported(candidate) if is_whole else None)
        if found:
            return _rejected(candidate, found)
        near = self._pool.neighbours(candidate.instruction)
        verdict = Verdict(
            candidate=candidate,
            kept=True,
            similarity=round(near.score, 4),
            nearest=near.id,
            neighbours=near.nearest,
            mean_similarity=round(near.mean, 4),
        )
        found = form.similarity_fault(near.score, near.id, self._rules)
        scores: dict[str, float] = {}
        for further in self._further if not found else ():
            nearest = further.nearest(candidate)
            scores[further.name] = round(nearest.score, 4)
            if nearest.score > further.threshold:
                found = Rejection(further.name, f"{nearest.score:.2f} with {nearest.id}")
                break
        found = found or self._contaminated(candidate)
        trial = self._programs.result(candidate) if is_whole and not found else Trial()
        found = found or trial.fault
        is_pending = not is_whole or self._config.judge is not None
        verdict = verdict.model_copy(
            update={
                "kept": not found and not is_pending,
                "reason": found.reason if found else PENDING if is_pending else "",
                "detail": found.detail if found else "",
                "scores": scores,
                "printed": trial.printed,
            }
        )
        self._learn(verdict)
        return verdict

    def _malformed(self, request: Request, candidate: Candidate) -> Rejection | None:
        """What is wrong with the form of what a request brought."""
        found = None if request.step == "instances" else self._filters.instruction_fault(candidate, self._rules)
        return found or (
            None if request.step == "instructions" else self._filters.instance_fault(candidate, self._rules)
        )

    def _learn(self, verdict: Verdict) -> None:
        """What is kept or may be is in the pool, so that nothing like it comes again."""
        if verdict.kept or verdict.reason == PENDING:
            self._pool.add(verdict.candidate.id, verdict.candidate.instruction)
            for further in self._further:
                further.add(verdict.candidate)

    def _unsupported(self, candidate: Candidate) -> Rejection | None:
        if not candidate.source:
            return None
        if not candidate.quote.strip():
            return Rejection("no_quote", f"none of {candidate.source}")
        fault = quote_fault(candidate.quote, self._composer.passage(candidate.source))
        return Rejection("quote_not_found", fault) if fault else None

    def _contaminated(self, candidate: Candidate) -> Rejection | None:
        hit = self._guard.hit(candidate) if self._guard else None
        return Rejection("contaminated", f"{hit.how} with {hit.suite} {hit.item_id}: {hit.detail}") if hit else None

    def _instances(self, request: Request, work: FollowUp, reply: Reply, reading: Reading) -> list[Verdict]:
        """Of one instruction, each judged alone; without any that is kept, the instruction is rejected."""
        about = work.pending[0]
        verdicts: list[Verdict] = []
        for candidate in reading.candidates:
            found = self._malformed(request, candidate) or self._contaminated(candidate)
            trial = Trial() if found else self._programs.result(candidate)
            found = found or trial.fault
            decided = {"candidate": candidate, "kept": True, "reason": "", "detail": "", "printed": trial.printed}
            kept = about.model_copy(update=decided)
            if found is None and self._config.judge is not None:
                kept = kept.model_copy(update={"kept": False, "reason": PENDING})
            verdicts.append(_rejected(candidate, found) if found else kept)
        if not any(verdict.kept or verdict.reason == PENDING for verdict in verdicts):
            why = reply.error or ", ".join((*reading.faults, *(verdict.reason for verdict in verdicts)))
            verdicts.append(_rejected(about.candidate, Rejection("no_instance", why)))
        return verdicts

    def _judged(self, work: FollowUp, reply: Reply) -> list[Verdict]:
        judgements: Sequence[Judgement | None] = [None] * len(work.pending)
        if not reply.error:
            judgements = parse_judgement(reply.text, len(work.pending), reply.finish_reason)
        verdicts = [self._judgement_on(*pair, reply.error) for pair in zip(work.pending, judgements, strict=True)]
        if self._config.mode == "classic" and not any(verdict.kept for verdict in verdicts):
            first = work.pending[0].candidate
            bare = first.model_copy(update={"input": "", "output": "", "parents": first.parents[1:]})
            why = ", ".join(verdict.reason for verdict in verdicts)
            verdicts.append(_rejected(bare, Rejection("no_instance", why)))
        return verdicts

    def _judgement_on(self, verdict: Verdict, judgement: Judgement | None, error: str) -> Verdict:
        if judgement is None:
            return verdict.model_copy(update={"reason": "judge_unreadable", "detail": error})
        kept = self._config.judge is not None and judgement.score >= self._config.judge.min_score
        return verdict.model_copy(
            update={
                "kept": kept,
                "reason": "" if kept else "judged_low",
                "detail": judgement.reason,
                "scores": verdict.scores | {"judge": float(judgement.score)},
            }
        )

    def _next(
        self, request: Request, work: FollowUp | None, reading: Reading, verdicts: Sequence[Verdict]
    ) -> tuple[FollowUp, ...]:
        """What is still to be done. It follows from what is recorded, so that a restart finds the same."""
        if request.step == "classification":
            if work is None or verdicts:
                return ()
            decides = self._config.judge is None
            return (replace(work, step="instances", is_classification=reading.is_classification, decides=decides),)
        pending = tuple(verdict for verdict in verdicts if verdict.reason == PENDING)
        if request.step == "instructions":
            return tuple(FollowUp("classification", request.pack, (verdict,), decides=False) for verdict in pending)
        return (FollowUp("judgement", request.pack, pending, request.source),) if pending else ()


def _rejected(candidate: Candidate, found: Rejection) -> Verdict:
    return Verdict(candidate=candidate, kept=False, reason=found.reason, detail=found.detail)
