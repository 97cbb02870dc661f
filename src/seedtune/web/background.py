"""What stands behind a candidate: its prompt and reply, its parents, its neighbours, what the lint says of its code."""

import sqlite3
from functools import cached_property
from typing import Any

from seedtune.config import load_config
from seedtune.domains import Domain, load_domain
from seedtune.domains.program_check import ProgramCheck
from seedtune.domains.programs import python_blocks
from seedtune.errors import SeedtuneError
from seedtune.records import SeedTask
from seedtune.web.folders import RunFolder, RunsFolder
from seedtune.web.index import JOURNAL, read_at, read_verdicts
from seedtune.web.queries import find_row

_NO_GOAL = 2**62
_KNOWN = {"instruction", "input", "output", "pack", "parents", "id", "similarity", "nearest", "neighbours", "printed"}


class Background:
    """The config, the domain and the journal of one run."""

    def __init__(self, run: RunFolder, runs: RunsFolder) -> None:
        self._run = run
        self._runs = runs
        self._stamp = 0
        self._domain: Domain | None = None
        self.goal = _NO_GOAL
        """How many accepted instructions the run asks for."""
        self.fault = ""
        """Why config or domain cannot be read; empty if they can."""

    def refresh(self) -> None:
        """Read the config again if it has changed, and with it the domain."""
        path = self._run.file("config.yaml")
        stamp = path.stat().st_mtime_ns if path.is_file() else 0
        if stamp == self._stamp:
            return
        self._stamp, self.fault, self._domain = stamp, "", None
        self.__dict__.pop("_seeds", None)
        try:
            config = load_config(path)
            self.goal = config.generate.num_instructions
            self._domain = load_domain(config.domain)
        except SeedtuneError as problem:
            self.fault = str(problem)

    @cached_property
    def _seeds(self) -> dict[str, SeedTask]:
        packs = self._domain.packs.values() if self._domain else ()
        return {seed.id: seed for pack in packs for seed in pack.seeds}

    def topics(self, identities: list[str]) -> list[str]:
        """Topics of the seed tasks among these, each once: what a candidate grown from them may be about."""
        found = (self._seeds[identity].topic for identity in identities if identity in self._seeds)
        return list(dict.fromkeys(topic for topic in found if topic))

    def about(
        self, connection: sqlite3.Connection, row: sqlite3.Row, verdict: dict[str, Any], task: dict[str, str]
    ) -> dict[str, Any]:
        """Everything behind one candidate, in plain values.

        Args:
            connection: To the index.
            row: The candidate's.
            verdict: As it stands in the files.
            task: As people left it: its code is what the lint reads.
        """
        candidate = verdict["candidate"]
        neighbours = verdict.get("neighbours", ())
        if not neighbours and verdict.get("nearest"):  # a run of an older version
            neighbours = [(verdict["nearest"], verdict.get("similarity", 0.0))]
        return {
            "prompt": self._exchange(connection, row["request"]),
            "parents": [self._task(connection, identity) for identity in candidate.get("parents", ())],
            "neighbours": [{**self._task(connection, near), "similarity": score} for near, score in neighbours],
            "findings": self._findings(task),
            "printed": str(verdict.get("printed") or ""),
            "facts": {
                "request": row["request"],
                **{key: value for key, value in candidate.items() if key not in _KNOWN | {"request"} and value},
                **{key: value for key, value in verdict.items() if key not in _KNOWN | {"candidate", "kept"} and value},
            },
        }

    def _exchange(self, connection: sqlite3.Connection, number: int) -> dict[str, Any] | None:
        """The messages of a request and its reply; None where the journal does not have them."""
        found = connection.execute("SELECT * FROM request WHERE number = ?", (number,)).fetchone()
        if found is None or found["sent_at"] is None:
            return None
        request = read_at(self._run, JOURNAL, found["sent_at"], found["sent_size"])["request"]
        reply: dict[str, Any] = {}
        if found["reply_at"] is not None:
            reply = read_at(self._run, JOURNAL, found["reply_at"], found["reply_size"])["reply"]
        return {
            "messages": request.get("messages", []),
            "reply": reply.get("text", ""),
            "finish_reason": reply.get("finish_reason", ""),
        }

    def _task(self, connection: sqlite3.Connection, identity: str) -> dict[str, Any]:
        """A seed task or a candidate by its id."""
        if seed := self._seeds.get(identity):
            texts = seed.model_dump(include={"instruction", "input", "output", "topic"})
            return {"id": identity, "kind": "seed", **texts}
        row = find_row(connection, "id", identity)
        if row is None:
            return {"id": identity, "kind": "unknown"}
        candidate = next(read_verdicts(self._run, [row]))[1]["candidate"]
        texts = {part: candidate.get(part, "") for part in ("instruction", "input", "output")}
        return {"id": identity, "kind": "candidate", "n": row["n"], **texts}

    def _findings(self, task: dict[str, str]) -> list[dict[str, str]]:
        """What the domain's own check says of the programs of an answer, which is compiled and never run."""
        programs = python_blocks(task["output"])
        if not programs:
            return []
        if self._domain is None:
            return [{"level": "warning", "message": f"the code was not checked: {self.fault}"}]
        if self._domain.folder.resolve().is_relative_to(self._runs.path):
            # It may have come with a run that somebody else made: looking at one must not run its code.
            return [{"level": "warning", "message": "the code was not checked: the domain lies in the runs folder"}]
        try:
            check = ProgramCheck(self._domain.folder)
        except SeedtuneError as problem:
            return [{"level": "error", "message": f"the code cannot be checked: {problem}"}]
        return [
            {"level": fault.level, "message": f"program {number}{', ' if fault.line else ': '}{fault}"}
            for number, source in enumerate(programs, 1)
            for fault in check.faults(source)
        ]
