"""The whole road on one page: generate -> train -> evaluate -> report.

Each stage is skipped when it is done and goes on where it was broken off.
"""

from contextlib import suppress
from pathlib import Path

from seedtune import runs
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.errors import SeedtuneError
from seedtune.evaluate.stage import run_evaluate
from seedtune.generate.stage import run_generate
from seedtune.report import REPORT, write_report
from seedtune.train.stage import run_train

STAGES = {"generate": run_generate, "train": run_train, "evaluate": run_evaluate}


def run_stages(config: Config, stages: tuple[str, ...] = tuple(STAGES)) -> Path:
    """Do some stages of a run, in order, and write the report.

    Returns:
        The report's path.

    Raises:
        SeedtuneError: a stage stopped; run it again to go on.
    """
    domain = load_domain(config.domain)
    with runs.open_run(config) as run:
        try:
            for stage in stages:
                STAGES[stage](run, domain)
        except BaseException:
            # A run that stopped is worth a look too; one that never began is not.
            if run.manifest["stages"]:
                with suppress(SeedtuneError):
                    write_report(run)
            raise
        write_report(run)
    return run.path / REPORT
