"""Build the messages of a request, as in Stanford Alpaca: one request asks for several whole tasks.

The pack's prompt is the system text, the seed tasks stand as numbered examples, and the teacher goes on numbering.
The rendered text of a fixed request is kept as a golden file.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from seedtune.records import Message, SeedTask

NO_INPUT = "<noinput>"


@cache
def _template() -> Template:
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    return environment.from_string(resources.files("seedtune.generate").joinpath("alpaca.md.j2").read_text("utf-8"))


def build_messages(prompt: str, seeds: Sequence[SeedTask], tasks: int) -> tuple[Message, ...]:
    """The system and the user message of a request for ``tasks`` new tasks.

    Args:
        prompt: The pack's prompt.
        seeds: Examples, shown as tasks 1 to k.
        tasks: How many new tasks to ask for; they are numbered from k + 1.
    """
    user = _template().render(
        seeds=seeds, tasks=tasks, first=len(seeds) + 1, last=len(seeds) + tasks, no_input=NO_INPUT
    )
    return (Message(role="system", content=prompt), Message(role="user", content=user))


def reply_prefix(seeds: int) -> str:
    """How a reply begins after ``seeds`` examples; small models keep to the form only if it is begun for them."""
    return f"{seeds + 1}. Instruction:"
