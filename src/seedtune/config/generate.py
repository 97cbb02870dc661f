"""Self-Instruct: what is asked, what is kept, and when it ends."""

from typing import Literal, Self

from pydantic import Field, model_validator

from seedtune.config.section import Section, UserPath
from seedtune.config.teacher import LocalTeacherConfig, OpenAITeacherConfig, TeacherConfig


class LimitsConfig(Section):
    """When generation stops short of its goal (exit code 3, work saved). None is no limit."""

    max_cost: float | None = Field(default=None, gt=0)
    """In the currency of the prices. Checked before sending, against the worst case; needs ``teacher.prices``."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Prompt and completion tokens together, checked before sending against the worst case."""
    max_requests: int | None = Field(default=None, gt=0)
    max_candidates: int | None = Field(default=None, gt=0)
    """Tasks that the teacher writes, kept or not. Checked before sending, against what is asked for."""
    max_hours: float | None = Field(default=None, gt=0)
    """Wall time of one session; the next one has as long again."""
    stall_requests: int | None = Field(default=50, gt=0)
    """Look at the last so many requests: when they added fewer than ``stall_accepted``, the pool is saturated or the
    prompt is wrong, and the run stops."""
    stall_accepted: int = Field(default=1, ge=1)


class DocumentsConfig(Section):
    """Grounding: each request shows a passage, and each answer quotes the words of it that support it."""

    folder: UserPath
    """Text (.txt) and Markdown (.md) files, at any depth."""
    packs: tuple[str, ...] | None = None
    """Packs whose requests show a passage; None is all of them."""
    passage_words: int = Field(default=400, ge=20, le=5000)
    """Files are cut between paragraphs into passages of about this many words."""


class MinHashConfig(Section):
    """Near-duplicates of whole tasks: instruction, input and output together."""

    threshold: float = Field(default=0.8, gt=0, le=1)
    """A task with an estimated Jaccard similarity of its word 3-grams above this against any other is rejected."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """More give a finer estimate: its standard error is at most ``0.5 / sqrt(permutations)``."""


class EmbeddingConfig(Section):
    """Instructions that mean the same in other words, by a model run on this machine."""

    model: str = "embedded"
    """``embedded``, a hub id, or a local folder: any model of transformers; its last hidden states are averaged."""
    threshold: float = Field(default=0.9, gt=0, le=1)
    """An instruction with a cosine similarity above this against any other is rejected. The mean of the seed tasks is
    taken off first: without it, all texts of one trade look alike."""


class ProgramsConfig(Section):
    """Programs among the answers are run before they are kept, in packs with ``programs: true`` in ``domain.yaml``.

    Not with ``fidelity: strict``: the originals run nothing.
    """

    verify: bool = True
    """Reject what fails the domain's lint, does not run, prints nothing, or prints the same whatever its data."""
    required: bool = False
    """Reject an answer of such a pack that holds no program that can be run: words, or fragments alone."""
    seconds: float = Field(default=10.0, gt=0, le=3600)
    """CPU time of each run; a program that waits ends after five times as long."""


class JudgeConfig(Section):
    """A model that scores each task which passed the filters, by a rubric, before it is accepted."""

    teacher: TeacherConfig | None = None
    """Who judges; None is the teacher itself, which tends to like its own work."""
    rubric: UserPath | None = None
    """Markdown; None is the one that comes with seedtune."""
    min_score: int = Field(default=4, ge=1, le=5)
    """Out of 5; a task that scores less is rejected."""


class GenerateConfig(Section):
    """Self-Instruct."""

    mode: Literal["alpaca", "classic"] = "alpaca"
    """``alpaca``: one request brings whole tasks. ``classic``: instructions first, then for each whether it is a
    classification, then its instances, as in the paper."""
    fidelity: Literal["fixed", "strict"] = "fixed"
    """``strict`` repeats the originals' constants and faults, for comparison with the literature."""
    packs: tuple[str, ...] | None = None
    """Prompt packs of the domain; None is all of them. Requests take turns."""
    num_instructions: int = Field(default=100, ge=1)
    """How many accepted instructions to end with, over all packs."""
    seeds_per_request: int = Field(default=3, ge=1, le=20)
    """Seed tasks shown as examples in each request."""
    max_example_words: int | None = Field(default=None, ge=1)
    """Seed tasks longer than this are not shown as examples: for small teachers, which long ones confuse."""
    tasks_per_request: int = Field(default=5, ge=1, le=50)
    """New tasks asked for in each request."""
    rouge_threshold: float = Field(default=0.7, gt=0, le=1)
    """An instruction with a ROUGE-L F above this against any other is a duplicate."""
    min_words: int = Field(default=4, ge=1)
    max_words: int = Field(default=150, ge=2)
    """Bounds of an instruction's length."""
    lookahead: int = Field(default=32, ge=1, le=4096)
    """Where requests build on earlier ones (classic mode, the judge), they see those about this far behind: as many may
    be in flight. At the beginning of a run it is less, so that a small run begins no more than it can end."""
    decontaminate: bool = True
    """Reject what resembles an evaluation item of the domain."""
    documents: DocumentsConfig | None = None
    minhash: MinHashConfig | None = None
    embedding: EmbeddingConfig | None = None
    programs: ProgramsConfig = ProgramsConfig()
    judge: JudgeConfig | None = None
    teacher: TeacherConfig = LocalTeacherConfig()
    limits: LimitsConfig = LimitsConfig()

    @model_validator(mode="after")
    def _costs_need_prices(self) -> Self:
        judge = self.judge.teacher if self.judge else None
        for name, teacher in (("teacher", self.teacher), ("judge.teacher", judge or self.teacher)):
            priced = isinstance(teacher, OpenAITeacherConfig) and teacher.prices is not None
            free = isinstance(teacher, LocalTeacherConfig) and name == "judge.teacher"
            if self.limits.max_cost is not None and not (priced or free):
                raise ValueError(
                    f"limits.max_cost needs {name}.prices {{input_per_million, output_per_million, as_of}}: "
                    "an unknown price cannot be kept within a budget"
                )
        return self

    @model_validator(mode="after")
    def _candidates_fit(self) -> Self:
        most = self.limits.max_candidates
        if most is not None and most < self.tasks_per_request:
            raise ValueError(
                f"limits.max_candidates is {most}, less than the tasks_per_request = {self.tasks_per_request} "
                "that one request asks for"
            )
        return self

    @model_validator(mode="after")
    def _some_length_fits(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words is {self.min_words} and max_words {self.max_words}: no instruction fits both")
        return self
