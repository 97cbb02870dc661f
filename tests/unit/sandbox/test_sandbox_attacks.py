"""Programs that try to get out of the sandbox, at every safe level that there is here; test_sandbox_limits.py has those
that try to use the machine up.

A program of this file prints ``ESCAPED`` where an attack got through, and ``refused`` with the error where it did not.
"""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from seedtune.sandbox import ExecutionResult, Level, Limits, Program, run_code

SMALL = Limits(wall_s=20.0, cpu_s=10.0, memory_mb=256, file_mb=4, files=200, processes=32, output_kb=64)

PRELUDE = """
import ctypes, os, socket, subprocess, sys, time

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"

def call(number, *arguments):
    "A system call by its number."
    ctypes.set_errno(0)
    result = libc.syscall(number, *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def write(path, mode="w"):
    with open(path, mode) as file:
        file.write("spoiled")

def link_what_it_leads_to(name, new):
    if libc.linkat(-100, name.encode(), -100, new.encode(), 0x400) < 0:  # AT_FDCWD, AT_SYMLINK_FOLLOW
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def attempt(label, what, *arguments):
    try:
        print("ESCAPED", label, what(*arguments))
    except OSError as problem:
        print("refused", label, problem)
"""


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of this user that has nothing to do with the sandbox; it must live on."""
    with subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE) as process:
        yield process.pid
        alive = process.poll() is None
        process.kill()
    assert alive


def attack(code: str, level: Level, **program: Any) -> ExecutionResult:
    """Run an attack that must not get through."""
    result = run_code(Program(PRELUDE + textwrap.dedent(code), **program), SMALL, level)
    assert "ESCAPED" not in result.stdout, result.stdout
    assert result.level == level
    return result


def refused(code: str, level: Level, attempts: int = 1, **program: Any) -> None:
    """Run attempts that must each end in an error; the program itself must come to its end."""
    result = attack(code, level, **program)
    assert result.outcome == "finished", result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["refused"] * attempts, result.stdout


def attempts(deeds: list[str]) -> str:
    """A program that attempts each: what to call and its arguments."""
    return "\n".join(f"attempt({deed!r}, {deed})" for deed in deeds)


# Reading


def test_a_file_that_was_not_given_cannot_be_read(walls: Level, tmp_path: Path, victim: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").write_text("zebra")
    proc = [
        f"/proc/{process}/{name}" for process in (victim, os.getpid(), 1, "self") for name in ("environ", "cmdline")
    ]
    paths = [
        *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/etc/resolv.conf", "../../../../../../../etc/passwd"),
        *(*proc, f"/proc/{os.getpid()}/mem", f"/proc/{os.getpid()}/maps", "/proc/self/root/etc/passwd"),
        *("/proc/version", "/proc/meminfo", "/proc/sys/kernel/core_pattern", "/proc/kmsg", "/proc/net/tcp"),
        *("/sys/kernel/uevent_seqnum", "/sys/class/net/lo/address", "/sys/fs/cgroup/cgroup.procs"),
        *(
            "/dev/mem",
            "/dev/kmem",
            "/dev/kmsg",
            "/dev/tty",
            "/dev/vda",
            "/dev/sda",
            "/dev/ptmx",
            f"/proc/{victim}/fd/0",
        ),
        *(f"{ROOT}/pyproject.toml", f"{Path.home()}/.bashrc", f"{Path.home()}/.ssh/id_rsa", f"{tmp_path}/secret"),
    ]
    code = f"for path in {paths}: attempt(path, lambda: open(path, 'rb').read(1))"
    refused(code, walls, len(paths))


def test_a_folder_that_was_not_given_cannot_be_listed(walls: Level) -> None:
    """Under bubblewrap some are there, but lead to the interpreter and to nothing else."""
    python = Path(sys.base_prefix)
    folders = [Path.home(), ROOT, ROOT.parent, Path("/tmp"), *map(Path, ("/etc", "/proc", "/sys", "/run", "/var/log"))]
    code = """
    for folder in sys.argv[1:]:
        try:
            print(*os.listdir(folder), sep="\\n")
        except OSError:
            pass
    """
    result = attack(code, walls, arguments=list(map(str, folders)))
    way = {python.relative_to(folder).parts[0] for folder in folders if folder in python.parents}
    assert result.ok
    assert set(result.stdout.split()) <= (way | {"ld.so.cache"} if walls == "bubblewrap" else set())


def test_keys_of_the_environment_do_not_come_along(walls: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-zebra")
    result = attack("print(*sorted(os.environ)); print(os.environ)", walls)
    assert "zebra" not in result.stdout
    assert result.stdout.splitlines()[0] == "HOME LANG PATH PYTHONHASHSEED"


def test_a_link_in_a_given_folder_leads_nowhere(walls: Level, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (tmp_path / "secret").write_text("zebra")
    (given / "absolute").symlink_to(tmp_path / "secret")
    (given / "relative").symlink_to("../secret")
    (given / "passwd").symlink_to("/etc/passwd")
    deeds = [f"open, 'given/{name}'" for name in ("absolute", "relative", "passwd", "../../secret")]
    refused(attempts(deeds), walls, len(deeds), files={"given": given})


# Writing


def test_nothing_is_written_outside_the_work_folder(walls: Level, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("whole")
    tmp_path.chmod(0o777)
    (tmp_path / "old").chmod(0o666)
    stdlib = Path(os.__file__).parent
    targets = [
        *(
            f"{tmp_path}/new",
            f"{tmp_path}/old",
            f"{stdlib}/spoiled.py",
            f"{stdlib}/os.py",
            "../spoiled",
            "/sandbox/spoiled",
        ),
        *("/etc/spoiled", "/usr/lib/spoiled", "/spoiled", "/tmp/spoiled", "/dev/shm/../spoiled", "/root/spoiled"),
    ]
    more = [
        f"os.open, {str(tmp_path)!r}, os.O_TMPFILE | os.O_WRONLY",
        f"os.truncate, {str(tmp_path / 'old')!r}, 0",
        f"os.remove, {str(tmp_path / 'old')!r}",
        f"os.chmod, {str(tmp_path / 'old')!r}, 0",
        f"os.mkdir, {str(tmp_path / 'folder')!r}",
        f"os.mkfifo, {str(tmp_path / 'pipe')!r}",
        f"os.symlink, '/', {str(tmp_path / 'link')!r}",
    ]
    deeds = [f"write, {target!r}" for target in targets] + more
    refused(attempts(deeds), walls, len(deeds))
    assert (tmp_path / "old").read_text() == "whole"
    assert (tmp_path / "old").stat().st_mode & 0o777 == 0o666
    assert [entry.name for entry in tmp_path.iterdir()] == ["old"]


DEEDS_AGAINST_INPUTS = [
    "write, 'given/data'",
    "write, 'given/data', 'r+'",
    "write, 'given/data', 'a'",
    "write, 'given/new'",
    "os.open, 'given/data', os.O_RDONLY | os.O_TRUNC",
    "os.truncate, 'given/data', 0",
    "os.remove, 'given/data'",
    "os.remove, 'one'",
    "os.rename, 'given/data', 'mine'",
    "os.rename, 'given', 'mine'",
    "os.rename, 'one', 'mine'",
    "os.replace, __file__, 'given/data'",
    "os.mkdir, 'given/folder'",
    "os.link, 'given/data', 'given/link'",
    "link_what_it_leads_to, 'one', 'link'",
    "os.chmod, 'given/data', 0",
    "os.chmod, 'one', 0o777",
    "os.fchmod, os.open('one', os.O_RDONLY), 0",
    "os.chown, 'one', os.getuid(), os.getgid()",
    "os.utime, 'one', (1, 1)",
    "os.setxattr, 'one', 'user.spoiled', b'yes'",
    "write, __file__",
    "os.remove, __file__",
    "os.chmod, __file__, 0o777",
    "write, sys.prefix + '/pyvenv.cfg'",
]


def test_inputs_and_the_program_itself_stay_as_they_are(walls: Level, tmp_path: Path) -> None:
    given, one = tmp_path / "given", tmp_path / "one"
    given.mkdir()
    for path in (given / "data", one):
        path.write_text("whole")
        path.chmod(0o666)
    given.chmod(0o777)
    before = one.stat()
    refused(attempts(DEEDS_AGAINST_INPUTS), walls, len(DEEDS_AGAINST_INPUTS), files={"given": given, "one": one})
    after = one.stat()
    assert (given / "data").read_text() == one.read_text() == "whole"
    assert [entry.name for entry in given.iterdir()] == ["data"]
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)
    assert (after.st_nlink, os.listxattr(one)) == (1, [])


def test_links_and_detours_lead_nowhere(walls: Level, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("zebra")
    secret.chmod(0o666)
    tmp_path.chmod(0o777)
    code = f"""
    os.symlink({str(secret)!r}, "file")
    os.symlink({str(tmp_path)!r}, "folder")
    os.symlink("/", "root")
    attempt("read", open, "file")
    attempt("write", open, "file", "w")
    attempt("in", open, "folder/new", "w")
    attempt("root", open, "root/etc/passwd")
    attempt("hard", os.link, {str(secret)!r}, "hard")
    attempt("through", os.chmod, "file", 0)
    os.chdir("/")
    attempt("from the root", open, "etc/passwd")
    """
    refused(code, walls, 7)
    assert (secret.read_text(), secret.stat().st_mode & 0o777, secret.stat().st_nlink) == ("zebra", 0o666, 1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


# Network


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[list[socket.socket]]:
    """Sockets of every kind that nothing may arrive at."""
    tmp_path.chmod(0o777)
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    with ExitStack() as stack:
        found: list[socket.socket] = []
        for family, kind, address in (
            (socket.AF_INET, stream, ("127.0.0.1", 0)),
            (socket.AF_INET6, stream, ("::1", 0)),
            (socket.AF_INET, datagram, ("127.0.0.1", 0)),
            (socket.AF_UNIX, stream, str(tmp_path / "s")),
            (socket.AF_UNIX, datagram, str(tmp_path / "d")),
            (socket.AF_UNIX, stream, f"\0seedtune-{os.getpid()}"),
            (socket.AF_UNIX, datagram, f"\0seedtune-datagram-{os.getpid()}"),
        ):
            listener = stack.enter_context(socket.socket(family, kind))
            listener.bind(address)
            listener.setblocking(False)
            if kind == stream:
                listener.listen()
            found.append(listener)
        for name in ("s", "d"):
            (tmp_path / name).chmod(0o777)
        yield found


def test_nothing_arrives_at_a_socket_of_this_machine(walls: Level, listeners: list[socket.socket]) -> None:
    """TCP, UDP, IPv6 on loopback, Unix sockets with a path and without; a pair of datagram sockets could name these."""
    code = """
    def reach(family, kind, address):
        peer = socket.socket(family, kind)
        peer.connect(address)
        peer.send(b"hello")
    def through_a_pair(kind, address):
        socket.socketpair(socket.AF_UNIX, kind)[0].sendto(b"hello", address)
    def with_a_turned_pair(address):
        pair = socket.socketpair()
        pair[0].connect(address)
    """
    deeds: list[str] = []
    for listener in listeners:
        family, kind, address = int(listener.family), int(listener.type) & 0xF, listener.getsockname()
        deeds.append(f"reach, {family}, {kind}, {address!r}")
        if listener.family == socket.AF_UNIX:
            deeds += [f"through_a_pair, {kind}, {address!r}", f"with_a_turned_pair, {address!r}"]
    refused(textwrap.dedent(code) + attempts(deeds), walls, len(deeds))
    for listener in listeners:
        with pytest.raises(BlockingIOError):
            listener.accept() if listener.type & socket.SOCK_STREAM else listener.recv(1)


def test_no_socket_can_be_made_or_served_and_no_name_looked_up(walls: Level) -> None:
    deeds = [
        "socket.socket, socket.AF_INET, socket.SOCK_RAW",
        "socket.socket, socket.AF_NETLINK, socket.SOCK_RAW",
        "socket.socket, socket.AF_PACKET, socket.SOCK_RAW",
        "socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM",
        "socket.socket, socket.AF_UNIX",
        "socket.create_server, ('127.0.0.1', 0)",
        "socket.getaddrinfo, 'example.org', 80",
        "socket.gethostbyname, 'localhost.example.org'",
        "socket.socketpair()[0].bind, 'mine'",
    ]
    refused(attempts(deeds), walls, len(deeds))


# System calls

CALLS = {
    "socket": (41, 198),
    "ptrace": (101, 117),
    "mount": (165, 40),
    "unshare": (272, 97),
    "setns": (308, 268),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "shmctl": (31, 195),
    "process_vm_readv": (310, 270),
    "pidfd_open": (434, 434),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "open_tree_attr": (467, 467),
    "not yet invented": (999, 999),
}


def test_dangerous_system_calls_are_refused_by_number(walls: Level) -> None:
    code = f"for name, numbers in {CALLS}.items(): attempt(name, call, numbers[not X86], 0, 0, 0, 0, 0, 0)"
    refused(code, walls, len(CALLS))


def test_rights_and_namespaces_cannot_be_gained(walls: Level) -> None:
    deeds = [
        "os.setuid, 0",
        "os.setgid, 0",
        "os.setgroups, [0]",
        "os.setresuid, 0, 0, 0",
        "os.chroot, '.'",
        "os.mknod, 'disk', 0o60666, os.makedev(254, 0)",
        "os.mknod, 'memory', 0o20666, os.makedev(1, 1)",
        "call, 56 if X86 else 220, 0x10000000 | 17, 0, 0, 0, 0",  # clone a user namespace
        "call, 56 if X86 else 220, 0x00020000 | 17, 0, 0, 0, 0",  # clone a mount namespace
        "open, '/proc/self/uid_map', 'w'",
        "subprocess.run, ['/usr/bin/su']",
        "subprocess.run, ['/bin/sh', '-c', 'id']",
        "os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1)",
        "os.nice, -5",
    ]
    refused(attempts(deeds), walls, len(deeds))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 is of x86-64 alone")
@pytest.mark.parametrize("number", [41, 520])
def test_a_call_in_the_x32_numbering_kills(walls: Level, number: int) -> None:
    result = attack(f"call(0x40000000 + {number}, 2, 1, 0)\nprint('ESCAPED')", walls)
    assert (result.outcome, result.signal) == ("signal", "SIGSYS")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="32-bit calls are of x86-64 alone")
def test_a_call_in_the_32_bit_numbering_kills(walls: Level) -> None:
    code = """
    import mmap
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
    print("ESCAPED", ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))())
    """
    result = attack(code, walls)
    assert result.outcome == "signal"
    assert result.signal in ("SIGSYS", "SIGSEGV")  # the latter where the kernel has no 32-bit calls at all


# Other processes


def test_other_processes_are_out_of_reach(walls: Level, victim: int) -> None:
    """Signals, tracing, memory, priorities and limits; and a pipe that sends signals in the kernel's name."""
    code = """
    import fcntl, resource
    def trace(process): call(101 if X86 else 117, 16, process, 0, 0)
    def read_memory(process): call(310 if X86 else 270, process, 0, 0, 0, 0, 0)
    def make_a_pipe_signal(process):
        there, here = os.pipe()
        fcntl.fcntl(there, fcntl.F_SETOWN, process)
        fcntl.fcntl(there, 10, 9)  # F_SETSIG
        fcntl.fcntl(there, fcntl.F_SETFL, os.O_ASYNC)
        os.write(here, b"x")
    """
    deeds = [
        deed
        for process in (victim, os.getpid())
        for deed in (
            f"os.kill, {process}, 9",
            f"os.kill, {process}, 0",
            f"os.killpg, os.getpgid({process}) if 0 else {process}, 9",
            f"trace, {process}",
            f"read_memory, {process}",
            f"os.setpriority, os.PRIO_PROCESS, {process}, 19",
            f"os.sched_setaffinity, {process}, [0]",
            f"resource.prlimit, {process}, resource.RLIMIT_CPU, (1, 1)",
            f"make_a_pipe_signal, {process}",
        )
    ]
    deeds += ["trace, os.getppid()", "read_memory, os.getppid()", "os.setpriority, os.PRIO_USER, 0, 19"]
    refused(textwrap.dedent(code) + attempts(deeds), walls, len(deeds))


def test_killing_the_parent_or_everything_changes_nothing(walls: Level, victim: int) -> None:
    code = """
    for process, number in ((os.getppid(), 9), (os.getppid(), 15), (os.getppid(), 19), (1, 9), (-1, 15), (-1, 9)):
        try:
            os.kill(process, number)
        except OSError:
            pass
    time.sleep(0.2)
    print("still here")
    """
    result = attack(code, walls)
    assert (result.outcome, result.stdout) == ("finished", "still here\n")


def test_a_process_that_goes_its_own_way_is_ended_with_the_run(
    walls: Level, processes_with: Callable[[str], list[str]]
) -> None:
    """Forked twice, in a session of its own, deaf to what can be ignored; found by its argument after the run."""
    token = f"seedtune-outlives-{os.getpid()}"
    code = f"""
    there, here = os.pipe()
    if not os.fork():
        os.setsid()
        if not os.fork():
            os.set_inheritable(here, True)
            nap = "import os, signal, sys, time; signal.signal(15, signal.SIG_IGN); os.write(int(sys.argv[2]), b'up')"
            os.execv(sys.executable, [sys.executable, "-c", nap + "; time.sleep(300)", {token!r}, str(here)])
        os._exit(0)
    print(os.read(there, 2).decode())
    """
    result = attack(code, walls)
    assert (result.outcome, result.stdout) == ("finished", "up\n")
    assert not processes_with(token)


# Forging a verdict


@pytest.mark.parametrize(("way", "code"), [("sys.exit", 1), ("sys.exit", 137), ("os._exit", 152), ("os._exit", 255)])
def test_an_exit_code_is_reported_as_it_is(walls: Level, code: int, way: str) -> None:
    """Whatever was printed; and not as the signal that a shell would take it for."""
    result = attack(f"print('PASS', flush=True); {way}({code})", walls)
    assert (result.outcome, result.exit_code, result.signal, result.ok) == ("failed", code, None, False)


def test_no_descriptor_is_inherited_and_none_takes_a_forged_report(walls: Level) -> None:
    forged = b"started\nstopped ended 0 0.0 0 0\n"
    code = f"""
    open_ones = []
    for descriptor in range(3, 1 << 16):
        try:
            os.write(descriptor, {forged!r})
            open_ones.append(descriptor)
        except OSError as problem:
            if problem.errno != 9:
                open_ones.append(descriptor)
    for descriptor in (0, 1, 2):
        try:
            os.write(descriptor, {forged!r} + b'{{"outcome": "finished", "level": "unsafe", "ok": true}}')
        except OSError:
            pass
    sys.exit(f"open: {{open_ones}}")
    """
    result = attack(code, walls)
    assert (result.outcome, result.exit_code, result.level) == ("failed", 1, walls)
    assert result.stderr.endswith("open: []\n")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGXCPU", "SIGSEGV", "SIGTERM"])
def test_a_signal_to_itself_is_no_limit_reached(walls: Level, name: str) -> None:
    result = attack(f"import signal; os.kill(os.getpid(), signal.{name})", walls)
    assert (result.outcome, result.signal, result.exit_code) == ("signal", name, None)


@pytest.mark.parametrize("words", ["MemoryError", "OSError: [Errno 28] No space left on device"])
def test_feigned_last_words_do_not_turn_failure_into_success(walls: Level, words: str) -> None:
    assert not attack(f"print({words!r}, file=sys.stderr); sys.exit(3)", walls).ok
    assert attack(f"print({words!r}, file=sys.stderr)", walls).outcome == "finished"
