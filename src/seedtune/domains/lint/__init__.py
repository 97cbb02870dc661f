"""Find what makes a domain's content unsound: duplicates, leaks, give-away answers, code that does not compile.

Not covered: whether an answer is *true*. That takes a person with the cited source open; the reviews say whether there
was one.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seedtune.domains.lint.answers import check_lengths, check_positions, check_truth
from seedtune.domains.lint.canaries import check_canaries
from seedtune.domains.lint.code import check_code
from seedtune.domains.lint.content import Check, Content, Finding, read_content
from seedtune.domains.lint.counts import count_content
from seedtune.domains.lint.duplicates import check_duplicates, check_passages
from seedtune.domains.lint.exact import check_exact
from seedtune.domains.lint.minima import check_requirements, check_topics
from seedtune.domains.lint.programs import check_outputs, check_programs
from seedtune.domains.lint.reviewed import check_reviews
from seedtune.domains.lint.sources import check_citations, check_cited
from seedtune.domains.loader import Domain, domain_folder, load_domain
from seedtune.errors import DomainError

__all__ = ["Finding", "LintReport", "domain_counts", "lint_domain", "lint_folder"]

CHECKS: dict[str, Check] = {
    "topics": check_topics,
    "requirements": check_requirements,
    "citations": check_citations,
    "cited": check_cited,
    "outputs": check_outputs,
    "programs": check_programs,
    "code": check_code,
    "positions": check_positions,
    "lengths": check_lengths,
    "truth": check_truth,
    "canaries": check_canaries,
    "exact": check_exact,
    "reviews": check_reviews,
    "duplicates": check_duplicates,
    "passages": check_passages,
}


@dataclass(frozen=True)
class LintReport:
    """What the lint says of a domain."""

    domain: str
    counts: dict[str, Any]
    """Empty for a domain that cannot be read."""
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many of the findings are errors."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def summary(self) -> str:
        """The domain and how much it holds, in a line."""
        if not self.counts:
            return self.domain
        sizes = dict(self.counts["seeds"]["packs"])
        for name, splits in self.counts["items"]["suites"].items():
            sizes[name] = sum(split["total"] for split in splits.values())
        return f"{self.domain}: {', '.join(f'{count} {name}' for name, count in sizes.items())}"

    def as_json(self) -> dict[str, Any]:
        """Plain values for another program: findings per check, the findings, the counts."""
        found = [finding.check for finding in self.findings]
        return {
            "domain": self.domain,
            "checks": {name: found.count(name) for name in ("schema", *CHECKS)},
            "findings": [vars(finding) for finding in self.findings],
            "counts": self.counts,
        }


def lint_folder(name_or_path: str) -> LintReport:
    """Check a domain; one that cannot be read has its faults as findings.

    Raises:
        DomainError: there is no such domain.
    """
    folder = domain_folder(name_or_path)
    try:
        domain = load_domain(name_or_path)
    except DomainError as problem:
        return LintReport(folder.resolve().name, {}, tuple(_as_findings(problem, folder, "schema")))
    return LintReport(domain.name, domain_counts(domain), tuple(lint_domain(domain)))


def lint_domain(domain: Domain) -> list[Finding]:
    """Every fault of a domain that loaded."""
    content = read_content(domain)
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        findings += _run(name, check, content)
    return findings


def domain_counts(domain: Domain) -> dict[str, Any]:
    """How much there is of what; see :mod:`seedtune.domains.lint.counts`."""
    return count_content(read_content(domain))


def _run(name: str, check: Check, content: Content) -> list[Finding]:
    try:
        return [replace(finding, check=name) for finding in check(content)]
    except DomainError as problem:  # a file that only this check reads
        return _as_findings(problem, content.domain.folder, name)


def _as_findings(problem: DomainError, folder: Path, check: str) -> list[Finding]:
    """One finding for each line of a loader's message, which begins with its place."""
    findings: list[Finding] = []
    for line in str(problem).splitlines():
        place, _, message = line.removeprefix(f"{folder}/").partition(": ")
        findings.append(Finding("error", place, message, check))
    return findings
