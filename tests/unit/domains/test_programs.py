"""Programs in an answer."""

import pytest

from seedtune.domains.programs import blocks_of, compile_fault, programs_of


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("```python\na()\n```\nand\n```Python title\nb()\n```", ["a()\n", "b()\n"]),
        ("```bash\nls\n```\n```python\na()\n```", ["a()\n"]),
        ("```\nimport a\n```\n```\nsome output\n```", ["import a\n"]),
        ("- so:\n\n  ```py\n  if a:\n      b()\n  ```", ["if a:\n    b()\n"]),
        ("````python\nx = '```'\n````", ["x = '```'\n"]),
        ("```{python}\na()\n```", ["a()\n"]),
        ("import a\n\na.b()", ["import a\n\na.b()"]),
        ("```python\na()", []),
        ("Yes.", []),
        ("maybe", []),
        ("```\nmaybe\n```", []),
        ("", []),
    ],
)
def test_what_is_python_and_whole_is_a_program(text: str, programs: list[str]) -> None:
    assert programs_of(text) == programs


def test_a_block_that_is_not_closed_says_so() -> None:
    assert [block.is_whole for block in blocks_of("```\na\n```\n```python\nb")] == [True, False]


@pytest.mark.parametrize("code", ["def f(:", "x = '\0'", "(" * 10_000])
def test_what_does_not_compile_is_said_not_raised(code: str) -> None:
    assert compile_fault(code)
    assert programs_of(code) == []


def test_a_dubious_escape_is_no_fault_and_no_warning() -> None:
    assert compile_fault("print('\\d')") == ""
