"""Filter strings and their matching, as documented in libbgpstream's FILTERING and observed in its behaviour.

    filter   = clause { "and" clause }
    clause   = term value { value }
    term     = project collector type elemtype peer prefix ipversion community aspath origin
               (or proj coll ipv pref comm path orig)

Words end at a space only, any white space may stand before one, and any word may stand in double quotes. The values of
a clause are alternatives and a term may come once; ``path`` takes one value, may be repeated, and all must hold. A
prefix value may follow ``exact``, ``more``, ``less`` or ``any``, which holds for the values behind it too. Of several
IP versions the last one counts. There is no ``or``, no negation but the ``!`` of ``path``, and case matters.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, inet_pton

from ._aspath import AsPathPattern, AsPathSyntaxError
from ._matching import Prefix, Selector, selector

TERMS = {
    **{term: term for term in ("project", "collector", "type", "elemtype", "peer", "prefix", "ipversion", "community")},
    **{term: term for term in ("aspath", "origin", "extcommunity")},
    "proj": "project",
    "coll": "collector",
    "pref": "prefix",
    "ipv": "ipversion",
    "comm": "community",
    "path": "aspath",
    "orig": "origin",
}
SPECIFICITIES = ("exact", "more", "less", "any")
RECORD_TYPES = {"ribs": "rib", "updates": "update"}
ELEMENT_TYPES = {"ribs": "R", "announcements": "A", "withdrawals": "W", "peerstates": "S"}

METHOD_TERMS = {
    "project": ("project", ""),
    "collector": ("collector", ""),
    "record-type": ("type", ""),
    "peer-asn": ("peer", ""),
    "prefix": ("prefix", "more"),
    **{f"prefix-{specificity}": ("prefix", specificity) for specificity in SPECIFICITIES},
    "community": ("community", ""),
    "aspath": ("aspath", ""),
    "ipversion": ("ipversion", ""),
    "elemtype": ("elemtype", ""),
}
"""The types that ``add_filter`` takes: the term of a filter string that each stands for, and a prefix's specificity."""

MAX_ASN = 2**32 - 1

_NUMBER = re.compile(r"\d{1,20}", re.ASCII)


class FilterSyntaxError(ValueError):
    """A filter string or value that the real library refuses.

    Attributes:
        reason: What is wrong, in its words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Filter:
    """What may pass. An empty field lets everything pass.

    Attributes:
        projects: Names of projects.
        collectors: Names of collectors.
        record_types: ``rib`` and ``update``.
        element_types: ``R``, ``A``, ``W`` and ``S``.
        peers: AS numbers of peers.
        prefixes: Specificity of each prefix; the first one given for a prefix counts. None if there is no such filter:
            an empty one lets nothing pass.
        ip_version: 4, 6 or None.
        communities: ``asn:value`` with ``*`` for any.
        paths: AS path expressions, all of which must hold.
        origins: AS numbers of origins; one inside an AS_SET is not seen.
    """

    projects: set[str] = field(default_factory=set[str])
    collectors: set[str] = field(default_factory=set[str])
    record_types: set[str] = field(default_factory=set[str])
    element_types: set[str] = field(default_factory=set[str])
    peers: set[int] = field(default_factory=set[int])
    prefixes: dict[Prefix, str] | None = None
    ip_version: int | None = None
    communities: set[str] = field(default_factory=set[str])
    paths: list[AsPathPattern] = field(default_factory=list[AsPathPattern])
    origins: set[int] = field(default_factory=set[int])

    def merge(self, other: "Filter") -> None:
        """Add what another filter says: its values become further alternatives."""
        self.projects |= other.projects
        self.collectors |= other.collectors
        self.record_types |= other.record_types
        self.element_types |= other.element_types
        self.peers |= other.peers
        self.communities |= other.communities
        self.origins |= other.origins
        self.paths += other.paths
        self.ip_version = other.ip_version or self.ip_version
        if other.prefixes is not None:
            self.prefixes = other.prefixes | (self.prefixes or {})

    def add(self, term: str, value: str, specificity: str) -> None:
        """Add one value of a term (its full name); the specificity is a prefix's.

        Raises:
            FilterSyntaxError: The value is invalid. A prefix filter is in force from then on all the same.
        """
        if term == "prefix":
            self.prefixes = self.prefixes if self.prefixes is not None else {}
            self.prefixes.setdefault(parse_prefix(value), specificity)
        elif term == "project":
            self.projects.add(value)
        elif term == "collector":
            self.collectors.add(value)
        elif term == "type":
            if value not in RECORD_TYPES:
                raise FilterSyntaxError('record-type filter must be one of "ribs" or "updates"')
            self.record_types.add(RECORD_TYPES[value])
        elif term == "elemtype":
            if value not in ELEMENT_TYPES:
                raise FilterSyntaxError(f"unknown element type '{value}'")
            self.element_types.add(ELEMENT_TYPES[value])
        elif term == "peer":
            self.peers.add(_parse_asn(value, "peer asn"))
        elif term == "origin":
            self.origins.add(_parse_asn(value, "origin asn"))
        elif term == "ipversion":
            if value not in ("4", "6"):
                raise FilterSyntaxError(f"Unknown IP version '{value}'")
            self.ip_version = int(value)
        elif term == "community":
            self.communities.add(_parse_community(value))
        elif term == "aspath":
            self.paths.append(_parse_path(value))
        else:
            raise FilterSyntaxError("Implementation of filter type Extended Community is still to come!")

    def passes_file(self, project: str, collector: str, record_type: str) -> bool:
        """Whether files of a project, a collector and a type (``rib``, ``update``) are wanted."""
        return (
            (not self.projects or project in self.projects)
            and (not self.collectors or collector in self.collectors)
            and (not self.record_types or record_type in self.record_types)
        )

    def selector(self) -> Selector | None:
        """What picks the elements of a record that pass; None if all of them do."""
        return selector(self)


def parse_filter_string(text: str) -> Filter:
    """Parse a filter string.

    Raises:
        FilterSyntaxError: The string is invalid.
    """
    words = _words(text)
    parsed = Filter()
    seen: set[str] = set()
    more = True
    while more:
        word = next(words, None)
        if word is None:
            raise FilterSyntaxError("Expected term, found end of string")
        term = TERMS.get(word)
        if term is None:
            raise FilterSyntaxError(f"Expected a valid term, found '{word}'")
        if term in seen and term != "aspath":
            raise FilterSyntaxError(f"Term '{term}' used more than once")
        seen.add(term)
        more = _parse_values(parsed, term, words)
    return parsed


def _parse_values(parsed: Filter, term: str, words: Iterator[str]) -> bool:
    """Add the values of a clause; True if ``and`` stands behind them."""
    specificity = "more"
    word = _value(words)
    count = 0
    while word is not None:
        if count and word == "and":
            return True
        if count and word == "or":
            raise FilterSyntaxError("'or' is not yet implemented")
        if count and term == "aspath":
            raise FilterSyntaxError("term 'aspath' does not allow multiple values")
        if term == "prefix" and word in SPECIFICITIES:
            specificity = word
            word = _value(words)
        parsed.add(term, word, specificity)
        count += 1
        word = next(words, None)
    return False


def _value(words: Iterator[str]) -> str:
    word = next(words, None)
    if word is None:
        raise FilterSyntaxError("Expected argument, found end of string")
    return word


def _words(text: str) -> Iterator[str]:
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        if text[position] == '"':
            end = text.find('"', position + 1)
            if end < 0:
                raise FilterSyntaxError(f"Missing closing quote: '{text[position:]}'")
            if text[end + 1 : end + 2] not in ("", " "):
                raise FilterSyntaxError(f"Found garbage after quoted {text[position : end + 1]}")
            yield text[position + 1 : end]
            position = end + 1
        else:
            end = text.find(" ", position)
            end = len(text) if end < 0 else end
            yield text[position:end]
            position = end


def parse_prefix(text: str) -> Prefix:
    """Parse ``address/length``; host bits are cut.

    Raises:
        FilterSyntaxError: No address, no length, or one out of range.
    """
    address, slash, length = text.partition("/")
    version, bits, family = (6, 128, AF_INET6) if ":" in address else (4, 32, AF_INET)
    try:
        number = int.from_bytes(inet_pton(family, address), "big")
    except (OSError, ValueError):
        raise FilterSyntaxError(f"invalid prefix '{text}'") from None
    if not slash or not _NUMBER.fullmatch(length) or int(length) > bits:
        raise FilterSyntaxError(f"invalid prefix '{text}'")
    size = int(length)
    return version, number >> (bits - size) << (bits - size), size


def _parse_asn(text: str, what: str) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > MAX_ASN:
        raise FilterSyntaxError(f"invalid {what} '{text}'")
    return int(text)


def _parse_community(text: str) -> str:
    parts = text.split(":")
    if len(parts) != 2 or not all(part == "*" or (_NUMBER.fullmatch(part) and int(part) < 65536) for part in parts):
        raise FilterSyntaxError(f"invalid community '{text}'")
    return ":".join(part if part == "*" else str(int(part)) for part in parts)


def _parse_path(text: str) -> AsPathPattern:
    try:
        return AsPathPattern(text)
    except AsPathSyntaxError as error:
        own = str(error).startswith("bad backreference")
        raise FilterSyntaxError(str(error) if own else f"regex error: {error}") from None
