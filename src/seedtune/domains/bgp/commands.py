"""Fetch and list MRT files; check and run PyBGPStream programs; make record-reading tasks."""

import codecs
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from cyclopts import App, Parameter
from cyclopts.validators import Number

from seedtune import console
from seedtune.domains.bgp import fetch as fetching
from seedtune.domains.bgp.archive import NAMED_LIKE, Damage, Kind, Listing, Series, find_damage, list_archive
from seedtune.domains.bgp.download import Client
from seedtune.domains.bgp.execution import BgpRun, run_program
from seedtune.domains.bgp.lint import CodeFinding, lint_program
from seedtune.domains.bgp.reading import LEVELS, TaskSplit, item_lines, make_tasks
from seedtune.errors import ConfigError
from seedtune.records import json_line, write_atomic
from seedtune.sandbox import ExecutionResult, Limits, Stream

app = App(name="bgp", help="Fetch and list MRT files; check and run PyBGPStream programs; make tasks.")

AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON for another program.")]

_SHOWN = 20
"""Of long lists, so many lines are shown."""


@Parameter(name="*")
@dataclass(frozen=True)
class Window:
    """A span of time, both ends inclusive."""

    from_: Annotated[
        str, Parameter(name="--from", help="First time, such as '2024-03-01 00:00' (UTC) or seconds since the epoch.")
    ]
    until: Annotated[str, Parameter(help="Last time; inclusive, as PyBGPStream's until_time.")]


@app.command
def archive(folder: Path, /, *, check: bool = False, as_json: AsJson = False) -> int:
    """List what a local archive of MRT files holds, and what is missing in it.

    Parameters
    ----------
    folder
        The archive: files named and laid out as RIPE RIS and RouteViews do.
    check
        Read every file to its end and name the damaged ones.
    """
    listing = list_archive(folder)
    damaged = _check(listing) if check else []
    if as_json:
        console.say_raw(json.dumps(_listing_as_json(listing, damaged if check else None), indent=2))
    else:
        _show_listing(listing)
        _say_some([f"damaged: {_below(d.path, folder)}: {d.problem} (after {d.records} records)" for d in damaged])
        if check and not damaged:
            console.say(f"damaged: none of {_count(sum(len(series.files) for series in listing.series), 'file')}")
    return 1 if damaged else 0


def _check(listing: Listing) -> list[Damage]:
    files = [file for series in listing.series for file in series.files]
    with console.progress("reading", len(files)) as advance:
        return find_damage(files, advance)


def _show_listing(listing: Listing) -> None:
    if not listing.series:
        console.say(f"{listing.folder}: no file of an archive; they are named like {NAMED_LIKE}")
    for series in listing.series:
        first, last = _clock(series.files[0].time), _clock(series.files[-1].time)
        missing = sum(gap.files for gap in series.gaps)
        console.say(
            f"{_name(series)}: {_count(len(series.files), 'file')}, {_size(series.bytes)}, "
            f"from {first} until {last}" + (f", {missing} missing" if missing else "")
        )
    for series in listing.series:
        gaps = [(_count(gap.files, "file"), _clock(gap.first), _clock(gap.last)) for gap in series.gaps]
        _say_some([f"missing: {_name(series)}: {files} from {first} until {last}" for files, first, last in gaps])
        _say_some([f"twice: {_name(series)}: {_below(path, listing.folder)}" for path in series.repeated])
    _say_some([f"unfinished: {path}" for path in listing.unfinished])
    _say_some([f"not understood: {path}" for path in listing.unknown])


def _name(series: Series) -> str:
    return f"{series.project} {series.collector} {series.type}"


def _listing_as_json(listing: Listing, damaged: Sequence[Damage] | None) -> dict[str, object]:
    """The listing with all its gaps; ``damaged`` is null if the files were not read."""
    return {
        "folder": str(listing.folder),
        "series": [
            {
                "project": series.project,
                "collector": series.collector,
                "type": series.type,
                "files": len(series.files),
                "bytes": series.bytes,
                "first": series.files[0].time,
                "last": series.files[-1].time,
                "gaps": [{"first": gap.first, "last": gap.last, "files": gap.files} for gap in series.gaps],
                "twice": [_below(path, listing.folder) for path in series.repeated],
            }
            for series in listing.series
        ],
        "unfinished": [str(path) for path in listing.unfinished],
        "not_understood": [str(path) for path in listing.unknown],
        "damaged": None
        if damaged is None
        else [{"path": _below(d.path, listing.folder), "problem": d.problem, "records": d.records} for d in damaged],
    }


@app.command
def fetch(
    *,
    collector: list[str],
    window: Window,
    into: Path,
    type_: Annotated[Literal["updates", "ribs", "both"], Parameter(name="--type")] = "updates",
    mirror: str | None = None,
    max_gb: float = 5.0,
    dry_run: bool = False,
) -> int:
    """Download MRT files of RIPE RIS and RouteViews into a local archive; what is there is skipped, parts go on.

    Parameters
    ----------
    collector
        A collector such as rrc00 or route-views.sg. Can be repeated.
    into
        The archive; made if it is not there.
    type_
        Which files: changes (updates), whole tables (ribs), or both.
    mirror
        Address of a mirror that is laid out like the public archives.
    max_gb
        The most to download, in GB.
    dry_run
        Say what would be downloaded, and do nothing.
    """
    if not max_gb > 0:
        raise ConfigError(f"--max-gb {max_gb:g}: give a size above zero")
    kinds: list[Kind] = ["updates", "ribs"] if type_ == "both" else [type_]
    client = Client()
    wanted = fetching.choose_files(collector, kinds, (window.from_, window.until), mirror)
    plan = fetching.make_plan(wanted, into, client)
    if not (plan.files or plan.here or plan.missing):
        every = {f"{one.collector} writes one every {one.project.rib_every_s // 3600} hours" for one in wanted}
        raise ConfigError(
            f"no RIB begins from {window.from_} until {window.until}: {', '.join(sorted(every))}, from 00:00 UTC"
        )
    _show_plan(plan, into, dry_run)
    if dry_run:
        return 1 if plan.missing else 0
    outcomes = _download(plan, into, client, max_gb) if plan.files else Counter[str]()
    outcomes["missing"] += len(plan.missing)
    parts = [f"{outcomes['fetched']} fetched", f"{plan.here} there before"]
    parts += [f"{outcomes[state]} {state}" for state in ("missing", "failed") if outcomes[state]]
    console.say(", ".join(parts))
    return 1 if outcomes["missing"] or outcomes["failed"] else 0


def _show_plan(plan: fetching.Plan, into: Path, every_file: bool) -> None:
    _say_some([f"missing: {url}: not over there" for url in plan.missing])
    if every_file:
        for file in plan.files:
            console.say(f"{file.url}  {'size unknown' if file.size is None else _size(file.size)}")
    kinds = Counter("updates file" if Path(file.path).name.startswith("updates") else "RIB" for file in plan.files)
    counts = " and ".join(_count(count, kind) for kind, count in kinds.items()) or "nothing"
    hosts = ", ".join(dict.fromkeys(urlsplit(file.url).netloc for file in plan.files))
    unsized = sum(file.size is None for file in plan.files)
    more = f" and {_count(unsized, 'file')} of unknown size" if unsized else ""
    source = f", about {_size(plan.size)}{more}, from {hosts}" if plan.files else ""
    console.say(f"to fetch into {console.relative(into)}: {counts}{source}; {plan.here} there already")


def _download(plan: fetching.Plan, into: Path, client: Client, max_gb: float) -> Counter[str]:
    states: Counter[str] = Counter()
    come = 0
    with console.progress("fetching, MB", plan.size / 1e6) as advance:

        def count(gained: int) -> None:
            nonlocal come
            come += gained
            advance(come / 1e6, f"{sum(states.values())}/{len(plan.files)} files")

        for outcome in fetching.fetch(plan, into, client, max_gb * 1e9, count):
            states[outcome.state] += 1
            if outcome.state != "fetched":
                console.say(f"{outcome.state}: {outcome.file.url}: {outcome.detail}")
    return states


@Parameter(name="*")
@dataclass(frozen=True)
class Data:
    """What a program gets to read."""

    mrt: Annotated[
        list[Path] | None,
        Parameter(
            help="MRT files, which the program opens by their names or by these paths; behind FILE.",
            # Without it, of "--mrt rrc00/*.gz" all files but the first would be the program's arguments.
            consume_multiple=True,
        ),
    ] = None
    archive: Annotated[Path | None, Parameter(help="A local archive, served in the BGPStream broker's place.")] = None
    replay: Annotated[
        str | None, Parameter(help="Let the data come in as if live: 'max', or a speed such as 60 (times as fast).")
    ] = None


@Parameter(name="*")
@dataclass(frozen=True)
class Bounds:
    """What a program may use."""

    wall_s: Annotated[float, Parameter(help="Seconds that it may take.", validator=Number(gt=0, lte=100_000_000))] = (
        60.0
    )
    memory_mb: Annotated[
        int, Parameter(help="Memory that it may use, in MB.", validator=Number(gt=0, lte=100_000_000))
    ] = 1024
    output_mb: Annotated[int, Parameter(help="How much it may print, in MB.", validator=Number(gt=0, lte=100_000))] = 16
    unsafe: Annotated[bool, Parameter(help="Do not shut it in: it can then read and write all that you can.")] = False

    def limits(self) -> Limits:
        """As the sandbox takes them: of a program that never ends it shall be the time it took that is reported."""
        return Limits(
            wall_s=self.wall_s, cpu_s=2 * self.wall_s, memory_mb=self.memory_mb, output_kb=self.output_mb << 10
        )


_ADVICE_ON_OUTCOMES = {
    "timeout": "--wall-s gives it more time",
    "cpu": "--wall-s gives it more time",
    "memory": "--memory-mb gives it more memory",
    "output": "the rest is lost; --output-mb lets it print more",
}
_ADVICE_ON_WORDS = (
    (r"SourceError: the BGPStream broker", "--archive serves a local archive; 'seedtune bgp fetch' makes one"),
    (r"SourceError: project \S+ comes live", "--archive and --replay max let a local archive come in as if live"),
    (r"EndlessStreamError: ", "--replay max lets the data come in as if live"),
    (r"^ModuleNotFoundError: ", "here it can import Python's standard library and pybgpstream alone"),
    (r"^EOFError: EOF when reading a line", "standard input is empty here; give it arguments, behind '--'"),
)
_ADVICE_ON_WALLS = (
    (
        r"^(urllib\.error\.URLError|socket\.gaierror|PermissionError: \[Errno 1\])",
        "there is no network here, and no way to other processes",
    ),
    (
        r"^(pybgpstream ERROR: can't open file|FileNotFoundError|PermissionError: \[Errno 13\]|OSError: \[Errno 30\])",
        "here it finds the files given by --mrt, under their names, no other files and programs, and it can write in "
        "its working folder alone",
    ),
)
"""What the program's standard error holds, and what can be done about it here; the first one that fits."""


def _advice(result: ExecutionResult) -> str | None:
    """What about this command, rather than about the program, may be in the program's way."""
    known = _ADVICE_ON_WORDS if result.level == "unsafe" else (*_ADVICE_ON_WORDS, *_ADVICE_ON_WALLS)
    words = (advice for pattern, advice in known if re.search(pattern, result.stderr, re.MULTILINE))
    return _ADVICE_ON_OUTCOMES.get(result.outcome) or next(words, None)


_NO_DATA, _DEFAULT_BOUNDS = Data(), Bounds()


@app.command
def run(
    file: Path,
    /,
    *arguments: Annotated[str, Parameter(help="The program's own arguments; put '--' before them.")],
    data: Data = _NO_DATA,
    bounds: Bounds = _DEFAULT_BOUNDS,
    no_lint: bool = False,
    as_json: AsJson = False,
) -> int:
    """Run a PyBGPStream program on local MRT files, in a sandbox without network.

    Parameters
    ----------
    file
        The program.
    no_lint
        Do not warn of what the lint finds in it.
    """
    source = _read_program(file)
    findings = [] if no_lint else lint_program(source)
    if not as_json:
        console.pass_on("".join(f"{_line(file, finding)}\n" for finding in findings), sys.stderr)
    words = None if as_json else _Words()
    try:
        done = run_program(
            source,
            mrt=data.mrt or (),
            archive=data.archive,
            replay=data.replay,
            limits=bounds.limits(),
            level="unsafe" if bounds.unsafe else None,
            arguments=arguments,
            heard=words and words.pass_on,
        )
        if words:
            words.report(done)
        else:
            found = [asdict(finding) for finding in findings]
            more = {"backend": done.backend, "advice": _advice(done.result), "findings": found}
            console.say_raw(json.dumps({**asdict(done.result), **more}, indent=2))
    except KeyboardInterrupt:
        console.complain(f"interrupted: the program was ended{'' if words else ', and what it had printed is lost'}")
        return 130
    except BrokenPipeError:
        return _nobody_reads()
    return 0 if done.result.ok else 1


def _decoders() -> dict[Stream, codecs.IncrementalDecoder]:
    decoder = codecs.getincrementaldecoder("utf-8")
    return {"stdout": decoder("replace"), "stderr": decoder("replace")}


@dataclass(frozen=True)
class _Words:
    """The program's own words as they come, then ours on lines of their own."""

    _decoders: dict[Stream, codecs.IncrementalDecoder] = field(default_factory=_decoders)

    def pass_on(self, stream: Stream, data: bytes, *, last: bool = False) -> None:
        target = sys.stdout if stream == "stdout" else sys.stderr
        console.pass_on(self._decoders[stream].decode(data, last), target)

    def report(self, done: BgpRun) -> None:
        self.pass_on("stdout", b"", last=True)
        self.pass_on("stderr", b"", last=True)
        if sys.stdout.isatty() and _breaks_off(done.result.stdout):
            console.pass_on("\n")
        advice = _advice(done.result)
        lines = [*(["advice: " + advice] if advice else []), done.summary()]
        start = "\n" if _breaks_off(done.result.stderr) else ""
        console.pass_on(start + "".join(f"{line}\n" for line in lines), sys.stderr)


def _nobody_reads() -> int:
    """As behind ``| head``: what could not be written must not be tried again at exit. 128 + SIGPIPE, as in a shell."""
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return 141


def _breaks_off(text: str) -> bool:
    return bool(text) and not text.endswith("\n")


@app.command
def lint(file: Path, /, *files: Path, as_json: AsJson = False) -> int:
    """Find misuse of PyBGPStream in programs, without running them; each finding shows the right form.

    Parameters
    ----------
    file
        A program.
    files
        More of them.
    """
    found: list[tuple[Path, CodeFinding]] = []
    unread: list[str] = []
    for path in (file, *files):
        try:
            found += [(path, finding) for finding in lint_program(_read_program(path))]
        except ConfigError as problem:
            unread.append(str(problem))
    errors = sum(finding.level == "error" for _, finding in found)
    if as_json:
        console.say_raw(json.dumps([{"file": str(path), **asdict(finding)} for path, finding in found], indent=2))
    else:
        for path, finding in found:
            console.say(_line(path, finding))
            console.say("".join(f"    {line}\n" for line in finding.right.splitlines()).rstrip())
        left = f", {_count(len(unread), 'program')} not read" if unread else ""
        console.say(f"{_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}{left}")
    for problem in unread:
        console.complain(problem)
    return ConfigError.exit_code if unread else 1 if errors else 0


@app.command
def tasks(
    *,
    split: TaskSplit = "train",
    count: Annotated[int, Parameter(validator=Number(gte=1))] = 100,
    seed: int = 0,
    level: Annotated[list[Literal[1, 2, 3]] | None, Parameter(consume_multiple=True)] = None,
    as_items: bool = False,
    into: Path | None = None,
) -> int:
    """Make tasks that ask to read routing data, with computed answers; the same arguments give the same tasks.

    Parameters
    ----------
    split
        Whose recordings and numbers; those of test and dev never occur in train.
    count
        How many tasks.
    seed
        Other tasks with another seed.
    level
        1 (a few values), 2 (some records), 3 (a long excerpt or several steps). Can be repeated; all by default.
    as_items
        As lines of an evaluation suite instead of training data.
    into
        A JSON Lines file; printed by default.
    """
    levels = sorted(set(level or LEVELS))
    if into and into.is_dir():
        raise ConfigError(f"--into {into} is a folder; name a file in it, such as {into / 'tasks.jsonl'}")
    if as_items:
        lines = [json_line(line) for line in item_lines(split, count, seed, levels)]
    else:
        made = make_tasks(split, count, seed, levels)
        lines = [json_line(task.model_dump(mode="json", exclude_defaults=True)) for task in made]
    if into is None:
        console.say_raw("".join(lines).rstrip("\n"))
    else:
        write_atomic(into, "".join(lines))
        console.say(f"{_count(len(lines), 'line')} in {console.relative(into)}")
    return 0


def _line(path: Path, finding: CodeFinding) -> str:
    return f"{path}:{finding.line}:{finding.column}: {finding.level} {finding.rule}: {finding.message}"


def _read_program(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Python passes over a byte order mark, too
    except OSError as problem:
        raise ConfigError(f"{path}: cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8; save the program as UTF-8") from problem


def _say_some(lines: Sequence[str]) -> None:
    """The first lines, and how many more there are."""
    for line in lines[:_SHOWN]:
        console.say(line)
    if len(lines) > _SHOWN:
        console.say(f"... and {len(lines) - _SHOWN} more like the last")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _size(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _clock(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))


def _below(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder))
