"""The app that all commands belong to, and what they have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter, Token

from seedtune import __version__

if TYPE_CHECKING:
    from seedtune.config import Config

app = App(
    name="seedtune",
    help="Grow a domain-expert LLaMA from a handful of seed tasks: generate, train, evaluate.",
    version=__version__,
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)

ConfigPath = Annotated[Path | None, Parameter(help="YAML config; without one, the defaults.")]
Overrides = Annotated[
    list[str] | None, Parameter(name="--set", help="Override one setting: --set train.lora.r=32. Can be repeated.")
]


def _whole(_: object, tokens: Sequence[Token]) -> int:
    try:
        return int(tokens[0].value)
    except ValueError as problem:
        raise ValueError(f'expected a whole number, not "{tokens[0].value}"') from problem


WholeNumber = Annotated[int, Parameter(converter=_whole)]
"""For an option; without it, 2.5 is rounded."""


def load(config: Path | None, overrides: list[str] | None) -> "Config":
    """Read a config, with what the command line sets over it."""
    from seedtune.config import load_config

    return load_config(config, overrides or [])


def do(config: "Config", *stages: str) -> None:
    """Do some stages, by default all, and say where the report is."""
    from seedtune import console
    from seedtune.pipeline import run_stages

    report = run_stages(config, stages) if stages else run_stages(config)
    if report is not None:
        console.say(f"report: {console.relative(report)}")
