"""truth.json has the form that docs/lab.md describes, and the page tells of every scenario."""

import json
import re
from pathlib import Path
from typing import Literal, get_args

import pytest
from lab.play import write_play
from lab.scenario import Class, Kind, load_scenarios
from lab.topology import load_topology
from lab.truth import build_truth
from pydantic import BaseModel, ConfigDict, Field

from conftest import ROOT

PAGE = (ROOT / "docs" / "lab.md").read_text()
SCENARIOS = load_scenarios()
FOLDERS = sorted(path.parent for path in (ROOT / "src/seedtune/domains/bgp/recordings").glob("*/*/truth.json"))


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class System(Form):
    name: str
    asn: int
    tier: Literal[1, 2, 3]
    prefixes: list[str]
    rov: bool
    daemon: Literal["bird", "frr"]


class Roa(Form):
    prefix: str
    max_length: int
    asn: int


class Peer(Form):
    asn: int
    addresses: list[str]


class Collector(Form):
    asn: int
    updates: str
    rib: str
    rib_end: str
    peers: list[Peer]


class Sighting(Form):
    prefix: str
    origin: int | None
    path: list[int]
    as_set: list[int]
    communities: list[str]


class Expectation(Form):
    announced: list[Sighting]
    withdrawn: list[str]
    announced_after: list[Sighting]
    withdrawn_after: list[str]
    peers_down: list[int]


class Event(Form):
    id: str
    kind: Kind
    class_: Class = Field(alias="class")
    asn: int
    time: float
    until: float | None
    prefixes: list[str]
    victim: int | None
    neighbor: int | None
    note: str
    cycles: list[list[float]] | None = None
    expect: Expectation


class Truth(Form):
    format: Literal[1]
    scenario: str
    seed: str
    split: Literal["train", "dev", "test"]
    title: str
    reenactment: str | None
    start: float
    end: float
    ases: list[System]
    relationships: list[list[int]]
    vrps: list[Roa]
    collectors: dict[Literal["bird", "frr"], Collector]
    events: list[Event]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recording_has_the_documented_form(folder: Path) -> None:
    truth = Truth.model_validate_json((folder / "truth.json").read_text())
    assert (truth.scenario, truth.seed) == (folder.parent.name, folder.name)
    assert truth.title == SCENARIOS[truth.scenario].title
    assert [event.time for event in truth.events] == sorted(event.time for event in truth.events)
    for event in truth.events:
        assert truth.start < event.time < (event.until or truth.end) <= truth.end
        assert (event.cycles is not None) == (event.kind == "flapping")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recording_is_of_the_scenario_as_it_is_now(folder: Path) -> None:
    """Whoever changes a scenario, the topology or the numbers has to run the laboratory again."""
    kept = json.loads((folder / "truth.json").read_text())
    play = write_play(folder.parent.name, SCENARIOS[folder.parent.name], load_topology(), folder.name)
    times = {step.id: [play.stage.numbers.start + move.at for move in play.deeds[step.id].moves] for step in play.steps}
    now = build_truth(play, times, float(play.stage.numbers.start), play.stage.numbers.start + play.scenario.length)
    for event, planned in zip(kept["events"], now["events"], strict=True):
        assert event["time"] == pytest.approx(planned["time"], abs=2)
        for key in ("time", "until", "cycles"):
            event[key] = planned.get(key)
            planned[key] = planned.get(key)
    assert kept == now


@pytest.mark.parametrize("model", [Truth, System, Roa, Collector, Event, Sighting, Expectation])
def test_every_key_is_documented(model: type[Form]) -> None:
    for name, field in model.model_fields.items():
        assert f"`{field.alias or name}`" in PAGE


def test_every_kind_and_class_is_documented() -> None:
    assert all(f"`{word}`" in PAGE for word in (*get_args(Kind), *get_args(Class)))


def test_the_page_lists_the_scenarios() -> None:
    rows = re.findall(r"^\| `(\d\d-[a-z0-9-]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, scenario.title.rstrip(".")) for name, scenario in SCENARIOS.items()]
