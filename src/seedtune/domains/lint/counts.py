"""How much there is of what: the numbers that a domain's page quotes."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from seedtune.domains.lint.answers import choices_of, longest, positions, shortest
from seedtune.domains.lint.content import Content
from seedtune.domains.lint.reviewed import count_outcomes
from seedtune.domains.loader import ItemFile, Suite
from seedtune.domains.programs import python_blocks
from seedtune.errors import DomainError


def count_content(content: Content) -> dict[str, Any]:
    """Plain values: seed tasks and items per pack, suite, split, topic, level; where right answers stand; reviews."""
    seeds, items = content.seeds, content.items
    citations = {citation for seed in seeds for citation in seed.task.citations} | {e.item.citation for e in items}
    return {
        "seeds": {
            "total": len(seeds),
            "with_input": sum(bool(seed.task.input.strip()) for seed in seeds),
            "packs": dict(Counter(seed.pack for seed in seeds)),
            "topics": dict(Counter(seed.task.topic for seed in seeds)),
            "programs": sum(len(python_blocks(seed.task.output)) for seed in seeds),
        },
        "items": {
            "total": len(items),
            "splits": dict(Counter(entry.split for entry in items)),
            "topics": dict(Counter(entry.item.topic for entry in items)),
            "levels": _levels(entry.item.level for entry in items),
            "suites": {
                suite.name: {split: _count_file(suite, file) for split, file in suite.files.items()}
                for suite in content.domain.suites.values()
            },
        },
        "citations": len(citations - {""}),
        "reviews": _outcomes(content),
    }


def _outcomes(content: Content) -> dict[str, dict[str, int]]:
    try:
        return count_outcomes(content)
    except DomainError:  # a fault that the check of the reviews reports
        return {}


def _count_file(suite: Suite, file: ItemFile) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "total": len(file.items),
        "topics": dict(Counter(item.topic for item in file.items)),
        "levels": _levels(item.level for item in file.items),
    }
    choices = choices_of(file.items)
    if suite.type == "true_false":
        counts["true"] = positions(choices)[0]
    if suite.type == "multiple_choice":
        counts |= {"positions": positions(choices), "longest": longest(choices), "shortest": shortest(choices)}
    return counts


def _levels(levels: Iterable[int]) -> dict[str, int]:
    return {str(level): count for level, count in sorted(Counter(levels).items())}
