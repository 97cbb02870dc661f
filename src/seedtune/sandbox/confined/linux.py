"""The few system calls that Python has no name for: prctl(2) and capset(2)."""

import ctypes
import os
import struct

libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIGKILL = 9

STEP = "=HBBI"
"""``struct sock_filter``: what to do, how many steps to skip if true, and if false, operand."""
OWN_PROCESS = 0x7FFFFFFF
"""Stands, in a filter, for the process that installs it. No process id is that large."""

DAC_OVERRIDE = 1
DAC_READ_SEARCH = 2


def check(result: int, what: str) -> int:
    """``result``, or OSError with errno and ``what`` if it says that the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(what: str, *arguments: int) -> None:
    check(libc.prctl(*(ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:5])), what)


def hide_memory() -> None:
    """Close /proc/PID/mem, fd and environ of this process to other processes of the same user."""
    _prctl("PR_SET_DUMPABLE", _PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent has ended."""
    _prctl("PR_SET_CHILD_SUBREAPER", _PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    _prctl("PR_SET_PDEATHSIG", _PR_SET_PDEATHSIG, _SIGKILL)


def forgo_new_privileges() -> None:
    """Never gain rights from a set-user-id file; Landlock and seccomp ask for it."""
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)


def filter_system_calls(program: bytes) -> None:
    """Install a seccomp filter, an array of ``struct sock_filter``, for good."""
    own = {OWN_PROCESS: os.getpid(), -OWN_PROCESS & 0xFFFFFFFF: -os.getpid() & 0xFFFFFFFF}
    steps = [(*step[:3], own.get(step[3], step[3])) for step in struct.iter_unpack(STEP, program)]
    program = b"".join(struct.pack(STEP, *step) for step in steps)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    buffer = ctypes.create_string_buffer(program, len(program))
    whole = Program(len(program) // 8, ctypes.addressof(buffer))
    _prctl("PR_SET_SECCOMP", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(whole))


class _Capabilities(ctypes.Structure):
    """``struct __user_cap_header_struct`` followed by two ``struct __user_cap_data_struct``."""

    _names = ("version", "pid", "effective", "permitted", "inheritable", "effective2", "permitted2", "inheritable2")
    _fields_ = tuple((name, ctypes.c_uint32) for name in _names)


def _permitted() -> int:
    """The capabilities below 32 that this process may use."""
    state = _Capabilities(version=_CAPABILITY_VERSION_3)
    check(libc.capget(ctypes.byref(state), ctypes.byref(state, _Capabilities.effective.offset)), "capget")
    return int(state.permitted)


def _keep_only(capability: int | None) -> None:
    """Give up every capability but one, and pass that one on over execve."""
    mask = 0 if capability is None else 1 << capability
    state = _Capabilities(version=_CAPABILITY_VERSION_3, effective=mask, permitted=mask, inheritable=mask)
    check(libc.capset(ctypes.byref(state), ctypes.byref(state, _Capabilities.effective.offset)), "capset")
    if capability is not None:
        _prctl("PR_CAP_AMBIENT", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def become(user: int, readable: list[str]) -> None:
    """Turn from root into a user of no rights.

    Args:
        user: Number of the user and of the group.
        readable: What the program must reach. Where ``user`` cannot (root's own folders), one capability is kept: to
            read whatever a file's mode says. Mounts or Landlock decide what there is to read.
    """
    _prctl("PR_SET_KEEPCAPS", _PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except PermissionError as problem:
        raise OSError(problem.errno, "root without CAP_SETUID and CAP_SETGID cannot become another user") from None
    if all(os.access(path, os.R_OK | (os.X_OK if os.path.isdir(path) else 0)) for path in readable):  # noqa: PTH112
        _keep_only(None)
        return
    # A container's root often has DAC_OVERRIDE alone.
    _keep_only(DAC_READ_SEARCH if _permitted() & 1 << DAC_READ_SEARCH else DAC_OVERRIDE)


def give_up_capabilities() -> None:
    """For the root of a user namespace, who has some without being another user's better."""
    _keep_only(None)
