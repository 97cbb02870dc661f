"""What a repair makes of a text."""

import pytest

from seedtune.web.repairs import Repair


def mended(repair: Repair, output: str) -> str | None:
    found = repair.mend({"instruction": "Explain it.", "input": "", "output": output})
    return found["output"] if found else None


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Output: four.", "four."),
        ("output :four.", "four."),
        ("**Answer:** four.", "four."),
        ("**Answer**: four.", "four."),
        ("### Solution: four.", "four."),
        ("3. Output: four.", "four."),
        ("\nResponse:\n\nfour.", "four."),
    ],
)
def test_a_label_is_taken_off(text: str, right: str) -> None:
    assert mended(Repair(kind="label"), text) == right


@pytest.mark.parametrize(
    "text", ["The output: four.", "Outputs: four.", "four. Output: five.", "Output", "Input queue: 3", "Output:"]
)
def test_what_is_no_label_before_a_text_stays(text: str) -> None:
    """``Output:`` alone would leave no answer at all."""
    assert mended(Repair(kind="label"), text) is None


def test_white_space_at_ends_goes_and_indentation_stays() -> None:
    assert mended(Repair(kind="white_space"), "for x:  \n    pass\t\n\n  end \n\n") == "for x:\n    pass\n\n  end"
    assert mended(Repair(kind="white_space"), "    pass") is None


def test_words_are_replaced_letter_for_letter() -> None:
    assert mended(Repair(kind="replace", find="a.c", put=r"\1"), "abc a.c") == r"abc \1"
    with pytest.raises(ValueError, match="to be replaced"):
        Repair(kind="replace")


def test_only_the_named_parts_are_mended() -> None:
    task: dict[str, str] = {"instruction": "Input: it. ", "input": "", "output": "Output: four. "}
    assert Repair(kind="label", parts=("output",)).mend(task) == task | {"output": "four. "}
