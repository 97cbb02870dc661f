"""Whole programs with the faults that language models write most, each with all that is wrong marked."""

from collections.abc import Callable

import pytest

PROGRAMS = {
    "MED statistics": """
from collections import defaultdict

stream = pybgpstream.BGPStream(
    from_time="2024-03-01 00:00:00", until_time="2024-03-01 00:10:00", collectors=["rrc00"], record_type="updates"
)
med_values = defaultdict(list)
for rec in stream.records():
    for elem in rec:
        if elem.type == "A":
            med = elem.fields.get("med")  #! unknown-field
            if med is not None:
                med_values[elem.fields["prefix"]].append(int(med))
for prefix, values in med_values.items():
    print(prefix, sum(values) / len(values))
""",
    "two collectors in one string": """
stream = pybgpstream.BGPStream(
    from_time="2024-03-01 00:00:00",
    until_time="2024-03-01 00:05:00",
    collectors="rrc00,route-views2",  #! string-for-list
    record_type="update",  #! record-type
)
count = 0
for elem in stream:
    count += 1
print(f"{count} elements")
""",
    "communities as pairs": """
from collections import Counter

stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-01 00:05:00", collectors=["rrc00"])
counts = Counter()
for elem in stream:
    if elem.type == "A" and "communities" in elem.fields:
        for community in elem.fields["communities"]:
            asn, value = community  #! community-pair
            counts[f"{asn}:{value}"] += 1
        if (65535, 666) in elem.fields["communities"]:  #! community-pair
            print("blackhole", elem.fields["prefix"])
print(counts.most_common(10))
""",
    "version 1": """
from _pybgpstream import BGPStream, BGPRecord, BGPElem  #! version-1

stream = BGPStream()
rec = BGPRecord()  #! version-1
stream.add_filter('collector', 'rrc11')
stream.add_filter('record-type', 'updates')
stream.add_interval_filter(1438417216, 1438417316)
stream.start()
while stream.get_next_record(rec):  #! version-1
    if rec.status == "valid":
        elem = rec.get_next_elem()
        while elem:
            print(elem.time, elem.type, elem.peer_asn, elem.fields)  #! low-level-element
            elem = rec.get_next_elem()
""",
    "an element as an object with attributes": """
stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-01 00:05:00", collectors=["rrc00"])
for record in stream.records():
    for elem in record:
        print(elem.timestamp, elem.prefix)  #! unknown-attribute field-as-attribute
        for asn in elem.as_path.split():  #! field-as-attribute
            if asn == 3356:  #! int-and-str
                print("seen by", elem.peer_as)  #! unknown-attribute
""",
    "withdrawals that are never counted": """
from collections import defaultdict

stream = pybgpstream.BGPStream(
    from_time="2024-03-01 00:00:00", until_time="2024-03-01 00:10:00", collectors=["rrc00"], record_type="updates"
)
announcements, withdrawals = defaultdict(int), defaultdict(int)
for rec in stream.records():
    for elem in rec:
        fields = elem.fields
        prefix = fields.get("prefix")
        if prefix is None:
            continue
        as_path = fields.get("as-path", "").split()
        if len(as_path) == 0:
            continue
        if elem.type == "A":
            announcements[prefix] += 1
        elif elem.type == "W":  #! withdrawals-skipped
            withdrawals[prefix] += 1
print(sum(announcements.values()), sum(withdrawals.values()))
""",
    "a window of the last hour": """
from datetime import datetime, timedelta

end_time = datetime.utcnow()
start_time = end_time - timedelta(hours=1)
stream = pybgpstream.BGPStream(
    from_time=start_time,  #! time-type
    until_time=end_time,  #! time-type
    projects=["ripe-ris", "route-views"],  #! unknown-project
    filter="prefix-more 192.0.2.0/24 or prefix-more 198.51.100.0/24",  #! filter-string
)
for elem in stream:
    print(elem)
""",
    "collected first, sorted afterwards": """
stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-01 00:05:00", collectors=["rrc00"])
updates = []
for rec in stream.records():
    for elem in rec:
        if elem.type in ("A", "W"):
            updates.append(elem)  #! kept-element
updates.sort(key=lambda elem: elem.time)
for elem in updates:
    print(elem.time, elem.type, elem.fields["prefix"])
""",
    "one stream for several questions": """
TARGETS = {"192.0.2.0/24": 64500, "198.51.100.0/24": 64501}
stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-01 00:05:00", collectors=["rrc00"])
for prefix, origin in TARGETS.items():
    for elem in stream:  #! second-iteration
        if elem.type == "A" and elem.fields["prefix"] == prefix:
            path = elem.fields["as-path"]
            if path[-1] != origin:  #! path-not-split int-and-str
                print("hijack of", prefix, "by", path.split(" ")[-1])
""",
    "announcements in a RIB": """
stream = pybgpstream.BGPStream(
    from_time="2024-03-01 00:00:00", until_time="2024-03-01 00:00:59", collectors=["route-views.sg"], record_type="ribs"
)
prefixes = set()
for elem in stream:
    if elem.type == "A":  #! impossible-type
        prefixes.add(elem.fields["prefix"])
print(len(prefixes))
""",
    "errors that nobody sees": """
stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-01 00:05:00", collectors=["rrc00"])
paths = []
for elem in stream:
    try:
        paths.append(elem.fields["as_path"].split())  #! unknown-field
    except:  #! hidden-failure
        pass
print(len(paths))
""",
    "a detector class": """
class MoasDetector:
    def __init__(self, collectors):
        self.origins = {}
        self.stream = pybgpstream.BGPStream(
            from_time="2024-03-01", until_time="2024-03-02", collectors=collectors, record_type="updates"
        )

    def process(self, elem):
        path = elem.fields["as-path"]  #! unchecked-field
        origin = int(path.split()[-1])  #! as-set
        self.origins.setdefault(elem.prefix, set()).add(origin)  #! field-as-attribute

    def run(self):
        for elem in self.stream:
            self.process(elem)


if __name__ == "__main__":
    MoasDetector(["rrc00"]).run()
""",
    "a live monitor": """
stream = pybgpstream.BGPStream(project="ris-live", record_type="updates")  #! endless-stream
stream.set_data_interface("ris-live")  #! data-interface
stream.set_live_mode()
seen = {}
for elem in stream:
    seen[elem.fields["prefix"]] = elem.fields["communities"]  #! unchecked-prefix unchecked-field
print(len(seen))
""",
    "a gap detector": """
stream = pybgpstream.BGPStream(data_interface="singlefile", start_time=0)  #! unknown-argument
stream.set_data_interface_option("singlefile", "upd_file", "updates.mrt")  #! interface-option
previous = None
for elem in stream:
    if previous is not None and elem.time - previous.time > 60:  #! kept-element
        print("gap before", elem.time)
    previous = elem
""",
    "filters by method": """
stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-02", collectors=["rrc00"])
stream.add_filter("origin", "3333")  #! filter-type
stream.add_filter("peer-asn", 3356)  #! filter-value
stream.add_filter("elemtype", "announcement")  #! filter-value
for elem in stream:
    print(elem)
""",
    "one JSON object a line": """
import json

stream = pybgpstream.BGPStream(from_time="2024-03-01", until_time="2024-03-02", collectors=["rrc00"])
for elem in stream:
    if elem.type == "A":
        row = {"time": elem.time, "prefix": elem.fields["prefix"], "communities": elem.fields["communities"]}
        print(json.dumps(row))  #! set-not-json
""",
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_all_faults_of_a_program_are_found_and_nothing_else(text: str, check: Callable[[str], None]) -> None:
    check(text)
