"""The memory plan says what was measured, and checkpoints no layer more than it must."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from seedtune.train.fused.memory import (
    MOST_TOKENS,
    PassPlan,
    Shape,
    fixed_bytes,
    kept_bytes,
    layers_to_checkpoint,
    plan_passes,
    step_bytes,
)

GIB = 2**30
LLAMA_8B = Shape(32, 4096, 14336, 32, 8, 128, 128256, False, 64)


@pytest.mark.parametrize(("tokens", "float8", "measured"), [(8192, False, 41.8), (8192, True, 54.7)])
def test_the_plan_is_within_two_percent_of_the_peaks_measured_on_an_h100(
    tokens: int, float8: bool, measured: float
) -> None:
    assert step_bytes(LLAMA_8B, tokens, 0, float8) / GIB == pytest.approx(measured, rel=0.02)


def test_weights_and_adapters_are_counted_as_peft_makes_them() -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=4, target_modules="all-linear"))
    shape = Shape.of(config, 4)
    projections = [p for name, p in model.named_parameters() if "base_layer" in name]
    assert shape.layers * shape.projections == sum(p.numel() for p in projections)
    assert shape.layers * shape.adapters == model.get_nb_trainable_parameters()[0]
    norms = sum(p.numel() for name, p in model.named_parameters() if "norm" in name)
    everything = sum(p.numel() for p in model.parameters() if not p.requires_grad) - norms
    room = 4 * 3 * (3 * (32 + 32) + 2 * 32 + 4 * 64)
    assert fixed_bytes(shape) == 2 * (everything + room) + 16 * shape.layers * shape.adapters


def test_no_layer_is_checkpointed_where_all_fit_and_none_helps_where_the_weights_do_not() -> None:
    assert layers_to_checkpoint(LLAMA_8B, 8192, 72 * GIB) == 0
    assert layers_to_checkpoint(LLAMA_8B, 8192, 16 * GIB) is None


def test_the_fewest_layers_that_fit_are_checkpointed() -> None:
    count = layers_to_checkpoint(LLAMA_8B, 32768, 72 * GIB)
    assert count is not None
    assert 0 < count <= 32
    assert step_bytes(LLAMA_8B, 32768, count) <= 72 * GIB < step_bytes(LLAMA_8B, 32768, count - 1)
    assert kept_bytes(LLAMA_8B, checkpointed=True) < kept_bytes(LLAMA_8B) / 6


def test_a_tied_head_is_counted_once() -> None:
    config = LlamaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, tie_word_embeddings=True)
    tied = Shape.of(config, 4)
    config.tie_word_embeddings = False
    assert fixed_bytes(Shape.of(config, 4)) - fixed_bytes(tied) == 300 * 32 * torch.bfloat16.itemsize


@pytest.mark.parametrize("gib", [12, 16, 20, 24, 40, 48, 80, 141])
@pytest.mark.parametrize("four_bit", [False, True])
def test_what_is_planned_fits_and_a_larger_pass_without_checkpointing_would_not(gib: int, four_bit: bool) -> None:
    available = int(0.92 * gib * GIB)
    plan = plan_passes(LLAMA_8B, 1024, available, MOST_TOKENS, four_bit=four_bit)
    if plan is None:
        assert step_bytes(LLAMA_8B, 1024, 32, four_bit=four_bit) > available
        return
    assert 1024 <= plan.tokens <= MOST_TOKENS
    assert step_bytes(LLAMA_8B, plan.tokens, plan.checkpointed_layers, four_bit=four_bit) <= available
    if plan.tokens < MOST_TOKENS:
        assert step_bytes(LLAMA_8B, plan.tokens + 256, 0, four_bit=four_bit) > available


def test_an_8b_model_in_four_bits_trains_in_12_gib() -> None:
    assert plan_passes(LLAMA_8B, 1024, int(0.92 * 12 * GIB), MOST_TOKENS, four_bit=True) is not None
    # Measured on an H100: 8.9 GiB.
    assert step_bytes(LLAMA_8B, 1024, 32, four_bit=True) / GIB == pytest.approx(8.9, rel=0.05)


def test_a_limit_on_the_passes_is_kept() -> None:
    assert plan_passes(LLAMA_8B, 1000, 70 * GIB, 1500) == PassPlan(1500, 0)
