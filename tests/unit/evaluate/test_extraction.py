"""What all readers share: thinking, boxes, final answers and where a turn ends."""

import pytest

from seedtune.evaluate.extraction import decisive, first_turn, spoken


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("B", "B"),
        ("<think>A? No.</think>\nB", "B"),
        ("I think it is A</think> B", "B"),
        ("<think>The answer is B", ""),
        ("<THINKING>a <think>b</think> c</THINKING>B", "B"),
        ("B <think>sure?</think>", "B"),
        ("", ""),
    ],
)
def test_thinking_is_no_part_of_the_answer(text: str, rest: str) -> None:
    assert spoken(text) == rest


def test_boxes_and_the_last_final_answer_are_found() -> None:
    assert decisive("\\boxed{\\text{A}} final answer 1, Final Answer 2") == (["A"], "Final Answer 2")
    assert decisive("plain") == ([], "plain")


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        ("B\n\nQuestion: What?\nAnswer: A", "B"),
        ("B\n### Question 2: What?", "B"),
        ("B\nUser: And now?", "B"),
        ("Question: What?\nAnswer: B\n\nQ: Why?", "Question: What?\nAnswer: B"),
        ("B. The question: is it?", "B. The question: is it?"),
        ("", ""),
    ],
)
def test_what_stands_behind_a_new_question_is_no_part_of_the_answer(text: str, turn: str) -> None:
    assert first_turn(text) == turn
