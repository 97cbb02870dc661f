"""Configurations of BIRD and FRR: the fragments that carry the policy and the misdeeds."""

import dataclasses
import shutil
import subprocess
from ipaddress import ip_network
from pathlib import Path

import pytest
from lab import bird, frr
from lab.speaker import Leak, Neighbor, Origination, Prepend, Speaker, Vrp

UPSTREAM = Neighbor("north", 64500, "provider", ("100.64.0.1", "fd00::1"))
PEER = Neighbor("east", 64501, "peer", ("100.64.0.2", "fd00::2"))
CLIENT = Neighbor("cafe", 4_200_000_001, "customer", ("100.64.0.3", "fd00::3"))
COLLECTOR = Neighbor("collector-bird", 64502, "collector", ("100.64.0.4", "fd00::4"))
PREFIX, PREFIX6 = ip_network("10.1.0.0/22"), ip_network("2001:db8:1::/48")
SPEAKER = Speaker(
    name="mill",
    asn=64510,
    daemon="bird",
    addresses=("100.64.0.9", "fd00::9"),
    neighbors=(UPSTREAM, PEER, CLIENT, COLLECTOR),
    origins=(Origination(PREFIX), Origination(PREFIX6)),
)


def sections(text: str) -> dict[str, str]:
    """The protocols and functions of a bird.conf by their first line."""
    found: dict[str, str] = {}
    for part in text.split("\n}\n"):
        lines = part.strip().splitlines()
        start = next((number for number, line in enumerate(lines) if line.endswith("{")), None)
        if start is not None:
            found[lines[start].removesuffix(" {")] = "\n".join(lines[start + 1 :])
    return found


def rendered(**changes: object) -> dict[str, str]:
    return sections(bird.render_speaker(dataclasses.replace(SPEAKER, **changes), "/lab/mill"))  # pyright: ignore[reportArgumentType]


def test_a_session_with_a_provider() -> None:
    assert rendered()["protocol bgp north_v4"] == (
        "  local 100.64.0.9 as 64510;\n"
        "  neighbor 100.64.0.1 as 64500;\n"
        "  connect delay time 1; connect retry time 2; error wait time 1, 2; startup hold time 30; hold time 90;\n"
        "  ipv4 {\n"
        "    next hop self;\n"
        "    import where admit(3);\n"
        "    export filter {\n"
        "      if own_or_customers() then accept;\n"
        "      reject;\n"
        "    };\n"
        "  };"
    )


def test_ipv6_has_a_session_of_its_own() -> None:
    session = rendered()["protocol bgp cafe_v6"]
    assert "local fd00::9 as 64510;\n  neighbor fd00::3 as 4200000001;" in session
    assert "  ipv6 {" in session


@pytest.mark.parametrize(
    ("protocol", "kind", "export"),
    [
        ("north_v4", "where admit(3)", "if own_or_customers() then accept;"),
        ("east_v4", "where admit(2)", "if own_or_customers() then accept;"),
        ("cafe_v4", "where admit(1)", "if source = RTS_STATIC || !too_specific() then accept;"),
        ("collector_bird_v4", "none", "export filter {\n      accept;\n    };"),
    ],
)
def test_policy_follows_the_kind_of_neighbor(protocol: str, kind: str, export: str) -> None:
    session = rendered()[f"protocol bgp {protocol}"]
    assert f"import {kind};" in session
    assert export in session


def test_a_number_of_two_bytes_marks_with_standard_communities() -> None:
    admit = rendered()["function admit(int kind)"]
    assert "bgp_community.delete([(64510, *)]);\n  bgp_community.add((64510, 1000 * kind));" in admit
    assert "(64510, 1000) ~ bgp_community" in rendered()["function own_or_customers()"]


def test_a_number_of_four_bytes_marks_with_large_communities() -> None:
    admit = rendered(asn=4_200_000_009)["function admit(int kind)"]
    assert "bgp_large_community.add((4200000009, 1, kind));" in admit


def test_only_who_validates_has_roa_tables() -> None:
    assert "roa_check" not in bird.render_speaker(SPEAKER, "/lab/mill")
    text = bird.render_speaker(dataclasses.replace(SPEAKER, vrps=(Vrp(PREFIX, 24, 64510),)), "/lab/mill")
    assert "roa4 { table vrps4; };\n  route 10.1.0.0/22 max 24 as 64510;" in text
    assert "roa_check(vrps4, net, bgp_path.last) = ROA_INVALID then return false" in text


def test_a_forged_path_and_a_community_stand_in_the_route() -> None:
    route = Origination(PREFIX, path=(64505, 64506), communities=("65535:666",))
    assert rendered(origins=(route,))["protocol static own4"] == (
        "  ipv4;\n"
        "  route 10.1.0.0/22 blackhole "
        "{ bgp_path.prepend(64506); bgp_path.prepend(64505); bgp_community.add((65535, 666)); };"
    )


def test_prepending_to_all_stands_in_the_route() -> None:
    """On export it would make BIRD send every route again."""
    found = rendered(prepends=(Prepend(PREFIX, 2, None),))
    assert "{ bgp_path.prepend(64510); bgp_path.prepend(64510); };" in found["protocol static own4"]
    assert "prepend" not in found["protocol bgp north_v4"]


def test_prepending_to_one_neighbor_stands_in_its_session_alone() -> None:
    found = rendered(prepends=(Prepend(PREFIX, 1, "north"),))
    rule = "if source = RTS_STATIC && net = 10.1.0.0/22 then { bgp_path.prepend(64510); }"
    assert [name for name, text in found.items() if rule in text] == ["protocol bgp north_v4"]


def test_a_leak_goes_to_one_neighbor_before_the_policy() -> None:
    found = rendered(leaks=(Leak(64500, "east"),))
    leak = "      if bgp_path.first = 64500 then accept;\n      if own_or_customers() then accept;"
    assert [name for name, text in found.items() if leak in text] == ["protocol bgp east_v4", "protocol bgp east_v6"]


def test_a_link_that_is_down_is_disabled() -> None:
    found = rendered(down=frozenset({"north"}))
    assert [name for name, text in found.items() if "disabled yes;" in text] == [
        "protocol bgp north_v4",
        "protocol bgp north_v6",
    ]


def test_the_collector_takes_all_sends_nothing_and_writes_messages_and_states() -> None:
    text = bird.render_collector(64502, ("100.64.0.4", "fd00::4"), [PEER], "/lab/c")
    assert 'mrtdump "/lab/c/updates.mrt";' in text
    session = sections(text)["protocol bgp east_v6"]
    assert "mrtdump { states, messages };\n  ipv6 { import all; export none; };" in session


@pytest.mark.skipif(shutil.which("bird") is None, reason="bird is not installed")
def test_bird_accepts_the_configurations(tmp_path: Path) -> None:
    speaker = dataclasses.replace(
        SPEAKER,
        asn=4_200_000_009,
        origins=(Origination(PREFIX, (64505,), ("65535:666",)), Origination(PREFIX6)),
        prepends=(Prepend(PREFIX, 1, "north"), Prepend(PREFIX6, 2, None)),
        leaks=(Leak(64500, "east"),),
        vrps=(Vrp(PREFIX, 24, 64510), Vrp(PREFIX6, 48, 64510)),
        down=frozenset({"cafe"}),
    )
    for text in (
        bird.render_speaker(speaker, str(tmp_path)),
        bird.render_collector(64502, ("100.64.0.4", "fd00::4"), [PEER, CLIENT], str(tmp_path)),
    ):
        config = tmp_path / "bird.conf"
        config.write_text(text)
        done = subprocess.run(["bird", "-p", "-c", config], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_frr_says_the_same_policy() -> None:
    text = frr.render_speaker(SPEAKER)
    assert "  network 10.1.0.0/22 route-map own\n" in text
    assert "  neighbor fd00::1 route-map to-provider out\n" in text
    assert "route-map to-provider permit 10\n match large-community exportable\nexit\n" in text
    assert "route-map to-customer permit 10\nexit\n" in text
    assert " set local-preference 300\n" in text.split("route-map from-customer permit 10\n")[1].split("exit")[0]


def test_frr_turns_an_aggregate_on_and_off() -> None:
    block = ip_network("10.1.0.0/18")
    aggregating = dataclasses.replace(SPEAKER, aggregates=(block,))
    command = "aggregate-address 10.1.0.0/18 as-set summary-only route-map own"
    head = ["configure terminal", "router bgp 64510", "address-family ipv4 unicast"]
    assert frr.commands(SPEAKER, aggregating) == [*head, command, "exit-address-family"]
    assert frr.commands(aggregating, SPEAKER) == [*head, f"no {command}", "exit-address-family"]


def test_frr_refuses_other_changes() -> None:
    with pytest.raises(ValueError, match="mill: an FRR speaker can change its aggregates only"):
        frr.commands(SPEAKER, dataclasses.replace(SPEAKER, origins=()))
