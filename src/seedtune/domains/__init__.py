"""Domains: what a model is to become expert in, as a folder of data.

    domain.yaml         name, title, topics, packs, suites, requirements, filters, showcase
    prompts/*.md        one system text for the teacher per pack
    seeds/*.jsonl       seed tasks written by people
    evaluation/test/*.jsonl  questions that results are reported on; they never reach the teacher or the training data
    evaluation/dev/*.jsonl   questions to choose checkpoints and settings by
    checks.py           what the lint asks of a program in a seed task (optional)

A shipped domain is a folder beside this file; any other is named by its path. Nothing outside a domain's own folder
knows which domain it works on.
"""

from seedtune.domains.description import Split
from seedtune.domains.lint import Finding, LintReport, domain_counts, lint_domain, lint_folder
from seedtune.domains.loader import Domain, ItemFile, Pack, Suite, load_domain, shipped_domains
from seedtune.domains.program_check import ProgramFault
from seedtune.domains.scaffold import create_domain

__all__ = [
    "Domain",
    "Finding",
    "ItemFile",
    "LintReport",
    "Pack",
    "ProgramFault",
    "Split",
    "Suite",
    "create_domain",
    "domain_counts",
    "lint_domain",
    "lint_folder",
    "load_domain",
    "shipped_domains",
]
