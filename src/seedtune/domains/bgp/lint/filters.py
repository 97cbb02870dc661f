"""What is wrong with a filter: the grammar of the sandbox's module decides, and the right form is worked out here."""

import itertools
import re
from dataclasses import dataclass

from seedtune.domains.bgp.sandboxed.pybgpstream._filters import (
    ELEMENT_TYPES,
    Filter,
    parse_filter_string,
)

METHOD_TYPES = {
    "project": "project",
    "collector": "collector",
    "record-type": "type",
    "peer-asn": "peer",
    "prefix": "prefix",
    "prefix-exact": "prefix exact",
    "prefix-more": "prefix more",
    "prefix-less": "prefix less",
    "prefix-any": "prefix any",
    "community": "community",
    "aspath": "path",
    "ipversion": "ipversion",
    "elemtype": "elemtype",
}
"""Types of ``add_filter`` -> the beginning of a filter string that says the same."""

_GAP_FILLERS = (
    *("", "1", "1.0.0.0/8", "1:1", "4", "announcements", "updates", "more"),
    *("peer 1", "and peer 1", " and peer 1", "and"),
)
"""What may stand in a gap of a filter string, for a string with gaps is wrong only if nothing would make it right."""
_MOST_GAPS = 3
_GAP = "\uffff"

_MENDS: tuple[tuple[str, str], ...] = (
    (r"\b(AND|And)\b|&&", "and"),
    (r"[\n\t]+", " "),
    (r"\bprefix[-_](exact|more|less|any)\b", r"prefix \1"),
    (r"\bcommunities\b", "community"),
    (r"\b(as-path|as_path|aspath|AS_PATH)\b", "path"),
    (r"\b(peer[-_]asn?|peerasn)\b", "peer"),
    (r"\b(ip[-_]version|ipversion) ?v?([46])\b", r"ipversion \2"),
    (r"\b(record[-_]type|rectype)\b", "type"),
    (r"\b(elem[-_]type|element[-_]?type)\b", "elemtype"),
    (r"\btype (update|rib)\b", r"type \1s"),
    (r"\btype (?=announcement|withdrawal|peerstate)", "elemtype "),
    (r"\belemtype (announcement|withdrawal|peerstate|rib)\b", r"elemtype \1s"),
    (r"\belemtype A\b", "elemtype announcements"),
    (r"\belemtype W\b", "elemtype withdrawals"),
    (r"\belemtype S\b", "elemtype peerstates"),
    (r"\belemtype R\b", "elemtype ribs"),
    (r"\b(peer|origin) (AS|as)(?=\d)", r"\1 "),
    (r"(?<=\d),\s*(?=\d)", " "),
    (r"\b(\w+) (\S+) (?:or|OR|Or|\|\|) \1 ", r"\1 \2 "),
    (r"\b(prefix(?: (?:exact|more|less|any))? (?:\d+\.){3}\d+)(?![\d./])", r"\1/24"),
)
"""What is written wrong most often, and the words that were meant."""

_BARE_NUMBER = re.compile(r"!?(?:\^?(?:\.\*)?\d+(?:\.\*)?|(?:\.\*)?\d+\$)")
_REPETITION = re.compile(r"(?<=[\]).])\{\d*,?\d*\}|\\d(?:\{\d*,?\d*\})?")
_TWO_VERSIONS = re.compile(r"\b(?:ipversion|ipv)\s+[46]\s+[46]\b")
_WRONG_WORDS = re.compile(r"\b(or|OR|AND|not|NOT|communities|prefix-\w+|peer-asn|as-path)\b")


@dataclass(frozen=True, slots=True)
class FilterFault:
    """A rule that a filter breaks."""

    rule: str
    message: str
    right: str | None = None


@dataclass(frozen=True, slots=True)
class FilterReading:
    """What a filter says.

    Attributes:
        parsed: None if it is invalid.
        faults: What is wrong with it.
    """

    parsed: Filter | None
    faults: tuple[FilterFault, ...]


def read_filter(text: str) -> FilterReading:
    """Read a whole filter string."""
    try:
        parsed = parse_filter_string(text)
    except ValueError as error:
        if "'router'" in str(error):
            return FilterReading(None, ())  # A term for BMP streams, which no archive has.
        right = _mended(text)
        return FilterReading(None, (_invalid(text, str(error), right if _parsed(right) else None),))
    faults = _path_faults([path.text for path in parsed.paths])
    if _TWO_VERSIONS.search(text):
        faults.append(
            FilterFault("filter-last-wins", "of several IP versions the last one counts; they are no alternatives")
        )
    return FilterReading(parsed, tuple(faults))


def read_template(parts: tuple[str | None, ...]) -> FilterReading:
    """Read a filter string with gaps (None): it is wrong only if nothing would make it right."""
    text = "".join(_GAP if part is None else part for part in parts)
    if text.count(_GAP) > _MOST_GAPS or "router" in text:
        return FilterReading(None, ())
    parsed = _first_parsed(text)
    if parsed is not None:
        return FilterReading(parsed, ())
    shown, mended = text.replace(_GAP, "..."), _mended(text)
    wrong = _WRONG_WORDS.search(shown)
    reason = f"{wrong[0]!r} is no word of a filter" if wrong else "no text in the gaps makes it valid"
    right = mended.replace(_GAP, "...") if _first_parsed(mended) else None
    return FilterReading(None, (_invalid(shown, reason, right),))


def _first_parsed(text: str) -> Filter | None:
    """What a text with gaps says if they are filled so that it is valid; None if no filling makes it so."""
    pieces = text.split(_GAP)
    for fillers in itertools.product(_GAP_FILLERS, repeat=len(pieces) - 1):
        parsed = _parsed("".join(map("".join, zip(pieces, (*fillers, ""), strict=True))))
        if parsed is not None:
            return parsed
    return None


def _parsed(text: str) -> Filter | None:
    try:
        return parse_filter_string(text)
    except ValueError:
        return None


def _mended(text: str) -> str:
    for wrong, right in _MENDS:
        text = re.sub(wrong, right, text)
    return text


def _invalid(text: str, reason: str, right: str | None) -> FilterFault:
    message = f"the filter string {text!r} raises ValueError: {reason}"
    if " or " in text:
        message += "; values of one term are alternatives, terms are joined by 'and' only"
    return FilterFault("filter-string", message, None if right is None else f"filter={right!r}")


def _path_faults(expressions: list[str]) -> list[FilterFault]:
    faults: list[FilterFault] = []
    for expression in expressions:
        number = re.sub(r"\D", "", expression)
        if _BARE_NUMBER.fullmatch(expression):
            faults.append(
                FilterFault(
                    "path-substring",
                    f"the path expression {expression!r} is searched as text: it matches inside longer AS numbers too",
                    f'path "_{number}_" (anywhere), "^{number}_" (first) or "_{number}$" (origin)',
                )
            )
        elif _REPETITION.search(expression):
            faults.append(
                FilterFault(
                    "path-expression",
                    f"the path expression {expression!r} matches nothing it should: expressions are POSIX extended "
                    "ones without \\d, and braces are the marks of an AS_SET",
                    "[0-9]+, or the class written as often as it is meant",
                )
            )
    return faults


def read_method_filter(kind: str, value: str | None) -> FilterReading:
    """Read the arguments of ``add_filter``; a value of None is not known."""
    if kind == "router":
        return FilterReading(None, ())
    if kind not in METHOD_TYPES:
        return FilterReading(None, (_wrong_type(kind, value),))
    if value is None or '"' in value:
        return FilterReading(None, ())
    try:
        parsed = parse_filter_string(f'{METHOD_TYPES[kind]} "{value}"')
    except ValueError as error:
        none_passes = kind.startswith("prefix")
        consequence = "it is only logged, and from then on no element passes" if none_passes else "it is only logged"
        fault = FilterFault("filter-value", f"{error}: {consequence}", _right_value(kind, value))
        return FilterReading(None, (fault,))
    return FilterReading(parsed, tuple(_path_faults([path.text for path in parsed.paths])))


def _wrong_type(kind: str, value: str | None) -> FilterFault:
    shown = value or "..."
    folded = kind.lower().replace("_", "-")
    meant = {
        "peer": "peer-asn",
        "peer-as": "peer-asn",
        "as-path": "aspath",
        "path": "aspath",
        "communities": "community",
        "type": "record-type",
        "elem-type": "elemtype",
        "element-type": "elemtype",
        "ip-version": "ipversion",
        "ipv": "ipversion",
        "collectors": "collector",
        "projects": "project",
    }.get(folded, folded if folded in METHOD_TYPES else None)
    if folded in ("origin", "origin-asn", "origin-as"):
        right = f'filter="origin {shown}", or stream.add_filter("aspath", "_{shown}$")'
    else:
        right = f'stream.add_filter("{meant}", "{shown}")' if meant else f"one of {', '.join(METHOD_TYPES)}"
    return FilterFault("filter-type", f"add_filter has no type {kind!r}: ValueError", right)


def _right_value(kind: str, value: str) -> str:
    plural = value.lower() + "s"
    letters = {letter: word for word, letter in ELEMENT_TYPES.items()}
    if METHOD_TYPES[kind] == "elemtype":
        value = plural if plural in ELEMENT_TYPES else letters.get(value, "announcements")
    elif METHOD_TYPES[kind] == "type":
        value = "ribs" if "rib" in value.lower() else "updates"
    elif METHOD_TYPES[kind] == "peer":
        value = re.sub(r"\D", "", value) or "64496"
    elif kind.startswith("prefix"):
        value = value + "/24" if re.fullmatch(r"[\d.]+", value) else "198.51.100.0/24"
    elif METHOD_TYPES[kind] == "community":
        value = "64500:*"
    return f'stream.add_filter("{kind}", "{value}")'
