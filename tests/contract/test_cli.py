"""The command line: light to start, documented as it is, right exit codes, errors without tracebacks."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, clean_environment, seedtune, small_run
from fake_teacher import FakeTeacher
from seedtune import cli, console

ROAD = ("run", "generate", "review", "check", "plan", "train", "evaluate", "gate", "studio", "chat")

UNREACHABLE = ["generate", "--model-name", "m", "--set", "generate.teacher.base_url=http://127.0.0.1:9/v1"]
UNREACHABLE += ["--set", "generate.teacher.max_retries=0"]


def commands_of(group: Any, name: str = "") -> Iterator[str]:
    """The group's own name, and those of all commands in it; the order of the road first."""
    yield name
    words = [word for word in group if not word.startswith("-")]
    for word in sorted(words, key=lambda word: (ROAD.index(word) if word in ROAD else len(ROAD), word)):
        yield from commands_of(group[word], f"{name} {word}".strip())


def help_of(command: str) -> str:
    environment = clean_environment(COLUMNS="100", TERM="dumb")
    result = subprocess.run(
        [sys.executable, "-m", "seedtune", *command.split(), "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['seedtune', '--help']\nfrom seedtune.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'openai', 'pydantic', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_docs_hold_the_help_of_every_command() -> None:
    """Rewrite with SEEDTUNE_UPDATE_GOLDEN=1."""
    page = ROOT / "docs" / "cli.md"
    parts = [
        "# The command line\n\nWhat `seedtune --help` prints, command by command; a test keeps this page equal to it.\n"
    ]
    parts += [
        f"## {('seedtune ' + command).strip()}\n\n```text\n{help_of(command)}\n```\n"
        for command in commands_of(cli.app)
    ]
    expected = "\n".join(parts)
    if os.environ.get("SEEDTUNE_UPDATE_GOLDEN"):
        page.write_text(expected)
    assert page.read_text() == expected


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, ["nonsense", "See 'seedtune --help'"]),
        (["bgp", "nonsense"], 2, ["nonsense", "See 'seedtune bgp --help'"]),
        (["bgp", "fetch", "--colector", "rrc00"], 2, ["--colector", "See 'seedtune bgp fetch --help'\n"]),
        (["bgp", "run", "x.py", "--origin", "1"], 2, ["--origin", "See 'seedtune bgp run --help'", "behind '--'"]),
        (["run", "missing.yaml"], 2, ["missing.yaml", "cannot be read"]),
        (["run", "--set", "train.lora.dropuot=0"], 2, ["train.lora.dropuot", "'dropout'"]),
        (["run", "--set", "train.lora.alpha=32"], 2, ["alpha", "allow_large_alpha"]),
        (["generate", "--num-instructions-to-generate", "0"], 2, ["num_instructions", "greater than or equal to 1"]),
        (["generate", "--num-instructions-to-generate", "many"], 2, ["many"]),
        (["generate", "--num-instructions-to-generate", "2.5"], 2, ["expected a whole number", "2.5"]),
        (["generate", "--set", "generate.num_instructions=true"], 2, ["generate.num_instructions: Input should be"]),
        (["run", "--set", "domain=nowhere"], 1, ["nowhere", "bgp"]),
        (["domains", "lint", "nowhere"], 1, ["nowhere", "bgp"]),
        (["report", "nowhere"], 1, ["nowhere", "no run folder"]),
        (["train", "--set", "name=never-generated"], 1, ["seedtune generate"]),
        (["evaluate", "--set", "name=never-trained"], 1, ["seedtune train"]),
        (["generate", "--model-name", "gpt-x"], 1, ["OPENAI_API_KEY"]),
        (
            UNREACHABLE,
            1,
            ["127.0.0.1:9", "cannot be reached", "OPENAI_BASE_URL"],
        ),
    ],
)
def test_wrong_use_says_what_to_do(arguments: list[str], code: int, words: list[str], tmp_path: Path) -> None:
    result = seedtune(*arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize(
    ("arguments", "saved"),
    [(["train"], True), (["bgp", "fetch"], True), (["doctor"], False), (["bgp", "archive", "x", "--check"], False)],
)
def test_only_commands_that_go_on_promise_it_when_interrupted(
    arguments: list[str], saved: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(type(cli.app), "__call__", interrupted)
    monkeypatch.setattr(console, "set_up_logging", lambda verbose: None)
    monkeypatch.setattr(sys, "argv", ["seedtune", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 130
    shown = capsys.readouterr().err
    assert "interrupted" in shown
    assert ("run the same command again to go on" in shown) is saved


def test_no_such_model_is_found_before_anything_is_trained(
    tmp_path: Path, domain_folder: Path, teacher: FakeTeacher, write_config: Callable[..., Path]
) -> None:
    config = write_config(**small_run(domain_folder, tmp_path / "no-model", teacher.url))
    result = seedtune("run", config, "--dry-run")
    assert result.returncode == 1
    assert "there is no such folder" in result.stdout
    assert teacher.received == 0


def test_the_briefs_spelling_works(tmp_path: Path, domain_folder: Path, teacher: FakeTeacher) -> None:
    result = seedtune(
        "generate",
        "--num-instructions-to-generate",
        "5",
        "--model-name",
        "fake",
        "--set",
        f"domain={domain_folder}",
        cwd=tmp_path,
        OPENAI_BASE_URL=teacher.url,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "runs/run/generate/instructions.jsonl").read_text().count("\n") == 5


def test_the_readme_names_only_what_there_is(tmp_path: Path) -> None:
    """Every seedtune command of the README is understood, and its config files are there."""
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^\s*(?:\$ )?seedtune ([^\n#]+)", readme, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        words = command.split()
        for word in words:
            if word.startswith("configs/"):
                assert (ROOT / word).is_file(), word
        topic = words[:2] if words[0] in ("bgp", "domains", "review") else words[:1]
        assert seedtune(*topic, "--help", cwd=tmp_path).returncode == 0, command
        options = [word for word in words if word.startswith("--")]
        shown = help_of(" ".join(topic))
        assert all(option.partition("=")[0] in shown for option in options), command
