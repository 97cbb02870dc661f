"""The monitor: starts the program under its limits, counts what it writes, ends all that is left, and reports.

It stands beside the program, where the program cannot reach it: as the first process of its own PID namespace, or
outside the program's Landlock domain. Wall clock, output, memory and CPU of all processes are watched by seedtune
itself, which stops a run by closing the control pipe; the pipe closes too if seedtune dies.

What it writes to the status pipe, one line each::

    started
    stopped WHY STATUS CPU_SECONDS PEAK_KB FULL     WHY: ended, asked, file-size; STATUS as waitpid(2) gives it
    error MESSAGE                                   instead of both: the program was never started
"""

import marshal
import os
import resource
import select
import time

from . import landlock, linux

_TICK_MS = 50
_DYING_S = 0.001
_HIGHEST_DESCRIPTOR = 1 << 20
_SIGKILL = 9
_ZOMBIE = "Z"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .landlock import Rule


class Plan:
    """What the monitor is told. Both ends run the same Python, so it travels as marshal."""

    argv: "list[str]"
    environment: "dict[str, str]"
    work: str
    """The program's current folder, the only one it may write to."""
    limits: "list[tuple[int, int, int]]"
    """Resource, soft and hard limit."""
    user: "int | None"
    """The user to become; None keeps the present one."""
    readable: "list[str]"
    """What that user must reach."""
    contained: bool
    """The monitor is the first process of a PID namespace, and ``work`` is a file system of capped size."""
    call_filter: bytes
    """Of system calls, for seccomp; empty does without."""
    rules: "list[Rule] | None"
    """Landlock rules; None does without."""
    landlock_abi: int
    written: int
    """Bytes that may be written, in all."""
    files: int

    def pack(self) -> bytes:
        """For :meth:`unpack`."""
        return marshal.dumps(vars(self))

    @classmethod
    def unpack(cls, data: bytes) -> "Plan":
        """The plan that was packed."""
        plan = cls()
        vars(plan).update(marshal.loads(data))
        return plan


def main(plan: int, control: int, status: int) -> None:
    """Carry out a plan; the arguments are file descriptors."""
    with open(plan, "rb") as file:
        orders = Plan.unpack(file.read())
    try:
        # Before anything of the program runs: it may have the monitor's user.
        linux.hide_memory()
        if not orders.contained:
            linux.adopt_orphans()
        program = _start(orders)
    except OSError as problem:
        os.write(status, f"error {problem.strerror}\n".encode())
        return
    os.write(status, b"started\n")
    why, ended = _watch(orders, program, control)
    killed = _end_all(orders, program)
    written, files = _written(orders)
    if written > orders.written or files > orders.files:
        why = "file-size"  # faster than a tick
    full = written >= orders.written
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    result = killed if ended is None else ended
    os.write(status, f"stopped {why} {result} {cpu:.3f} {used.ru_maxrss} {int(full)}\n".encode())


def _start(plan: Plan) -> int:
    """Start the program and give its process id.

    Raises:
        OSError: It cannot be confined or started.
    """
    problems, tell = os.pipe()
    program = os.fork()
    if not program:
        try:
            _become_the_program(plan, tell)
        except Exception as problem:  # a border: whatever happens, this process must not go on as a second monitor
            os.write(tell, (getattr(problem, "strerror", None) or repr(problem)).encode())
        finally:
            os._exit(127)
    os.close(tell)
    with open(problems, "rb") as file:  # noqa: PTH123
        message = file.read().decode()
    if message:
        os.waitpid(program, 0)
        raise OSError(0, message)
    return program


def _become_the_program(plan: Plan, tell: int) -> None:
    """Lock this process in, one lock after the other, and turn it into the program."""
    os.setsid()
    os.chdir(plan.work)
    # The paths of the rules are opened while root still can.
    ruleset = None if plan.rules is None else landlock.open_ruleset(plan.rules, plan.landlock_abi)
    if plan.user is not None:
        linux.become(plan.user, plan.readable)
    elif plan.call_filter:
        linux.give_up_capabilities()
    linux.die_with_parent()
    linux.forgo_new_privileges()
    if ruleset is not None:
        landlock.restrict(ruleset)
    if plan.call_filter:
        linux.filter_system_calls(plan.call_filter)
    # The monitor's pipes among them, and what bubblewrap left open; the last closes itself when the program starts.
    os.closerange(3, tell)
    os.closerange(tell + 1, _HIGHEST_DESCRIPTOR)
    for kind, soft, hard in plan.limits:
        highest = resource.getrlimit(kind)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(kind, (soft, hard))
    try:
        os.execve(plan.argv[0], plan.argv, plan.environment)
    except OSError as problem:
        raise OSError(problem.errno, f"{plan.argv[0]}: {problem.strerror}") from None


def _watch(plan: Plan, program: int, control: int) -> "tuple[str, int | None]":
    """Wait until the program ends, is to be stopped, or has written too much: why, and its status if it has ended."""
    events = select.poll()
    events.register(control, 0)  # nothing is ever sent: only that it was closed
    ended = os.pidfd_open(program)
    events.register(ended, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in events.poll(_TICK_MS)}
        status = _reap(program)
        if status is not None:
            return "ended", status
        if control in ready:
            return "asked", None
        written, files = _written(plan)
        if files > plan.files or written > plan.written:
            return "file-size", None


def _reap(program: int) -> "int | None":
    """Collect what has ended, the program's orphans too; the status of the program if it is among them."""
    found = None
    try:
        while found is None:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                break
            if process == program:
                found = status
    except ChildProcessError:
        pass
    return found


def _written(plan: Plan) -> "tuple[int, int]":
    """Bytes and files in the work folder; more than allowed if they cannot be counted."""
    if plan.contained:
        system = os.statvfs(plan.work)
        used, files = (system.f_blocks - system.f_bfree) * system.f_frsize, system.f_files - system.f_ffree
        return used, files
    size = files = 0
    folders = [plan.work]
    while folders and files <= plan.files:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError:  # made unreadable, or nested deeper than a path may be long: to hide something
            return plan.written + 1, plan.files + 1
    return size, files


def _end_all(plan: Plan, program: int) -> int:
    """Kill every process that is left, so that none outlives the run; the program's status, if it was among them.

    Whoever lives is, or descends from, a living child of this process, which adopts orphans: when it has no child left,
    nobody lives. What /proc lists may be out of date in between.
    """
    status = 0
    while True:
        living = [-1] if plan.contained else _descendants()
        for process in living:
            _kill(process)
        try:
            # Not reaped before all seen are dead: until then the dead count against the limit of processes, and those
            # that fork as fast as they are killed run out of it.
            while plan.contained or not living:
                process, ended = os.waitpid(-1, os.WNOHANG)
                if process == program:
                    status = ended
                elif not process:
                    break
        except ChildProcessError:
            return status
        time.sleep(_DYING_S)


def _kill(process: int) -> None:
    try:  # noqa: SIM105 (contextlib is slow to import)
        os.kill(process, _SIGKILL)
    except ProcessLookupError:
        pass


def _descendants() -> "list[int]":
    """The living processes below this one, orphans included: this process adopts them."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []  # nothing is left, as after most runs: spare the look at every process of the machine
    parents: dict[int, int] = {}
    living: set[int] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, parent, *_ = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended, or is hidden and thus none of ours
            continue
        parents[int(name)] = int(parent)
        if state.decode() != _ZOMBIE:
            living.add(int(name))
    found: list[int] = []
    for process in living:
        above = parents.get(process)
        while above is not None and above != os.getpid():
            above = parents.get(above)
        if above is not None:
            found.append(process)
    return found
