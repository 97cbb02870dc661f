"""Look at everything that training will read, in seconds and without the model's weights, before a GPU is paid for.

The rows are made by the code that training uses. Errors stop a run; warnings are for a person to judge. Not covered:
whether an answer is true, and whether there are enough of them.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seedtune import console, models
from seedtune.config import Config
from seedtune.domains import Domain, load_domain
from seedtune.errors import TrainingError
from seedtune.train.architecture import read_architecture
from seedtune.train.corpus import Corpus, Finding, check_texts, generated_file, read_corpus, refuse_errors
from seedtune.train.dataset import IGNORED, Example, Row, chat, fit_row, make_row, split_examples
from seedtune.train.steps import Passes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lengths:
    """Of one kind of text over all rows, in tokens."""

    shortest: int
    median: int
    p90: int
    p99: int
    longest: int

    @classmethod
    def of(cls, counts: Sequence[int]) -> "Lengths":
        """From at least one length."""
        return cls(*(int(value) for value in np.percentile(counts, [0, 50, 90, 99, 100], method="inverted_cdf")))


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens of a row that are all trained on, or all not."""

    text: str
    trained: bool
    tokens: int


@dataclass(frozen=True)
class CheckReport:
    """What was found, and what the rows are like."""

    findings: tuple[Finding, ...]
    counts: dict[str, int]
    """``examples``; of them ``train`` and ``held_out`` rows, ``left_out``, ``cut``; ``tokens`` of the training rows and
    ``trained_tokens`` among them."""
    lengths: dict[str, Lengths]
    """Of ``prompt``, ``answer`` and ``row``, before anything is cut; empty where no row could be made."""
    shown: tuple[Span, ...]
    """A row of median length."""
    shown_place: str
    rows: tuple[Row, ...]
    """All that can be trained on, held-out ones included, within ``train.max_length``."""

    @property
    def errors(self) -> int:
        """How many kinds of fault stop training."""
        return sum(finding.level == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain values for another program."""
        return {
            "sound": not self.errors,
            "findings": [asdict(finding) for finding in self.findings],
            "counts": self.counts,
            "lengths": {name: asdict(lengths) for name, lengths in self.lengths.items()},
            "example": {"place": self.shown_place, "spans": [asdict(span) for span in self.shown]},
        }


def check_config(config: Config) -> CheckReport:
    """Check what a config would train on: seeds, what its run has generated so far, and its own data.

    Raises:
        SeedtuneError: domain, tokenizer, config.json or a data file cannot be read at all.
    """
    domain = load_domain(config.domain)
    generated = generated_file(config)
    corpus, findings = read_corpus(config, domain, generated)
    tokenizer = models.load_tokenizer(config.model)
    if not config.train.data and generated is None:
        message = "nothing is generated yet: the seed tasks alone are checked"
        findings.append(Finding("warning", "source", message))
    report = check_corpus(config, domain, tokenizer, corpus)
    return replace(report, findings=(*findings, *report.findings))


def before_training(
    config: Config, domain: Domain, tokenizer: "PreTrainedTokenizerFast", corpus: Corpus, faults: Sequence[Finding]
) -> tuple[Row, ...]:
    """Log every warning; stop the run at an error.

    Args:
        config: Of the run.
        domain: The config's.
        tokenizer: The model's.
        corpus: What :func:`read_corpus` read.
        faults: What it found.

    Returns:
        The rows to be trained on and to be held out.

    Raises:
        DataError: what ``seedtune check`` calls an error.
    """
    report = check_corpus(config, domain, tokenizer, corpus)
    findings = (*faults, *report.findings)
    for finding in findings:
        if finding.level == "warning":
            logger.warning("train: %s", finding)
    refuse_errors(findings)
    return report.rows


def check_corpus(config: Config, domain: Domain, tokenizer: "PreTrainedTokenizerFast", corpus: Corpus) -> CheckReport:
    """Every check of examples that could be read."""
    rows, findings = _tokenized(tokenizer, corpus, domain.file.system_prompt)
    findings += check_texts(config, domain, corpus)
    if rows:
        findings += _template(tokenizer, domain.file.system_prompt, rows[0])
        findings += _special_tokens(tokenizer, corpus, rows)
        findings += _padding(tokenizer, rows)
        findings += _lengths(config, corpus, rows)
        findings += _vocabulary(config, tokenizer, corpus, rows)
    kept = [fitted for row in rows if (fitted := fit_row(row, config.train)) is not None]
    shown, place = (), ""
    if rows:
        typical = sorted(kept or rows, key=lambda row: len(row.input_ids))[len(kept or rows) // 2]
        shown, place = _spans(tokenizer, typical, config.train.max_length), corpus.place(typical.example)
    return CheckReport(tuple(findings), _counts(config, corpus, kept), _lengths_of(rows), shown, place, tuple(kept))


def _counts(config: Config, corpus: Corpus, kept: Sequence[Row]) -> dict[str, int]:
    training, held_out = split_examples([row.example for row in kept], config.train.held_out, config.seed)
    names = {example.task.id for example in training}
    trained = [row for row in kept if row.example.task.id in names]
    tokens = sum(len(row.input_ids) for row in trained)
    return {
        "examples": len(corpus.examples),
        "train": len(training),
        "held_out": len(held_out),
        "left_out": len(corpus.examples) - len(kept),
        "cut": sum(row.truncated for row in kept),
        "tokens": tokens,
        "trained_tokens": tokens - sum(row.prompt_tokens for row in trained),
    }


def _lengths_of(rows: Sequence[Row]) -> dict[str, Lengths]:
    if not rows:
        return {}
    prompts, wholes = [row.prompt_tokens for row in rows], [len(row.input_ids) for row in rows]
    answers = [whole - prompt for whole, prompt in zip(wholes, prompts, strict=True)]
    return {"prompt": Lengths.of(prompts), "answer": Lengths.of(answers), "row": Lengths.of(wholes)}


def _tokenized(
    tokenizer: "PreTrainedTokenizerFast", corpus: Corpus, system: str | None
) -> tuple[list[Row], list[Finding]]:
    """Whole rows, nothing cut; what cannot be made is a finding for each reason."""
    rows: list[Row] = []
    refused: dict[str, list[Example]] = {}
    for example in corpus.examples:
        try:
            rows.append(make_row(tokenizer, example, system))
        except TrainingError as problem:
            refused.setdefault(str(problem), []).append(example)
    findings = [
        finding
        for reason, examples in refused.items()
        for finding in corpus.finding("error", "template", reason.replace("{", "{{").replace("}", "}}"), examples)
    ]
    return rows, findings


def _template(tokenizer: "PreTrainedTokenizerFast", system: str | None, row: Row) -> Iterator[Finding]:
    """The template, on one row: what training and inference see must be the same tokens."""
    messages = chat(row.example.task, system)
    asked: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    if list(asked["input_ids"]) != row.input_ids[: row.prompt_tokens]:
        message = "the tokenizer makes other tokens of a question at inference than in training"
        yield Finding("error", "template", f"{message}; set model.chat_template")
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    if system and system.strip() not in text:
        message = "the chat template has no place for a system turn: the domain's system_prompt is lost"
        yield Finding("warning", "template", message)
    begin = tokenizer.bos_token_id
    if begin is not None and row.input_ids[:2] == [begin, begin]:
        yield Finding("error", "template", f"rows begin with {tokenizer.bos_token} twice; set model.chat_template")
    elif begin is not None and row.input_ids[0] != begin and tokenizer("x")["input_ids"][0] == begin:
        message = f"rows do not begin with {tokenizer.bos_token}, which this tokenizer puts before every other text"
        yield Finding("warning", "template", message)
    answer = {"role": "assistant", "content": row.example.task.output.strip()}
    whole = str(tokenizer.apply_chat_template([*messages, answer], tokenize=False))
    if not whole.rstrip().endswith(str(tokenizer.eos_token)):
        message = f"the chat template ends no answer with {tokenizer.eos_token}; training puts it there"
        yield Finding("warning", "template", message)


def _special_tokens(tokenizer: "PreTrainedTokenizerFast", corpus: Corpus, rows: Sequence[Row]) -> Iterator[Finding]:
    endless = [row.example for row in rows if row.labels[-1] != tokenizer.eos_token_id]
    message = "the last trained token of {} rows is not the end-of-sequence token: the model would not learn to stop"
    yield from corpus.finding("error", "end", message, endless)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    spelt = [
        example
        for example in corpus.examples
        if any(token in example.task.prompt or token in example.task.output for token in special)
    ]
    message = "{} rows spell a special token of the tokenizer, which is then read as one"
    yield from corpus.finding("warning", "special tokens", message, spelt)


def _padding(tokenizer: "PreTrainedTokenizerFast", rows: Sequence[Row]) -> Iterator[Finding]:
    """Padding that looks like the end of a sequence is harmless only where the end stays among the labels."""
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    pair = [max(rows, key=lambda row: len(row.input_ids)), min(rows, key=lambda row: len(row.input_ids))]
    passes = Passes(packed=False, size=2, padding=cast("int", tokenizer.pad_token_id))
    [batch] = passes.of([(np.array(row.input_ids), np.array(row.labels)) for row in pair])
    padded = pair[1].labels + [IGNORED] * (len(pair[0].labels) - len(pair[1].labels))
    if cast("torch.Tensor", batch["labels"])[1].tolist() == padded:
        message = "is the end-of-sequence token too; the labels survive it in training, other tools may mask the end"
        yield Finding("warning", "padding", f"the padding token {tokenizer.pad_token} {message}")
    else:
        message = "is the end-of-sequence token too, and takes it out of the labels: set another pad_token"
        yield Finding("error", "padding", f"the padding token {tokenizer.pad_token} {message}")


def _lengths(config: Config, corpus: Corpus, rows: Sequence[Row]) -> Iterator[Finding]:
    limit = config.train.max_length
    if all(fit_row(row, config.train) is None for row in rows):
        shortest = min(row.prompt_tokens for row in rows)
        message = f"no row has room for its answer in train.max_length = {limit} tokens"
        yield Finding("error", "length", f"{message}; the shortest prompt has {shortest}")
        return
    full = [row.example for row in rows if row.prompt_tokens >= limit]
    message = (
        f"{{}} prompts alone fill train.max_length = {limit} tokens: no token would be trained on, so they are left out"
    )
    yield from corpus.finding("warning", "length", message, full)
    long = [row for row in rows if len(row.input_ids) > limit and row.prompt_tokens < limit]
    fate = "left out" if config.train.too_long == "drop" else "cut, and do not teach the model to stop"
    longest = max(len(row.input_ids) for row in rows)
    message = f"{{}} rows are longer than train.max_length = {limit} tokens and are {fate}; the longest has {longest:,}"
    yield from corpus.finding("warning", "length", message, [row.example for row in long])


def _vocabulary(
    config: Config, tokenizer: "PreTrainedTokenizerFast", corpus: Corpus, rows: Sequence[Row]
) -> Iterator[Finding]:
    architecture: Any = read_architecture(config.model)
    size = int(architecture.vocab_size)
    for padding in {getattr(architecture, "pad_token_id", None), cast("int", tokenizer.pad_token_id)}:
        if padding is not None and padding >= size:
            message = f"padding is token {padding}, and the model has {size:,}: set another pad_token"
            yield Finding("error", "padding", message)
    beyond = [row.example for row in rows if max(row.input_ids) >= size]
    message = f"{{}} rows hold tokens beyond the model's vocab_size of {size:,}: is the tokenizer another model's?"
    yield from corpus.finding("error", "vocabulary", message, beyond)
    if not beyond and len(tokenizer) > size:
        message = f"the tokenizer has {len(tokenizer):,} tokens, the model {size:,}; no row uses one of the others"
        yield Finding("warning", "vocabulary", message)
    reach = getattr(architecture, "max_position_embeddings", None)
    if reach is not None:
        far = [row.example for row in rows if min(len(row.input_ids), config.train.max_length) > reach]
        yield from corpus.finding(
            "warning", "length", f"{{}} rows are longer than the model's {reach:,} positions", far
        )


def _spans(tokenizer: "PreTrainedTokenizerFast", row: Row, limit: int) -> tuple[Span, ...]:
    start = row.prompt_tokens
    parts = ((row.input_ids[:start], False), (row.input_ids[start:limit], True))
    decoded = (
        (str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)), trained, len(ids))
        for ids, trained in parts
    )
    return tuple(Span(*part) for part in decoded)


def show_check(report: CheckReport, as_json: bool) -> int:
    """Print a report; 1 if there is an error in it, else 0."""
    if as_json:
        console.say_raw(json.dumps(report.as_json(), indent=2))
        return 1 if report.errors else 0
    if report.lengths:
        columns = ["tokens", "shortest", "median", "90%", "99%", "longest"]
        rows = [[name, *(f"{count:,}" for count in asdict(each).values())] for name, each in report.lengths.items()]
        console.show_table("lengths", columns, rows)
    if report.shown:
        console.say(f"\n{report.shown_place}, trained on where it is marked:")
        console.say_tokens([(span.text, span.trained) for span in report.shown])
    console.say()
    for finding in report.findings:
        console.say(f"{finding.level}: {finding}")
    counts = report.counts
    console.say(
        f"{counts['examples']:,} examples: {counts['train']:,} to train on, {counts['held_out']:,} held out, "
        f"{counts['left_out']:,} left out, {counts['cut']:,} cut; {counts['tokens']:,} tokens an epoch, "
        f"{counts['trained_tokens']:,} of them trained on"
    )
    console.say(f"{report.errors} errors, {len(report.findings) - report.errors} warnings")
    return 1 if report.errors else 0
