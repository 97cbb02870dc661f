"""Pages of candidates: what is asked for, and the SQL that finds it.

A page goes on behind a row, not at a number: rows that leave the filter while they are judged move none of the others.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from seedtune.web.index import has_fts

ROWS = 50
"""Rows of a page."""


class Filters(BaseModel):
    """Which candidates."""

    verdict: Literal["all", "kept", "rejected"] = "all"
    reason: str = ""
    pack: str = ""
    topic: str = ""
    low: float = Field(default=0.0, ge=0, le=1)
    """Highest similarity to another task, from and to."""
    high: float = Field(default=1.0, ge=0, le=1)
    text: str = Field(default="", max_length=200)
    review: Literal["any", "open", "accept", "reject", "edited", "disputed"] = "any"


class Place(BaseModel):
    """Where a page lies; without anything, at the first row."""

    after: int | None = None
    before: int | None = None
    skip: int | None = Field(default=None, ge=0)
    """So many rows of the filter come before it."""


_FROM = "FROM candidate AS c LEFT JOIN outcome AS o USING (id)"
_REVIEW = {
    "open": "COALESCE(o.decision, 'none') = 'none'",
    "accept": "o.decision = 'accept'",
    "reject": "o.decision = 'reject'",
    "edited": "o.edited",
    "disputed": "o.disputed",
}


def where(filters: Filters, goal: int, connection: sqlite3.Connection) -> tuple[str, list[Any]]:
    """The condition, with its values.

    Args:
        filters: What is asked for.
        goal: How many accepted instructions the run asks for.
        connection: To the index.
    """
    conditions: list[tuple[str, list[Any]]] = [("c.goal <= ?", [goal])]
    if filters.verdict != "all":
        conditions.append(("c.kept = ?", [filters.verdict == "kept"]))
    for column, value in (("reason", filters.reason), ("pack", filters.pack)):
        if value:
            conditions.append((f"c.{column} = ?", [value]))
    if filters.topic:
        conditions.append(("instr(c.topics, ?)", [f"|{filters.topic}|"]))
    if (filters.low, filters.high) != (0.0, 1.0):
        conditions.append(("c.similarity BETWEEN ? AND ?", [filters.low, filters.high]))
    if words := filters.text.split():
        conditions.append(_search(words, connection))
    if filters.review != "any":
        conditions.append((_REVIEW[filters.review], []))
    return " AND ".join(text for text, _ in conditions), [value for _, values in conditions for value in values]


def _search(words: list[str], connection: sqlite3.Connection) -> tuple[str, list[Any]]:
    """All of the words, each as the beginning of one in the text."""
    if has_fts(connection):
        # A quoted string is a phrase to FTS5, whatever stands in it.
        quoted = ['"{}"*'.format(word.replace('"', '""')) for word in words]
        return "c.n IN (SELECT rowid FROM text WHERE text MATCH ?)", [" ".join(quoted)]
    likes = " AND ".join(["instr(lower(body), lower(?))"] * len(words))
    return f"c.n IN (SELECT rowid FROM text WHERE {likes})", list(words)


def find_page(
    connection: sqlite3.Connection, filters: Filters, place: Place, goal: int
) -> tuple[list[sqlite3.Row], int, int]:
    """The rows of a page, how many of the filter come before them, and how many there are."""
    condition, values = where(filters, goal, connection)
    total = _count(connection, condition, values)
    if place.before is not None:
        rows = _rows(connection, f"{condition} AND c.n < ? ORDER BY c.n DESC LIMIT {ROWS}", [*values, place.before])
        rows.reverse()
    elif place.after is not None:
        rows = _rows(connection, f"{condition} AND c.n > ? ORDER BY c.n LIMIT {ROWS}", [*values, place.after])
    else:
        rows = _rows(connection, f"{condition} ORDER BY c.n LIMIT {ROWS} OFFSET ?", [*values, place.skip or 0])
    ahead = _count(connection, f"{condition} AND c.n < ?", [*values, rows[0]["n"]]) if rows else total
    return rows, ahead, total


def find_all(connection: sqlite3.Connection, filters: Filters, goal: int) -> Iterator[sqlite3.Row]:
    """Every row of a filter, in order."""
    condition, values = where(filters, goal, connection)
    yield from connection.execute(f"SELECT c.* {_FROM} WHERE {condition} ORDER BY c.n", values)


def find_row(connection: sqlite3.Connection, column: Literal["n", "id"], value: int | str) -> sqlite3.Row | None:
    """A row by its number, or the first with an id."""
    found = connection.execute(f"SELECT * FROM candidate WHERE {column} = ? ORDER BY n LIMIT 1", (value,))
    return found.fetchone()


def facets(connection: sqlite3.Connection, goal: int) -> dict[str, dict[str, int]]:
    """The values that can be filtered by, each with how many rows have it."""
    counts: dict[str, dict[str, int]] = {}
    for name in ("reason", "pack", "topics"):
        found = connection.execute(
            f"SELECT {name}, COUNT(*) FROM candidate WHERE goal <= ? AND {name} <> '' GROUP BY 1 ORDER BY 2 DESC",
            (goal,),
        )
        counts[name] = dict(found.fetchall())
    topics: dict[str, int] = {}
    for joined, count in counts.pop("topics").items():
        for topic in filter(None, joined.split("|")):
            topics[topic] = topics.get(topic, 0) + count
    verdicts = connection.execute("SELECT COALESCE(SUM(kept), 0), COUNT(*) FROM candidate WHERE goal <= ?", (goal,))
    kept, total = verdicts.fetchone()
    reviewed = connection.execute(
        f"SELECT COALESCE(SUM(o.decision = 'accept'), 0), COALESCE(SUM(o.decision = 'reject'), 0), "
        f"COALESCE(SUM(o.edited), 0), COALESCE(SUM(o.disputed), 0) {_FROM} WHERE c.goal <= ?",
        (goal,),
    )
    accepted, rejected, edited, disputed = reviewed.fetchone()
    return {
        "verdict": {"kept": kept, "rejected": total - kept},
        **counts,
        "topic": dict(sorted(topics.items())),
        "review": {
            "open": total - accepted - rejected,
            "accept": accepted,
            "reject": rejected,
            "edited": edited,
            "disputed": disputed,
        },
    }


def _rows(connection: sqlite3.Connection, rest: str, values: list[Any]) -> list[sqlite3.Row]:
    return connection.execute(f"SELECT c.* {_FROM} WHERE {rest}", values).fetchall()


def _count(connection: sqlite3.Connection, condition: str, values: list[Any]) -> int:
    # Without a condition on what people decided, the join would only cost.
    source = _FROM if "o." in condition else "FROM candidate AS c"
    return connection.execute(f"SELECT COUNT(*) {source} WHERE {condition}", values).fetchone()[0]
