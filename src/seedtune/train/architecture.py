"""What a model is like, from its ``config.json`` alone: no weights are read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seedtune import models
from seedtune.config import ModelConfig, TrainConfig
from seedtune.errors import TrainingError
from seedtune.train.fused.memory import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Parameters:
    """How many numbers a model holds."""

    base: int
    """Of the base model."""
    multiplied: int
    """Of the base model's linear layers, output head included: what a token is multiplied with."""
    trained: int


def read_architecture(config: ModelConfig) -> "PreTrainedConfig":
    """The model's ``config.json``; for one of several modalities the part of its language model.

    Raises:
        ModelError: there is none, or transformers does not know its architecture.
    """
    return models.read_config(config).get_text_config()


def count_parameters(architecture: "PreTrainedConfig", settings: TrainConfig) -> Parameters:
    """Count the parameters of the model and of its adapters, made on the meta device, where they take no memory.

    Raises:
        TrainingError: the adapters do not fit the model: no layer has such a name.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(architecture)
    base = sum(parameter.numel() for parameter in model.parameters())
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    multiplied = sum(module.weight.numel() for module in linear)
    if settings.method == "full":
        return Parameters(base, multiplied, base)
    lora = settings.lora
    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    adapters = LoraConfig(r=lora.r, target_modules=targets, use_dora=lora.dora, task_type="CAUSAL_LM")
    try:
        with torch.device("meta"):
            trained, _ = get_peft_model(model, adapters).get_nb_trainable_parameters()
    except ValueError as problem:
        raise TrainingError(f"train.lora.target_modules: {str(problem).splitlines()[0]}") from problem
    return Parameters(base, multiplied, trained)


def shape_of(architecture: "PreTrainedConfig", rank: int) -> Shape | None:
    """The widths of a LLaMA-like decoder; None for another one, about whose activations nothing is known here."""
    needed = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
    if not all(isinstance(getattr(architecture, key, None), int) for key in needed):
        return None
    experts = ("num_experts", "num_local_experts", "n_routed_experts")
    return None if any(getattr(architecture, key, None) for key in experts) else Shape.of(architecture, rank)
