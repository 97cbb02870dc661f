"""What a stream selects: constructor, window, interfaces, filters."""

from collections.abc import Callable

import pytest

from seedtune.domains.bgp.lint import lint_program

HEAD = "from pybgpstream import BGPStream\n"

CONSTRUCTOR = {
    "a string is no list": """
BGPStream(from_time=1, until_time=2, collectors="rrc00")  #! string-for-list
BGPStream(from_time=1, until_time=2, projects="ris", record_types="ribs")  #! string-for-list
names = "rrc00,rrc06"
BGPStream(from_time=1, until_time=2, collectors=names)  #! string-for-list
BGPStream(from_time=1, until_time=2, collectors=f"rrc{1}")  #! string-for-list
BGPStream(from_time=1, until_time=2, collectors=names.split(","))
BGPStream(from_time=1, until_time=2, collectors=["rrc00", "rrc06"], projects=("ris",))
BGPStream(from_time=1, until_time=2, collectors=open("names").read().split())
""",
    "a list is no string": """
BGPStream(from_time=1, until_time=2, collector=["rrc00"])  #! list-for-string
BGPStream(from_time=1, until_time=2, record_type=["updates"], filter=["peer 1"])  #! list-for-string
BGPStream(from_time=1, until_time=2, collector=5)  #! list-for-string
BGPStream(from_time=1, until_time=2, collector="rrc00", record_type="updates", filter="peer 1")
""",
    "arguments that do not exist": """
BGPStream(start_time=1, until_time=2)  #! unknown-argument
BGPStream(from_time=1, until_time=2, filters="peer 1")  #! unknown-argument
BGPStream(1, 2, "singlefile", "ris", ["ris"], "rrc00", ["rrc00"], "ribs", ["ribs"], "peer 1", 5)  #! unknown-argument
options = {"from_time": 1, "until_time": 2, "colector": "rrc00"}  #!
BGPStream(**options)  #! unknown-argument
def make(**more):
    return BGPStream(from_time=1, until_time=2, **more)
make(
    collector="rrc00",
    peers=[1],  #! unknown-argument
)
BGPStream(**open("config"))
""".replace("  #!\n", "\n"),
    "collectors that were never published": """
BGPStream(from_time=1, until_time=2, collectors=["rrc00", "rrc99"])  #! unknown-collector
BGPStream(from_time=1, until_time=2, collector="RRC00")  #! unknown-collector
BGPStream(from_time=1, until_time=2, collector="rrc00,rrc06")  #! unknown-collector
BGPStream(from_time=1, until_time=2, filter="collector route-views.oregon")  #! unknown-collector
stream = BGPStream(from_time=1, until_time=2)
stream.add_filter("collector", "routeviews2")  #! unknown-collector
BGPStream(from_time=1, until_time=2, collectors=["rrc26", "route-views2", "route-views.sg", "pacwave.lax"])
BGPStream(data_interface="csvfile", collectors=["lab"], project="mine")
BGPStream(from_time=1, until_time=2, data_interface=open("x").read(), collectors=["lab"])
BGPStream(from_time=1, until_time=2, collectors=["rrc%02d" % number for number in range(3)])
""",
    "projects": """
BGPStream(from_time=1, until_time=2, project="route-views")  #! unknown-project
BGPStream(from_time=1, until_time=2, projects=["ris", "ripe"])  #! unknown-project
BGPStream(from_time=1, until_time=2, filter="project ripe-ris")  #! unknown-project
BGPStream(from_time=1, until_time=2, projects=["ris", "routeviews"])
BGPStream(project="ris-live")
BGPStream(project="routeviews-stream", filter="router amsix")
""",
    "record types": """
BGPStream(from_time=1, until_time=2, record_type="update")  #! record-type
BGPStream(from_time=1, until_time=2, record_types=["rib", "updates"])  #! record-type
kind = "announcements"
BGPStream(from_time=1, until_time=2, record_type=kind)  #! record-type
BGPStream(from_time=1, until_time=2, record_types=["ribs", "updates"])
""",
    "the list of the caller grows": """
names = ["rrc00"]
BGPStream(from_time=1, until_time=2, collectors=names, collector="rrc06")  #! changed-list
BGPStream(from_time=1, until_time=2, collectors=["rrc00"], collector="rrc06")
""",
    "singlefile ignores the selection": """
stream = BGPStream(data_interface="singlefile", collector="rrc00", record_type="updates")  #! ignored-selection
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
print(sum(1 for elem in stream))
""",
}

WINDOW = {
    "classes of times": """
from datetime import datetime, timedelta, timezone
import datetime as dt
import time
start = datetime(2024, 3, 1)
BGPStream(from_time=start, until_time=start + timedelta(minutes=5))  #! time-type
BGPStream(from_time=dt.datetime.utcnow() - dt.timedelta(hours=1), until_time=1)  #! time-type
BGPStream(from_time=1709251200.0, until_time=time.time())  #! time-type
BGPStream(from_time=time.time() - 3600, until_time=2)  #! time-type
BGPStream(from_time=start.timestamp(), until_time=2)  #! time-type
stream = BGPStream(from_time=1, until_time=2)
stream.add_interval_filter("2024-03-01", "2024-03-02")  #! time-type
BGPStream(from_time=int(start.timestamp()), until_time=int(time.time()))
BGPStream(from_time=start.strftime("%Y-%m-%d %H:%M:%S"), until_time=str(start + timedelta(minutes=5)))
BGPStream(from_time=1709251200, until_time="1709251500")
BGPStream(from_time=datetime.now(timezone.utc).isoformat(), until_time=start.isoformat())
""",
    "zones": """
from datetime import datetime, timedelta, timezone
BGPStream(from_time="2024-03-01T09:00:00+09:00", until_time=1999999999)  #! time-zone
BGPStream(from_time="2024-03-01 09:00:00 EST", until_time=1999999999)  #! time-zone
KST = timezone(timedelta(hours=9))
BGPStream(from_time=datetime(2024, 3, 1, 9, tzinfo=KST).isoformat(), until_time=1999999999)  #! time-zone
BGPStream(from_time="2024-03-01 00:00:00 UTC", until_time="2024-03-01T00:05:00Z")
BGPStream(from_time="2024-03-01T00:00:00+00:00", until_time="2024-03-01 00:05")
BGPStream(from_time=datetime(2024, 3, 1, tzinfo=timezone.utc).isoformat(), until_time=1999999999)
""",
    "dates": """
BGPStream(from_time="yesterday", until_time=1999999999)  #! invalid-time
BGPStream(from_time="2024-02-30", until_time=1999999999)  #! invalid-time
BGPStream(from_time=20240301, until_time="202403010005")  #! invalid-time
BGPStream(from_time=1709251200000, until_time=1709251500000)  #! invalid-time
stream = BGPStream(from_time="2024-03-01", until_time="1 March 2024 10:00")
stream.add_recent_interval_filter("one hour", False)  #! invalid-time
stream.add_recent_interval_filter("1 h", False)
""",
    "order": """
BGPStream(from_time="2024-03-02", until_time="2024-03-01")  #! window-order
BGPStream(from_time=1709251500, until_time="2024-03-01 00:00:00")  #! window-order
BGPStream(from_time=1709251200, until_time="2024-03-01 00:00:00")
""",
}

ENDLESS = {
    "an open window and no way out": """
stream = BGPStream(from_time=1)  #! endless-stream
for elem in stream:
    print(elem)
print("done")
""",
    "no window at all": """
stream = BGPStream()  #! endless-stream
stream.set_data_interface("singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "updates.mrt")
print(sum(1 for elem in stream))
""",
    "asked for, and counted": """
stream = BGPStream(project="ris-live")  #! endless-stream
print(sum(1 for elem in stream))
""",
    "asked for by a window that ends at 0": """
stream = BGPStream(from_time=1, until_time=0)  #! endless-stream
for elem in stream:
    pass
print("never")
""",
    "asked for, and printed as it comes": """
stream = BGPStream(project="ris-live")
for elem in stream:
    print(elem)
""",
    "asked for in the filter": """
for elem in BGPStream(filter="project ris-live and peer 3356"):
    print(elem)
""",
    "a break leaves it": """
stream = BGPStream(from_time=1)
for number, elem in enumerate(stream):
    if number > 1000:
        break
print("done")
""",
    "a return leaves it": """
def watch():
    stream = BGPStream(from_time=1)
    for record in stream.records():
        for elem in record:
            if elem.type == "S":
                return elem.time
print(watch())
""",
    "a break of the inner loop does not": """
stream = BGPStream(from_time=1)  #! endless-stream
for record in stream.records():
    for elem in record:
        break
print("never")
""",
    "Ctrl-C is reckoned with": """
stream = BGPStream(from_time=1)
try:
    for elem in stream:
        print(elem)
except KeyboardInterrupt:
    print("done")
""",
    "islice takes some": """
from itertools import islice
stream = BGPStream(from_time=1)
for elem in islice(stream, 10):
    print(elem)
print(next(elem.type for elem in stream))
""",
    "a window set afterwards": """
stream = BGPStream()
stream.add_interval_filter(1, 2)
print(sum(1 for elem in stream))
""",
    "a window that is not known": """
import sys
def read(**options):
    return sum(1 for elem in BGPStream(**options))
read(**sys.modules)
print(sum(1 for elem in BGPStream(from_time=1, until_time=sys.argv[1])))
""",
    "an end that was meant to be none": """
print(sum(1 for elem in BGPStream(from_time=1, until_time=None)))  #! endless-stream
""",
}

INTERFACE = {
    "interfaces": """
BGPStream(data_interface="single-file")  #! data-interface
stream = BGPStream(from_time=1, until_time=2)
stream.set_data_interface("csv")  #! data-interface
stream.set_data_interface_option("singlefiles", "upd_file", "x")  #! data-interface interface-option
stream.set_data_interface("csvfile")
""",
    "options": """
stream = BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd_file", "x")  #! interface-option
stream.set_data_interface_option("csvfile", "csv_file", "x")  #! interface-option
stream.set_data_interface_option("singlefile", "upd-type", "pcap")  #! interface-option
stream.set_data_interface_option("upd-file", "x")  #! interface-option
stream.set_data_interface_option("singlefile", "upd-type", "mrt")
stream.set_data_interface_option("broker", "url", "http://127.0.0.1")
""",
    "an option that is missing": """
print(sum(1 for elem in BGPStream(data_interface="singlefile")))  #! missing-option
stream = BGPStream(data_interface="csvfile")  #! missing-option
stream.start()
def open_file(path, kind):
    stream = BGPStream(data_interface="singlefile")
    stream.set_data_interface_option("singlefile", kind, path)
    return stream
print(sum(1 for elem in open_file("x", "upd-file")))
""",
    "an option of another interface": """
stream = BGPStream(from_time=1, until_time=2)
stream.set_data_interface_option("singlefile", "upd-file", "x")  #! unused-option
for elem in stream:
    print(elem)
""",
    "until_time alone": """
stream = BGPStream(until_time=2, data_interface="csvfile")  #! csv-window
stream.set_data_interface_option("csvfile", "csv-file", "index.csv")
print(sum(1 for elem in stream))
other = BGPStream(until_time=2, data_interface="singlefile")
other.set_data_interface_option("singlefile", "upd-file", "x")
print(sum(1 for elem in other))
""",
    "too late": """
stream = BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", "x")
for elem in stream:
    stream.add_filter("peer-asn", "64496")
    stream.set_data_interface_option("singlefile", "upd-file", "y")  #! late-option
stream.set_live_mode()  #! late-option
""",
}

FILTERS = {
    "strings": """
BGPStream(from_time=1, until_time=2, filter="peer 1 or peer 2")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="peer 1 AND ipversion 4")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="prefix-more 10.0.0.0/8")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="communities 1:*")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="")  #! filter-string
stream = BGPStream(from_time=1, until_time=2)
stream.parse_filter_string("elemtype announcement")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="peer 1 2 and prefix exact 10.0.0.0/8 and path \\"_3356_\\" and path _1_")
BGPStream(from_time=1, until_time=2, filter=open("x").read())
BGPStream(from_time=1, until_time=2, filter=None)
""",
    "strings put together": """
import sys
asn, prefixes = sys.argv[1], sys.argv[2:]
BGPStream(from_time=1, until_time=2, filter=f"peer {asn} or peer 2")  #! filter-string
BGPStream(from_time=1, until_time=2, filter="prefix-more %s" % asn)  #! filter-string
BGPStream(from_time=1, until_time=2, filter="elemtype announcement and peer {}".format(asn))  #! filter-string
BGPStream(from_time=1, until_time=2, filter="communities " + asn + ":*")  #! filter-string
BGPStream(from_time=1, until_time=2, filter=" or ".join(["peer 1", "peer 2"]))  #! filter-string
BGPStream(from_time=1, until_time=2, filter=f"peer {asn} and prefix exact {' '.join(prefixes)}")
BGPStream(from_time=1, until_time=2, filter=f"path _{asn}_ {sys.argv[3]}")
BGPStream(from_time=1, until_time=2, filter=" and ".join(prefixes))
BGPStream(from_time=1, until_time=2, filter="collector " + asn + ' and path "_%s_"' % asn)
""",
    "add_filter": """
stream = BGPStream(from_time=1, until_time=2)
stream.add_filter("origin", "3356")  #! filter-type
stream.add_filter("as-path", "_3356_")  #! filter-type
stream.add_filter("peer", "3356")  #! filter-type
stream.add_filter("peer-asn", 3356)  #! filter-value
stream.add_filter("peer-asn", "AS3356")  #! filter-value
stream.add_filter("peer-asn", ["1", "2"])  #! filter-value
stream.add_filter("prefix", "10.0.0.0")  #! filter-value
stream.add_filter("elemtype", "A")  #! filter-value
stream.add_filter("record-type", "update")  #! filter-value
stream.add_filter("community", "70000:1")  #! filter-value
stream.add_filter("peer 3356")  #! filter-value
stream.add_filter("peer-asn", "3356")
stream.add_filter("prefix-exact", "10.0.0.1/8")
stream.add_filter("aspath", '_3356_')
for prefix in open("prefixes"):
    stream.add_filter("prefix-more", prefix)
""",
    "numbers without borders": """
BGPStream(from_time=1, until_time=2, filter="path 3356")  #! path-substring
BGPStream(from_time=1, until_time=2, filter='path "3356$"')  #! path-substring
BGPStream(from_time=1, until_time=2, filter='path "^3356"')  #! path-substring
stream = BGPStream(from_time=1, until_time=2)
stream.add_filter("aspath", ".*3356.*")  #! path-substring
BGPStream(from_time=1, until_time=2, filter='path "_3356_" and path "^174_" and path "_1299$" and path "^3356$"')
""",
    "expressions of another dialect": r"""
BGPStream(from_time=1, until_time=2, filter=r'path "_\d+_3356_"')  #! path-expression
BGPStream(from_time=1, until_time=2, filter='path "[0-9]{5}"')  #! path-expression
BGPStream(from_time=1, until_time=2, filter='path "{27867}$"')
BGPStream(from_time=1, until_time=2, filter=r'path "_([0-9]+)_\1_"')
""",
    "the last version counts": """
BGPStream(from_time=1, until_time=2, filter="ipversion 4 6")  #! filter-last-wins
stream = BGPStream(from_time=1, until_time=2, filter="ipversion 4")
stream.add_filter("ipversion", "6")  #! filter-last-wins
BGPStream(from_time=1, until_time=2, filter="ipversion 6 and elemtype announcements")
""",
    "nothing can pass": """
BGPStream(from_time=1, until_time=2, filter='elemtype withdrawals and path "_3356_"')  #! filter-contradiction
stream = BGPStream(from_time=1, until_time=2, filter="elemtype peerstates")
stream.add_filter("prefix", "10.0.0.0/8")  #! filter-contradiction
BGPStream(from_time=1, until_time=2, filter="elemtype withdrawals announcements and path _3356_")
""",
}


@pytest.mark.parametrize("text", [*CONSTRUCTOR.values(), *WINDOW.values()], ids=[*CONSTRUCTOR, *WINDOW])
def test_constructor_and_window(text: str, check: Callable[[str], None]) -> None:
    check(text)


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_streams_without_end(text: str, check: Callable[[str], None]) -> None:
    check(text)


@pytest.mark.parametrize("text", INTERFACE.values(), ids=INTERFACE)
def test_data_interfaces(text: str, check: Callable[[str], None]) -> None:
    check(text)


@pytest.mark.parametrize("text", FILTERS.values(), ids=FILTERS)
def test_filters(text: str, check: Callable[[str], None]) -> None:
    check(text)


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ('collectors="rrc00, rrc06"', 'collectors=["rrc00", "rrc06"]'),
        ('filter="peer 286 or peer 13237"', "filter='peer 286 13237'"),
        ('filter="peer 286 AND ipversion 4"', "filter='peer 286 and ipversion 4'"),
        ('filter="prefix-more 193.0.0.0/8"', "filter='prefix more 193.0.0.0/8'"),
        ('filter="peer AS286 and type update"', "filter='peer 286 and type updates'"),
        ('filter="elemtype announcement"', "filter='elemtype announcements'"),
        ('filter="peer 286\\nand ipversion 4"', "filter='peer 286 and ipversion 4'"),
        ('collector="rrc0"', '"rrc00"'),
        ('collector="RouteViews2"', '"route-views2"'),
        ('project="RouteViews"', 'project="routeviews"'),
        ('record_type="announcements"', 'filter="elemtype announcements"'),
        ("start_time=5", "from_time=..."),
        ("end=5", "until_time=..."),
        ("recordtype='ribs'", "record_type=..."),
    ],
)
def test_the_right_form_is_the_one_that_was_meant(call: str, right: str) -> None:
    findings = lint_program(f"{HEAD}stream = BGPStream(from_time=1, until_time=2, {call})\n")
    assert [finding.right for finding in findings] == [right]


def test_a_collector_that_may_be_newer_than_the_list_is_a_warning() -> None:
    levels = [
        finding.level
        for name in ("rrc99", "newix.lhr")
        for finding in lint_program(f'{HEAD}BGPStream(from_time=1, until_time=2, collector="{name}")\n')
    ]
    assert levels == ["error", "warning"]
