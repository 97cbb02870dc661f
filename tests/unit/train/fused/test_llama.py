"""A fused LLaMA gives the losses and gradients of stock transformers and PEFT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from seedtune.train.fused import attention
from seedtune.train.fused.llama import Fusion, PackedLoss, fuse
from seedtune.train.fused.packing import IGNORED, batch_of

LENGTHS = (5, 17, 1, 9)
Make = Callable[..., Any]


@pytest.fixture
def make(tiny_llama: Path) -> Make:
    """A PEFT model over the tiny LLaMA in float64, with adapters that do something."""

    def build(base: Any = None, **settings: Any) -> Any:
        base = base or AutoModelForCausalLM.from_pretrained(tiny_llama)
        config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", **settings})
        torch.manual_seed(1)
        model = get_peft_model(base.double(), config, autocast_adapter_dtype=False).train()
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.3)
        return model

    return build


def rows() -> list[tuple[list[int], list[int]]]:
    """The first third of each row is prompt."""
    generator = torch.Generator().manual_seed(2)
    ids = [torch.randint(5, 260, (length,), generator=generator).tolist() for length in LENGTHS]
    return [(row, [IGNORED] * (len(row) // 3) + row[len(row) // 3 :]) for row in ids]


def packed(size: int | None = None) -> dict[str, Any]:
    made = rows()
    return batch_of([(np.array(made[row][0]), np.array(made[row][1])) for row in (2, 0, 3, 1)], 0, size)


def stock_loss(model: Any) -> tuple[torch.Tensor, int]:
    """Each row alone through the stock forward: nothing can leak, nothing is padded."""
    total, count = torch.zeros((), dtype=torch.float64), 0
    for ids, labels in rows():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        targets = torch.tensor(labels[1:], dtype=torch.long)
        total = total + torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        count += int((targets != IGNORED).sum())
    return total, count


def gradients(model: Any, total: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    total.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}


def worst(tested: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    assert tested.keys() == right.keys()
    return max(float((tested[name] - right[name]).norm() / right[name].norm()) for name in right)


@pytest.mark.parametrize(
    ("settings", "fusion"),
    [
        ({}, Fusion()),
        ({}, Fusion(lora=False)),
        ({}, Fusion(norm=False, checkpointed_layers=1)),
        ({}, Fusion(checkpointed_layers=1)),
        ({}, Fusion(attention="row_by_row", checkpointed_layers=2)),
        ({"target_modules": ["q_proj", "v_proj"]}, Fusion()),
        ({"rank_pattern": {"gate_proj": 2}, "use_rslora": True}, Fusion()),
    ],
)
@pytest.mark.parametrize("size", [None, 40])
def test_loss_and_gradients_of_packed_rows_are_those_of_the_rows_alone(
    make: Make, settings: dict[str, Any], fusion: Fusion, size: int | None
) -> None:
    model = make(**settings)
    right, count = stock_loss(model)
    right_grads = gradients(model, right)
    fuse(model, fusion)
    out: PackedLoss = model(**packed(size))
    assert packed(size)["targets"].numel() == count
    assert out.loss.item() == pytest.approx(right.item(), rel=1e-6)
    assert worst(gradients(model, out.loss), right_grads) < 1e-6


def test_a_norm_whose_gain_is_zero_somewhere_keeps_what_it_read(make: Make) -> None:
    """What it wrote does not tell what it read there."""
    model = make()
    with torch.no_grad():
        model.get_parameter("base_model.model.model.layers.1.input_layernorm.weight")[3] = 0
    right, _ = stock_loss(model)
    right_grads = gradients(model, right)
    fuse(model, Fusion())
    assert worst(gradients(model, model(**packed()).loss), right_grads) < 1e-6


def test_a_neighbour_in_the_pack_changes_nothing(make: Make) -> None:
    model = make()
    fuse(model, Fusion())
    alone = [model(**_one(row)).loss.item() for row in rows()]
    assert model(**packed()).loss.item() == pytest.approx(sum(alone), rel=1e-6)


def _one(row: tuple[list[int], list[int]]) -> dict[str, Any]:
    return batch_of([(np.array(row[0]), np.array(row[1]))], 0)


def test_a_checkpointed_layer_drops_the_same_elements_when_it_runs_again(make: Make) -> None:
    found: list[dict[str, torch.Tensor]] = []
    for layers in (0, 1, 2):
        model = make(lora_dropout=0.4)
        fuse(model, Fusion(checkpointed_layers=layers))
        torch.manual_seed(7)
        found.append(gradients(model, model(**packed()).loss))
    assert worst(found[1], found[0]) < 1e-12
    assert worst(found[2], found[0]) < 1e-12


def test_dropout_is_drawn_anew_each_time_and_off_in_evaluation(make: Make) -> None:
    model = make(lora_dropout=0.4)
    fuse(model, Fusion())
    assert model(**packed()).loss.item() != model(**packed()).loss.item()
    model.eval()
    assert model(**packed()).loss.item() == pytest.approx(stock_loss(model)[0].item(), rel=1e-6)


def test_everything_but_packed_batches_goes_the_stock_way(make: Make) -> None:
    model = make().eval()
    ids = torch.tensor([rows()[1][0]])
    logits = model(input_ids=ids).logits
    written = model.generate(input_ids=ids, max_new_tokens=5, do_sample=False)
    fuse(model, Fusion())
    assert torch.allclose(model(input_ids=ids).logits, logits, atol=1e-12)
    assert torch.equal(model.generate(input_ids=ids, max_new_tokens=5, do_sample=False), written)


def test_the_saved_adapter_has_the_names_shapes_and_precision_of_stock_peft(make: Make, tmp_path: Path) -> None:
    make().save_pretrained(tmp_path / "stock")
    model = make()
    fuse(model, Fusion())
    model.save_pretrained(tmp_path / "fused")
    stock, fused = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("stock", "fused"))
    assert stock.keys() == fused.keys()
    assert all(torch.equal(stock[name], fused[name]) and stock[name].dtype == fused[name].dtype for name in stock)
    configs = [(tmp_path / name / "adapter_config.json").read_text() for name in ("stock", "fused")]
    assert configs[0] == configs[1]


def test_another_architecture_is_fused_layer_by_layer(make: Make) -> None:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    model = make(Qwen2ForCausalLM(config), target_modules="all-linear")
    right, _ = stock_loss(model)
    right_grads = gradients(model, right)
    fuse(model, Fusion())
    assert model.get_base_model().config._attn_implementation == attention.NAME
    out = model(**packed())
    assert out.loss.item() == pytest.approx(right.item(), rel=1e-6)
    assert worst(gradients(model, out.loss), right_grads) < 1e-6
    # A padded batch still has its mask.
    padded = torch.tensor([[7, 8, 9, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    alone = model(input_ids=padded[:, :3]).logits
    assert torch.allclose(model(input_ids=padded, attention_mask=mask).logits[:, :3], alone, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"attention_dropout": 0.1}, "dropout"), ({"hidden_act": "gelu"}, "gelu"), ({"logit_scale": 2.0}, "logit_scale")],
)
def test_a_model_whose_forward_is_another_one_is_refused(make: Make, change: dict[str, Any], word: str) -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, **change
    )
    with pytest.raises(RuntimeError, match=word):
        fuse(make(LlamaForCausalLM(config)), Fusion())
