"""Text that means harm, or is only odd, from the teacher, the domain and documents: kept as it is, shown escaped."""

import json
import random
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import cpu_seconds
from generation import Brisk, Configure, funnel, generate, lines, stopped_by
from seedtune import console
from seedtune.errors import TeacherError
from seedtune.records import Task, Verdict, read_json_lines, read_records
from seedtune.teachers.openai_compatible import OpenAITeacher

SHORT = {
    "escapes": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "markup": '<script>alert("x")</script><img src=x onerror=alert(1)> &amp; [bold]x[/] :smile: {{ 7*7 }} {% raw %}',
    "nul": "a\x00b",
    "surrogate": "half a pair \ud83d stands here",
    "line ends": "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven",
    "bidi": "\u202egnirts\u202c \u2066apart\u2069",
    "returns": "one\rtwo\rthree",
}
_draw = random.Random(0)
LONG = {
    "word": _draw.randbytes(500_000).hex(),
    "line": " ".join(_draw.randbytes(2).hex() for _ in range(200_000)),
    "loop": "w" * 1_000_000,
    "brackets": "{[" * 500_000,
    "labels": "Output: " * 125_000,
    "lines": "1. Instruction:\n" * 60_000,
    "escapes": '\\"' * 500_000,
}
"""A megabyte each; the first two do not repeat themselves."""


def kept(text: str) -> str:
    """As it is stored: UTF-8 has no lone surrogates."""
    return text.encode("utf-8", "replace").decode().strip()


class Hostile(Brisk):
    """Writes ``text`` into each part of its tasks that is named, in JSON or as plain text."""

    def __init__(self, text: str, *parts: str, as_json: bool = True) -> None:
        super().__init__(structured=as_json)
        self.text = text
        self.parts = parts
        self.as_json = as_json

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, reply = super().answer(body)
        if status != 200:
            return status, reply
        message = reply["choices"][0]["message"]
        if self.as_json:
            made = json.loads(message["content"])
            for task in made["tasks"]:
                task |= {part: f"{task[part]} Mark. {self.text}" for part in self.parts}
            message["content"] = json.dumps(made)
        else:
            said = message["content"].split("\n")
            marked = [any(f". {part.title()}:" in line for part in self.parts) for line in said]
            message["content"] = "\n".join(
                f"{line} Mark. {self.text}" if mark else line for line, mark in zip(said, marked, strict=True)
            )
        return status, reply


def all_is_readable(run: Path) -> None:
    """Every file is UTF-8; JSON Lines have one object a line, and the stages' own readers take them."""
    for path in run.rglob("*"):
        text = path.read_bytes().decode("utf-8") if path.is_file() else ""
        if path.suffix == ".jsonl":
            assert len(list(read_json_lines(path))) == text.count("\n")
        elif path.suffix == ".json":
            json.loads(text)
    read_records(run / "generate" / "rejected.jsonl", Verdict)
    for line in lines_of(run / "generate" / "instructions.jsonl"):
        Task.model_validate({key: line[key] for key in ("instruction", "input", "output")})


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Lines as JSON Lines have them: ``str.splitlines`` breaks at more than line feeds."""
    return [value for _, value in read_json_lines(path)]


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize("name", SHORT)
def test_what_a_teacher_writes_is_kept_letter_for_letter(configure: Configure, name: str, as_json: bool) -> None:
    with Hostile(SHORT[name], "instruction", "input", "output", as_json=as_json) as server:
        folder = generate(configure(server.url, 3))
    all_is_readable(folder.parent)
    for line in lines_of(folder / "instructions.jsonl"):
        for part in ("instruction", "output"):
            assert line[part].partition("Mark. ")[2] == kept(SHORT[name])


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_in_an_answer_takes_no_quadratic_time(configure: Configure, name: str, as_json: bool) -> None:
    with Hostile(LONG[name], "output", as_json=as_json) as server, cpu_seconds(30):
        config = configure(server.url, 99, tasks_per_request=1, limits={"max_requests": 1}, minhash={})
        assert stopped_by(config).cause == "requests"
    all_is_readable(config.run_dir)
    counts = funnel(config.run_dir / "generate")
    found = lines_of(config.run_dir / "generate" / "instructions.jsonl")
    assert counts["candidates"] or counts["broken_tasks"]
    if name in ("word", "line"):
        assert found
        assert {line["output"].partition("Mark. ")[2] for line in found} == {LONG[name]}


@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_in_an_instruction_takes_no_quadratic_time(configure: Configure, name: str) -> None:
    with Hostile(LONG[name], "instruction") as server, cpu_seconds(30):
        config = configure(server.url, 99, tasks_per_request=1, limits={"max_requests": 1}, minhash={})
        assert stopped_by(config).cause == "requests"
    all_is_readable(config.run_dir)


class Talking(Brisk):
    """Answers with a status and these words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__()
        self.status = status
        self.words = words

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return self.status, {"error": {"message": self.words, "code": self.words}}


def is_harmless(shown: str) -> bool:
    """No control character but the end of a line, and nothing that UTF-8 cannot write."""
    shown.encode()
    return all(c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
@pytest.mark.parametrize("name", SHORT)
def test_an_endpoints_own_words_are_saved_whole_and_shown_escaped(
    configure: Configure, name: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with Talking(status, SHORT[name]) as server:
        config = configure(server.url, 3)
        with pytest.raises(TeacherError) as caught:
            generate(config)
    all_is_readable(config.run_dir)
    (stopped,) = events_of(config.run_dir / "generate", "stopped")
    assert stopped["message"] == str(caught.value).encode("utf-8", "replace").decode()
    capsys.readouterr()
    console.complain(str(caught.value))
    shown = capsys.readouterr().err
    assert is_harmless(shown)
    assert status == 404 or str(status) in shown or "5 requests in a row" in shown


def events_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in lines_of(folder / "journal.jsonl") if event["event"] == kind]


def test_a_megabyte_of_an_endpoints_words_is_cut(configure: Configure) -> None:
    with Talking(401, LONG["word"]) as server, pytest.raises(TeacherError) as caught:
        generate(configure(server.url, 3))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("name", ["escapes", "nul", "bidi"])
def test_names_of_models_are_shown_escaped(configure: Configure, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Brisk(model=SHORT[name]) as server:
        config = configure(server.url, 3)
        with pytest.raises(TeacherError, match="does not know the model 'fake'") as caught:
            generate(config)
    assert server.received == 0
    all_is_readable(config.run_dir)
    console.complain(str(caught.value))
    assert is_harmless(capsys.readouterr().err)


def test_the_progress_line_shows_an_endpoints_words_escaped(
    configure: Configure, teacher: Brisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []

    @contextmanager
    def progress(label: str, total: float) -> Generator[Any]:
        yield lambda done, note="": notes.append(note)

    monkeypatch.setattr(console, "progress", progress)
    monkeypatch.setattr(OpenAITeacher, "status", "window 8, \x1b[2Jdown")
    generate(configure(teacher.url, 3))
    assert any("window 8, \\x1b[2Jdown" in note for note in notes)
    assert all(map(is_harmless, notes))


@pytest.mark.parametrize("name", [name for name in SHORT if name != "surrogate"])
def test_a_prompt_and_seeds_reach_the_teacher_letter_for_letter(
    configure: Configure, teacher: Brisk, domain_folder: Path, name: str
) -> None:
    odd = SHORT[name]
    (prompt,) = (domain_folder / "prompts").glob("*.md")
    prompt.write_bytes(f"You are a baker. {odd} So write.".encode())
    (seeds,) = (domain_folder / "seeds").glob("*.jsonl")
    odder = [json.dumps(seed | {"output": f"Mark. {odd} End."}, ensure_ascii=False) for seed in lines(seeds)]
    seeds.write_text("".join(f"{line}\n" for line in odder), newline="\n")
    folder = generate(configure(teacher.url, 3))
    all_is_readable(folder.parent)
    for event in events_of(folder, "sent"):
        system, user = (message["content"] for message in event["request"]["messages"])
        # A lone carriage return ends a line of a text file.
        assert odd.replace("\r", "\n") in system
        assert json.dumps(f"Mark. {odd} End.", ensure_ascii=False) in user


@pytest.mark.parametrize("name", [name for name in SHORT if name != "surrogate"])
def test_documents_are_read_quoted_and_kept(configure: Configure, tmp_path: Path, name: str) -> None:
    (tmp_path / "documents").mkdir()
    words = f"The dough rests for eight long hours each night {SHORT[name]} before it is baked."
    (tmp_path / "documents" / "dough.md").write_bytes(words.encode())
    with Brisk() as server:
        folder = generate(configure(server.url, 3, documents={"folder": tmp_path / "documents"}))
    all_is_readable(folder.parent)
    assert all("The dough rests" in line["quote"] for line in lines_of(folder / "instructions.jsonl"))


@pytest.mark.parametrize("name", LONG)
def test_a_megabyte_of_document_takes_no_quadratic_time(
    configure: Configure, teacher: Brisk, tmp_path: Path, name: str
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "dough.md").write_text(f"The dough rests for eight long hours. {LONG[name]}")
    with cpu_seconds(30):
        config = configure(teacher.url, 99, documents={"folder": tmp_path / "documents"}, limits={"max_requests": 1})
        assert stopped_by(config).cause == "requests"
    all_is_readable(config.run_dir)
