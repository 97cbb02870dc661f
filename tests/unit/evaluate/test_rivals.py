"""Rivals: other models, here and behind endpoints, that answer the same questions."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluation import Bench, FakeStudent
from fake_model import FakeModel
from seedtune.config import ModelConfig, load_config
from seedtune.errors import ConfigError, EvaluationError, LimitReached, TeacherError
from seedtune.evaluate import endpoints, inference
from seedtune.models import load_tokenizer

WRITTEN = "evaluate.methods=[generate]"
TRUTHS = "evaluate.suites=[true_false]"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with FakeModel() as server:
        yield server


def rival(server: FakeModel, **settings: Any) -> str:
    """An override that names the endpoint ``gpt``."""
    known = {"type": "openai", "model": "fake", "base_url": server.url, "max_retries": 0, "concurrency": 2, **settings}
    return f"evaluate.models.gpt={known}".replace("'", '"')


def keys(bench: Bench) -> list[str]:
    return [line["key"] for line in bench.lines("records.jsonl") if line["model"] == "gpt"]


# Behind an endpoint


def test_an_endpoint_answers_in_writing_what_the_others_answer(bench: Bench, model: FakeModel) -> None:
    report = bench.evaluate(WRITTEN, TRUTHS, rival(model))
    entry = report["suites"]["true_false/generate"]
    items = bench.lines("items.jsonl")
    said = entry["rivals"]["gpt"]
    assert (said["n"], said["correct"]) == (entry["n"], sum(line["right"] == ["True"] for line in items))
    assert (said["against"], said["errors"]) == ("base", 0)
    assert all(line["rivals"]["gpt"]["text"] == "True" for line in items)
    assert report["models"]["gpt"] == {**report["models"]["gpt"], "title": "fake", "type": "openai"}
    assert "Rivals, against the base model" in (bench.run / "evaluate" / "report.md").read_text()


def test_an_endpoint_is_asked_greedily_for_the_length_of_the_suite(bench: Bench, model: FakeModel) -> None:
    bench.evaluate(WRITTEN, TRUTHS, rival(model), "evaluate.max_new_tokens=7", "evaluate.showcase_tokens=9")
    asked = model.asked["/v1/chat/completions"]
    assert {(body["temperature"], body["max_tokens"]) for body in asked} == {(0.0, 7), (0.0, 9)}


def test_an_endpoint_without_a_tokenizer_is_asked_in_writing_only_and_the_report_says_so(
    bench: Bench, model: FakeModel
) -> None:
    report = bench.evaluate(TRUTHS, rival(model))
    assert report["suites"]["true_false/loglikelihood"]["rivals"] == {}
    assert any(said.startswith("gpt is asked in writing only") for said in report["caveats"])
    assert model.asked["/v1/completions"] == []


def test_log_likelihoods_are_those_of_the_options_tokens(
    bench: Bench, model: FakeModel, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake holds token n likely at -n / 1000: the sums can be told from the option's tokens alone."""
    tokenizer = load_tokenizer(ModelConfig(name=str(tiny_llama)))
    monkeypatch.setattr(inference.Chat, "tokenizer", tokenizer, raising=False)
    report = bench.evaluate(TRUTHS, rival(model, tokenizer=str(tiny_llama)))
    [line] = [line for line in bench.lines("items.jsonl") if line["method"] == "loglikelihood"][:1]
    for option, score in line["rivals"]["gpt"]["likelihoods"].items():
        tokens = tokenizer(option, add_special_tokens=False)["input_ids"]
        assert score == pytest.approx(-sum(tokens) / 1000, abs=1e-4)
    assert report["suites"]["true_false/loglikelihood"]["rivals"]["gpt"]["errors"] == 0
    assert all(body["echo"] and body["max_tokens"] == 1 for body in model.asked["/v1/completions"])


def test_an_endpoint_that_gives_no_log_likelihoods_is_asked_in_writing_only(
    bench: Bench, model: FakeModel, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference.Chat, "tokenizer", load_tokenizer(ModelConfig(name=str(tiny_llama))), raising=False)
    model.scores = False
    report = bench.evaluate(TRUTHS, rival(model, tokenizer=str(tiny_llama)))
    assert report["suites"]["true_false/loglikelihood"]["rivals"] == {}
    assert "gpt" in report["suites"]["true_false/generate"]["rivals"]
    assert any("in writing only" in said for said in report["caveats"])


# Endpoints that fail


def test_an_endpoint_that_dies_half_way_leaves_errors_in_the_denominator(bench: Bench, model: FakeModel) -> None:
    model.dies_after = 3
    entry = bench.evaluate(WRITTEN, TRUTHS, rival(model))["suites"]["true_false/generate"]
    said = entry["rivals"]["gpt"]
    assert said["n"] == entry["n"] == 4
    assert 0 < said["errors"] <= 4
    assert said["correct"] <= said["n"] - said["errors"]
    assert said["unparsed"] == 0
    assert f"{said['errors']} of 4 answers did not come and count as wrong" in said["verdict"]


ODD = {
    "refused": (400, {"error": {"message": "maximum context length is 4096 tokens"}}),
    "a page": (200, "<html>Please log in</html>"),
    "too few": (200, {"id": "x", "object": "x", "created": 0, "model": "fake", "choices": []}),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_question_that_an_endpoint_does_not_score_is_an_error_of_that_question(
    bench: Bench, model: FakeModel, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setattr(inference.Chat, "tokenizer", load_tokenizer(ModelConfig(name=str(tiny_llama))), raising=False)
    model.completes = lambda number: ODD[odd] if number == 2 else None
    report = bench.evaluate(TRUTHS, rival(model, tokenizer=str(tiny_llama)))
    said = report["suites"]["true_false/loglikelihood"]["rivals"]["gpt"]
    assert (said["n"], said["errors"]) == (4, 1)


@pytest.mark.parametrize("odd", ODD)
def test_an_endpoint_that_scores_nothing_in_whatever_words_is_asked_in_writing_only(
    bench: Bench, model: FakeModel, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    monkeypatch.setattr(inference.Chat, "tokenizer", load_tokenizer(ModelConfig(name=str(tiny_llama))), raising=False)
    model.completes = lambda number: ODD[odd]
    report = bench.evaluate(TRUTHS, rival(model, tokenizer=str(tiny_llama)))
    assert report["suites"]["true_false/loglikelihood"]["rivals"] == {}
    assert any("in writing only" in said for said in report["caveats"])


def test_an_address_from_the_environment_is_part_of_what_an_answer_is_known_by(
    bench: Bench, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand = rival(model, base_url=None).replace("None", "null")
    with FakeModel(says="False") as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.url)
        bench.evaluate(WRITTEN, TRUTHS, at_hand)
    monkeypatch.setenv("OPENAI_BASE_URL", model.url)
    bench.evaluate(WRITTEN, TRUTHS, at_hand)
    assert all(line["rivals"]["gpt"]["text"] == "True" for line in bench.lines("items.jsonl"))


def test_silence_of_an_endpoint_is_said(
    bench: Bench, model: FakeModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slowly(_: str) -> str:
        time.sleep(0.3)
        return "True"

    model.says = slowly
    monkeypatch.setattr(endpoints, "_SILENT_S", 0.1)
    with caplog.at_level("INFO"):
        bench.evaluate(WRITTEN, TRUTHS, rival(model))
    assert any("gpt has not answered for" in line for line in caplog.messages)


def test_another_run_asks_for_the_errors_alone_and_ends_as_if_there_had_been_none(
    bench: Bench, model: FakeModel, tmp_path: Path
) -> None:
    model.dies_after = 2
    bench.evaluate(WRITTEN, TRUTHS, rival(model))
    before = len(model.asked["/v1/chat/completions"])
    FakeStudent.asked.clear()
    model.dies_after = None
    mended = bench.evaluate(WRITTEN, TRUTHS, rival(model))
    assert FakeStudent.asked == []
    # Four items and a question side by side.
    assert (before, len(model.asked["/v1/chat/completions"])) == (2, 5)
    assert mended["suites"]["true_false/generate"]["rivals"]["gpt"]["errors"] == 0
    bench.evaluate(WRITTEN, TRUTHS, rival(model))
    assert len(model.asked["/v1/chat/completions"]) == 5
    assert mended["looks"]["total"] == 1


def test_an_endpoint_that_never_answers_stops_the_evaluation_in_the_words_of_its_config(
    bench: Bench, model: FakeModel
) -> None:
    model.dies_after = 0
    with pytest.raises(TeacherError, match="the model gpt at "):
        bench.evaluate(WRITTEN, TRUTHS, rival(model))


def test_an_unknown_model_is_found_before_anything_is_asked_of_it(bench: Bench, model: FakeModel) -> None:
    with pytest.raises(TeacherError, match=r"evaluate\.models\.gpt\.model"):
        bench.evaluate(WRITTEN, TRUTHS, rival(model, model="other"))
    assert model.asked["/v1/chat/completions"] == []


# What it may cost


def test_a_limit_stops_before_it_is_passed_and_what_was_answered_is_kept(bench: Bench, model: FakeModel) -> None:
    model.uses = 100
    with pytest.raises(LimitReached, match=r"evaluate\.limits"):
        bench.evaluate(WRITTEN, TRUTHS, rival(model), "evaluate.limits.max_tokens=400")
    answered = keys(bench)
    assert 0 < len(answered) < 5
    bench.evaluate(WRITTEN, TRUTHS, rival(model), "evaluate.limits.max_tokens=4000")
    assert len(set(keys(bench))) == len(keys(bench)) == 5
    assert len(model.asked["/v1/chat/completions"]) == 5


def test_what_earlier_sessions_used_counts(bench: Bench, model: FakeModel) -> None:
    """Five answers at twelve tokens each are on the books, so nothing more fits into sixty."""
    bench.evaluate(WRITTEN, TRUTHS, rival(model))
    with pytest.raises(LimitReached, match="60 tokens used"):
        bench.evaluate(WRITTEN, "evaluate.suites=[cloze]", rival(model), "evaluate.limits.max_tokens=60")


def test_a_budget_needs_prices() -> None:
    with pytest.raises(ConfigError, match=r"models\.gpt\.prices"):
        load_config(None, ["evaluate.models.gpt={type: openai, model: x}", "evaluate.limits.max_cost=1"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("base={type: local, model: x}", "'base' is taken"),
        ("gpt={type: openai, model: x, transport: batch}", "sends its questions directly"),
        ("gpt={type: openai, model: x, sampling: {temperature: 0.5}}", "decoded alike"),
        ("gpt={model: x}", "needs a type: openai or local"),
    ],
)
def test_a_rival_that_cannot_be_asked_is_refused_with_the_config(settings: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(None, [f"evaluate.models.{settings}"])


# On this machine


def test_another_local_model_is_a_rival(bench: Bench) -> None:
    FakeStudent.says = {"Rye bread": "sourdough"}
    report = bench.evaluate("evaluate.suites=[cloze]", "evaluate.models.other={type: local, model: tiny/other}")
    assert report["models"]["other"]["title"] == "tiny/other"
    assert report["suites"]["cloze/generate"]["rivals"]["other"]["correct"] == 1


def test_a_second_adapter_of_the_base_is_a_rival_known_by_its_files(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "second"
    override = f"evaluate.models.second={{type: local, model: embedded, adapter: {folder}}}"
    with pytest.raises(EvaluationError, match=r"second/adapter_model\.safetensors: there is no such file"):
        bench.evaluate("evaluate.suites=[cloze]", override)
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (folder / name).write_bytes(b"second")
    report = bench.evaluate("evaluate.suites=[cloze]", override)
    digests = {name: model["digest"] for name, model in report["models"].items()}
    assert len(set(digests.values())) == 3
    assert {name for name, _ in FakeStudent.asked} == {"base", "tuned", "second"}


def test_rivals_are_tested_against_the_reference(bench: Bench) -> None:
    FakeStudent.says = {"Rye bread": "sourdough"}
    rivals = "evaluate.models.other={type: local, model: tiny/other}"
    report = bench.evaluate("evaluate.suites=[cloze]", rivals, "evaluate.reference=tuned")
    other = report["suites"]["cloze/generate"]["rivals"]["other"]
    assert (other["against"], other["gain"]["value"]) == ("tuned", 0.0)


def test_without_a_tuned_model_rivals_meet_the_base(bench: Bench) -> None:
    bench.is_trained = False
    with pytest.raises(EvaluationError, match="run 'seedtune train' first, or name rivals"):
        bench.evaluate(TRUTHS)
    rivals = "evaluate.models.other={type: local, model: tiny/other}"
    report = bench.evaluate(TRUTHS, rivals)
    assert list(report["models"]) == ["base", "other"]
    assert "tuned" not in report["suites"]["true_false/generate"]
    assert report["adapter_sha256"] is None
    assert any("no tuned model" in said for said in report["caveats"])
    with pytest.raises(EvaluationError, match=r"evaluate\.reference is tuned, and nothing is trained"):
        bench.evaluate(TRUTHS, rivals, "evaluate.reference=tuned")


def test_a_whole_trained_model_is_evaluated_as_its_own_model(bench: Bench) -> None:
    report = bench.evaluate(TRUTHS, "train.method=full")
    assert report["models"]["tuned"]["digest"] == str(bench.run / "train" / "adapter")
    assert report["adapter_sha256"] is None
    assert {name for name, _ in FakeStudent.asked} == {"base", "tuned"}
