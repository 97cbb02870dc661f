"""AS path inflation: how much longer are the paths that policy chose than the shortest ones in the AS graph?

    path_inflation.py RIB
    path_inflation.py UPDATES updates

After Gao and Wang, "The extent of AS path inflation by routing policies" (Globecom 2002). Prepended copies of an AS
count once, for they are no hops.
"""

import sys
from collections import Counter, defaultdict, deque
from itertools import pairwise

import pybgpstream

option = "upd-file" if sys.argv[2:] == ["updates"] else "rib-file"
stream = pybgpstream.BGPStream(data_interface="singlefile")
stream.set_data_interface_option("singlefile", option, sys.argv[1])

graph = defaultdict(set)  # AS -> its neighbours
observed = {}  # (peer AS, origin AS) -> hops of the shortest path seen

for elem in stream:
    if elem.type not in ("R", "A"):
        continue
    path = []
    for asn in elem.fields["as-path"].split():
        if not path or path[-1] != asn:
            path.append(asn)
    if len(path) < 2 or not all(asn.isdigit() for asn in path):  # the members of an AS_SET have no order
        continue
    for left, right in pairwise(path):
        graph[left].add(right)
        graph[right].add(left)
    pair = (path[0], path[-1])
    observed[pair] = min(observed.get(pair, len(path)), len(path) - 1)


def hops_from(start):
    """Hops from one AS to every other (breadth-first search)."""
    hops = {start: 0}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for neighbour in graph[here]:
            if neighbour not in hops:
                hops[neighbour] = hops[here] + 1
                queue.append(neighbour)
    return hops


shortest = {peer: hops_from(peer) for peer in {peer for peer, _ in observed}}
extra = Counter(length - shortest[peer][origin] for (peer, origin), length in observed.items())
for hops in sorted(extra):
    print(f"{hops} extra hops: {extra[hops]} pairs ({extra[hops] / len(observed):.1%})")
print(f"{len(observed)} pairs of peer and origin over {len(graph)} ASes")
