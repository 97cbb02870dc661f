"""What is laid out on disk for one run, and taken away after it."""

import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from seedtune.errors import ConfigError, SandboxError
from seedtune.sandbox.interpreter import base_interpreter
from seedtune.sandbox.program import Level, Program

logger = logging.getLogger(__name__)

_USERS = 4096
"""A user to become is drawn from so many at least: runs at one time must not share one, nor its count of processes."""
_WIDE = (1 << 30, 1 << 31)
"""Numbers that no system gives to its users."""


@dataclass(frozen=True)
class Place:
    """A private folder: ``main.py``, ``python/`` (an empty virtual environment) and, without bubblewrap, ``work/``."""

    folder: Path
    user: int | None
    """The user that the program becomes, if seedtune is root."""
    files: dict[str, Path]
    import_path: list[Path]
    """Both with links resolved."""

    @property
    def script(self) -> Path:
        """The program's text."""
        return self.folder / "main.py"

    @property
    def script_name(self) -> str:
        """Its name in the work folder, so that files are found beside ``__file__``; none of theirs."""
        taken = {PurePosixPath(name).parts[0] for name in self.files}
        names = ("main.py", *(f"main-{number}.py" for number in range(1, len(taken) + 1)))
        return next(name for name in names if name not in taken)

    @property
    def python(self) -> Path:
        """An environment without packages: Python's own start, ``exit()`` and all, but nothing installed."""
        return self.folder / "python"

    @property
    def work(self) -> Path:
        """Where the program writes."""
        return self.folder / "work"


@contextmanager
def laid_out(program: Program, level: Level) -> Generator[Place]:
    """Write down what a run needs, and remove it afterwards with all that the program wrote.

    Raises:
        ConfigError: A file or folder of the program does not exist.
        SandboxError: We are root without the rights of one.
    """
    files = {name: _resolved(path, f"the file {name!r}") for name, path in program.files.items()}
    import_path = [_resolved(path, "a folder of import_path") for path in program.import_path]
    if level != "bubblewrap" and any(os.pathsep in str(path) for path in import_path):
        raise ConfigError(f"a folder of import_path has {os.pathsep!r} in its name: Python cannot take it")
    folder = Path(tempfile.mkdtemp(prefix="seedtune-sandbox-"))
    try:
        place = Place(folder, None if level == "unsafe" else _user_to_become(), files, import_path)
        _fill(place, program.code)
        if level != "bubblewrap":
            _make_work(place)
        yield place
    finally:
        _remove(folder)


def _resolved(path: Path, what: str) -> Path:
    try:
        found = path.resolve(strict=True)
    except OSError as problem:
        raise ConfigError(f"{what}: {path}: {problem.strerror}") from None
    if not found.is_file() and not found.is_dir():
        raise ConfigError(f"{what}: {path} is neither a file nor a folder")
    return found


def _user_to_become() -> int | None:
    """A number that nobody has; None if we are not root, or root over no other users."""
    if os.geteuid() != 0:
        return None
    low, high = 0, 0
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        low, high = max((low, high), (first, first + count), key=lambda span: span[1])
    if low <= _WIDE[0] and _WIDE[1] <= high:
        return secrets.choice(range(*_WIDE))
    return secrets.choice(range(high - _USERS, high)) if high - low > _USERS else None


def _fill(place: Place, code: str) -> None:
    python = base_interpreter().executable
    # A text from a model may hold half of a surrogate pair; Python itself shall say that it is no program.
    place.script.write_bytes(code.encode("utf-8", "surrogatepass"))
    (place.python / "bin").mkdir(parents=True)
    (place.python / "bin" / "python").symlink_to(python)
    settings = place.python / "pyvenv.cfg"
    settings.write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n")
    # Another user has to read them; whoever owns them must not write to them by accident.
    for path, mode in ((place.script, 0o444), (settings, 0o444), (place.python, 0o755), (place.python / "bin", 0o755)):
        path.chmod(mode)


def _make_work(place: Place) -> None:
    place.work.mkdir(mode=0o700)
    os.link(place.script, place.work / place.script_name)
    for name, source in place.files.items():
        link = place.work / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    if place.user is not None:
        try:
            os.chown(place.work, place.user, place.user)
        except PermissionError:
            raise SandboxError("root without CAP_CHOWN cannot hand a folder to another user") from None
        place.folder.chmod(0o711)  # to be passed through, not to be listed


def _remove(folder: Path) -> None:
    """Remove a tree that may be nested deeper than paths can be long, with folders that may not be read.

    What lies in a folder is moved up to the top, one folder at a time; nothing runs there any more.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        pending, moved = _names(top), 0
        while pending:
            name = pending.pop()
            if not _is_folder(name, top):
                os.unlink(name, dir_fd=top)
                continue
            _open_up(name, top)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            for child in _names(inner):
                if _is_folder(child, inner):
                    _open_up(child, inner)  # a folder is moved only by who may write to it
                moved += 1
                os.rename(child, f"{moved}.moved", src_dir_fd=inner, dst_dir_fd=top)
                pending.append(f"{moved}.moved")
            os.close(inner)
            os.rmdir(name, dir_fd=top)
        folder.rmdir()
    except OSError as problem:
        logger.warning("what a program left in %s could not be removed: %s", folder, problem)
    finally:
        os.close(top)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _is_folder(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)


def _open_up(name: str, parent: int) -> None:
    with suppress(PermissionError):  # root without CAP_FOWNER needs no mode to be right
        os.chmod(name, 0o700, dir_fd=parent)
