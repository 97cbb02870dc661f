"""What follows from answers: hand-made right and wrong patterns with numbers worked out by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from seedtune.domains.loader import Item
from seedtune.evaluate.results import caveats, compare_all, item_lines, judge
from seedtune.evaluate.suites import Job, Method
from seedtune.records import Answer, ClozeItem, EvalItem, OpenItem

OPTIONS = ("a", "a much longer option")


def statement(number: int) -> EvalItem:
    return EvalItem(question=f"Statement {number}.", options=("True", "False"), answer="True")


def job_of(items: Sequence[Item], kind: Any, method: Method = "generate", primary: bool = True, name: str = "s") -> Job:
    return Job(name, kind, method, tuple(items), (), primary)


def answered(job: Job, base: Sequence[str], tuned: Sequence[str]) -> dict[tuple[str, str, str], Answer]:
    """Written answers of both models, in the order of the items."""
    return {
        (model, job.name, item.id): Answer(
            key="", item=item.id, suite=job.suite, method=job.method, model=model, text=text, order=order_of(job, item)
        )
        for model, texts in (("base", base), ("tuned", tuned))
        for item, text in zip(job.items, texts, strict=True)
    }


def order_of(job: Job, item: Item) -> tuple[int, ...]:
    return (1, 0) if job.type == "multiple_choice" and isinstance(item, EvalItem) else ()


def statements(base: str, tuned: str, name: str = "s", primary: bool = True) -> tuple[Job, Any]:
    """A suite that each model has right (+), wrong (-) or not parsed (?), item by item."""
    says = {"+": "True", "-": "False", "?": "Bread."}
    job = job_of([statement(number) for number in range(len(base))], "true_false", name=name, primary=primary)
    return job, answered(job, [says[sign] for sign in base], [says[sign] for sign in tuned])


def entry_of(base: str, tuned: str, contaminated: frozenset[str] = frozenset()) -> dict[str, Any]:
    job, answers = statements(base, tuned)
    return compare_all([job], judge([job], answers), 0, {"s": contaminated})[job.name]


def test_rates_gain_and_test_are_those_of_the_pattern() -> None:
    entry = entry_of("+++-------", "++-+++++++")
    assert (entry["base"]["correct"], entry["tuned"]["correct"], entry["n"]) == (3, 9, 10)
    assert (entry["mcnemar"]["only_base"], entry["mcnemar"]["only_tuned"]) == (1, 7)
    # Two-sided binomial: 2 * (1 + 8) / 2**8.
    assert entry["mcnemar"]["p"] == pytest.approx(18 / 256)
    assert entry["gain"]["value"] == 0.6
    # Wilson for 9 of 10 at 95%.
    assert entry["tuned"]["interval"] == pytest.approx([0.5958, 0.9821], abs=1e-4)


def test_what_is_not_parsed_is_wrong_and_counted() -> None:
    entry = entry_of("+-??", "++++")
    assert (entry["base"]["correct"], entry["base"]["unparsed"], entry["base"]["n"]) == (1, 2, 4)


def test_the_smallest_number_of_items_is_given_where_nothing_is_shown() -> None:
    entry = entry_of("+-+-+-+-+-", "+-+-+-+-+-")
    assert entry["verdict"].startswith("No difference shown")
    assert f"{entry['needed']['items']:,} items to see 5 points" in entry["verdict"]


def test_holm_counts_the_primary_tests_alone() -> None:
    jobs, answers = [], {}
    for name, tuned, primary in (("one", "+" * 10, True), ("two", "-" * 10, True), ("three", "+" * 10, False)):
        job, more = statements("-" * 10, tuned, name, primary)
        jobs, answers = [*jobs, job], answers | more
    entries = compare_all(jobs, judge(jobs, answers), 0, {})
    p = 2 / 2**10
    assert entries["one/generate"]["mcnemar"]["adjusted"] == pytest.approx(2 * p)
    assert entries["two/generate"]["mcnemar"]["adjusted"] == 1
    assert entries["three/generate"]["mcnemar"] == {
        "only_base": 0,
        "only_tuned": 10,
        "p": pytest.approx(p),
        "adjusted": None,
    }


def test_clean_and_contaminated_items_add_up() -> None:
    dirty = frozenset(statement(number).id for number in (0, 1))
    entry = entry_of("--+-", "+++-", dirty)
    assert (entry["contaminated"]["n"], entry["contaminated"]["tuned"]["correct"]) == (2, 2)
    assert (entry["clean"]["n"], entry["clean"]["base"]["correct"], entry["clean"]["tuned"]["correct"]) == (2, 1, 1)


def test_a_suite_whose_items_are_all_contaminated_has_an_empty_clean_part() -> None:
    entry = entry_of("-", "+", frozenset([statement(0).id]))
    assert (entry["clean"]["n"], entry["clean"]["p"]) == (0, 1)


def test_a_letter_is_read_in_the_order_that_was_listed() -> None:
    job = job_of([EvalItem(question="Which?", options=OPTIONS, answer=OPTIONS[0])], "multiple_choice")
    entry = compare_all([job], judge([job], answered(job, ["A"], ["B"])), 0, {})["s/generate"]
    # The second option was listed first.
    assert (entry["base"]["correct"], entry["tuned"]["correct"]) == (0, 1)


def test_the_length_of_an_option_decides_between_raw_and_normalised() -> None:
    item = EvalItem(question="Which?", options=OPTIONS, answer=OPTIONS[1])
    job = job_of([item], "multiple_choice", "loglikelihood")
    answers = {
        (model, job.name, item.id): Answer(
            key="", item=item.id, suite="s", method="loglikelihood", model=model, scores=(-2.0, -10.0)
        )
        for model in ("base", "tuned")
    }
    entry = compare_all([job], judge([job], answers), 0, {})[job.name]
    assert entry["reading"] == "normalised"
    assert (entry["base"]["correct"], entry["base"]["also"]["raw"]["correct"]) == (1, 0)
    [line] = item_lines([job], answers, judge([job], answers), {})
    assert line["base"]["likelihoods"] == {OPTIONS[0]: -2.0, OPTIONS[1]: -10.0}


def test_a_gap_filled_in_a_sentence_is_lenient_and_not_strict() -> None:
    item = ClozeItem(question="Rye bread is raised with ____.", answers=("sourdough", "leaven"))
    job = job_of([item], "cloze")
    answers = answered(job, ["leaven"], ["Rye bread is raised with sourdough."])
    entry = compare_all([job], judge([job], answers), 0, {})[job.name]
    assert [entry[model]["correct"] for model in ("base", "tuned")] == [1, 1]
    assert [entry[model]["also"]["strict"]["correct"] for model in ("base", "tuned")] == [1, 0]
    [line] = item_lines([job], answers, judge([job], answers), {"s": frozenset([item.id])})
    assert (line["right"], line["contaminated"]) == (["sourdough", "leaven"], True)


def test_an_open_suite_has_its_coverage_with_an_interval() -> None:
    item = OpenItem(
        question="Why is dough left to rest?",
        key_points=("Gluten relaxes during the rest.", "Flour takes up the water."),
        answer="During the rest the gluten relaxes. The flour takes up the water.",
    )
    job = job_of([item], "open")
    entry = compare_all([job], judge([job], answered(job, ["Gluten relaxes."], [item.answer])), 0, {})[job.name]
    assert (entry["base"]["coverage"]["value"], entry["tuned"]["coverage"]["value"]) == (0.5, 1.0)
    assert entry["coverage_gain"]["value"] == 0.5
    assert (entry["base"]["correct"], entry["tuned"]["correct"]) == (0, 1)


NOTHING: dict[str, Any] = {"items": [], "near": [], "rows": 1200, "not_compared": 0}
ONCE = {"at_this_model": 1, "models": 1, "total": 1}


@pytest.mark.parametrize(
    ("contamination", "looks", "said"),
    [
        ({}, ONCE, ["None of the items stands in the 1,200 training rows.", "The test items were looked at once."]),
        ({"items": [{}, {}]}, ONCE, ["2 items stand in the 1,200 training rows"]),
        ({"near": [{}]}, ONCE, ["1 further items share eight words in a row"]),
        ({"not_compared": 3}, ONCE, ["3 rows could not be compared"]),
        (
            {},
            {"at_this_model": 2, "models": 4, "total": 9},
            ["looked at 9 times, for 4 tuned models (2 times for this"],
        ),
        ({}, None, ["not a result to report"]),
    ],
)
def test_the_reader_is_told_what_speaks_against_the_numbers(contamination: Any, looks: Any, said: list[str]) -> None:
    report = {"contamination": NOTHING | contamination} | ({"looks": looks} if looks else {})
    text = "\n".join(caveats(report))
    for words in said:
        assert words in text
