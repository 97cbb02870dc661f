"""Topics that the domain knows, and the counts that it asks of itself under ``requirements``."""

from collections import Counter
from collections.abc import Iterator

from seedtune.domains.lint.content import Content, Finding

_DEV_SLACK = 0.05
_DESCRIPTION = "domain.yaml"


def check_topics(content: Content) -> Iterator[Finding]:
    """Each seed task and item names a topic of the domain; a seed task may name its pack."""
    topics = content.domain.file.topics
    if not topics:
        return
    named = [(seed.place, seed.task.topic, {*topics, *content.domain.packs}) for seed in content.seeds]
    named += [(item.place, item.item.topic, {*topics}) for item in content.items]
    for place, topic, known in named:
        if topic not in known:
            yield Finding("error", place, f"topic '{topic}' is not in domain.yaml")


def check_requirements(content: Content) -> Iterator[Finding]:
    """The counts and shares of ``requirements`` in domain.yaml."""
    asked = content.domain.file.requirements
    for name, count in asked.seeds.items():
        there = len(content.domain.packs[name].seeds)
        yield from _too_few(f"{there} seed tasks in pack {name}", there, count)
    for name, count in asked.items.items():
        there = len(content.domain.suites[name].items)
        yield from _too_few(f"{there} items in suite {name}", there, count)
    topics = Counter(item.item.topic for item in content.items)
    for topic in content.domain.file.topics:
        yield from _too_few(f"{topics[topic]} items on topic {topic}", topics[topic], asked.items_per_topic)
    with_input = sum(bool(seed.task.input.strip()) for seed in content.seeds)
    if with_input < asked.input_share * len(content.seeds):
        share = f"{with_input} of {len(content.seeds)} seed tasks have an input"
        yield Finding("error", _DESCRIPTION, f"{share} (at least {asked.input_share:.0%})")
    yield from _levels(content)
    yield from _dev(content)


def _too_few(said: str, there: int, asked: int) -> Iterator[Finding]:
    if there < asked:
        yield Finding("error", _DESCRIPTION, f"{said} (at least {asked})")


def _levels(content: Content) -> Iterator[Finding]:
    asked = content.domain.file.requirements.level_share
    for suite in content.domain.suites.values():
        levels = Counter(item.level for item in suite.items)
        for level in (1, 2, 3):
            if levels[level] < asked * len(suite.items):
                said = f"{levels[level]} of {len(suite.items)} items in suite {suite.name} are of level {level}"
                yield Finding("error", _DESCRIPTION, f"{said} (at least {asked:.0%})")


def _dev(content: Content) -> Iterator[Finding]:
    asked = content.domain.file.requirements.dev_share
    if asked is None:
        return
    for suite in content.domain.suites.values():
        dev, total = len(suite.only("dev").items), len(suite.items)
        # One item more or less is as near as a small suite gets.
        if abs(dev - asked * total) > max(1, _DEV_SLACK * total):
            said = f"{dev} of {total} items in suite {suite.name} are in dev"
            yield Finding("error", _DESCRIPTION, f"{said} (about {asked:.0%})")
