"""The whole road on one page: generate -> train -> evaluate -> the dataset's card and the report.

Each stage is skipped when it is done and goes on where it was broken off.
"""

from contextlib import suppress
from pathlib import Path

from seedtune import runs
from seedtune.config import Config
from seedtune.domains import Domain, load_domain
from seedtune.errors import ConfigError, SeedtuneError
from seedtune.evaluate.stage import run_evaluate
from seedtune.generate.stage import run_generate
from seedtune.publish import write_dataset_card
from seedtune.report import REPORT, write_report
from seedtune.train import launch
from seedtune.train.stage import run_train

STAGES = {"generate": run_generate, "train": run_train, "evaluate": run_evaluate}


def run_stages(config: Config, stages: tuple[str, ...] = tuple(STAGES)) -> Path | None:
    """Do some stages of a run, in order, and write the report.

    Returns:
        The report's path; None where another process writes it.

    Raises:
        SeedtuneError: a stage stopped; run it again to go on.
    """
    if launch.rank() > 0:
        # Under torchrun the first process is the command; the others only train.
        if stages != ("train",):
            raise ConfigError("torchrun is for 'seedtune train' alone; run the other stages without it")
        launch.follow()
        return None
    domain = load_domain(config.domain)
    with runs.open_run(config) as run:
        try:
            for stage in stages:
                STAGES[stage](run, domain)
        except BaseException:
            # A run that stopped is worth a look too; one that never began is not.
            if run.manifest["stages"]:
                with suppress(SeedtuneError):
                    _write_pages(run, domain, stages)
            raise
        _write_pages(run, domain, stages)
    return run.path / REPORT


def _write_pages(run: runs.Run, domain: Domain, stages: tuple[str, ...]) -> None:
    if "generate" in stages and (run.path / "generate" / "instructions.jsonl").is_file():
        write_dataset_card(run, domain)
    write_report(run)
