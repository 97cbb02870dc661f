"""Acts out a play: daemons up, tables converged, the timeline, then the recordings and the truth into their folder."""

import json
import math
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import bird, frr
from lab.deeds import Move
from lab.mrt_shift import pack, shift
from lab.namespaces import LabError, Lan, lan
from lab.play import Collector, Play
from lab.speaker import Speaker
from lab.topology import Daemon
from lab.truth import build_truth

BIRD, BIRDC, VTYSH = "/usr/sbin/bird", "/usr/sbin/birdc", "/usr/bin/vtysh"
ZEBRA, BGPD = "/usr/lib/frr/zebra", "/usr/lib/frr/bgpd"

_CONVERGENCE_S = 60.0
_FRR_HEAD_START_S = 3.0
_QUIET_S = 3.0
_SETTLE_S = 4.0
"""After the last second of the scenario, so long until the final tables are written."""


@dataclass
class Session:
    """A play that runs.

    Attributes:
        play: What is acted out.
        network: Its namespaces.
        folder: Where the daemons keep their files, a folder for each.
        stop: Set when the laboratory is to give up.
        speakers: The ASes as they are now.
    """

    play: Play
    network: Lan
    folder: Path
    stop: threading.Event
    speakers: dict[str, Speaker] = field(init=False)

    def __post_init__(self) -> None:
        self.speakers = dict(self.play.speakers)

    def home(self, name: str) -> Path:
        """The folder of a daemon."""
        return self.folder / name

    def wait(self, seconds: float) -> None:
        """Wait; whoever sets ``stop`` ends it.

        Raises:
            LabError: The laboratory gives up, or a daemon ended.
        """
        if self.stop.wait(max(seconds, 0)):
            raise LabError("interrupted")
        self.network.check()


def record(play: Play, target: Path, stop: threading.Event) -> None:
    """Act out a play and leave its files in ``target``.

    Raises:
        LabError: A daemon failed, the tables did not converge, or ``stop`` was set.
    """
    addresses = dict(play.stage.numbers.addresses)
    with (
        tempfile.TemporaryDirectory(prefix="lab-") as folder,
        lan({name: (f"{v4}/24", f"{v6}/64") for name, (v4, v6) in addresses.items()}) as network,
    ):
        session = Session(play, network, Path(folder), stop)
        _start(session)
        _converge(session)
        for collector in play.collectors:
            _dump_table(session, collector, "rib")
        begin = math.ceil(time.time()) + 1
        times = _act(session, begin)
        session.wait(begin + play.scenario.length - time.time())
        end = begin + play.scenario.length
        session.wait(_SETTLE_S)
        for collector in play.collectors:
            _dump_table(session, collector, "rib-end")
        _keep(session, target, times, (begin, end))


def _start(session: Session) -> None:
    play = session.play
    for name in session.play.stage.numbers.addresses:
        session.home(name).mkdir()
    texts: dict[tuple[str, Daemon], str] = {}
    for collector in play.collectors:
        renderer = bird.render_collector if collector.daemon == "bird" else frr.render_collector
        text = renderer(collector.asn, collector.addresses, collector.peers, str(session.home(collector.name)))
        texts[collector.name, collector.daemon] = text
    for name, speaker in session.speakers.items():
        home = str(session.home(name))
        text = bird.render_speaker(speaker, home) if speaker.daemon == "bird" else frr.render_speaker(speaker)
        texts[name, speaker.daemon] = text
    # bgpd has to know its interfaces before the first route comes: later it takes some IPv6 next hops for unreachable.
    for (name, daemon), text in texts.items():
        if daemon == "frr":
            _start_frr(session, name, text)
    session.wait(_FRR_HEAD_START_S)
    for (name, daemon), text in texts.items():
        if daemon == "bird":
            _start_bird(session, name, text)


def _start_bird(session: Session, name: str, text: str) -> None:
    home = session.home(name)
    config = home / "bird.conf"
    config.write_text(text)
    command = [BIRD, "-f", "-c", str(config), "-s", str(home / "control"), "-P", str(home / "pid")]
    session.network.start(name, command, home / "bird.txt")


def _start_frr(session: Session, name: str, text: str) -> None:
    """Start zebra, which knows the interfaces, and bgpd; both run as the user frr, who has to write into the folder."""
    home = session.home(name)
    session.folder.chmod(0o755)
    shutil.chown(home, "frr", "frr")
    zebra_socket = home / "zserv"
    for program, own_text in ((ZEBRA, ""), (BGPD, text)):
        part = home / Path(program).name
        part.with_suffix(".conf").write_text(own_text)
        command = [program, "--config_file", f"{part}.conf", "--pid_file", f"{part}.pid", "--socket", str(zebra_socket)]
        command += ["--vty_socket", str(home), "--vty_port", "0"]
        session.network.start(name, command, part.with_suffix(".txt"))
        _wait_for(session, zebra_socket)


def _wait_for(session: Session, path: Path) -> None:
    """Wait until a daemon has made a file, and not an empty one unless it is a socket."""
    deadline = time.monotonic() + 10
    while not path.exists() or not (path.is_socket() or path.stat().st_size):
        if time.monotonic() > deadline:
            raise LabError(f"{path.name} did not appear")
        session.wait(0.2)


def _converge(session: Session) -> None:
    """Wait until all sessions are up, collectors have every prefix from each peer, and they hear nothing new."""
    deadline = time.monotonic() + _CONVERGENCE_S
    files = [session.home(collector.name) / "updates.mrt" for collector in session.play.collectors]
    waiting = {name for name, speaker in session.speakers.items() if speaker.daemon == "bird"}
    lacking = {collector.name: collector for collector in session.play.collectors}
    sizes: list[int] = []
    quiet = 0.0
    while waiting or lacking or quiet < _QUIET_S:
        if time.monotonic() > deadline:
            raise LabError(
                f"no convergence within {_CONVERGENCE_S:g} s; sessions that are not up: {sorted(waiting)}; "
                f"collectors that lack routes: {sorted(lacking)}"
            )
        session.wait(0.5)
        waiting = {name for name in waiting if not _all_up(session, name)}
        if not waiting:
            lacking = {name: collector for name, collector in lacking.items() if not _has_all(session, collector)}
        now = [path.stat().st_size if path.exists() else 0 for path in files]
        quiet = quiet + 0.5 if now == sizes and all(now) else 0.0
        sizes = now


def _has_all(session: Session, collector: Collector) -> bool:
    """Whether each peer of a collector has sent every prefix."""
    if collector.daemon == "bird":
        answer = _birdc(session, collector.name, "show route count")
        routes = sum(map(int, re.findall(r"(\d+) of \d+ routes for \d+ networks in table", answer)))
    else:
        routes = 0
        for version in (4, 6):
            summary = json.loads(_vtysh(session, collector.name, f"show bgp ipv{version} unicast summary json"))
            routes += sum(peer["pfxRcd"] for peer in summary["peers"].values())
    origins = sum(len(speaker.origins) for speaker in session.speakers.values())
    return routes == origins * len(collector.peers)


def _all_up(session: Session, name: str) -> bool:
    try:
        lines = _birdc(session, name, "show protocols").splitlines()
    except LabError:
        return False  # It has not opened its socket yet.
    up = sum(line.split()[1:2] == ["BGP"] and "Established" in line for line in lines)
    return up == 2 * len(session.speakers[name].neighbors)


def _act(session: Session, begin: float) -> dict[str, list[float]]:
    """Make the moves at their times; returns when each was made, by event."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for move in session.play.moves:
        session.wait(begin + move.at - time.time())
        times[move.event].append(time.time())
        _move(session, move)
    return times


def _move(session: Session, move: Move) -> None:
    old = session.speakers[move.speaker]
    if move.restart is not None:
        neighbor = next(neighbor for neighbor in old.neighbors if neighbor.name == move.restart)
        for version in (4, 6):
            _birdc(session, old.name, f"restart {bird.session_name(neighbor, version)}")
    if move.change is None:
        return
    new = session.speakers[move.speaker] = move.change(old)
    if new.daemon == "frr":
        _vtysh(session, new.name, *frr.commands(old, new))
        return
    home = session.home(new.name)
    (home / "bird.conf").write_text(bird.render_speaker(new, str(home)))
    answer = _birdc(session, new.name, "configure")
    if "Reconfigur" not in answer:
        raise LabError(f"{new.name} did not take its new configuration: {answer}")


def _dump_table(session: Session, collector: Collector, name: str) -> None:
    home = session.home(collector.name)
    path = home / f"{name}.mrt"
    if collector.daemon == "bird":
        _birdc(session, collector.name, f'mrt dump table "master*" to "{path}"')
    else:
        _vtysh(session, collector.name, "configure terminal", f"dump bgp routes-mrt {path}")
    _wait_for(session, path)
    session.wait(0.5)  # for the rest of the table


def _birdc(session: Session, name: str, command: str) -> str:
    return _ask([BIRDC, "-s", str(session.home(name) / "control"), *command.split()])


def _vtysh(session: Session, name: str, *lines: str) -> str:
    arguments = [part for line in lines for part in ("-c", line)]
    return _ask([VTYSH, "--vty_socket", str(session.home(name)), "-d", "bgpd", *arguments])


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)}: no answer within 20 s") from error
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _keep(session: Session, target: Path, times: Mapping[str, list[float]], span: tuple[int, float]) -> None:
    """Shift everything to the recording's own time and write it."""
    play = session.play
    begin, end = span
    move = play.stage.numbers.start - begin
    target.mkdir(parents=True, exist_ok=True)
    for collector in play.collectors:
        home = session.home(collector.name)
        for name in ("updates", "rib", "rib-end"):
            data = (home / f"{name}.mrt").read_bytes()
            moved = shift(data, move, begin, end) if name == "updates" else shift(data, move)
            (target / f"{collector.daemon}-{name}.mrt.gz").write_bytes(pack(moved))
    shifted = {event: [round(moment + move, 3) for moment in moments] for event, moments in times.items()}
    truth = build_truth(play, shifted, float(begin + move), end + move)
    (target / "truth.json").write_text(_layout(truth))


def _layout(truth: Mapping[str, Any]) -> str:
    """JSON with a line for each key and for each item of a list, so that a change shows as a line."""
    lines: list[str] = []
    for key, value in truth.items():
        if isinstance(value, list):
            items = ",\n  ".join(json.dumps(item) for item in value)
            lines.append(f' "{key}": [\n  {items}\n ]')
        else:
            lines.append(f' "{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"
