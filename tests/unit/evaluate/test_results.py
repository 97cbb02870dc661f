"""What follows from answers: hand-made right and wrong patterns with numbers worked out by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from seedtune.domains.loader import Item
from seedtune.evaluate.caveats import caveats
from seedtune.evaluate.outcomes import Judged, Place, judge
from seedtune.evaluate.results import compare_all, forgetting, item_lines
from seedtune.evaluate.suites import Job, Method, Question
from seedtune.records import Answer, ClozeItem, EvalItem, ExactItem, OpenItem, TrueFalseItem

OPTIONS = ("a", "a much longer option")


def statement(number: int) -> EvalItem:
    return EvalItem(question=f"Statement {number}.", options=("True", "False"), answer="True")


def job_of(items: Sequence[Item], kind: Any, method: Method = "generate", primary: bool = True, name: str = "s") -> Job:
    return Job(name, kind, method, tuple(items), tuple(Question(item.id, ()) for item in items), primary)


def answered(job: Job, **texts: Sequence[str]) -> dict[Place, Answer]:
    """Written answers of each model, in the order of the items; one that begins with "!" is an error."""
    return {
        (model, job.name, item.id, 0): Answer(
            key="",
            item=item.id,
            suite=job.suite,
            method=job.method,
            model=model,
            text=text.partition("!")[0],
            error=text.partition("!")[2],
            order=order_of(job, item),
        )
        for model, said in texts.items()
        for item, text in zip(job.items, said, strict=True)
    }


def judged_of(jobs: Sequence[Job], answers: dict[Place, Answer]) -> Judged:
    return judge(jobs, list(dict.fromkeys(model for model, *_ in answers)), answers, {})


def order_of(job: Job, item: Item) -> tuple[int, ...]:
    return (1, 0) if job.type == "multiple_choice" and isinstance(item, EvalItem) else ()


def statements(name: str = "s", primary: bool = True, **signs: str) -> tuple[Job, dict[Place, Answer]]:
    """A suite that each model has right (+), wrong (-), not parsed (?) or not answered (!), item by item."""
    says = {"+": "True", "-": "False", "?": "Bread.", "!": "!gone"}
    count = len(next(iter(signs.values())))
    job = job_of([statement(number) for number in range(count)], "true_false", name=name, primary=primary)
    return job, answered(job, **{model: [says[sign] for sign in text] for model, text in signs.items()})


def entry_of(base: str, tuned: str, contaminated: frozenset[str] = frozenset()) -> dict[str, Any]:
    job, answers = statements(base=base, tuned=tuned)
    return compare_all([job], judged_of([job], answers), 0, {"s": contaminated})[job.name]


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
        job, more = statements(name, primary, base="-" * 10, tuned=tuned)
        jobs, answers = [*jobs, job], answers | more
    entries = compare_all(jobs, judged_of(jobs, answers), 0, {})
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
    entry = compare_all([job], judged_of([job], answered(job, base=["A"], tuned=["B"])), 0, {})["s/generate"]
    # The second option was listed first.
    assert (entry["base"]["correct"], entry["tuned"]["correct"]) == (0, 1)


def test_the_length_of_an_option_decides_between_raw_and_normalised() -> None:
    item = EvalItem(question="Which?", options=OPTIONS, answer=OPTIONS[1])
    job = job_of([item], "multiple_choice", "loglikelihood")
    answers = {
        (model, job.name, item.id, 0): Answer(
            key="", item=item.id, suite="s", method="loglikelihood", model=model, scores=(-2.0, -10.0)
        )
        for model in ("base", "tuned")
    }
    entry = compare_all([job], judged_of([job], answers), 0, {})[job.name]
    assert entry["reading"] == "normalised"
    assert (entry["base"]["correct"], entry["base"]["also"]["raw"]["correct"]) == (1, 0)
    [line] = item_lines([job], judged_of([job], answers), {})
    assert line["base"]["likelihoods"] == {OPTIONS[0]: -2.0, OPTIONS[1]: -10.0}


def test_a_gap_filled_in_a_sentence_is_lenient_and_not_strict() -> None:
    item = ClozeItem(question="Rye bread is raised with ____.", answers=("sourdough", "leaven"))
    job = job_of([item], "cloze")
    answers = answered(job, base=["leaven"], tuned=["Rye bread is raised with sourdough."])
    entry = compare_all([job], judged_of([job], answers), 0, {})[job.name]
    assert [entry[model]["correct"] for model in ("base", "tuned")] == [1, 1]
    assert [entry[model]["also"]["strict"]["correct"] for model in ("base", "tuned")] == [1, 0]
    [line] = item_lines([job], judged_of([job], answers), {"s": frozenset([item.id])})
    assert (line["right"], line["contaminated"]) == (["sourdough", "leaven"], True)


def test_an_open_suite_has_its_coverage_with_an_interval() -> None:
    item = OpenItem(
        question="Why is dough left to rest?",
        key_points=("Gluten relaxes during the rest.", "Flour takes up the water."),
        answer="During the rest the gluten relaxes. The flour takes up the water.",
    )
    job = job_of([item], "open")
    entry = compare_all([job], judged_of([job], answered(job, base=["Gluten relaxes."], tuned=[item.answer])), 0, {})[
        job.name
    ]
    assert (entry["base"]["partial"]["value"], entry["tuned"]["partial"]["value"]) == (0.5, 1.0)
    assert entry["partial_gain"]["value"] == 0.5
    assert (entry["base"]["correct"], entry["tuned"]["correct"]) == (0, 1)


NOTHING: dict[str, Any] = {"items": [], "near": [], "rows": 1200, "not_compared": 0}
ONCE = {"at_this_model": 1, "models": 1, "runs": 1, "total": 1}


@pytest.mark.parametrize(
    ("contamination", "looks", "said"),
    [
        ({}, ONCE, ["None of the items stands in the 1,200 training rows.", "The test items were looked at once."]),
        ({"items": [{}, {}]}, ONCE, ["2 items stand in the 1,200 training rows"]),
        ({"near": [{}]}, ONCE, ["1 further items share eight words in a row"]),
        ({"not_compared": 3}, ONCE, ["3 rows could not be compared"]),
        (
            {},
            {"at_this_model": 2, "models": 4, "runs": 1, "total": 9},
            ["looked at 9 times, for 4 tuned models (2 times for this"],
        ),
        ({}, None, ["not a result to report"]),
    ],
)
def test_the_reader_is_told_what_speaks_against_the_numbers(contamination: Any, looks: Any, said: list[str]) -> None:
    report = {"contamination": NOTHING | contamination, "models": {}, "suites": {}, "left_out": {}}
    report |= {"looks": looks} if looks else {}
    text = "\n".join(caveats(report))
    for words in said:
        assert words in text


# Rivals


def test_a_rival_is_tested_against_the_reference_with_a_correction_of_its_own() -> None:
    jobs, answers = [], {}
    for name in ("one", "two"):
        job, more = statements(name, base="-" * 10, tuned="-" * 10, rival="+" * 10)
        jobs, answers = [*jobs, job], answers | more
    for reference in ("base", "tuned"):
        entries = compare_all(jobs, judged_of(jobs, answers), 0, {}, reference)
        rival = entries["one/generate"]["rivals"]["rival"]
        assert (rival["against"], rival["correct"], rival["gain"]["value"]) == (reference, 10, 1.0)
        assert rival["mcnemar"]["adjusted"] == pytest.approx(2 * 2 / 2**10)
        assert entries["one/generate"]["mcnemar"]["p"] == 1


def test_rivals_are_compared_with_the_base_where_nothing_is_tuned() -> None:
    job, answers = statements(base="--------", rival="++++++++")
    entry = compare_all([job], judged_of([job], answers), 0, {})[job.name]
    assert "tuned" not in entry
    assert "verdict" not in entry
    assert entry["rivals"]["rival"]["verdict"].startswith("Better by 100.0 points")


def test_what_an_endpoint_did_not_answer_is_wrong_stays_in_the_denominator_and_is_counted() -> None:
    job, answers = statements(base="+++-", rival="++!!")
    judged = judged_of([job], answers)
    rival = compare_all([job], judged, 0, {})[job.name]["rivals"]["rival"]
    assert (rival["n"], rival["correct"], rival["errors"], rival["unparsed"]) == (4, 2, 2, 0)
    line = item_lines([job], judged, {})[2]
    assert (line["rivals"]["rival"]["error"], line["rivals"]["rival"]["correct"]) == ("gone", False)


def test_log_likelihoods_that_did_not_come_are_errors_too() -> None:
    job = job_of([statement(0)], "true_false", "loglikelihood")
    answers = answered(job, base=["!gone"])
    assert compare_all([job], judged_of([job], answers), 0, {})[job.name]["base"]["errors"] == 1


def test_a_model_without_all_answers_of_a_job_was_not_asked_by_it() -> None:
    job, answers = statements(base="++", rival="++")
    del answers["rival", job.name, job.items[1].id, 0]
    assert compare_all([job], judged_of([job], answers), 0, {})[job.name]["rivals"] == {}


# What was forgotten


def general(base: str, tuned: str) -> Any:
    job, answers = statements("general:sums", base=base, tuned=tuned)
    job = replace(job, part="general")
    return job, judged_of([job], answers)


def test_forgetting_is_a_test_of_no_worse_and_stays_out_of_holms_correction() -> None:
    domain, answers = statements("one", base="-" * 10, tuned="+" * 10)
    job, judged = general("+" * 90, "+" * 89 + "-")
    jobs, both = [domain, job], {**judged, **judged_of([domain], answers)}
    assert compare_all(jobs, both, 0, {})["one/generate"]["mcnemar"]["adjusted"] is None
    found = forgetting(jobs, both, 0.1)
    assert found is not None
    assert (found["n"], found["shown"], found["gain"]["value"]) == (90, True, round(-1 / 90, 4))
    assert found["verdict"].startswith("No worse: a loss of 10 points is ruled out")


def test_a_base_at_the_floor_cannot_tell_whether_something_was_forgotten() -> None:
    job, judged = general("-" * 200, "-" * 200)
    found = forgetting([job], judged, 0.05)
    assert found is not None
    for part in (found, found["suites"][job.name]):
        assert (part["p"] < 0.025, part["tells"], part["shown"]) == (True, False, False)
        assert part["verdict"].startswith("Cannot be told: this base is too weak")


def test_what_guessing_gives_is_taken_off_what_the_base_can_lose() -> None:
    """True and False: 60% right of 200 are 53% for sure, three points above guessing."""
    job, judged = general("+" * 120 + "-" * 80, "+" * 120 + "-" * 80)
    item = TrueFalseItem(statement="It is so.", answer=True).as_choice()
    found = forgetting([replace(job, items=(item,) * 200)], judged, 0.05)
    assert found is not None
    assert (found["chance"], found["tells"], round(found["room"], 2)) == (0.5, False, 0.03)


def test_too_few_items_show_nothing_and_the_number_that_would_is_given() -> None:
    job, judged = general("+" * 20, "+" * 19 + "-")
    found = forgetting([job], judged, 0.05)
    assert found is not None
    assert not found["shown"]
    assert f"this test would need {found['needed']:,} items" in found["verdict"]


def test_the_suites_on_what_was_forgotten_count_together() -> None:
    jobs, judged = [], {}
    for name, tuned in (("general:a", "++--"), ("general:b", "++++")):
        job, answers = statements(name, base="++++", tuned=tuned)
        jobs, judged = [*jobs, replace(job, part="general")], {**judged, **judged_of([job], answers)}
    found = forgetting(jobs, judged, 0.05)
    assert found is not None
    assert (found["n"], found["base"]["correct"], found["tuned"]["correct"]) == (8, 8, 6)
    assert found["suites"]["general:a/generate"]["tuned"]["correct"] == 2


def test_without_a_general_suite_nothing_is_said_of_forgetting() -> None:
    job, answers = statements(base="+", tuned="+")
    assert forgetting([job], judged_of([job], answers), 0.05) is None


# Computed answers


def test_record_reading_stands_beside_its_chance_by_family_and_level() -> None:
    items = [
        ExactItem(question=f"How many? {n}", answer=str(n), kind="integer", family=family, level=level, chance=chance)
        for n, (family, level, chance) in enumerate([("count", 1, 0.2), ("count", 2, 0.2), ("longest", 2, 0.5)])
    ]
    job = job_of(items, "exact", name="record_reading")
    texts = {"base": ["7", "7", "2"], "tuned": ["0", "7", "2"]}
    entry = compare_all([job], judged_of([job], answered(job, **texts)), 0, {})[job.name]
    assert entry["chance"] == 0.3
    families, levels = entry["families"], entry["levels"]
    assert (families["count"]["n"], families["count"]["chance"], families["count"]["tuned"]["correct"]) == (2, 0.2, 1)
    assert (families["longest"]["chance"], families["longest"]["base"]["correct"]) == (0.5, 1)
    assert (levels["2"]["n"], levels["2"]["chance"], levels["2"]["tuned"]["correct"]) == (2, 0.35, 1)
