"""Instructions that mean the same in other words: cosine similarity of a model's averaged last hidden states.

The vectors of a language model share a large part: three of four seed tasks of the BGP domain have a cosine above 0.95
with another one that asks for something else. So the mean of the seed tasks is taken off first, as Mu and Viswanath
(2018) do for words; then no two of them come above 0.87.

Every instruction passes the model alone and in float32. In a batch the last digits depend on the rest of the batch, so
a resumed run could decide otherwise than one that was never stopped; on a CPU batches are no faster.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtune.config import EmbeddingConfig
from seedtune.errors import ModelError
from seedtune.models import model_source, pick_device
from seedtune.records import SeedTask, Task
from seedtune.similarity import Neighbour

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]

_MAX_TOKENS = 512


class EmbeddingIndex:
    """A growing pool of tasks, compared by their instructions.

    The model is loaded when the first question is asked, or before by :meth:`prepare`, and embeds what was added until
    then. The seed tasks are to be added before that.

    Attributes:
        threshold: See :class:`seedtune.config.EmbeddingConfig`.
    """

    name = "embedding"

    def __init__(self, config: EmbeddingConfig) -> None:
        self.threshold = config.threshold
        self._model = config.model
        self._embed: Callable[[str], Vector] | None = None
        self._waiting: list[Task] = []
        self._centre = np.zeros(1, dtype=np.float32)
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids) + len(self._waiting)

    def nearest(self, task: Task) -> Neighbour:
        """The task with the highest cosine similarity; the first added among equals.

        Raises:
            ModelError: there is no such model, or it cannot be loaded.
        """
        embed = self._ready()
        if not self._ids:
            return Neighbour(0.0, "")
        scores = self._vectors[: len(self._ids)] @ self._unit(embed(task.instruction))
        best = int(scores.argmax())
        return Neighbour(min(float(scores[best]), 1.0), self._ids[best]) if scores[best] > 0 else Neighbour(0.0, "")

    def add(self, task: Task) -> None:
        """Put a task into the pool under its id."""
        self._waiting.append(task)

    def prepare(self) -> None:
        """Load the model and embed what was added until now."""
        self._ready()

    def _ready(self) -> Callable[[str], Vector]:
        """The model, with everything that waited in the pool."""
        # A task that is accepted is added right after the question about it: it need not be embedded again.
        embed = self._embed or lru_cache(maxsize=64)(load_encoder(self._model))
        if len(self._waiting) > 1:
            logger.info("embedding %d instructions with %s", len(self._waiting), self._model)
        vectors = [embed(task.instruction) for task in self._waiting]
        if self._embed is None:
            seeds = [vector for vector, task in zip(vectors, self._waiting, strict=True) if isinstance(task, SeedTask)]
            self._centre = np.mean(seeds, axis=0) if seeds else self._centre
        for vector, task in zip(vectors, self._waiting, strict=True):
            self._append(task.id, self._unit(vector))
        self._waiting.clear()
        self._embed = embed
        return embed

    def _unit(self, vector: Vector) -> Vector:
        moved = vector - self._centre
        length = np.linalg.norm(moved)
        return moved / length if length else moved

    def _append(self, identity: str, vector: Vector) -> None:
        size = len(self._ids)
        if size == len(self._vectors):
            grown = np.zeros((max(64, 2 * size), len(vector)), dtype=np.float32)
            grown[:size] = self._vectors.reshape(size, len(vector))
            self._vectors = grown
        self._vectors[size] = vector
        self._ids.append(identity)


def load_encoder(name: str) -> Callable[[str], Vector]:
    """A function from a text to the mean of the last hidden states over its tokens, at most the first 512.

    Args:
        name: ``embedded``, a hub id, or a local folder.

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as transformers_logging
    except ImportError as problem:
        raise ModelError("embedding needs torch and transformers: pip install 'seedtune[train]'") from problem
    source = model_source(name)
    transformers_logging.disable_progress_bar()
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
        model: Any = AutoModel.from_pretrained(source, dtype=torch.float32)
        model.to(pick_device()).eval()
    except (OSError, ValueError, RuntimeError) as problem:
        reason = str(problem).partition("\n")[0]
        raise ModelError(f"generate.embedding.model: {name}: cannot be loaded: {reason}") from problem
    longest = min(tokenizer.model_max_length, _MAX_TOKENS)

    @torch.inference_mode()
    def embed(text: str) -> Vector:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest).to(model.device)
        states = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        return states[0].mean(dim=0).cpu().numpy()

    return embed
