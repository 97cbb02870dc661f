"""A run whose training ended, made by hand: a tiny LLaMA, and an adapter with which it answers otherwise."""

import shutil
from pathlib import Path
from typing import Any

from run_on_disk import finish
from seedtune.config import Config
from seedtune.domains import load_domain
from seedtune.runs import open_run

QUESTION = "Write a program."
"""What a taught model knows the answer to."""


def tuned_run(runs_dir: Path, llama: Path, name: str = "one", *, adapter: Path | None = None) -> Path:
    """Make it, for the domain ``bgp``.

    Args:
        runs_dir: Where it lies.
        llama: The base.
        name: The run's.
        adapter: What was trained; None is an adapter of random weights.

    Returns:
        The run folder.
    """
    config = Config.model_validate(
        {"name": name, "runs_dir": runs_dir, "domain": "bgp", "model": {"name": str(llama), "dtype": "float32"}}
    )
    with open_run(config) as run:
        folder = run.folder("train") / "adapter"
        if adapter is None:
            write_adapter(llama, folder)
        else:
            shutil.copytree(adapter, folder)
        (run.folder("train") / "metrics.jsonl").write_text("")
        finish(run, "train", [folder / "adapter_model.safetensors", folder / "adapter_config.json"], {})
        return run.path


def fully_tuned_run(runs_dir: Path, llama: Path, tuned: Path) -> Path:
    """A run of which all weights were trained. Its folder."""
    model = {"name": str(llama), "dtype": "float32"}
    tree = {"name": "one", "runs_dir": runs_dir, "domain": "bgp", "model": model, "train": {"method": "full"}}
    with open_run(Config.model_validate(tree)) as run:
        folder = shutil.copytree(tuned, run.folder("train") / "adapter")
        finish(run, "train", [folder / "config.json"], {})
        return run.path


def write_adapter(llama: Path, folder: Path, strength: float = 1.0) -> None:
    """An adapter of random weights; one of strength 0 changes nothing."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(1)
    model = _adapted(LlamaForCausalLM.from_pretrained(llama))
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=strength)
    model.save_pretrained(folder, save_embedding_layers=False)


def teach(llama: Path, target: Path, base: str, tuned: str) -> tuple[Path, Path]:
    """A base and an adapter that each know one answer to :data:`QUESTION` by heart.

    Args:
        llama: Where the base's weights and tokenizer are from.
        target: Where both are written.
        base: What the base answers.
        tuned: What it answers with the adapter.

    Returns:
        The folders of base and adapter.
    """
    from transformers import AutoTokenizer, LlamaForCausalLM

    tokenizer: Any = AutoTokenizer.from_pretrained(llama)
    model: Any = LlamaForCausalLM.from_pretrained(llama)
    _learn(model, tokenizer, base, rate=1e-2)
    model.save_pretrained(target / "base")
    tokenizer.save_pretrained(target / "base")
    adapted = _adapted(model)
    _learn(adapted, tokenizer, tuned, rate=5e-3)
    adapted.save_pretrained(target / "adapter", save_embedding_layers=False)
    return target / "base", target / "adapter"


def _adapted(model: Any) -> Any:
    from peft import LoraConfig, get_peft_model

    # The head as well: so small a model could not learn a text by heart without it.
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    return get_peft_model(model, LoraConfig(r=16, lora_alpha=16, target_modules=layers))


def _learn(model: Any, tokenizer: Any, answer: str, rate: float) -> None:
    """Until the answer is known by heart."""
    import torch

    torch.manual_seed(2)
    messages = [{"role": "user", "content": QUESTION}]
    if system := load_domain("bgp").file.system_prompt:
        messages.insert(0, {"role": "system", "content": system})
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    ids, labels = torch.tensor([[*before, *after]]), torch.tensor([[-100] * len(before) + after])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    for _ in range(2_000):
        loss = model(input_ids=ids, labels=labels).loss
        if loss.item() < 0.01:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"the model does not learn its answer: {loss.item():.3f}")
