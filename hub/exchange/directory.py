"""The directory over FHIR: entries as search resources in the form the caller may see, and searches among them.

They are about no resident, so no consent is asked; the scope of their type is, and private contacts are for the entry's own party.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from hub.exchange import reading
from hub.exchange.compartment import Compartment, Resource
from hub.exchange.parameters import Query
from hub.exchange.search import Page, run
from hub.store import directory
from hub.store.directory import Entry

if TYPE_CHECKING:
    from hub.service import Hub

TYPES = directory.TYPES


def _resource(hub: Hub, entry: Entry, party: int | None) -> Resource:
    content = hub.directory.shown(entry, party)
    return Resource(orjson.dumps(content), entry.type, entry.id, reading.micros(entry.updated), content)


async def lookup(hub: Hub, connection: Any, party: int | None, covers: Callable[[str], bool]) -> Callable[[str, str], Resource | None]:
    """Look-up of entries for references that lead out of a resident's compartment; `covers` says which types the scope covers."""
    await hub.directory.refresh(connection)

    def read(type_: str, id_: str) -> Resource | None:
        entry = hub.directory.get(type_, id_)
        return _resource(hub, entry, party) if entry and covers(type_) else None

    return read


async def versions(hub: Hub, connection: Any, party: int | None, type_: str, id_: str) -> list[Resource]:
    """Every version of one entry, newest first; none for an id that PostgreSQL could not even hold."""
    if "\0" in id_:
        return []
    return [_resource(hub, entry, party) for entry in await directory.versions(connection, type_, id_)]


async def page(hub: Hub, connection: Any, party: int | None, covers: Callable[[str], bool], query: Query, position: bytes) -> Page:
    """A page of a search; chains and includes look among the entries and nowhere else."""
    await hub.directory.refresh(connection)
    seen = Compartment(_resource(hub, entry, party) for entry in hub.directory.entries() if covers(entry.type))
    return run(query, seen.of_type(query.resource_type), seen, position or None)
