"""What the lint says of answers that are cut off, of code that does not compile, and of a domain's own check."""

import sys
import warnings
from pathlib import Path

import pytest

from domain_on_disk import SEEDS, DomainOnDisk


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("```python\nx =\n```", "program 1: does not compile: SyntaxError: invalid syntax"),
        ("Two:\n```py\nx = 1\n```\n```py\nreturn\n```", "program 2: does not compile: SyntaxError: 'return' outside"),
        ("```python\nx = '\x00'\n```", "program 1: does not compile: "),
        ("Like this:\n```\nneighbor 192.0.2.1", "the output has an unclosed code fence"),
        ("The steps are:", "the output looks cut off at its end"),
        ("Flour, water,  \n", "the output looks cut off at its end"),
        ("- one\n-", "the output looks cut off at its end"),
    ],
)
def test_a_broken_answer_is_the_only_finding_and_at_its_place(sound: DomainOnDisk, output: str, words: str) -> None:
    sound.change(SEEDS, 3, output=output)
    [(place, message)] = sound.faults()
    assert place == f"{SEEDS}:3"
    assert message.startswith(words)


@pytest.mark.parametrize("fence", ["python3", "Python", "python title=x"])
def test_code_is_compiled_however_its_fence_says_python(sound: DomainOnDisk, fence: str) -> None:
    sound.change(SEEDS, 1, output=f"```{fence}\nx =\n```")
    assert [place for place, _ in sound.faults()] == [f"{SEEDS}:1"]


@pytest.mark.parametrize(
    "output",
    [
        "```\nrouter bgp 64500\n```\n```bash\nls -l |\n```",
        "1. Do this:\n\n   ```python\n   import re\n   ```\n\n2. Done.",
        "The unspecified address is ::",
    ],
    ids=["another language", "indented below a list item", "an address at the end"],
)
def test_a_whole_answer_is_sound(sound: DomainOnDisk, output: str) -> None:
    sound.change(SEEDS, 1, output=output)
    assert sound.lint() == []


def test_code_that_would_run_is_compiled_only(sound: DomainOnDisk, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    sound.change(SEEDS, 1, output=f"```python\nopen({str(target)!r}, 'w')\n```")
    assert sound.lint() == []
    assert not target.exists()


def test_dubious_code_is_no_warning_on_the_terminal(sound: DomainOnDisk) -> None:
    sound.change(SEEDS, 1, output="```python\nimport re\n\nDIGITS = re.compile('\\d')\n```")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sound.lint()
    assert [str(warning.message) for warning in caught] == []


# The domain's own check

CHECKS = """
from seedtune.domains import ProgramFault

def check_program(source):
    for number, line in enumerate(source.splitlines(), 1):
        if "bake(" in line:
            yield ProgramFault(number, "call the oven's own method")
        if "taste(" in line:
            yield ProgramFault(number, "taste when it has cooled", "warning")
"""


def test_the_domains_own_check_is_asked_about_each_program(sound: DomainOnDisk) -> None:
    (sound.folder / "checks.py").write_text(CHECKS)
    sound.change(SEEDS, 2, output="```python\nx = 1\n```\nThen:\n```python\n\nbake(x)\ntaste(x)\n```")
    assert [(finding.level, finding.place, finding.message) for finding in sound.lint()] == [
        ("error", f"{SEEDS}:2", "program 2, line 2: call the oven's own method"),
        ("warning", f"{SEEDS}:2", "program 2, line 3: taste when it has cooled"),
    ]


def test_the_domains_own_check_sees_only_what_compiles(sound: DomainOnDisk) -> None:
    (sound.folder / "checks.py").write_text(CHECKS)
    sound.change(SEEDS, 2, output="```python\nbake(\n```")
    assert [message for _, message in sound.faults()] == [
        "program 1: does not compile: SyntaxError: '(' was never closed (main.py, line 1)"
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return ['too hot']", "AttributeError: 'str' object has no attribute 'line'"),
    ],
)
def test_a_check_that_fails_is_a_finding_and_the_others_go_on(sound: DomainOnDisk, body: str, words: str) -> None:
    (sound.folder / "checks.py").write_text(f"def check_program(source):\n    {body}\n")
    sound.change(SEEDS, 2, output="```python\nx = 1\n```")
    sound.change(SEEDS, 3, topic="sailing")
    assert sorted(sound.faults()) == [
        (f"{SEEDS}:2", f"program 1: checks.py: check_program failed: {words}"),
        (f"{SEEDS}:3", "topic 'sailing' is not in domain.yaml"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_this_name", "cannot be loaded: ModuleNotFoundError: "),
        ("", "has no function check_program; "),
    ],
)
def test_a_check_that_cannot_be_loaded_is_a_finding(sound: DomainOnDisk, text: str, words: str) -> None:
    (sound.folder / "checks.py").write_text(text)
    [(place, message)] = sound.faults()
    assert place == "checks.py"
    assert message.startswith(words)


def test_the_checks_of_two_domains_do_not_meet(sound: DomainOnDisk) -> None:
    (sound.folder / "checks.py").write_text(CHECKS)
    before = set(sys.modules)
    sound.lint()
    assert set(sys.modules) == before
