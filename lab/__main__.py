"""``python -m lab [SCENARIO ...]``: act out scenarios, all of them by default, with each seed, some at a time."""

import argparse
import logging
import os
import shutil
import signal
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from lab.namespaces import LabError
from lab.numbers import SEEDS
from lab.play import Play, write_play
from lab.run import BGPD, BIRD, VTYSH, ZEBRA, record
from lab.scenario import load_scenarios
from lab.topology import load_topology

logger = logging.getLogger("lab")

RECORDINGS = Path(__file__).parent.parent / "src" / "seedtune" / "domains" / "bgp" / "recordings"


def main() -> int:
    """Read the command line and make the recordings; returns 0 if all were made, 130 after Ctrl-C, else 1."""
    scenarios = load_scenarios()
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="names, such as 01-origin-hijack")
    parser.add_argument("--seed", action="append", choices=SEEDS, help="only this seed; may be repeated")
    # The kernel's table of neighbors is one for all namespaces and has room for about eleven networks of this size.
    parser.add_argument("--jobs", type=int, default=5, choices=range(1, 9), help="how many at a time (default 5)")
    parser.add_argument("--into", type=Path, default=RECORDINGS, help="folder of the recordings")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - scenarios.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(scenarios)}")
    if lacking := _lacking() or _unwritable(options.into):
        parser.error(lacking)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    topology = load_topology()
    plays = [
        write_play(name, scenarios[name], topology, seed)
        for name in options.scenarios or scenarios
        for seed in options.seed or SEEDS
    ]
    return _record_all(plays, options.into, options.jobs)


def _lacking() -> str | None:
    if os.geteuid():
        return "the laboratory makes network namespaces: run it as root"
    missing = [program for program in ("ip", BIRD, ZEBRA, BGPD, VTYSH) if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)} (Debian: iproute2, bird2, frr)" if missing else None


def _unwritable(folder: Path) -> str | None:
    """Make the folder of the recordings and try it: a scenario takes minutes, and its files come last."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"cannot write into {folder}: {error.strerror}; give another folder with --into"
    return None


def _record_all(plays: list[Play], folder: Path, jobs: int) -> int:
    stop = threading.Event()

    def give_up(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, give_up)
    signal.signal(signal.SIGTERM, give_up)
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future[None], Play] = {
            pool.submit(_record_one, play, folder / play.name / play.seed, stop): play for play in plays
        }
        for future, play in running.items():
            try:
                future.result()
            except (LabError, OSError) as error:
                failed += 1
                if not stop.is_set():
                    logger.error("%s %s failed: %s", play.name, play.seed, error)
    return 130 if stop.is_set() else int(failed > 0)


def _record_one(play: Play, target: Path, stop: threading.Event) -> None:
    if stop.is_set():
        raise LabError("interrupted")
    record(play, target, stop)
    logger.info("%s %s", play.name, play.seed)


if __name__ == "__main__":
    raise SystemExit(main())
