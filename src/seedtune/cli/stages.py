"""The stages of a run, and what looks at them before and after."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from seedtune.cli.app import ConfigPath, Overrides, WholeNumber, app, do, load
from seedtune.errors import ConfigError


@app.command
def run(config: ConfigPath = None, /, *, set_: Overrides = None, dry_run: bool = False) -> int:
    """Generate, train, evaluate and report; what is done is skipped, what was broken off goes on.

    Parameters
    ----------
    dry_run
        Check that everything the run needs is there, and do nothing.
    """
    loaded = load(config, set_)
    if dry_run:
        from seedtune.doctor import check_run, show_findings

        return show_findings(check_run(loaded), as_json=False)
    do(loaded)
    return 0


@app.command
def generate(
    config: ConfigPath = None,
    /,
    *,
    num_instructions_to_generate: WholeNumber | None = None,
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
        if load(config, None).generate.teacher.type == kind:
            overrides += [f"generate.teacher.type={kind}", f"generate.teacher.model={name}"]
        else:
            # Settings of the other kind of teacher have no meaning for this one.
            overrides.append(f"generate.teacher={{type: {kind}, model: {name}}}")
    overrides += set_ or []
    do(load(config, overrides), "generate")
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
        do(load(config, set_), "train")
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
    if as_json:
        raise ConfigError("--json goes with --compare; an evaluation writes evaluate/report.json")
    gate = ["evaluate.fail_on_contamination=true"] if fail_on_contamination else []
    do(load(config, [*gate, *(set_ or [])]), "evaluate")
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

    return show_check(check_config(load(config, set_)), as_json=as_json)


@app.command
def plan(
    config: ConfigPath = None,
    /,
    *,
    gpu: str | None = None,
    gpus: WholeNumber | None = None,
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

    return show_plan(plan_training(load(config, set_), gpu, gpus), as_json=as_json)
