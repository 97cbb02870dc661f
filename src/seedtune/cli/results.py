"""What is made of a run."""

from pathlib import Path
from typing import Literal

from seedtune.cli.app import app


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
