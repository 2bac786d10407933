"""Keyrings and ledgers as they were before erasure keys were puncturable, brought to what they are now, once and in place.

A month's key of then becomes a flat one: it opens what it opened. Whoever is erased from it is the reason to wrap its others again.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from hub.store import keyring, puncture, tombstones
from hub.store.keyring import Contents, InFile, Sealed, Secrets, Tree


class _Before(msgspec.Struct):
    id: str
    suite: str
    kek: dict[str, bytes]
    erasure: dict[str, bytes]
    index: bytes
    hub: bytes
    signing: dict[str, Any]


class _Line(msgspec.Struct):
    resident: UUID
    at: datetime


def upgrade(path: Path) -> None:
    """Rewrite a keyring and its ledger when they are of before; nothing happens otherwise."""
    try:
        before = msgspec.json.decode(path.read_bytes(), type=_Before)
    except msgspec.MsgspecError:
        return
    contents = Contents(before.id, before.suite, "file", {f"kek-{number}": key for number, key in before.kek.items()}, list(before.kek), {},
                        Sealed("", b"", b""))  # fmt: skip
    backend = InFile(lambda: contents)
    for name, key in before.erasure.items():
        backend.make(f"erasure-{name}.g0")
        seeds = puncture.packed(puncture.planted(key))
        contents.erasure[name] = Tree(keyring.sealed(backend, contents, f"erasure-{name}.g0", seeds, name), flat=True)
    _moved_in(path, contents, Secrets(before.index, before.hub, before.signing))


def _moved_in(path: Path, contents: Contents, held: Secrets) -> None:
    """Keyring and ledger made whole in a folder beside, the ledger moved first: killed in between, the next start does it again."""
    ledger, beside = path.with_name("tombstones.ndjson"), path.with_name("upgrading")
    lines = [msgspec.json.decode(line, type=_Line) for line in ledger.read_bytes().splitlines()] if ledger.exists() else []
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    keyring.started(beside / path.name, contents, held)
    ring = keyring.Keyring(beside / path.name)
    for line in lines:
        tombstones.add(ring, line.resident, "")
    if lines:
        ring.ledger.replace(ledger)
    ring.path.replace(path)
    shutil.rmtree(beside)
