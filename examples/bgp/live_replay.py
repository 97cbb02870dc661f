"""Watch a prefix live: say when another AS than its own announces it or a part of it, and when that is over.

    live_replay.py PREFIX ORIGIN

With the real library this watches RIS Live. 'seedtune bgp run --replay' shows it a local archive as if it came in now.
"""

import sys
import time

import pybgpstream

watched, owner = sys.argv[1:]
stream = pybgpstream.BGPStream(project="ris-live", filter=f"prefix more {watched}")

wrong = {}  # (peer, prefix) -> the path that does not end at the owner


def clock(seconds):
    """The time of day in UTC."""
    return time.strftime("%H:%M:%S", time.gmtime(seconds))


for elem in stream:
    prefix = elem.fields["prefix"]
    route = (elem.peer_address, prefix)
    path = elem.fields["as-path"] if elem.type == "A" else ""
    lag = time.time() - elem.time
    if path and path.split()[-1] != owner:
        if route not in wrong:
            print(f"{clock(elem.time)} ALARM {prefix} at AS{elem.peer_asn}: path {path} ({lag:.0f} s ago)", flush=True)
        wrong[route] = path
    elif wrong.pop(route, None):
        print(f"{clock(elem.time)} over  {prefix} at AS{elem.peer_asn} ({lag:.0f} s ago)", flush=True)
