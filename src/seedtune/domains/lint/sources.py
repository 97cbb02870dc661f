"""Citations: given, in a form that can be followed, and of sections that exist."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from seedtune.domains.description import read_text
from seedtune.domains.lint.content import Content, Finding
from seedtune.domains.loader import file_inside
from seedtune.errors import DomainError

_RFC = re.compile(r"RFC \d{1,5}, (Section \d+(\.\d+)*|Appendix [A-Z](\.\d+)*)")
_LABEL = r"(?P<label>[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*)"
_PLACED = re.compile(rf"(?P<source>.+), (?:Section|Clause|Chapter|Appendix|Annex|page) {_LABEL}")
_DATED = re.compile(r".*(\b(19|20)\d\d\b|https?://\S+).*")
_FORM = "write it as 'RFC 4271, Section 9.1.2.2', 'NAME, page 3', or a name with a year or URL"


def check_citations(content: Content) -> Iterator[Finding]:
    """Each citation says where to look, and that is there."""
    table = _read_table(content)
    cited = [(seed.place, citation) for seed in content.seeds for citation in seed.task.citations]
    cited += [(entry.place, entry.item.citation) for entry in content.items]
    for place, citation in cited:
        fault = _fault(citation, table) if citation else ""
        if fault:
            yield Finding("error", place, fault)


def check_cited(content: Content) -> Iterator[Finding]:
    """Each item of a file cites something, if any of its items does."""
    for _, _, file, place in content.files():
        # To cite nothing is the author's choice; among items that do cite, one that does not is an oversight.
        if any(item.citation for item in file.items):
            for line, item in zip(file.lines, file.items, strict=True):
                if not item.citation:
                    yield Finding("warning", f"{place}:{line}", "no citation")


def _fault(citation: str, table: Mapping[str, Sequence[str]] | None) -> str:
    placed = _PLACED.fullmatch(citation)
    if citation.startswith("RFC ") and not _RFC.fullmatch(citation):
        return f"citation '{citation}': {_FORM}"
    if placed and table is not None:
        source, label = placed["source"], placed["label"]
        if source in table and label not in table[source]:
            return f"citation '{citation}': {source} has no {citation.removeprefix(source)[2:]}"
        if source.startswith("RFC ") and source not in table:
            return f"citation '{citation}': {source} is not in the table of citations; add its sections to it"
    if not placed and not _DATED.fullmatch(citation):
        return f"citation '{citation}': {_FORM}"
    return ""


def _read_table(content: Content) -> dict[str, list[str]] | None:
    """The domain's table of sections; None where it has none."""
    name = content.domain.file.citations
    if name is None:
        return None
    path = file_inside(content.domain.folder, name, "citations")
    try:
        table: object = json.loads(read_text(path))
    except ValueError as problem:
        raise DomainError(f"{path}: not valid JSON: {problem}") from problem
    if not isinstance(table, dict) or not all(isinstance(labels, list) for labels in table.values()):
        raise DomainError(f'{path}: expected sources and their sections, such as {{"RFC 4271": ["1", "1.1"]}}')
    return {str(source): [str(label) for label in labels] for source, labels in table.items()}
