"""Elements: their attributes, fields and types. ``stream`` gives A, W and S."""

from collections.abc import Callable

import pytest

from seedtune.domains.bgp.lint import lint_program

NAMES = {
    "fields are no attributes": """
for elem in stream:
    print(elem.prefix)  #! field-as-attribute
    hops = elem.as_path.split()  #! field-as-attribute
    print(elem.next_hop, elem.nexthop)  #! field-as-attribute
    print(elem["prefix"], elem.old_state)  #! field-as-attribute
    print(getattr(elem, "prefix", None), hasattr(elem, "as_path"))  #! field-as-attribute
    print(len(elem.communities))  #! field-as-attribute
""",
    "attributes that do not exist": """
for record in stream.records():
    print(record.timestamp, record.prefix)  #! unknown-attribute
    for elem in record:
        print(elem.timestamp, elem.peer_as, elem.peer)  #! unknown-attribute
        print(elem.time, elem.collector, elem.record_type, elem.router_ip, elem.record.time, elem.dump_position)
stream.close()  #! unknown-attribute
stream.add_filters("peer-asn", "1")  #! unknown-attribute
""",
    "what is not delivered": """
for elem in stream:
    print(elem.med, elem.local_pref)  #! unknown-field
    print(elem.fields.get("local-pref"), "aggregator" in elem.fields)  #! unknown-field
    print(elem.origin)  #! unknown-field
""",
    "fields that do not exist": """
for elem in stream:
    fields = elem.fields
    print(fields["as_path"])  #! unknown-field
    print(fields.get("nexthop"), fields["timestamp"])  #! unknown-field
    if "path" in fields:  #! unknown-field
        print("never")
    print(dict(elem.fields)["community"])  #! unknown-field
    fields["mine"] = 1
    print(fields["mine"])
""",
    "other names for it": """
import pybgpstream as pb
def handle(e):
    print(e.prefix)  #! field-as-attribute
for x in pb.BGPStream(from_time=1, until_time=2):
    y = x
    handle(y)
    print(y.as_path)  #! field-as-attribute
""",
    "functions that nothing here calls": """
def on_announcement(elem):
    print(elem.prefix, elem.fields["as-path"])  #! field-as-attribute
def on_record(record):
    elem = record.get_next_elem()
    print(elem.fields["as_path"])  #! unknown-field
def typed(x: pybgpstream.BGPElem):
    print(x.as_path)  #! field-as-attribute
def of_stream(source: BGPStream):
    for elem in source:
        print(elem.prefix, elem.fields["as-path"])  #! field-as-attribute
table = {"A": lambda elem: print(elem.prefix, elem.time)}  #! field-as-attribute
def unrelated(row):
    print(row.prefix, row.as_path, row.fields)
""",
    "a class of the program": """
class Detector:
    def __init__(self):
        self.source = BGPStream(from_time=1, until_time=2)
        self.count = 0
    def handle(self, elem):
        self.count += 1
        return elem.prefix  #! field-as-attribute
    def run(self):
        for elem in self.source:
            self.handle(elem)
""",
}

CHECKED = {
    "without a check": """
for elem in stream:
    print(elem.fields["as-path"])  #! unchecked-field
for record in BGPStream(from_time=1, until_time=2).records():
    for elem in record:
        print(elem.fields["prefix"])  #! unchecked-prefix
        print(sorted(elem.fields["communities"]))  #! unchecked-field
""",
    "a check that lets too much pass": """
for elem in stream:
    if elem.type != "S":
        print(elem.fields["next-hop"])  #! unchecked-field
    if elem.type in ("A", "W"):
        print(elem.fields["prefix"], elem.fields["as-path"])  #! unchecked-field
    if elem.type == "W":
        print(elem.fields["as-path"])  #! unchecked-field
    if elem.type == "A" or elem.type == "W":
        print(elem.fields["as-path"])  #! unchecked-field
    if elem.type == "A":
        print(elem.fields["new-state"])  #! unchecked-field
""",
    "a check of the type": """
ROUTES = {"R", "A"}
for elem in stream:
    if elem.type == "A":
        print(elem.fields["as-path"])
    elif elem.type == "W":
        print(elem.fields["prefix"])
    else:
        print(elem.fields["old-state"], elem.fields["new-state"])
    if elem.type in ROUTES and len(elem.fields["as-path"].split()) > 3:
        print(elem.fields["next-hop"])
    path = elem.fields["as-path"] if elem.type in "RA" else None
    kind = elem.type
    is_route = kind == "A"
    if is_route and path:
        print(elem.fields["as-path"])
    if not (elem.type == "W" or elem.type == "S"):
        print(elem.fields["as-path"])
    assert elem.type != "S"
    print(elem.fields["prefix"])
    if elem.type.lower() == "a":
        print(elem.fields["as-path"])
""",
    "leaving early": """
def route(elem):
    if elem.type not in ("A", "R"):
        return None
    return elem.fields["as-path"]
for elem in stream:
    route(elem)
    if elem.type == "S":
        continue
    prefix = elem.fields["prefix"]
    if elem.type == "W":
        print(prefix)
        continue
    print(elem.fields["as-path"])
""",
    "a function that decides": """
def is_route(elem):
    return elem.type in ("A", "R")
def interesting(elem):
    if elem.type != "A":
        return False
    return elem.time > 5
def path_of(elem):
    if elem.type == "W" or elem.type == "S":
        return []
    return elem.fields["as-path"].split()
for elem in stream:
    if is_route(elem):
        print(elem.fields["as-path"])
    if interesting(elem):
        print(elem.fields["as-path"])
    path = path_of(elem)
    if path:
        print(elem.fields["communities"] and elem.fields["next-hop"])
""",
    "by the field": """
for elem in stream:
    if "as-path" in elem.fields:
        print(elem.fields["as-path"], elem.fields["next-hop"])
    path = elem.fields.get("as-path")
    if path:
        print(elem.fields["next-hop"])
    if "prefix" not in elem.fields:
        continue
    print(elem.fields["prefix"])
    hops = elem.fields.get("as-path", "").split()
    if len(hops) > 0:
        print(elem.fields["as-path"])
    if (path := elem.fields.get("as-path")) is not None:
        print(elem.fields["next-hop"])
    if all(name in elem.fields for name in ("as-path", "prefix")):
        print(elem.fields["as-path"])
""",
    "by the exception": """
import contextlib
for elem in stream:
    try:
        path = elem.fields["as-path"]
    except KeyError:
        continue
    print(elem.fields["next-hop"])
for elem in BGPStream(from_time=1, until_time=2):
    with contextlib.suppress(KeyError):
        print(elem.fields["as-path"])
""",
    "an exception caught too far out": """
try:
    for elem in stream:
        print(elem.fields["as-path"])  #! unchecked-field
except KeyError:
    print("one withdrawal ends it all")
""",
    "by match": """
for elem in stream:
    match elem.type:
        case "A" | "R":
            print(elem.fields["as-path"])
        case "W":
            print(elem.fields["as-path"])  #! unchecked-field
        case _:
            print(elem.fields["new-state"])
    match elem.type, elem.peer_asn:
        case "A", 1:
            print(elem.fields["as-path"])
""",
    "by the filter": """
one = BGPStream(from_time=1, until_time=2, filter="elemtype announcements ribs")
print([elem.fields["as-path"] for elem in one])
two = BGPStream(from_time=1, until_time=2)
two.add_filter("aspath", "_3356_")
print([elem.fields["next-hop"] for elem in two])
three = BGPStream(from_time=1, until_time=2, filter="prefix more 10.0.0.0/8")
print([elem.fields["prefix"] for elem in three])
four = BGPStream(from_time=1, until_time=2, record_type="ribs")
print([elem.fields["as-path"] for elem in four])
five = BGPStream(data_interface="singlefile")
five.set_data_interface_option("singlefile", "rib-file", "rib.mrt")
print({elem.fields["prefix"]: elem.fields["as-path"] for elem in five})
six = BGPStream(from_time=1, until_time=2, filter="elemtype announcements withdrawals")
print([elem.fields["as-path"] for elem in six])  #! unchecked-field
import sys
seven = BGPStream(from_time=1, until_time=2, filter=sys.argv[1])
print([elem.fields["as-path"] for elem in seven])
""",
    "by lazy filters": """
routes = filter(lambda elem: elem.type == "A", stream)
print(sum(len(elem.fields["as-path"].split()) for elem in routes))
other = (elem for elem in BGPStream(from_time=1, until_time=2) if elem.type == "A")
for elem in other:
    print(elem.fields["as-path"])
for path in map(lambda elem: elem.fields["as-path"], BGPStream(from_time=1, until_time=2)):  #! unchecked-field
    print(path)
""",
    "by a table of functions": """
def announced(elem):
    print(elem.fields["as-path"])
def withdrawn(elem):
    print(elem.fields["prefix"])
table = {"A": announced, "W": withdrawn}
for elem in stream:
    if elem.type in table:
        table[elem.type](elem)
""",
}

TYPES = {
    "letters": """
for elem in stream:
    if elem.type == "announcement":  #! element-type
        print("never")
    if elem.type in ("a", "w"):  #! element-type
        print("never")
    if elem.type != "UPDATE":  #! element-type
        print("always")
    match elem.type:
        case "withdrawal":  #! element-type
            print("never")
""",
    "types that the source does not give": """
ribs = BGPStream(from_time=1, until_time=2, record_type="ribs")
print(sum(1 for elem in ribs if elem.type == "A"))  #! impossible-type
more = BGPStream(data_interface="singlefile")
more.set_data_interface_option("singlefile", "rib-file", "rib.mrt")
for elem in more:
    if elem.type != "A":  #! impossible-type
        continue
    print(elem.time)
""",
    "code for several sources": """
ribs = BGPStream(from_time=1, until_time=2, record_type="ribs")
for elem in ribs:
    if elem.type == "R":
        print(elem.fields["as-path"])
    elif elem.type == "A":
        print(elem.fields["as-path"])
for elem in stream:
    if elem.type == "R" or elem.type == "A":
        print(elem.fields["as-path"])
""",
    "types that the filter drops": """
routes = BGPStream(from_time=1, until_time=2, filter="path _3356_")
for elem in routes:
    if elem.type == "A":
        print("+", elem.fields["prefix"])
    elif elem.type == "W":  #! impossible-type
        print("-", elem.fields["prefix"])
only = BGPStream(from_time=1, until_time=2, filter="elemtype announcements")
for elem in only:
    if elem.type != "A":
        continue
    if elem.type == "R" or elem.type == "A":
        print(elem.fields["prefix"])
""",
    "types that were dealt with before": """
for elem in stream:
    if elem.type != "A":
        continue
    if elem.type == "W":  #! impossible-type
        print("never")
""",
    "withdrawals that are skipped": """
for elem in stream:
    path = elem.fields.get("as-path")
    if not path:
        continue
    if elem.type == "A":
        print("+")
    elif elem.type == "W":  #! withdrawals-skipped
        print("-")
""",
    "withdrawals that are skipped by their fields": """
for elem in stream:
    if "as-path" not in elem.fields:
        continue
    if elem.type == "W":  #! withdrawals-skipped
        print("-")
""",
    "withdrawals that are skipped by an exception": """
for elem in stream:
    try:
        path = elem.fields["as-path"].split()
    except KeyError:
        continue
    print("-" if elem.type == "W" else "+")  #! withdrawals-skipped
""",
    "withdrawals that are skipped and counted": """
from collections import Counter
counts = Counter()
for elem in stream:
    hops = elem.fields.get("as-path", "").split()
    if not hops:
        continue
    counts[elem.type] += 1  #! withdrawals-skipped
print(counts["A"], counts["W"])
""",
    "withdrawals that are counted first": """
for elem in stream:
    if elem.type == "W":
        print("-")
    path = elem.fields.get("as-path")
    if not path:
        continue
    if elem.type == "A":
        print("+", path)
""",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_names(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)


@pytest.mark.parametrize("text", CHECKED.values(), ids=CHECKED)
def test_fields_need_a_check(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)


@pytest.mark.parametrize("text", TYPES.values(), ids=TYPES)
def test_types(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        ("elem.prefix", 'elem.fields["prefix"]'),
        ("elem.nexthop", 'elem.fields["next-hop"]'),
        ("elem['as_path']", 'elem.fields["as-path"]'),
        ("elem.timestamp", "elem.time"),
        ("elem.peer_as", "elem.peer_asn"),
        ("elem.fields.get('as_path')", 'elem.fields["as-path"]'),
        ("elem.fields.get('time')", "elem.time"),
        ("elem.fields.get('peer-asn')", "elem.peer_asn"),
        ("elem.type == 'withdrawal'", 'elem.type == "W"'),
        ("elem.colector", "elem.collector"),
    ],
)
def test_the_right_form_is_the_one_that_was_meant(expression: str, right: str) -> None:
    program = f"import pybgpstream\nfor elem in pybgpstream.BGPStream(1, 2):\n    x = {expression}\n"
    assert [finding.right for finding in lint_program(program)] == [right]
