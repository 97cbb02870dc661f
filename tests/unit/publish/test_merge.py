"""A merged model is the model that base and adapter were, or it does not leave."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from fake_hub import FakeHub
from run_on_disk import ROWS, finish, generated, trained
from seedtune.errors import ModelError, PublishError, RunError
from seedtune.publish import merge as module
from seedtune.publish.merge import merge
from seedtune.publish.plan import front_matter
from seedtune.publish.push import Options, push
from seedtune.runs import Run


@pytest.fixture
def run(make_run: Callable[..., Run], tiny_llama: Path) -> Run:
    """A run whose adapter changes the tiny LLaMA a lot."""
    made = make_run(model={"name": str(tiny_llama)})
    generated(made, ROWS)
    torch.manual_seed(0)
    settings = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model: Any = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), settings)
    folder = made.path / "weights"
    model.save_pretrained(folder)
    trained(made, (folder / "adapter_model.safetensors").read_bytes())
    adapter = made.path / "train" / "adapter"
    (adapter / "adapter_config.json").write_bytes((folder / "adapter_config.json").read_bytes())
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(adapter)
    return made


def test_the_merged_folder_is_a_whole_model_that_answers_as_the_adapter(run: Run, tiny_llama: Path) -> None:
    folder, measured = merge(run)
    assert 0 <= measured["difference"] < 1e-5 < 0.05 < measured["effect"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    ids = tokenizer("the session of a peer", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        merged = AutoModelForCausalLM.from_pretrained(folder)(ids).logits
        apart = (merged - base(ids).logits).abs().mean() / merged.std()
    assert apart > 0.05, "the adapter does something, so the comparison can fail"
    assert not any("lora" in name for name in load_file(folder / "model.safetensors"))


def test_a_model_that_answers_otherwise_is_refused_and_not_kept(
    run: Run, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_load_saved", lambda *_: AutoModelForCausalLM.from_pretrained(tiny_llama))
    with pytest.raises(PublishError, match="is not the adapter's"):
        merge(run)
    assert not (run.path / "train" / "merged").exists()
    assert not (run.path / "train" / ".merged").exists()


def test_an_adapter_that_drowns_in_rounding_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16, within the tolerance, but no nearer to the adapter than the base is."""
    weights = run.path / "train" / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor * 1e-3 for name, tensor in load_file(weights).items()}, weights)
    finish(run, "train", [weights], {})
    monkeypatch.setattr(module, "_dtype_of_files", lambda _: "bfloat16")
    with pytest.raises(PublishError, match="is not the adapter's"):
        merge(run)


def test_what_was_merged_is_used_again_until_the_adapter_changes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, measured = merge(run)
    monkeypatch.setattr(module, "_save_merged", lambda *_: pytest.fail("merged again"))
    assert merge(run)[1] == measured
    weights = run.path / "train" / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    finish(run, "train", [weights], {})
    with pytest.raises(pytest.fail.Exception, match="merged again"):
        merge(run)


def test_a_merged_model_is_pushed_with_a_card_of_its_own(run: Run, hub: FakeHub) -> None:
    assert push(run, Options(merged=True, yes=True, base_model="tiny/base")) == 0
    files = hub.repos["model", "ada/one-merged"].files
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"} <= set(files)
    assert not [name for name in files if "adapter" in name or name == "merge.json"]
    card = files["README.md"].decode()
    assert "## Merge" in card
    assert "AutoPeft" not in card
    assert front_matter(card, "")["library_name"] == "transformers"
    assert str(run.path).encode() not in b"".join(files.values())
    assert "_name_or_path" not in json.loads(files["config.json"])


def test_nothing_trained_is_nothing_to_merge(make_run: Callable[..., Run]) -> None:
    with pytest.raises(RunError, match="seedtune train"):
        merge(make_run())


def test_an_adapter_of_another_base_is_named_in_one_line(run: Run) -> None:
    weights = run.path / "train" / "adapter" / "adapter_model.safetensors"
    wider = {name: torch.zeros(len(w), 2 * w.shape[1]) for name, w in load_file(weights).items() if "lora_A" in name}
    save_file(wider, weights)
    with pytest.raises(RunError, match="is not what 'seedtune train' wrote"):
        merge(run)
    finish(run, "train", [weights], {})
    with pytest.raises(ModelError, match=r"adapter: this adapter does not fit .*size mismatch") as raised:
        merge(run)
    assert "\n" not in str(raised.value)


def test_a_model_of_which_all_weights_were_trained_is_pushed_as_it_is(
    make_run: Callable[..., Run], tiny_llama: Path, hub: FakeHub
) -> None:
    run = make_run(model={"name": str(tiny_llama)}, train={"method": "full"})
    trained(run)
    folder = run.path / "train" / "adapter"
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        (folder / name).unlink()
    for path in tiny_llama.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    card = {"base": "tiny/base", "library_name": "transformers"}
    (folder / "README.md").write_text(f"---\n{json.dumps(card)}\n---\n\n# one\n\nPATH_OR_HUB_ID_OF_THIS_MODEL\n")
    finish(run, "train", [folder / "config.json"], {})
    assert push(run, Options(yes=True, base_model="tiny/base")) == 0
    files = hub.repos["model", "ada/one"].files
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= set(files)
    assert "ada/one" in files["README.md"].decode()
    assert not [name for name in files if name in ("optimizer.pt", "training_args.bin")]
