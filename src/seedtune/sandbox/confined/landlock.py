"""Landlock (landlock(7)): a process gives up the right to open all files but a few, to use TCP, to signal others.

It says nothing about metadata: what a program could stat() before, it still can; what it could change (modes, owners,
times, attributes) is refused by seccomp.
"""

import ctypes
import errno
import os
import struct

from .linux import check, libc

Rule = tuple[str, str]
"""A path, and what may be done with it and all beneath: ``execute``, ``read``, ``list``, ``device`` or ``write``."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_GIVE_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
_MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _MAKE_SYM = 1 << 7, 1 << 8, 1 << 10, 1 << 12
_TRUNCATE = 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE

# To write does not include to delete or rename a file: all that was written stays in the folder and can be counted.
_RIGHTS = {
    "execute": _EXECUTE | _READ_FILE | _READ_DIR,
    "read": _READ_FILE | _READ_DIR,
    "list": _READ_DIR,
    "device": _READ_FILE | _WRITE_FILE,
    "write": _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO
    | _MAKE_SYM,
}  # fmt: skip

_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 5: 16}
"""How many rights on files a version of Landlock knows, from that version on."""
_TCP_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""Abstract sockets and signals."""


def abi() -> int:
    """The version of Landlock that the kernel speaks; 0 if it has none or has it switched off."""
    return max(0, libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GIVE_VERSION))


def contains_signals(version: int) -> bool:
    """At this version a process can be kept from signalling those outside."""
    return version >= _SCOPES_SINCE


def _handled(version: int) -> tuple[int, bytes]:
    """The rights on files that are taken away, and ``struct landlock_ruleset_attr``."""
    files = (1 << max(count for since, count in _FILE_RIGHTS_BY_ABI.items() if since <= version)) - 1
    attributes = struct.pack("=Q", files)
    if version >= _TCP_SINCE:
        attributes += struct.pack("=Q", _TCP)
    if version >= _SCOPES_SINCE:
        attributes += struct.pack("=Q", _SCOPES)
    return files, attributes


def open_ruleset(rules: list[Rule], version: int) -> int:
    """A descriptor of what ``rules`` leave allowed.

    Raises:
        OSError: The kernel has no Landlock, or a path is missing.
    """
    if version < 1:
        raise OSError(errno.EOPNOTSUPP, "the kernel has no Landlock, or has it switched off")
    handled, attributes = _handled(version)
    size = ctypes.c_size_t(len(attributes))
    ruleset = check(libc.syscall(_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    for path, kind in rules:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = _RIGHTS[kind] & handled
        if not os.path.isdir(path):  # noqa: PTH112 (pathlib is slow to import)
            rights &= _OF_FILES
        beneath = struct.pack("=Qi", rights, descriptor)
        check(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0), f"landlock_add_rule {path}")
        os.close(descriptor)
    return ruleset


def restrict(ruleset: int) -> None:
    """Take from this process and its children, for good, what ``ruleset`` does not allow."""
    check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
