"""What people say of a run's generated data, without the page of the studio."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from seedtune.cli.app import app

if TYPE_CHECKING:
    from seedtune.web.terminal_review import Review

review_app = App(name="review", help="Judge a run's generated data in the terminal, as the studio's page does.")
app.command(review_app)

Id = Annotated[str, Parameter(help="Of tasks.")]
By = Annotated[str | None, Parameter(help="Who says it; by default the user of this machine.")]


@Parameter(name="*")
@dataclass(frozen=True)
class Filters:
    """Which candidates: those that fit everything that is given."""

    verdict: Literal["all", "kept", "rejected"] = "all"
    """What the filters of the generation decided."""
    reason: str = ""
    """Why they rejected it."""
    pack: str = ""
    """The pack of its seed tasks."""
    topic: str = ""
    """A topic of its seed tasks."""
    low: float = 0.0
    """Highest similarity to another task, from."""
    high: float = 1.0
    """Highest similarity to another task, to."""
    text: str = ""
    """Words, each as the beginning of one in instruction, input or output."""
    review: Literal["any", "open", "accept", "reject", "edited", "disputed"] = "any"
    """What people decided."""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """What is mended in a task."""

    find: str = ""
    """For replace: these characters, letter for letter."""
    put: str = ""
    """For replace: what comes in their place."""
    part: Literal["instruction", "input", "output"] | None = None
    """In this text alone."""


def _open(run_folder: Path, by: str | None = None) -> "Review":
    from seedtune.web.terminal_review import Review

    return Review(run_folder, by)


@review_app.command
def show(run_folder: Path, /) -> int:
    """How far the review is, and how far reviewers agree."""
    return _open(run_folder).show()


@review_app.command(name="list")
def list_rows(
    run_folder: Path,
    /,
    *,
    filters: Filters | None = None,
    by: By = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Candidates: id, verdict, decision, and what the instruction begins with.

    Parameters
    ----------
    as_json
        Print a line of JSON for each, with everything that is known of it.
    """
    return _open(run_folder, by).show_rows(_plain(filters), as_json=as_json)


@review_app.command
def accept(run_folder: Path, /, *ids: Id, by: By = None) -> int:
    """Take tasks into the dataset, also such as the filters rejected."""
    return _open(run_folder, by).say(ids, decision="accept")


@review_app.command
def reject(run_folder: Path, /, *ids: Id, by: By = None) -> int:
    """Take tasks out of the dataset."""
    return _open(run_folder, by).say(ids, decision="reject")


@review_app.command
def rate(
    run_folder: Path,
    rating: Literal[1, 2, 3, 4, 5],
    /,
    *ids: Id,
    by: By = None,
) -> int:
    """Rate tasks from 1 to 5; decisions stay."""
    return _open(run_folder, by).say(ids, rating=rating)


@review_app.command
def edit(
    run_folder: Path,
    identity: str,
    /,
    *,
    instruction: str | None = None,
    input_: Annotated[str | None, Parameter(name="--input")] = None,
    output: str | None = None,
    by: By = None,
) -> int:
    """Write a task anew, as far as texts are given, and accept it."""
    texts = {"instruction": instruction, "input": input_, "output": output}
    return _open(run_folder, by).edit(identity, {part: text for part, text in texts.items() if text is not None})


@review_app.command
def clear(run_folder: Path, /, *ids: Id, by: By = None) -> int:
    """Take back all that one reviewer said of tasks: decision, rating and edit."""
    return _open(run_folder, by).say(ids, decision="none", rating=None, edited=None)


@review_app.command
def repair(
    run_folder: Path,
    fault: Literal["white_space", "label", "replace"],
    /,
    *,
    where: Where | None = None,
    filters: Filters | None = None,
    by: By = None,
    yes: bool = False,
) -> int:
    """Mend one fault in all tasks that share it; without --yes, only show what would change.

    Parameters
    ----------
    fault
        White space at the end of lines and texts; a label before a text, such as "Output:"; words for other words.
    yes
        Do it.
    """
    where = where or Where()
    given = {"kind": fault, "find": where.find, "put": where.put, **({"parts": (where.part,)} if where.part else {})}
    return _open(run_folder, by).repair(given, _plain(filters), yes=yes)


@review_app.command
def undo(run_folder: Path, batch: str, /, *, by: By = None) -> int:
    """Take a repair back, where nothing was said of the task since.

    Parameters
    ----------
    batch
        As the repair named it.
    """
    return _open(run_folder, by).undo(batch)


def _plain(filters: Filters | None) -> dict[str, Any]:
    return asdict(filters or Filters())
