"""The model card that goes with an adapter, or with a model of which all weights were trained."""

import json
from collections import Counter
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from seedtune import models, runs
from seedtune.domains import Domain
from seedtune.records import read_json_lines


def model_card(run: runs.Run, domain: Domain, numbers: dict[str, Any]) -> str:
    """A card in the hub's format (YAML front matter, Markdown), filled from the run's files.

    Args:
        run: The run; its ``train/rows.jsonl`` is read, and ``generate/funnel.json`` where there is one.
        domain: The domain trained for.
        numbers: What training measured.
    """
    rows = Counter((line["source"], line["split"]) for _, line in read_json_lines(run.path / "train" / "rows.jsonl"))
    funnel_path = run.path / "generate" / "funnel.json"
    funnel = json.loads(funnel_path.read_text(encoding="utf-8")) if funnel_path.is_file() else None
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    text = resources.files("seedtune.train").joinpath("card.md.j2").read_text(encoding="utf-8")
    config = run.config
    return (
        environment.from_string(text).render(
            base=models.public_name(config.model.name),
            domain=domain.file,
            run_name=config.name,
            sources=[
                {"name": source, "train": rows[source, "train"], "held_out": rows[source, "held_out"]}
                for source in sorted({source for source, _ in rows})
            ],
            funnel=funnel,
            rejected=", ".join(f"{count} {reason}" for reason, count in funnel["rejected"].items()) if funnel else "",
            teacher=config.generate.teacher.model,
            whole=config.train.method == "full",
            lora=config.train.lora,
            train=config.train,
            numbers=numbers,
            seed=config.seed,
            versions=run.manifest["versions"],
            question=(domain.file.showcase or ("...",))[0],
        )
        + "\n"
    )
