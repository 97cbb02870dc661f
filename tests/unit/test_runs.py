"""The run folder: done-marks, what is set aside, the lock, and what the manifest tells."""

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import clean_environment
from seedtune.config import Config
from seedtune.errors import RunError
from seedtune.records import file_sha256
from seedtune.runs import Run, fingerprint, open_run, read_run


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(name="one", runs_dir=tmp_path / "runs")


@pytest.fixture
def run(config: Config) -> Iterator[Run]:
    with open_run(config) as opened:
        yield opened


def work(run: Run, mark: str = "f", text: str = "adapter") -> Path:
    """Do a stage whole: one output, one number."""
    output = run.folder("train") / "out.bin"
    output.write_text(text)
    with run.working("train", mark) as done:
        done([output], {"steps": 3})
    return output


def manifest_on_disk(run: Run) -> dict[str, Any]:
    return json.loads((run.path / "manifest.json").read_text())


# Done-marks


def test_a_stage_that_ended_is_done_for_its_fingerprint(run: Run) -> None:
    work(run)
    assert run.is_done("train", "f")


def test_a_done_mark_is_seen_by_the_next_session(config: Config) -> None:
    with open_run(config) as run:
        work(run)
    with open_run(config) as again:
        assert again.is_done("train", "f")


def test_a_stage_is_not_done_for_another_fingerprint(run: Run) -> None:
    work(run)
    assert not run.is_done("train", "g")


def test_a_stage_that_never_ran_is_not_done(run: Run) -> None:
    work(run)
    assert not run.is_done("evaluate", "f")


def test_a_changed_output_is_not_done(run: Run) -> None:
    work(run).write_text("adapteR")
    assert not run.is_done("train", "f")


def test_a_missing_output_is_not_done(run: Run) -> None:
    work(run).unlink()
    assert not run.is_done("train", "f")


def test_an_output_written_again_with_the_same_bytes_is_done(run: Run) -> None:
    output = work(run)
    output.unlink()
    output.write_text("adapter")
    assert run.is_done("train", "f")


def test_the_manifest_holds_the_sha256_of_each_output(run: Run) -> None:
    output = work(run)
    assert manifest_on_disk(run)["stages"]["train"]["outputs"] == {"train/out.bin": file_sha256(output)}


def test_numbers_of_a_stage_are_kept(run: Run) -> None:
    work(run)
    assert run.stage("train")["numbers"] == {"steps": 3}


def test_what_is_asked_for_is_a_copy(run: Run) -> None:
    work(run)
    run.stage("train")["state"] = "broken"
    run.output_digests("train").clear()
    assert run.is_done("train", "f")


def test_a_stage_that_fails_is_stopped_not_done(run: Run) -> None:
    with pytest.raises(RuntimeError, match="no memory"), run.working("train", "f"):
        raise RuntimeError("no memory")
    assert manifest_on_disk(run)["stages"]["train"]["state"] == "stopped"
    assert not run.is_done("train", "f")


def test_a_stage_broken_off_by_ctrl_c_is_stopped(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt), run.working("train", "f"):
        raise KeyboardInterrupt
    assert run.stage("train")["state"] == "stopped"


def test_a_stage_is_running_on_disk_while_it_works(run: Run) -> None:
    with run.working("train", "f"):
        assert manifest_on_disk(run)["stages"]["train"]["state"] == "running"


def test_a_stage_done_again_and_broken_off_is_no_longer_done(run: Run) -> None:
    work(run)
    with pytest.raises(RuntimeError), run.working("train", "f"):
        raise RuntimeError("broken off")
    assert not run.is_done("train", "f")


def test_a_stopped_stage_has_no_outputs(run: Run) -> None:
    work(run)
    with pytest.raises(RuntimeError), run.working("train", "f"):
        raise RuntimeError("broken off")
    assert run.output_digests("train") == {}


def test_fingerprints_differ_with_each_part() -> None:
    parts: list[tuple[object, ...]] = [({"a": 1}, []), ({"a": 2}, []), ({"a": 1}, [1]), ([], {"a": 1})]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_a_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


# Setting aside


def test_what_was_made_for_another_fingerprint_is_set_aside(run: Run) -> None:
    work(run, "f", "old")
    run.set_aside_if_other("train", "g")
    assert (run.path / "train.1" / "out.bin").read_text() == "old"
    assert not (run.path / "train").exists()


def test_what_was_made_for_the_same_fingerprint_stays(run: Run) -> None:
    work(run)
    run.set_aside_if_other("train", "f")
    assert run.is_done("train", "f")


def test_nothing_that_was_set_aside_is_overwritten(run: Run) -> None:
    for number, mark in enumerate("fgh"):
        run.set_aside_if_other("train", mark)
        work(run, mark, f"text {number}")
    assert [(run.path / f"train.{n}" / "out.bin").read_text() for n in (1, 2)] == ["text 0", "text 1"]


def test_the_manifest_forgets_what_was_set_aside(run: Run) -> None:
    work(run)
    run.set_aside_if_other("train", "g")
    assert "train" not in manifest_on_disk(run)["stages"]


def test_work_for_another_fingerprint_starts_to_count_anew(run: Run) -> None:
    work(run)
    run.set_aside_if_other("train", "g")
    work(run, "g")
    assert run.stage("train")["sessions"] == 1


def test_a_folder_that_was_deleted_starts_to_count_anew(run: Run) -> None:
    work(run).unlink()
    (run.path / "train").rmdir()
    run.set_aside_if_other("train", "g")
    work(run, "g")
    assert run.stage("train")["sessions"] == 1


def test_a_folder_that_the_manifest_does_not_know_is_set_aside(config: Config) -> None:
    with open_run(config) as run:
        work(run, "f", "old")
    (run.path / "manifest.json").unlink()
    with open_run(config) as again:
        again.set_aside_if_other("train", "g")
        assert (again.path / "train.1" / "out.bin").read_text() == "old"


# Time


@contextmanager
def clock(monkeypatch: pytest.MonkeyPatch, *readings: float) -> Iterator[None]:
    left = iter(readings)
    with monkeypatch.context() as patched:
        patched.setattr("seedtune.runs.time.monotonic", lambda: next(left))
        yield


def test_times_and_sessions_add_up(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for start, end in ((10.0, 15.5), (100.0, 102.0), (7.0, 8.0)):
        with (
            open_run(config) as run,
            clock(monkeypatch, start, end),
            pytest.raises(RuntimeError),
            run.working("train", "f"),
        ):
            raise RuntimeError("broken off")
    assert (run.stage("train")["seconds"], run.stage("train")["sessions"]) == (8.5, 3)


# The lock

HOLD = """
import sys, time
from pathlib import Path
from seedtune.config import Config
from seedtune.runs import open_run
with open_run(Config(name="one", runs_dir=Path(sys.argv[1]))) as run, run.working("generate", "f"):
    print("held", flush=True)
    time.sleep(120)
"""


class Holder(NamedTuple):
    process: subprocess.Popen[str]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def holder(config: Config) -> Iterator[Holder]:
    """Another process that works in the run."""
    command = [sys.executable, "-c", HOLD, str(config.runs_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield Holder(process)
        process.kill()


def test_a_second_process_is_refused_and_told_the_first(config: Config, holder: Holder) -> None:
    with pytest.raises(RunError, match=f"process {holder.process.pid}"), open_run(config):
        pass


def test_a_refused_process_changes_nothing(config: Config, holder: Holder) -> None:
    files = {path: path.read_bytes() for path in config.run_dir.iterdir()}
    with pytest.raises(RunError), open_run(config.model_copy(update={"seed": 5})):
        pass
    assert {path: path.read_bytes() for path in config.run_dir.iterdir()} == files


def test_another_run_beside_it_can_be_opened(config: Config, holder: Holder) -> None:
    with open_run(config.model_copy(update={"name": "two"})) as run:
        assert run.path.is_dir()


def test_a_locked_run_can_be_read(config: Config, holder: Holder) -> None:
    assert read_run(config.run_dir).config == config


def test_the_lock_is_freed_when_its_process_is_killed(config: Config, holder: Holder) -> None:
    holder.kill()
    with open_run(config) as run:
        assert (run.path / ".lock").read_text() == str(os.getpid())


def test_the_lock_is_freed_after_an_error(config: Config) -> None:
    with pytest.raises(RuntimeError), open_run(config):
        raise RuntimeError
    with open_run(config):
        pass


# Broken and unwritable folders


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"",
        b'{"stages": {\xff}}',
        b"[1]",
        b'{"name": 1}',
        b'{"stages": []}',
        b'{"stages": {"train": 1}}',
    ],
)
def test_a_broken_manifest_is_named(config: Config, content: bytes) -> None:
    config.run_dir.mkdir(parents=True)
    (config.run_dir / "manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=re.escape(f"{config.run_dir / 'manifest.json'}: ")), open_run(config) as run:
        run.is_done("train", "f")


UNWRITABLE = "the run folder cannot be written.*set runs_dir"


def test_a_run_folder_that_cannot_be_made_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=UNWRITABLE), open_run(Config(runs_dir=tmp_path / "file")):
        pass


def test_a_read_only_folder_is_named_with_the_setting(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user can write to a read-only folder")
        with pytest.raises(RunError, match=UNWRITABLE), open_run(Config(runs_dir=folder)):
            pass
    finally:
        folder.chmod(0o755)


def test_a_full_disk_is_told_before_any_work(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("seedtune.runs.shutil.disk_usage", lambda _: Usage(3 * 1024**2))
    with pytest.raises(RunError, match="only 3 MiB free"), open_run(config):
        pass


def test_a_folder_that_is_no_run_is_refused_for_reading(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.yaml"):
        read_run(tmp_path)


def test_reading_a_run_writes_nothing(config: Config) -> None:
    with open_run(config) as run:
        work(run)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    read_run(run.path).is_done("train", "f")
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_config_that_no_work_began_under_replaces_nothing(config: Config) -> None:
    with open_run(config) as run:
        work(run)
    with open_run(config.model_copy(update={"seed": 5})):
        pass
    assert read_run(run.path).config == config


def test_the_config_that_work_began_under_is_recorded(config: Config) -> None:
    with open_run(config) as run:
        work(run)
    other = config.model_copy(update={"seed": 5})
    with open_run(other) as again, pytest.raises(RuntimeError), again.working("train", "g"):
        raise RuntimeError("broken off")
    assert read_run(run.path).config == other


def test_a_run_folder_that_was_moved_can_be_read(config: Config, tmp_path: Path) -> None:
    with open_run(config) as run:
        work(run)
    moved = run.path.rename(tmp_path / "elsewhere")
    assert read_run(moved).is_done("train", "f")


# What the manifest tells


def test_the_manifest_names_versions_seed_and_machine(config: Config) -> None:
    with open_run(config.model_copy(update={"seed": 7})) as run:
        work(run)
    told = manifest_on_disk(run)
    assert (told["name"], told["seed"]) == ("one", 7)
    assert {"python", "seedtune", "numpy"} <= told["versions"].keys()
    assert told["machine"]["cpus"] >= 1


def test_the_manifest_names_neither_user_nor_host_nor_folders(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("USER", "LOGNAME", "HOSTNAME", "HOME"):
        monkeypatch.setenv(variable, f"{tmp_path}/zebra-{variable.lower()}")
    monkeypatch.setattr(platform, "node", lambda: "zebra-node")
    monkeypatch.setattr(socket, "gethostname", lambda: "zebra-host")
    work(run)
    text = (run.path / "manifest.json").read_text()
    assert "zebra" not in text
    assert str(tmp_path) not in text
    assert str(Path(__file__).parents[2]) not in text


def test_a_manifest_names_no_key_of_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-zebra")
    monkeypatch.setenv("HF_TOKEN", "hf_zebra")
    work(run)
    assert not [path for path in run.path.rglob("*") if path.is_file() and b"zebra" in path.read_bytes()]
