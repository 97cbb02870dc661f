"""The command line: arguments in, one call down, exit code out.

Nothing heavy is imported until a command runs; ``seedtune --help`` loads no torch.

Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 stopped by a limit, 130 interrupted; with 3, and with 130 of a
command that can go on, all work is saved.
"""

import ast
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter, UnknownOptionError, UnusedCliTokensError

from seedtune import __version__
from seedtune.errors import LimitReached, SeedtuneError

if TYPE_CHECKING:
    from seedtune.config import Config

_SAVING = {("run",), ("generate",), ("train",), ("evaluate",), ("bgp", "fetch")}
"""Commands that go on where they were interrupted."""

app = App(
    name="seedtune",
    help="Grow a domain-expert LLaMA from a handful of seed tasks: generate, train, evaluate.",
    version=__version__,
    default_parameter=Parameter(negative=""),
    suppress_keyboard_interrupt=False,
)
domains_app = App(name="domains", help="List, check and make domains.")
app.command(domains_app)

ConfigPath = Annotated[Path | None, Parameter(help="YAML config; without one, the defaults.")]
Overrides = Annotated[
    list[str] | None, Parameter(name="--set", help="Override one setting: --set train.lora.r=32. Can be repeated.")
]


def _load(config: Path | None, overrides: list[str] | None) -> "Config":
    from seedtune.config import load_config

    return load_config(config, overrides or [])


def _run_stages(config: "Config", *stages: str) -> None:
    from seedtune import console
    from seedtune.pipeline import run_stages

    report = run_stages(config, stages) if stages else run_stages(config)
    console.say(f"report: {console.relative(report)}")


@app.command
def run(config: ConfigPath = None, /, *, set_: Overrides = None, dry_run: bool = False) -> int:
    """Generate, train, evaluate and report; what is done is skipped, what was broken off goes on.

    Parameters
    ----------
    dry_run
        Check that everything the run needs is there, and do nothing.
    """
    loaded = _load(config, set_)
    if dry_run:
        from seedtune.doctor import check_run, show_findings

        return show_findings(check_run(loaded), as_json=False)
    _run_stages(loaded)
    return 0


@app.command
def generate(
    config: ConfigPath = None,
    /,
    *,
    num_instructions_to_generate: int | None = None,
    model_name: str | None = None,
    set_: Overrides = None,
) -> int:
    """Write new instructions with a teacher.

    Parameters
    ----------
    num_instructions_to_generate
        How many accepted instructions to end with (generate.num_instructions).
    model_name
        The teacher: 'embedded', the path of a local model, or a model's name at an OpenAI-compatible endpoint
        (OPENAI_BASE_URL, OPENAI_API_KEY).
    """
    overrides: list[str] = []
    if num_instructions_to_generate is not None:
        overrides.append(f"generate.num_instructions={num_instructions_to_generate}")
    if model_name is not None:
        kind = "local" if model_name == "embedded" or Path(model_name).is_dir() else "openai"
        name = json.dumps(model_name)
        if _load(config, None).generate.teacher.type == kind:
            overrides += [f"generate.teacher.type={kind}", f"generate.teacher.model={name}"]
        else:
            # Settings of the other kind of teacher have no meaning for this one.
            overrides.append(f"generate.teacher={{type: {kind}, model: {name}}}")
    overrides += set_ or []
    _run_stages(_load(config, overrides), "generate")
    return 0


@app.command
def train(
    config: ConfigPath = None,
    /,
    *,
    set_: Overrides = None,
    sweep: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
) -> int:
    """Train the LoRA adapter on what was generated.

    Parameters
    ----------
    sweep
        Train once for each combination of settings, and find the one with the lowest held-out loss. Followed by
        settings below 'train' with their values, such as learning_rate=1e-4,2e-4 lora.rslora=false,true; alone, it
        tries two schedules with four learning rates.
    """
    if sweep is None:
        _run_stages(_load(config, set_), "train")
        return 0
    from seedtune.report.sweep import show_sweep
    from seedtune.train.sweep import run_sweep

    return show_sweep(run_sweep(config, set_ or [], sweep))


@app.command
def evaluate(
    config: ConfigPath = None,
    /,
    *,
    fail_on_contamination: bool = False,
    compare: tuple[Path, Path] | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    set_: Overrides = None,
) -> int:
    """Compare base, tuned model and rivals on the domain's questions; or two runs with each other.

    Parameters
    ----------
    fail_on_contamination
        Stop, before a model is asked, where training rows hold items (evaluate.fail_on_contamination).
    compare
        Two run folders that are evaluated: the second one's model against the first one's, on the items of both.
    as_json
        With --compare: print JSON for another program.
    """
    if compare is not None:
        from seedtune.evaluate.compare import compare_runs, show_comparison

        return show_comparison(compare_runs(*compare), as_json)
    gate = ["evaluate.fail_on_contamination=true"] if fail_on_contamination else []
    _run_stages(_load(config, [*gate, *(set_ or [])]), "evaluate")
    return 0


@app.command
def gate(
    run_folder: Path,
    /,
    *,
    min_: Annotated[list[str] | None, Parameter(name="--min")] = None,
    no_worse_than: str | None = None,
    margin: float = 0.05,
    confident: bool = False,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Fail (exit code 1) where an evaluated run does not meet conditions: for a build.

    Parameters
    ----------
    min_
        Accuracy that a suite asks for: --min multiple_choice=0.6. Can be repeated.
    no_worse_than
        'base', or the folder of another run: on no suite may the run lose more than the margin.
    margin
        A loss that is accepted, as a share of the items: 0.05 is five points.
    confident
        Hold the bound of the 95% interval to the conditions, not what was measured: a pass is then evidence.
    as_json
        Print JSON for another program.
    """
    from seedtune.evaluate.gate import check_gate, show_gate

    return show_gate(check_gate(run_folder, min_ or [], no_worse_than, margin, confident), as_json)


@app.command
def check(
    config: ConfigPath = None, /, *, set_: Overrides = None, as_json: Annotated[bool, Parameter(name="--json")] = False
) -> int:
    """Check what training would read: schema, repeats, leaks, lengths, template; without the model's weights.

    Parameters
    ----------
    as_json
        Print JSON for another program: findings, counts, lengths and an example.
    """
    from seedtune.train.check import check_config, show_check

    return show_check(check_config(_load(config, set_)), as_json=as_json)


@app.command
def plan(
    config: ConfigPath = None,
    /,
    *,
    gpu: str | None = None,
    gpus: int | None = None,
    set_: Overrides = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Estimate what training takes: steps, tokens, memory, time; and what to change if it does not fit.

    Parameters
    ----------
    gpu
        A GPU by name, such as h100, a100-40, l40s, 4090 or t4, or 'cpu'; without it, what this machine has.
    gpus
        How many of them.
    as_json
        Print JSON for another program.
    """
    from seedtune.train.plan import plan_training, show_plan

    return show_plan(plan_training(_load(config, set_), gpu, gpus), as_json=as_json)


@app.command
def report(run_folder: Path, /) -> int:
    """Write report.html again from a run folder's files."""
    from seedtune import console, runs
    from seedtune.report import write_report

    console.say(f"report: {console.relative(write_report(runs.read_run(run_folder)))}")
    return 0


@app.command
def card(run_folder: Path, /) -> int:
    """Write the card of a run's dataset again: generate/README.md, its pictures, and card.html."""
    from seedtune import console, runs
    from seedtune.domains import load_domain
    from seedtune.publish import write_dataset_card

    found = runs.read_run(run_folder)
    console.say(f"card: {console.relative(write_dataset_card(found, load_domain(found.config.domain)))}")
    return 0


@app.command
def export(
    source: str,
    /,
    *,
    to: Literal["messages", "alpaca", "sharegpt", "parquet", "gguf", "lm-eval"],
    out: Path | None = None,
    with_seeds: bool = False,
    converter: Path | None = None,
) -> int:
    """Write a run's dataset, its model, or its evaluation suites in the format of another tool.

    Parameters
    ----------
    source
        The run's folder. For lm-eval a domain will do: a shipped domain's name, or the path of a domain folder.
    to
        The dataset: messages (TRL, Axolotl, OpenAI), sharegpt (LLaMA-Factory, Unsloth), alpaca (one JSON list), or
        parquet. The model: gguf (llama.cpp, Ollama), with an Ollama Modelfile beside it. The suites: lm-eval
        (lm-evaluation-harness).
    out
        The file, or for lm-eval the folder; by default in the run folder, below export.
    with_seeds
        Put the seed tasks first.
    converter
        For gguf: llama.cpp's convert_hf_to_gguf.py, or the folder it is in, if it is no command here.
    """
    from seedtune.publish.exporting import export_as

    return export_as(to, source, out, with_seeds=with_seeds, converter=converter)


@app.command
def push(
    run_folder: Path,
    /,
    *,
    dataset: bool = False,
    merged: bool = False,
    repo: str | None = None,
    base_model: str | None = None,
    public: bool = False,
    yes: bool = False,
) -> int:
    """Upload a run's adapter or dataset to the Hugging Face hub; without --yes, only show what would be uploaded.

    Parameters
    ----------
    dataset
        The dataset, instead of the adapter.
    merged
        The adapter merged into its base model, a whole model, instead of the adapter.
    repo
        owner/name; by default the run's name, below the owner of the token.
    base_model
        Hub id of the base model, where it was trained from a local folder.
    public
        For everyone to see. A repository is private otherwise.
    yes
        Do it.
    """
    from seedtune import runs
    from seedtune.errors import ConfigError
    from seedtune.publish.push import Options
    from seedtune.publish.push import push as upload

    if dataset and merged:
        raise ConfigError("--dataset and --merged: give one of them")
    return upload(runs.read_run(run_folder), Options(dataset, merged, repo, base_model, public, yes))


@app.command
def studio(
    *,
    runs_dir: Path = Path("runs"),
    configs: Path = Path("configs"),
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
    return serve(runs_dir, host=host, port=port, token=token, configs=configs, open_browser=open_)


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


@domains_app.command(name="list")
def list_domains() -> int:
    """The domains that come with seedtune."""
    from seedtune import console
    from seedtune.domains import load_domain, shipped_domains

    for name in shipped_domains():
        console.say(f"{name}: {load_domain(name).file.title}")
    return 0


@domains_app.command
def lint(domain: str, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False) -> int:
    """Check a domain: schema, counts, answers that can be guessed, duplicates, citations, code, canary, reviews.

    Runs the domain's own checks.py, if it has one.

    Parameters
    ----------
    domain
        A shipped domain's name, or the path of a domain folder.
    as_json
        Print JSON for another program: counts and findings.
    """
    from seedtune import console
    from seedtune.domains import lint_folder

    report = lint_folder(domain)
    if as_json:
        console.say_raw(json.dumps(report.as_json(), indent=2))
    else:
        for finding in report.findings:
            console.say(f"{finding.level}: {finding.place}: {finding.message}")
        console.say(f"{report.summary}: {report.errors} errors, {len(report.findings) - report.errors} warnings")
    return 1 if report.errors else 0


@domains_app.command
def new(folder: Path, /) -> int:
    """Make a new domain folder that runs, to be filled by you."""
    from seedtune import console
    from seedtune.domains import create_domain

    for path in create_domain(folder):
        console.say(console.relative(path))
    place = console.relative(folder)
    console.say(f"next: edit these, then 'seedtune domains lint {place}' and 'seedtune run --set domain={place}'")
    return 0


def _add_domain_commands() -> None:
    """Add a group of commands for each shipped domain that has a ``commands.py``.

    The file gives a cyclopts ``app`` named after the domain's folder; the first line of its docstring is the group's
    help. It is read here, and imported only when one of its commands is called.
    """
    for path in sorted((Path(__file__).parent / "domains").glob("*/commands.py")):
        summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        name = path.parent.name
        app.command(f"seedtune.domains.{name}.commands:app", name=name, help=summary.partition("\n")[0])


_add_domain_commands()


def main() -> None:
    """Entry point of the command ``seedtune``."""
    arguments = sys.argv[1:]
    # What stands behind "--" belongs to another program.
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own or "SEEDTUNE_DEBUG" in os.environ
    sys.exit(_call([argument for argument in own if argument != "--debug"] + arguments[len(own) :], debug))


def _where_help_is(problem: CycloptsError) -> str:
    """The help of the command that was called, as far as it is one."""
    command = tuple(problem.command_chain or ())
    advice = f"See '{' '.join(('seedtune', *command))} --help'"
    if command == ("bgp", "run") and isinstance(problem, UnknownOptionError | UnusedCliTokensError):
        advice += "; the program's own options stand behind '--'"
    return advice


def _call(arguments: list[str], debug: bool) -> int:
    """Run a command and turn errors into messages and exit codes."""
    from seedtune import console

    console.set_up_logging(verbose=debug)
    try:
        result: object = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as problem:
        console.complain(f"{problem}\n{_where_help_is(problem)}")
        return 2
    except LimitReached as problem:
        console.complain(f"stopped by a limit: {problem}")
        return problem.exit_code
    except SeedtuneError as problem:
        if debug:
            raise
        console.complain(str(problem))
        return problem.exit_code
    except KeyboardInterrupt:
        saved = ": everything so far is saved; run the same command again to go on"
        console.complain("interrupted" + (saved if app.parse_commands(arguments)[0] in _SAVING else ""))
        return 130
    return result if isinstance(result, int) else 0
