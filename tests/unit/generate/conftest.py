"""Fixtures of the generation stage's tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_teacher import FakeTeacher
from generation import KEY, Brisk, Configure
from seedtune.config import Config


@pytest.fixture
def teacher() -> Iterator[FakeTeacher]:
    """A fake teacher without faults."""
    with Brisk() as server:
        yield server


@pytest.fixture
def configure(tmp_path: Path, domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """See :data:`generation.Configure`."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    def make(
        url: str, goal: int = 12, concurrency: int = 4, name: str = "run", seed: int = 0, **generate: Any
    ) -> Config:
        teacher = {"type": "openai", "model": "fake", "base_url": url, "concurrency": concurrency, "max_retries": 0}
        teacher |= {
            key: generate.pop(key)
            for key in ("prices", "sampling", "structured_output", "transport")
            if key in generate
        }
        return Config.model_validate(
            {
                "name": name,
                "seed": seed,
                "domain": str(domain_folder),
                "runs_dir": tmp_path / "runs",
                "generate": {
                    "num_instructions": goal,
                    "seeds_per_request": 2,
                    "tasks_per_request": 2,
                    "teacher": teacher,
                    **generate,
                },
            }
        )

    return make
