"""Canaries: each test file begins with that of its domain."""

import uuid
from collections.abc import Iterator

from seedtune.domains.canary import GUID, canary_sentence
from seedtune.domains.lint.content import Content, Finding
from seedtune.records import json_line


def check_canaries(content: Content) -> Iterator[Finding]:
    """Each test file begins with the domain's canary, a sentence with a GUID."""
    test = [(file, place) for _, split, file, place in content.files() if split == "test"]
    known = next((file.canary for file, _ in test if file.canary and GUID.search(file.canary)), None)
    # A GUID that follows from the questions is as good as a random one, and the same whenever the lint says it.
    made = str(uuid.uuid5(uuid.NAMESPACE_OID, " ".join(item.id for file, _ in test for item in file.items)))
    expected = known or canary_sentence(content.domain.name, made)
    for file, place in test:
        if file.canary != expected:
            fault = "this test file has no canary" if file.canary is None else "not the canary of the domain"
            line = json_line({"canary": expected}).strip()
            yield Finding("error", f"{place}:1", f"{fault}; its first line should be {line}")
