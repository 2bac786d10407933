"""The directory: what is about no resident (Organization, Location, Practitioner …), every version of it in one table.

Each process keeps the newest versions in memory. A writer holds a lock on the table until it commits, so `change` grows in the order
of commits, and what a process lacks is exactly the rows past the last change it saw: one look at an index before use, empty as a rule.
A practitioner's private contacts are sealed under the hub's key and opened for the entry's own party alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec
import orjson
from asyncpg import Record as Row

from hub.store.database import Connection, Database
from hub.store.keyring import Keyring
from schemas.errors import Conflict, InvalidRecord, Refused

Body = dict[str, Any]

TYPES: Final = ("Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService", "DeviceDefinition")

PRIVATE: Final[dict[str, tuple[str, ...]]] = {
    "Practitioner": ("telecom", "address", "birthDate", "_birthDate", "photo"),
    "PractitionerRole": ("telecom",),
}
"""Elements that are sealed: nobody but the entry's own party reads them or finds by them."""

Sealing = Callable[..., bytes]
"""`seal` or `open` of the hub's sealer: a value, then where it stands."""

Named = Mapping[tuple[str, str], tuple[str, str]]
"""(type, exact text) to (reference, display) of the one entry that the text names."""

_COLUMNS: Final = "type, id, version, party, updated, change, body, contacts"
_NAMING: Final = ("venue", "coach", "tester", "performer", "performing_organization", "laboratory", "reporter", "practitioner", "assessor", "recorder")


class Entry(msgspec.Struct, frozen=True):
    """One version of one entry."""

    type: str
    id: str
    version: int
    party: int
    updated: datetime
    change: int
    body: Body
    contacts: bytes | None

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    def shown(self, opener: Sealing | None) -> Body:
        """The resource as it is served; with its private contacts only where what opens them is given."""
        body = self.body | (self._private(opener) if opener else {})
        meta = {"versionId": str(self.version), "lastUpdated": self.updated.isoformat(timespec="milliseconds"), **body.pop("meta", {})}
        return {"resourceType": self.type, "id": self.id, "meta": meta} | body

    def _private(self, opener: Sealing) -> Body:
        return orjson.loads(opener(self.contacts, *_place(self.type, self.id, self.version))) if self.contacts else {}


def _place(type_: str, id_: str, version: int) -> tuple[bytes, ...]:
    return b"contacts", type_.encode(), id_.encode(), str(version).encode()


def _entry(row: Row) -> Entry:
    return Entry(**dict(row))


# In memory


class Directory:
    """The newest version of every entry, as far as the last `refresh` saw it."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._opener: Sealing = keyring.hub_sealer("directory").open
        self._entries: dict[tuple[str, str], Entry] = {}
        self._named: dict[int, Named] = {}
        self._seen = 0

    async def refresh(self, connection: Connection[Any]) -> None:
        """Take over what was committed since the last time, by whatever process."""
        rows = await connection.fetch(f"SELECT {_COLUMNS} FROM directory WHERE change > $1 AND current ORDER BY change", self._seen)  # noqa: S608 - constant columns
        for row in rows:
            if row["change"] > self._seen:  # another task may have been faster
                self._take(_entry(row))

    def _take(self, entry: Entry) -> None:
        self._entries[entry.type, entry.id] = entry
        self._named.pop(entry.party, None)
        self._seen = entry.change

    def get(self, type_: str, id_: str) -> Entry | None:
        return self._entries.get((type_, id_))

    def name_of(self, type_: str, id_: str) -> str:
        """The name of an entry; its id where it has none."""
        entry = self.get(type_, id_)
        return _texts(entry.type, entry.body)[0] if entry else id_

    def entries(self) -> Iterable[Entry]:
        """Every entry in its newest version."""
        return self._entries.values()

    def shown(self, entry: Entry, party: int | None) -> Body:
        """An entry as a party (None: a person) sees it: private contacts are for its own party."""
        return entry.shown(self._opener if entry.party == party else None)

    async def named(self, party: int, records: Iterable[object]) -> Named:
        """Whom and what the records of a party may name. Asks the database only where a record names somebody or a place."""
        if not any(getattr(record, field, None) for record in records for field in _NAMING):
            return {}
        async with self._database.connection() as connection:
            await self.refresh(connection)
        if party not in self._named:
            self._named[party] = _unambiguous(entry for entry in self.entries() if entry.party == party)
        return self._named[party]


def _texts(type_: str, body: Body) -> tuple[str, set[str]]:
    """An entry's name, and every text that names it: its name and the values of its identifiers."""
    names = [body["name"]] if type_ != "Practitioner" else [name["text"] for name in body.get("name", ()) if "text" in name]
    return names[0], {*names, *(identifier["value"] for identifier in body.get("identifier", ()))}


def _unambiguous(entries: Iterable[Entry]) -> Named:
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for entry in entries:
        if entry.type in ("Location", "Organization", "Practitioner"):
            display, texts = _texts(entry.type, entry.body)
            for text in (*texts, entry.reference):
                found.setdefault((entry.type, text), set()).add((entry.reference, display))
    return {text: next(iter(named)) for text, named in found.items() if len(named) == 1}


# Written


async def versions(connection: Connection[Any], type_: str, id_: str) -> list[Entry]:
    """Every version of one entry, newest first."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM directory WHERE type = $1 AND id = $2 ORDER BY version DESC", type_, id_)  # noqa: S608 - constant columns
    return [_entry(row) for row in rows]


async def newest(connection: Connection[Any], party: int | None = None) -> list[Entry]:
    """Every entry in its newest version, or those of one party."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM directory WHERE current AND ($1::int IS NULL OR party = $1) ORDER BY party, type, change",  # noqa: S608 - constant columns
        party,
    )
    return [_entry(row) for row in rows]


async def _locked(connection: Connection[Any]) -> None:
    await connection.execute("LOCK TABLE directory IN SHARE ROW EXCLUSIVE MODE")


async def put_organization(connection: Connection[Any], party: int, id_: str, body: Body) -> None:
    """The Organization of a party, as a new version; inside the transaction that registers or changes the party."""
    await _locked(connection)
    known = await connection.fetchval("UPDATE directory SET current = false WHERE type = 'Organization' AND id = $1 AND current RETURNING version", id_)
    await _write(connection, None, ("Organization", id_, (known or 0) + 1), party, body)


async def put(connection: Connection[Any], keyring: Keyring, party: int, body: Body) -> tuple[Entry, str]:
    """Store a party's entry: `created`, or `updated` where the party has one of its type with the same identifier, or `unchanged`.

    Raises InvalidRecord for a reference to nothing, Refused for one to another party's practitioner, Conflict when its identifiers
    belong to several entries.
    """
    sealer = keyring.hub_sealer("directory")
    async with connection.transaction():
        await _locked(connection)
        await _check_references(connection, party, body)
        known = await _same(connection, party, body)
        if known is None:
            return await _write(connection, sealer.seal, (body["resourceType"], str(uuid4()), 1), party, body), "created"
        if known.shown(sealer.open) | {"id": None, "meta": None} == body | {"id": None, "meta": None}:
            return known, "unchanged"
        # What a person takes back is gone: an older version is kept without the private contacts.
        await connection.execute("UPDATE directory SET current = false, contacts = NULL WHERE type = $1 AND id = $2 AND current", known.type, known.id)
        return await _write(connection, sealer.seal, (known.type, known.id, known.version + 1), party, body), "updated"


async def _write(connection: Connection[Any], seal: Sealing | None, place: tuple[str, str, int], party: int, body: Body) -> Entry:
    hidden = PRIVATE.get(place[0], ())
    private = {name: value for name, value in body.items() if name in hidden}
    sealed = seal(_padded(orjson.dumps(private)), *_place(*place)) if private and seal else None
    public = {name: value for name, value in body.items() if name not in hidden}
    row = await connection.fetchrow(
        f"INSERT INTO directory (type, id, version, party, body, contacts) VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}",  # noqa: S608 - constant columns
        *place, party, orjson.dumps(public).decode(), sealed,
    )  # fmt: skip
    assert row is not None
    return _entry(row)


def _padded(plain: bytes) -> bytes:
    """With spaces up to a multiple of 256 bytes, so that lengths tell little."""
    return plain + b" " * (-len(plain) % 256)


async def _same(connection: Connection[Any], party: int, body: Body) -> Entry | None:
    identifiers = [{"system": one["system"], "value": one["value"]} for one in body["identifier"]]
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM directory WHERE current AND party = $1 AND type = $2 AND body -> 'identifier' @> ANY($3::jsonb[])",  # noqa: S608 - constant columns
        party, body["resourceType"], [orjson.dumps([one]).decode() for one in identifiers],
    )  # fmt: skip
    if len(rows) > 1:
        raise Conflict("The identifiers belong to several entries.", field="identifier", advice="Send each entry with its own identifiers.")
    return _entry(rows[0]) if rows else None


def each(node: Any, path: str, key: str) -> Iterator[tuple[str, Any]]:
    """(path, value) of every element of this name, at any depth."""
    if isinstance(node, list):
        for place, one in enumerate(node):
            yield from each(one, f"{path}[{place}]", key)
    elif isinstance(node, dict):
        for name, one in node.items():
            if name == key:
                yield f"{path}.{name}", one
            yield from each(one, f"{path}.{name}", key)


async def _check_references(connection: Connection[Any], party: int, body: Body) -> None:
    for path, reference in each(body, body["resourceType"], "reference"):
        type_, _, id_ = str(reference).partition("/")
        owner = await connection.fetchval("SELECT party FROM directory WHERE type = $1 AND id = $2 AND current", type_, id_)
        if owner is None:
            raise InvalidRecord(f"{path} names no entry of the directory.", field=path, advice="Add that entry first; refer to it as Type/ID.")
        if type_ == "Practitioner" and owner != party:
            raise Refused(f"{path} names another party's practitioner.", advice="Add the practitioner as your own.")
