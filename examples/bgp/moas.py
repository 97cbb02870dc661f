"""Prefixes with more than one origin AS at a time (MOAS): an error, an attack, or intended (RFC 1930, section 7).

    moas.py UPDATES [RIB]

Follows what each peer announces and withdraws, from the RIB onwards if there is one.
"""

import sys
from collections import defaultdict

import pybgpstream

stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", "upd-file", sys.argv[1])
if len(sys.argv) > 2:
    stream.set_data_interface_option("singlefile", "rib-file", sys.argv[2])

origins = defaultdict(dict)  # prefix -> {peer: origin AS}
seen = defaultdict(set)  # prefix -> the origins it had at one time

for elem in stream:
    peer = (elem.peer_asn, elem.peer_address)
    if elem.type == "S":
        if elem.fields["new-state"] != "ESTABLISHED":  # with the session, all its routes are gone
            for routes in origins.values():
                routes.pop(peer, None)
        continue
    prefix = elem.fields["prefix"]
    origins[prefix].pop(peer, None)
    if elem.type == "W":
        continue
    path = elem.fields["as-path"].split()
    if path and path[-1].isdigit():  # an AS_SET does not say which AS is the origin
        origins[prefix][peer] = path[-1]
    if len(set(origins[prefix].values())) > 1:
        seen[prefix].update(origins[prefix].values())

for prefix in sorted(seen):
    print(prefix, ", ".join(f"AS{asn}" for asn in sorted(seen[prefix], key=int)))
print(f"{len(seen)} of {len(origins)} prefixes had more than one origin at a time")
