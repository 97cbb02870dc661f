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
        ("```ipython\na()\n```", ["a()\n"]),
        ("> So:\n>\n> ```python\n> if a:\n>     b()\n>\n> c()\n> ```", ["if a:\n    b()\n\nc()\n"]),
        ("> > ```python\n> > a()\n>> ```\nand\n```python\nb()\n```", ["a()\n", "b()\n"]),
        ("> ```python\n> a()\nThe quotation ends.\n```python\nb()\n```", ["b()\n"]),
        ("```python\nx = (\n1\n> y)\n```", ["x = (\n1\n> y)\n"]),
        ("\ufeff```python\na()\n```", ["a()\n"]),
        ("\ufeffimport a", ["import a"]),
        ("```python\r\na()\r\nb()\r\n```\r\n", ["a()\nb()\n"]),
        ("```python\ra()\r```", ["a()\n"]),
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


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
def test_a_line_of_a_program_ends_where_python_says(character: str) -> None:
    """Other characters at which text may be broken stand in its strings."""
    code = f"x = 'a{character}b'\nprint(x)\n"
    assert programs_of(f"```python\n{code}```") == [code]


def test_a_block_that_is_not_closed_says_so() -> None:
    assert [block.is_whole for block in blocks_of("```\na\n```\n```python\nb")] == [True, False]


@pytest.mark.parametrize("code", ["def f(:", "x = '\0'", "(" * 10_000])
def test_what_does_not_compile_is_said_not_raised(code: str) -> None:
    assert compile_fault(code)
    assert programs_of(code) == []


def test_a_dubious_escape_is_no_fault_and_no_warning() -> None:
    assert compile_fault("print('\\d')") == ""
