"""Namespaces and daemons are gone when the block ends, however it ends; they reach each other and nothing else."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab.namespaces import LabError, Lan, lan

ADDRESSES = {"one": ["100.64.0.1/24", "fd00::1/64"], "two": ["100.64.0.2/24", "fd00::2/64"]}


def can_make_namespaces() -> bool:
    if os.geteuid() or shutil.which("ip") is None:
        return False
    name = f"probe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    return made and subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can_make_namespaces(), reason="needs root, iproute2 and network namespaces")


def left_over(network: Lan) -> list[str]:
    return [path.name for path in Path("/run/netns").glob(f"{network.prefix}*")]


def inside(network: Lan, name: str, code: str) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", network.prefix + name, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def test_all_is_taken_away_after_a_failure(tmp_path: Path) -> None:
    networks: list[Lan] = []

    def fail() -> None:
        with lan(ADDRESSES) as network:
            networks.append(network)
            network.start("one", ["sleep", "60"], tmp_path / "output.txt")
            assert len(left_over(network)) == 3
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    ((daemon, _),) = networks[0].daemons
    assert daemon.returncode is not None
    assert left_over(networks[0]) == []


def test_a_daemon_that_ended_is_reported_with_its_words(tmp_path: Path) -> None:
    with lan(ADDRESSES) as network:
        network.start("one", ["sh", "-c", "echo no such thing; exit 3"], tmp_path / "output.txt")
        ((daemon, _),) = network.daemons
        daemon.wait(10)
        with pytest.raises(LabError, match="exit code 3: no such thing"):
            network.check()


def test_neighbors_reach_each_other_and_nothing_else() -> None:
    listening = "import socket; s = socket.create_server(('100.64.0.1', 1790)); c, _ = s.accept(); c.sendall(b'hello')"
    calling = "import socket; print(socket.create_connection(('100.64.0.1', 1790), 5).recv(9).decode())"
    outside = "import socket; socket.create_connection(('192.0.2.1', 9), 5)"
    with lan(ADDRESSES) as network:
        command = ["ip", "netns", "exec", f"{network.prefix}one", sys.executable, "-c", listening]
        with subprocess.Popen(command) as server:
            for _ in range(100):
                answer = inside(network, "two", calling)
                if answer.returncode == 0:
                    break
                time.sleep(0.05)
            server.terminate()
        assert answer.stdout == "hello\n"
        assert "Network is unreachable" in inside(network, "two", outside).stderr
