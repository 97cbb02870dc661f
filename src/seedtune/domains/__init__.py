"""Domains: what a model is to become expert in, as a folder of data.

    domain.yaml      name, title, topics, packs, suites, filters, showcase
    prompts/*.md     one system text for the teacher per pack
    seeds/*.jsonl    seed tasks written by people
    evaluation/*.jsonl  questions; they never reach the teacher or the training data

A shipped domain is a folder beside this file; any other is named by its path. Nothing outside a domain's own folder
knows which domain it works on.
"""

from seedtune.domains.lint import Finding, domain_counts, lint_domain
from seedtune.domains.loader import Domain, Pack, Suite, load_domain, shipped_domains
from seedtune.domains.scaffold import create_domain

__all__ = [
    "Domain",
    "Finding",
    "Pack",
    "Suite",
    "create_domain",
    "domain_counts",
    "lint_domain",
    "load_domain",
    "shipped_domains",
]
