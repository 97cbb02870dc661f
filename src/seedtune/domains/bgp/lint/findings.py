"""What the lint says: findings, and the table of rules they belong to."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class CodeFinding:
    """One fault of a program."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    rule: str
    """A key of ``RULES``."""
    level: Level
    """An error raises, or makes the result wrong, wherever the line runs; a warning does so with some data."""
    message: str
    """What is wrong, and why."""
    right: str
    """The right form."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of fault."""

    level: Level
    right: str
    """The right form, where a finding has no nearer one."""


def _error(right: str) -> Rule:
    return Rule("error", right)


def _warning(right: str) -> Rule:
    return Rule("warning", right)


_AT_ONCE = "copy what you need at once: row = (elem.type, elem.time, elem.peer_asn, dict(elem.fields))"
_BY_TYPE = 'if elem.type in ("R", "A"):'

RULES: dict[str, Rule] = {
    # The program and the module
    "syntax": _error("a program that Python 3.11 can compile"),
    "unknown-name": _error("pybgpstream offers BGPStream, BGPRecord and BGPElem"),
    "version-1": _error("for elem in stream:   # or: for record in stream.records(): for elem in record:"),
    # What the constructor selects
    "unknown-argument": _error(
        "BGPStream(from_time=..., until_time=..., data_interface=..., project=..., projects=[...], collector=..., "
        "collectors=[...], record_type=..., record_types=[...], filter=...)"
    ),
    "string-for-list": _error('collectors=["rrc00", "rrc06"]'),
    "list-for-string": _error('collectors=["rrc00"], or collector="rrc00"'),
    "unknown-collector": _error('collectors=["rrc00", "route-views2"]'),
    "unknown-project": _error('project="ris" or project="routeviews"'),
    "record-type": _error('record_type="updates" or record_type="ribs"'),
    "ignored-selection": _warning("name the file alone; with csvfile the index decides what belongs to a collector"),
    "changed-list": _warning("collectors=[*names, other]"),
    # The window
    "time-type": _error('from_time="2024-03-01 00:00:00" (UTC), or from_time=int(moment.timestamp())'),
    "invalid-time": _error('from_time="2024-03-01 00:00:00"'),
    "time-zone": _warning('the same moment in UTC: from_time="2024-03-01 00:00:00"'),
    "window-order": _error("from_time before until_time"),
    "endless-stream": _warning('until_time="2024-03-01 00:04:59", or a break where the loop has seen enough'),
    "csv-window": _error("give both from_time and until_time, or neither"),
    # Data interfaces
    "data-interface": _error('data_interface="singlefile", "csvfile" or "broker"'),
    "interface-option": _error('stream.set_data_interface_option("singlefile", "upd-file", path)'),
    "missing-option": _error('stream.set_data_interface_option("singlefile", "upd-file", path)'),
    "unused-option": _error('BGPStream(data_interface="singlefile")'),
    "late-option": _error("set interface and options before the first record is read"),
    # Filters
    "filter-string": _error('filter="peer 64496 64497 and prefix more 198.51.100.0/24 and elemtype announcements"'),
    "filter-type": _error('stream.add_filter("peer-asn", "64496")'),
    "filter-value": _error('stream.add_filter("peer-asn", "64496")'),
    "filter-contradiction": _error("a separate stream for the withdrawals, without path, community and origin terms"),
    "filter-last-wins": _warning("leave the term out to get both versions"),
    "path-substring": _warning('path "_64500_"; in Python: "64500" in elem.fields["as-path"].split()'),
    "path-expression": _warning('path "_[0-9]+_": a POSIX extended expression'),
    # Reading the stream
    "not-a-sequence": _error("for elem in stream:   # next(stream.records()) gives the first record"),
    "not-started": _error("stream.start() before the first get_next_record()"),
    "started-twice": _error("either stream.start() with get_next_record(), or a for loop without start()"),
    "second-iteration": _error("a new BGPStream with the same settings, or one loop that does both"),
    "kept-element": _error(_AT_ONCE),
    "kept-record": _error("copy what you need at once: row = (record.collector, record.type, record.time)"),
    "escaping-element": _warning("yield elem.type, elem.time, elem.peer_asn, dict(elem.fields)"),
    "hidden-failure": _warning("except KeyError: for what is expected; let the rest be seen"),
    # Attributes and fields
    "field-as-attribute": _error('elem.fields["prefix"]'),
    "unknown-attribute": _error("an element has type, time, peer_asn, peer_address, fields and those of its record"),
    "low-level-element": _error("record.time; an element of a for loop has the attributes of its record too"),
    "unknown-field": _error(
        "the fields are prefix, next-hop, as-path, communities (R, A), prefix (W), old-state, new-state (S)"
    ),
    "unchecked-field": _error(_BY_TYPE),
    "unchecked-prefix": _warning('if elem.type in ("R", "A", "W"):'),
    "element-type": _error('elem.type is "R", "A", "W" or "S"'),
    "impossible-type": _warning("test for a type that the stream can give"),
    "withdrawals-skipped": _error('if elem.type == "W": ... before elements without an AS path are skipped'),
    "record-value": _error('record.type is "update" or "rib"; record.status is "valid" or says what is wrong'),
    "state-value": _error('elem.fields["new-state"] == "ESTABLISHED"'),
    # What the values are
    "community-pair": _error('asn, value = community.split(":")'),
    "communities-order": _warning('sorted(elem.fields["communities"])'),
    "path-not-split": _error('hops = elem.fields["as-path"].split()'),
    "int-and-str": _error("hops[0] == str(elem.peer_asn)"),
    "as-set": _warning("if hops[-1].isdigit(): origin = int(hops[-1])"),
    "set-not-json": _error('json.dumps({**elem.fields, "communities": sorted(elem.fields["communities"])})'),
}
"""Rule id -> level and right form, in the order of docs/lint.md."""
