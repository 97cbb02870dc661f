"""What lint finds: each fault in a domain made for it, and none in a sound one."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import write_jsonl
from seedtune.domains import Finding, create_domain, domain_counts, lint_domain, load_domain, shipped_domains

SEEDS, CHOICES, STATEMENTS = "seeds/knowledge.jsonl", "evaluation/multiple_choice.jsonl", "evaluation/true_false.jsonl"
DISTINCT = (
    "How warm should water be?",
    "Which flour holds most protein?",
    "When is a loaf proofed enough?",
    "Why score dough before baking?",
    "What does a banneton do?",
    "Where does acid come from?",
    "Name two enzymes found in malt.",
    "Can rye rise alone?",
)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A domain without a single finding."""
    create_domain(tmp_path / "sound")
    folder = tmp_path / "sound"
    cited = [{**item, "citation": "The Book, page 3"} for item in read(folder, CHOICES)]
    write_jsonl(folder / CHOICES, cited)
    return folder


def read(folder: Path, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / file).read_text().splitlines()]


def change(folder: Path, file: str, number: int, **values: Any) -> None:
    lines = read(folder, file)
    lines[number - 1] |= values
    write_jsonl(folder / file, lines)


def lint(folder: Path) -> list[Finding]:
    return lint_domain(load_domain(str(folder)))


def choices(keys: list[int], widths: list[int] | None = None) -> list[dict[str, Any]]:
    """Items with the right option at these positions, all options of one length."""
    return [
        {
            "question": f"{' '.join(f'{word}{number}' for word in ('what', 'is', 'of'))}?",
            "options": [f"option {letter} {number:03}" for letter in "abcdefgh"[:width]],
            "answer": f"option {'abcdefgh'[key]} {number:03}",
            "topic": "basics",
            "citation": "The Book, page 3",
        }
        for number, (key, width) in enumerate(zip(keys, widths or [4] * len(keys), strict=True))
    ]


def statements(truths: list[bool]) -> list[dict[str, Any]]:
    return [
        {"statement": DISTINCT[n] if n < len(DISTINCT) else f"s{n} t{n} u{n}", "answer": truth, "topic": "basics"}
        for n, truth in enumerate(truths)
    ]


# Sound domains


def test_the_domain_the_others_start_from_is_sound(sound: Path) -> None:
    assert lint(sound) == []


@pytest.mark.parametrize("name", shipped_domains())
def test_a_shipped_domain_has_no_finding(name: str) -> None:
    assert lint_domain(load_domain(name)) == []


def test_the_template_has_no_finding(domain_folder: Path) -> None:
    assert lint(domain_folder) == []


# One fault each


@pytest.mark.parametrize(
    ("file", "number", "values", "words"),
    [
        (SEEDS, 2, {"topic": "sailing"}, "topic 'sailing' is not in domain.yaml"),
        (SEEDS, 2, {"topic": ""}, "topic '' is not in domain.yaml"),
        (CHOICES, 3, {"topic": "sailing"}, "topic 'sailing' is not in domain.yaml"),
        (CHOICES, 3, {"topic": "knowledge"}, "topic 'knowledge' is not in domain.yaml"),
        (STATEMENTS, 4, {"topic": "sailing"}, "topic 'sailing' is not in domain.yaml"),
        (SEEDS, 1, {"citations": ["RFC 4271"]}, "citation 'RFC 4271': write it as 'RFC 4271, Section 9.1.2.2'"),
        (SEEDS, 1, {"citations": ["A Book", "RFC 4271 section 3"]}, "citation 'RFC 4271 section 3': write it as"),
        (CHOICES, 1, {"citation": "RFC 4271, sec. 3"}, "citation 'RFC 4271, sec. 3': write it as"),
        (STATEMENTS, 1, {"citation": "RFC 4271,Section 3"}, "citation 'RFC 4271,Section 3': write it as"),
        (SEEDS, 3, {"output": "```python\nx =\n```"}, "code does not compile: invalid syntax"),
        (
            SEEDS,
            3,
            {"output": "Two:\n```py\nx = 1\n```\n```py\nreturn\n```"},
            "code does not compile: 'return' outside",
        ),
        (SEEDS, 3, {"output": "```python\nx = '\x00'\n```"}, "code does not compile: "),
        (SEEDS, 4, {"output": "Like this:\n```\nneighbor 192.0.2.1"}, "the output has an unclosed code fence"),
        (SEEDS, 4, {"output": "The steps are:"}, "the output looks cut off at its end"),
        (SEEDS, 4, {"output": "Flour, water,  \n"}, "the output looks cut off at its end"),
        (SEEDS, 4, {"output": "- one\n-"}, "the output looks cut off at its end"),
        (CHOICES, 2, {"citation": ""}, "no citation"),
    ],
)
def test_a_fault_of_one_line_is_the_only_finding_and_at_its_place(
    sound: Path, file: str, number: int, values: dict[str, Any], words: str
) -> None:
    change(sound, file, number, **values)
    [finding] = lint(sound)
    assert finding.place == f"{file}:{number}"
    assert finding.message.startswith(words)


def test_places_count_blank_lines(sound: Path) -> None:
    change(sound, SEEDS, 2, topic="sailing")
    (sound / SEEDS).write_text("\n\n" + (sound / SEEDS).read_text())
    assert [finding.place for finding in lint(sound)] == [f"{SEEDS}:4"]


@pytest.mark.parametrize(
    "citation",
    ["RFC 4271, Section 9.1.2.2", "RFC 792, Section 3", "RFC 4271, Appendix F.1", "The Book, page 3", "FRR manual"],
)
def test_a_citation_in_the_right_form_is_taken(sound: Path, citation: str) -> None:
    change(sound, SEEDS, 1, citations=[citation])
    assert lint(sound) == []


def test_topics_are_free_where_the_domain_lists_none(sound: Path) -> None:
    text = (sound / "domain.yaml").read_text()
    start, end = text.index("topics:"), text.index("packs:")
    (sound / "domain.yaml").write_text(text[:start] + text[end:])
    change(sound, SEEDS, 1, topic="anything")
    assert lint(sound) == []


def test_a_seed_may_name_its_pack_as_topic(sound: Path) -> None:
    change(sound, SEEDS, 1, topic="knowledge")
    assert lint(sound) == []


def test_code_that_would_run_is_compiled_only(sound: Path, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    change(sound, SEEDS, 1, output=f"```python\nopen({str(target)!r}, 'w')\n```")
    assert lint(sound) == []
    assert not target.exists()


def test_code_of_another_language_is_not_compiled(sound: Path) -> None:
    change(sound, SEEDS, 1, output="```\nrouter bgp 64500\n```\n```bash\nls -l |\n```")
    assert lint(sound) == []


def test_dubious_code_is_no_warning_on_the_terminal(sound: Path) -> None:
    change(sound, SEEDS, 1, output="```python\nimport re\n\nDIGITS = re.compile('\\d')\n```")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lint(sound)
    assert [str(warning.message) for warning in caught] == []


def test_code_below_a_list_item_compiles(sound: Path) -> None:
    change(sound, SEEDS, 1, output="1. Do this:\n\n   ```python\n   import re\n   ```\n\n2. Done.")
    assert lint(sound) == []


@pytest.mark.parametrize("fence", ["python3", "Python", "python title=x"])
def test_code_is_compiled_however_its_fence_says_python(sound: Path, fence: str) -> None:
    change(sound, SEEDS, 1, output=f"```{fence}\nx =\n```")
    assert [finding.place for finding in lint(sound)] == [f"{SEEDS}:1"]


def test_an_address_at_the_end_is_not_cut_off(sound: Path) -> None:
    change(sound, SEEDS, 1, output="The unspecified address is ::")
    assert lint(sound) == []


# Suites


@pytest.mark.parametrize("truths", [[True] * 4, [False] * 4, [True, True, True, False]])
def test_statements_that_are_mostly_one_thing_are_found(sound: Path, truths: list[bool]) -> None:
    write_jsonl(sound / STATEMENTS, statements(truths))
    [finding] = lint(sound)
    share = f"{sum(truths) / 4:.0%}"
    assert (finding.level, finding.place) == ("error", STATEMENTS)
    assert finding.message == f"{share} of the statements are true; half should be"


@pytest.mark.parametrize("count", [3, 5, 7, 9])
def test_an_odd_number_of_statements_split_as_evenly_as_it_can_be_is_sound(sound: Path, count: int) -> None:
    write_jsonl(sound / STATEMENTS, statements([number % 2 == 0 for number in range(count)]))
    assert lint(sound) == []


def test_right_options_that_stand_mostly_first_are_found(sound: Path) -> None:
    write_jsonl(sound / CHOICES, choices([0] * 14 + [1, 2]))
    assert [(finding.level, finding.place, finding.message) for finding in lint(sound)] == [
        ("error", CHOICES, "answer positions are uneven: [14, 1, 1, 0]; shuffle the options")
    ]


def test_right_options_spread_over_all_positions_are_sound(sound: Path) -> None:
    write_jsonl(sound / CHOICES, choices([0, 1, 2, 3] * 5))
    assert lint(sound) == []


def test_items_with_fewer_options_are_not_held_against_their_positions(sound: Path) -> None:
    write_jsonl(sound / CHOICES, choices([0, 1] * 15 + [0, 1, 2, 3], [2] * 30 + [4] * 4))
    assert lint(sound) == []


def test_right_options_that_are_mostly_the_longest_are_found(sound: Path) -> None:
    items = choices([0, 1, 2, 3] * 5)
    for item in items[:7]:
        item["options"] = [option + " indeed" * (option == item["answer"]) for option in item["options"]]
        item["answer"] += " indeed"
    write_jsonl(sound / CHOICES, items)
    [finding] = lint(sound)
    assert (finding.level, finding.place) == ("error", CHOICES)
    assert finding.message == "the right option is the longest in 35% of the items (at most 30%)"


def test_a_right_option_as_long_as_another_is_not_the_longest(sound: Path) -> None:
    write_jsonl(sound / CHOICES, choices([0, 1, 2, 3] * 5))
    assert len({len(option) for item in read(sound, CHOICES) for option in item["options"]}) == 1
    assert lint(sound) == []


def test_a_statement_without_a_citation_is_found_as_a_question_is(sound: Path) -> None:
    change(sound, STATEMENTS, 1, citation="")
    assert [finding.message for finding in lint(sound)] == ["no citation"]


# Duplicates and leaks

QUESTION = "Which attribute of a route is compared first when two speakers offer the same prefix?"


def test_two_seeds_that_are_nearly_the_same_are_found(sound: Path) -> None:
    change(sound, SEEDS, 1, instruction=QUESTION, input="")
    change(sound, SEEDS, 5, instruction=QUESTION.replace("speakers", "neighbours"), input="")
    [finding] = lint(sound)
    assert (finding.level, finding.place) == ("error", f"{SEEDS}:5")
    assert finding.message.startswith(f"seed tasks are nearly the same: {SEEDS}:1 (ROUGE-L 0.9")


def test_two_seeds_with_one_instruction_and_other_inputs_are_sound(sound: Path) -> None:
    change(sound, SEEDS, 1, instruction="Scale it.", input=" ".join(f"a{n}" for n in range(20)))
    change(sound, SEEDS, 2, instruction="Scale it.", input=" ".join(f"b{n}" for n in range(20)))
    assert lint(sound) == []


def test_two_questions_that_are_nearly_the_same_are_found(sound: Path) -> None:
    change(sound, CHOICES, 1, question=QUESTION)
    change(sound, CHOICES, 4, question=QUESTION.upper())
    [finding] = lint(sound)
    assert finding.place == f"{CHOICES}:4"
    assert finding.message == f"questions are nearly the same: {CHOICES}:1 (ROUGE-L 1.00)"


def test_a_statement_that_repeats_a_question_of_another_suite_is_found(sound: Path) -> None:
    change(sound, CHOICES, 1, question=QUESTION)
    change(sound, STATEMENTS, 2, statement=QUESTION)
    assert [finding.place for finding in lint(sound)] == [f"{STATEMENTS}:2"]


@pytest.mark.parametrize(("file", "key"), [(CHOICES, "question"), (STATEMENTS, "statement")])
def test_a_question_among_the_seeds_is_found(sound: Path, file: str, key: str) -> None:
    change(sound, SEEDS, 6, instruction=QUESTION, input="")
    change(sound, file, 2, **{key: QUESTION})
    [finding] = lint(sound)
    assert (finding.level, finding.place) == ("error", f"{file}:2")
    assert finding.message == f"this question stands among the seeds: {SEEDS}:6 (ROUGE-L 1.00)"


# Paths and counts


def test_a_file_named_by_its_absolute_path_has_a_place_too(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (sound / "domain.yaml").read_text()
    (sound / "domain.yaml").write_text(text.replace(SEEDS, str(sound / SEEDS)))
    change(sound, SEEDS, 1, topic="sailing")
    monkeypatch.chdir(sound.parent)
    assert [finding.place for finding in lint(Path("sound"))] == [f"{SEEDS}:1"]


def test_a_large_domain_is_read_a_few_times_not_once_an_item(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(sound / CHOICES, choices([0, 1, 2, 3] * 5))
    domain = load_domain(str(sound))
    opened: list[Path] = []
    read_text: Callable[..., str] = Path.read_text

    def counting(path: Path, *arguments: Any, **options: Any) -> str:
        opened.append(path)
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", counting)
    lint_domain(domain)
    assert opened.count(sound / CHOICES) < 5


def test_counts_are_per_pack_suite_and_topic(sound: Path) -> None:
    assert domain_counts(load_domain(str(sound))) == {
        "seeds": {"knowledge": 6},
        "items": {"multiple_choice": 4, "true_false": 4},
        "seed_topics": {"practice": 4, "basics": 2},
        "item_topics": {"basics": 6, "practice": 2},
    }
