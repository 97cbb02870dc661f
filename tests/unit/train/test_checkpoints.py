"""Which checkpoint a broken-off training goes on from."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from seedtune.train.checkpoints import last_checkpoint


def write_checkpoint(folder: Path, step: int) -> Path:
    """The files that matter, as the trainer names them."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"lora_A": torch.ones(64, 8)}, path / "adapter_model.safetensors")
    torch.save({"moments": torch.ones(64, 8)}, path / "optimizer.pt")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": 100}))
    return path


def test_without_a_folder_there_is_none(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path / "checkpoints") is None


def test_in_an_empty_folder_there_is_none(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None


@given(steps=st.sets(st.integers(1, 2000), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_newest_is_that_of_the_highest_step(tmp_path_factory: pytest.TempPathFactory, steps: set[int]) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    written = {step: write_checkpoint(folder, step) for step in steps}
    assert last_checkpoint(folder) == written[max(steps)]


@pytest.mark.parametrize(
    "state",
    [None, "", '{"global_step": 2', "\0\0\0\0", "\xff", '{"global_step": 10}', "{}"],
    ids=["missing", "empty", "torn", "zeros", "not UTF-8", "of another step", "no step"],
)
def test_one_without_a_sound_state_is_passed_over_and_deleted(tmp_path: Path, state: str | None) -> None:
    whole, broken = write_checkpoint(tmp_path, 10), write_checkpoint(tmp_path, 20)
    (broken / "trainer_state.json").unlink()
    if state is not None:
        (broken / "trainer_state.json").write_bytes(state.encode("latin-1"))
    assert last_checkpoint(tmp_path) == whole
    assert not broken.exists()


def test_one_without_an_adapter_is_passed_over_and_deleted(tmp_path: Path) -> None:
    whole, broken = write_checkpoint(tmp_path, 10), write_checkpoint(tmp_path, 20)
    (broken / "adapter_model.safetensors").unlink()
    assert last_checkpoint(tmp_path) == whole
    assert not broken.exists()


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_one_with_an_empty_or_a_short_file_is_passed_over(tmp_path: Path, file: str, share: float) -> None:
    # What a power cut or a full disk leaves: the trainer flushes nothing to the disk.
    whole, broken = write_checkpoint(tmp_path, 10), write_checkpoint(tmp_path, 20)
    content = (broken / file).read_bytes()
    (broken / file).write_bytes(content[: int(share * len(content))])
    assert last_checkpoint(tmp_path) == whole


def test_where_all_are_broken_there_is_none(tmp_path: Path) -> None:
    for step in (10, 20):
        (write_checkpoint(tmp_path, step) / "trainer_state.json").unlink()
    assert last_checkpoint(tmp_path) is None


def test_older_whole_ones_are_kept(tmp_path: Path) -> None:
    written = [write_checkpoint(tmp_path, step) for step in (10, 20, 30)]
    last_checkpoint(tmp_path)
    assert all((path / "optimizer.pt").is_file() for path in written)


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "runs").mkdir()
    assert last_checkpoint(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best", "runs"]


def test_a_deletion_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (write_checkpoint(tmp_path, 20) / "trainer_state.json").unlink()
    last_checkpoint(tmp_path)
    assert "checkpoint-20" in caplog.text
