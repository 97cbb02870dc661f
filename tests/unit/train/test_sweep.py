"""A sweep: the same rows for all, one failure stops nobody, and the best one's config trains the same model again."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from conftest import seedtune, write_jsonl
from run_on_disk import ROWS, generated
from seedtune.config import load_config
from seedtune.errors import ConfigError, DataError, TrainingError
from seedtune.records import file_sha256
from seedtune.report.sweep import show_sweep
from seedtune.runs import open_run, read_run
from seedtune.train import sweep as module
from seedtune.train.sweep import DEFAULT_GRID, expand, run_sweep

GRID = ("scheduler=cosine,constant", "learning_rate=1e-3,1e-2")


@pytest.fixture
def config(tmp_path: Path, write_config: Callable[..., Path], domain_folder: Path, tiny_llama: Path) -> Path:
    """Of a run that trains on 12 rows in six steps."""
    rows = [{"instruction": f"Name loaf {n}.", "output": f"Loaf {n} of {n + 3}, baked {n} times."} for n in range(12)]
    return write_config(
        name="base",
        domain=str(domain_folder),
        model={"name": str(tiny_llama)},
        train={
            "data": [str(write_jsonl(tmp_path / "rows.jsonl", rows))],
            "include_seeds": False,
            "max_steps": 6,
            "evaluations": 3,
            "held_out": 0.25,
            "kernels": "plain",
            "lora": {"r": 4, "alpha": 8},
        },
    )


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "sweep.json").read_text())


def without_times(metrics: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "tokens_per_second"} for line in lines]


def test_the_config_of_the_best_trains_the_very_same_adapter(config: Path) -> None:
    """Each training stands alone, whatever was trained before it in the process."""
    folder = run_sweep(config, [], ["learning_rate=1e-2,1e-3"])
    summary = summary_of(folder)
    assert [result["state"] for result in summary["combinations"]] == ["done"] * 2
    best = min(summary["combinations"], key=lambda result: result["lowest"])
    assert summary["best"] == best["label"]
    assert len({result["lowest"] for result in summary["combinations"]}) == 2
    assert seedtune("train", folder / "best.yaml").returncode == 0
    alone, swept = folder.parent / "train", folder / best["label"] / "train"
    assert without_times(alone / "metrics.jsonl") == without_times(swept / "metrics.jsonl")
    weights = "adapter/adapter_model.safetensors"
    assert file_sha256(alone / weights) == file_sha256(swept / weights)


def test_all_have_the_same_rows_and_the_same_split(config: Path) -> None:
    folder = run_sweep(config, [], ["learning_rate=1e-3,1e-2"])
    rows = {
        (folder / result["label"] / "train" / "rows.jsonl").read_text() for result in summary_of(folder)["combinations"]
    }
    assert len(rows) == 1
    assert '"held_out"' in rows.pop()


def test_lowest_and_last_are_those_of_the_metrics_without_the_untrained_model(config: Path) -> None:
    folder = run_sweep(config, ["train.max_steps=12"], ["learning_rate=0.3"])
    [result] = summary_of(folder)["combinations"]
    lines = without_times(folder / result["label"] / "train" / "metrics.jsonl")
    measured = [(line["step"], line["eval_loss"]) for line in lines if "eval_loss" in line]
    assert [step for step, _ in measured] == [0, 4, 8, 12]
    assert result["untrained"] == measured[0][1]
    assert result["curve"] == [list(pair) for pair in measured[1:]]
    assert (result["lowest_step"], result["lowest"]) == min(measured[1:], key=lambda pair: pair[1])
    assert result["last"] == measured[-1][1]
    assert result["kept"] == result["lowest"]


def test_what_is_done_is_skipped_and_what_was_broken_off_goes_on(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = module.run_train

    def interrupted(run: Any, domain: Any) -> None:
        if "0.01" in run.config.name:
            raise KeyboardInterrupt
        train(run, domain)

    monkeypatch.setattr(module, "run_train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(config, [], ["learning_rate=1e-3,1e-2"])
    folder = load_config(config).run_dir / "sweep"
    assert [result["state"] for result in summary_of(folder)["combinations"]] == ["done", "open"]
    trained: list[str] = []
    monkeypatch.setattr(module, "run_train", lambda run, domain: (trained.append(run.config.name), train(run, domain)))
    run_sweep(config, [], ["learning_rate=1e-3,1e-2"])
    sessions = [read_run(folder / name).stage("train")["sessions"] for name in trained]
    assert trained == ["learning_rate-0.001", "learning_rate-0.01"]
    assert sessions == [1, 1], "the first was not trained again"
    assert [result["state"] for result in summary_of(folder)["combinations"]] == ["done", "done"]


def test_the_last_words_send_who_still_chooses_to_the_dev_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {"name": "r=8", "label": "r-8", "settings": {"r": "8"}, "state": "done", "reason": None, "kept": 1.0}
    done |= {"lowest": 1.0, "lowest_step": 1, "last": 1.0, "untrained": 2.0, "steps": 1, "seconds": 1.0, "curve": []}
    (tmp_path / "sweep.json").write_text(json.dumps({"best": "r-8", "combinations": [done]}))
    assert show_sweep(tmp_path) == 0
    said = "".join(capsys.readouterr().out.split())
    assert f"{tmp_path}/r-8/config.yaml--setevaluate.split=dev" in said


def test_one_that_fails_stands_in_the_table_with_its_reason_and_the_others_go_on(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_sweep(config, ["train.max_grad_norm=1e30"], ["learning_rate=1e30,1e-3"])
    assert show_sweep(folder) == 0
    diverged, sound = summary_of(folder)["combinations"]
    assert (diverged["state"], sound["state"]) == ("failed", "done")
    assert "is no number" in diverged["reason"]
    assert "bad-step.jsonl" in diverged["reason"]
    shown, page = capsys.readouterr().out, (folder / "sweep.md").read_text()
    assert "is no number" in " ".join(shown.split())
    assert "is no number" in page
    assert "| 1e+30 |" in page
    assert load_config(folder / "best.yaml").train.learning_rate == 1e-3


def test_where_all_fail_there_is_no_best_and_the_exit_code_is_1(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(run: Any, domain: Any) -> None:
        raise TrainingError("the GPU's memory is full")

    monkeypatch.setattr(module, "run_train", full)
    before = load_config(config).run_dir / "sweep" / "best.yaml"
    before.parent.mkdir(parents=True)
    before.write_text("of another sweep")
    folder = run_sweep(config, [], GRID)
    assert show_sweep(folder) == 1
    assert not (folder / "best.yaml").exists()
    assert not (folder / "sweep.svg").exists()
    assert (folder / "sweep.md").read_text().count("memory is full") == 4
    assert "no combination could be trained" in capsys.readouterr().err


def test_a_training_that_failed_leaves_its_group_of_processes(tmp_path: Path) -> None:
    """Else the next one would ask followers that are gone."""
    from accelerate import PartialState
    from torch import distributed

    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    PartialState(cpu=True)
    module._clean_process()
    assert not distributed.is_initialized()
    assert not PartialState._shared_state


def test_the_command_ends_in_a_table_a_picture_and_the_best_config(config: Path) -> None:
    result = seedtune("train", config, "--sweep", "learning_rate=1e-3,1e-2", "lora.rslora=true")
    assert result.returncode == 0, result.stderr
    folder = load_config(config).run_dir / "sweep"
    assert "best" in result.stdout
    assert "seedtune train" in result.stdout
    root = ElementTree.fromstring((folder / "sweep.svg").read_text())
    lines = [node for node in root.iter() if node.tag.endswith("polyline")]
    assert [len(node.attrib["points"].split()) for node in lines] == [3, 3]
    assert load_config(folder / "best.yaml").train.lora.rslora
    page = (folder / "sweep.md").read_text().splitlines()
    assert page[4] == "| learning_rate | lora.rslora | lowest | at step | last | steps | time |  |"
    assert len([line for line in page if line.startswith("|")]) == 4


def test_generated_instructions_are_those_of_the_run(config: Path, domain_folder: Path, tmp_path: Path) -> None:
    """Each combination is a run of its own, for 'seedtune evaluate' or 'push', with the run's data."""
    with open_run(load_config(config)) as run:
        generated(run, ROWS)
    overrides = ["train.data=[]", "train.held_out=0.4"]
    folder = run_sweep(config, overrides, ["learning_rate=1e-3"])
    trial = read_run(folder / "learning_rate-0.001")
    rows = (trial.path / "train" / "rows.jsonl").read_text()
    assert rows.count('"source": "generated"') + rows.count('"source":"generated"') == len(ROWS)
    assert (trial.path / "generate").resolve() == run.path / "generate"
    shutil.move(tmp_path / "runs", tmp_path / "moved")
    assert (tmp_path / "moved/base/sweep/learning_rate-0.001/generate/instructions.jsonl").is_file()


def test_without_arguments_two_schedules_are_tried_with_four_learning_rates(config: Path) -> None:
    found = [combination.settings for combination in expand(config, [], DEFAULT_GRID)]
    assert found == [
        {"scheduler": scheduler, "learning_rate": rate}
        for scheduler in ("cosine", "constant")
        for rate in (5e-5, 1e-4, 2e-4, 4e-4)
    ]


def test_any_setting_of_training_can_be_an_axis(config: Path) -> None:
    grid = ["train.lora.target_modules=all-linear,[q_proj, v_proj]", "trainer_args.weight_decay=0,0.1"]
    found = expand(config, [], grid)
    assert [combination.config.train.lora.target_modules for combination in found[1:3]] == [
        "all-linear",
        ("q_proj", "v_proj"),
    ]
    assert [combination.config.train.trainer_args["weight_decay"] for combination in found] == [0, 0.1, 0, 0.1]
    assert len({combination.config.run_dir for combination in found}) == 4


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (["lora.alpha=16,32"], "allow_large_alpha"),
        (["schedulr=cosine"], "did you mean 'scheduler'"),
        (["learning_rate=fast"], "learning_rate"),
        (["config.yaml"], "stands before --sweep"),
        (["learning_rate="], "no value"),
        (["learning_rate=[1"], "not valid YAML"),
        (["learning_rate=1e-4,0.0001"], "twice"),
        (["epochs=1,2", "epochs=1,3"], "twice"),
        (["held_out=0.1,0.2"], "use --set"),
        (["train.data=a.jsonl,b.jsonl"], "use --set"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_trained(
    config: Path, monkeypatch: pytest.MonkeyPatch, grid: list[str], words: str
) -> None:
    monkeypatch.setattr(module, "run_train", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=words):
        run_sweep(config, [], grid)


def test_without_held_out_rows_there_is_nothing_to_judge_by(config: Path) -> None:
    with pytest.raises(ConfigError, match="held_out"):
        run_sweep(config, ["train.held_out=0"], GRID)


def test_without_data_the_run_is_named(config: Path) -> None:
    with pytest.raises(DataError, match=r"runs/base: nothing is generated yet"):
        run_sweep(config, ["train.data=[]"], GRID)
