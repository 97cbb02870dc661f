"""Which models are compared, on which items, and how they are asked."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seedtune.config.section import Section, UserPath
from seedtune.config.teacher import OpenAITeacherConfig, SamplingConfig

ItemType = Literal["multiple_choice", "true_false", "cloze", "open", "exact", "code", "constraints"]
Positive = Annotated[int, Field(ge=1)]
_OWN_NAMES = ("base", "tuned", "judge")


class LocalRivalConfig(Section):
    """Another model that is run on this machine, with or without an adapter."""

    type: Literal["local"] = "local"
    model: str
    """``embedded``, a hub id, or a local folder."""
    adapter: UserPath | None = None
    """Folder of a LoRA adapter of this model."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    chat_template: UserPath | None = None
    """A Jinja file, for a tokenizer that carries no chat template of its own."""
    trust_remote_code: bool = False
    """Run code that comes with a hub model. Only for publishers you trust."""


class EndpointRivalConfig(OpenAITeacherConfig):
    """A model behind an OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, OpenAI, ..."""

    tokenizer: str | None = None
    """Hub id or folder of its tokenizer, whose chat template writes the text that ``/completions`` is to score (with
    ``echo`` and ``logprobs``, as vLLM can). None: the model is only asked for written answers."""

    @model_validator(mode="after")
    def _as_an_evaluation_sends(self) -> Self:
        if self.transport != "direct":
            raise ValueError("transport: an evaluation sends its questions directly; leave it out")
        if self.sampling != SamplingConfig():
            raise ValueError("sampling: every model is decoded alike; set evaluate.samples and evaluate.temperature")
        return self


RivalConfig = Annotated[LocalRivalConfig | EndpointRivalConfig, Field(discriminator="type")]


class ItemsConfig(Section):
    """A file of your own items."""

    path: UserPath
    """JSON Lines, as in a domain's suites."""
    type: ItemType | None = None
    """None: told from the keys of the first line."""


class SpendingConfig(Section):
    """What the endpoints of ``models`` may use, over all sessions. None is no limit."""

    max_cost: float | None = Field(default=None, gt=0)
    """In the currency of the prices; checked before sending, against the worst case."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Prompt and completion tokens together, likewise."""


class EvaluateConfig(Section):
    """Base against tuned model, and rivals, on the domain's items."""

    suites: tuple[str, ...] | None = None
    """Suites of the domain; None is all of them, an empty list none."""
    items: tuple[ItemsConfig | UserPath, ...] = ()
    """Your own items, each file a suite more, named after the file. They are always asked whole."""
    general: str | None = None
    """A domain whose suites show what training made the model forget: ``general``, or the path of a domain folder."""
    margin: float = Field(default=0.05, gt=0, lt=1)
    """The loss of accuracy on ``general`` that would be accepted. Choose it before you see an answer."""
    split: Literal["test", "dev"] = "test"
    """``test`` to report on; ``dev`` while you choose among checkpoints and settings."""
    models: dict[str, RivalConfig] = Field(default_factory=dict)
    """Rivals by name: other models that answer the same questions."""
    reference: Literal["base", "tuned"] = "base"
    """Which model each rival is tested against."""
    judge: EndpointRivalConfig | None = None
    """A model that says whose answer to an open question is better, base's or tuned's; it sees each pair both ways."""
    marks: UserPath | None = None
    """What people say of these pairs, as JSON Lines of item and winner (base, tuned, tie): the judge's agreement with
    them is reported."""
    methods: tuple[Literal["loglikelihood", "generate"], ...] = ("loglikelihood", "generate")
    """Compare the options' log-likelihoods, or let the model write its answer (the only way without options)."""
    shots: int = Field(default=0, ge=0, le=32)
    """Items of ``dev``, with their answers, put before each question."""
    limit: Positive | dict[str, Positive] | None = None
    """Take only this many items of each suite, evenly over the file; or of those that are named: ``{code: 8}``."""
    samples: int = Field(default=1, ge=1, le=1000)
    """Programs that a model writes for each item of a code suite: pass@1, and pass@k for k = ``samples``."""
    temperature: float = Field(default=0.8, gt=0, le=2)
    """Of these, where there are several; all else is greedy."""
    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=24, ge=1)
    """For a written answer to a closed question, or for a gap."""
    exact_tokens: int = Field(default=96, ge=1)
    """For an answer that is computed."""
    open_tokens: int = Field(default=256, ge=1)
    """For an answer in sentences, or to an instruction."""
    code_tokens: int = Field(default=1024, ge=1)
    """For a program."""
    showcase_tokens: int = Field(default=160, ge=1)
    """For the side-by-side answers in the report."""
    limits: SpendingConfig = SpendingConfig()
    fail_on_contamination: bool = False
    """Stop, naming them, where training rows hold items; else clean and contaminated items are reported apart."""

    def limit_of(self, suite: str) -> int | None:
        """How many items of a suite are asked; None is all of them."""
        return self.limit.get(suite) if isinstance(self.limit, dict) else self.limit

    @property
    def item_files(self) -> tuple[ItemsConfig, ...]:
        """``items``, each with its type where one is given."""
        return tuple(ItemsConfig(path=item) if isinstance(item, Path) else item for item in self.items)

    @model_validator(mode="after")
    def _sound_names(self) -> Self:
        if taken := [name for name in self.models if name in _OWN_NAMES or not name.strip()]:
            raise ValueError(f"models: {taken[0]!r} is taken; give a rival a name of its own")
        stems = [item.path.stem for item in self.item_files]
        if twice := [stem for stem in stems if stems.count(stem) > 1]:
            raise ValueError(f"items: two files are named {twice[0]}; the suites are named after them")
        return self

    @model_validator(mode="after")
    def _costs_need_prices(self) -> Self:
        asked = {f"models.{name}": rival for name, rival in self.models.items()} | {"judge": self.judge}
        for name, rival in asked.items():
            if isinstance(rival, EndpointRivalConfig) and rival.prices is None and self.limits.max_cost is not None:
                raise ValueError(
                    f"limits.max_cost needs {name}.prices {{input_per_million, output_per_million, as_of}}: "
                    "an unknown price cannot be kept within a budget"
                )
        return self
