"""MRT records and their elements: what ``_mrt`` makes of the bytes of a file.

Objects here are many and short-lived, so they are plain slotted classes. Nobody changes them once they are made.
"""

from ._bgp import PREFIX_TEXTS, Attributes, Prefix, parse_prefixes, prefix_text

Header = tuple[float, int, int]
"""Time, MRT type and subtype of a record."""

Peer = tuple[int, str]
"""AS number and address of a peer."""


class Element:
    """A route in a record, or the change of a peer's state.

    Attributes:
        type: ``R`` (RIB entry), ``A`` (announcement), ``W`` (withdrawal) or ``S`` (peer state).
        peer_asn: AS number of the peer.
        peer_address: Address of the peer.
        version: IP version of the prefix, 4 or 6; 0 for ``S``.
        network: The prefix's address as a number, host bits cut.
        length: The prefix's length in bits.
        attributes: Path attributes of ``R`` and ``A``, shared by the routes that have the same ones; None otherwise.
    """

    __slots__ = ("attributes", "length", "network", "peer_address", "peer_asn", "type", "version")

    old_state: str = ""
    new_state: str = ""

    def __init__(
        self, kind: str, peer: Peer, version: int, network: int, length: int, attributes: Attributes | None
    ) -> None:
        self.type = kind
        self.peer_asn, self.peer_address = peer
        self.version = version
        self.network = network
        self.length = length
        self.attributes = attributes

    @property
    def prefix(self) -> str:
        """The prefix as text; empty for ``S``."""
        text = PREFIX_TEXTS[self.version].get((self.network, self.length))
        return prefix_text(self.version, self.network, self.length) if text is None else text

    @property
    def next_hop(self) -> str | None:
        """Next hop of ``R`` and ``A``; None if there is none."""
        attributes = self.attributes
        if attributes is None:
            return None
        return attributes.known_next_hop or attributes.next_hop or None

    @property
    def as_path(self) -> str:
        """AS path of ``R`` and ``A`` as text, ``1 2 {3,4}``; empty if there is none."""
        attributes = self.attributes
        if attributes is None:
            return ""
        text = attributes.known_path
        return attributes.as_path if text is None else text

    @property
    def communities(self) -> tuple[str, ...]:
        """Standard communities of ``R`` and ``A`` in the order of the message."""
        attributes = self.attributes
        if attributes is None:
            return ()
        found = attributes.known_communities
        return attributes.communities if found is None else found


class StateElement(Element):
    """The change of a peer's state; a state without a name is an empty string."""

    __slots__ = ("new_state", "old_state")

    def __init__(self, peer: Peer, old_state: str, new_state: str) -> None:
        super().__init__("S", peer, 0, 0, 0, None)
        self.old_state = old_state
        self.new_state = new_state


class Record:
    """One MRT record. This class itself stands for sound records without elements, such as a KEEPALIVE.

    Attributes:
        time: Seconds since the epoch, with the microseconds of BGP4MP_ET; 0.0 where ``problem`` is set.
        type: MRT type.
        subtype: MRT subtype.
        problem: None if sound, otherwise why the record cannot be read; it is the last one of its file.
        last: The file ends right behind this record.
    """

    __slots__ = ("last", "subtype", "time", "type")

    problem: str | None = None

    def __init__(self, header: Header) -> None:
        self.time, self.type, self.subtype = header
        self.last = False

    def elements(self) -> list[Element]:
        """The elements that the real library gives, in its order."""
        return []


class BrokenRecord(Record):
    """The place from which on a file cannot be read."""

    __slots__ = ("problem",)

    def __init__(self, kind: int, subtype: int, problem: str) -> None:
        super().__init__((0.0, kind, subtype))
        self.problem = problem


class UpdateRecord(Record):
    """A BGP UPDATE message. Its prefixes are decoded each time they are asked for.

    Attributes:
        peer: Who sent it.
        attributes: Path attributes, with the prefixes that travel inside them.
    """

    __slots__ = ("_elements", "_nlri", "_withdrawn", "attributes", "peer")

    def __init__(self, header: Header, peer: Peer, withdrawn: bytes, attributes: Attributes, nlri: bytes) -> None:
        # Not super().__init__: most records are updates, and the call is felt.
        self.time, self.type, self.subtype = header
        self.last = False
        self.peer = peer
        self.attributes = attributes
        self._withdrawn = withdrawn
        self._nlri = nlri
        self._elements: list[Element] | None = None

    @property
    def withdraws(self) -> bool:
        """Whether there are fields of withdrawn prefixes, told without decoding them."""
        return bool(self._withdrawn or self.attributes.unreachable_field)

    @property
    def announces(self) -> bool:
        """Whether there are fields of announced prefixes, told without decoding them."""
        return bool(self._nlri or self.attributes.reachable_field)

    @property
    def withdrawn(self) -> list[Prefix]:
        """IPv4 prefixes of the message's field of withdrawn routes."""
        return parse_prefixes(self._withdrawn, 4)

    @property
    def announced(self) -> list[Prefix]:
        """IPv4 prefixes of the message's NLRI field."""
        return parse_prefixes(self._nlri, 4)

    def elements(self) -> list[Element]:
        """Withdrawals, then announcements; of each, the message's own field before the multiprotocol attribute."""
        found = self._elements
        if found is None:
            peer, shared = self.peer, self.attributes
            found = []
            if self._withdrawn:
                found += [Element("W", peer, 4, network, length, None) for network, length in self.withdrawn]
            if shared.unreachable_field:
                version, field = shared.unreachable_field
                prefixes = parse_prefixes(field, version)
                found += [Element("W", peer, version, network, length, None) for network, length in prefixes]
            if self._nlri:
                plain = shared.plain()
                found += [Element("A", peer, 4, network, length, plain) for network, length in self.announced]
            if shared.reachable_field:
                version, field = shared.reachable_field
                prefixes = parse_prefixes(field, version)
                found += [Element("A", peer, version, network, length, shared) for network, length in prefixes]
            self._elements = found
        return found


class StateRecord(Record):
    """The change of a peer's state."""

    __slots__ = ("element",)

    def __init__(self, header: Header, element: StateElement) -> None:
        super().__init__(header)
        self.element = element

    def elements(self) -> list[Element]:
        """The one change."""
        return [self.element]


RibRoute = tuple[Peer, int, Attributes]
"""A route in a RIB record: the peer that has it, since when (epoch seconds), and its attributes."""


class RibRecord(Record):
    """The routes to one prefix.

    Attributes:
        prefix: IP version, network and length.
        routes: The routes in the order of the record.
    """

    __slots__ = ("_elements", "prefix", "routes")

    def __init__(self, header: Header, prefix: tuple[int, int, int], routes: list[RibRoute]) -> None:
        super().__init__(header)
        self.prefix = prefix
        self.routes = routes
        self._elements: list[Element] | None = None

    def elements(self) -> list[Element]:
        """One element a route."""
        found = self._elements
        if found is None:
            version, network, length = self.prefix
            found = self._elements = [
                Element("R", peer, version, network, length, attributes) for peer, _, attributes in self.routes
            ]
        return found


class HiddenRecord(Record):
    """A sound record whose routes the real library does not give: ADD-PATH, and RIBs other than unicast.

    Attributes:
        body: The record behind its MRT header.
        peers: The peer index table in force, for records of TABLE_DUMP_V2.
    """

    __slots__ = ("body", "peers")

    def __init__(self, header: Header, body: bytes, peers: list[Peer]) -> None:
        super().__init__(header)
        self.body = body
        self.peers = peers
