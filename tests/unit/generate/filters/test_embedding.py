"""The embedding filter: its arithmetic with vectors of our own, and the tiny LLaMA for what a model does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from seedtune.config import EmbeddingConfig, GenerateConfig, MinHashConfig
from seedtune.errors import ModelError
from seedtune.generate.filters import embedding
from seedtune.generate.filters.embedding import EmbeddingIndex, load_encoder
from seedtune.generate.filters.further import further_filters
from seedtune.records import SeedTask, Task
from seedtune.similarity import Neighbour


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Instructions such as "3 4" are their own vectors; the list grows by each that is embedded."""
    seen: list[str] = []

    def embed(text: str) -> NDArray[np.float32]:
        seen.append(text)
        return np.array(text.split(), dtype=np.float32)

    monkeypatch.setattr(embedding, "load_encoder", lambda name: embed)
    return seen


def index() -> EmbeddingIndex:
    return EmbeddingIndex(EmbeddingConfig(threshold=0.9))


def task(instruction: str) -> Task:
    return Task(instruction=instruction, output="x")


def seed(instruction: str) -> SeedTask:
    return SeedTask(instruction=instruction, output="x")


@pytest.mark.usefixtures("calls")
def test_the_score_is_the_cosine_whatever_the_lengths() -> None:
    pool = index()
    for one in ("0 5", "3 4"):
        pool.add(task(one))
    assert pool.nearest(task("10 0")) == Neighbour(pytest.approx(0.6), task("3 4").id)
    assert pool.nearest(task("-1 0")) == Neighbour(0.0, "")


@pytest.mark.usefixtures("calls")
def test_the_mean_of_the_seed_tasks_is_taken_off() -> None:
    """Raw, the cosine of (101, 0) and (100, 1) is 0.9999."""
    pool = index()
    for one in ("101 0", "99 0"):
        pool.add(seed(one))
    assert pool.nearest(task("100 1")) == Neighbour(0.0, "")
    assert pool.nearest(task("101 1")) == Neighbour(pytest.approx(0.5**0.5), seed("101 0").id)


@pytest.mark.usefixtures("calls")
def test_a_resumed_run_takes_off_the_same_mean() -> None:
    """What it restores is added before the first question, as the seed tasks are, and is none of them."""
    asked_between, restored = index(), index()
    for pool in (asked_between, restored):
        pool.add(seed("10 0"))
        pool.add(seed("0 10"))
    for one in ("7 1", "3 3", "2 9"):
        asked_between.nearest(task(one))
        for pool in (asked_between, restored):
            pool.add(task(one))
    for query in ("6 1", "1 1", "0 3"):
        assert asked_between.nearest(task(query)) == restored.nearest(task(query))


def test_an_instruction_is_embedded_once(calls: list[str]) -> None:
    pool = index()
    for one in ("1 2", "2 1"):
        pool.add(seed(one))
    assert calls == []
    pool.nearest(task("3 4"))
    pool.add(task("3 4"))
    pool.nearest(task("4 3"))
    assert calls == ["1 2", "2 1", "3 4", "4 3"]


@pytest.mark.usefixtures("calls")
def test_scores_stay_right_while_the_pool_grows() -> None:
    pool, draw = index(), np.random.default_rng(0)
    tasks = [task(" ".join(map(str, draw.integers(-99, 99, 8)))) for _ in range(200)]
    for number, one in enumerate(tasks):
        pool.add(one)
        assert pool.nearest(one) == Neighbour(pytest.approx(1.0), one.id)
        assert len(pool) == number + 1
    found = [pool.nearest(one) for one in tasks]
    assert [one.id for one in found] == [one.id for one in tasks]
    assert max(one.score for one in found) <= 1.0


@pytest.mark.usefixtures("calls")
def test_the_first_added_is_named_among_equals() -> None:
    pool = index()
    first, again = task("0.1 0.7"), Task(instruction="0.1 0.7", output="y")
    for one in (first, again):
        pool.add(one)
    assert pool.nearest(again).id == first.id


@pytest.mark.usefixtures("calls")
def test_an_empty_pool_has_no_neighbour_and_a_lone_seed_task_is_no_fault() -> None:
    assert index().nearest(task("1 2")) == Neighbour(0.0, "")
    pool = index()
    pool.add(seed("1 2"))
    assert pool.nearest(task("1 2")) == Neighbour(0.0, "")
    assert np.isfinite(pool.nearest(task("2 1")).score)


def test_a_text_is_embedded_as_the_mean_of_its_last_hidden_states(tiny_llama: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    text = "the session of a peer"
    states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[-1]
    expected = states[0].mean(0).detach().numpy()
    np.testing.assert_allclose(load_encoder(str(tiny_llama))(text), expected, atol=1e-5)


def test_a_text_of_thousands_of_tokens_is_cut(tiny_llama: Path) -> None:
    encode = load_encoder(str(tiny_llama))
    assert (encode("ab " * 3000) == encode("ab " * 4000)).all()
    assert (encode("ab " * 20) != encode("ab " * 21)).any()


def test_the_model_tells_the_same_task_from_another(tiny_llama: Path) -> None:
    pool = EmbeddingIndex(EmbeddingConfig(model=str(tiny_llama)))
    for one in ("Name the peer.", "What is a session?", "Count the routes of each origin."):
        pool.add(seed(one))
    assert pool.nearest(task("What is a session?")) == Neighbour(pytest.approx(1.0), seed("What is a session?").id)
    assert pool.nearest(task("Draw 7 maps!")).score < 0.9


def test_a_folder_without_a_model_is_a_models_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"generate.embedding.model: .* cannot be loaded"):
        load_encoder(str(tmp_path))


def test_the_filters_stand_in_the_order_of_their_cost() -> None:
    found = further_filters(GenerateConfig(minhash=MinHashConfig(), embedding=EmbeddingConfig(threshold=0.5)))
    assert [(one.name, one.threshold) for one in found] == [("minhash", 0.8), ("embedding", 0.5)]


def test_the_module_needs_no_torch_until_a_question_is_asked() -> None:
    code = "import sys, seedtune.generate.filters.further; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
