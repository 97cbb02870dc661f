"""Rows without padding: several in one long row, each attending to itself alone.

A batch is plain tensors: token ids, positions, row boundaries, and for the loss which tokens predict which. The GPU is
never asked for a size.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

IGNORED = -100
"""torch's label of a token outside the loss."""

Batch = dict[str, torch.Tensor | int]

Tokens = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""A row's token ids and labels, of one length."""


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Rows sorted into bins of at most ``capacity`` tokens: best fit, longest first (Johnson, 1973).

    Args:
        lengths: Tokens of each row, at least 1.
        capacity: Tokens of a bin.

    Returns:
        The rows' numbers, bin by bin; every row is in exactly one.

    Raises:
        ValueError: a row is longer than a bin.
    """
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length = lengths[row]
        if length > capacity:
            raise ValueError(f"row {row} has {length} tokens, more than the {capacity} of a packed batch")
        place = bisect_left(room, (length, 0))
        if place == len(room):
            left, number = capacity, len(bins)
            bins.append([])
        else:
            left, number = room.pop(place)
        bins[number].append(row)
        insort(room, (left - length, number))
    return bins


def batch_of(rows: Sequence[Tokens], padding: int, size: int | None = None) -> Batch:
    """Rows of token ids and labels as one batch for a fused model.

    A batch holds, with T tokens, S rows and N trained tokens:

    - ``input_ids``, ``position_ids``: int64 [1, T]
    - ``cu_seq_lens_q``, ``cu_seq_lens_k``: int32 [S + 1], where rows begin and end; ``max_length_q``,
      ``max_length_k``: a length that none exceeds
    - ``places``, ``targets``: int64 [N], which tokens predict a trained token, and that token; nothing in a row
      predicts its first one

    Args:
        rows: At least one.
        padding: Token id for the filling.
        size: Fill the batch up to so many tokens, so that fewer shapes occur. Filling is not trained on.
    """
    lengths = [len(ids) for ids, _ in rows]
    num_tokens, longest = sum(lengths), max(lengths)
    input_ids, labels = (np.concatenate([row[part] for row in rows]) for part in (0, 1))
    if size is not None and size > num_tokens:
        filling = size - num_tokens
        # In pieces no longer than the rows: one long piece would cost attention more than all rows together.
        lengths += [longest] * (filling // longest) + ([filling % longest] if filling % longest else [])
        input_ids = np.concatenate([input_ids, np.full(filling, padding)])
        labels = np.concatenate([labels, np.full(filling, IGNORED)])
    boundaries = np.cumsum([0, *lengths])
    labels[boundaries[:-1]] = IGNORED
    trained = np.flatnonzero(labels != IGNORED)
    positions = np.arange(len(input_ids)) - np.repeat(boundaries[:-1], lengths)
    edges = torch.from_numpy(boundaries.astype(np.int32))
    return {
        "input_ids": torch.from_numpy(input_ids)[None],
        "position_ids": torch.from_numpy(positions)[None],
        "cu_seq_lens_q": edges,
        "cu_seq_lens_k": edges,
        "max_length_q": longest,
        "max_length_k": longest,
        "places": torch.from_numpy(trained - 1),
        "targets": torch.from_numpy(labels[trained]),
    }
