"""The commands card, export and push as a user types them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import seedtune
from run_on_disk import ROWS, generated
from seedtune.runs import Run


@pytest.fixture
def folder(make_run: Callable[..., Run]) -> Path:
    run = make_run()
    generated(run, ROWS)
    return run.path


def test_card_and_export_say_what_they_wrote(folder: Path) -> None:
    for arguments, name in (
        (("card", folder), "generate/README.md"),
        (("export", folder, "--to", "alpaca"), "export/alpaca.json"),
    ):
        result = seedtune(*arguments, cwd=folder)
        assert result.returncode == 0, result.stderr
        assert result.stdout.strip().endswith(name)
        assert (folder / name).is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["export", "--to", "csv"], 2, "parquet"),
        (["export"], 2, "--to"),
        (["push", "--dataset", "--merged"], 2, "--merged"),
        (["push"], 1, "seedtune train"),
    ],
)
def test_wrong_use_says_what_to_do(arguments: list[str], code: int, words: str, folder: Path) -> None:
    result = seedtune(arguments[0], folder, *arguments[1:])
    assert result.returncode == code, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
