"""How much memory a fused training step takes, and which layers must be checkpointed for it to fit.

The sums below are what the forward pass keeps for the backward pass, read off the functions themselves. Measured on an
H100 at rank 64: the 8B shape at 8192 tokens 41.8 GiB, which is what the plan says; the 1B shape at 4096 tokens 7.21,
where it says 7.23 (docs/check-and-plan.md).
"""

from dataclasses import dataclass
from typing import Any

_BYTES = 2
"""Of an activation: bfloat16 or float16."""


@dataclass(frozen=True)
class Shape:
    """A LLaMA's widths, and its adapters' rank."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    key_heads: int
    head_size: int
    vocabulary: int
    tied: bool
    rank: int
    """Of the adapters on all seven projections of a layer."""

    @classmethod
    def of(cls, config: Any, rank: int) -> "Shape":
        """From transformers' config of a LLaMA."""
        return cls(
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            config.vocab_size,
            config.tie_word_embeddings,
            rank,
        )

    @property
    def qkv(self) -> int:
        """Outputs of query, key and value projection together."""
        return (self.heads + 2 * self.key_heads) * self.head_size

    @property
    def projections(self) -> int:
        """Weights of a layer's projections."""
        seen = self.heads * self.head_size
        return self.width * (self.qkv + seen + 3 * self.feed_forward)

    @property
    def adapters(self) -> int:
        """Parameters of a layer's adapters: R times the inputs and outputs of each projection."""
        seen = self.heads * self.head_size
        return self.rank * (3 * self.width + self.qkv + seen + self.width + 3 * (self.width + self.feed_forward))


def fixed_bytes(shape: Shape, float8: bool = False, four_bit: bool = False) -> int:
    """Weights, with the room for B behind them; adapters, their gradients and AdamW's two moments in float32."""
    embeddings = shape.vocabulary * shape.width * (1 if shape.tied else 2)
    room = shape.rank * (3 * shape.qkv + 2 * shape.width + 4 * shape.feed_forward)
    if four_bit:
        # Two to a byte, and for 64 of them a scale in 8 bits.
        frozen = shape.layers * shape.projections * (32 + 1) // 64
    else:
        frozen = shape.layers * (shape.projections * _BYTES + (2 * shape.projections if float8 else room * _BYTES))
    return frozen + embeddings * _BYTES + shape.layers * shape.adapters * 16


def kept_bytes(shape: Shape, checkpointed: bool = False) -> int:
    """What a layer keeps of each token for the backward pass.

    Twice the normed input with room behind it; query, key, value; attention's output; gate and up; and for a
    checkpointed layer the residual stream.
    """
    if checkpointed:
        return shape.width * _BYTES
    seen, rank = shape.heads * shape.head_size, shape.rank
    numbers = 2 * shape.width + 5 * rank + shape.qkv + seen + rank + 2 * shape.feed_forward + rank
    return numbers * _BYTES + 4 * (shape.heads + 2)


def step_bytes(
    shape: Shape, tokens: int, checkpointed_layers: int = 0, float8: bool = False, four_bit: bool = False
) -> int:
    """The peak of a training step on ``tokens`` tokens.

    At the beginning of the backward pass everything is kept; then one layer's gradients come on top: those of gate and
    up and of their product, of the input, and one chunk of logits or the float32 sums of the adapters.
    """
    kept = (shape.layers - checkpointed_layers) * kept_bytes(shape) + checkpointed_layers * kept_bytes(shape, True)
    if checkpointed_layers:
        kept += kept_bytes(shape)
    passing = tokens * (3 * shape.feed_forward + 2 * shape.width) * _BYTES
    head = min(tokens, 2048) * shape.vocabulary * _BYTES
    if four_bit:
        # Gate's and up's weights, unpacked.
        passing += 2 * shape.width * shape.feed_forward * _BYTES
    return fixed_bytes(shape, float8, four_bit) + tokens * kept + max(passing, head)


def layers_to_checkpoint(
    shape: Shape, tokens: int, available: int, float8: bool = False, four_bit: bool = False
) -> int | None:
    """The smallest number of checkpointed layers with which a step fits; None where none does.

    Args:
        shape: The model.
        tokens: Of a batch.
        available: Bytes of the GPU that may be used; leave about a tenth free for fragments.
        float8: With a second copy of the frozen weights in 8 bits, twice.
        four_bit: With the frozen weights in 4 bits.
    """
    counts = range(shape.layers + 1)
    return next((count for count in counts if step_bytes(shape, tokens, count, float8, four_bit) <= available), None)


@dataclass(frozen=True)
class PassPlan:
    """How much a device takes at once."""

    tokens: int
    """The most of a pass."""
    checkpointed_layers: int


MOST_TOKENS = 12288
"""Of a pass: more make an H100 no faster."""
_GOOD_TOKENS = 4096
"""Of a pass: with fewer, a GPU has too little to do at once, so that running some layers twice costs less."""


def plan_passes(
    shape: Shape, longest: int, available: int, most: int, float8: bool = False, four_bit: bool = False
) -> PassPlan | None:
    """The largest passes that fit without checkpointing; where those would be short, longer ones with it.

    Args:
        shape: The model.
        longest: Tokens of the longest row: it must fit.
        available: As for :func:`layers_to_checkpoint`.
        most: No pass is to be larger; at least ``longest``. :data:`MOST_TOKENS` is enough for any GPU.
        float8: As for :func:`layers_to_checkpoint`.
        four_bit: Likewise.

    Returns:
        None where not even the longest row fits.
    """
    good = max(min(_GOOD_TOKENS, most), longest)
    for tokens in range(most, good - 1, -256):
        if step_bytes(shape, tokens, 0, float8, four_bit) <= available:
            return PassPlan(tokens, 0)
    for tokens in dict.fromkeys((good, longest)):
        layers = layers_to_checkpoint(shape, tokens, available, float8, four_bit)
        if layers is not None:
            return PassPlan(tokens, layers)
    return None
