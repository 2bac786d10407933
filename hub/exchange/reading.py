"""What a caller may see of one resident, as search candidates: opened under one permit, one snapshot, nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from consent.permit import Permit
from hub.access.requests import even_out
from hub.audit import disclosed
from hub.audit.trail import Entry
from hub.exchange import linkage, related
from hub.exchange.compartment import Resource
from hub.store import residents
from hub.store.ids import join
from hub.store.vault import KIND_NUMBERS, Asked, Disclosed
from mappings.face import types
from schemas.errors import BadRequest, SealError
from schemas.standard import OF_RESIDENTS

if TYPE_CHECKING:
    from hub.service import Hub

_APART = {"Patient": ("resident",), "Consent": ("consent",), "Linkage": ("session",), related.TYPE: ("resident",)}
KINDS_OF_TYPE: dict[str, tuple[str, ...]] = _APART | {
    type_: tuple(kind for kind in OF_RESIDENTS if type_ in types(kind)) for type_ in sorted({type_ for kind in OF_RESIDENTS for type_ in types(kind)})
}
"""Which record kinds can show resources of a type: the types the hub stores for residents, and those that it computes."""
COMPUTED = ("Linkage", related.TYPE)
"""Types that are in no record: made of what a permit lets through."""

CHUNK = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def resources(opened: Iterable[Disclosed]) -> list[Resource]:
    """Disclosed records as search resources, newest record first, slots in their order."""
    return [found for one in opened for _, found in _resources(one)]


def _resources(one: Disclosed) -> list[tuple[int, Resource]]:
    record, at = str(one.id), micros(one.starts)
    return [(slot.slot, Resource(body, slot.type, join(record, slot.slot), at)) for slot, body in one.resources]


async def visible(hub: Hub, connection: Any, asked: Asked, types: Iterable[str]) -> tuple[list[Resource], tuple[str, ...]]:
    """Every resource of the compartment that `asked` may see and that may be of `types` (`*` = any), and the rules that let it."""
    wanted = set(types)
    kinds = [kind for kind in KIND_NUMBERS if "*" in wanted or any(kind in KINDS_OF_TYPE.get(type_, ()) for type_ in wanted)]
    found: list[Resource] = []
    sessions: list[Disclosed] = []
    rules: dict[str, None] = {}
    after: tuple[datetime, UUID] | None = None
    permit = None
    while kinds:
        again, rows = await hub.vault.history(connection, asked, kinds=kinds, after=after, limit=CHUNK)
        if permit is not None and again is not permit:
            found, sessions, rules, after, permit = [], [], {}, None, None
            continue
        permit = again
        opened = list(hub.vault.disclose(permit, rows))
        found += resources(opened)
        sessions += [one for one in opened if one.kind == "session"]
        rules |= dict.fromkeys(rule for one in opened for rule in one.rules)
        if len(rows) < CHUNK:
            break
        after = rows[-1]["starts"], rows[-1]["id"]
    if permit is not None and wanted & {"*", "Linkage"}:
        found += await _linkages(hub, connection, permit, sessions)
    if permit is not None and wanted & {"*", related.TYPE}:
        found += [Resource(body, related.TYPE, id_, micros(begun)) for id_, body, begun in await related.people(hub, connection, permit)]
    return found, tuple(rules)


async def _linkages(hub: Hub, connection: Any, permit: Permit, sessions: Sequence[Disclosed]) -> list[Resource]:
    if len(sessions) < 2:
        return []
    resident = UUID(permit.resident)
    made = linkage.linkages(permit, sessions, await hub.vault.references(connection), await residents.zone_of(connection, resident))
    return [Resource(body, "Linkage", id_, micros(counts.starts)) for id_, body, counts in made]


Place = tuple[datetime, UUID, int]
"""Where a page ended: a record's start and id, and the slot in it."""

RICH = 8
"""Resources of one type that a session's record shows, about; from it follows how many records the first look reads."""


async def newest(
    hub: Hub, connection: Any, asked: Asked, type_: str, count: int, after: Place | None
) -> tuple[list[Resource], Place | None, tuple[str, ...]]:
    """The `count` newest resources of a type without reading further than needed, where the page ended, and the rules."""
    page: list[Resource] = []
    places: list[Place] = []
    rules: dict[str, None] = {}
    first = (after[0], _next_id(after[1])) if after else None
    cursor, limit, read, permit = first, min(CHUNK, count // RICH + 1), 0, None
    while True:
        again, rows = await hub.vault.history(connection, asked, kinds=KINDS_OF_TYPE[type_], after=cursor, limit=limit)
        if permit is not None and again is not permit:
            page, places, rules, cursor, read, permit = [], [], {}, first, 0, None
            continue
        permit, read = again, read + len(rows)
        for one in hub.vault.disclose(permit, rows, type_):
            rules |= dict.fromkeys(one.rules)
            place = one.starts, one.id
            seen = after[2] if after and place == after[:2] else -2
            for slot, resource in _resources(one):
                if slot > seen:
                    page.append(resource)
                    places.append((*place, slot))
            if len(page) > count:
                break
        if len(page) > count or len(rows) < limit:
            break
        cursor, limit = (rows[-1]["starts"], rows[-1]["id"]), _next_limit(count + 1 - len(page), len(page), read)
    more = places[count - 1] if len(page) > count else None
    return page[:count], more, tuple(rules)


def _next_limit(missing: int, found: int, read: int) -> int:
    """How many records to read for what a page still lacks, by what the ones read so far have shown."""
    return min(CHUNK, missing * read // found + 2 if found else 4 * read)


def _next_id(identity: UUID) -> UUID:
    """Just past an id, so that a page that ended inside a record meets that record again."""
    return UUID(int=min(identity.int + 1, 2**128 - 1))


async def note(
    hub: Hub, asked: Asked, action: str, outcome: str, *, rules: Sequence[str] = (), resident: UUID | None = None, shown: Sequence[Resource] = (),
    served: Sequence[Resource] | None = None,
) -> None:
    """One audit entry of this request about this resident, durable before the answer leaves; with `nothing` shown it leaves at an even time.

    served: what is `shown` as it leaves, where the query asks for a shape
    """
    about = resident or asked.resident
    told = disclosed.resources(((one.type, one.raw) for one in served or shown), sum(disclosed.is_cut(one.raw) for one in shown))
    detail = hub.vault.seal_detail(about, told) if shown else None
    await hub.trail.note(Entry(
        actor=asked.actor, action=action, outcome=outcome, resident=about if about.int else None, party=asked.party, purpose=asked.purpose,
        rule=", ".join(rules) or None, detail=detail,
    ))  # fmt: skip
    if outcome == "nothing":
        await even_out()


class Cursor(msgspec.Struct, array_like=True):
    """A page's end: the place after a record's resource or a position in an order, and the resident's epoch when it was made."""

    starts: datetime | None = None
    record: UUID | None = None
    slot: int = 0
    position: bytes = b""
    epoch: int = 0

    @property
    def place(self) -> Place | None:
        return (self.starts, self.record, self.slot) if self.starts and self.record else None


def seal_cursor(hub: Hub, bound_to: bytes, *, place: Place | None = None, position: bytes = b"", epoch: int = 0) -> str:
    """A page's end, sealed and bound to client, resident, purpose and query, so that it works for nobody else."""
    starts, record, slot = place or (None, None, 0)
    plain = msgspec.msgpack.encode(Cursor(starts, record, slot, position, epoch))
    return base64.urlsafe_b64encode(hub.keyring.hub_sealer("cursor").seal(plain, bound_to)).decode().rstrip("=")


def open_cursor(hub: Hub, bound_to: bytes, text: str) -> Cursor:
    """The page's end in a cursor; the beginning where there is none. Raises BadRequest for one that is not ours or was made for another search or client."""
    if not text:
        return Cursor()
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.msgpack.decode(hub.keyring.hub_sealer("cursor").open(sealed, bound_to), type=Cursor)
    except (ValueError, SealError, msgspec.MsgspecError):
        raise _LinkAstray from None


async def epoch_of(hub: Hub, connection: Any, asked: Asked, cursor: Cursor) -> int:
    """The epoch of the permit that was just read under. Raises BadRequest when the resident changed what may be seen since the page link was made."""
    epoch = (await hub.vault.permit(connection, asked)).resident_epoch
    if cursor.epoch not in (0, epoch):
        raise _LinkAstray
    return epoch


class _LinkAstray(BadRequest):
    """A page link that leads nowhere any more."""

    def __init__(self) -> None:
        super().__init__("The page link does not belong to this search, or is out of date.", field="_cursor", advice="Start again at the first page.")


def binding(asked: Asked, client: str, pairs: Sequence[tuple[str, str]]) -> bytes:
    """What a cursor is bound to."""
    plain = repr((client, str(asked.resident), asked.purpose, sorted(pair for pair in pairs if pair[0] != "_cursor")))
    return hashlib.sha256(plain.encode()).digest()
