"""Records and elements as programs see them, and what becomes of those that are read too late.

The real library uses the memory of an element again for the next one, and that of a record for a later record: what a
program keeps past its turn shows other values later. Here it raises ``SpoiledElementError`` or ``SpoiledRecordError``
instead: when the turn is over, the object's class is exchanged for one that refuses every attribute, which costs next
to nothing while all goes well. A dict that was taken from ``elem.fields`` in time stays good, as in the real library.

Two kinds of each exist, as there: ``BGPRecord`` and ``BGPElem`` from iterating, and those of the low-level methods
``get_next_record`` and ``get_next_elem``, which know less.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from ._log import log
from ._matching import Selector
from ._mrt import BGP4MP, BGP4MP_ET, Element
from ._sources import Item

Fields = dict[str, Any]

_AnyRecord = TypeVar("_AnyRecord", bound="LowLevelRecord")
_BGP4MP_SUBTYPES = frozenset({0, 1, 4, 5, 6, 7})


class SpoiledElementError(RuntimeError):
    """An element was read after the next one, or the next record, had been taken."""


class SpoiledRecordError(RuntimeError):
    """A record was read after the next one had been taken, or after the end of its stream."""


class Cursor:
    """Where a stream stands: the record and the element whose turn it is, and what is still to come.

    Attributes:
        selector: What picks the elements that pass the filters at this moment; None if every element passes.
        items: The records to come; None before the stream was started.
    """

    __slots__ = ("_elem", "_item", "_record", "_remaining", "items", "selector")

    def __init__(self) -> None:
        self.selector: Selector | None = None
        self.items: Iterator[Item] | None = None
        self._item: Item
        self._record: LowLevelRecord | None = None
        self._remaining: Iterator[Element] | None = None
        self._elem: BGPElem | LowLevelElem | None = None

    def next_record(self, kind: "type[_AnyRecord]") -> "_AnyRecord | None":
        """The next record, None at the end; the one before and its last element are spoiled."""
        item = None if self.items is None else next(self.items, None)
        self._leave_record()
        if item is None:
            return None
        self._item = item
        return self._made(kind)

    def record(self) -> "BGPRecord":
        """The record whose turn it is."""
        record = self._record
        return record if isinstance(record, BGPRecord) else self._made(BGPRecord)

    def next_elems(self) -> "Iterator[BGPElem]":
        """The elements of all records to come; a record object is made only when it is asked for."""
        for item in self.items or ():
            if self._elem is not None or self._record is not None:
                self._leave_record()
            elements = self._elements(item)
            if elements:
                self._item = item
                self._remaining = iter(elements)
                yield from self.elems()
        self._leave_record()

    def elems(self) -> "Iterator[BGPElem]":
        """What is left of the elements of the record whose turn it is; taking one spoils the one before."""
        record = self._item[4]
        time = record.time if record is not None else 0.0
        remaining = self._left()
        for element in remaining:
            if self._remaining is not remaining:
                raise SpoiledElementError("the elements of a record were read after the next record had been taken")
            if self._elem is not None:
                _spoil(self._elem)
            elem = self._elem = BGPElem(element, self, time)
            yield elem

    def next_low_level_elem(self) -> "LowLevelElem | None":
        """The next element of the record whose turn it is, None if there is no more; the one before is spoiled."""
        element = next(self._left(), None)
        if element is None:
            return None
        if self._elem is not None:
            _spoil(self._elem)
        elem = self._elem = LowLevelElem(element)
        return elem

    def _left(self) -> Iterator[Element]:
        if self._remaining is None:
            self._remaining = iter(self._elements(self._item))
        return self._remaining

    def _elements(self, item: Item) -> list[Element]:
        """The elements of a record that pass."""
        record = item[4]
        if record is None or item[2] != "valid":
            return []
        if self.selector is not None:
            return self.selector(record)
        elements = record.elements()
        if not elements and record.type in (BGP4MP, BGP4MP_ET) and record.subtype not in _BGP4MP_SUBTYPES:
            log("WARNING", f"Skipping unknown BGP4MP record subtype {record.subtype}")
        return elements

    def _made(self, kind: type[_AnyRecord]) -> _AnyRecord:
        record = kind.__new__(kind)
        LowLevelRecord.__init__(record, self._item, self)
        self._record = record
        return record

    def _leave_record(self) -> None:
        if self._elem is not None:
            _spoil(self._elem)
            self._elem = None
        if self._record is not None:
            _spoil(self._record)
            self._record = None
        self._remaining = None


def _fields_of(element: Element) -> Fields:
    attributes = element.attributes
    if attributes is not None:
        # What the routes of a message share is asked for many times: the plain attributes spare a call.
        return {
            "next-hop": attributes.known_next_hop or attributes.next_hop,
            "as-path": attributes.known_path or attributes.as_path,
            "communities": set(attributes.known_communities or attributes.communities),
            "prefix": element.prefix,
        }
    if element.type == "S":
        return {"old-state": element.old_state, "new-state": element.new_state}
    return {"prefix": element.prefix}


class LowLevelElem:
    """An element from ``get_next_elem``: type, peer and fields."""

    __slots__ = ("_element", "_fields", "peer_address", "peer_asn", "type")

    def __init__(self, elem: Element) -> None:
        self.type = elem.type
        self.peer_asn = elem.peer_asn
        self.peer_address = elem.peer_address
        self._element = elem
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        """The element's values by name, made at the first access and the same dict from then on."""
        found = self._fields
        if found is None:
            found = self._fields = _fields_of(self._element)
        return found

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'_pybgpstream.BGPElem' object has no attribute '{name}'", name=name, obj=self)


class BGPElem:
    """An element of a record: a RIB entry (``R``), announcement (``A``), withdrawal (``W``) or peer state (``S``).

    What it does not have itself it has from its record: ``project``, ``collector``, ``status``, ``dump_time``, ...

    Attributes:
        type: ``R``, ``A``, ``W`` or ``S``.
        time: Time of the record, seconds since the epoch.
        peer_asn: AS number of the peer.
        peer_address: Address of the peer.
    """

    __slots__ = ("_cursor", "_element", "_fields", "peer_address", "peer_asn", "time", "type")

    def __init__(self, elem: Element, cursor: Cursor, time: float) -> None:
        self.type = elem.type
        self.time = time
        self.peer_asn = elem.peer_asn
        self.peer_address = elem.peer_address
        self._element = elem
        self._cursor = cursor
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        """The element's values by name, made at the first access and the same dict from then on.

        ``R`` and ``A``: ``prefix``, ``next-hop``, ``as-path`` (str), ``communities`` (set of ``asn:value``); ``W``:
        ``prefix``; ``S``: ``old-state``, ``new-state``.
        """
        found = self._fields
        if found is None:
            found = self._fields = _fields_of(self._element)
        return found

    @property
    def record(self) -> "BGPRecord":
        """The record that the element is part of."""
        return self._cursor.record()

    @property
    def record_type(self) -> str:
        """Type of the record, ``rib`` or ``update``."""
        return self.record.type

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record, name)

    def __str__(self) -> str:
        record, fields = self.record, self.fields
        communities = fields.get("communities")
        parts = [
            *(record.type, self.type, f"{self.time:.6f}", record.project, record.collector, record.router),
            *(record.router_ip, self.peer_asn, self.peer_address),
            *(fields.get(name) for name in ("prefix", "next-hop", "as-path")),
            None if communities is None else " ".join(communities),
            *(fields.get(name) for name in ("old-state", "new-state")),
        ]
        return "|".join(map(str, parts))


class LowLevelRecord:
    """A record from ``get_next_record``.

    Attributes:
        time: Seconds since the epoch, with microseconds where the file has them.
    """

    __slots__ = ("_cursor", "_item", "time")

    def __init__(self, item: Item, cursor: Cursor) -> None:
        record = item[4]
        self.time = float(item[1].time) if record is None else record.time
        self._item = item
        self._cursor = cursor

    @property
    def project(self) -> str:
        """Name of the project."""
        return self._item[1].project

    @property
    def collector(self) -> str:
        """Name of the collector."""
        return self._item[1].collector

    @property
    def router(self) -> str | None:
        """Name of the router; MRT files of a collector have none."""
        return None

    @property
    def router_ip(self) -> str | None:
        """Address of the router; MRT files of a collector have none."""
        return None

    @property
    def type(self) -> str:
        """``rib`` or ``update``, as the file was announced, whatever it holds."""
        return self._item[1].type

    @property
    def status(self) -> str:
        """``valid``, or why there is nothing to be read."""
        return self._item[2]

    @property
    def dump_position(self) -> str:
        """Place in the file: ``start``, ``middle`` or ``end``."""
        return self._item[3]

    @property
    def dump_time(self) -> int:
        """Time of the file, seconds since the epoch."""
        return self._item[1].time

    def get_next_elem(self) -> LowLevelElem | None:
        """The next element, None if there is no more."""
        return self._cursor.next_low_level_elem()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'_pybgpstream.BGPRecord' object has no attribute '{name}'", name=name, obj=self)


class BGPRecord(LowLevelRecord):
    """A record: what a collector wrote at one moment; iterating gives its elements, once."""

    __slots__ = ()

    def __init__(self, rec: LowLevelRecord) -> None:
        super().__init__(rec._item, rec._cursor)

    def __iter__(self) -> Iterator[BGPElem]:
        return self._cursor.elems()

    def __str__(self) -> str:
        parts = [
            *(self.type, self.dump_position, f"{self.time:.6f}", self.project, self.collector, self.router),
            *(self.router_ip, self.status, self.dump_time),
        ]
        return "|".join(map(str, parts))


def _refuse_elem(own: Callable[[Any, str], Any], elem: Any, name: str) -> Any:
    if name.startswith("__"):
        return own(elem, name)
    if name == "fields" and own(elem, "_fields") is not None:
        return own(elem, "_fields")
    raise SpoiledElementError(
        f"'{name}' of an element was read after the next one had been taken: its memory is used again. "
        "Copy type and fields at once, for example (elem.type, elem.time, dict(elem.fields))"
    )


class _SpoiledElem(BGPElem):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        return _refuse_elem(object.__getattribute__, self, name)


class _SpoiledLowLevelElem(LowLevelElem):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        return _refuse_elem(object.__getattribute__, self, name)


class _SpoiledRecord(BGPRecord):
    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        raise SpoiledRecordError(
            f"'{name}' of a record was read after the next one had been taken or the stream had ended: its memory is "
            "used again. Read a record in its turn and copy what you need, for example (record.type, record.time)"
        )


_SPOILED: dict[type, type] = {
    BGPElem: _SpoiledElem,
    LowLevelElem: _SpoiledLowLevelElem,
    BGPRecord: _SpoiledRecord,
    LowLevelRecord: _SpoiledRecord,
}


def _spoil(thing: object) -> None:
    """The turn of an element or a record is over: from now on it refuses to be read."""
    thing.__class__ = _SPOILED[type(thing)]
