"""``seedtune review``: what the review page does, in the terminal; and the command lines of that page's buttons."""

import getpass
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from seedtune import console
from seedtune.errors import ConfigError, DataError, RunError
from seedtune.records import Task, json_line, validation_message
from seedtune.web.folders import RunsFolder
from seedtune.web.queries import Filters
from seedtune.web.repairs import PARTS, Repair
from seedtune.web.review_desk import Desk

_WORDS = {
    "open": "open",
    "none": "open",
    "accept": "accepted",
    "reject": "rejected",
    "edited": "edited",
    "disputed": "disputed",
}
_LINE = 100
"""Characters of an instruction in a list."""
_SHOWN = 3
"""Tasks that a preview shows whole."""


def user_name() -> str:
    """The name that decisions are signed with where no other is given."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return "reviewer"


class Review:
    """One reviewer at one run."""

    def __init__(self, run_folder: Path, by: str | None = None) -> None:
        """Read the run to its end.

        Args:
            run_folder: The run's.
            by: The reviewer; None is :func:`user_name`.

        Raises:
            RunError: no run with generated data is here.
            DataError: its files cannot be read.
        """
        folder = run_folder.resolve()
        runs = RunsFolder(folder.parent)
        if not (folder / "generate").is_dir():
            raise RunError(f"{run_folder}: no generated data are here; give a run folder, such as runs/demo")
        self._by = by or user_name()
        self._desk = Desk(runs.run(folder.name), runs, wait_s=None)
        self._desk.refresh()
        if fault := self._desk.index.fault:
            raise DataError(fault)

    def show(self) -> int:
        """Counts, and the agreement of reviewers."""
        found = self._desk.facets()
        facets = found["facets"]
        rows = [[f"{name} by the filters", f"{count:,}"] for name, count in facets["verdict"].items()]
        rows += [[_WORDS[name], f"{count:,}"] for name, count in facets["review"].items()]
        console.show_table("Review", ["", "candidates"], rows)
        for pair in found["agreement"]:
            kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
            console.say(f"{pair['first']} and {pair['second']} agree on {pair['same']} of {pair['n']}, kappa {kappa}")
        return 0

    def show_rows(self, filters: Mapping[str, Any], *, as_json: bool) -> int:
        """A line for each candidate."""
        for row in self._desk.rows(_checked(Filters, filters), self._by):
            if as_json:
                console.say_raw(json_line(row).rstrip("\n"))
                continue
            mine = row["mine"]["decision"] if row["mine"] else "none"
            verdict = "kept" if row["kept"] else row["reason"]
            line = " ".join(row["task"]["instruction"].split())
            console.say(f"{row['id']}  {verdict}  {_WORDS[mine]}  {line[:_LINE]}")
        return 0

    def say(self, identities: Sequence[str], **change: Any) -> int:
        """Change what the reviewer says of tasks.

        Raises:
            ConfigError: no task is named.
            RunError: one of them is not there; nothing is written.
        """
        if not identities:
            raise ConfigError("name the tasks by their ids; 'seedtune review list' has them")
        self._desk.amend(identities, self._by, **change)
        console.say(f"{len(set(identities))} saved")
        return 0

    def edit(self, identity: str, texts: Mapping[str, str]) -> int:
        """Write a task anew and accept it.

        Raises:
            ConfigError: no text is given, or one that must be there would be empty.
            RunError: there is no such task.
        """
        if not texts:
            raise ConfigError("give the new text: --instruction, --input or --output")
        now, original = self._desk.task(identity)
        edited = _checked(Task, {**now, **texts})
        same = edited.model_dump() == original
        return self.say([identity], decision="accept", edited=None if same else edited)

    def repair(self, repair: Mapping[str, Any], filters: Mapping[str, Any], *, yes: bool) -> int:
        """Mend one fault in all tasks that share it, or show what would change."""
        asked, rows = _checked(Repair, repair), _checked(Filters, filters)
        found = self._desk.preview(asked, rows)
        if yes and found["count"]:
            done = self._desk.repair(asked, rows, self._by, found["count"])
            console.say(f"{done['count']:,} tasks repaired")
            console.say(f"to take it back: {typed('undo', self._desk.run.path, done['batch'])}")
            return 0
        for sample in found["samples"][:_SHOWN]:
            for part in (part for part in PARTS if sample["before"][part] != sample["after"][part]):
                console.say(f"{sample['id']}  {part}\n- {sample['before'][part]!r}\n+ {sample['after'][part]!r}")
        console.say(f"{found['count']:,} tasks would change{'; --yes does it' if found['count'] else ''}")
        return 0

    def undo(self, batch: str) -> int:
        """Take a repair back."""
        done = self._desk.undo_batch(batch, self._by)
        since = f"; {done['changed_since']:,} were changed since and stay" if done["changed_since"] else ""
        console.say(f"{done['count']:,} tasks as before{since}")
        return 0


def typed(verb: str, run_folder: Path, *words: str, by: str | None = None) -> str:
    """A command line of ``seedtune review`` as a person would type it.

    Args:
        verb: What to do.
        run_folder: The run's.
        words: What stands behind it.
        by: The reviewer; None leaves it to the user of the machine.
    """
    signed = ["--by", by] if by and by != user_name() else []
    return shlex.join(["seedtune", "review", verb, console.relative(run_folder), *words, *signed])


def of_item(run_folder: Path, identity: str, by: str) -> dict[str, str]:
    """The command line of each button that is about one task."""
    return {
        "accept": typed("accept", run_folder, identity, by=by),
        "reject": typed("reject", run_folder, identity, by=by),
        "rate": typed("rate", run_folder, "4", identity, by=by),
        "edit": typed("edit", run_folder, identity, "--output", "...", by=by),
        "take back": typed("clear", run_folder, identity, by=by),
    }


def of_repair(run_folder: Path, repair: Repair, filters: Filters, by: str) -> str:
    """The command line of a repair."""
    given: dict[str, Any] = {"find": repair.find, "put": repair.put} if repair.kind == "replace" else {}
    if len(repair.parts) == 1:
        given["part"] = repair.parts[0]
    given |= filters.model_dump(exclude_defaults=True)
    # "=" keeps a value that begins with a dash from being an option.
    options = [f"--{name}={value}" for name, value in given.items()]
    return typed("repair", run_folder, repair.kind, *options, "--yes", by=by)


def _checked(model: Any, values: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(dict(values))
    except ValidationError as problem:
        raise ConfigError(validation_message(problem).removeprefix("record: ")) from problem
