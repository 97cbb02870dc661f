# ruff: noqa: N803, N806 (names end in their shapes)
"""A LLaMA with LoRA adapters, its forward pass put together from the fused pieces.

Only the way through the model changes: modules, parameters, their names and what is saved stay as transformers and PEFT
made them. The fused way is taken for packed batches (those with ``places``); generation, padded batches and everything
else go the stock way. Layers of other architectures, and projections that :func:`~.lora.obstacle` speaks against, keep
their stock forward within it.
"""

import functools
import logging
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch.utils.checkpoint import checkpoint

from seedtune.errors import TrainingError
from seedtune.train.fused import attention
from seedtune.train.fused.fp8 import supported
from seedtune.train.fused.layers import rms_norm, rotate, swiglu
from seedtune.train.fused.lora import Projection, obstacle
from seedtune.train.fused.loss import next_token_loss
from seedtune.train.fused.mlp import feed_forward

logger = logging.getLogger(__name__)

Project = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Fusion:
    """Which pieces are fused; each can be switched off by itself."""

    lora: bool = True
    """LoRA linear layers as one function, grouped by their input."""
    norm: bool = True
    """Norms that keep nothing of the residual stream, which the products then add to in place."""
    rotation: bool = True
    swiglu: bool = True
    loss: bool = True
    """As Triton kernels; off: plain torch. Without a GPU the last three are off."""
    attention: str = "auto"
    """One of :data:`~.attention.IMPLEMENTATIONS`, or the fastest that passes its test."""
    float8: bool = False
    """Multiply by copies of the frozen weights in 8-bit floating point; needs ``lora``."""
    checkpointed_layers: int = 0
    """So many layers, from the first, keep no activations and run again in the backward pass."""


@dataclass(frozen=True)
class PackedLoss:
    """What a packed batch gives: float32 scalars on the model's device."""

    loss: torch.Tensor
    """Cross-entropy, summed over the trained tokens."""
    hits: torch.Tensor
    """How many of them had the highest logit."""


@dataclass(frozen=True)
class _Layer:
    """A decoder layer's pieces."""

    module: Any
    qkv: Project
    out: Project
    gate_up: Project
    down: Project


@dataclass(frozen=True)
class _Model:
    """What every layer needs to know."""

    fusion: Fusion
    attend: attention.Attention
    heads: tuple[int, int]
    """Query heads and key heads."""


def fuse(model: Any, fusion: Fusion) -> None:
    """Give the causal language model inside ``model`` a fused way for packed batches.

    Args:
        model: A PEFT model over a causal language model of transformers, on its final device; adapters in place.
        fusion: Which pieces.

    Raises:
        TrainingError: :func:`unsupported` names a reason, or no attention over packed rows works on this device.
    """
    causal = model.get_base_model()
    config = causal.config
    if (reason := unsupported(causal)) is not None:
        raise TrainingError(f"packed batches are not supported for this model: {reason}; train it with padded batches")
    device, dtype = causal.get_input_embeddings().weight.device, causal.get_input_embeddings().weight.dtype
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = (config.num_attention_heads, config.num_key_value_heads)
    attend = attention.pick(device, dtype, heads, size, fusion.attention)
    kernels = device.type == "cuda" and dtype in (torch.bfloat16, torch.float16)
    if not kernels:
        fusion = replace(fusion, rotation=False, swiglu=False, loss=False)
    if fusion.norm and not _norms_can_be_undone(causal, dtype):
        fusion = replace(fusion, norm=False)
    if fusion.float8 and not (fusion.lora and supported(device)):
        raise TrainingError(
            "8-bit frozen weights need the fused LoRA layers and a GPU of compute capability 8.9 or more; "
            "train in bfloat16 instead"
        )
    if config.model_type == "llama":
        backbone: Any = functools.partial(
            _llama, causal.model, _Model(fusion, attend, heads), _layers(causal.model, fusion)
        )
    else:
        _fuse_alone(causal, fusion)
        attention.register(attend)
        causal.set_attn_implementation(attention.NAME)
        backbone = functools.partial(_stock, causal.base_model)
    stock = causal.forward

    @functools.wraps(type(causal).forward)
    def forward(self: Any, *arguments: Any, **inputs: Any) -> Any:
        if "places" not in inputs:
            return stock(*arguments, **inputs)
        places, targets = inputs.pop("places"), inputs.pop("targets")
        hidden_TD = backbone(inputs)
        head: torch.Tensor = self.get_output_embeddings().weight
        return PackedLoss(*next_token_loss(hidden_TD, head, places, targets, fusion.loss))

    causal.forward = types.MethodType(forward, causal)


def unsupported(causal: Any) -> str | None:
    """Why a causal language model of transformers cannot take packed batches; None where it can."""
    config = causal.config
    head: Any = causal.get_output_embeddings()
    bias, trained = head.bias, head.weight.requires_grad
    if type(head) is not torch.nn.Linear or bias is not None or trained:
        return "its head is trained, has a bias or is no plain linear layer"
    for key in ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, key, None) is not None:
            return f"its logits are transformed ({key})"
    if getattr(config, "sliding_window", None) is not None:
        return "its attention has a sliding window"
    if getattr(config, "attention_dropout", 0.0):
        return "its attention has dropout"
    if config.model_type == "llama" and config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    return None


def _norms_can_be_undone(causal: Any, dtype: torch.dtype) -> bool:
    """Whether what a norm wrote tells what it read: no gain is zero, and no product of a gain is lost to underflow."""
    gains = [weight for name, weight in causal.named_parameters() if name.endswith("norm.weight")]
    return dtype != torch.float16 and all(bool((gain != 0).all()) for gain in gains)


def _layers(model: Any, fusion: Fusion) -> list[_Layer]:
    return [
        _Layer(
            module,
            _project(fusion, module.self_attn.q_proj, module.self_attn.k_proj, module.self_attn.v_proj),
            _project(fusion, module.self_attn.o_proj),
            _project(fusion, module.mlp.gate_proj, module.mlp.up_proj),
            _project(fusion, module.mlp.down_proj),
        )
        for module in model.layers
    ]


def _project(fusion: Fusion, *layers: Any) -> Project:
    """One function for all of them; side by side as PEFT computes them where they cannot be fused."""
    reason = obstacle(layers) if fusion.lora else "switched off"
    if reason is None:
        return Projection(layers, fusion.float8)
    logger.debug("%d linear layers keep their stock forward: %s", len(layers), reason)
    return lambda x_TK: torch.cat([layer(x_TK) for layer in layers], -1)


def _fuse_alone(causal: Any, fusion: Fusion) -> None:
    """Fuse each LoRA linear layer by itself, for architectures whose layers we do not know."""

    def forward(projection: Project, x: torch.Tensor) -> torch.Tensor:
        return projection(x.flatten(0, -2)).unflatten(0, x.shape[:-1])

    for module in causal.modules():
        if fusion.lora and obstacle([module]) is None:
            module.forward = functools.partial(forward, Projection([module], fusion.float8))


def _stock(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    return model(**inputs, use_cache=False).last_hidden_state[0]


def _llama(model: Any, common: _Model, layers: list[_Layer], inputs: dict[str, Any]) -> torch.Tensor:
    """Hidden states behind the last norm: [T, D]."""
    embedded_1TD: torch.Tensor = model.embed_tokens(inputs["input_ids"])
    cosine_1TE, sine_1TE = model.rotary_emb(embedded_1TD, position_ids=inputs["position_ids"])
    rows = attention.Rows(inputs["cu_seq_lens_q"], int(inputs["max_length_q"]))
    x_TD = embedded_1TD[0]
    for number, layer in enumerate(layers):
        step = functools.partial(_decoder_layer, layer, common, (cosine_1TE[0], sine_1TE[0]), rows)
        if number < common.fusion.checkpointed_layers and torch.is_grad_enabled():
            x_TD = cast("torch.Tensor", checkpoint(functools.partial(_on_a_copy, step), x_TD, use_reentrant=False))
        else:
            x_TD = step(x_TD)
    return rms_norm(x_TD, model.norm.weight, model.norm.variance_epsilon, common.fusion.norm)[1]


def _on_a_copy(step: Project, x_TD: torch.Tensor) -> torch.Tensor:
    """What runs again must find its input as it was."""
    return step(x_TD.clone())


def _decoder_layer(
    layer: _Layer,
    common: _Model,
    angles: tuple[torch.Tensor, torch.Tensor],
    rows: attention.Rows,
    x_TD: torch.Tensor,
) -> torch.Tensor:
    """The residual stream behind a layer; ``x`` is overwritten where norms are fused."""
    fusion, norm = common.fusion, layer.module.input_layernorm
    x_TD, read_TD = rms_norm(x_TD, norm.weight, norm.variance_epsilon, fusion.norm, _room(layer.qkv))
    qkv_TC = layer.qkv(read_TD)
    if fusion.rotation and common.attend is attention.blocks:
        seen_TC = attention.rotated(qkv_TC, angles, common.heads, rows, _room(layer.out))
    else:
        query, key, value = rotate(qkv_TC, angles, common.heads, fusion.rotation)
        seen_TC = common.attend(query, key, value, rows).flatten(1)
    x_TD = _add(x_TD, layer.out, seen_TC, fusion)
    norm = layer.module.post_attention_layernorm
    x_TD, read_TD = rms_norm(x_TD, norm.weight, norm.variance_epsilon, fusion.norm, _room(layer.gate_up))
    if fusion.swiglu and isinstance(layer.gate_up, Projection) and isinstance(layer.down, Projection):
        y_TD = feed_forward(read_TD, layer.gate_up, layer.down, x_TD if fusion.norm else None)
        if y_TD is not None:
            return y_TD if fusion.norm else x_TD + y_TD
    return _add(x_TD, layer.down, swiglu(layer.gate_up(read_TD), fusion.swiglu), fusion)


def _add(x_TD: torch.Tensor, project: Project, y_TK: torch.Tensor, fusion: Fusion) -> torch.Tensor:
    """``x + project(y)``, by the product itself where no norm has kept ``x``."""
    if fusion.norm and isinstance(project, Projection):
        return project(y_TK, x_TD)
    return x_TD + project(y_TK)


def _room(project: Project) -> int:
    return project.room if isinstance(project, Projection) else 0
