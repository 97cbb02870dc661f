"""Which communities does a peer attach to the routes inside a prefix?

    communities.py UPDATES PEER_ASN PREFIX

A community is two numbers, and only the AS of the first one says what the second means (RFC 1997).
"""

import sys
from collections import defaultdict

import pybgpstream

path, peer, prefix = sys.argv[1:]
stream = pybgpstream.BGPStream(
    data_interface="singlefile",
    filter=f"peer {peer} and prefix more {prefix} and elemtype announcements ribs",
)
stream.set_data_interface_option("singlefile", "upd-file", path)

prefixes = defaultdict(set)  # community -> the prefixes that carry it
routes = 0
for elem in stream:
    routes += 1
    for community in elem.fields["communities"]:
        prefixes[community].add(elem.fields["prefix"])

for community, carriers in sorted(prefixes.items(), key=lambda item: (-len(item[1]), item[0])):
    print(f"{community:>12} {len(carriers):4}  such as {min(carriers)}")
print(f"{len(prefixes)} communities on {routes} routes of AS{peer} inside {prefix}")
