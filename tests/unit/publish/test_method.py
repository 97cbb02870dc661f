"""The card says of each mode what the journal says was sent."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from generation import KEY, BySeed, events, lines
from seedtune import runs
from seedtune.config import Config
from seedtune.domains import Domain, load_domain
from seedtune.generate.stage import run_generate
from seedtune.publish import write_dataset_card

Row = dict[str, Any]
OWN: Row = {"seeds_per_request": 2, "tasks_per_request": 3, "rouge_threshold": 0.5, "min_words": 2, "max_words": 60}
"""Settings that some modes do not take."""
SAMPLING: Row = {"temperature": 0.3, "top_p": 0.9, "max_tokens": 900}
MODES = [(mode, fidelity) for mode in ("alpaca", "classic") for fidelity in ("fixed", "strict")]


class Made(NamedTuple):
    """A run of one mode."""

    said: dict[str, str]
    """The table of the card."""
    folder: Path
    domain: Domain
    is_strict: bool

    def sent(self) -> dict[str, list[Row]]:
        """The requests of each step."""
        steps: dict[str, list[Row]] = {}
        for event in events(self.folder, "sent"):
            steps.setdefault(event["request"].get("step", "tasks"), []).append(event["request"])
        return steps


@pytest.fixture(params=MODES, ids=" ".join)
def made(request: pytest.FixtureRequest, tmp_path: Path, domain_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    mode, fidelity = request.param
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with BySeed() as server:
        teacher = {"type": "openai", "model": "fake", "base_url": server.url, "sampling": SAMPLING}
        generate = {"mode": mode, "fidelity": fidelity, "num_instructions": 6, "teacher": teacher, "judge": {}, **OWN}
        tree = {"name": "run", "domain": str(domain_folder), "runs_dir": tmp_path / "runs", "generate": generate}
        config = Config.model_validate(tree)
        domain = load_domain(config.domain)
        with runs.open_run(config) as run:
            run_generate(run, domain)
            card = write_dataset_card(run, domain).read_text(encoding="utf-8")
    table = card.partition("## How it was made")[2].partition("The columns")[0]
    cells = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if " | " in line]
    said = {cell[0]: cell[1] for cell in cells if len(cell) == 2}
    return Made(said, config.run_dir / "generate", domain, fidelity == "strict")


def test_the_card_names_the_decoding_that_was_sent(made: Made) -> None:
    steps = made.sent()
    names = {"judgement": "judgements"}
    assert {f"decoding of {names.get(step, step)}" for step in steps} == {
        key for key in made.said if key.startswith("decoding")
    }
    for step, requests in steps.items():
        for request in requests:
            own = SAMPLING | {key: value for key, value in (request.get("decoding") or {}).items() if value is not None}
            words = [f"temperature {own['temperature']:g}", f"top-p {own['top_p']:g}"]
            words += [f"presence penalty {own['presence_penalty']:g}"] if "presence_penalty" in own else []
            words.append(f"at most {own['max_tokens']} tokens")
            stops = [json.dumps(stop) for stop in own.get("stop", ())]
            words += [f"ends before {' or '.join(stops)}"] if stops else []
            assert made.said[f"decoding of {names.get(step, step)}"] == ", ".join(words)


def test_the_card_names_how_much_a_request_shows(made: Made) -> None:
    steps = made.sent()
    if "tasks" in steps:
        shown = {len(request["parents"]) for request in steps["tasks"]}
        assert made.said["shown in each request"] in (f"{max(shown)} seed tasks", f"up to {max(shown)} seed tasks")
    else:
        shown = {len(request["parents"]) for request in steps["instructions"]}
        words = made.said["shown to ask for instructions"]
        assert words.endswith("instructions, at most 2 of them written by the teacher")
        assert max(shown) == int(words.removeprefix("up to ").split()[0]) or words.startswith("up to 8 ")


def test_the_card_names_how_much_a_request_asks_for(made: Made) -> None:
    begun = next(requests for step, requests in made.sent().items() if step in ("tasks", "instructions"))
    [asked] = {int(text.split()[0]) for key, text in made.said.items() if "asked for in each request" in key}
    if made.is_strict:
        # A list of 20 that begins with three seeds; a list of 8 that goes on to its end at 16.
        assert asked == {3: 17, 8: 8}.get(len(begun[0]["parents"]), 8)
    else:
        assert asked == OWN["tasks_per_request"]
        assert all(re.search(rf"\b{asked}\b", request["messages"][-1]["content"]) for request in begun)


def test_seed_tasks_are_named_with_instances_only_where_they_are_shown(made: Made) -> None:
    texts = [message["content"] for r in made.sent().get("instances", ()) for message in r["messages"]]
    seeds = [seed.instruction for pack in made.domain.packs.values() for seed in pack.seeds]
    shown = any(seed in text for seed in seeds for text in texts)
    assert ("seed tasks" in made.said.get("shown to ask for instances", "")) == shown


def test_the_card_names_the_bounds_that_decided(made: Made) -> None:
    least, most = (int(word) for word in made.said["length of an instruction"].split() if word.isdigit())
    alike = float(made.said["rejected as a duplicate"].split()[3])
    assert (least, most, alike) == ((4, 150, 0.7) if made.is_strict else (2, 60, 0.5))
    kept = lines(made.folder / "instructions.jsonl")
    assert max(line["similarity"] for line in kept) <= alike
    assert all(least <= len(line["instruction"].split()) <= most for line in kept)
