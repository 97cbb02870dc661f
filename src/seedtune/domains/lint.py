"""Find what makes a domain's content unsound: duplicates, leaks, give-away answers, code that does not compile.

Not covered: whether an answer is *true*. That takes a person with the cited source open.
"""

import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scipy.stats import chisquare

from seedtune.domains.loader import Domain, Pack, Suite
from seedtune.records import read_json_lines
from seedtune.similarity import RougeIndex

_DUPLICATE = 0.7
_LONGEST_SHARE = 0.30
_TRUE_SLACK = 0.05
_POSITION_P = 0.01
_CITATION = re.compile(r"RFC \d{3,5}, (Section|Appendix) [A-Z0-9][A-Za-z0-9.]*|(?!RFC ).+")
_FENCE = re.compile(r"```(?:python|py)3?(?:[ \t][^\n]*)?\n(.*?)```", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One fault in a domain."""

    level: Literal["error", "warning"]
    place: str
    """``file:line`` below the domain folder, or a file."""
    message: str


def lint_domain(domain: Domain) -> list[Finding]:
    """Every fault of a domain that loaded."""
    paths = {pack.seeds_path for pack in domain.packs.values()} | {suite.path for suite in domain.suites.values()}
    places = {path: _places(domain, path) for path in paths}
    findings: list[Finding] = []
    for pack in domain.packs.values():
        lines = places[pack.seeds_path]
        findings += _lint_topics(domain, lines, [seed.topic for seed in pack.seeds], set(domain.packs))
        findings += _lint_citations(lines, [seed.citations for seed in pack.seeds])
        findings += _lint_code(lines, pack)
        findings += _lint_truncation(lines, pack)
    for suite in domain.suites.values():
        lines = places[suite.path]
        findings += _lint_topics(domain, lines, [item.topic for item in suite.items], set())
        findings += _lint_citations(lines, [(item.citation,) for item in suite.items])
        findings += _lint_missing_citations(lines, suite)
        findings += _lint_answers(str(suite.path.relative_to(domain.folder)), suite)
    findings += _lint_duplicates(domain, places)
    return findings


def domain_counts(domain: Domain) -> dict[str, dict[str, int]]:
    """How many seed tasks and items there are, per pack, suite and topic."""
    return {
        "seeds": {pack.name: len(pack.seeds) for pack in domain.packs.values()},
        "items": {suite.name: len(suite.items) for suite in domain.suites.values()},
        "seed_topics": dict(Counter(seed.topic for pack in domain.packs.values() for seed in pack.seeds)),
        "item_topics": dict(Counter(item.topic for suite in domain.suites.values() for item in suite.items)),
    }


def _places(domain: Domain, path: Path) -> list[str]:
    """``file:line`` of each record of a file, in order."""
    name = path.relative_to(domain.folder)
    return [f"{name}:{number}" for number, _ in read_json_lines(path)]


def _lint_topics(domain: Domain, places: Sequence[str], topics: Sequence[str], also: set[str]) -> Iterator[Finding]:
    known = {*domain.file.topics, *also}
    for place, topic in zip(places, topics, strict=True):
        if domain.file.topics and topic not in known:
            yield Finding("error", place, f"topic '{topic}' is not in domain.yaml")


def _lint_citations(places: Sequence[str], citations: Sequence[tuple[str, ...]]) -> Iterator[Finding]:
    for place, cited in zip(places, citations, strict=True):
        for citation in cited:
            if citation and not _CITATION.fullmatch(citation):
                form = "write it as 'RFC 4271, Section 9.1.2.2'"
                yield Finding("error", place, f"citation '{citation}': {form}")


def _lint_missing_citations(places: Sequence[str], suite: Suite) -> Iterator[Finding]:
    # To cite nothing is the author's choice; among items that do cite, one that does not is an oversight.
    if any(item.citation for item in suite.items):
        for place, item in zip(places, suite.items, strict=True):
            if not item.citation:
                yield Finding("warning", place, "no citation")


def _lint_code(places: Sequence[str], pack: Pack) -> Iterator[Finding]:
    for place, seed in zip(places, pack.seeds, strict=True):
        for code in _FENCE.findall(seed.output):
            try:
                with warnings.catch_warnings():
                    # A dubious escape compiles; Python would print a warning without the seed's place.
                    warnings.simplefilter("ignore")
                    # Below a list item a block is indented as a whole.
                    compile(textwrap.dedent(code), "seed", "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as problem:
                yield Finding("error", place, f"code does not compile: {problem}")


def _lint_truncation(places: Sequence[str], pack: Pack) -> Iterator[Finding]:
    for place, seed in zip(places, pack.seeds, strict=True):
        end = seed.output.rstrip()[-2:]
        if seed.output.count("```") % 2:
            yield Finding("error", place, "the output has an unclosed code fence")
        elif end.endswith((",", ":", "-", "(")) and end != "::":  # "::" ends an IPv6 address
            yield Finding("error", place, "the output looks cut off at its end")


def _lint_answers(place: str, suite: Suite) -> Iterator[Finding]:
    """Right answers that can be guessed without knowing anything."""
    items, total = suite.choices, len(suite.choices)
    if not items:
        return
    if suite.type == "true_false":
        true = sum(item.key == 0 for item in items)
        # An odd number cannot be halved: one half more or less is as even as it gets.
        if abs(true - total / 2) > max(0.5, _TRUE_SLACK * total):
            yield Finding("error", place, f"{true / total:.0%} of the statements are true; half should be")
        return
    widths, positions = [len(item.options) for item in items], Counter(item.key for item in items)
    counts = [positions[index] for index in range(max(widths))]
    # An item adds nothing to the positions that it does not have.
    expected = [sum(1 / width for width in widths if index < width) for index in range(max(widths))]
    if chisquare(counts, expected).pvalue < _POSITION_P:
        yield Finding("error", place, f"answer positions are uneven: {counts}; shuffle the options")
    longest = sum(all(len(o) < len(item.answer) for o in item.options if o != item.answer) for item in items)
    if longest / total > _LONGEST_SHARE:
        limit = f"at most {_LONGEST_SHARE:.0%}"
        yield Finding(
            "error", place, f"the right option is the longest in {longest / total:.0%} of the items ({limit})"
        )


def _lint_duplicates(domain: Domain, places: Mapping[Path, Sequence[str]]) -> Iterator[Finding]:
    """Near-duplicates among seeds, among items, and of items among the seeds (a leak)."""
    seeds, items = RougeIndex(), RougeIndex()
    for pack in domain.packs.values():
        for place, seed in zip(places[pack.seeds_path], pack.seeds, strict=True):
            text = f"{seed.instruction} {seed.input}"
            yield from _like(seeds, place, text, "seed tasks are nearly the same")
            seeds.add(place, text)
    for suite in domain.suites.values():
        for place, item in zip(places[suite.path], suite.items, strict=True):
            yield from _like(items, place, item.question, "questions are nearly the same")
            yield from _like(seeds, place, item.question, "this question stands among the seeds")
            items.add(place, item.question)


def _like(pool: RougeIndex, place: str, text: str, message: str) -> Iterator[Finding]:
    nearest = pool.nearest(text)
    if nearest.score > _DUPLICATE:
        yield Finding("error", place, f"{message}: {nearest.id} (ROUGE-L {nearest.score:.2f})")
