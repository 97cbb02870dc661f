"""The command line of bubblewrap (bwrap(1)): a file system of our own choosing, no network, no other processes.

Everything is mounted read-only but the work folder, a memory file system of capped size; ``/dev/shm`` leads there, so
that shared memory is counted with what is written. There is no ``/proc``, ``/sys``, ``/tmp`` or ``/home``, and of
``/etc`` nothing but the loader's cache.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from seedtune.errors import SandboxError
from seedtune.sandbox.interpreter import DEVICES, base_interpreter
from seedtune.sandbox.place import Place
from seedtune.sandbox.program import Limits

ROOT = "/sandbox"
WORK = f"{ROOT}/work"
PYTHON = f"{ROOT}/python"
MONITOR = f"{ROOT}/monitor"

_APART = [
    *("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--cap-drop", "ALL"),
]

# What the monitor needs to end processes of another user, and to become that user, who may need the last.
_OF_ROOT = [
    *("--cap-add", "CAP_KILL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"),
    *("--cap-add", "CAP_DAC_READ_SEARCH"),
]
_OF_OTHERS = ["--unshare-user", "--uid", "65534", "--gid", "65534"]

_NEW_USER_NAMESPACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
failed = libc.unshare(0x10000000)
os.write(1, os.strerror(ctypes.get_errno()).encode() if failed else b"ready")
os.read(0, 1)
"""


def command(place: Place, limits: Limits, monitor: Path) -> tuple[list[str], list[int]]:
    """The command line, up to and without what runs inside, and the descriptors that it names.

    Raises:
        SandboxError: bubblewrap is not installed, or no user namespace can be made.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise SandboxError("not installed")
    namespaces = [] if place.user is None else [_user_namespace_of_root()]
    users = ["--userns", str(namespaces[0]), *_APART, *_OF_ROOT] if namespaces else [*_OF_OTHERS, *_APART]
    work = ["--perms", "1777", "--size", str(limits.file_mb << 20), "--tmpfs", WORK, "--symlink", WORK, "/dev/shm"]
    own = [
        (place.script, f"{WORK}/{place.script_name}"),
        (place.python, PYTHON),
        (monitor, f"{MONITOR}/{monitor.name}"),
    ]
    inputs = [(path, f"{WORK}/{name}") for name, path in place.files.items()]
    imports = list(zip(place.import_path, import_path(place), strict=True))
    binds = [text for path, inside in (*own, *inputs, *imports) for text in ("--ro-bind", str(path), inside)]
    return [bwrap, *users, *_system(), *work, *binds, "--remount-ro", "/", "--chdir", "/", "--"], namespaces


def import_path(place: Place) -> list[str]:
    """Where the folders of ``place.import_path`` are to be found inside."""
    return [f"{ROOT}/import/{number}" for number in range(len(place.import_path))]


def _system() -> list[str]:
    """The interpreter, its libraries without installed packages, and the devices that any program may use."""
    python = base_interpreter()
    arguments: list[str] = []
    bound: list[Path] = []
    for path in (*python.libraries, python.executable, *python.data):
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), str(path)]
            path = path.resolve()
        if not any(path.is_relative_to(other) for other in bound):
            arguments += ["--ro-bind", str(path), str(path)]
            bound.append(path)
    for path in python.hidden:
        arguments += ["--tmpfs", str(path), "--remount-ro", str(path)]
    for device in DEVICES:
        arguments += ["--dev-bind", device, device]
    return arguments


@cache
def _user_namespace_of_root() -> int:
    """A user namespace, as a descriptor, that has all users of ours and in which root has no rights over this machine.

    Made once: in it the monitor may become another user, yet no capability kept there counts outside.

    Raises:
        SandboxError: User namespaces are closed.
    """
    arguments = [base_interpreter().executable, "-I", "-S", "-c", _NEW_USER_NAMESPACE]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as helper:
        assert helper.stdout is not None
        said = os.read(helper.stdout.fileno(), 1000).decode()
        if said != "ready":
            raise SandboxError(f"user namespaces are closed: {said}")
        try:
            for kind in ("uid", "gid"):
                spans = [line.split() for line in Path(f"/proc/self/{kind}_map").read_text().splitlines()]
                same = "".join(f"{first} {first} {count}\n" for first, _, count in spans)
                Path(f"/proc/{helper.pid}/{kind}_map").write_text(same)
            return os.open(f"/proc/{helper.pid}/ns/user", os.O_RDONLY)
        except OSError as problem:
            raise SandboxError(f"user namespaces are closed: {problem}") from None


def explain(stderr: str) -> str:
    """Why bubblewrap did not start the monitor, from what it said."""
    said = stderr.strip().splitlines()[0].removeprefix("bwrap: ") if stderr.strip() else "it ended without a word"
    if said.startswith("Unknown option"):
        return f"too old, 0.7 or newer is needed ({said})"
    if "namespace" in said or "uid map" in said:
        return f"user namespaces are closed: {said}"
    return said
