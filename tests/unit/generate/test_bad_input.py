"""What a user may get wrong: each stops with place and mend and its exit code; nothing is sent, nothing is lost."""

import json
import os
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_teacher import FakeTeacher
from generation import PRICES, Brisk, Configure, generate, views
from seedtune import cli, console
from seedtune.errors import DataError
from seedtune.generate.journal import Event

Said = tuple[int, str]
"""Exit code and standard error."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is called; messages name files relative to nothing, so they are looked for by their ends."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    # It would replace the handlers that pytest listens with.
    monkeypatch.setattr(console, "set_up_logging", lambda verbose=False: None)
    return tmp_path


@pytest.fixture
def told(
    folder: Path, domain_folder: Path, teacher: FakeTeacher, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """What ``seedtune generate`` says; keyword arguments are keys of ``generate``, ``teacher`` and ``config`` apart."""

    def call(**keys: Any) -> Said:
        endpoint = {"type": "openai", "model": "fake", "base_url": teacher.url, "max_retries": 0}
        section = {"num_instructions": 6, "tasks_per_request": 2, "seeds_per_request": 2}
        section |= {"teacher": endpoint | keys.pop("teacher", {})}
        tree = {"name": "run", "domain": str(domain_folder), "runs_dir": str(folder / "runs")}
        path = folder / "config.yaml"
        path.write_text(yaml.safe_dump(tree | keys.pop("config", {}) | {"generate": section | keys}))
        code = cli._call(["generate", str(path)], debug=False)
        return code, capsys.readouterr().err

    return call


def replaced(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


PROMPT, SEEDS = "prompts/knowledge.md", "seeds/knowledge.jsonl"
GOOD = b'{"instruction": "Say how long a loaf bakes.", "output": "Forty minutes."}\n'
DOMAIN: dict[str, tuple[str, bytes | None, str]] = {
    "no prompt": (PROMPT, None, "knowledge.md"),
    "empty prompt": (PROMPT, b" \n", "knowledge.md: the prompt is empty; say who"),
    "prompt in Latin-1": (PROMPT, b"D\xe9j\xe0", "knowledge.md: is not UTF-8"),
    "no seeds": (SEEDS, None, "knowledge.jsonl"),
    "empty seeds": (SEEDS, b"\n\n", "knowledge.jsonl: no seed task; write some lines of"),
    "seeds that are no JSON": (SEEDS, GOOD + b"{'instruction': 'x'}\n", "knowledge.jsonl:2: not valid JSON at column"),
    "a torn seed": (SEEDS, GOOD + GOOD[:30], "knowledge.jsonl:2: not valid JSON"),
    "a seed without output": (SEEDS, GOOD + b'{"instruction": "x"}\n', "knowledge.jsonl:2: output: field required"),
    "a seed with another key": (SEEDS, GOOD[:-2] + b', "ouput": "x"}\n', "knowledge.jsonl:1: ouput: extra"),
    "a seed of numbers": (SEEDS, b'{"instruction": 1, "output": 2}\n', "knowledge.jsonl:1: instruction:"),
    "a list of seeds": (SEEDS, b"[" + GOOD[:-1] + b"]\n", "knowledge.jsonl:1: expected one JSON object a line"),
    "seeds in UTF-16": (SEEDS, "\ufeff{}".encode("utf-16"), "knowledge.jsonl: is not UTF-8"),
}


@pytest.mark.parametrize("case", DOMAIN)
def test_a_domain_that_cannot_be_used(
    told: Callable[..., Said], domain_folder: Path, teacher: FakeTeacher, case: str
) -> None:
    file, content, words = DOMAIN[case]
    assert (domain_folder / file).is_file()
    replaced(domain_folder / file, content)
    code, said = told()
    assert words in said
    assert (code, teacher.received) == (1, 0)


def seeds_among_items(domain: Path, folder: Path) -> None:
    """The first question of the evaluation, as a seed task."""
    (suite,) = [path for path in (domain / "evaluation" / "test").glob("*.jsonl") if "choice" in path.name]
    item = next(line for line in map(json.loads, suite.read_text().splitlines()) if "question" in line)
    (domain / SEEDS).write_text(json.dumps({"instruction": item["question"], "output": item["answer"]}) + "\n")


def documents_in_latin_1(domain: Path, folder: Path) -> None:
    (folder / "documents").mkdir()
    (folder / "documents" / "dough.md").write_bytes(b"D\xe9j\xe0 vu")


def documents_without_text(domain: Path, folder: Path) -> None:
    (folder / "documents" / "deep").mkdir(parents=True)
    (folder / "documents" / "scan.pdf").write_bytes(b"%PDF")


def one_document(domain: Path, folder: Path) -> None:
    (folder / "documents").mkdir()
    (folder / "documents" / "dough.md").write_text("The dough rests for eight long hours each night.")


def empty_rubric(domain: Path, folder: Path) -> None:
    (folder / "rubric.md").write_text(" \n")


def nothing(domain: Path, folder: Path) -> None:
    pass


JUDGE_BY_OTHERS = {"type": "openai", "model": "fake", "base_url": "http://127.0.0.1:1/v1"}
CASES: dict[str, tuple[Callable[[Path, Path], None], dict[str, Any], int, str]] = {
    "no instructions": (nothing, {"num_instructions": 0}, 2, "generate.num_instructions: Input should be greater"),
    "fewer than none": (nothing, {"num_instructions": -3}, 2, "generate.num_instructions: Input should be greater"),
    "an unknown model": (nothing, {"teacher": {"model": "fakir"}}, 1, "does not know the model 'fakir'; it has fake"),
    "a small window": (nothing, {"teacher": {"context_window": 512}}, 1, "more than the context window of 512"),
    "evaluation in the seeds": (seeds_among_items, {}, 1, f"{SEEDS}:1"),
    "no documents": (nothing, {"documents": {"folder": "documents"}}, 1, "documents: no such folder"),
    "no text": (documents_without_text, {"documents": {"folder": "documents"}}, 1, "documents: no text in it; put"),
    "not UTF-8": (documents_in_latin_1, {"documents": {"folder": "documents"}}, 1, "documents/dough.md"),
    "no folder named": (nothing, {"documents": {}}, 2, "generate.documents.folder: Field required"),
    "an unknown pack of documents": (
        one_document,
        {"documents": {"folder": "documents", "packs": ["knowlege"]}},
        2,
        "generate.documents.packs: 'knowlege' is not in use; there are: knowledge",
    ),
    "strict with documents": (
        one_document,
        {"documents": {"folder": "documents"}, "fidelity": "strict"},
        2,
        "generate.documents needs mode: alpaca and fidelity: fixed",
    ),
    "no rubric": (nothing, {"judge": {"rubric": "rubric.md"}}, 1, "rubric.md: "),
    "an empty rubric": (empty_rubric, {"judge": {"rubric": "rubric.md"}}, 1, "rubric.md: "),
    "a judge without type": (
        nothing,
        {"judge": {"teacher": {"model": "fake"}}},
        2,
        "generate.judge.teacher: needs a type: openai or local",
    ),
    "a budget without prices": (
        nothing,
        {"limits": {"max_cost": 1.0}},
        2,
        "limits.max_cost needs teacher.prices {input_per_million, output_per_million, as_of}",
    ),
    "a budget without prices of the judge": (
        nothing,
        {"limits": {"max_cost": 1.0}, "teacher": {"prices": PRICES}, "judge": {"teacher": JUDGE_BY_OTHERS}},
        2,
        "limits.max_cost needs judge.teacher.prices",
    ),
    "prices in two currencies": (
        nothing,
        {
            "teacher": {"prices": PRICES},
            "judge": {"teacher": JUDGE_BY_OTHERS | {"prices": PRICES | {"currency": "EUR"}}},
        },
        2,
        "different currencies",
    ),
    "an unknown pack": (nothing, {"packs": ["knowlege"]}, 2, "did you mean 'knowledge'"),
    "lengths that exclude each other": (nothing, {"min_words": 9, "max_words": 8}, 2, "no instruction fits both"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wish_that_cannot_be_met(
    told: Callable[..., Said],
    folder: Path,
    domain_folder: Path,
    teacher: FakeTeacher,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    spoil, keys, code, words = CASES[case]
    monkeypatch.chdir(folder)
    spoil(domain_folder, folder)
    found = told(**keys)
    assert words in found[1]
    assert (found[0], teacher.received) == (code, 0)


def test_how_many_tokens_a_request_is_too_long_is_said(told: Callable[..., Said]) -> None:
    _, said = told(teacher={"context_window": 512, "sampling": {"max_tokens": 500}})
    assert "tokens and its reply up to 500: about " in said
    assert "Lower generate.seeds_per_request" in said


def test_a_done_run_asked_for_fewer_keeps_everything(
    told: Callable[..., Said], folder: Path, teacher: FakeTeacher
) -> None:
    assert told()[0] == 0
    before, received = views(folder / "runs/run/generate"), teacher.received
    code, said = told(num_instructions=5)
    assert code == 2
    assert "num_instructions is 5, but this run has 6 already. Ask for as many or more" in said
    assert (views(folder / "runs/run/generate"), teacher.received) == (before, received)


@pytest.fixture
def journal(configure: Configure, teacher: FakeTeacher) -> Path:
    """Of a run that is done; its views are gone, so that it is read again."""
    generated = generate(configure(teacher.url, 6, concurrency=1))
    (generated / "instructions.jsonl").unlink()
    return generated / "journal.jsonl"


def number_of(lines: list[str], kind: Event) -> int:
    """The second line of this kind, from 0."""
    return [number for number, line in enumerate(lines) if f'"event": "{kind}"' in line][1]


def without(kind: Event) -> Callable[[list[str]], int]:
    def edit(lines: list[str]) -> int:
        del lines[number_of(lines, kind)]
        return number_of(lines, "committed") + 1

    return edit


def without_start(lines: list[str]) -> int:
    del lines[0]
    return 1


def another_start(lines: list[str]) -> int:
    lines.insert(5, lines[0])
    return 6


def verdicts_twice(lines: list[str]) -> int:
    number = number_of(lines, "committed")
    lines.insert(number, lines[number])
    return number + 2


def changed(kind: Event, old: str, new: str) -> Callable[[list[str]], int]:
    def edit(lines: list[str]) -> int:
        number = number_of(lines, kind)
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new, 1)
        return number + 1

    return edit


EDITS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "no start": (without_start, "a journal has one start, its first line"),
    "two starts": (another_start, "a journal has one start, its first line"),
    "a reply is gone": (without("reply"), "committed: verdicts on request 1"),
    "verdicts are gone": (without("committed"), "committed: verdicts on request 2, where those on 1 were to come"),
    "verdicts twice": (verdicts_twice, "committed: verdicts on request 1, where those on 2 were to come"),
    "an event of another version": (
        changed("sent", '"event": "sent"', '"event": "posted"'),
        "not an event of a journal",
    ),
    "a request of another version": (changed("sent", '"pack": ', '"bundle": '), "sent: pack: field required"),
    "a reply of another version": (changed("reply", '"usage": ', '"used": '), "reply: usage: field required"),
    "verdicts of another version": (
        changed("committed", '"verdicts": ', '"rulings": '),
        "committed without 'verdicts'",
    ),
    "a resend of nothing": (
        changed("sent", '"event": "sent"', '"event": "resent", "index": 99'),
        "resent: of request 99",
    ),
    "a ticket for nothing": (
        changed("sent", '"event": "sent"', '"event": "ticket", "ticket": "b", "indices": [99]'),
        "ticket: of request 99, which was not sent",
    ),
    "indices that are none": (
        changed("committed", '"index": 1', '"index": null'),
        "committed: verdicts on request None",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_a_journal_changed_by_hand_is_named_with_its_line(
    configure: Configure, teacher: FakeTeacher, journal: Path, case: str
) -> None:
    edit, words = EDITS[case]
    lines = journal.read_text().splitlines(keepends=True)
    number = edit(lines)
    journal.write_text("".join(lines))
    received = teacher.received
    with pytest.raises(DataError) as caught:
        generate(configure(teacher.url, 6))
    assert str(caught.value).startswith(f"{journal}:{number}: {words}")
    assert "restore the file, or give the run another name" in str(caught.value)
    assert (journal.read_text(), teacher.received) == ("".join(lines), received)


def test_a_request_or_reply_that_stands_twice_in_the_journal_does_no_harm(
    configure: Configure, teacher: FakeTeacher, journal: Path
) -> None:
    lines = journal.read_text().splitlines(keepends=True)
    for kind in ("sent", "reply"):
        number = number_of(lines, kind)
        lines.insert(number, lines[number])
    journal.write_text("".join(lines))
    received = teacher.received
    accepted = (generate(configure(teacher.url, 6)) / "instructions.jsonl").read_text().splitlines()
    assert (len(accepted), teacher.received) == (6, received)


def test_progress_that_cannot_be_written_does_not_stop_the_run(
    configure: Configure, teacher: FakeTeacher, caplog: pytest.LogCaptureFixture
) -> None:
    config = configure(teacher.url, 6)
    (config.run_dir / "generate" / "progress.json").mkdir(parents=True)
    folder = generate(config)
    assert len((folder / "instructions.jsonl").read_text().splitlines()) == 6
    assert "progress.json: cannot be written" in caplog.text


def test_progress_that_cannot_be_written_loses_no_reply_in_flight(configure: Configure) -> None:
    with Brisk(latency=0.05) as server:
        config = configure(server.url, 6, concurrency=8)
        (config.run_dir / "generate" / "progress.json").mkdir(parents=True)
        folder = generate(config)
    assert (folder / "journal.jsonl").read_text().count('"event": "reply"') == server.received


@pytest.mark.parametrize("synced", [6, 8, 15])
def test_a_disk_that_is_full_for_a_while_loses_nothing_that_was_saved(
    configure: Configure, teacher: FakeTeacher, monkeypatch: pytest.MonkeyPatch, synced: int
) -> None:
    expected = views(generate(configure(teacher.url, 30, name="calm")))
    config, left, sync = configure(teacher.url, 30, name="full"), [synced], os.fsync

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(DataError, match=r"cannot be written: No space left on device(.|\n)*free some"):
            generate(config)
    saved = (config.run_dir / "generate" / "journal.jsonl").read_bytes()
    assert saved.endswith(b"\n")
    assert views(generate(config)) == expected
    assert (config.run_dir / "generate" / "journal.jsonl").read_bytes().startswith(saved)
