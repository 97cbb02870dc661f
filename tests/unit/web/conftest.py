"""The studio in this process: a folder with one run, and its page."""

from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra 'web' is not installed")

from studio_page import Page
from studio_run import verdicts, write_run


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """A folder of runs with one, named ``one``: 120 candidates, 96 of them kept."""
    write_run(tmp_path / "runs", "one", verdicts(120))
    return tmp_path / "runs"


@pytest.fixture
def page(runs_dir: Path) -> Page:
    """A page of a studio without a token."""
    return Page(runs_dir)
