"""The tombstone ledger beside the keyring: who was erased, so that no copy of the database brings them back.

One JSON object a line. Each line's code is over the line and the code before it, and the keyring holds how many there are and the last
code: an edit, a gap, a swap and a cut all show. What a killed process wrote beyond that counts when it is whole.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from hub.store.keyring import Keyring, changed
from schemas.errors import Unavailable


class Tombstone(msgspec.Struct, frozen=True):
    """Somebody erased, when, and the erasure key that their data key was wrapped under."""

    resident: UUID
    at: datetime
    erasure: str
    mac: bytes = b""


def listed(keyring: Keyring) -> list[Tombstone]:
    """Everybody erased so far. Raises Unavailable when the ledger is not what was written."""
    return _read(keyring)[0]


def add(keyring: Keyring, resident: UUID, erasure: str) -> Tombstone:
    """Write that a resident is erased; durable when this returns."""
    with keyring.changing() as contents:
        known, size = _read(keyring)
        made = _chained(keyring, known[-1].mac if known else b"", Tombstone(resident, datetime.now(UTC), erasure))
        _append(keyring, msgspec.json.encode(made) + b"\n", size)
        contents.ledger = (len(known) + 1, made.mac)
    return made


def _chained(keyring: Keyring, before: bytes, one: Tombstone) -> Tombstone:
    code = keyring.tombstone_code(before, one.resident.bytes, one.at.astimezone(UTC).isoformat().encode(), one.erasure.encode())
    return msgspec.structs.replace(one, mac=code)


def _append(keyring: Keyring, line: bytes, size: int) -> None:
    descriptor = os.open(keyring.ledger, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.ftruncate(descriptor, size)  # the beginning of a line that a killed process left
        os.pwrite(descriptor, line, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(keyring: Keyring) -> tuple[list[Tombstone], int]:
    """The tombstones and how many bytes of the file they take."""
    count, last = keyring.ledger_head
    whole, newline, _ = (keyring.ledger.read_bytes() if keyring.ledger.exists() else b"").rpartition(b"\n")
    found: list[Tombstone] = []
    for number, line in enumerate(whole.splitlines(), 1):
        one = _line(line)
        if one is None or not secrets.compare_digest(_chained(keyring, found[-1].mac if found else b"", one).mac, one.mac):
            raise _wrong(keyring, f"line {number}")
        found.append(one)
    if len(found) < count or (count and found[count - 1].mac != last):
        raise _wrong(keyring, f"line {len(found) + 1 if len(found) < count else count}")
    return found, len(whole) + len(newline)


def _line(line: bytes) -> Tombstone | None:
    try:
        return msgspec.json.decode(line, type=Tombstone)
    except msgspec.MsgspecError:
        return None


def _wrong(keyring: Keyring, where: str) -> Unavailable:
    error = changed(keyring.ledger)
    return Unavailable(f"{error.message.rstrip('.')}: {where} is changed or missing.", advice=error.advice)
