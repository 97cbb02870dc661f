"""``seedtune review``: what the review page does, without it; the page's command lines do what its buttons do."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seedtune import cli
from seedtune.errors import ConfigError, DataError, RunError
from studio_page import Page
from studio_run import identity, verdict, verdicts, write_run

MADE = list(verdicts(120))
FIRST, SECOND = (identity(one) for one in MADE[:2])
Type = Callable[[str], str]


def words(runs_dir: Path) -> list[dict[str, Any]]:
    """What was said, without when."""
    path = runs_dir / "one" / "generate" / "review.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{key: value for key, value in line.items() if key not in ("at", "batch")} for line in lines]


@pytest.fixture
def type_in(runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Type a command line where the folder of runs is; what it printed."""
    monkeypatch.chdir(runs_dir.parent)
    monkeypatch.setattr("getpass.getuser", lambda: "grace")

    def typed(line: str) -> str:
        program, *arguments = shlex.split(line)
        assert program == "seedtune"
        assert cli.app(arguments, exit_on_error=False, print_error=False, result_action="return_value") == 0
        return capsys.readouterr().out

    return typed


def commands(page: Page, **query: str) -> dict[str, str]:
    found: dict[str, str] = page.get("/items/1", **query)["commands"]
    return found


def test_each_command_of_a_candidate_does_what_its_button_does(page: Page, runs_dir: Path, type_in: Type) -> None:
    edited = {"instruction": MADE[0]["candidate"]["instruction"], "output": "..."}
    said: list[dict[str, Any]] = [
        {"decision": "accept"},
        {"decision": "accept", "rating": 4},
        {"decision": "reject", "rating": 4},
        {"decision": "accept", "rating": 4, "edited": edited},
        {"decision": "none"},
    ]
    offered = commands(page, by="ada")
    assert list(offered) == ["accept", "reject", "rate", "edit", "take back"]
    for button in ("accept", "rate", "reject", "edit", "take back"):
        type_in(offered[button])
    by_commands = words(runs_dir)
    assert by_commands == [{"id": FIRST, "by": "ada", **word} for word in said]
    for word in said:
        page.say(FIRST, word["decision"], **{key: value for key, value in word.items() if key != "decision"})
    assert words(runs_dir) == 2 * by_commands


def test_the_command_of_a_repair_does_what_apply_does(tmp_path: Path, type_in: Type) -> None:
    made = [verdict(f"Explain case {n}.", f'It\'s --yes; "{n}"') for n in range(3)]
    made.append(verdict("Explain it.", "It's --yes;", reason="similar"))
    repair = {"kind": "replace", "find": '--yes; "', "put": "-it's $HOME `x`\n", "parts": ["output"]}
    body = {"repair": repair, "filters": {"verdict": "kept", "text": "case"}, "by": "ada"}
    said: list[list[dict[str, Any]]] = []
    for name in ("by_page", "by_command"):
        write_run(tmp_path / name, "one", made)
        page = Page(tmp_path / name)
        found = page.post("/api/runs/one/repair/preview", body)
        assert found["count"] == 3
        if name == "by_page":
            page.post("/api/runs/one/repair", {**body, "expected": 3})
        else:
            told = type_in(found["command"])
            assert "3 tasks repaired" in told
        said.append(words(tmp_path / name))
    assert said[0] == said[1]
    assert said[0][0]["edited"]["output"] == "It's -it's $HOME `x`\n0\""
    undo = told.splitlines()[1].removeprefix("to take it back: ")
    assert "3 tasks as before" in type_in(f"{undo} --by ada")
    assert [word["decision"] for word in words(tmp_path / "by_command")[3:]] == ["none"] * 3


def test_a_repair_is_shown_and_made_only_when_it_is_wanted(runs_dir: Path, type_in: Type) -> None:
    told = type_in("seedtune review repair runs/one replace --find 'Case 3:' --put 'In case 3,'")
    assert "- 'Case 3: the hold timer" in told
    assert "1 tasks would change; --yes does it" in told
    assert words(runs_dir) == []


def test_whose_name_is_not_given_signs_as_the_user_of_the_machine(page: Page, runs_dir: Path, type_in: Type) -> None:
    assert commands(page, by="grace")["accept"] == f"seedtune review accept {runs_dir.name}/one {FIRST}"
    type_in(f"seedtune review accept runs/one {FIRST} {SECOND}")
    assert words(runs_dir) == [{"id": made, "decision": "accept", "by": "grace"} for made in (FIRST, SECOND)]


def test_rows_are_listed_for_people_and_for_programs(type_in: Type) -> None:
    type_in(f"seedtune review reject runs/one {SECOND}")
    assert f"{SECOND}  kept  rejected  Explain case 1 of" in type_in("seedtune review list runs/one --review reject")
    lines = type_in("seedtune review list runs/one --verdict rejected --reason echo --json").splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["reason"] for row in rows} == {"echo"}
    assert len(rows) == 6
    assert rows[0]["task"]["instruction"] in {one["candidate"]["instruction"] for one in MADE}


def test_counts_and_agreement_are_shown(type_in: Type) -> None:
    for who, verb, name in [("ada", "accept", FIRST), ("bo", "reject", FIRST), ("ada", "reject", SECOND)]:
        type_in(f"seedtune review {verb} runs/one {name} --by {who}")
    type_in(f"seedtune review reject runs/one {SECOND} --by bo")
    shown = type_in("seedtune review show runs/one")
    assert "ada and bo agree on 1 of 2, kappa 0.00" in shown
    counts = dict(line.strip("│ ").split("│") for line in shown.splitlines() if line.startswith("│"))
    assert {name.strip(): count.strip() for name, count in counts.items()} == {
        "kept by the filters": "96",
        "rejected by the filters": "24",
        "open": "118",
        "accepted": "0",
        "rejected": "2",
        "edited": "0",
        "disputed": "1",
    }


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("accept runs/one", ConfigError, "name the tasks by their ids"),
        (f"accept runs/one {FIRST} nobody", RunError, "one: there is no task nobody"),
        ("edit runs/one nobody --output x", RunError, "one: there is no task nobody"),
        (f"edit runs/one {FIRST}", ConfigError, "give the new text"),
        (f"edit runs/one {FIRST} --output ' '", ConfigError, "output: "),
        ("repair runs/one replace --yes", ConfigError, "give the text that is to be replaced"),
        ("list runs/one --low 2", ConfigError, "low: "),
        ("show runs/nowhere", RunError, "runs/nowhere: no generated data are here"),
    ],
)
def test_what_cannot_be_is_said_and_writes_nothing(
    runs_dir: Path, type_in: Type, line: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=f"^{said}"):
        type_in(f"seedtune review {line}")
    assert words(runs_dir) == []


def test_a_broken_journal_is_an_error_with_its_place(runs_dir: Path, type_in: Type) -> None:
    with (runs_dir / "one" / "generate" / "journal.jsonl").open("a") as file:
        file.write('{"event": "committed"}\n')
    with pytest.raises(DataError, match="the line at byte"):
        type_in("seedtune review show runs/one")
