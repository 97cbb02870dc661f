"""Network namespaces on one bridge, and the daemons in them: all is taken away again when the ``with`` block ends."""

import logging
import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

logger = logging.getLogger(__name__)

_numbers = count()


class LabError(RuntimeError):
    """The laboratory cannot be set up or does not behave."""


@dataclass
class Lan:
    """A network without a way out, one namespace for each name.

    Attributes:
        prefix: What the names of the namespaces begin with; it holds this process's id.
        daemons: The daemons started, each with the file of what it printed.
    """

    prefix: str
    daemons: list[tuple[subprocess.Popen[bytes], Path]] = field(
        default_factory=list[tuple[subprocess.Popen[bytes], Path]]
    )

    def start(self, name: str, command: Sequence[str], output_path: Path) -> None:
        """Start a daemon in the namespace ``name``; what it prints goes to ``output_path``."""
        with output_path.open("wb") as output:
            daemon = subprocess.Popen(
                ["ip", "netns", "exec", self.prefix + name, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.daemons.append((daemon, output_path))

    def check(self) -> None:
        """See that every daemon runs.

        Raises:
            LabError: A daemon has ended.
        """
        for daemon, output_path in self.daemons:
            if daemon.poll() is not None:
                said = output_path.read_text(errors="replace")[-500:]
                raise LabError(f"{daemon.args} ended with exit code {daemon.returncode}: {said}")


@contextmanager
def lan(addresses: Mapping[str, Sequence[str]]) -> Generator[Lan]:
    """Namespaces on one bridge, each with its addresses (``100.64.0.1/24``); daemons and namespaces end with the block.

    Raises:
        LabError: A command of iproute2 failed; it needs root.
    """
    network = Lan(f"lab{os.getpid()}-{next(_numbers)}-")
    try:
        _build(network.prefix, addresses)
        yield network
    finally:
        _stop(network)
        for namespace in (network.prefix + name for name in ("hub", *addresses)):
            if Path("/run/netns", namespace).exists():
                _delete(namespace)


def _build(prefix: str, addresses: Mapping[str, Sequence[str]]) -> None:
    hub = f"{prefix}hub"
    _ip("netns", "add", hub)
    _ip("-n", hub, "link", "add", "lan", "type", "bridge")
    _ip("-n", hub, "link", "set", "lan", "up")
    for number, (name, own) in enumerate(addresses.items()):
        namespace, port = prefix + name, f"port{number}"
        _ip("netns", "add", namespace)
        _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "lan", "netns", namespace)
        _ip("-n", hub, "link", "set", port, "master", "lan", "up")
        for address in own:
            # Without nodad an IPv6 address cannot be used in its first second.
            _ip("-n", namespace, "address", "add", address, "dev", "lan", *(["nodad"] if ":" in address else []))
        _ip("-n", namespace, "link", "set", "lo", "up")
        _ip("-n", namespace, "link", "set", "lan", "up")


def _stop(network: Lan) -> None:
    for daemon, _ in network.daemons:
        daemon.terminate()
    for daemon, _ in network.daemons:
        try:
            daemon.wait(5)
        except subprocess.TimeoutExpired:
            logger.warning("a daemon had to be killed: %s", daemon.args)
            daemon.kill()
            daemon.wait()


def _delete(namespace: str) -> None:
    """Delete a namespace; one that cannot be deleted must not keep the others from it."""
    try:
        _ip("netns", "delete", namespace)
    except LabError as error:
        logger.warning("%s", error)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()} (the laboratory needs root and iproute2)")
