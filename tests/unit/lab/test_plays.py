"""Scenario files become plays: numbers from the split's pools, references resolved, steps checked."""

import random
from ipaddress import ip_network
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from lab.numbers import POOLS, SEEDS, draw_numbers, split_of
from lab.play import Play, write_play
from lab.scenario import Scenario, load_scenarios
from lab.stage import Stage
from lab.topology import Topology, load_topology
from lab.truth import build_truth

TOPOLOGY = load_topology()
SCENARIOS = load_scenarios()


def play_of(step: dict[str, object], **rest: object) -> Play:
    base: dict[str, object] = {"title": "A test.", "cast": [{"actor": "mill"}], "length": 30, "noise": 0}
    full = {"id": "it", "at": 5, "by": "actor", "class": "benign"} | step
    return write_play("test", Scenario.model_validate(base | rest | {"steps": [full]}), TOPOLOGY, "train-1")


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_scenario_can_be_played_and_is_the_same_each_time(name: str, seed: str) -> None:
    first, second = (write_play(name, SCENARIOS[name], TOPOLOGY, seed) for _ in range(2))
    assert first.steps == second.steps
    assert first.stage.numbers == second.stage.numbers
    assert all(1 <= move.at <= first.scenario.length for move in first.moves)


@pytest.mark.parametrize("seed", ["train-1", "dev-1", "test-1"])
def test_numbers_come_from_the_pools_of_the_split(seed: str) -> None:
    pool = POOLS[split_of(seed)]
    numbers = draw_numbers(TOPOLOGY, random.Random(seed), split_of(seed))
    assert all(any(asn in part for part in pool.asns) for asn in numbers.asns.values())
    assert len(set(numbers.asns.values())) == len(numbers.asns)
    parents = [ip_network(text) for text in (*pool.v4, pool.v6)]
    for prefixes in numbers.prefixes.values():
        for prefix in prefixes:
            assert any(prefix.version == parent.version and prefix.subnet_of(parent) for parent in parents)  # pyright: ignore[reportArgumentType]


def test_pools_of_the_splits_are_disjoint() -> None:
    for one, other in combinations(POOLS.values(), 2):
        assert not {*map(ip_network, (*one.v4, one.v6, one.lan4, one.lan6))} & {
            *map(ip_network, (*other.v4, other.v6, other.lan4, other.lan6))
        }
        for left in map(ip_network, (*one.v4, one.v6, one.lan4, one.lan6)):
            for right in map(ip_network, (*other.v4, other.v6, other.lan4, other.lan6)):
                assert left.version != right.version or not left.overlaps(right)
        assert all(not set(left) & set(right) for left in one.asns[:3] for right in other.asns[:3])
        assert one.asns[3].stop <= other.asns[3].start or other.asns[3].stop <= one.asns[3].start


def test_prefixes_of_ases_do_not_overlap() -> None:
    for number in range(20):
        numbers = draw_numbers(TOPOLOGY, random.Random(number), "dev")
        prefixes = [prefix for name in TOPOLOGY.ases for prefix in numbers.prefixes[name]]
        assert not [pair for pair in combinations(prefixes, 2) if _overlap(*pair)]


def _overlap(left: object, right: object) -> bool:
    return left.version == right.version and left.overlaps(right)  # pyright: ignore[reportAttributeAccessIssue]


def test_members_of_a_block_lie_inside_it() -> None:
    numbers = draw_numbers(TOPOLOGY, random.Random(1), "test")
    blocks = {block.version: block for block in numbers.prefixes["metro-block"]}
    for name in ("metro", "cafe", "kiosk"):
        assert all(prefix.subnet_of(blocks[prefix.version]) for prefix in numbers.prefixes[name])  # pyright: ignore[reportArgumentType]


def test_references_to_prefixes() -> None:
    numbers = draw_numbers(TOPOLOGY, random.Random(1), "train")
    stage = Stage(TOPOLOGY, numbers, {"victim": "video"})
    own = numbers.prefixes["video"]
    assert stage.prefixes(["victim"]) == own
    assert stage.prefixes(["video.v6"]) == own[3:]
    assert stage.prefixes(["victim.v4.1"]) == own[1:2]
    assert stage.prefixes(["victim.v4.0/24+3"]) == (list(own[0].subnets(new_prefix=24))[3],)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("nobody", "neither a role of the scenario nor an AS"),
        ("video.v4.9", "no such prefix"),
        ("video.v4.0/24+4", "has no /24 number 4"),
        ("video.v4.0/8", "has no /8"),
        ("video v4", "the form is shop, shop.v4"),
    ],
)
def test_a_wrong_reference_is_named(reference: str, problem: str) -> None:
    stage = Stage(TOPOLOGY, draw_numbers(TOPOLOGY, random.Random(1), "train"), {})
    with pytest.raises(ValueError, match=problem):
        stage.prefixes([reference])


@pytest.mark.parametrize(
    ("step", "key"),
    [
        ({"do": "announce"}, "prefixes"),
        ({"do": "prepend", "prefixes": ["mill"]}, "times"),
        ({"do": "flapping", "prefixes": ["mill"]}, "cycles"),
        ({"do": "route-leak"}, "source"),
        ({"do": "link-failure"}, "neighbor"),
        ({"do": "session-reset"}, "collector"),
        ({"do": "transfer", "prefixes": ["shop"]}, "victim"),
    ],
)
def test_a_step_that_lacks_something_is_named(step: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=rf"scenario test, seed train-1: step it \(.*\): it needs .*'{key}'"):
        play_of(step)


def test_flapping_ends_announced_and_has_a_cycle_for_each_withdrawal() -> None:
    play = play_of({"do": "flapping", "prefixes": ["mill.v4.0"], "cycles": 3, "until": 15})
    speaker = play.speakers["mill"]
    prefix = play.stage.numbers.prefixes["mill"][0]
    held: list[bool] = []
    for move in play.moves:
        assert move.change is not None
        speaker = move.change(speaker)
        held.append(any(route.prefix == prefix for route in speaker.origins))
    assert held == [False, True] * 3
    truth = build_truth(play, {"it": [move.at for move in play.moves]}, 0.0, 30.0)
    assert len(truth["events"][0]["cycles"]) == 3
    assert truth["events"][0]["until"] == play.moves[-1].at


def test_undoing_a_hijack_leaves_the_speaker_as_it_was() -> None:
    play = play_of({"do": "origin-hijack", "prefixes": ["shop.v4.0"], "victim": "shop", "until": 20})
    speaker = before = play.speakers["mill"]
    for move in play.moves:
        assert move.change is not None
        speaker = move.change(speaker)
    assert speaker == before


def test_a_withdrawal_is_expected_after_a_subprefix_hijack_and_not_after_one_of_the_same_prefix() -> None:
    same = play_of({"do": "origin-hijack", "prefixes": ["shop.v4.0"], "until": 20})
    more = play_of({"do": "subprefix-hijack", "prefixes": ["shop.v4.0/24"], "until": 20})
    assert same.deeds["it"].effects.withdrawn_after == ()
    assert [prefix.prefixlen for prefix in more.deeds["it"].effects.withdrawn_after] == [24]


def test_roas_of_a_scenario_are_added_and_revoked() -> None:
    step: dict[str, object] = {"do": "announce", "prefixes": ["shop.v4.0/24"]}
    plain = play_of(step)
    changed = play_of(step, revoked=["shop"], roas=[{"prefix": "shop.v4.0", "asn": "actor", "max_length": 24}])
    shop, mill = (plain.stage.numbers.asns[name] for name in ("shop", "mill"))
    assert shop in {vrp.asn for vrp in plain.vrps}
    assert shop not in {vrp.asn for vrp in changed.vrps}
    assert [(vrp.max_length) for vrp in changed.vrps if vrp.asn == mill] == [24]


def test_a_timeline_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="'at' comes before 'until', and both within 30 s"):
        play_of({"do": "withdraw", "prefixes": ["mill"], "at": 9, "until": 8})


def test_an_unknown_key_of_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="prefix\n"):
        play_of({"do": "withdraw", "prefix": ["mill"]})


def test_a_link_to_an_unknown_as_is_refused(tmp_path: Path) -> None:
    text = (Path(load_topology.__code__.co_filename).parent / "topology.yaml").read_text()
    tree = yaml.safe_load(text)
    tree["peering"].append(["alpha", "omega"])
    with pytest.raises(ValueError, match="ASes that are not under 'ases': omega"):
        Topology.model_validate(tree)


def test_every_kind_of_neighbor_is_known_from_both_ends() -> None:
    assert TOPOLOGY.neighbors("city")["north"] == "provider"
    assert TOPOLOGY.neighbors("north")["city"] == "customer"
    assert TOPOLOGY.neighbors("north")["south"] == "peer" == TOPOLOGY.neighbors("south")["north"]
    assert TOPOLOGY.neighbors("west")["collector-bird"] == "collector"
