"""Runs of the template domain, and a hub on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from fake_hub import TOKEN, FakeHub
from seedtune.config import Config
from seedtune.runs import Run, open_run


@pytest.fixture
def make_run(tmp_path: Path, domain_folder: Path) -> Iterator[Callable[..., Run]]:
    """Make a run of the template domain; keyword arguments are sections of its config."""
    with ExitStack() as opened:

        def make(**tree: Any) -> Run:
            base: dict[str, Any] = {"name": "one", "runs_dir": str(tmp_path / "runs"), "domain": str(domain_folder)}
            base["model"] = {"name": "tiny/base"}
            base["generate"] = {"teacher": {"type": "openai", "model": "gpt-x"}}
            return opened.enter_context(open_run(Config.model_validate({**base, **tree})))

        yield make


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub that huggingface_hub in this process talks to, and no other."""
    with FakeHub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield server
