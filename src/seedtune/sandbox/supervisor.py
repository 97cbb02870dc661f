"""Start a program under its monitor, watch it from outside, and stop it when a limit is reached."""

import fcntl
import logging
import math
import os
import platform
import resource
import selectors
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from seedtune.errors import SandboxError
from seedtune.sandbox import bubblewrap, confined, seccomp
from seedtune.sandbox.confined import landlock
from seedtune.sandbox.confined.monitor import Plan
from seedtune.sandbox.interpreter import DEVICES, base_interpreter
from seedtune.sandbox.place import Place, laid_out
from seedtune.sandbox.program import ExecutionResult, Heard, Level, Limits, Outcome, Program, Stream, last_line
from seedtune.sandbox.usage import tasks_of_this_user, usage
from seedtune.sandbox.verdict import Observed, judge

logger = logging.getLogger(__name__)

_TICK_S = 0.05
_START_S = 60.0
_GRACE_S = 10.0
"""From asking the monitor to end a run to killing the monitor."""
_DESCRIPTORS = 256
_CHUNK = 1 << 16

_MONITOR = Path(confined.__path__[0])
_BOOT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from confined.monitor import main
main(*map(int, sys.argv[2:]))
os._exit(0)  # for Python to tidy up would only keep the caller waiting
"""
_PYTHON_OPTIONS = ("-P", "-s", "-B", "-u", "-X", "utf8")
"""Nothing but ``import_path`` and the standard library to import from; what was printed before a kill is not lost."""


def execute(program: Program, limits: Limits, level: Level, heard: Heard | None = None) -> ExecutionResult:
    """Run a program at one level.

    Raises:
        ConfigError: A file or folder of the program does not exist.
        SandboxError: The level cannot be had here.
    """
    if sys.platform != "linux":
        raise SandboxError("programs can be run apart on Linux only")
    with laid_out(program, level) as place, ExitStack() as stack:
        inside, command, shared = _command(place, limits, level)
        plan = stack.enter_context(_memory_file(_plan(program, place, limits, level).pack()))
        stdin = stack.enter_context(_memory_file(program.stdin.encode("utf-8", "surrogatepass")))
        control, keep_running = os.pipe()
        status, tell_status = os.pipe()
        inherited = (plan, control, tell_status)
        command += [str(base_interpreter().executable), "-I", "-S", "-B", "-c", _BOOT, inside, *map(str, inherited)]
        try:
            process = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(*inherited, *shared),
                start_new_session=True,
                env={},
                cwd="/",
            )
        except OSError as problem:
            os.close(keep_running)
            os.close(status)
            raise SandboxError(f"{command[0]} cannot be started: {problem.strerror}") from None
        finally:
            os.close(control)
            os.close(tell_status)
        with _Watch(process, status, keep_running, limits, level) as watch:
            return judge(watch.until_the_end(heard), limits, level)


def _command(place: Place, limits: Limits, level: Level) -> tuple[str, list[str], list[int]]:
    """Where the monitor's package lies for it, the command line before it, and the descriptors that this names."""
    if level == "bubblewrap":
        return bubblewrap.MONITOR, *bubblewrap.command(place, limits, _MONITOR)
    return str(_MONITOR.parent), [], []


@contextmanager
def _memory_file(data: bytes) -> Generator[int]:
    """A file in memory that nobody can change any more."""
    descriptor = os.memfd_create("seedtune", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        yield descriptor
    finally:
        os.close(descriptor)


def _plan(program: Program, place: Place, limits: Limits, level: Level) -> Plan:
    contained = level == "bubblewrap"
    work = bubblewrap.WORK if contained else str(place.work)
    script = f"{work}/{place.script_name}"
    python = bubblewrap.PYTHON if contained else str(place.python)
    folders = bubblewrap.import_path(place) if contained else [str(path) for path in place.import_path]
    environment = {
        "PATH": f"{python}/bin",
        "HOME": work,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        **({"PYTHONPATH": os.pathsep.join(folders)} if folders else {}),
        **program.environment,
    }
    plan = Plan()
    plan.argv = [f"{python}/bin/python", *_PYTHON_OPTIONS, script, *program.arguments]
    plan.environment = environment
    plan.work = work
    plan.limits = _resource_limits(place, limits, level)
    plan.user = place.user
    plan.readable = [str(base_interpreter().executable), script, work, *folders]
    plan.readable += [f"{work}/{name}" for name in place.files]
    plan.contained = contained
    plan.rules = _rules(place) if level == "landlock" else None
    plan.landlock_abi = landlock.abi() if level == "landlock" else 0
    plan.call_filter = b"" if level == "unsafe" else _call_filter(place, plan)
    plan.written = limits.file_mb << 20
    plan.files = limits.files
    return plan


def _call_filter(place: Place, plan: Plan) -> bytes:
    if plan.rules is None:
        return seccomp.build()
    # Signals to others are the kernel's affair where those have another user, or Landlock knows of signals.
    alone = place.user is None and not landlock.contains_signals(plan.landlock_abi)
    return seccomp.build(plan.landlock_abi, alone)


def _rules(place: Place) -> list[landlock.Rule]:
    """What may be opened under Landlock; all else is closed."""
    python = base_interpreter()
    own = [place.python, *place.import_path, *place.files.values()]
    return [
        *((path, "execute" if is_whole else "list") for path, is_whole in python.openings()),
        (str(python.executable), "execute"),
        *((str(path), "read") for path in (*python.data, *own)),
        *((device, "device") for device in DEVICES),
        (str(place.work), "write"),
    ]


def _resource_limits(place: Place, limits: Limits, level: Level) -> list[tuple[int, int, int]]:
    """What the kernel holds each process to; the sums over all are watched."""
    cpu = math.ceil(limits.cpu_s) + 1  # a later, surer hand: the watch stops a run at the limit itself
    size, memory = limits.file_mb << 20, limits.memory_mb << 20
    processes = limits.processes
    if place.user is None:
        # Since Linux 5.14 a user namespace counts its own; else all that the user has running counts. And the monitor.
        apart = level == "bubblewrap" and _kernel() >= (5, 14)
        processes += 1 if apart else 1 + tasks_of_this_user()
    return [
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS, _DESCRIPTORS),
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_FSIZE, size, size),
        (resource.RLIMIT_NPROC, processes, processes),
        (resource.RLIMIT_AS, memory, memory),
    ]


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


_News = SimpleQueue[tuple[Stream, bytes] | None]
"""What the program printed; None: nothing more will come."""


class _Watch:
    """One run, from the outside."""

    def __init__(
        self, process: subprocess.Popen[bytes], status: int, keep_running: int, limits: Limits, level: Level
    ) -> None:
        self._process = process
        self._status = status
        self._keep_running: int | None = keep_running
        self._limits = limits
        self._level: Level = level
        self._own = 2 if level == "bubblewrap" else 1
        self._said = bytearray()
        self._output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._told: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._news: _News | None = None
        self._abandoned = False
        self._truncated = False
        self._stop: Outcome | None = None
        self._began = time.monotonic()
        self._started: float | None = None
        self._ended: float | None = None
        self._asked: float | None = None
        self._cpu_s = self._together_mb = 0.0

    def __enter__(self) -> "_Watch":
        return self

    def __exit__(self, *_: object) -> None:
        """Whatever happened (an interrupt too): nothing of the run is left."""
        self._ask_to_end()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        os.close(self._status)

    def until_the_end(self, heard: Heard | None) -> Observed:
        """Watch until everything has ended.

        Raises:
            SandboxError: The program could not be started.
        """
        if heard is None:
            return self._watch()
        news = self._news = _News()
        # Who listens may be slow or stand still, as a pager does: the watch must not.
        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(self._watch)
            watching.add_done_callback(lambda _: news.put(None))
            try:
                while (piece := news.get()) is not None:
                    heard(*piece)
            finally:
                self._abandoned = True
            return watching.result()

    def _watch(self) -> Observed:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, "stdout")
            selector.register(self._process.stderr, selectors.EVENT_READ, "stderr")
            selector.register(self._status, selectors.EVENT_READ, "status")
            while selector.get_map() and not self._abandoned:
                for key, _ in selector.select(_TICK_S):
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.data == "status":
                        self._hear(data)
                    else:
                        self._collect(key.data, data)
                self._tell()
                self._enforce()
                if self._overdue():
                    logger.warning("the monitor of a program did not answer and was killed")
                    self._process.kill()
                    break
        return self._observed()

    def _hear(self, data: bytes) -> None:
        self._said += data
        if self._started is None and b"started\n" in self._said:
            self._started = time.monotonic()
        if self._ended is None and b"\nstopped " in self._said:
            self._ended = time.monotonic()

    def _collect(self, name: Stream, data: bytes) -> None:
        room = self._limits.output_kb * 1024 - len(self._output[name])
        self._output[name] += data[:room]
        if len(data) > room:
            self._truncated = True
            self._halt("output")

    def _tell(self) -> None:
        """Hand on what has come since. Until the program has started, it is bubblewrap that speaks."""
        if self._news is None or self._started is None:
            return
        for name, output in self._output.items():
            if len(output) > self._told[name]:
                self._news.put((name, bytes(output[self._told[name] :])))
                self._told[name] = len(output)

    def _enforce(self) -> None:
        if self._started is None or self._ended is not None or self._stop is not None:
            return
        cpu_s, together_mb = usage(self._process.pid, self._own)
        self._cpu_s, self._together_mb = max(self._cpu_s, cpu_s), max(self._together_mb, together_mb)
        if self._cpu_s > self._limits.cpu_s:
            self._halt("cpu")
        elif together_mb > self._limits.memory_mb:
            self._halt("memory")
        elif time.monotonic() - self._started > self._limits.wall_s:
            self._halt("timeout")

    def _halt(self, why: Outcome) -> None:
        if self._stop is None:
            self._stop = why
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        if self._keep_running is not None:
            os.close(self._keep_running)
            self._keep_running = None
            self._asked = time.monotonic()

    def _overdue(self) -> bool:
        """The monitor does not start, or not end, in due time."""
        now = time.monotonic()
        if self._started is None:
            return now - self._began > _START_S
        since = self._asked or self._ended
        return since is not None and now - since > _GRACE_S

    def _observed(self) -> Observed:
        if self._started is None:
            raise SandboxError(self._why_not_started())
        now = time.monotonic()
        why, status, cpu_s, largest_kb, full = self._report()
        # Too much output is too much, even if the program came to its end; any other limit it may just have escaped.
        stopped = self._stop if self._stop == "output" or why == "asked" else None
        return Observed(
            stopped="file-size" if why == "file-size" else stopped,
            status=status,
            stdout=bytes(self._output["stdout"]),
            stderr=bytes(self._output["stderr"]),
            truncated=self._truncated,
            wall_s=(self._ended or now) - self._started,
            cpu_s=max(cpu_s, self._cpu_s),
            largest_mb=largest_kb / 1024,
            together_mb=self._together_mb,
            full=full,
        )

    def _report(self) -> tuple[str, int, float, int, bool]:
        """The monitor's last line; if it was killed (by the machine, short of memory), the program was with it."""
        for line in self._said.decode().splitlines():
            if line.startswith("stopped "):
                _, why, status, cpu_s, largest_kb, full = line.split()
                return why, int(status), float(cpu_s), int(largest_kb), full == "1"
        return "asked", 9, 0.0, 0, False

    def _why_not_started(self) -> str:
        said = self._said.decode(errors="replace").strip()
        if said.startswith("error "):
            return said.removeprefix("error ")
        if time.monotonic() - self._began > _START_S:
            return f"it did not start within {_START_S:.0f} s"
        stderr = self._output["stderr"].decode(errors="replace")
        if self._level == "bubblewrap":
            return bubblewrap.explain(stderr)
        return last_line(stderr) or "the monitor ended without a word"
