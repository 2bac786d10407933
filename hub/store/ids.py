"""Identifiers: time-ordered record ids and random resident ids, both carrying the 12-bit bucket; references back to them."""

from __future__ import annotations

import os
import time
from uuid import UUID

_BUCKET_SHIFT, _BUCKET_MASK = 64, 0xFFF


def bucket_of(identity: UUID) -> int:
    """The bucket an id carries (the 12 bits after the version nibble)."""
    return (identity.int >> _BUCKET_SHIFT) & _BUCKET_MASK


def new_resident_id() -> UUID:
    """A random id in the layout of UUID version 8 (RFC 9562, 5.8); its 12 `custom_b` bits are the bucket, drawn here."""
    value = int.from_bytes(os.urandom(16), "big")
    return _stamped(value, 8)


def new_record_id(bucket: int) -> UUID:
    """A time-ordered id in the layout of UUID version 7 (RFC 9562, 5.7) with the bucket in `rand_a`."""
    value = (time.time_ns() // 1_000_000) << 80 | bucket << _BUCKET_SHIFT | int.from_bytes(os.urandom(8), "big")
    return _stamped(value, 7)


def _stamped(value: int, version: int) -> UUID:
    value = value & ~(0xF << 76) | version << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def split(resource_id: str) -> tuple[UUID, int] | None:
    """`<uuid>-<slot>` or `<uuid>` to (record id, slot); slot -1 when there is none. None when it is no id of ours."""
    head, tail = resource_id[:36], resource_id[36:]
    try:
        identity = UUID(head)
    except ValueError:
        return None
    if str(identity) != head or (tail and not (tail[0] == "-" and tail[1:].isascii() and tail[1:].isdigit() and str(int(tail[1:])) == tail[1:])):
        return None
    return identity, int(tail[1:]) if tail else -1


def join(record_id: str, slot: int) -> str:
    """The resource id of a slot; slot -1 is the record itself (Patient, Consent)."""
    return record_id if slot < 0 else f"{record_id}-{slot}"
