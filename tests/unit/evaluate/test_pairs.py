"""A judge between base and tuned model on open questions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import write_jsonl
from evaluation import OPEN, Bench, FakeStudent
from fake_model import FakeModel
from seedtune.errors import ConfigError, DataError, TeacherError
from seedtune.evaluate.pairs import tally

OPENS = "evaluate.suites=[open]"


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeModel]:
    """Prefers whichever answer speaks of gluten."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr(FakeStudent, "says", {"rest": "The gluten relaxes."})
    with FakeModel(lambda asked: f"Final answer: {1 if 'gluten' in answers_of(asked)[0] else 2}") as server:
        yield server


def answers_of(asked: str) -> list[str]:
    return [part.partition("</answer")[0] for part in asked.split("<answer ")[1:]]


def named(server: FakeModel, **settings: object) -> str:
    known = {"type": "openai", "model": "fake", "base_url": server.url, "max_retries": 0, **settings}
    return f"evaluate.judge={known}".replace("'", '"')


def test_an_answer_that_is_preferred_in_both_orders_is_the_better_one(bench: Bench, judge: FakeModel) -> None:
    report = bench.evaluate(OPENS, named(judge))
    said = report["judge"]
    assert (said["model"], said["n"], said["tuned"], said["base"], said["undecided"]) == ("fake", 1, 1, 0, 0)
    shown = [answers_of(body["messages"][-1]["content"]) for body in judge.asked["/v1/chat/completions"]]
    assert len(shown) == 2
    assert ["gluten" in answers[0] for answers in sorted(shown, key=lambda answers: "gluten" in answers[0])] == [0, 1]
    [line] = bench.lines("judgements.jsonl")
    assert line["winner"] == "tuned"
    assert "judged by fake" in (bench.run / "evaluate" / "report.md").read_text()


def test_a_judge_that_likes_the_first_answer_decides_nothing(bench: Bench, judge: FakeModel) -> None:
    judge.says = "Final answer: 1"
    said = bench.evaluate(OPENS, named(judge))["judge"]
    assert (said["tuned"], said["base"], said["tie"], said["undecided"]) == (0, 0, 0, 1)
    assert "the order decides" in bench.lines("judgements.jsonl")[0]["why"]


def test_a_judge_is_not_asked_twice_and_marks_are_read_anew(tmp_path: Path, bench: Bench, judge: FakeModel) -> None:
    bench.evaluate(OPENS, named(judge))
    item = bench.lines("judgements.jsonl")[0]["item"]
    marks = write_jsonl(tmp_path / "marks.jsonl", [{"item": item, "winner": "base"}, {"item": item, "winner": "tuned"}])
    said = bench.evaluate(OPENS, named(judge), f"evaluate.marks={marks}")["judge"]
    assert len(judge.asked["/v1/chat/completions"]) == 2
    assert (said["agreement"]["n"], said["agreement"]["share"]) == (1, 1.0)


def test_marks_of_what_was_not_judged_are_named(
    tmp_path: Path, bench: Bench, judge: FakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    marks = write_jsonl(tmp_path / "marks.jsonl", [{"item": "mistyped", "winner": "base"}])
    bench.evaluate(OPENS, named(judge), f"evaluate.marks={marks}")
    assert "1 marks are of items that were not judged here: mistyped" in caplog.text


def test_a_judge_that_dies_half_way_leaves_pairs_undecided_and_is_asked_again(bench: Bench, judge: FakeModel) -> None:
    write_jsonl(
        bench.domain.folder / "evaluation/open.jsonl", [OPEN, {**OPEN, "question": "Why does dough rest overnight?"}]
    )
    judge.dies_after = 2
    said = bench.evaluate(OPENS, named(judge, concurrency=1))["judge"]
    assert said["undecided"] >= 1
    judge.dies_after = None
    again = bench.evaluate(OPENS, named(judge, concurrency=1), "evaluate.showcase_tokens=9")["judge"]
    assert (again["n"], again["undecided"], again["tuned"]) == (2, 0, 2)


def test_a_judge_that_never_answers_stops_the_evaluation_and_is_named(bench: Bench, judge: FakeModel) -> None:
    judge.dies_after = 0
    with pytest.raises(TeacherError, match="judge"):
        bench.evaluate(OPENS, named(judge))


def test_broken_marks_are_named_with_their_line(tmp_path: Path, bench: Bench, judge: FakeModel) -> None:
    marks = write_jsonl(tmp_path / "marks.jsonl", [{"item": "x", "winner": "me"}])
    with pytest.raises(DataError, match=r"marks\.jsonl:1: expected"):
        bench.evaluate(OPENS, named(judge), f"evaluate.marks={marks}")


def test_a_judge_without_prices_cannot_be_kept_within_a_budget(bench: Bench, judge: FakeModel) -> None:
    with pytest.raises(ConfigError, match=r"limits\.max_cost needs judge\.prices"):
        bench.evaluate(OPENS, named(judge), "evaluate.limits.max_cost=1")


def test_the_sign_test_is_that_of_the_pairs_that_were_decided() -> None:
    """6 to 0 of 6: p = 2 / 2^6; ties and undecided pairs do not count."""
    winners = ["tuned"] * 6 + ["tie", None]
    said = tally([{"item": str(n), "winner": winner} for n, winner in enumerate(winners)], {})
    assert (said["tuned"], said["tie"], said["undecided"], said["agreement"]) == (6, 1, 1, None)
    assert said["p"] == pytest.approx(2 / 64)
    assert said["verdict"].startswith("Better: 6 answers of the tuned model are better, 0 of the base")
