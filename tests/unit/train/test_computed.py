"""Tasks that a domain makes from its own data are one more source of training examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.errors import ConfigError
from seedtune.train.check import check_config
from seedtune.train.corpus import check_texts, read_corpus

OWN_TASKS = """
from seedtune.records import ComputedTask

def make_tasks(split, count, seed, levels):
    for number in range(count):
        yield ComputedTask(
            instruction=f"{split}: how much is {number} plus {seed} in room {number * 7919 % 100003}?",
            output=str(number + seed), family="sum", level=levels[number % len(levels)],
        )
"""


@pytest.fixture
def configure(tmp_path: Path, tiny_llama: Path) -> Callable[..., Config]:
    def configure(domain: str, **train: Any) -> Config:
        return Config.model_validate(
            {
                "runs_dir": str(tmp_path / "runs"),
                "domain": domain,
                "seed": 5,
                "model": {"name": str(tiny_llama)},
                "train": {"include_seeds": False, **train},
            }
        )

    return configure


@pytest.fixture
def with_tasks(domain_folder: Path) -> str:
    (domain_folder / "tasks.py").write_text(OWN_TASKS)
    return str(domain_folder)


def test_they_are_read_as_their_own_source(configure: Callable[..., Config], with_tasks: str) -> None:
    config = configure(with_tasks, computed_tasks=12, computed_levels=[1, 3])
    corpus, findings = read_corpus(config, load_domain(with_tasks), None)
    assert findings == []
    assert {example.source for example in corpus.examples} == {"computed"}
    assert [example.task.output for example in corpus.examples] == [str(number + 5) for number in range(12)]
    assert corpus.place(corpus.examples[1]) == "sum task 2"
    assert all(example.task.instruction.startswith("train:") for example in corpus.examples)


def test_they_stand_behind_the_seeds(configure: Callable[..., Config], with_tasks: str) -> None:
    config, domain = configure(with_tasks, computed_tasks=12, include_seeds=True), load_domain(with_tasks)
    sources = [example.source for example in read_corpus(config, domain, None)[0].examples]
    assert sources == ["seed"] * (len(sources) - 12) + ["computed"] * 12


def test_the_check_counts_them(configure: Callable[..., Config], with_tasks: str) -> None:
    report = check_config(configure(with_tasks, computed_tasks=20, max_length=512))
    assert report.counts["examples"] == 20


def test_none_are_made_unless_asked_for(configure: Callable[..., Config], domain_folder: Path) -> None:
    (domain_folder / "tasks.py").write_text("raise RuntimeError('loaded')")
    config = configure(str(domain_folder), include_seeds=True)
    corpus, _ = read_corpus(config, load_domain(str(domain_folder)), None)
    assert {example.source for example in corpus.examples} == {"seed"}


def test_a_domain_that_makes_none_is_a_mistake_in_the_config(
    configure: Callable[..., Config], domain_folder: Path
) -> None:
    with pytest.raises(ConfigError, match=r"train\.computed_tasks is 3, but the domain '.*' makes no tasks"):
        read_corpus(configure(str(domain_folder), computed_tasks=3), load_domain(str(domain_folder)), None)


@pytest.mark.parametrize("levels", [[], [0], [4]])
def test_other_levels_are_refused(configure: Callable[..., Config], levels: list[int]) -> None:
    with pytest.raises(ValidationError, match="computed_levels"):
        configure("bgp", computed_tasks=3, computed_levels=levels)


def test_tasks_of_bgp_are_sound_training_data(configure: Callable[..., Config]) -> None:
    """No contamination, no contradiction, no odd character; that questions repeat is no fault."""
    config, domain = configure("bgp", computed_tasks=240), load_domain("bgp")
    corpus, findings = read_corpus(config, domain, None)
    assert len(corpus.examples) == 240
    assert [*findings, *check_texts(config, domain, corpus)] == []
