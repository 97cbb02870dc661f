"""Find what makes a domain's content unsound: duplicates, leaks, give-away answers, code that does not compile.

Not covered: whether an answer is *true*. That takes a person with the cited source open.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scipy.stats import chisquare

from seedtune.domains.loader import Domain, Pack, Suite
from seedtune.records import read_json_lines
from seedtune.similarity import RougeIndex

_DUPLICATE = 0.7
_LONGEST_SHARE = 0.30
_TRUE_SHARE = (0.45, 0.55)
_POSITION_P = 0.01
_CITATION = re.compile(r"RFC \d{3,5}, (Section|Appendix) [A-Z0-9][A-Za-z0-9.]*|(?!RFC ).+")
_FENCE = re.compile(r"```(?:python|py)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """One fault in a domain."""

    level: Literal["error", "warning"]
    place: str
    """``file:line`` below the domain folder, or a file."""
    message: str


def lint_domain(domain: Domain) -> list[Finding]:
    """Every fault of a domain that loaded."""
    findings: list[Finding] = []
    for pack in domain.packs.values():
        findings += _lint_topics(domain, pack.seeds_path, [seed.topic for seed in pack.seeds], set(domain.packs))
        findings += _lint_citations(domain, pack.seeds_path, [seed.citations for seed in pack.seeds])
        findings += _lint_code(domain, pack)
        findings += _lint_truncation(domain, pack)
    for suite in domain.suites.values():
        findings += _lint_topics(domain, suite.path, [item.topic for item in suite.items], set())
        findings += _lint_citations(domain, suite.path, [(item.citation,) for item in suite.items])
        findings += _lint_suite(domain, suite)
    findings += _lint_duplicates(domain)
    return findings


def domain_counts(domain: Domain) -> dict[str, dict[str, int]]:
    """How many seed tasks and items there are, per pack, suite and topic."""
    return {
        "seeds": {pack.name: len(pack.seeds) for pack in domain.packs.values()},
        "items": {suite.name: len(suite.items) for suite in domain.suites.values()},
        "seed_topics": dict(Counter(seed.topic for pack in domain.packs.values() for seed in pack.seeds)),
        "item_topics": dict(Counter(item.topic for suite in domain.suites.values() for item in suite.items)),
    }


def _place(domain: Domain, path: Path, index: int | None = None) -> str:
    name = str(path.relative_to(domain.folder))
    if index is None:
        return name
    lines = [number for number, _ in read_json_lines(path)]
    return f"{name}:{lines[index]}"


def _lint_topics(domain: Domain, path: Path, topics: Sequence[str], also: set[str]) -> Iterator[Finding]:
    known = {*domain.file.topics, *also}
    for index, topic in enumerate(topics):
        if domain.file.topics and topic not in known:
            yield Finding("error", _place(domain, path, index), f"topic '{topic}' is not in domain.yaml")


def _lint_citations(domain: Domain, path: Path, citations: Sequence[tuple[str, ...]]) -> Iterator[Finding]:
    for index, cited in enumerate(citations):
        for citation in cited:
            if citation and not _CITATION.fullmatch(citation):
                form = "write it as 'RFC 4271, Section 9.1.2.2'"
                yield Finding("error", _place(domain, path, index), f"citation '{citation}': {form}")


def _lint_code(domain: Domain, pack: Pack) -> Iterator[Finding]:
    for index, seed in enumerate(pack.seeds):
        for code in _FENCE.findall(seed.output):
            try:
                compile(code, "seed", "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as problem:
                yield Finding("error", _place(domain, pack.seeds_path, index), f"code does not compile: {problem}")


def _lint_truncation(domain: Domain, pack: Pack) -> Iterator[Finding]:
    for index, seed in enumerate(pack.seeds):
        if seed.output.count("```") % 2:
            yield Finding("error", _place(domain, pack.seeds_path, index), "the output has an unclosed code fence")
        elif seed.output.rstrip()[-1:] in (",", ":", "-", "("):
            yield Finding("error", _place(domain, pack.seeds_path, index), "the output looks cut off at its end")


def _lint_suite(domain: Domain, suite: Suite) -> Iterator[Finding]:
    place, total = _place(domain, suite.path), len(suite.items)
    if suite.type == "true_false":
        share = sum(item.key == 0 for item in suite.items) / total
        if not _TRUE_SHARE[0] <= share <= _TRUE_SHARE[1]:
            yield Finding("error", place, f"{share:.0%} of the statements are true; half should be")
        return
    width = max(len(item.options) for item in suite.items)
    positions = Counter(item.key for item in suite.items)
    counts = [positions[index] for index in range(width)]
    if chisquare(counts).pvalue < _POSITION_P:
        yield Finding("error", place, f"answer positions are uneven: {counts}; shuffle the options")
    longest = sum(all(len(o) < len(item.answer) for o in item.options if o != item.answer) for item in suite.items)
    if longest / total > _LONGEST_SHARE:
        limit = f"at most {_LONGEST_SHARE:.0%}"
        yield Finding(
            "error", place, f"the right option is the longest in {longest / total:.0%} of the items ({limit})"
        )
    for index, item in enumerate(suite.items):
        if not item.citation:
            yield Finding("warning", _place(domain, suite.path, index), "no citation")


def _lint_duplicates(domain: Domain) -> Iterator[Finding]:
    """Near-duplicates among seeds, among items, and of items among the seeds (a leak)."""
    seeds, items = RougeIndex(), RougeIndex()
    for pack in domain.packs.values():
        for index, seed in enumerate(pack.seeds):
            place, text = _place(domain, pack.seeds_path, index), f"{seed.instruction} {seed.input}"
            yield from _like(seeds, place, text, "seed tasks are nearly the same")
            seeds.add(place, text)
    for suite in domain.suites.values():
        for index, item in enumerate(suite.items):
            place = _place(domain, suite.path, index)
            yield from _like(items, place, item.question, "questions are nearly the same")
            yield from _like(seeds, place, item.question, "this question stands among the seeds")
            items.add(place, item.question)


def _like(pool: RougeIndex, place: str, text: str, message: str) -> Iterator[Finding]:
    nearest = pool.nearest(text)
    if nearest.score > _DUPLICATE:
        yield Finding("error", place, f"{message}: {nearest.id} (ROUGE-L {nearest.score:.2f})")
