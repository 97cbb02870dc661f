"""What people decided, as training reads it."""

import json
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write_jsonl
from run_on_disk import ROWS, row
from seedtune.errors import DataError
from seedtune.records import content_id
from seedtune.review_decisions import (
    Decisions,
    ReviewedLine,
    Word,
    agreements,
    cohen_kappa,
    read_decisions,
    read_reviewed,
    read_words,
)

Line = dict[str, Any]


def decide(*words: Line) -> Decisions:
    decisions = Decisions()
    for word in words:
        decisions.add(Word.model_validate(word))
    return decisions


def said(identity: str, decision: str, by: str = "ada", **more: Any) -> Line:
    return {"id": identity, "decision": decision, "by": by, **more}


def edit(output: str) -> Line:
    return {"instruction": "Explain it.", "input": "", "output": output}


def rejected(instruction: str, output: str = "An answer.") -> Line:
    task = {"instruction": instruction, "input": "", "output": output, "pack": "knowledge", "request": 3}
    return {"candidate": task, "kept": False, "reason": "similar"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "instructions.jsonl", ROWS)
    write_jsonl(tmp_path / "rejected.jsonl", [rejected("Explain it again."), rejected("Never answered.", "")])
    return tmp_path


def review(folder: Path, *words: Line) -> Path:
    return write_jsonl(folder / "review.jsonl", list(words))


def read(folder: Path) -> tuple[list[ReviewedLine], Counter[str]]:
    reviewed = read_reviewed(folder)
    return list(reviewed), reviewed.counts


def test_a_dataset_that_nobody_reviewed_is_as_it_was(folder: Path) -> None:
    found, counts = read(folder)
    assert [line.task for line in found] == ROWS
    assert [line.place for line in found] == [f"instructions.jsonl:{n}" for n in (1, 2, 3)]
    assert counts == {"": 3}


def test_rejected_rows_leave_edited_rows_change_and_accepted_rows_come_in(folder: Path) -> None:
    again = content_id("Explain it again.", "", "An answer.")
    review(
        folder,
        said(ROWS[0]["id"], "reject"),
        said(ROWS[1]["id"], "none", edited=edit("Better.")),
        said(ROWS[2]["id"], "accept"),
        said(again, "accept"),
    )
    found, counts = read(folder)
    assert [(line.place, line.said) for line in found] == [
        ("instructions.jsonl:2", "edited"),
        ("instructions.jsonl:3", "kept"),
        ("rejected.jsonl:1", "added"),
    ]
    edited = found[0].task
    assert (edited["output"], edited["input"], edited["pack"]) == ("Better.", "", "knowledge")
    assert edited["id"] == content_id("Explain it.", "", "Better.")
    assert counts == {"removed": 1, "edited": 1, "kept": 1, "added": 1}


def test_what_was_measured_of_the_old_text_is_not_said_of_an_edited_one(folder: Path) -> None:
    measured = {"similarity": 0.3, "nearest": "ab", "mean_similarity": 0.1, "neighbours": [{"id": "ab"}]}
    more = {**measured, "scores": {"judge": 5.0}, "printed": "1", "request": 7}
    write_jsonl(folder / "instructions.jsonl", [ROWS[0] | more, ROWS[1] | more])
    review(folder, said(ROWS[0]["id"], "accept", edited=edit("Better.")))
    (edited, other), _ = read(folder)
    assert {key for key, value in edited.task.items() if value is None} == {*measured, "scores", "printed"}
    assert edited.task["request"] == 7
    assert other.task == ROWS[1] | more


def test_a_row_that_people_added_has_the_columns_of_the_others(folder: Path) -> None:
    line = {**rejected("Explain it again."), "similarity": 0.8, "nearest": "ab", "neighbours": [["ab", 0.8]]}
    write_jsonl(folder / "rejected.jsonl", [line])
    review(folder, said(content_id("Explain it again.", "", "An answer."), "accept"))
    added = read(folder)[0][-1].task
    assert (added["similarity"], added["neighbours"]) == (0.8, [{"id": "ab", "similarity": 0.8}])
    assert set(ROWS[0]) <= set(added)


def test_what_was_never_answered_comes_in_only_with_an_answer(folder: Path) -> None:
    identity = content_id("Never answered.", "", "")
    review(folder, said(identity, "accept"))
    assert read(folder)[1]["added"] == 0
    review(folder, said(identity, "accept", edited=edit("An answer at last.")))
    assert read(folder)[0][-1].task["output"] == "An answer at last."


def test_the_same_task_kept_once_and_rejected_once_is_one_row(folder: Path) -> None:
    """A teacher repeats itself: the second is rejected as similar, and has the id of the first."""
    write_jsonl(folder / "rejected.jsonl", [rejected(ROWS[0]["instruction"], ROWS[0]["output"])])
    for word, rows in (
        (said(ROWS[0]["id"], "accept"), 3),
        (said(ROWS[0]["id"], "accept", edited=edit("Better.")), 3),
        (said(ROWS[0]["id"], "reject"), 2),
    ):
        review(folder, word)
        found, counts = read(folder)
        assert len(found) == rows
        assert counts["added"] == 0


def test_an_iteration_counts_for_itself(folder: Path) -> None:
    review(folder, said(ROWS[0]["id"], "reject"))
    reviewed = read_reviewed(folder)
    assert list(reviewed) == list(reviewed)
    assert reviewed.counts == {"removed": 1, "": 2}


def test_a_dataset_is_never_in_memory_as_a_whole(folder: Path) -> None:
    """Three thousand rows of 2 kB are 6 MB; what is held of those that were read is their ids."""
    write_jsonl(folder / "instructions.jsonl", [row(f"Explain {n}.", output="x" * 2000) for n in range(3_000)])
    review(folder, said(ROWS[0]["id"], "reject"))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_reviewed(folder)) == 3_000
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_a_rejected_line_that_people_accepted_and_that_is_none_is_named(folder: Path) -> None:
    line = rejected("Explain it again.")
    del line["candidate"]["pack"]
    write_jsonl(folder / "rejected.jsonl", [line])
    review(folder, said(content_id("Explain it again.", "", "An answer."), "accept"))
    with pytest.raises(DataError, match=r"rejected.jsonl:1: .*pack"):
        read(folder)


def test_the_last_decision_counts_whoever_said_it() -> None:
    assert decide(said("a", "accept"), said("a", "reject", "grace")).outcome("a").decision == "reject"
    again = decide(said("a", "accept"), said("a", "reject", "grace"), said("a", "accept", rating=5))
    assert again.outcome("a") == ("accept", None, True)


def test_a_word_taken_back_leaves_the_other_reviewers() -> None:
    decisions = decide(said("a", "reject", "grace"), said("a", "accept"), said("a", "none"))
    assert decisions.outcome("a").decision == "reject"
    assert not decisions.outcome("a").disputed
    assert decide(said("a", "reject"), said("a", "none")).ids() == []


def test_an_edit_stays_when_another_reviewer_only_decides() -> None:
    decisions = decide(said("a", "accept", edited=edit("Better.")), said("a", "accept", "grace"))
    assert decisions.outcome("a").edited is not None


def test_the_digest_changes_with_the_dataset_alone() -> None:
    """Training is done again for other data, not for another opinion of the same."""
    first = decide(said("a", "reject"))
    assert first.digest() == decide(said("a", "reject", "grace", rating=1, at="later")).digest()
    assert first.digest() == decide(said("b", "reject"), said("b", "none"), said("a", "reject")).digest()
    others = [said("a", "accept"), said("b", "reject"), said("a", "reject", edited=edit("x"))]
    assert len({first.digest(), *(decide(word).digest() for word in others)}) == 4
    assert decide(said("a", "none", rating=3)).digest() == ""


def test_lines_by_hand_need_no_name_and_no_time(folder: Path) -> None:
    (folder / "review.jsonl").write_text(
        '{"id": "a", "decision": "accept", "why": "good"}\n\n{"id": "b", "decision": "reject"}'
    )
    assert [word.decision for word in read_words(folder / "review.jsonl")] == ["accept", "reject"]


def test_a_line_that_is_being_written_is_left_out_and_a_broken_one_named(folder: Path) -> None:
    path = review(folder, said("a", "accept"))
    whole = path.read_text()
    path.write_text(whole + '{"id": "b", "dec')
    assert [word.id for word in read_words(path)] == ["a"]
    path.write_text(whole + '{"id": "b", "dec\n' + whole)
    with pytest.raises(DataError, match=r"review\.jsonl:2"):
        read_words(path)
    path.write_text(whole + json.dumps({"id": "b", "decision": "perhaps"}) + "\n")
    with pytest.raises(DataError, match=r'review\.jsonl:2: decision.*expected \{"id"'):
        read_decisions(path)


def test_agreement_counts_only_what_both_decided() -> None:
    decisions = decide(
        *(said(str(n), "accept") for n in range(5)),
        *(said(str(n), "accept" if n < 2 else "reject", "grace") for n in range(3)),
        said("4", "none", "grace", rating=3),
        said("3", "reject", "joan"),
    )
    assert [(pair.first, pair.second, pair.n, pair.same) for pair in agreements(decisions)] == [
        ("ada", "grace", 3, 2),
        ("ada", "joan", 1, 0),
    ]


def test_kappa_of_the_textbook() -> None:
    """Twenty and fifteen agreements, five and ten disagreements: kappa 0.4."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        (["aa", "rr"], 1.0),
        (["ar", "ra"], -1.0),
        (["aa", "ar", "ra", "rr"], 0.0),
        (["aa"] * 3, None),
        (["ar"] * 3, 0.0),
        ([], None),
    ],
)
def test_kappa_of_plain_cases(pairs: list[str], kappa: float | None) -> None:
    """None where chance explains everything."""
    assert cohen_kappa([(one, other) for one, other in pairs]) == kappa


@given(st.lists(st.tuples(st.sampled_from("ar"), st.sampled_from("ar")), min_size=1))
def test_kappa_is_at_most_one_and_one_only_for_the_same(pairs: list[tuple[str, str]]) -> None:
    kappa = cohen_kappa(pairs)
    if kappa is not None:
        assert kappa <= 1
        assert (kappa == 1) == all(one == other for one, other in pairs)
        assert kappa == pytest.approx(cohen_kappa([(other, one) for one, other in pairs]))


def test_a_row_of_the_dataset_has_the_id_that_reviews_name() -> None:
    """The ids of reviews are content hashes; the line's own ``id`` says the same."""
    assert row("Explain it.", output="Better.")["id"] == content_id("Explain it.", "", "Better.")
