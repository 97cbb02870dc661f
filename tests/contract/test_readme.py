"""The README's commands, run as they stand (with a fake teacher in the paid one's place and small numbers)."""

import json
import re
import shutil
from pathlib import Path

import pytest

from conftest import ROOT, seedtune
from fake_teacher import FakeTeacher


def readme_commands() -> list[str]:
    return re.findall(r"^seedtune ([^\n#]+?)\s*(?:#.*)?$", (ROOT / "README.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "configs", folder / "configs")
    return folder


@pytest.mark.parametrize("command", [c for c in readme_commands() if c.split()[0] in ("doctor", "domains")])
def test_commands_that_look_run(command: str, workplace: Path) -> None:
    result = seedtune(*command.split(), cwd=workplace)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_generate_command_runs(workplace: Path) -> None:
    command = next(c for c in readme_commands() if c.startswith("generate --num"))
    words = [word.replace("1000", "6").replace("NAME", "fake") for word in command.split()]
    with FakeTeacher() as teacher:
        result = seedtune(*words, cwd=workplace, OPENAI_BASE_URL=teacher.url, OPENAI_API_KEY="sk-test")
    assert result.returncode == 0, result.stderr
    lines = (workplace / "runs/run/generate/instructions.jsonl").read_text().splitlines()
    assert len(lines) == 6

    export = next(c for c in readme_commands() if c.startswith("export")).replace("runs/demo", "runs/run")
    assert seedtune(*export.split(), cwd=workplace).returncode == 0
    assert len(json.loads((workplace / "runs/run/export/alpaca.json").read_text())) == 6


@pytest.mark.parametrize("command", readme_commands())
def test_every_command_is_there(command: str, workplace: Path) -> None:
    known = seedtune(*[word for word in command.split() if word.isalpha()][:2], "--help", cwd=workplace)
    options = [word for word in command.partition(" -- ")[0].split() if word.startswith("--")]
    assert all(option[:24] in known.stdout for option in options), known.stdout  # Long ones are folded.


def test_make_demo_runs_the_config_it_says() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "seedtune run configs/demo.yaml" in makefile
