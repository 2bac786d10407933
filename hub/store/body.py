"""The inside of a record's sealed body: a header, the canonical record, and its FHIR resources with their byte offsets.

Resources are stored without `meta.versionId` and `meta.lastUpdated`; both are spliced in on the way out, so an unchanged
resource keeps its bytes, and its version, when another part of the record changes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec

from hub.store.ids import join
from mappings.face import Resource


class Slot(msgspec.Struct, frozen=True, array_like=True):
    """One resource of the face: where its bytes are, its data-class bits, its own version and when that was made."""

    slot: int
    type: str
    classes: int
    offset: int
    length: int
    version: int
    updated: str


class Header(msgspec.Struct, array_like=True):
    """What the store knows of a record beside its content. Its label is of the rules whose version stands beside the body."""

    kind: str
    standard: str
    adapter: str
    adapter_version: str
    slots: list[Slot]
    record_length: int
    sensitivity: list[str] = []
    confidentiality: str = "N"
    row: int | None = None


_encode_header = msgspec.msgpack.Encoder().encode
_decode_header = msgspec.msgpack.Decoder(Header).decode


def assemble(header: Header, record: bytes, resources: Sequence[Resource], *, version: int, updated: str, previous: Body | None = None) -> bytes:
    """The body's plaintext. A resource whose bytes equal its predecessor's keeps version and time."""
    slots, offset, parts = [], len(record), [record]
    for resource in resources:
        number, since = _carried(resource, previous, updated)
        slots.append(Slot(resource.slot, resource.type, resource.classes, offset, len(resource.json), number, since))
        parts.append(resource.json)
        offset += len(resource.json)
    header.slots, header.record_length = slots, len(record)
    packed = _encode_header(header)
    return b"".join((struct.pack(">I", len(packed)), packed, *parts))


def _carried(resource: Resource, previous: Body | None, updated: str) -> tuple[int, str]:
    old = previous.slot(resource.slot) if previous else None
    if previous is None or old is None:
        return 1, updated
    same = previous.stored(old) == resource.json
    return (old.version, old.updated) if same else (old.version + 1, updated)


class Body:
    """An opened body. Reads slices; parses nothing but the header."""

    __slots__ = ("_at", "_plain", "_stamps", "header")

    def __init__(self, plain: bytes) -> None:
        (length,) = struct.unpack_from(">I", plain)
        self._plain, self._at = plain, 4 + length
        self.header = _decode_header(plain[4 : self._at])
        self._stamps: dict[tuple[int, str], bytes] = {}

    @property
    def record(self) -> bytes:
        """The canonical record's JSON."""
        return self._plain[self._at : self._at + self.header.record_length]

    def slot(self, number: int) -> Slot | None:
        return next((slot for slot in self.header.slots if slot.slot == number), None)

    def stored(self, slot: Slot) -> bytes:
        """A resource's bytes as mapped, without version."""
        return self._plain[self._at + slot.offset : self._at + slot.offset + slot.length]

    def resource(self, record_id: str, slot: Slot, security: bytes = b"") -> bytes:
        """A resource's bytes as served: `meta.versionId` and `meta.lastUpdated` spliced in, and `security` after its data class."""
        start = self._at + slot.offset
        cut, end = start + _HEAD + len(slot.type) + len(join(record_id, slot.slot)), start + slot.length
        if not security or not slot.classes:
            return b"".join((self._plain[start:cut], self._stamp(slot), self._plain[cut:end]))
        place = self._plain.index(b"]", self._plain.index(_SECURITY, cut, end))
        return b"".join((self._plain[start:cut], self._stamp(slot), self._plain[cut:place], security, self._plain[place:end]))

    def labelled(self, sensitivity: list[str], confidentiality: str) -> bytes:
        """The same body's plaintext under another label."""
        packed = _encode_header(msgspec.structs.replace(self.header, sensitivity=sensitivity, confidentiality=confidentiality))
        return b"".join((struct.pack(">I", len(packed)), packed, self._plain[self._at :]))

    def _stamp(self, slot: Slot) -> bytes:
        key = slot.version, slot.updated
        found = self._stamps.get(key)
        if found is None:
            found = self._stamps[key] = f'"versionId":"{slot.version}","lastUpdated":"{slot.updated}",'.encode()
        return found


_HEAD = len('{"resourceType":"","id":"","meta":{')
_SECURITY = b'"security":['
