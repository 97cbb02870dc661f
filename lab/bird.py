"""bird.conf for a speaker, and for the collector that runs BIRD 2.

Policy in the form of Gao and Rexford (2001): a route is marked on import with the kind of neighbor it came from, in a
standard community ``asn:1000``, ``asn:2000``, ``asn:3000`` (customer, peer, provider) where the AS number fits, else in
a large one ``asn:1:1`` to ``asn:1:3``. Customers and collectors get every route, peers and providers those of the
speaker and its customers.
"""

from collections.abc import Iterator, Sequence

from lab.speaker import Neighbor, Origination, Speaker

_KINDS = {"customer": 1, "peer": 2, "provider": 3}

_TIMERS = "connect delay time 1; connect retry time 2; error wait time 1, 2; startup hold time 30; hold time 90;"

BLACKHOLE = "(65535, 666)"

_POLICY = """
function too_specific() {
  if net.type = NET_IP4 then return net.len > 24;
  return net.len > 48;
}

function admit(int kind) {
  if too_specific() && (kind != 1 || !(BLACKHOLE ~ bgp_community)) then return false;
VALIDATE  MARKS.delete([OWN_MARKS]);
  MARKS.add(MARK(kind));
  bgp_local_pref = 400 - 100 * kind;
  return true;
}

function own_or_customers() {
  if source = RTS_STATIC then return true;
  return !too_specific() && MARK(1) ~ MARKS;
}
"""

_VALIDATE = """\
  if !too_specific() then {
    if net.type = NET_IP4 && roa_check(vrps4, net, bgp_path.last) = ROA_INVALID then return false;
    if net.type = NET_IP6 && roa_check(vrps6, net, bgp_path.last) = ROA_INVALID then return false;
  }
"""


def render_speaker(speaker: Speaker, folder: str) -> str:
    """The whole configuration of a speaker whose log goes into ``folder``."""
    parts = [
        _head(speaker.addresses[0], folder),
        *(_vrps(speaker) if speaker.vrps else ()),
        _policy(speaker),
        *(_originations(speaker, version) for version in (4, 6)),
        *(_session(speaker, neighbor, version) for neighbor in speaker.neighbors for version in (4, 6)),
    ]
    return "\n".join(parts)


def render_collector(asn: int, addresses: tuple[str, str], peers: Sequence[Neighbor], folder: str) -> str:
    """A collector: it takes every route, sends none, and writes what it hears to ``updates.mrt`` in ``folder``."""
    sessions = [
        f"""\
protocol bgp {session_name(peer, version)} {{
  local {_address(addresses, version)} as {asn};
  neighbor {_address(peer.addresses, version)} as {peer.asn};
  {_TIMERS}
  passive yes;
  mrtdump {{ states, messages }};
  ipv{version} {{ import all; export none; }};
}}
"""
        for peer in peers
        for version in (4, 6)
    ]
    return "\n".join([_head(addresses[0], folder), f'mrtdump "{folder}/updates.mrt";\n', *sessions])


def session_name(neighbor: Neighbor, version: int) -> str:
    """The name of the protocol that speaks with a neighbor."""
    return f"{neighbor.name.replace('-', '_')}_v{version}"


def _head(router_id: str, folder: str) -> str:
    return f'log "{folder}/bird.log" all;\nrouter id {router_id};\nprotocol device {{ }}\n'


def _address(addresses: tuple[str, str], version: int) -> str:
    return addresses[0 if version == 4 else 1]


def _vrps(speaker: Speaker) -> Iterator[str]:
    for version in (4, 6):
        lines = [
            f"roa{version} table vrps{version};",
            "protocol static {",
            f"  roa{version} {{ table vrps{version}; }};",
        ]
        lines += [
            f"  route {vrp.prefix} max {vrp.max_length} as {vrp.asn};"
            for vrp in speaker.vrps
            if vrp.prefix.version == version
        ]
        yield "\n".join([*lines, "}\n"])


def _policy(speaker: Speaker) -> str:
    asn = speaker.asn
    if speaker.two_byte:
        marks, own, form = "bgp_community", f"({asn}, *)", "({asn}, {kind})"
    else:
        marks, own, form = "bgp_large_community", f"({asn}, *, *)", "({asn}, 1, {kind})"
    text = _POLICY.replace("OWN_MARKS", own).replace("MARKS", marks).replace("BLACKHOLE", BLACKHOLE)
    text = text.replace("VALIDATE", _VALIDATE if speaker.vrps else "")
    text = text.replace("MARK(1)", form.format(asn=asn, kind=1000 if speaker.two_byte else 1))
    return text.replace("MARK(kind)", form.format(asn=asn, kind="1000 * kind" if speaker.two_byte else "kind"))


def _originations(speaker: Speaker, version: int) -> str:
    routes = [_route(speaker, route) for route in speaker.origins if route.prefix.version == version]
    return "\n".join([f"protocol static own{version} {{", f"  ipv{version};", *routes, "}\n"])


def _route(speaker: Speaker, route: Origination) -> str:
    # Prepending to all is done here and not on export: BIRD sends every route again when an export filter changes.
    more = sum(rule.times for rule in speaker.prepends if rule.prefix == route.prefix and rule.neighbor is None)
    steps = [f"bgp_path.prepend({asn});" for asn in [*reversed(route.path), *[speaker.asn] * more]]
    steps += [f"bgp_community.add(({community.replace(':', ', ')}));" for community in route.communities]
    return f"  route {route.prefix} blackhole" + (f" {{ {' '.join(steps)} }};" if steps else ";")


def _session(speaker: Speaker, neighbor: Neighbor, version: int) -> str:
    lines = [
        f"protocol bgp {session_name(neighbor, version)} {{",
        f"  local {_address(speaker.addresses, version)} as {speaker.asn};",
        f"  neighbor {_address(neighbor.addresses, version)} as {neighbor.asn};",
        f"  {_TIMERS}",
        *(["  disabled yes;"] if neighbor.name in speaker.down else []),
        f"  ipv{version} {{",
        "    next hop self;",
        f"    import {_import(neighbor)};",
        *_export(speaker, neighbor, version),
        "  };",
        "}\n",
    ]
    return "\n".join(lines)


def _import(neighbor: Neighbor) -> str:
    if neighbor.role == "collector":
        return "none"
    return f"where admit({_KINDS[neighbor.role]})"


def _export(speaker: Speaker, neighbor: Neighbor, version: int) -> Iterator[str]:
    yield "    export filter {"
    for rule in speaker.prepends:
        if rule.prefix.version == version and rule.neighbor == neighbor.name:
            prepending = f"bgp_path.prepend({speaker.asn}); " * rule.times
            yield f"      if source = RTS_STATIC && net = {rule.prefix} then {{ {prepending}}}"
    for leak in speaker.leaks:
        if leak.to == neighbor.name:
            yield f"      if bgp_path.first = {leak.source} then accept;"
    if neighbor.role == "collector":
        yield "      accept;"
    elif neighbor.role == "customer":
        yield "      if source = RTS_STATIC || !too_specific() then accept;"
        yield "      reject;"
    else:
        yield "      if own_or_customers() then accept;"
        yield "      reject;"
    yield "    };"
