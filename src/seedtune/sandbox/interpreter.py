"""The Python that runs programs, and what it reads from this machine."""

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

_LIBRARIES = (
    *("/lib", "/lib32", "/lib64"),
    *("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"),
)
_STORES = ("/nix/store", "/gnu/store")
"""Of Nix and Guix, with every library and every package of the machine: too much to look through."""
_PACKAGES = ("site-packages", "dist-packages")
_SEEDTUNE = Path(__file__).resolve().parents[1]
_DATA = ("/etc/ld.so.cache", "/usr/share/zoneinfo")

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Interpreter:
    """The Python that seedtune's own environment was made from, without the packages of either."""

    executable: Path
    libraries: tuple[Path, ...]
    """Folders, none inside another; symbolic links among them are as on this machine (``/lib``)."""
    hidden: tuple[Path, ...]
    """Folders below the libraries, none inside another, that no program may read: installed packages, and seedtune
    itself wherever it lies, whose files say what programs are expected to print."""
    data: tuple[Path, ...]
    """Files and folders that are read where they exist."""

    def openings(self) -> Iterator["Opening"]:
        """What may be opened so that the libraries can be read, and nothing that is hidden."""
        hidden = set(map(str, self.hidden))
        passed = {str(folder) for path in self.hidden for folder in path.parents}
        pending = list({str(path.resolve()) for path in self.libraries})
        while pending:
            path = pending.pop()
            yield Opening(path, is_whole=path not in passed)
            if path in passed:
                with os.scandir(path) as entries:
                    # What a link leads to is no part of this folder: it is opened where it lies, or not at all.
                    pending += [each.path for each in entries if each.path not in hidden and not each.is_symlink()]


class Opening(NamedTuple):
    """A path that may be opened."""

    path: str
    is_whole: bool
    """With all that is beneath it; otherwise what is there may be listed, and no more."""


@cache
def base_interpreter() -> Interpreter:
    """The interpreter; its library is bound alone, not the folder it lies in (which may be someone's home)."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    named = Path(sys.base_prefix) / "bin" / name
    executable = (named if named.exists() else Path(sys.executable)).resolve()
    own = [Path(sys.base_prefix) / "lib", Path(sys.base_exec_prefix) / sys.platlibdir]
    wanted = [*map(Path, (*_LIBRARIES, *_STORES)), *(path.resolve() for path in own)]
    found = [path for path in dict.fromkeys(wanted) if path.is_dir()]
    libraries = tuple(path for path in found if not any(other in path.parents for other in found))
    data = tuple(path for path in map(Path, _DATA) if path.exists())
    return Interpreter(executable, libraries, _hidden(libraries), data)


def _hidden(libraries: Iterable[Path]) -> tuple[Path, ...]:
    roots = {path.resolve() for path in libraries}
    candidates = {_seedtune(), *(path for root in roots if str(root) not in _STORES for path in _packages(root))}
    found = {path for path in candidates if roots.intersection(path.parents)}
    return tuple(sorted(path for path in found if not found.intersection(path.parents)))


def _seedtune() -> Path:
    """The folder of the package; of a checkout all of it, as its tests know the answers too."""
    checkout = _SEEDTUNE.parent.parent
    is_checkout = _SEEDTUNE.parent.name == "src" and (checkout / "pyproject.toml").is_file()
    return checkout if is_checkout else _SEEDTUNE


def _packages(root: Path) -> Iterator[Path]:
    """Every folder of installed packages below ``root``, with links resolved."""
    pending = [str(root)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.name in _PACKAGES:
                        yield Path(entry.path).resolve()
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
        except OSError:  # closed to us, and to a program, which has no more rights
            continue
