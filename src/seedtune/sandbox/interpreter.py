"""The Python that runs programs, and what it reads from this machine."""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Nix and Guix keep every library in a store of their own.
_LIBRARIES = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
    *("/nix/store", "/gnu/store"),
)
_DATA = ("/etc/ld.so.cache", "/usr/share/zoneinfo")

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Interpreter:
    """The Python that seedtune's own environment was made from, without the packages of either."""

    executable: Path
    libraries: tuple[Path, ...]
    """Folders, none inside another; symbolic links among them are as on this machine (``/lib``)."""
    data: tuple[Path, ...]
    """Files and folders that are read where they exist."""


@cache
def base_interpreter() -> Interpreter:
    """The interpreter; its library is bound alone, not the folder it lies in (which may be someone's home)."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    named = Path(sys.base_prefix) / "bin" / name
    executable = (named if named.exists() else Path(sys.executable)).resolve()
    own = [Path(sys.base_prefix) / "lib", Path(sys.base_exec_prefix) / sys.platlibdir]
    wanted = [*map(Path, _LIBRARIES), *(path.resolve() for path in own)]
    found = [path for path in dict.fromkeys(wanted) if path.is_dir()]
    libraries = tuple(path for path in found if not any(other in path.parents for other in found))
    return Interpreter(executable, libraries, tuple(path for path in map(Path, _DATA) if path.exists()))
