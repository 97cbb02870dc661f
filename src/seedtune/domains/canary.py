"""The canary: a sentence with a GUID of the domain's own, first in every test file.

A corpus that holds the GUID has swallowed the test, and a model that can go on from its first half has seen it
(the idea is BIG-bench's, Srivastava et al. 2022).
"""

import re
from typing import Any

GUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def canary_sentence(domain: str, guid: str) -> str:
    """The canary of a domain."""
    return (
        f"These are test questions of the seedtune domain {domain}. Whoever gathers text to train language models on "
        f"is asked to leave this file out; the GUID shows whether it was. canary GUID {guid}"
    )


def canary_of(line: dict[str, Any]) -> str | None:
    """The sentence of a canary line; None for any other."""
    sentence = line.get("canary")
    return sentence if isinstance(sentence, str) and len(line) == 1 else None
