"""Build the messages of a request, as in Stanford Alpaca: one request asks for several whole tasks.

The pack's prompt is the system text, and the seed tasks stand as examples: as numbered text, which the teacher
continues, or as JSON. Where a passage of a document is shown, it stands between marks that it cannot hold itself, and
is declared to be material: a document may come from anywhere, and orders in it must not reach the teacher as ours.
The rendered text of fixed requests is kept as golden files.
"""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Literal

from jinja2 import Environment, StrictUndefined, Template

from seedtune.records import Message, SeedTask, content_id

NO_INPUT = "<noinput>"

Form = Literal["text", "json"]
"""What a reply is asked to be: text with labels, or JSON."""


@cache
def template(name: str) -> Template:
    """A prompt template of this package. Text that it is given is never read as a template."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    return environment.from_string(
        resources.files("seedtune.generate.wording").joinpath("templates", name).read_text("utf-8")
    )


def mark_of(kind: str, *texts: str) -> str:
    """A mark to fence texts with: it follows from them by a hash, so none of them can have been written to hold it."""
    return f"{kind}-{content_id(*texts)}"


def build_messages(
    prompt: str, seeds: Sequence[SeedTask], tasks: int, *, form: Form = "text", passage: str = ""
) -> tuple[Message, Message]:
    """The system and the user message of a request for ``tasks`` new tasks.

    Args:
        prompt: The pack's prompt.
        seeds: Examples, shown as tasks 1 to k.
        tasks: How many new tasks to ask for; as text they are numbered from k + 1.
        form: As what the teacher is to answer.
        passage: Text that every task is to rest on and to quote; empty without documents.
    """
    user = template("alpaca.md.j2").render(
        seeds=seeds,
        examples=[_json_example(seed) for seed in seeds] if form == "json" else [],
        tasks=tasks,
        first=len(seeds) + 1,
        last=len(seeds) + tasks,
        no_input=NO_INPUT,
        form=form,
        passage=passage,
        mark=mark_of("passage", passage),
    )
    return (Message(role="system", content=prompt), Message(role="user", content=user))


def _json_example(seed: SeedTask) -> str:
    return json.dumps(seed.model_dump(include={"instruction", "input", "output"}), ensure_ascii=False)


def reply_prefix(seeds: int, form: Form = "text") -> str:
    """How a reply begins after ``seeds`` examples; small models keep to the form only if it is begun for them."""
    return f"{seeds + 1}. Instruction:" if form == "text" else '{"tasks": [\n{"instruction": "'
