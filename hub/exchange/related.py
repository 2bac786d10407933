"""Who acts for a resident, as FHIR RelatedPerson: made for one caller out of those who act now, never stored.

They are told like the resident's own name: to the resident, and to whom a consent permits identity. Whose own record a helper's is stands nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from consent.permit import Permit
from consent.request import Facts
from hub.access import accounts, representatives
from hub.access.representatives import Representative
from schemas.classes import DataClass

if TYPE_CHECKING:
    from hub.service import Hub

TYPE = "RelatedPerson"
ROLES = {"parent": ("PRN", "parent"), "guardian": ("GUARD", "guardian"), "family": ("FAMMEMB", "family member"), "relative": ("FAMMEMB", "family member")}
"""Relation to v3 RoleCode and its display."""


def role(relation: str) -> dict[str, str]:
    """The coding of a relation."""
    code, display = ROLES[relation]
    return {"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": code, "display": display}


async def people(hub: Hub, connection: Any, permit: Permit) -> list[tuple[str, bytes, datetime]]:
    """(id, bytes as served, since when) of each who acts now and of whom this permit lets the caller know."""
    acting = await representatives.acting_for(hub, connection, UUID(permit.resident))
    made = [(one, _resource(one, (await accounts.account(connection, hub.keyring, one.account)).name)) for one in acting if one.account]
    return [(str(one.id), orjson.dumps(content), one.begun) for one, content in made if _is_permitted(permit, one, content)]


def _resource(one: Representative, name: str) -> dict[str, Any]:
    begun = _instant(one.begun)
    # where a parent's right ends is the birthday of the child, and not this resource's to tell
    end = {"end": _instant(one.ends)} if one.ends and one.relation not in representatives.OF_A_CHILD else {}
    return {
        "resourceType": TYPE, "id": str(one.id), "meta": {"versionId": "1", "lastUpdated": begun}, "active": True,
        "patient": {"reference": f"Patient/{one.resident}"}, "relationship": [{"coding": [role(one.relation)]}], "name": [{"text": name}],
        "period": {"start": begun} | end,
    }  # fmt: skip


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_permitted(permit: Permit, one: Representative, content: dict[str, Any]) -> bool:
    if permit.basis == "self":
        return True
    facts = Facts(classes=int(DataClass.IDENTITY), resource_type=TYPE, reference=one.reference, starts=one.begun, ends=None)
    return permit.decision.check(facts, content).decision == "permit"
