"""Base and tuned model of a run: loaded once, the adapter switched on and off, answers token by token.

Both answer the same prompt with the same sampling and the same random numbers, a token each in turn, so that neither
waits for the other. The weights of the base are in memory once; a run of ``train.method: full`` needs both models.

Not covered: models without keys and values in every layer (Mamba), and rivals behind endpoints.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from seedtune import models, runs
from seedtune.config import ModelConfig, load_config
from seedtune.domains import load_domain
from seedtune.errors import ModelError, RunError
from seedtune.records import Message, file_sha256

if TYPE_CHECKING:
    from seedtune.teachers.decoding import Writing
    from seedtune.teachers.packed_batch import PackedBatch

Side = Literal["base", "tuned"]
SIDES: tuple[Side, Side] = ("base", "tuned")
Conversations = Mapping[Side, Sequence[Message]]
"""What each side is to answer: the same questions, and its own earlier answers."""

_QUESTION = "What is this conversation about?"


class Decoding(BaseModel):
    """How both sides decode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=0.0, ge=0, le=5)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, ge=1, le=8192)
    seed: int = Field(default=0, ge=0, lt=2**63)


class Piece(NamedTuple):
    """More text of one side."""

    side: Side
    text: str


class Ending(NamedTuple):
    """A side has ended."""

    side: Side
    text: str
    """All of it."""
    tokens: int
    seconds: float
    ended: bool
    """By itself, and not by its length or because it was stopped."""


@dataclass(frozen=True)
class About:
    """What was loaded."""

    base: str
    adapter_sha256: str
    """Of the adapter's weights; of the tuned model's config where all weights were trained."""
    difference: float
    """Largest difference between the logits of the two sides on one prompt."""
    device: str
    system: str
    """The domain's system prompt; empty for none."""


class Pair:
    """The two sides of one run."""

    def __init__(self, folder: Path) -> None:
        """Load them, and make sure that they are two.

        Args:
            folder: The run's.

        Raises:
            RunError: nothing is trained, or what was trained has changed since.
            ModelError: a model cannot be loaded, the adapter does not fit it, or it changes nothing.
        """
        run = trained(folder)
        config = run.config
        _leave_a_core()
        self._tokenizer: Any = models.load_tokenizer(config.model)
        self._model: Any = models.load_model(config.model)
        self._switches: list[Any] = []
        adapter = folder / "train" / "adapter"
        if config.train.method == "full":
            tuned = ModelConfig(name=str(adapter), dtype=config.model.dtype)
            self._tuned: Any = models.load_model(tuned)
            weights = adapter / "config.json"
        else:
            self._tuned = self._model = models.attach_adapter(self._model, adapter, config.model.name)
            self._switches = _switches(self._model)
            weights = adapter / runs.WEIGHTS
        self._ends = models.end_tokens(self._model, self._tokenizer)
        self._window: int | None = self._model.config.get_text_config().to_dict().get("max_position_embeddings")
        system = load_domain(config.domain).file.system_prompt or ""
        self.about = About(
            base=models.public_name(config.model.name),
            adapter_sha256=file_sha256(weights),
            difference=self._difference(system),
            device=str(self._model.device),
            system=system,
        )

    def answer(
        self, conversations: Conversations, decoding: Decoding, stopped: Callable[[], bool]
    ) -> Iterator[Piece | Ending]:
        """Answer each side's conversation; pieces come as they are written, and one ending of each side.

        Args:
            conversations: By side.
            decoding: The same for all.
            stopped: All is broken off at the next token once it says so.

        Raises:
            ModelError: the conversation is too long, the chat template refuses it, or memory does not suffice.
        """
        prompts: dict[Side, list[int]] = {side: self._prompt(turns) for side, turns in conversations.items()}
        for prompt in prompts.values():
            self._check_length(len(prompt), decoding.max_tokens)
        import torch

        try:
            yield from self._write(prompts, decoding, stopped)
        except torch.OutOfMemoryError as problem:
            raise ModelError("the GPU's memory is full: begin a new conversation, or ask for fewer tokens") from problem

    def _write(
        self, prompts: Mapping[Side, list[int]], decoding: Decoding, stopped: Callable[[], bool]
    ) -> Iterator[Piece | Ending]:
        from seedtune.teachers.decoding import Row, Writing
        from seedtune.teachers.packed_batch import PackedBatch
        from seedtune.teachers.protocol import Sampling

        sampling = Sampling(decoding.temperature, decoding.top_p, decoding.max_tokens, None, ())
        going: dict[Side, _Voice] = {}
        for side, prompt in prompts.items():
            writing = Writing(Row(prompt, side, sampling, decoding.seed))
            going[side] = _Voice(writing, PackedBatch(self._decoder(side), 1), self._tokenizer, self._ends)
        while going:
            for side, voice in list(going.items()):
                is_over = stopped()
                if not is_over:
                    with self._as(side):
                        voice.go_on()
                if piece := voice.piece():
                    yield Piece(side, piece)
                if is_over or voice.writing.is_over:
                    yield voice.ending(side)
                    del going[side]

    def _decoder(self, side: Side) -> Any:
        from seedtune.teachers.decoding import Decoder

        return Decoder(self._tuned if side == "tuned" else self._model, self._ends, self._tokenizer.decode)

    @contextmanager
    def _as(self, side: Side) -> Generator[None]:
        """Within it the model answers as this side."""
        switches = self._switches if side == "base" else ()
        try:
            for switch in switches:
                switch.enable_adapters(False)
            yield
        finally:
            for switch in switches:
                switch.enable_adapters(True)

    def _prompt(self, turns: Sequence[Message]) -> list[int]:
        text = models.chat_text(self._tokenizer, [turn.model_dump() for turn in turns])
        # The template has written the special tokens already.
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _check_length(self, prompt: int, answer: int) -> None:
        if self._window is not None and prompt + answer > self._window:
            raise ModelError(
                f"the conversation has {prompt:,} tokens and the answer up to {answer:,}: more than the context window "
                f"of {self._window:,}. Begin a new conversation, or ask for fewer tokens"
            )

    def _difference(self, system: str) -> float:
        """Largest difference between the logits of the two sides.

        Raises:
            ModelError: there is none, or the logits are no numbers.
        """
        import torch

        turns = [Message(role="user", content=_QUESTION)]
        prompt = self._prompt([Message(role="system", content=system), *turns] if system else turns)
        logits: list[Any] = []
        for side in SIDES:
            with self._as(side), torch.inference_mode():
                logits.append(self._decoder(side).prefill(prompt, 0)[1].float().cpu())
        found = float((logits[0] - logits[1]).abs().max())
        if found == 0.0:
            raise ModelError(
                "the adapter changes nothing: with and without it the model gives the same logits, so both panes would "
                "show the base model. Train longer?"
            )
        if found != found:
            raise ModelError("the models' logits are no numbers (NaN); did the training diverge?")
        return found


class _Voice:
    """One side's answer while it is written."""

    def __init__(self, writing: "Writing", batch: "PackedBatch", tokenizer: Any, ends: frozenset[int]) -> None:
        from tokenizers.decoders import DecodeStream

        self.writing = writing
        self._batch = batch
        self._tokenizer = tokenizer
        self._ends = ends
        self._stream = DecodeStream(skip_special_tokens=True)
        self._read = 0
        self._began = time.monotonic()

    def go_on(self) -> None:
        """Write one more token."""
        if self.writing.tokens:
            self._batch.step()
        else:
            self._batch.join([self.writing])

    def piece(self) -> str:
        """The text of what is new; a character that is not whole yet waits."""
        new = [token for token in self.writing.tokens[self._read :] if token not in self._ends]
        self._read = len(self.writing.tokens)
        return "".join(self._stream.step(self._tokenizer.backend_tokenizer, token) or "" for token in new)

    def ending(self, side: Side) -> Ending:
        """All of it."""
        tokens = [token for token in self.writing.tokens if token not in self._ends]
        text = str(self._tokenizer.decode(tokens, skip_special_tokens=True))
        seconds = round(time.monotonic() - self._began, 2)
        return Ending(side, text, len(self.writing.tokens), seconds, self.writing.ended)


def trained(folder: Path) -> runs.Run:
    """A run whose adapter is the one that was trained.

    Args:
        folder: The run's.

    Raises:
        ConfigError: its config cannot be read.
        RunError: nothing is trained, or what was trained has changed since.
    """
    if not (folder / "config.yaml").is_file():
        raise RunError(f"{folder}: no run is here; give a run folder, such as runs/demo")
    run = runs.Run(folder, load_config(folder / "config.yaml"))
    run.tuned()
    return run


def _leave_a_core() -> None:
    """Leave one core to whoever shows the answer, unless the user decided about threads.

    A product waits for each of its threads: where one of them has no core to run on, a token takes many times as long
    (seen: 58 s instead of 5 s for 30 tokens of a 135M model on two busy cores), and with a core to spare it takes no
    longer.
    """
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) - 1))


def _switches(model: Any) -> list[Any]:
    """The layers that an adapter is switched off in.

    Found once: peft's own ``disable_adapter`` looks through all of the model each time, which costs as much as a token.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import AuxiliaryTrainingWrapper

    return [module for module in model.modules() if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)]
