"""The check: each fault is found, named with its place, and a sound data set has none."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from conftest import CHAT_TEMPLATE, seedtune, write_jsonl
from seedtune import console
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.domains.contamination import wordings_of
from seedtune.errors import DataError
from seedtune.records import Task
from seedtune.train import check as check_module
from seedtune.train import corpus as corpus_module
from seedtune.train.check import CheckReport, Lengths, before_training, check_config, check_corpus
from seedtune.train.corpus import Finding, read_corpus
from seedtune.train.dataset import Example, make_row
from seedtune.train.steps import Passes

Check = Callable[..., CheckReport]

WORDS = ("border", "gateway", "session", "peer", "prefix", "origin", "path", "route", "filter", "table", "update")


def sound(count: int = 30) -> list[dict[str, Any]]:
    """Rows that share few words."""
    pairs = [(a, b) for a in WORDS for b in WORDS if a < b]
    return [
        {"instruction": f"{a} {n} {b}", "output": f"{b} comes {'before ' * (n % 5)}{a}."}
        for n, (a, b) in enumerate(pairs[:count])
    ]


@pytest.fixture
def configure(tmp_path: Path, domain_folder: Path, tiny_llama: Path) -> Callable[..., Config]:
    def configure(rows: list[dict[str, Any]] | str, **train: Any) -> Config:
        path = tmp_path / "own.jsonl"
        if isinstance(rows, str):
            path.write_text(rows)
        else:
            write_jsonl(path, rows)
        return Config.model_validate(
            {
                "runs_dir": str(tmp_path / "runs"),
                "domain": str(domain_folder),
                "model": {"name": str(tiny_llama)},
                "train": {"data": [str(path)], "include_seeds": False, **train},
            }
        )

    return configure


@pytest.fixture
def check(configure: Callable[..., Config]) -> Check:
    def check(rows: list[dict[str, Any]] | str, **train: Any) -> CheckReport:
        return check_config(configure(rows, **train))

    return check


def found(report: CheckReport, name: str) -> Finding:
    [finding] = [finding for finding in report.findings if finding.check == name]
    return finding


def test_a_sound_data_set_has_no_findings(check: Check) -> None:
    report = check(sound())
    assert report.findings == ()
    assert report.errors == 0


def test_the_numbers_are_those_of_the_rows(check: Check, tiny_llama: Path) -> None:
    rows = sound()
    report = check(rows, held_out=0.2)
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    made = [make_row(tokenizer, Example(Task.model_validate(row), "data", "own"), None) for row in rows]
    lengths = sorted(len(row.input_ids) for row in made)
    assert report.lengths["row"] == Lengths.of(lengths)
    assert (report.lengths["row"].shortest, report.lengths["row"].longest) == (lengths[0], lengths[-1])
    counts = report.counts
    assert counts["train"] + counts["held_out"] == counts["examples"] == 30
    assert 0 < counts["trained_tokens"] < counts["tokens"] < sum(lengths)


def test_every_broken_line_is_named(check: Check) -> None:
    report = check(
        [*sound(), {"instruction": "x"}, {"instruction": " ", "output": "y"}, {"instruction": "a", "out": 1}]
    )
    broken = [finding for finding in report.findings if finding.check == "schema"]
    assert [finding.places for finding in broken] == [("own.jsonl:31",), ("own.jsonl:32",), ("own.jsonl:33",)]
    assert {finding.level for finding in broken} == {"error"}


def test_lines_with_one_fault_are_one_finding(check: Check) -> None:
    finding = found(check([*sound(), *[{"instruction": str(n)} for n in range(9)]]), "schema")
    assert (finding.count, len(finding.places)) == (9, corpus_module.PLACES)


def test_an_empty_cell_is_called_so(check: Check) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in sound())
    report = check(lines + '{"instruction": "What?", "output": NaN}\n')
    assert "output: NaN" in found(report, "schema").message


def test_an_empty_cell_turned_into_text_is_found(check: Check) -> None:
    finding = found(check([*sound(), {"instruction": "Is there one?", "output": "nan"}]), "missing")
    assert (finding.level, finding.places) == ("warning", ("own.jsonl:31",))


def test_a_row_that_stands_twice_is_named_with_its_first_place(check: Check) -> None:
    rows = sound()
    finding = found(check([*rows, rows[4]]), "duplicates")
    assert (finding.level, finding.places) == ("warning", ("own.jsonl:31 = own.jsonl:5",))


def test_two_answers_to_one_question_are_found(check: Check) -> None:
    rows = sound()
    other = {"instruction": rows[0]["instruction"].upper(), "output": "Something else."}
    finding = found(check([*rows, other], held_out=0), "duplicates")
    assert "answer otherwise" in finding.message
    assert finding.places == ("own.jsonl:31",)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a\x00b", "control"),
        ("a\x1b[31m", "control"),
        ("caf\ufffd", "U+FFFD"),
        ("\ufeffa", "byte order"),
        ("a\r\nb", "line ends"),
    ],
    ids=["nul", "escape", "replacement", "mark", "windows"],
)
def test_odd_characters_are_found(text: str, word: str, check: Check) -> None:
    finding = found(check([*sound(), {"instruction": "What is odd?", "output": text}]), "characters")
    assert word in finding.message
    assert finding.places == ("own.jsonl:31",)


def test_a_prompt_on_both_sides_of_the_split_is_found(check: Check) -> None:
    rows = [{"instruction": "One question for all.", "output": f"Answer {n}."} for n in range(20)]
    assert "prompt of a training row" in found(check(rows, held_out=0.3), "held-out").message


def test_nearly_the_same_prompt_on_both_sides_is_found(check: Check) -> None:
    start = "Explain to a new colleague what the session between these two routers is for in"
    rows = [{"instruction": f"{start} {n} words", "output": f"Answer {n}."} for n in range(20)]
    finding = found(check(rows, held_out=0.3), "held-out")
    assert "nearly the prompt" in finding.message
    assert finding.count > 1


def test_of_very_many_pairs_a_part_is_compared_and_said_so(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "PAIRS", 40)
    start = "Explain to a new colleague what the session between these two routers is for in"
    rows = [{"instruction": f"{start} {n} words", "output": f"Answer {n}."} for n in range(20)]
    finding = found(check(rows, held_out=0.3), "held-out")
    assert f"of the {finding.count} compared" in finding.message


def test_an_evaluation_item_among_the_rows_stops_training(
    check: Check, configure: Callable[..., Config], domain_folder: Path
) -> None:
    suite = next(suite for suite in load_domain(str(domain_folder)).suites.values() if suite.choices)
    item = suite.choices[0]
    rows = [*sound(), {"instruction": item.question, "output": item.answer}]
    finding = found(check(rows), "contamination")
    assert (finding.level, finding.places) == ("error", ("own.jsonl:31",))
    allowed = configure(rows).model_dump() | {"generate": {"decontaminate": False}}
    assert found(check_config(Config.model_validate(allowed)), "contamination").level == "warning"


def test_the_users_own_items_and_the_general_ones_stop_training_too(
    configure: Callable[..., Config], tmp_path: Path
) -> None:
    """What an evaluation by this config will ask, and nothing of which the domain knows."""
    mine = {"statement": "A loaf cools faster in {slices}.", "answer": True}
    write_jsonl(tmp_path / "{mine}.jsonl", [mine])
    general = load_domain("general").suites["networking"].items[0]
    rows = [{"instruction": text, "output": "x"} for text in (mine["statement"], wordings_of(general)[0])]
    config = configure([*sound(), *rows])
    assert check_config(config).findings == ()
    asked = {"evaluate": {"general": "general", "items": [str(tmp_path / "{mine}.jsonl")]}}
    finding = found(check_config(Config.model_validate(config.model_dump() | asked)), "contamination")
    assert (finding.level, finding.places) == ("error", ("own.jsonl:31", "own.jsonl:32"))
    assert "({mine}, general:networking)" in finding.message


def test_rows_that_do_not_fit_are_counted_by_what_becomes_of_them(check: Check) -> None:
    rows = [*sound(), {"instruction": "Long?", "output": "word " * 200}, {"instruction": "word " * 200, "output": "y"}]
    report = check(rows, max_length=128)
    places = {finding.message.split()[1]: finding.places for finding in report.findings if finding.check == "length"}
    assert places == {"rows": ("own.jsonl:31",), "prompts": ("own.jsonl:32",)}
    assert (report.counts["cut"], report.counts["left_out"]) == (1, 1)
    dropped = check(rows, max_length=128, too_long="drop")
    assert (dropped.counts["cut"], dropped.counts["left_out"]) == (0, 2)


def test_a_limit_below_every_prompt_is_an_error(check: Check) -> None:
    report = check(
        [{"instruction": "word " * 40, "output": "y"}, {"instruction": "word " * 30, "output": "y"}], max_length=16
    )
    assert report.errors == 1
    assert "the shortest prompt has" in found(report, "length").message


def test_no_row_at_all_is_an_error(check: Check) -> None:
    report = check("")
    assert [finding.level for finding in report.findings if finding.check == "source"] == ["warning", "error"]


# Tokenizer and template


@pytest.fixture
def altered(tmp_path: Path, tiny_llama: Path, configure: Callable[..., Config]) -> Callable[..., CheckReport]:
    """A check with another tokenizer, model config or system prompt."""

    def check(
        change: Callable[[PreTrainedTokenizerFast], None], system: str | None = None, vocabulary: int = 400
    ) -> CheckReport:
        tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
        change(tokenizer)
        folder = tmp_path / "altered"
        tokenizer.save_pretrained(folder)
        LlamaConfig(vocab_size=vocabulary).save_pretrained(folder)
        config = configure(sound())
        config = config.model_copy(update={"model": config.model.model_copy(update={"name": str(folder)})})
        domain = load_domain(config.domain)
        if system is not None:
            described = domain.file.model_copy(update={"system_prompt": system})
            domain = type(domain)(domain.folder, described, domain.packs, domain.suites)
        return check_corpus(config, domain, tokenizer, read_corpus(config, domain, None)[0])

    return check


def template(text: str) -> Callable[[PreTrainedTokenizerFast], None]:
    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.chat_template = text

    return change


def test_a_template_without_a_system_turn_is_found(altered: Callable[..., CheckReport]) -> None:
    silent = CHAT_TEMPLATE.replace("for message in messages", "for message in messages if message['role'] != 'system'")
    assert "system_prompt is lost" in found(altered(template(silent), "You are a router."), "template").message
    assert altered(template(CHAT_TEMPLATE), "You are a router.").findings == ()


def test_a_template_that_refuses_a_system_turn_is_an_error(altered: Callable[..., CheckReport]) -> None:
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT_TEMPLATE
    finding = found(altered(template(strict), "You are a router."), "template")
    assert (finding.level, finding.count) == ("error", 30)
    assert "no system" in finding.message


def test_a_template_that_changes_with_the_answer_is_an_error(altered: Callable[..., CheckReport]) -> None:
    finding = found(altered(template("{{ messages | length }}" + CHAT_TEMPLATE)), "template")
    assert finding.level == "error"
    assert "differently when an answer follows" in finding.message


def test_a_beginning_that_stands_twice_is_an_error(altered: Callable[..., CheckReport]) -> None:
    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.add_special_tokens({"bos_token": "<s>"})
        tokenizer.chat_template = "<s><s>" + CHAT_TEMPLATE

    finding = found(altered(change, vocabulary=500), "template")
    assert (finding.level, "twice" in finding.message) == ("error", True)


def test_a_beginning_that_is_missing_is_found(altered: Callable[..., CheckReport]) -> None:
    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.add_special_tokens({"bos_token": "<s>"})
        begin = [("<s>", tokenizer.bos_token_id)]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=begin)

    finding = found(altered(change, vocabulary=500), "template")
    assert "do not begin with <s>" in finding.message


def test_an_end_that_the_template_does_not_write_is_found(altered: Callable[..., CheckReport]) -> None:
    endless = CHAT_TEMPLATE.replace("<|end|>", "")
    assert "ends no answer" in found(altered(template(endless)), "template").message


def test_padding_that_is_the_end_is_tried_out(altered: Callable[..., CheckReport]) -> None:
    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.pad_token = tokenizer.eos_token

    finding = found(altered(change), "padding")
    assert (finding.level, "labels survive" in finding.message) == ("warning", True)


def test_padding_that_takes_the_end_out_of_the_labels_is_an_error(
    altered: Callable[..., CheckReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    def masking(self: Passes, rows: Any) -> Any:
        [batch] = whole(self, rows)
        return [batch | {"labels": batch["labels"].masked_fill(batch["labels"] == self.padding, -100)}]

    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.pad_token = tokenizer.eos_token

    whole = Passes.of
    monkeypatch.setattr(Passes, "of", masking)
    assert found(altered(change), "padding").level == "error"


def test_a_row_that_does_not_teach_to_stop_is_an_error(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*arguments: Any) -> Any:
        row = make_row(*arguments)
        return replace(row, input_ids=row.input_ids[:-1], labels=row.labels[:-1])

    monkeypatch.setattr(check_module, "make_row", endless)
    finding = found(check(sound()), "end")
    assert (finding.level, finding.count) == ("error", 30)


def test_a_vocabulary_that_is_too_small_is_an_error(altered: Callable[..., CheckReport]) -> None:
    finding = found(altered(lambda tokenizer: None, vocabulary=20), "vocabulary")
    assert (finding.level, finding.count) == ("error", 30)


def test_padding_that_the_model_does_not_know_is_an_error(
    altered: Callable[..., CheckReport], tiny_llama: Path
) -> None:
    """As a tokenizer is left that was given a padding token, and the model no embedding for it."""

    def change(tokenizer: PreTrainedTokenizerFast) -> None:
        tokenizer.add_special_tokens({"pad_token": "<pad>"})

    report = altered(change, vocabulary=len(AutoTokenizer.from_pretrained(tiny_llama)))
    assert (found(report, "padding").level, found(report, "vocabulary").level) == ("error", "warning")


def test_special_tokens_in_the_data_are_found(check: Check) -> None:
    rows = [*sound(), {"instruction": "How does it end?", "output": "With <|end|> and more."}]
    assert found(check(rows), "special tokens").places == ("own.jsonl:31",)


# What a person and a run see of it


def test_before_training_an_error_stops_and_a_warning_is_logged_with_its_place(
    configure: Callable[..., Config], tiny_llama: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configure([*sound(), {"instruction": "What is odd?", "output": "\ufffd"}, sound()[0]])
    domain, tokenizer = load_domain(config.domain), AutoTokenizer.from_pretrained(tiny_llama)
    corpus, faults = read_corpus(config, domain, None)
    before_training(config, domain, tokenizer, corpus, faults)
    assert "U+FFFD, the mark of text decoded wrongly (own.jsonl:31)" in caplog.text
    assert "own.jsonl:32 = own.jsonl:1" in caplog.text
    tokenizer.chat_template = "{{ messages | length }}" + CHAT_TEMPLATE
    with pytest.raises(DataError, match="differently when an answer follows"):
        before_training(config, domain, tokenizer, corpus, faults)


@pytest.mark.parametrize("too_long", ["cut", "drop"])
def test_the_rows_that_training_takes_are_those_that_were_checked_and_fit(
    configure: Callable[..., Config], tiny_llama: Path, too_long: str
) -> None:
    config = configure([*sound(), {"instruction": "Say much.", "output": "peer " * 200}], too_long=too_long)
    domain, tokenizer = load_domain(config.domain), AutoTokenizer.from_pretrained(tiny_llama)
    limit = (
        max(
            len(row.input_ids) for row in before_training(config, domain, tokenizer, *read_corpus(config, domain, None))
        )
        - 1
    )
    config = config.model_copy(update={"train": config.train.model_copy(update={"max_length": limit})})
    rows = before_training(config, domain, tokenizer, *read_corpus(config, domain, None))
    assert len(rows) == (31 if too_long == "cut" else 30)
    assert sum(row.truncated for row in rows) == (too_long == "cut")
    assert max(len(row.input_ids) for row in rows) <= limit


def test_the_example_shows_which_tokens_are_trained_on(check: Check) -> None:
    report = check(sound())
    prompt, answer = report.shown
    assert (prompt.trained, answer.trained) == (False, True)
    assert prompt.text.startswith("<|user|>")
    assert answer.text.endswith("<|end|>")
    assert report.shown_place.startswith("own.jsonl:")


def test_tokens_are_shown_with_their_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_tokens([("asked\n", False), ("\x1b[31mtold\t[bold]", True)])
    assert capsys.readouterr().out == "asked↵\n⟦\\x1b[31mtold\\t[bold]⟧\n"


def test_the_command_line_exits_with_1_at_an_error(configure: Callable[..., Config], tmp_path: Path) -> None:
    config = configure([*sound(), {"instruction": "x"}])
    path = tmp_path / "config.yaml"
    path.write_text(config.model_dump_json())
    result = seedtune("check", path, "--json")
    assert result.returncode == 1, result.stderr
    report = json.loads(result.stdout)
    assert (report["sound"], report["findings"][0]["check"]) == (False, "schema")
    configure(sound())
    shown = seedtune("check", path)
    assert shown.returncode == 0, shown.stderr
    assert "0 errors, 0 warnings" in shown.stdout
    assert "⟦" in shown.stdout
