"""Reading a stream: once, in turn, and without keeping what is only lent. ``stream`` gives A, W and S."""

from collections.abc import Callable

import pytest

ONCE = {
    "two loops": """
for elem in stream:
    print(elem.type)
for elem in stream:  #! second-iteration
    print(elem.time)
""",
    "two expressions": """
print(sum(1 for elem in stream if elem.type == "A"))
print(sum(1 for elem in stream if elem.type == "W"))  #! second-iteration
""",
    "records, then elements": """
count = len(list(stream.records()))
print(count, sum(1 for elem in stream))  #! second-iteration
""",
    "a loop inside a loop": """
for prefix in ("10.0.0.0/8", "11.0.0.0/8"):
    print(prefix, sum(1 for elem in stream))  #! second-iteration
""",
    "a function that is called twice": """
def count(source, kind):
    return sum(elem.type == kind for elem in source)  #! second-iteration
print(count(stream, "A"), count(stream, "W"))
""",
    "a generator that is used twice": """
routes = (elem.fields["prefix"] for elem in stream if elem.type == "A")
print(sum(1 for route in routes))
print(sorted(routes))  #! second-iteration
""",
    "a record": """
for record in stream.records():
    if sum(1 for elem in record) > 100:
        for elem in record:  #! second-iteration
            print(elem.time)
""",
    "a stream for each turn": """
for path in ("a.mrt", "b.mrt"):
    own = BGPStream(data_interface="singlefile")
    own.set_data_interface_option("singlefile", "upd-file", path)
    for elem in own:
        print(elem.time)
""",
    "breaking off and going on": """
for elem in stream:
    if elem.type == "S":
        break
for elem in stream:
    print(elem.time)
""",
    "one of two loops": """
import sys
if sys.argv[1:]:
    for elem in stream:
        print(elem.time)
else:
    for record in stream.records():
        print(record.time)
""",
    "a few at a time": """
records = stream.records()
first = [sum(1 for elem in next(records)) for _ in range(20)]
rest = [record.time for record in records]
""",
    "a live stream is taken up again": """
import time
live = BGPStream(project="ris-live")
while True:
    for elem in live:
        print(elem.time)
    time.sleep(1)
""",
}

KEPT = {
    "in a list": """
kept = list(stream)  #! kept-element
other = BGPStream(from_time=1, until_time=2)
tuple(other.records())  #! kept-record
third = BGPStream(from_time=1, until_time=2)
print(*third, [*third])  #! kept-element second-iteration
""",
    "by comprehension": """
kept = [elem for elem in stream if elem.type == "A"]  #! kept-element
other = BGPStream(from_time=1, until_time=2)
pairs = {elem.time: (elem.peer_asn, elem) for record in other.records() for elem in record}  #! kept-element
third = BGPStream(from_time=1, until_time=2)
records = [record for record in third.records() if record.status == "valid"]  #! kept-record
""",
    "by append and its like": """
from collections import defaultdict, deque
import heapq, queue
rows, window, seen, by_peer, work, latest = [], deque(maxlen=5), set(), defaultdict(list), queue.Queue(), {}
for elem in stream:
    rows.append(elem)  #! kept-element
    window.append((elem.time, elem))  #! kept-element
    seen.add(elem)  #! kept-element
    by_peer[elem.peer_asn].append(elem)  #! kept-element
    work.put(elem)  #! kept-element
    latest[elem.peer_asn] = elem  #! kept-element
    latest.setdefault(elem.peer_asn, elem)  #! kept-element
    heapq.heappush(rows, (elem.time, elem))  #! kept-element
    rows += [elem]  #! kept-element
    rows.insert(0, {"element": elem})  #! kept-element
""",
    "by sorting, comparing, counting": """
import collections
first = min(stream, key=lambda elem: elem.time)  #! kept-element
other = BGPStream(from_time=1, until_time=2)
for elem in sorted(other, key=lambda elem: elem.time):  #! kept-element
    print(elem.type)
""",
    "in a name for the next turn": """
previous = None
for elem in stream:
    if previous is not None and elem.time > previous.time:  #! kept-element
        print(elem.time - previous.time)
    previous = elem
""",
    # A record may have no elements, and then the name still holds one of the record before.
    "in the loop's own name, after the loop": """
for record in stream.records():
    for elem in record:
        pass
    print(elem.time)  #! kept-element
print(record.time)  #! kept-record
""",
    "by an attribute, for later": """
class Monitor:
    def __init__(self):
        self.last = None
    def run(self, source):
        for elem in source:
            if self.last is not None:
                print(self.last.time)  #! kept-element
            self.last = elem
Monitor().run(stream)
""",
    "past its stream": """
def first(path):
    own = BGPStream(data_interface="singlefile")
    own.set_data_interface_option("singlefile", "upd-file", path)
    for elem in own:
        return elem  #! kept-element
record = next(BGPStream(from_time=1, until_time=2).records())
print(record.time)  #! kept-record
""",
    "by the caller of a generator": """
def announcements():
    for elem in stream:
        if elem.type == "A":
            yield elem
kept = list(announcements())  #! kept-element
""",
    "by a generator that nothing here reads": """
def announcements():
    for elem in stream:
        if elem.type == "A":
            yield elem  #! escaping-element
""",
    "by a worker": """
import threading
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor()
for elem in stream:
    pool.submit(print, elem)  #! kept-element
    threading.Thread(target=print, args=(elem,)).start()  #! kept-element
""",
    "not by counting them": """
print(len(list(stream)))
""",
    "not in a row of its values": """
def rows():
    for record in stream.records():
        for elem in record:
            yield elem.type, elem.time, dict(elem.fields)
for kind, moment, fields in rows():
    if kind not in ("A", "W"):
        continue
    print(fields["prefix"])
    if kind == "W":
        print(fields["as-path"])  #! unchecked-field
row = [1.0, {"time": 5}]
row.append("x")
print(row[1]["time"])
""",
    "not if it is used at once": """
from itertools import chain, islice, takewhile
def show(elem):
    print(elem.type, elem.fields)
def announcements(source):
    for elem in source:
        if elem.type == "A":
            yield elem
for elem in announcements(stream):
    current = elem
    show(current)
    print(*(part for part in (elem.type, elem.time)))
other = BGPStream(from_time=1, until_time=2)
for number, elem in enumerate(takewhile(lambda elem: elem.time < 5, chain(other))):
    print(number, elem.type)
""",
    "not by copying at once": """
rows = [(elem.type, elem.time, dict(elem.fields)) for elem in stream]
print(rows[0][2]["prefix"])
for kind, moment, fields in rows:
    if kind == "A":
        print(fields["as-path"])
other = BGPStream(from_time=1, until_time=2)
kept = []
for elem in other:
    kept.append(elem.fields)
    kept.append({"time": elem.time, **elem.fields})
    kept.append(str(elem))
""",
    "not the element that a break leaves": """
for elem in stream:
    if elem.type == "S":
        break
print(elem.time)
""",
}

STYLE = {
    "version 1": """
from pybgpstream import BGPRecord
record = BGPRecord()  #! version-1
stream.start()
while stream.get_next_record(record):  #! version-1
    elem = record.get_next_elem()
    while elem:
        print(elem.type, elem.time, elem.collector)  #! low-level-element
        elem = record.get_next_elem()
""",
    "the module of version 1": """
from _pybgpstream import BGPStream as Low  #! version-1
import _pybgpstream  #! version-1
import pybgpstream.core  #! version-1
""",
    "names that the module lacks": """
from pybgpstream import BGPReader  #! unknown-name
pybgpstream.BGPStreams()  #! unknown-name
print(pybgpstream.__backend__, pybgpstream.BGPElem)
""",
    "the low-level style": """
stream.start()
while True:
    record = stream.get_next_record()
    if record is None:
        break
    while (elem := record.get_next_elem()) is not None:
        print(record.time, elem.type, elem.peer_asn, elem.fields)
""",
    "low-level records are not iterable": """
stream.start()
record = stream.get_next_record()
for elem in record:  #! not-a-sequence
    print(elem.type)
""",
    "not started": """
record = stream.get_next_record()  #! not-started
""",
    "started twice": """
stream.start()
stream.start()  #! started-twice
""",
    "started and iterated": """
stream.start()
for elem in stream:  #! started-twice
    print(elem.type)
""",
    "no sequence": """
print(len(stream), stream[0], next(stream))  #! not-a-sequence
for record in stream.records:  #! not-a-sequence
    pass
for record in stream.records():
    print(len(record), record[0])  #! not-a-sequence
    for elem in record:
        prefix, path = elem  #! not-a-sequence
if len(stream) > 0:  #! not-a-sequence
    print("something")
with stream as opened:  #! unknown-attribute
    print("never")
""",
    "a context manager of the program": """
from contextlib import contextmanager
@contextmanager
def open_file(path):
    own = BGPStream(data_interface="singlefile")
    own.set_data_interface_option("singlefile", "upd-file", path)
    yield own
with open_file("updates.mrt") as opened:
    for elem in opened:
        print(elem.prefix)  #! field-as-attribute
""",
    "every error passed over": """
for elem in stream:
    try:
        print(elem.fields["prefix"])
    except:  #! hidden-failure
        pass
try:
    other = BGPStream(from_time=1, until_time=2)
    for elem in other:
        print(elem.type)
except Exception:  #! hidden-failure
    ...
""",
    "errors that are expected, or shown": """
for elem in stream:
    try:
        print(elem.fields["prefix"])
    except KeyError:
        pass
    except Exception as error:
        print(error)
try:
    import numpy
except Exception:
    pass
""",
}


@pytest.mark.parametrize("text", ONCE.values(), ids=ONCE)
def test_a_stream_is_read_once(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_elements_and_records_are_kept(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)


@pytest.mark.parametrize("text", STYLE.values(), ids=STYLE)
def test_ways_of_reading(text: str, check_updates: Callable[[str], None]) -> None:
    check_updates(text)
