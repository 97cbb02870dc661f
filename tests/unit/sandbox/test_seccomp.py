"""The filter of system calls, run step by step as the kernel would, for both machines; and its tables."""

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from seedtune.errors import SandboxError
from seedtune.sandbox import seccomp
from seedtune.sandbox.confined.linux import OWN_PROCESS, STEP

ALLOW, KILL = 0x7FFF0000, 0x80000000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def denied(number: int = errno.EPERM) -> int:
    return 0x00050000 | number


def answer(program: bytes, number: int, *arguments: int, machine: str = "x86_64") -> int:
    """What the kernel's interpreter would return for a call (Documentation/networking/filter.rst)."""
    data = struct.pack("=iIQ6Q", number, AUDIT[machine], 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    steps = list(struct.iter_unpack(STEP, program))
    at = register = 0
    while True:
        code, if_true, if_false, operand = steps[at]
        at += 1
        if code == 0x20:
            [register] = struct.unpack_from("=I", data, operand)
        elif code == 0x54:
            register &= operand
        elif code == 0x06:
            return operand
        else:
            tests = {0x15: register == operand, 0x25: register > operand, 0x35: register >= operand}
            at += if_true if {**tests, 0x45: bool(register & operand)}[code] else if_false


def call(program: bytes, name: str, *arguments: int, machine: str = "x86_64") -> int:
    number = seccomp.NUMBERS[name][list(AUDIT).index(machine)]
    assert number is not None
    return answer(program, number, *(value & 0xFFFFFFFFFFFFFFFF for value in arguments), machine=machine)


@pytest.fixture(params=AUDIT)
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("abi", [None, 1, 7])
def test_what_is_dangerous_is_refused_whatever_its_arguments(machine: str, abi: int | None) -> None:
    program = seccomp.build(abi, machine=machine)
    column = list(AUDIT).index(machine)
    for numbers in seccomp.DENIED.values():
        if numbers[column] is not None:
            for argument in (0, 1, 0xFFFFFFFFFFFFFFFF):
                assert answer(program, numbers[column], argument, argument, machine=machine) == denied()


def test_reading_writing_and_memory_are_allowed(machine: str) -> None:
    for number in {"x86_64": (0, 1, 3, 9, 59, 60), "aarch64": (63, 64, 57, 222, 221, 93)}[machine]:
        assert answer(seccomp.build(1, machine=machine), number, machine=machine) == ALLOW


def test_calls_of_another_machine_and_x32_kill() -> None:
    assert answer(seccomp.build(machine="x86_64"), 0, machine="aarch64") == KILL
    assert answer(seccomp.build(machine="aarch64"), 0, machine="x86_64") == KILL
    assert answer(seccomp.build(machine="x86_64"), 0x40000000) == KILL
    assert answer(seccomp.build(machine="x86_64"), -1) == KILL


def test_calls_that_are_newer_than_the_tables_do_not_exist(machine: str) -> None:
    program = seccomp.build(machine=machine)
    assert answer(program, 462, machine=machine) == ALLOW
    assert answer(program, 463, machine=machine) == denied(errno.ENOSYS)
    assert call(program, "clone3", machine=machine) == denied(errno.ENOSYS)
    assert call(program, "openat2", machine=machine) == denied(errno.ENOSYS)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("socketpair", [(1, 1), (1, 1 | os.O_CLOEXEC | os.O_NONBLOCK)], [(1, 2), (1, 5), (2, 1), (16, 1)]),
        ("clone", [(17,), (0x3D0F00,)], [(17 | flag,) for flag in (0x20000, 0x2000000, 0x10000000, 0x40000000)]),
        ("prlimit64", [(0,), (1 << 32,)], [(1,), (-1,)]),
        ("sched_setaffinity", [(0,)], [(1,), (-1,)]),
        ("setpriority", [(0, 0)], [(0, 1), (1, 0), (2, 0)]),
        ("fcntl", [(3, 1), (3, 2), (3, 4), (3, 1030)], [(3, 8), (3, 10), (3, 15), (3, 1024), (3, 1026), (3, 1031)]),
    ],
)
def test_a_conditional_call_hangs_on_its_arguments(
    machine: str, name: str, allowed: list[tuple[int, ...]], refused: list[tuple[int, ...]]
) -> None:
    """Of an int argument the kernel reads the low half alone, and so does the filter."""
    program = seccomp.build(machine=machine)
    assert [call(program, name, *arguments, machine=machine) for arguments in allowed] == [ALLOW] * len(allowed)
    assert [call(program, name, *arguments, machine=machine) for arguments in refused] == [denied()] * len(refused)


def test_terminals_cannot_be_fed(machine: str) -> None:
    program = seccomp.build(machine=machine)
    assert call(program, "ioctl", 0, 0x5401, machine=machine) == ALLOW
    for request in (0x5412, 0x541C, 0x8901, 0x40086602):  # TIOCSTI, TIOCLINUX, FIOSETOWN, FS_IOC_SETFLAGS
        assert call(program, "ioctl", 0, request, machine=machine) == denied(errno.ENOTTY)


def test_what_landlock_leaves_open_is_refused_beside_it_alone(machine: str) -> None:
    contained, beside = seccomp.build(machine=machine), seccomp.build(7, machine=machine)
    for name in ("fchmod", "fchmodat", "fchownat", "utimensat", "setxattr", "inotify_add_watch"):
        assert call(contained, name, machine=machine) == ALLOW
        assert call(beside, name, machine=machine) == denied()


def test_files_cannot_be_emptied_through_a_read_before_landlock_knows_of_it(machine: str) -> None:
    for abi, expected in ((1, denied()), (2, denied()), (3, ALLOW)):
        program = seccomp.build(abi, machine=machine)
        assert call(program, "openat", -100, 0, os.O_RDONLY | os.O_TRUNC, machine=machine) == expected
        assert call(program, "truncate", machine=machine) == expected
        assert call(program, "openat", -100, 0, os.O_WRONLY | os.O_TRUNC | os.O_CREAT, machine=machine) == ALLOW
        assert call(program, "openat", -100, 0, 0o20000000 | os.O_RDWR, machine=machine) == denied()  # O_TMPFILE


def test_signals_reach_the_own_process_and_group_alone_where_landlock_does_not_see_to_it(machine: str) -> None:
    program = seccomp.build(5, alone=True, machine=machine)
    for process in (OWN_PROCESS, -OWN_PROCESS, 0):
        assert call(program, "kill", process, 9, machine=machine) == ALLOW
    for process in (1, -1, 1234, -1234):
        assert call(program, "kill", process, 9, machine=machine) == denied()
    assert call(program, "tgkill", OWN_PROCESS, 1, 9, machine=machine) == ALLOW
    assert call(program, "tgkill", 1234, 1, 9, machine=machine) == denied()
    assert call(program, "rt_sigqueueinfo", 1234, 9, machine=machine) == denied()
    assert call(program, "tkill", OWN_PROCESS, 9, machine=machine) == denied()
    assert call(seccomp.build(6, machine=machine), "kill", 1234, 9, machine=machine) == ALLOW


def test_a_machine_without_a_table_is_refused() -> None:
    with pytest.raises(SandboxError, match="no table of system calls for riscv64, only for x86_64 and aarch64"):
        seccomp.build(machine="riscv64")


def test_the_numbers_are_the_kernels(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"no {HEADERS[machine]} (apt install linux-libc-dev)")
    found = re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    headers = {name: int(number) for name, number in reversed(found)}
    column = list(AUDIT).index(machine)
    ours = {name: numbers[column] for name, numbers in seccomp.NUMBERS.items()}
    newest = max(number for name, number in headers.items() if name != "syscalls")
    for name, number in ours.items():
        assert headers.get(name) == number or (number or 0) > newest, name
