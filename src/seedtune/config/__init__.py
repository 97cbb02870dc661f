"""The config of a run: one frozen tree, read from YAML, with ``section.key=value`` overrides.

An unknown key is an error that names file, line and the nearest right key. No field mirrors one of TRL's:
whatever this tree does not name passes to TRL through ``train.trainer_args``.
"""

from seedtune.config.evaluate import EndpointRivalConfig, EvaluateConfig, ItemsConfig, LocalRivalConfig, RivalConfig
from seedtune.config.generate import (
    DocumentsConfig,
    EmbeddingConfig,
    GenerateConfig,
    JudgeConfig,
    LimitsConfig,
    MinHashConfig,
    ProgramsConfig,
)
from seedtune.config.loading import load_config
from seedtune.config.section import UserPath
from seedtune.config.teacher import LocalTeacherConfig, OpenAITeacherConfig, Prices, SamplingConfig, TeacherConfig
from seedtune.config.train import LoraConfig, TrainConfig
from seedtune.config.tree import Config, ModelConfig

__all__ = [
    "Config",
    "DocumentsConfig",
    "EmbeddingConfig",
    "EndpointRivalConfig",
    "EvaluateConfig",
    "GenerateConfig",
    "ItemsConfig",
    "JudgeConfig",
    "LimitsConfig",
    "LocalRivalConfig",
    "LocalTeacherConfig",
    "LoraConfig",
    "MinHashConfig",
    "ModelConfig",
    "OpenAITeacherConfig",
    "Prices",
    "ProgramsConfig",
    "RivalConfig",
    "SamplingConfig",
    "TeacherConfig",
    "TrainConfig",
    "UserPath",
    "load_config",
]
