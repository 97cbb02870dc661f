"""How fast MRT files are read, beside what a user would pick instead, and how much memory a long stream takes.

Usage: python benchmarks/bench_mrt.py [ROUNDS]. Needs the files named by SEEDTUNE_MRT_FIXTURES (default: ../shared/mrt
beside the checkout). Prints Markdown tables.

Every measurement is a fresh process, so that no cache is warm; rounds are interleaved and the median counts. Seconds
are those of the process itself (user and system), so that other work on the machine counts little; imports are left
out. A rival that is not installed is named and left out.
"""

import bz2
import gzip
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FIXTURES = Path(os.environ.get("SEEDTUNE_MRT_FIXTURES") or ROOT.parent / "shared" / "mrt")
UPDATES = FIXTURES / "bgpdump" / "updates.20160811.1600.gz"
RIB = FIXTURES / "pyasn" / "rib.20140523.0600_firstMB.bz2"
SANDBOXED = ROOT / "src" / "seedtune" / "domains" / "bgp" / "sandboxed"

PREFIX_FILTER = "prefix more 103.0.0.0/8"
PATH_FILTER = "path _3356_"


def decoder(path: str) -> Callable[[], int]:
    from pybgpstream._mrt import MrtFile

    def read() -> int:
        count = 0
        for record in MrtFile(path):
            for element in record.elements():
                _ = (element.prefix, element.as_path, element.communities, element.next_hop)
                count += 1
        return count

    return read


def stream(path: str, terms: str | None = None) -> Callable[[], int]:
    import pybgpstream

    def read() -> int:
        source = pybgpstream.BGPStream(data_interface="singlefile", **({"filter": terms} if terms else {}))
        source.set_data_interface_option("singlefile", "upd-file", path)
        count = 0
        for element in source:
            _ = element.fields
            count += 1
        return count

    return read


def ftlbgp(path: str) -> Callable[[], int]:
    from ftlbgp import BgpParser

    def read() -> int:
        with BgpParser() as parse:
            return sum(1 for _ in parse(path))

    return read


def mrtparse(path: str) -> Callable[[], int]:
    from mrtparse import Reader

    def read() -> int:
        return sum(1 for record in Reader(path) for _ in routes(record.data))

    return read


def routes(record: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """What the others give as elements, from mrtparse's tree of a BGP4MP record: the loop that its user writes."""
    message = record.get("bgp_message")
    if message is None:
        yield record.get("old_state"), record.get("new_state")
        return
    values = {code: part["value"] for part in message.get("path_attributes", ()) for code in part["type"]}
    hops = [" ".join(part["value"]) for part in values.get(2, ())]
    path, communities, reach = " ".join(hops), set(values.get(8, ())), values.get(14, {})
    for route in message.get("withdrawn_routes", []) + values.get(15, {}).get("withdrawn_routes", []):
        yield "W", f"{route['prefix']}/{route['length']}"
    for routes, next_hop in ((message.get("nlri", []), values.get(3)), (reach.get("nlri", []), reach.get("next_hop"))):
        for route in routes:
            yield "A", f"{route['prefix']}/{route['length']}", path, communities, next_hop


CONTENDERS: dict[str, Callable[[str], Callable[[], int]]] = {
    "decoder": decoder,
    "stream": stream,
    "prefix": lambda path: stream(path, PREFIX_FILTER),
    "path": lambda path: stream(path, PATH_FILTER),
    "ftlbgp": ftlbgp,
    "mrtparse": mrtparse,
}


def measure(name: str, path: str) -> None:
    """The child's part: one contender reads one file."""
    sys.path.insert(0, str(SANDBOXED))
    read = CONTENDERS[name](path)
    start = time.process_time()
    count = read()
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"count": count, "seconds": seconds, "peak_mb": peak}))


def child(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name, str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def medians(names: list[str], path: Path, rounds: int) -> dict[str, float]:
    """CPU seconds by contender."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            seconds[name].append(child(name, path)["seconds"])
    return {name: statistics.median(values) for name, values in seconds.items()}


def busy_updates(folder: Path) -> Path:
    """Real updates of four collectors after each other, six times over: about what a busy one sends in 15 minutes."""
    parts = ["bgpdump/updates.20160811.1600.gz", "bgpdump/updates.20070211.0141.gz", "bgpdump/updates.20100722.2015.gz"]
    data = b"".join(gzip.decompress((FIXTURES / part).read_bytes()) for part in parts)
    data += bz2.decompress((FIXTURES / "os-ken/updates.20161101.0000.bz2").read_bytes())
    path = folder / "busy"
    path.write_bytes(data * 6)
    return path


def rows(file: str, path: Path, names: list[str], rounds: int) -> list[tuple[str, str, str, str]]:
    """Lines of the table for one file: what is compared, elements a second, ratio, goal."""
    count = child("decoder", path)["count"]
    seconds = medians(names, path, rounds)
    pairs = [
        ("decoder, all four values", "decoder", "ftlbgp 1.0.5", "ftlbgp", "1.0"),
        ("BGPStream, `.fields` read", "stream", "ftlbgp 1.0.5", "ftlbgp", "0.5"),
        ("BGPStream, `.fields` read", "stream", "mrtparse, a loop over its records", "mrtparse", "5"),
        (f"BGPStream, `{PREFIX_FILTER}`", "prefix", "BGPStream unfiltered", "stream", "1.5"),
        (f"BGPStream, `{PATH_FILTER}`", "path", "BGPStream unfiltered", "stream", "1.5"),
    ]
    lines: list[tuple[str, str, str, str]] = []
    for ours, our_name, theirs, their_name, goal in pairs:
        if our_name in seconds and their_name in seconds:
            ratio = seconds[their_name] / seconds[our_name]
            rates = f"{count / seconds[our_name]:,.0f} / {count / seconds[their_name]:,.0f}"
            lines.append((f"{file}: {ours} / {theirs}", rates, f"{ratio:.2f}", goal))
    return lines


def main(rounds: int) -> None:
    if not FIXTURES.is_dir():
        raise SystemExit(f"no folder {FIXTURES}: set SEEDTUNE_MRT_FIXTURES")
    rivals = [name for name in ("ftlbgp", "mrtparse") if importlib.util.find_spec(name)]
    for name in {"ftlbgp", "mrtparse"} - set(rivals):
        print(f"{name} is not installed: left out.")
    print(f"Python {sys.version.split()[0]}, median of {rounds} rounds, elements of the file per CPU second.\n")
    print("| compared | elements/s | ratio | goal |\n| --- | ---: | ---: | ---: |")
    ours = ["decoder", "stream", "prefix", "path"]
    with tempfile.TemporaryDirectory() as folder:
        busy = busy_updates(Path(folder))
        for file, path, names in (
            ("5 minutes", UPDATES, [*ours, *rivals]),
            ("busy 15 minutes", busy, [*ours, *rivals]),
            ("RIB", RIB, ["decoder", "stream", *(name for name in rivals if name == "ftlbgp")]),
        ):
            for line in rows(file, path, names, rounds):
                print(f"| {' | '.join(line)} |", flush=True)
        result = child("stream", busy)
    print(
        f"\nPeak memory of BGPStream over {result['count']:,} elements: {result['peak_mb']:.0f} MB (goal: under 200)."
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
