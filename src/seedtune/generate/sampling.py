"""Draw the seed tasks of a request.

Request ``index`` of a run with seed ``seed`` is the same whenever and in whatever order it is drawn: nothing depends
on what other requests brought. That is what makes a run the same with 1 or 64 requests in flight, and after a restart.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from seedtune.domains import Pack
from seedtune.errors import DomainError
from seedtune.generate.prompting import build_messages, reply_prefix
from seedtune.records import Request


def usable_packs(packs: Sequence[Pack], max_words: int | None) -> list[Pack]:
    """The packs with only those seed tasks that are short enough to be shown as examples.

    Raises:
        DomainError: a pack has none.
    """
    usable: list[Pack] = []
    for pack in packs:
        short = tuple(s for s in pack.seeds if max_words is None or len(f"{s.prompt} {s.output}".split()) <= max_words)
        if not short:
            raise DomainError(
                f"{pack.seeds_path}: no seed task has at most {max_words} words; raise generate.max_example_words"
            )
        usable.append(replace(pack, seeds=short))
    return usable


def draw_request(seed: int, index: int, packs: Sequence[Pack], seeds_per_request: int, tasks: int) -> Request:
    """Request ``index``: the packs take turns, their seed tasks are drawn without replacement.

    Args:
        seed: The run's seed.
        index: Number of the request, from 0.
        packs: The packs in use, in their fixed order.
        seeds_per_request: Examples to show; fewer where a pack has fewer.
        tasks: New tasks to ask for.
    """
    pack = packs[index % len(packs)]
    # A string seeds Random through SHA-512, the same in every process and Python version.
    draw = random.Random(f"{seed}/{index}").sample(range(len(pack.seeds)), min(seeds_per_request, len(pack.seeds)))
    seeds = [pack.seeds[position] for position in draw]
    return Request(
        index=index,
        pack=pack.name,
        parents=tuple(task.id for task in seeds),
        messages=build_messages(pack.prompt, seeds, tasks),
        prefix=reply_prefix(len(seeds)),
    )
