"""Reference analyses: measures of BGP data that say exactly what they count.

    from itertools import chain
    from seedtune.domains.bgp.analyses import events_of, moas_intervals
    from seedtune.domains.bgp.mrt import read_mrt

    events = chain(events_of(read_mrt("rib.gz")), events_of(read_mrt("updates.gz")))
    for interval in moas_intervals(events):
        print(interval.prefix, sorted(interval.origins), interval.start, interval.end)

What a function takes is in its signature: an ``AsPath``, ``Route`` objects (of a table, or announced), or ``Event``
objects in order of time. All are pure functions of it; they read a stream once and say what they keep of it in memory.
Times are seconds since the epoch, windows half-open. IPv4 and IPv6 are both read and never mixed.
"""

from seedtune.domains.bgp.analyses.bogons import SPECIAL_PREFIXES, Bogon, asn_bogon, bogon_routes, prefix_bogon
from seedtune.domains.bgp.analyses.communities import (
    BLACKHOLE,
    WELL_KNOWN,
    Communities,
    blackholed,
    communities_of,
    community_asns,
    community_counts,
    with_community,
)
from seedtune.domains.bgp.analyses.dynamics import (
    Burst,
    Flap,
    Rate,
    announcements_per_peer,
    announcements_per_prefix,
    bursts,
    change_kinds,
    flapping,
    flaps,
    implicit_withdrawals,
    path_changes,
    update_rate,
    withdrawals_per_peer,
    withdrawals_per_prefix,
)
from seedtune.domains.bgp.analyses.events import (
    AsPath,
    Event,
    Peer,
    Prefix,
    announcements,
    during,
    events_of,
    make_route,
    make_withdrawal,
    parse_path,
    parse_prefix,
    peer_of,
    prefix_of,
    withdrawals,
)
from seedtune.domains.bgp.analyses.origins import (
    MoasInterval,
    Suspect,
    moas,
    moas_intervals,
    origin_changes,
    origins_by_prefix,
    subprefix_announcements,
)
from seedtune.domains.bgp.analyses.paths import collapsed, path_edges, path_length, path_loops, path_origins, prepending
from seedtune.domains.bgp.analyses.prefixes import (
    PrefixMap,
    covering_prefixes,
    length_distribution,
    longest_match,
    more_specifics,
)
from seedtune.domains.bgp.analyses.relationships import Leak, Relationships, leaks, parse_relationships, valley_free
from seedtune.domains.bgp.analyses.sessions import MassWithdrawal, SessionLoss, mass_withdrawals, session_losses
from seedtune.domains.bgp.analyses.table import Change, Kind, Table, changes, same_attributes, table_at
from seedtune.domains.bgp.analyses.topology import Edge, Neighbors, NewEdge, adjacencies, neighbors, new_edges
from seedtune.domains.bgp.analyses.validity import Validity, Vrp, Vrps, route_validity, validate
from seedtune.domains.bgp.analyses.visibility import Outage, full_feed_peers, outages, peers_seeing, visibility

__all__ = [
    "BLACKHOLE",
    "SPECIAL_PREFIXES",
    "WELL_KNOWN",
    "AsPath",
    "Bogon",
    "Burst",
    "Change",
    "Communities",
    "Edge",
    "Event",
    "Flap",
    "Kind",
    "Leak",
    "MassWithdrawal",
    "MoasInterval",
    "Neighbors",
    "NewEdge",
    "Outage",
    "Peer",
    "Prefix",
    "PrefixMap",
    "Rate",
    "Relationships",
    "SessionLoss",
    "Suspect",
    "Table",
    "Validity",
    "Vrp",
    "Vrps",
    "adjacencies",
    "announcements",
    "announcements_per_peer",
    "announcements_per_prefix",
    "asn_bogon",
    "blackholed",
    "bogon_routes",
    "bursts",
    "change_kinds",
    "changes",
    "collapsed",
    "communities_of",
    "community_asns",
    "community_counts",
    "covering_prefixes",
    "during",
    "events_of",
    "flapping",
    "flaps",
    "full_feed_peers",
    "implicit_withdrawals",
    "leaks",
    "length_distribution",
    "longest_match",
    "make_route",
    "make_withdrawal",
    "mass_withdrawals",
    "moas",
    "moas_intervals",
    "more_specifics",
    "neighbors",
    "new_edges",
    "origin_changes",
    "origins_by_prefix",
    "outages",
    "parse_path",
    "parse_prefix",
    "parse_relationships",
    "path_changes",
    "path_edges",
    "path_length",
    "path_loops",
    "path_origins",
    "peer_of",
    "peers_seeing",
    "prefix_bogon",
    "prefix_of",
    "prepending",
    "route_validity",
    "same_attributes",
    "session_losses",
    "subprefix_announcements",
    "table_at",
    "update_rate",
    "validate",
    "valley_free",
    "visibility",
    "with_community",
    "withdrawals",
    "withdrawals_per_peer",
    "withdrawals_per_prefix",
]
