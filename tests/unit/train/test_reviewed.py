"""Training takes the generated data as people left it."""

from pathlib import Path

import pytest

from conftest import write_jsonl
from run_on_disk import ROWS, generated
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.runs import open_run
from seedtune.train.corpus import generated_file, read_corpus


@pytest.fixture
def config(tmp_path: Path, domain_folder: Path) -> Config:
    tree = {
        "name": "one",
        "runs_dir": tmp_path / "runs",
        "domain": str(domain_folder),
        "train": {"include_seeds": False},
    }
    made = Config.model_validate(tree)
    with open_run(made) as run:
        generated(run, ROWS)
    better = {"instruction": "Explain it.", "output": "Better."}
    write_jsonl(
        made.run_dir / "generate" / "review.jsonl",
        [
            {"id": ROWS[0]["id"], "decision": "reject", "by": "ada"},
            {"id": ROWS[1]["id"], "decision": "accept", "by": "ada", "edited": better},
        ],
    )
    return made


def test_training_and_the_check_read_the_reviewed_rows(config: Config) -> None:
    corpus, findings = read_corpus(config, load_domain(config.domain), generated_file(config))
    assert [example.task.output for example in corpus.examples] == ["Better.", ROWS[2]["output"]]
    assert corpus.place(corpus.examples[0]) == "instructions.jsonl:2"
    assert findings == []
