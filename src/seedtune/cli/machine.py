"""Studio, chat, and the state of this machine."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from seedtune.cli.app import app


@app.command
def studio(
    *,
    runs_dir: Path = Path("runs"),
    configs: Path = Path("configs"),
    data: Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    open_: Annotated[bool, Parameter(name="--open")] = False,
) -> int:
    """Open a local web page to judge data, start runs, watch them and compare answers.

    Parameters
    ----------
    runs_dir
        The folder of runs.
    configs
        The folder of configs that runs can be started from.
    data
        A folder of files that a model's programs may be run on, besides those of domain and run.
    host
        The address to bind to; any but this machine's own asks for a token.
    port
        By default 8765, or any free one where that is taken.
    token
        What opens the pages, 20 characters or more; made and printed where one is needed and none is given.
    open_
        Open the page in a browser.
    """
    from seedtune.errors import ConfigError

    try:
        from seedtune.web.serve import serve
    except ImportError as problem:
        raise ConfigError("seedtune studio needs starlette and uvicorn: pip install 'seedtune[web]'") from problem
    return serve(runs_dir, host=host, port=port, token=token, configs=configs, data=data, open_browser=open_)


@Parameter(name="*")
@dataclass(frozen=True)
class Sampling:
    """How both sides decode."""

    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """The nucleus that is drawn from."""
    max_tokens: int = 512
    """Longest answer."""
    seed: int = 0
    """Of what is drawn."""


@app.command
def chat(
    run_folder: Path,
    /,
    *,
    with_: Annotated[Literal["both", "base", "tuned"], Parameter(name="--with")] = "both",
    blind: bool = False,
    system: str | None = None,
    by: str | None = None,
    sampling: Sampling | None = None,
) -> int:
    """Talk with a run's base and tuned model in the terminal, and vote on their answers.

    Parameters
    ----------
    with_
        Who answers: both, one after the other, or one of them.
    blind
        Do not say who is who until it is asked for.
    system
        A system prompt in the place of the domain's; empty is none.
    by
        Who votes; by default the user of this machine.
    """
    from pydantic import ValidationError

    from seedtune.errors import ConfigError
    from seedtune.records import validation_message
    from seedtune.web.pair import SIDES, Decoding
    from seedtune.web.terminal_chat import Manner
    from seedtune.web.terminal_chat import chat as talk

    try:
        decoding = Decoding(**asdict(sampling or Sampling()))
    except ValidationError as problem:
        raise ConfigError(validation_message(problem)) from problem
    return talk(
        run_folder,
        manner=Manner(SIDES if with_ == "both" else (with_,), blind, system, by),
        decoding=decoding,
    )


@app.command
def doctor(*, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Find everything a run needs, and say how to mend what is missing.

    Parameters
    ----------
    as_json
        Print JSON for another program.
    """
    from seedtune.doctor import check_machine, show_findings

    return show_findings(check_machine(), as_json=as_json)
