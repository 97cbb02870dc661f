"""The command ``export``: one format or another, and a line about what was written."""

from pathlib import Path
from typing import Literal

from seedtune import console, runs
from seedtune.domains import load_domain
from seedtune.errors import ConfigError
from seedtune.publish.formats import Format, export
from seedtune.publish.gguf import export_gguf
from seedtune.publish.lm_eval import export_tasks


def export_as(
    to: Format | Literal["gguf", "lm-eval"],
    source: str,
    out: Path | None,
    with_seeds: bool = False,
    converter: Path | None = None,
) -> int:
    """Write a run's dataset, its model, or its suites for another tool, and say where.

    Args:
        to: The format.
        source: The run's folder; for ``lm-eval`` also a domain.
        out: The file or folder; None is the format's own below the run folder.
        with_seeds: For a dataset: the seed tasks come first.
        converter: For ``gguf``: llama.cpp's own, where it is no command here.

    Returns:
        The exit code: 0.

    Raises:
        ConfigError: an option that the format has no use for.
    """
    no_data = to in ("gguf", "lm-eval")
    wrong = "--with-seeds" if with_seeds and no_data else "--converter" if converter and to != "gguf" else None
    if wrong:
        raise ConfigError(f"{wrong} has no meaning with --to {to}")
    if to == "lm-eval":
        tasks = export_tasks(source, out)
        shown = console.relative(tasks.folder)
        console.say(f"lm-eval: {shown}: {', '.join(tasks.tasks)}")
        console.say(f"lm_eval run --include_path {shown} --apply_chat_template --tasks {tasks.tag}")
        return 0
    run = runs.read_run(Path(source))
    domain = load_domain(run.config.domain)
    if to == "gguf":
        path, modelfile = export_gguf(run, domain, out, converter)
        shown = console.relative(modelfile)
        console.say(f"gguf: {console.relative(path)}\nOllama: ollama create {path.stem} -f {shown}")
    else:
        console.say(f"{to}: {console.relative(export(run, domain, to, out, with_seeds))}")
    return 0
