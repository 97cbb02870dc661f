"""Reviews: whatever names a file of reviews has an outcome for each of its records, as they stand."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedtune.domains.lint.content import Content, Finding
from seedtune.domains.loader import file_inside
from seedtune.domains.reviews import Review, digest, read_reviews
from seedtune.records import json_line


@dataclass(frozen=True)
class _Subject:
    """What a review is of."""

    place: str
    part: str
    """The pack or suite it belongs to."""
    digest: str
    text: str
    unreviewed: Literal["error", "warning"]
    """An item that nobody has checked must not judge a model; a seed task may wait."""


def check_reviews(content: Content) -> Iterator[Finding]:
    """Each record whose pack or suite names a file of reviews has an outcome there, and nothing else has one."""
    for path, subjects in _subjects(content).items():
        name = content.place(path)
        reviews = read_reviews(path)
        yield from _check_lines(name, reviews, {subject.digest for subject in subjects})
        by_digest = {review.digest: review for review in reviews}
        for subject in subjects:
            review = by_digest.get(subject.digest)
            if review is None:
                line = Review(digest=subject.digest, text=subject.text[:60], reviewed="yes", outcome="keep")
                how = f"once somebody else has derived it again, add to {name}: {json_line(line.model_dump()).strip()}"
                yield Finding("error", subject.place, f"not reviewed as it stands; {how}")
            elif review.reviewed == "no":
                yield Finding(subject.unreviewed, subject.place, "not reviewed yet")


def count_outcomes(content: Content) -> dict[str, dict[str, int]]:
    """Outcomes per pack and suite, of those that name a file of reviews.

    Raises:
        DomainError: a file of reviews cannot be read.
    """
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path, subjects in _subjects(content).items():
        outcomes = {review.digest: review.outcome for review in read_reviews(path)}
        for subject in subjects:
            counts[subject.part][outcomes.get(subject.digest, "none")] += 1
    return {part: dict(sorted(outcomes.items())) for part, outcomes in counts.items()}


def _subjects(content: Content) -> dict[Path, list[_Subject]]:
    """What the reviews of each file should be of."""
    files: dict[Path, list[_Subject]] = defaultdict(list)
    domain = content.domain
    for seed in content.seeds:
        if name := domain.file.packs[seed.pack].reviews:
            path = file_inside(domain.folder, name, f"packs.{seed.pack}.reviews")
            text = seed.task.instruction
            files[path].append(_Subject(seed.place, seed.pack, digest(seed.task), text, "warning"))
    for entry in content.items:
        if name := domain.file.suites[entry.suite].reviews:
            path = file_inside(domain.folder, name, f"suites.{entry.suite}.reviews")
            text = entry.item.question
            files[path].append(_Subject(entry.place, entry.suite, digest(entry.item), text, "error"))
    return files


def _check_lines(name: str, reviews: Sequence[Review], there: set[str]) -> Iterator[Finding]:
    seen: set[str] = set()
    for review in reviews:
        said = f"'{review.text[:40]}' ({review.digest})"
        if review.digest in seen:
            yield Finding("error", name, f"two reviews of {said}")
        elif review.digest not in there:
            yield Finding("error", name, f"a review of what is not there: {said}; was it changed after the review?")
        seen.add(review.digest)
