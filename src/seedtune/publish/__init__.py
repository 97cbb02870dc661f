"""What leaves a run: the dataset's card, the dataset in other tools' formats, and uploads to the Hugging Face hub.

It reads a run folder's files, as ``report`` does. Nothing here sends anything but :mod:`seedtune.publish.hub`.
"""

from seedtune.publish.dataset_card import write_dataset_card

__all__ = ["write_dataset_card"]
