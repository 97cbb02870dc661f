"""truth.json: what was done in a recording, when, and what of it must show. It never looks into the MRT files."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lab.deeds import Effects, Sighting
from lab.numbers import Network
from lab.play import Play
from lab.scenario import Step

FORMAT = 1


def build_truth(play: Play, times: Mapping[str, Sequence[float]], start: float, end: float) -> dict[str, Any]:
    """The content of truth.json.

    Args:
        play: What was acted out.
        times: For each step by id, when each of its moves was made, in seconds since the epoch as in the files.
        start: When the recording begins.
        end: When it ends.
    """
    stage = play.stage
    asns = stage.numbers.asns
    return {
        "format": FORMAT,
        "scenario": play.name,
        "seed": play.seed,
        "split": play.split,
        "title": play.scenario.title,
        "reenactment": play.scenario.reenactment,
        "start": start,
        "end": end,
        "ases": [
            {
                "name": name,
                "asn": asns[name],
                "tier": system.tier,
                "prefixes": _texts(stage.numbers.prefixes[name]),
                "rov": system.rov,
                "daemon": system.daemon,
            }
            for name, system in stage.topology.ases.items()
        ],
        "relationships": [[asns[left], asns[right], kind] for left, right, kind in stage.topology.links()],
        "vrps": [{"prefix": str(vrp.prefix), "max_length": vrp.max_length, "asn": vrp.asn} for vrp in play.vrps],
        "collectors": {
            collector.daemon: {
                "asn": collector.asn,
                "updates": f"{collector.daemon}-updates.mrt.gz",
                "rib": f"{collector.daemon}-rib.mrt.gz",
                "rib_end": f"{collector.daemon}-rib-end.mrt.gz",
                "peers": [{"asn": peer.asn, "addresses": list(peer.addresses)} for peer in collector.peers],
            }
            for collector in play.collectors
        },
        "events": [_event(step, play, times[step.id]) for step in play.steps],
    }


def _event(step: Step, play: Play, times: Sequence[float]) -> dict[str, Any]:
    stage = play.stage
    event: dict[str, Any] = {
        "id": step.id,
        "kind": step.do,
        "class": step.class_,
        "asn": stage.asn(step.by),
        "time": times[0],
        "until": None if step.until is None else times[-1],
        "prefixes": _texts(stage.prefixes(step.prefixes)),
        "victim": None if step.victim is None else stage.asn(step.victim),
        "neighbor": None if step.neighbor is None else stage.asn(step.neighbor),
        "note": step.note,
        "expect": _expectation(play.deeds[step.id].effects),
    }
    if step.do == "flapping":
        event["cycles"] = [list(pair) for pair in zip(times[::2], times[1::2], strict=True)]
    return event


def _expectation(effects: Effects) -> dict[str, Any]:
    return {
        "announced": [_sighting(sighting) for sighting in effects.announced],
        "withdrawn": _texts(effects.withdrawn),
        "announced_after": [_sighting(sighting) for sighting in effects.announced_after],
        "withdrawn_after": _texts(effects.withdrawn_after),
        "peers_down": list(effects.peers_down),
    }


def _sighting(sighting: Sighting) -> dict[str, Any]:
    return {
        "prefix": str(sighting.prefix),
        "origin": sighting.origin,
        "path": list(sighting.path),
        "as_set": list(sighting.as_set),
        "communities": list(sighting.communities),
    }


def _texts(prefixes: Iterable[Network]) -> list[str]:
    return [str(prefix) for prefix in prefixes]
