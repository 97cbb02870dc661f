"""The whole road in a child process, as a user runs it: tiny LLaMA, a teacher over HTTP, real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import clean_environment, seedtune, small_run, start_seedtune
from fake_teacher import FakeTeacher

TORN = b'{"event": "reply", "reply": {"ind'


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny_llama: Path) -> tuple[Path, dict[str, Any], FakeTeacher]:
    """A finished run, its config, and the teacher that served it."""
    import yaml

    from seedtune.domains import create_domain

    root = tmp_path_factory.mktemp("road")
    create_domain(root / "baking")
    with FakeTeacher() as teacher:
        config = small_run(root / "baking", tiny_llama, teacher.url) | {"runs_dir": str(root / "runs")}
        (root / "config.yaml").write_text(yaml.safe_dump(config))
        result = seedtune("run", root / "config.yaml")
        assert result.returncode == 0, result.stderr
        again = seedtune("run", root / "config.yaml")
        assert again.returncode == 0, again.stderr
    return root, config, teacher


def test_every_suite_has_both_models_with_interval_and_test(
    undisturbed: tuple[Path, dict[str, Any], FakeTeacher],
) -> None:
    report = json.loads((undisturbed[0] / "runs/small/evaluate/report.json").read_text())
    assert set(report["suites"]) == {
        f"{suite}/{method}" for suite in ("multiple_choice", "true_false") for method in ("loglikelihood", "generate")
    }
    for suite in report["suites"].values():
        assert 0 <= suite["mcnemar"]["p"] <= 1
        for kind in ("base", "tuned"):
            low, high = suite[kind]["interval"]
            assert suite[kind]["n"] == 4
            assert 0 <= low <= suite[kind]["accuracy"] <= high <= 1


def test_the_report_is_self_contained(undisturbed: tuple[Path, dict[str, Any], FakeTeacher]) -> None:
    page = (undisturbed[0] / "runs/small/report.html").read_text()
    assert "<script" not in page
    assert "src=" not in page
    assert "url(" not in page
    assert "://" not in page.split("How it was made")[0]


def test_exactly_n_instructions_and_a_finished_run_sends_nothing(
    undisturbed: tuple[Path, dict[str, Any], FakeTeacher],
) -> None:
    root, config, teacher = undisturbed
    lines = read_lines(root / "runs/small/generate/instructions.jsonl")
    assert len(lines) == config["generate"]["num_instructions"]
    # The fixture ran the command twice.
    sent = [e for e in read_lines(root / "runs/small/generate/journal.jsonl") if e["event"] == "sent"]
    assert teacher.received == len(sent)


def test_the_studio_shows_the_run_on_every_page(
    undisturbed: tuple[Path, dict[str, Any], FakeTeacher],
    studio: Callable[..., str],
    browse: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """What the stages wrote is what the pages read: numbers, rows, charts, verdicts, and the models themselves."""
    shutil.copytree(undisturbed[0] / "runs", tmp_path / "runs")
    folder = tmp_path / "runs" / "small"
    report = json.loads((folder / "evaluate" / "report.json").read_text())
    address = studio(tmp_path / "runs")
    page = browse(address)
    card = page.locator("#runs .card").inner_text()
    assert "12 of 12" in card
    assert "held-out loss" in card.lower()

    page.goto(f"{address}/runs/small/data?verdict=kept")
    page.wait_for_selector("#rows li[aria-selected=true]")
    assert page.locator("#rows li").count() == 12
    first = read_lines(folder / "generate" / "instructions.jsonl")[0]
    assert first["instruction"] in page.locator("#item").inner_text()
    page.keyboard.press("x")
    page.get_by_text("1 saved").wait_for()
    assert [word["id"] for word in read_lines(folder / "generate" / "review.jsonl")] == [first["id"]]

    page.goto(f"{address}/runs/small/live")
    page.locator("#train-numbers").get_by_text("step", exact=True).wait_for()
    steps = read_lines(folder / "train" / "metrics.jsonl")[-1]["step"]
    assert str(steps) in page.locator("#train-numbers").inner_text()

    page.goto(f"{address}/runs/small/evaluation")
    page.wait_for_selector("#suites svg")
    shown = page.locator("main").inner_text()
    assert all(suite["verdict"] in shown for suite in report["suites"].values())

    page.goto(f"{address}/runs/small/chat")
    page.get_by_role("button", name="Load the models").click()
    page.wait_for_selector("#talk:not([hidden])", timeout=60_000)
    page.locator("#ask summary").click()
    page.locator("#ask input[name=max_tokens]").fill("4")
    page.locator("#ask textarea[name=text]").fill("Why does dough rise?")
    page.keyboard.press("Enter")
    page.locator(".ballot").wait_for(timeout=60_000)


def test_no_key_reaches_a_file(tmp_path: Path, tiny_llama: Path, domain_folder: Path, teacher: FakeTeacher) -> None:
    import yaml

    config = small_run(domain_folder, tiny_llama, teacher.url, goal=2) | {"runs_dir": str(tmp_path / "runs")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    result = seedtune("generate", tmp_path / "config.yaml", OPENAI_API_KEY="sk-very-secret")
    assert result.returncode == 0, result.stderr
    written = b"".join(path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert b"sk-very-secret" not in written + result.stderr.encode() + result.stdout.encode()


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool], what: str) -> None:
    """SIGKILL a process as soon as ``ready``; fail if it ends before."""
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, f"ended before it could be killed ({what}): {process.communicate()[0]}"
        assert time.monotonic() < deadline, what
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_sigkill_in_each_stage_loses_nothing_and_pays_nothing_twice(tmp_path: Path, tiny_llama: Path) -> None:
    import yaml

    from seedtune.domains import create_domain

    create_domain(tmp_path / "baking")
    reference, killed = tmp_path / "runs/reference", tmp_path / "runs/killed"
    concurrency = 4

    def write_config(name: str, url: str) -> Path:
        config = small_run(tmp_path / "baking", tiny_llama, url, goal=40) | {
            "name": name,
            "runs_dir": str(tmp_path / "runs"),
        }
        config["generate"]["teacher"]["concurrency"] = concurrency
        config["train"] |= {"max_steps": 60, "checkpoints": 12, "evaluations": 6}
        config["evaluate"] |= {"batch_size": 1, "showcase_tokens": 32}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    with FakeTeacher(latency=0.03) as teacher:
        result = seedtune("run", write_config("reference", teacher.url))
        assert result.returncode == 0, result.stderr
    with FakeTeacher(latency=0.03) as teacher:
        config = write_config("killed", teacher.url)
        journal = killed / "generate/journal.jsonl"
        kill_when(start_seedtune("run", config), lambda: count_lines(journal) > 20, "generate")
        with journal.open("ab") as file:
            file.write(TORN)
        kill_when(start_seedtune("run", config), lambda: (killed / "train/checkpoints/checkpoint-15").exists(), "train")
        kill_when(start_seedtune("run", config), lambda: count_lines(killed / "evaluate/records.jsonl") > 5, "evaluate")
        result = seedtune("run", config)
        assert result.returncode == 0, result.stderr

        twice = [count for count in teacher.served.values() if count > 1]
        assert len(twice) <= concurrency
        assert all(count == 2 for count in twice)
    for name in ("instructions.jsonl", "rejected.jsonl", "funnel.json"):
        assert (killed / "generate" / name).read_bytes() == (reference / "generate" / name).read_bytes(), name
    steps = [line["step"] for line in read_lines(killed / "train/metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, 61))
    asked = [[line["key"] for line in read_lines(run / "evaluate/records.jsonl")] for run in (killed, reference)]
    # Four items of two suites by two methods, and two questions side by side, each put to two models.
    assert [len(keys) for keys in asked] == [len(set(keys)) for keys in asked] == [36, 36]


def test_ctrl_c_saves_what_was_in_flight_and_says_how_to_go_on(tmp_path: Path, tiny_llama: Path) -> None:
    import yaml

    from seedtune.domains import create_domain

    create_domain(tmp_path / "baking")
    with FakeTeacher(latency=0.2) as teacher:
        config = small_run(tmp_path / "baking", tiny_llama, teacher.url, goal=200) | {
            "runs_dir": str(tmp_path / "runs")
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        process = start_seedtune("generate", tmp_path / "config.yaml")
        journal = tmp_path / "runs/small/generate/journal.jsonl"
        while count_lines(journal) < 10:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "run the same command again" in output
    events = read_lines(journal)
    sent = [event for event in events if event["event"] == "sent"]
    replies = [event for event in events if event["event"] == "reply"]
    assert len(sent) == len(replies) == teacher.received
    assert events[-1]["cause"] == "interrupt"


def test_a_full_disk_is_named_and_loses_nothing(
    tmp_path: Path, tiny_llama: Path, domain_folder: Path, teacher: FakeTeacher
) -> None:
    import yaml

    config = small_run(domain_folder, tiny_llama, teacher.url, goal=30) | {"runs_dir": str(tmp_path / "runs")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    # A limit on file sizes stands for the full disk: the same call fails with another number.
    limited = subprocess.run(
        ["bash", "-c", f"ulimit -f 40; exec python -m seedtune generate {tmp_path / 'config.yaml'}"],
        capture_output=True,
        text=True,
        timeout=120,
        env=clean_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
        check=False,
    )
    assert limited.returncode == 1
    assert "cannot be written" in limited.stderr
    assert "Traceback" not in limited.stderr
    result = seedtune("generate", tmp_path / "config.yaml")
    assert result.returncode == 0, result.stderr
    assert len(read_lines(tmp_path / "runs/small/generate/instructions.jsonl")) == 30
