"""The fused LoRA linear against PEFT's own forward and autograd."""

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from seedtune.train.fused.lora import Projection, obstacle
from seedtune.train.fused.masks import draw_mask, keep

TOKENS, WIDTH, SIZES = 33, 24, (40, 16, 16)


class Block(nn.Module):
    """Three linear layers that read the same input."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, size, bias=bias) for size in SIZES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.q(x), self.k(x), self.v(x)], -1)


def block(dtype: torch.dtype = torch.float64, bias: bool = False, **settings: Any) -> tuple[Any, list[Any]]:
    """A PEFT model with random adapters (PEFT starts B at zero, which would hide half of the mistakes)."""
    torch.manual_seed(0)
    config = LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ["q", "k", "v"], **settings})
    model = get_peft_model(Block(bias).to(dtype), config, autocast_adapter_dtype=False)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    inner = model.base_model.model
    return model, [inner.q, inner.k, inner.v]


def run(function: Any, model: Any, x: torch.Tensor) -> list[torch.Tensor]:
    """Output, gradient of the input, gradients of the adapters."""
    x = x.detach().requires_grad_()
    model.zero_grad()
    out = function(x)
    torch.manual_seed(9)
    out.backward(torch.randn(out.shape, dtype=torch.float64).to(out.dtype))
    return [out.detach(), x.grad, *(p.grad.clone() for p in model.parameters() if p.requires_grad)]


def worst(tested: list[torch.Tensor], right: list[torch.Tensor]) -> float:
    return max(float(((a - b).norm() / b.norm()).detach()) for a, b in zip(tested, right, strict=True))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-14), (torch.float32, 2e-6)])
def test_output_and_gradients_are_those_of_peft(dtype: torch.dtype, limit: float, bias: bool) -> None:
    model, layers = block(dtype, bias)
    x = torch.randn(TOKENS, WIDTH, dtype=dtype)
    right = run(model, model, x)
    assert worst(run(Projection(layers), model, x), right) < limit


@pytest.mark.parametrize("bias", [False, True])
def test_a_projection_adds_itself_to_what_it_is_given_in_place(bias: bool) -> None:
    """The residual stream; its gradient is that of the sum, and nothing is copied."""
    model, layers = block(bias=bias)
    x, stream = (torch.randn(TOKENS, width, dtype=torch.float64) for width in (WIDTH, sum(SIZES)))
    right = run(lambda x: stream + model(x), model, x)
    projection = Projection(layers)
    assert worst(run(lambda x: projection(x, stream.clone()), model, x), right) < 1e-14
    assert projection(x, stream).data_ptr() == stream.data_ptr()
    flows = run(lambda stream: projection(x, stream * 1), model, stream)
    torch.manual_seed(9)
    assert torch.equal(flows[1], torch.randn(stream.shape, dtype=torch.float64))


def test_what_is_added_in_place_is_rounded_once() -> None:
    """Next to a large stream in bfloat16 the adapters' part, added by itself, would be rounded away."""
    _, layers = block(torch.bfloat16)
    x, stream = torch.randn(TOKENS, WIDTH).bfloat16(), 100 * torch.randn(TOKENS, sum(SIZES)).bfloat16()
    projection = Projection(layers)
    right = stream + projection(x)
    assert torch.equal(projection(x, stream), right)


def test_with_dropout_each_adapter_sees_its_own_mask_forward_and_backward() -> None:
    model, layers = block(lora_dropout=0.3)
    x = torch.randn(TOKENS, WIDTH, dtype=torch.float64)
    torch.manual_seed(5)
    mask = draw_mask(0.3)

    def formula(x: torch.Tensor) -> torch.Tensor:
        outs: list[torch.Tensor] = []
        for number, layer in enumerate(layers):
            kept = keep(mask, TOKENS, WIDTH, number, x.device).double() * mask.scale
            a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
            outs.append(x @ layer.base_layer.weight.T + 1.5 * (x * kept) @ a.T @ b.T)
        return torch.cat(outs, 1)

    def seeded(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)
        return projection(x)

    right = run(formula, model, x)
    projection = Projection(layers)
    assert worst(run(seeded, model, x), right) < 1e-14
    model.eval()
    assert worst([projection(x)], [model(x)]) < 1e-14


def test_names_and_values_of_the_parameters_stay_and_no_memory_is_spent() -> None:
    model, layers = block()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    Projection(layers)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    storages = {layer.base_layer.weight.untyped_storage().data_ptr() for layer in layers}
    assert len(storages) == 1
    assert layers[0].base_layer.weight.untyped_storage().nbytes() == sum(SIZES) * WIDTH * 8


def test_a_switched_off_or_merged_adapter_is_respected() -> None:
    model, layers = block()
    x = torch.randn(TOKENS, WIDTH, dtype=torch.float64)
    projection = Projection(layers)
    tuned = projection(x)
    with model.disable_adapter():
        assert worst([projection(x)], [model(x)]) < 1e-14
        assert worst([projection(x)], [tuned]) > 0.1
    model.merge_adapter()
    assert worst([projection(x)], [tuned]) < 1e-12
    model.unmerge_adapter()
    assert worst([projection(x)], [tuned]) < 1e-12


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"use_dora": True}, "variant"),
        ({"target_modules": ["q", "k"]}, "no adapter"),
        ({"rank_pattern": {"q": 2}}, "different rank"),
        ({"alpha_pattern": {"k": 1}}, "scale"),
        ({"lora_bias": True}, "variant"),
    ],
)
def test_what_cannot_be_fused_is_said(settings: dict[str, Any], word: str) -> None:
    _, layers = block(bias=True, **settings)
    assert word in (obstacle(layers) or "")


def test_a_trained_base_weight_is_not_fused() -> None:
    _, layers = block()
    layers[1].base_layer.weight.requires_grad_()
    assert obstacle(layers) == "base weight is trained"


def test_gradients_come_in_the_precision_of_the_adapters() -> None:
    """float32 adapters on a bfloat16 model: what PEFT makes by default."""
    model, layers = block(torch.bfloat16)
    for layer in layers:
        layer.lora_A.float()
        layer.lora_B.float()
    x = torch.randn(TOKENS, WIDTH, dtype=torch.bfloat16)
    tested = run(Projection(layers), model, x)
    assert tested[0].dtype == torch.bfloat16
    assert {grad.dtype for grad in tested[2:]} == {torch.float32}
    exact, exact_layers = block(torch.float64)
    exact.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    right = run(Projection(exact_layers), exact, x.double())
    # Five roundings to 8 bits, one after the other.
    assert worst([value.double() for value in tested], right) < 0.01


def test_the_test_would_see_a_forgotten_scale() -> None:
    model, layers = block()
    x = torch.randn(TOKENS, WIDTH, dtype=torch.float64)
    right = run(model, model, x)
    for layer in layers:
        layer.scaling["default"] *= 1.01
    assert worst(run(Projection(layers), model, x), right) > 1e-3
