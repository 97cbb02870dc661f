"""The public route collectors and the project that runs each, as of November 2026.

RIPE RIS publishes its list at https://www.ripe.net/analyse/internet-measurements/routing-information-service-ris and
its files at https://data.ris.ripe.net; the University of Oregon's RouteViews at https://www.routeviews.org and
https://archive.routeviews.org. Collectors that have been switched off stay here, for their archives are still served.
The names are those that PyBGPStream uses; an rrc17 was never published.
"""

from difflib import get_close_matches

PROJECTS = ("ris", "routeviews")
"""The projects whose archives can be asked for by name."""

LIVE_PROJECTS = ("ris-live", "routeviews-stream", "caida-bmp")
"""Projects of the broker that are streams without an end."""

_RIS = [f"rrc{number:02}" for number in range(27) if number != 17]

_ROUTEVIEWS = """
    route-views2 route-views3 route-views4 route-views5 route-views6 route-views7 route-views8
    route-views.amsix route-views.bdix route-views.bknix route-views.chicago route-views.chile route-views.eqix
    route-views.flix route-views.fortaleza route-views.gixa route-views.gorex route-views.isc route-views.jinx
    route-views.kixp route-views.linx route-views.mwix route-views.napafrica route-views.nwax route-views.ny
    route-views.perth route-views.peru route-views.phoix route-views.rio route-views.saopaulo route-views2.saopaulo
    route-views.sfmix route-views.sg route-views.siex route-views.soxrs route-views.sydney route-views.telxatl
    route-views.uaeix route-views.wide
    amsix.ams cix.atl crix.sjo decix.fra decix.jhb getafix.mnl hkix.hkg iix.cgk interlan.otp iraq-ixp.bgw ix-br.gru
    ix-br2.gru ixpn.los kinx.icn locix.fra namex.fco netnod.mmx pacwave.lax pit.scl pitmx.qro
""".split()  # noqa: SIM905 (sixty lines of one name each would say no more)

COLLECTORS: dict[str, str] = dict.fromkeys(_RIS, "ris") | dict.fromkeys(_ROUTEVIEWS, "routeviews")
"""Collector name -> project."""

_BY_PLACE = {name.rpartition(".")[2]: name for name in COLLECTORS if name.startswith("route-views.")} | {
    "route-views": "route-views2",
    "oregon": "route-views2",
    "singapore": "route-views.sg",
    "equinix": "route-views.eqix",
    "nairobi": "route-views.kixp",
    "tokyo": "route-views.wide",
    "london": "route-views.linx",
    "amsterdam": "amsix.ams",
}
"""The last part of a RouteViews name, or what people call it -> collector."""


def nearest_collector(name: str) -> str | None:
    """The published collector that a wrong name most likely means: ``RRC00`` or ``rrc0`` is ``rrc00``."""
    folded = name.strip().lower().removesuffix(".routeviews.org").removesuffix(".ripe.net")
    folded = folded.replace("routeviews", "route-views").replace("_", "-")
    if folded.startswith("rrc") and folded[3:].isdecimal():
        folded = f"rrc{folded[3:].lstrip('0').zfill(2)}"
        return folded if folded in COLLECTORS else None
    place = folded.removeprefix("route-views.")
    if folded in COLLECTORS or place in _BY_PLACE:
        return folded if folded in COLLECTORS else _BY_PLACE[place]
    near = get_close_matches(place, _BY_PLACE, n=1, cutoff=0.8)
    return _BY_PLACE[near[0]] if near else next(iter(get_close_matches(folded, COLLECTORS, n=1, cutoff=0.8)), None)
