"""The Triton kernels against plain torch in float32, on a GPU; relative errors are a few roundings of bfloat16."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from seedtune.train.fused import attention, fp8, layers, lora, loss, lowrank, mlp
from seedtune.train.fused.attention import Rows
from seedtune.train.fused.masks import Mask, draw_mask

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]

ROUNDING = 6e-3
"""bfloat16 has 8 bits: one rounding is at most 0.4% of a number, 0.17% of a norm."""


def error(tested: torch.Tensor, right: torch.Tensor) -> float:
    assert torch.isfinite(tested).all()
    return float((tested.double() - right.double()).norm() / right.double().norm())


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randn(shape, generator=generator, device="cuda", dtype=torch.bfloat16)


def down(x: torch.Tensor, a: torch.Tensor, count: int, mask: Mask) -> torch.Tensor:
    out = x.new_empty(x.shape[0], a.shape[0])
    lowrank.down(out, x, a, count, mask, 0.3)
    return out


SHAPES = [(512, 256, 1, 64), (300, 320, 3, 16), (1000, 576, 2, 32), (257, 4096, 3, 64), (130, 14336, 1, 128)]
MASKS = [Mask(0.0), Mask(0.1, 123456789, 987654321), Mask(0.6, 5, 7)]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: f"p{mask.probability}")
@pytest.mark.parametrize(("tokens", "width", "count", "rank"), SHAPES)
def test_lora_kernels(tokens: int, width: int, count: int, rank: int, mask: Mask) -> None:
    x, a = random(tokens, width), random(count * rank, width, seed=1)
    v = random(tokens, count * rank, seed=2)
    assert lowrank.kernel_fits(x, rank)
    wide = [tensor.float() for tensor in (x, a, v)]
    pairs = [
        (down(x, a, count, mask), down(wide[0], wide[1], count, mask)),
        (lowrank.gradient(x, v, count, mask, 0.3), lowrank.gradient(wide[0], wide[2], count, mask, 0.3)),
        (lowrank.spread(v, a, count, mask, 0.3), lowrank.spread(wide[2], wide[1], count, mask, 0.3)),
        (lowrank.gradient_of_parts(x, v[:, :rank], [width])[0], wide[0].T @ wide[2][:, :rank]),
    ]
    assert max(error(tested, right) for tested, right in pairs) < ROUNDING


@pytest.mark.parametrize("sizes", [(4096, 1024, 1024), (576, 192, 192), (1536, 1536), (100, 28)])
def test_the_gradients_of_parts_are_those_of_each_part_alone(sizes: tuple[int, ...]) -> None:
    grad, low = random(700, sum(sizes)), random(700, 32 * len(sizes), seed=1)
    made = lowrank.gradient_of_parts(grad, low, sizes)
    parts = zip(grad.float().split(list(sizes), 1), low.float().chunk(len(sizes), 1), strict=True)
    assert max(error(tested, part.T @ v) for tested, (part, v) in zip(made, parts, strict=True)) < ROUNDING


def test_lora_kernels_read_and_write_parts_of_wider_matrices() -> None:
    whole, b = random(200, 640), random(256, 64, seed=1)
    out = torch.full((200, 192), 7.0, device="cuda", dtype=torch.bfloat16)
    lowrank.down(out[:, 64:128], whole[:, 128:384], b.T)
    assert error(out[:, 64:128], whole[:, 128:384].float() @ b.float()) < ROUNDING
    assert (out[:, :64] == 7).all()
    assert (out[:, 128:] == 7).all()


def test_the_gradient_kernel_gives_the_same_bits_each_time() -> None:
    x, v = random(4096, 4096), random(4096, 64, seed=1)
    first = lowrank.gradient(x, v, 1, Mask(0.1, 1, 2), 1.0)
    assert all(torch.equal(first, lowrank.gradient(x, v, 1, Mask(0.1, 1, 2), 1.0)) for _ in range(5))


def compare(function: Callable[..., list[torch.Tensor]], *inputs: torch.Tensor) -> float:
    """Outputs and gradients with the kernel in bfloat16 against plain torch in float32."""
    found: list[list[torch.Tensor]] = []
    for kernel, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        given = [tensor.to(dtype).requires_grad_() for tensor in inputs]
        outs = function(*[tensor * 1 for tensor in given], kernel=kernel)
        flows = [random(*out.shape, seed=number).to(dtype) for number, out in enumerate(outs)]
        grads = torch.autograd.grad(outs, given, flows)
        found.append([*(out.detach().clone() for out in outs), *grads])
    return max(error(tested, right) for tested, right in zip(*found, strict=True))


@pytest.mark.parametrize("width", [256, 576, 4096])
def test_norms(width: int) -> None:
    weight = random(width, seed=3)
    x = random(70, width)
    assert compare(lambda x, kernel: list(layers.rms_norm(x, weight.to(x.dtype), 1e-5, kernel)), x) < ROUNDING
    assert compare(lambda x, kernel: [layers.rms_norm(x, weight.to(x.dtype), 1e-5, kernel)[1]], x) < ROUNDING


@pytest.mark.parametrize(("heads", "size"), [((32, 8), 128), ((9, 3), 64)])
def test_rotation(heads: tuple[int, int], size: int) -> None:
    angle = torch.outer(torch.arange(50.0), torch.rand(size // 2)).cuda().repeat(1, 2)
    angles = (angle.cos().bfloat16(), angle.sin().bfloat16())
    width = (heads[0] + 2 * heads[1]) * size
    assert compare(lambda x, kernel: list(layers.rotate(x, angles, heads, kernel)), random(50, width)) < ROUNDING


@pytest.mark.parametrize("width", [100, 1536, 14336])
def test_swiglu(width: int) -> None:
    assert compare(lambda x, kernel: [layers.swiglu(x, kernel)], random(40, 2 * width)) < ROUNDING


@pytest.mark.parametrize("vocabulary", [1000, 128256])
def test_loss(vocabulary: int) -> None:
    head, places = random(vocabulary, 64, seed=1) / 8, torch.arange(0, 3000, 3, device="cuda")
    targets = torch.randint(vocabulary, (1000,), device="cuda")
    targets[:50] = (random(3000, 64).float()[places[:50]] @ head.float().T).argmax(1)
    hits: list[float] = []

    def function(hidden: torch.Tensor, kernel: bool) -> list[torch.Tensor]:
        total, hit = loss.next_token_loss(hidden, head.to(hidden.dtype), places, targets, kernel)
        hits.append(hit.item())
        return [total]

    # The softmax is taken of logits rounded to bfloat16.
    assert compare(function, random(3000, 64)) < 2 * ROUNDING
    assert min(hits) >= 45
    assert abs(hits[0] - hits[1]) <= 3


@pytest.mark.parametrize(("tokens", "inputs", "outputs"), [(96, 256, 512), (160, 14336, 4096)])
def test_eight_bit_products_are_within_their_rounding(tokens: int, inputs: int, outputs: int) -> None:
    """e4m3 keeps 4 significant bits: 2.6% of a norm for each factor."""
    if not fp8.supported(torch.device("cuda")):
        pytest.skip("needs compute capability 8.9")
    # Rows and columns of very different size: one scale for all would lose the small ones.
    weight = random(outputs, inputs) * torch.logspace(-3, 0, outputs, device="cuda").bfloat16()[:, None]
    x = random(tokens, inputs, seed=1) * torch.logspace(-6, 2, tokens, device="cuda").bfloat16()[:, None]
    made = fp8.Float8Weight.of(weight)
    right = x.float() @ weight.float().T
    assert max(error(made.forward(x)[row], right[row]) for row in range(0, tokens, 13)) < 0.05
    grad = random(tokens, outputs, seed=2)
    assert error(made.backward(grad), grad.float() @ weight.float()) < 0.05
    numbers, scale = layer_kernels().quantize(x)
    assert error(numbers.float() * scale, x) < 0.03


def layer_kernels() -> Any:
    """Imported here: Triton is there where a GPU is."""
    from seedtune.train.fused import layer_kernels

    return layer_kernels


def adapted(sizes: list[tuple[int, int]], rank: int) -> tuple[torch.nn.Module, list[Any]]:
    """Linear layers (inputs, outputs) in bfloat16 with float32 adapters that do something."""
    torch.manual_seed(0)
    names = [str(number) for number in range(len(sizes))]
    config = LoraConfig(r=rank, lora_alpha=rank // 2, target_modules=names, lora_dropout=0.1)
    base = torch.nn.Sequential(*[torch.nn.Linear(*size, bias=False) for size in sizes])
    model = get_peft_model(base, config).cuda()
    made = [model.base_model.model[number] for number in range(len(sizes))]
    for layer in made:
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
        layer.base_layer.bfloat16()
    return model, made


def gradients(model: torch.nn.Module, y: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    """The output, the gradient of ``x``, the gradients of the adapters."""
    model.zero_grad()
    x.grad = None
    y.backward(random(*y.shape, seed=3).to(y.dtype))
    grads = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    assert {grad.dtype for grad in grads} == {torch.float32}
    return [y.detach(), x.grad, *grads]


def plain(layer: Any, x: torch.Tensor, mask: Mask, adapter: int) -> torch.Tensor:
    """The formula of a LoRA linear layer, in float32."""
    dropped = lowrank.dropped(x, mask, adapter) * mask.scale
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    return x @ layer.base_layer.weight.float().T + 0.5 * dropped @ a.T @ b.T


class Roomy(torch.autograd.Function):
    """The same with 64 columns behind it, as the norm gives it."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return lowrank.with_room(x, *x.shape, 64).copy_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0]


@pytest.mark.parametrize(("float8", "roomy"), [(False, False), (False, True), (True, False)])
def test_a_projection_in_bfloat16_is_the_formula_within_rounding(float8: bool, roomy: bool) -> None:
    model, made = adapted([(512, 768), (512, 256)], 32)
    x = random(300, 512).requires_grad_()
    torch.manual_seed(4)
    mask = draw_mask(0.1)
    right = gradients(model, torch.cat([plain(layer, x.float(), mask, n) for n, layer in enumerate(made)], 1), x)
    projection = lora.Projection(made, float8)
    assert projection.room == (0 if float8 else 64)
    given = Roomy.apply(x) if roomy else x
    limits = [0.04 if float8 else ROUNDING] * 2 + [ROUNDING] * 4
    stream = random(300, 1024, seed=5)
    for onto in (None, stream.clone()):
        torch.manual_seed(4)
        tested = gradients(model, projection(given, onto), x)
        goals = right if onto is None else [right[0] + stream, *right[1:]]
        for value, goal, limit in zip(tested, goals, limits, strict=True):
            assert error(value, goal) < limit


@pytest.mark.parametrize("float8", [False, True])
@pytest.mark.parametrize(("width", "inner", "rank", "tokens"), [(256, 704, 16, 300), (512, 1536, 64, 1000)])
def test_the_feed_forward_block_is_its_formula_within_rounding(
    width: int, inner: int, rank: int, tokens: int, float8: bool
) -> None:
    model, (gate, up, last_layer) = adapted([(width, inner), (width, inner), (inner, width)], rank)
    x = random(tokens, width).requires_grad_()
    torch.manual_seed(4)
    outer, last = draw_mask(0.1), draw_mask(0.1)
    wide = x.float()
    act = torch.nn.functional.silu(plain(gate, wide, outer, 0)) * plain(up, wide, outer, 1)
    right = gradients(model, plain(last_layer, act, last, 0), x)
    stream = random(tokens, width, seed=5)
    for onto in (None, stream.clone()):
        torch.manual_seed(4)
        y = mlp.feed_forward(x, lora.Projection([gate, up], float8), lora.Projection([last_layer], float8), onto)
        assert y is not None
        tested = gradients(model, y, x)
        goals = right if onto is None else [right[0] + stream, *right[1:]]
        # Three products in a row, each rounded; in 8 bits each rounded to 4 significant bits.
        for value, goal in zip(tested, goals, strict=True):
            assert error(value, goal) < (0.08 if float8 else 2 * ROUNDING)


@pytest.mark.parametrize("name", ["blocks", "flash", "varlen", "row_by_row"])
@pytest.mark.parametrize(("heads", "size"), [((32, 8), 128), ((9, 3), 64), ((8, 8), 64)])
def test_packed_attention(name: str, heads: tuple[int, int], size: int) -> None:
    device = torch.device("cuda")
    implementation = attention.pick(device, torch.bfloat16, heads, size, name)
    assert attention.packed_error(implementation, device, torch.bfloat16, heads, size) < 0.01


@pytest.mark.parametrize("lengths", [[1], [300], [128, 64, 1, 700, 5, 130, 128], [1024] * 3])
@pytest.mark.parametrize(("heads", "size"), [((32, 8), 128), ((9, 3), 64)])
def test_rotation_and_attention_in_one(lengths: list[int], heads: tuple[int, int], size: int) -> None:
    tokens = sum(lengths)
    edges = torch.tensor([0, *lengths], device="cuda").cumsum(0).to(torch.int32)
    rows = Rows(edges, max(lengths))
    angle = torch.outer(torch.arange(float(tokens)), torch.rand(size // 2)).cuda().repeat(1, 2)
    angles = (angle.cos().bfloat16(), angle.sin().bfloat16())

    def function(qkv: torch.Tensor, kernel: bool) -> list[torch.Tensor]:
        if kernel:
            return [attention.rotated(qkv, angles, heads, rows)]
        return [attention.row_by_row(*layers.rotate(qkv, angles, heads, False), rows).flatten(1)]

    assert compare(function, random(tokens, (heads[0] + 2 * heads[1]) * size)) < 0.01


def test_attention_gives_the_same_bits_each_time() -> None:
    qkv, edges = random(2000, 48 * 128), torch.tensor([0, 900, 901, 2000], device="cuda", dtype=torch.int32)
    angles = (torch.ones(2000, 128, device="cuda"), torch.zeros(2000, 128, device="cuda"))
    found: list[torch.Tensor] = []
    for _ in range(3):
        given = qkv.clone().requires_grad_()
        out = attention.rotated(given * 1, angles, (32, 8), Rows(edges, 1100))
        found.append(torch.autograd.grad(out, given, random(2000, 4096, seed=1))[0])
    assert all(torch.equal(found[0], other) for other in found)
