"""What the values are: AS paths, communities, numbers and states. ``elem`` is an announcement."""

from collections.abc import Callable
from textwrap import indent

import pytest

BODIES = {
    "communities are no pairs": """
for asn, value in elem.fields["communities"]:  #! community-pair
    print(asn, value)
for community in elem.fields["communities"]:
    asn, value = community  #! community-pair
    parts = community[0], community["asn"]  #! community-pair
    asn = community.asn  #! community-pair
print([(c[0], c[1]) for c in elem.fields["communities"]])  #! community-pair
print({a: b for a, b in elem.fields["communities"]})  #! community-pair
print(elem.fields["communities"][0])  #! community-pair
""",
    "members are text": """
if (65535, 666) in elem.fields["communities"]:  #! community-pair
    print("never")
if 666 in elem.fields["communities"] or "blackhole" in elem.fields["communities"]:  #! community-pair
    print("never")
wanted = elem.fields["communities"] & {(65535, 666)}  #! community-pair
if any(community == (65535, 666) for community in elem.fields["communities"]):  #! community-pair
    print("never")
tags = elem.fields["communities"].split(" ")  #! community-pair
""",
    "communities as they are": """
communities = elem.fields.get("communities", set())
for community in communities:
    asn, value = community.split(":")
    print(asn == "64500", int(value) > 5, community[:6] == "65535:", community.startswith("65535:"))
    head, _, tail = community.partition(":")
    print(int(community.split(":")[0]), head, tail)
if "65535:666" in communities and {"65535:666"} <= communities:
    print(sorted(communities)[0], len(communities), max(communities))
print({int(c.split(":")[1]) for c in communities} | {5}, [c for c in sorted(communities)])
pairs = [tuple(map(int, c.split(":"))) for c in communities]
for asn, value in pairs:
    print(asn, value)
""",
    "the order of a set": """
print(elem.fields["communities"])  #! communities-order
print(" ".join(elem.fields["communities"]))  #! communities-order
print(f"{elem.fields['communities']}", "%s" % elem.fields["communities"])  #! communities-order
row = "{} {}".format(elem.time, elem.fields["communities"])  #! communities-order
text = ",".join(list(elem.fields["communities"]))  #! communities-order
first = next(iter(elem.fields["communities"]))  #! communities-order
print(*elem.fields["communities"])  #! communities-order
for community in elem.fields["communities"]:
    print(community)  #! communities-order
for community in sorted(elem.fields["communities"]):
    print(community)
print(*sorted(elem.fields["communities"]), " ".join(sorted(elem.fields["communities"])))
""",
    "an AS path is text": """
path = elem.fields["as-path"]
origin = path[-1]  #! path-not-split
print(len(path))  #! path-not-split
for asn in path:  #! path-not-split
    print(asn)
unique = set(path)  #! path-not-split
hops = path.split(",")  #! path-not-split
first = elem.fields["as-path"][0]  #! path-not-split
print(path.append("1"))  #! path-not-split
""",
    "an AS path in words": """
path = elem.fields["as-path"]
hops = path.split(" ")
print(hops[0], hops[-1], len(hops), len(set(hops)), path[:40], len(path) > 0, len(path) == 0)
for asn in path.split():
    print(asn)
print("3356" in hops, hops.count("3356"), path == "", path.endswith(" 3356"))
""",
    "digits inside longer numbers": """
path = elem.fields["as-path"]
if "174" in path:  #! path-substring
    print(path.endswith("174"))  #! path-substring
import re
print(re.search("174", path))  #! path-substring
print(" 174 " in path, re.search(r"\\b174\\b", path), "174" in path.split(), "{" in path)
""",
    "ints and text": """
hops = elem.fields["as-path"].split()
print(hops[0] == elem.peer_asn)  #! int-and-str
print(hops[-1] == 3356, 3356 in hops)  #! int-and-str
print(elem.peer_asn == "3356", elem.peer_asn in ("1", "2"))  #! int-and-str
print(3356 in elem.fields["as-path"])  #! int-and-str
BAD = {64500, 64501}
EXPECTED = {"10.0.0.0/8": 64500}
if hops[-1] in BAD:  #! int-and-str
    print("never")
if hops[-1] != EXPECTED.get(elem.fields["prefix"]):  #! int-and-str
    print("always")
for community in elem.fields["communities"]:
    asn, value = community.split(":")
    if asn == 64500:  #! int-and-str
        print("never")
print(hops.index(3356))  #! int-and-str
""",
    "ints with ints, text with text": """
hops = elem.fields["as-path"].split()
NAMES = {"64500": "A", "64501": "B"}
PEERS = {64500: "A"}
print(hops[0] == str(elem.peer_asn), "3356" in hops, elem.peer_asn == 3356, elem.peer_asn in PEERS)
if hops[-1].isdigit() and int(hops[-1]) in {64500}:
    print(NAMES.get(hops[-1]), hops[-1] in NAMES)
origin = hops[-1] if hops else str(elem.peer_asn)
print(origin == "64500", hops == [], elem.peer_asn in {int(hop) for hop in hops if hop.isdigit()})
""",
    "names that change their class": """
last = 0
for hop in elem.fields["as-path"].split():
    if hop != last:
        print(hop)
    last = hop
""",
    "words of states and records": """
if elem.record_type == "updates" or elem.record.status == "ok":  #! record-value
    print("never")
print(elem.record.type in ("rib", "update"), elem.record.status != "valid", elem.record_type == "update")
print(elem.record.status in ("corrupted-record", "filtered-source"))
""",
    "JSON has no sets": """
import json
print(json.dumps({"communities": elem.fields["communities"]}))  #! set-not-json
print(json.dumps(elem.fields))  #! set-not-json
row = {"prefix": elem.fields["prefix"], "tags": elem.fields["communities"]}
rows = [row]
json.dump(rows, open("x", "w"))  #! set-not-json
print(json.dumps({"communities": sorted(elem.fields["communities"])}))
print(json.dumps({"t": elem.time, **elem.fields}), {**elem.fields})  #! set-not-json
print(json.dumps({"communities": [], **elem.fields}))  #! set-not-json
print(json.dumps({**elem.fields, "communities": sorted(elem.fields["communities"])}))
print(json.dumps({**elem.fields, **changes}), json.dumps({**elem.fields, key: []}))
print(json.dumps(elem.fields, default=list), json.dumps({"prefix": elem.fields["prefix"]}))
""",
}

PROGRAMS = {
    "an AS_SET is no number": """
for elem in stream:
    if elem.type == "A":
        hops = elem.fields["as-path"].split()
        origin = int(hops[-1])  #! as-set
        numbers = [int(hop) for hop in hops]  #! as-set
        others = list(map(int, hops))  #! as-set
""",
    "attributes that change their class": """
class Watcher:
    def __init__(self):
        self.last = 0
    def see(self, hop):
        global newest
        if hop != self.last and hop != newest:
            print(hop)
        self.last = newest = hop
newest = 0
watcher = Watcher()
for elem in stream:
    if elem.type == "A":
        watcher.see(elem.fields["as-path"].split()[0])
""",
    "a set that was replaced": """
import json
for elem in stream:
    if elem.type == "A":
        fields = dict(elem.fields)
        fields["communities"] = sorted(fields["communities"])
        print(json.dumps(fields), fields["communities"][0])
""",
    "a set that was taken out": """
import json
for elem in stream:
    if elem.type == "A":
        fields = dict(elem.fields)
        fields.pop("communities")
        print(json.dumps(fields))
""",
    "a set that was updated": """
import json
for elem in stream:
    if elem.type == "A":
        row = {**elem.fields}
        row.update(communities=sorted(row["communities"]))
        print(json.dumps(row))
""",
    "an AS_SET that is reckoned with": """
for elem in stream:
    if elem.type == "A":
        hops = elem.fields["as-path"].split()
        try:
            origin = int(hops[-1])
        except ValueError:
            continue
""",
    "states": """
for elem in stream:
    if elem.type == "S":
        if elem.fields["new-state"] == "Established":  #! state-value
            print("never")
        if elem.fields["old-state"] in ("OPEN_SENT", "IDLE"):  #! state-value
            print("half")
        print(elem.fields["new-state"] != "ESTABLISHED", elem.fields["old-state"] == "OPENSENT")
""",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_values(body: str, check_updates: Callable[[str], None]) -> None:
    check_updates('for elem in stream:\n    if elem.type == "A":\n' + indent(body, " " * 8))


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_values_of_programs(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)
