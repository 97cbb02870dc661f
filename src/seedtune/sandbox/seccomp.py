"""The system calls that a program is refused, as a seccomp filter.

The rest is allowed: interpreters differ too much for a list of what is allowed to hold. Calls newer than the tables are
answered as if the kernel did not have them, so nothing that a later kernel adds is let through unread. 32-bit and x32
calls, whose numbers mean something else, kill the process.
"""

import errno
import os
import struct
from functools import cache

from seedtune.errors import SandboxError
from seedtune.sandbox.confined.linux import OWN_PROCESS, STEP

Numbers = dict[str, tuple[int | None, int | None]]
"""Name: number on x86-64, number on aarch64; None where the machine does not have it."""

_NETWORK: Numbers = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "bind": (49, 200),
    "connect": (42, 203),
    "listen": (50, 201),
    "socket": (41, 198),
}
_MOUNTS_AND_NAMESPACES: Numbers = {
    "chroot": (161, 51),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "listmount": (458, 458),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "setns": (308, 268),
    "statmount": (457, 457),
    "umount2": (166, 39),
    "unshare": (272, 97),
}
_OTHER_PROCESSES: Numbers = {
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
}
_KERNEL: Numbers = {
    "_sysctl": (156, None),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "nfsservctl": (180, 42),
    "personality": (135, 92),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "ustat": (136, None),
    "vhangup": (153, 58),
}
_SHARED_MEMORY: Numbers = {
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
}
"""Memory that belongs to no process and to no counted folder, and names that other programs of the machine share."""
_METADATA: Numbers = {
    "chmod": (90, None),
    "chown": (92, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fremovexattr": (199, 16),
    "fsetxattr": (190, 7),
    "futimesat": (261, None),
    "inotify_add_watch": (254, 27),
    "lchown": (94, None),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "removexattr": (197, 14),
    "setxattr": (188, 5),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
}
"""Landlock says nothing about these, and the program may be the owner of files out there."""
_CONDITIONAL: Numbers = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "prlimit64": (302, 261),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "setpriority": (141, 140),
    "socketpair": (53, 199),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "truncate": (76, 45),
}
"""Whether these are refused hangs on their arguments, or on Landlock."""

DENIED = {**_NETWORK, **_MOUNTS_AND_NAMESPACES, **_OTHER_PROCESSES, **_KERNEL, **_SHARED_MEMORY}
NUMBERS = {**DENIED, **_METADATA, **_CONDITIONAL}
_NEWEST = 462
"""mseal, of Linux 6.10: the last call that was read and judged; numbers are the same on both machines up here."""

_SIGNALS = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")

# BPF: what an instruction does, and what the filter answers (linux/filter.h, linux/seccomp.h).
_LOAD, _EQUAL, _ABOVE, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_AF_UNIX, _SOCK_STREAM, _SOCK_TYPE = 1, 1, 0xF
# Owner and number of the signal that a descriptor sends; leases and notices that hold up other programs; pipe size.
_FCNTL_DENIED = (8, 10, 15, 1024, 1026, 1031)
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2.
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
_O_TMPFILE = 0o20000000  # without O_DIRECTORY, which os.O_TMPFILE includes
_O_TRUNC, _O_ACCMODE = os.O_TRUNC, os.O_ACCMODE

Instruction = tuple[int, int, int, int]
"""Code, how many instructions to skip if true, and if false, operand."""


def _answer(number: int) -> int:
    return 0x00050000 | number


_DENY = (_RETURN, 0, 0, _answer(errno.EPERM))
_PASS = (_RETURN, 0, 0, _ALLOW)


def _argument(index: int) -> Instruction:
    """Load the low half of an argument: the kernel reads no more of an int."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * index)


def _only(index: int, *values: int, otherwise: Instruction = _DENY) -> list[Instruction]:
    """Allow the call if an argument is one of ``values``."""
    tests = [(_EQUAL, 0, 1, value & 0xFFFFFFFF) for value in values]
    return [_argument(index), *(step for test in tests for step in (test, _PASS)), otherwise]


def _unless(index: int, *values: int) -> list[Instruction]:
    """Deny the call if an argument is one of ``values``."""
    tests = [(_EQUAL, 0, 1, value) for value in values]
    return [_argument(index), *(step for test in tests for step in (test, _DENY)), _PASS]


def _flags(index: int, stops_truncation: bool) -> list[Instruction]:
    """Deny to open a file without a name, or to empty one that is opened for reading (Landlock before ABI 3)."""
    nameless = [_argument(index), (_ANY_BIT, 0, 1, _O_TMPFILE), _DENY]
    emptied = [(_AND, 0, 0, _O_TRUNC | _O_ACCMODE), (_EQUAL, 0, 1, _O_TRUNC), _DENY]
    return [*nameless, *(emptied if stops_truncation else []), _PASS]


def _conditions() -> dict[str, list[Instruction]]:
    """Calls that hang on their arguments."""
    scheduling = ("sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
    own = {name: _only(0, 0) for name in scheduling}
    which = [_argument(0), (_EQUAL, 1, 0, 0), _DENY]
    kind = [_argument(0), (_EQUAL, 1, 0, _AF_UNIX), _DENY, _argument(1), (_AND, 0, 0, _SOCK_TYPE)]
    return {
        **own,
        "prlimit64": _only(0, 0),
        "setpriority": [*which, *_only(1, 0)],
        # A stream between the program's own processes; a datagram socket could still write to any other by its name.
        "socketpair": [*kind, (_EQUAL, 1, 0, _SOCK_STREAM), _DENY, _PASS],
        "clone": [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _DENY, _PASS],
        "fcntl": _unless(1, *_FCNTL_DENIED),
        "ioctl": _only(1, *_IOCTL_ALLOWED, otherwise=(_RETURN, 0, 0, _answer(errno.ENOTTY))),
        # Their flags lie in memory, where no filter can read them; libraries fall back to the older calls.
        "clone3": [(_RETURN, 0, 0, _answer(errno.ENOSYS))],
        "openat2": [(_RETURN, 0, 0, _answer(errno.ENOSYS))],
    }


def _conditions_beside_landlock(abi: int, alone: bool) -> dict[str, list[Instruction]]:
    stops_truncation = abi < 3
    conditions = {"open": _flags(1, stops_truncation), "openat": _flags(2, stops_truncation)}
    if stops_truncation:
        conditions["truncate"] = [_DENY]
    if alone:
        conditions |= {name: _only(0, OWN_PROCESS) for name in _SIGNALS}
        conditions |= {"kill": _only(0, OWN_PROCESS, -OWN_PROCESS, 0), "tkill": [_DENY]}
    return conditions


@cache
def build(landlock_abi: int | None = None, alone: bool = False, machine: str | None = None) -> bytes:
    """The filter as an array of ``struct sock_filter``; ``OWN_PROCESS`` is to be filled in where it is installed.

    Args:
        landlock_abi: Refuse too what this version of Landlock leaves open; None where mounts shut the program in.
        alone: Refuse signals to any process but the program's first one and its group; else the kernel sees to that.
        machine: As ``os.uname()`` names it; None is this one.

    Raises:
        SandboxError: There is no table for this machine.
    """
    machine = machine or os.uname().machine
    if machine not in _MACHINES:
        raise SandboxError(f"no table of system calls for {machine}, only for {' and '.join(_MACHINES)}")
    column, audit = _MACHINES[machine]
    rules = {**{name: [_DENY] for name in DENIED}, **_conditions()}
    if landlock_abi is not None:
        rules |= {name: [_DENY] for name in _METADATA}
        rules |= _conditions_beside_landlock(landlock_abi, alone)
    steps: list[Instruction] = [(_LOAD, 0, 0, _MACHINE_AT), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, _NUMBER_AT))
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for name, rule in rules.items():
        number = NUMBERS[name][column]
        if number is not None:
            steps += [(_EQUAL, 0, len(rule), number), *rule]
    steps += [(_ABOVE, 0, 1, _NEWEST), (_RETURN, 0, 0, _answer(errno.ENOSYS)), _PASS]
    return b"".join(struct.pack(STEP, *step) for step in steps)
