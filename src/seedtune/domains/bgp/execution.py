"""Run a PyBGPStream program on local MRT files, in the sandbox.

The program finds its files in its working folder, and imports ``pybgpstream`` as everywhere. Which one that is, is said
in every result: the real library where it is installed beside seedtune, otherwise the one in ``sandboxed/``, which
alone serves a local archive in the broker's place and replays files as live.

Not covered: whether the program's answer is right; only what it did and printed.
"""

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from seedtune.domains.bgp.archive import NAMED_LIKE
from seedtune.domains.bgp.collectors import COLLECTORS
from seedtune.domains.bgp.sandboxed.pybgpstream._archive import LINKED_VARIABLE, identify
from seedtune.domains.bgp.sandboxed.pybgpstream._interfaces import ARCHIVE_VARIABLE
from seedtune.domains.bgp.sandboxed.pybgpstream._replay import ENVIRONMENT_VARIABLE, clock_of
from seedtune.errors import ConfigError
from seedtune.sandbox import ExecutionResult, Heard, Level, Limits, Program, run_code

SANDBOXED = Path(__file__).parent / "sandboxed"
"""What is put on ``sys.path`` of a program."""

ARCHIVE_NAME = "bgp-archive"
"""Name of the archive in the working folder."""


@dataclass(frozen=True)
class BgpRun:
    """What a program did, and over which PyBGPStream."""

    result: ExecutionResult
    backend: str
    """``seedtune``, or ``pybgpstream`` and its version."""

    def summary(self) -> str:
        """One line: outcome, why, cost, level and backend."""
        return f"{self.result.summary()}, backend {self.backend}"


def run_program(  # noqa: PLR0913 (one of them is by position)
    source: str,
    *,
    mrt: Sequence[Path] = (),
    archive: Path | None = None,
    replay: str | None = None,
    limits: Limits | None = None,
    level: Level | None = None,
    arguments: Sequence[str] = (),
    heard: Heard | None = None,
) -> BgpRun:
    """Run a program to its end, or to a limit.

    Args:
        source: The program's text.
        mrt: MRT files; the program opens each by its base name, and also by the path given here if that is relative.
            Those in folders of public collectors form an archive if ``archive`` is None.
        archive: Folder of MRT files that the data interface ``broker`` serves.
        replay: ``max`` or a speed factor, perhaps with a start (``60@2024-03-01 00:00``): data comes in as if live.
        limits: What the program may use; by default the sandbox's own.
        level: How it is shut in; by default the best that this machine offers.
        arguments: The program's own arguments.
        heard: Is told what the program prints, as it comes; see :func:`seedtune.sandbox.run_code`.

    Raises:
        ConfigError: a file does not exist, two files cannot be told apart, the archive holds nothing that can be
            served, or ``replay`` has another form.
        SandboxError: this machine cannot shut a program in.
    """
    files = _files(mrt)
    files |= _archive_files(mrt) if archive is None else {ARCHIVE_NAME: _folder(archive)}
    environment: dict[str, str] = {}
    if any(Path(name).parts[0] == ARCHIVE_NAME for name in files):
        environment[ARCHIVE_VARIABLE] = ARCHIVE_NAME
        if archive is None:
            environment[LINKED_VARIABLE] = "1"
    if replay is not None:
        _check_replay(replay)
        environment[ENVIRONMENT_VARIABLE] = replay
    backend, import_path = ("seedtune", SANDBOXED) if archive or replay else find_backend()
    program = Program(source, files, [import_path], environment, arguments)
    return BgpRun(run_code(program, limits, level, heard), backend)


def find_backend() -> tuple[str, Path]:
    """Which PyBGPStream a program gets, and the folder that it is imported from."""
    try:
        version = metadata.version("pybgpstream")
    except metadata.PackageNotFoundError:
        return "seedtune", SANDBOXED
    found = importlib.util.find_spec("pybgpstream")
    if found is None or found.origin is None:
        return "seedtune", SANDBOXED
    return f"pybgpstream {version}", Path(found.origin).parent.parent


def _files(mrt: Sequence[Path]) -> dict[str, Path]:
    """Names in the working folder: base names that one file alone has, and relative paths as they were given."""
    shared = Counter(path.name for path in {path.resolve(): path for path in mrt}.values())
    names: dict[str, Path] = {}
    for path in mrt:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder; give its MRT files one by one, or an archive with --archive")
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such MRT file")
        if shared[path.name] == 1:
            names[path.name] = path
        if not path.is_absolute() and ".." not in path.parts:
            names[str(path)] = path
        elif shared[path.name] > 1:
            raise ConfigError(
                f"{path}: {shared[path.name]} files have this name; give them by relative paths, or as an archive"
            )
    return names


def _archive_files(mrt: Sequence[Path]) -> dict[str, Path]:
    """Files that lie in a folder named after the public collector they are from, laid out as an archive."""
    names: dict[str, Path] = {}
    for path in mrt:
        absolute = path.absolute()
        found = [identify(absolute, root) for root in absolute.parents]
        public = [file for file in found if file and COLLECTORS.get(file.collector) == file.project]
        if public:
            # The folder furthest up decides: one named bgpdata alone would mean route-views2.
            file = public[-1]
            names[f"{ARCHIVE_NAME}/{file.project}/{file.collector}/{path.name}"] = path
    return names


def _folder(archive: Path) -> Path:
    if not archive.is_dir():
        raise ConfigError(f"{archive}: there is no such archive folder")
    # Otherwise every stream would be empty, and every program would look like one that found nothing.
    if not any(identify(path, archive) for path in archive.rglob("*")):
        raise ConfigError(f"{archive}: no file of an archive; they are named like {NAMED_LIKE}")
    return archive


def _check_replay(replay: str) -> None:
    try:
        clock_of(replay, None)
    except ValueError:
        raise ConfigError(
            f"replay '{replay}': write 'max', a speed such as '60', or either with a start: '60@2024-03-01 00:00'"
        ) from None
