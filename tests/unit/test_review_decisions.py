"""What people decided, as training reads it."""

import json
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


def test_a_dataset_that_nobody_reviewed_is_as_it_was(folder: Path) -> None:
    reviewed = read_reviewed(folder)
    assert [line for _, line in reviewed.lines] == ROWS
    assert [place for place, _ in reviewed.lines] == [f"instructions.jsonl:{n}" for n in (1, 2, 3)]
    assert (reviewed.removed, reviewed.edited, reviewed.added, reviewed.digest) == (0, 0, 0, "")


def test_rejected_rows_leave_edited_rows_change_and_accepted_rows_come_in(folder: Path) -> None:
    again = content_id("Explain it again.", "", "An answer.")
    review(
        folder,
        said(ROWS[0]["id"], "reject"),
        said(ROWS[1]["id"], "none", edited=edit("Better.")),
        said(again, "accept"),
    )
    reviewed = read_reviewed(folder)
    assert [place for place, _ in reviewed.lines] == [
        "instructions.jsonl:2",
        "instructions.jsonl:3",
        "rejected.jsonl:1",
    ]
    edited = reviewed.lines[0][1]
    assert (edited["output"], edited["input"], edited["pack"]) == ("Better.", "", "knowledge")
    assert edited["id"] == content_id("Explain it.", "", "Better.")
    assert (reviewed.removed, reviewed.edited, reviewed.added) == (1, 1, 1)


def test_what_was_never_answered_comes_in_only_with_an_answer(folder: Path) -> None:
    identity = content_id("Never answered.", "", "")
    review(folder, said(identity, "accept"))
    assert read_reviewed(folder).added == 0
    review(folder, said(identity, "accept", edited=edit("An answer at last.")))
    assert read_reviewed(folder).lines[-1][1]["output"] == "An answer at last."


def test_the_same_task_kept_once_and_rejected_once_is_one_row(folder: Path) -> None:
    """A teacher repeats itself: the second is rejected as similar, and has the id of the first."""
    write_jsonl(folder / "rejected.jsonl", [rejected(ROWS[0]["instruction"], ROWS[0]["output"])])
    review(folder, said(ROWS[0]["id"], "accept"))
    assert len(read_reviewed(folder).lines) == 3
    review(folder, said(ROWS[0]["id"], "accept", edited=edit("Better.")))
    assert len(read_reviewed(folder).lines) == 3
    review(folder, said(ROWS[0]["id"], "reject"))
    assert len(read_reviewed(folder).lines) == 2


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


def test_kappa_is_not_defined_where_chance_explains_everything() -> None:
    assert cohen_kappa([]) is None
    assert cohen_kappa([("accept", "accept")] * 9) is None


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
