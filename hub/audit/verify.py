"""Whether the trail is whole: every chain recomputed, then compared with the heads and signed roots kept outside the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from hub.audit.trail import GENESIS, ROOTS, Entry, entry_hash
from hub.store.database import Connection
from hub.store.keyring import Keyring
from hub.store.seal import digest_name


class Verdict(msgspec.Struct, omit_defaults=False):
    """How many entries were read, and the first thing wrong, if any."""

    entries: int
    intact: bool
    problem: str | None = None


async def verify(connection: Connection[Any], keyring: Keyring, data_dir: Path) -> Verdict:
    """Recompute every chain and compare with what is held outside."""
    hashes: dict[tuple[int, int], str] = {}
    problem = await _walk(connection, digest_name(keyring.suite), hashes)
    problem = problem or _against_heads(data_dir / "audit-heads", hashes) or _against_roots(data_dir / "audit-heads" / ROOTS, keyring, hashes)
    return Verdict(len(hashes), problem is None, problem)


async def _walk(connection: Connection[Any], algorithm: str, hashes: dict[tuple[int, int], str]) -> str | None:
    chain, seq, previous = 0, 0, GENESIS
    async with connection.transaction():
        async for row in connection.cursor("SELECT * FROM audit ORDER BY chain, seq", prefetch=2000):
            if row["chain"] != chain:
                chain, seq, previous = row["chain"], 0, GENESIS
            seq += 1
            if row["seq"] != seq:
                return f"chain {chain}: entry {seq} is missing"
            fields = {name: row[name] for name in Entry.__struct_fields__}
            previous = entry_hash(algorithm, previous, chain, seq, Entry(**fields))
            if previous != row["hash"]:
                return f"chain {chain}: entry {seq} was changed"
            hashes[chain, seq] = previous.hex()
    return None


def _against_heads(folder: Path, hashes: dict[tuple[int, int], str]) -> str | None:
    for file in sorted(folder.glob("*.head")):
        head = msgspec.json.decode(file.read_bytes())
        if hashes.get((head["chain"], head["seq"])) != head["hash"]:
            return f"chain {head['chain']}: entry {head['seq']}, noted outside the database, is missing or changed"
    return None


def _against_roots(file: Path, keyring: Keyring, hashes: dict[tuple[int, int], str]) -> str | None:
    if not file.exists():
        return None
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            heads = msgspec.json.decode(jws.deserialize_compact(line, keyring.signing_key(), algorithms=["ES256"]).payload)["heads"]
        except (JoseError, ValueError, KeyError):
            return f"signed root {number} was changed"
        for chain, seq, digest in heads:
            if hashes.get((chain, seq)) != digest:
                return f"chain {chain}: entry {seq}, signed in root {number}, is missing or changed"
    return None
