"""Suites as tasks of lm-evaluation-harness: what is asked and what is right there, in files that need nothing else."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, seedtune
from domain_on_disk import DomainOnDisk
from seedtune.config import Config, EvaluateConfig
from seedtune.domains import load_domain
from seedtune.errors import ConfigError, DataError
from seedtune.evaluate.suites import choose_suites, plan_jobs
from seedtune.publish import harness_tasks
from seedtune.publish.lm_eval import Exported, export_tasks
from seedtune.runs import open_run


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!function", lambda loader, node: f"!{loader.construct_scalar(node)}")


def task_of(exported: Exported, name: str) -> dict[str, Any]:
    return yaml.load((exported.folder / f"{name}.yaml").read_text(), _Loader)


def rows_of(exported: Exported, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (exported.folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_tasks("bgp", tmp_path_factory.mktemp("tasks"))


def test_every_suite_that_can_be_scored_there_is_a_task(exported: Exported) -> None:
    types = {suite.type for suite in load_domain("bgp").suites.values()}
    assert "open" in types
    assert set(exported.tasks) >= {f"seedtune_bgp_{name}" for name in ("multiple_choice", "true_false", "cloze")}
    assert not [name for name in exported.tasks if "open" in name or "code" in name]
    assert {path.stem for path in exported.folder.glob("*.yaml")} == set(exported.tasks)


@pytest.mark.parametrize(("suite", "method"), [("multiple_choice", "loglikelihood"), ("cloze", "generate")])
def test_the_questions_are_those_that_seedtune_asks(exported: Exported, suite: str, method: str) -> None:
    config = EvaluateConfig(suites=(suite,))
    jobs = plan_jobs(choose_suites(load_domain("bgp"), config), config, seed=0)
    [job] = [job for job in jobs if job.method == method]
    rows = rows_of(exported, f"seedtune_bgp_{suite}.jsonl")
    assert [row["query"] for row in rows] == [question.turns[-1].content for question in job.questions]
    assert [row["id"] for row in rows] == [item.id for item in job.items]


def test_options_keep_their_order_and_the_right_one_is_an_index(exported: Exported) -> None:
    items = load_domain("bgp").suites["multiple_choice"].only("test").choices
    for row, item in zip(rows_of(exported, "seedtune_bgp_multiple_choice.jsonl"), items, strict=True):
        assert (row["choices"], row["choices"][row["gold"]]) == (list(item.options), item.answer)


def test_a_task_names_fields_of_its_rows_and_functions_of_the_file_beside_it(exported: Exported) -> None:
    code = ast.parse((exported.folder / "harness_tasks.py").read_text())
    functions = {f"!harness_tasks.{node.name}" for node in code.body if isinstance(node, ast.FunctionDef)}
    for name in exported.tasks:
        task = task_of(exported, name)
        [first, *_] = rows_of(exported, task["metadata"]["items"])
        assert task["doc_to_text"] in first
        assert task["doc_to_target"] in first
        assert {task["custom_dataset"], task.get("process_results", task["custom_dataset"])} <= functions
        assert task["target_delimiter"] == ""
        assert task["tag"] == exported.tag == "seedtune_bgp"
        if "fewshot_split" in task:
            assert rows_of(exported, task["metadata"]["dev"])[0].keys() == first.keys()


def test_the_canary_goes_along(exported: Exported) -> None:
    assert (exported.folder / "seedtune_bgp_cloze.yaml").read_text().startswith("# These are test questions of")


def test_what_is_copied_beside_the_tasks_needs_the_standard_library_and_datasets_alone() -> None:
    tree = ast.parse((ROOT / "src/seedtune/publish/harness_tasks.py").read_text())
    imported: set[str] = set()
    for node in ast.walk(tree):
        imported |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
        imported |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
    assert imported - {"datasets"} <= sys.stdlib_module_names


def test_the_items_are_read_from_the_files_beside_the_code(exported: Exported) -> None:
    pytest.importorskip("datasets")
    namespace: dict[str, Any] = {"__file__": str(exported.folder / "harness_tasks.py")}
    exec(compile((exported.folder / "harness_tasks.py").read_text(), "harness_tasks.py", "exec"), namespace)
    task = task_of(exported, "seedtune_bgp_cloze")
    splits = namespace["load"](**task["metadata"])
    assert set(splits) == {"test", "dev"}
    assert splits["test"][0]["query"] == rows_of(exported, task["metadata"]["items"])[0]["query"]


def test_a_domain_with_a_system_prompt_puts_it_before_each_question(tmp_path: Path) -> None:
    domain = DomainOnDisk(tmp_path / "baking")
    domain.describe(system_prompt="You are a {{ baker }}.")
    exported = export_tasks(str(domain.folder), tmp_path / "tasks")
    for name in exported.tasks:
        assert task_of(exported, name)["description"] == "system"
        assert {row["system"] for row in rows_of(exported, f"{name}.jsonl")} == {"You are a {{ baker }}."}


def test_a_run_gives_the_items_of_its_config(tmp_path: Path) -> None:
    domain = DomainOnDisk(tmp_path / "baking")
    evaluate = {"suites": ["true_false"], "limit": 2, "max_new_tokens": 7, "shots": 1}
    config = Config.model_validate({"runs_dir": tmp_path, "domain": str(domain.folder), "evaluate": evaluate})
    with open_run(config) as run, run.working("evaluate", "f") as done:
        done([], {})
    exported = export_tasks(str(run.path))
    assert exported.folder == run.path / "export" / "lm-eval"
    assert len(rows_of(exported, f"{exported.tasks[0]}.jsonl")) == 2
    assert task_of(exported, exported.tasks[-1])["generation_kwargs"]["max_gen_toks"] == 7


def test_a_domain_needs_a_folder_to_write_to() -> None:
    with pytest.raises(ConfigError, match="--out DIR"):
        export_tasks("bgp")


def test_a_domain_of_open_questions_alone_has_nothing_for_the_harness(tmp_path: Path) -> None:
    domain = DomainOnDisk(tmp_path / "baking")
    line = {"question": "Why?", "key_points": ["One.", "Two."], "answer": "One. Two."}
    domain.write("evaluation/open.jsonl", [line])
    domain.describe(suites={"open": {"type": "open", "items": "evaluation/open.jsonl"}})
    with pytest.raises(DataError, match="can be scored by lm-evaluation-harness"):
        export_tasks(str(domain.folder), tmp_path / "tasks")


def test_the_command_says_how_to_run_them(tmp_path: Path) -> None:
    result = seedtune("export", "bgp", "--to", "lm-eval", "--out", "tasks", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "lm_eval run --include_path tasks --apply_chat_template --tasks seedtune_bgp\n" in result.stdout


# How answers are scored there


@pytest.mark.parametrize(
    ("score", "right", "accepted", "refused"),
    [
        ("letter", ["B"], ["B", " **B**", "(b)", "B.", "B) 179", "Answer: B"], ["", "A", "AB", "Better", "A, not B"]),
        ("truth", ["True"], ["True", "true.", "The statement is true."], ["", "False", "True or False", "truest"]),
        ("words", ["the hold timer"], ["hold timer", "The  Hold Timer.", '"hold timer"'], ["", "hold", "hold timers"]),
        ("words", ["-5"], ["-5", " -5."], ["5", "-51"]),
        ("words", ["192.0.2.0/24"], ["192.0.2.0/24", "`192.0.2.0/24`"], ["192.0.2.0/2"]),
    ],
)
def test_an_answer_in_the_form_asked_for_is_accepted(
    score: str, right: list[str], accepted: list[str], refused: list[str]
) -> None:
    function = getattr(harness_tasks, f"score_{score}")
    for text in accepted:
        assert function({"answers": right}, [text]) == {"exact_match": 1.0}, text
        assert function({"answers": right}, [f"<think>no</think>{text}"]) == {"exact_match": 1.0}, text
    for text in refused:
        assert function({"answers": right}, [text]) == {"exact_match": 0.0}, text
