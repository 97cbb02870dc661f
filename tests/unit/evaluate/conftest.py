"""The bench of the stage's tests."""

from pathlib import Path

import pytest

from evaluation import Bench, FakeChat, FakeStudent
from seedtune.evaluate import inference, local


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(local, "Student", FakeStudent)
    monkeypatch.setattr(inference, "Chat", FakeChat)
    monkeypatch.setattr(inference, "base_digest", lambda config: config.name)
    monkeypatch.setattr(FakeStudent, "asked", [], raising=False)
    monkeypatch.setattr(FakeStudent, "breaks_after", None, raising=False)
    monkeypatch.setattr(FakeStudent, "says", {}, raising=False)
    return Bench(tmp_path)
