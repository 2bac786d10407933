"""FHIR resources that no record makes: the Patient of a resident, the Organization of a party.

Identifiers follow the national arc 2.16.156.10011; member numbers and party kinds, which have no national system, ours.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from mappings.compiler import IPS_PROFILES, security
from mappings.face import Resource
from mappings.functions import EXTENSIONS, dumps
from schemas.classes import DataClass
from schemas.codes import PARTY_KIND, SEX
from schemas.resident import HEALTH_CARD_SYSTEM, ID_NUMBER_SYSTEM, MEMBER_SYSTEM, Resident, id_number

NOT_KNOWN: Final = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
"""Said in place of the name and the birth date, which IPS requires of a Patient: everything else of a resident refers to it."""
IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"


class Party(Protocol):
    """What an Organization needs of a party."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def contact(self) -> str | None: ...

    @property
    def country(self) -> str | None: ...


def patient(resident: Resident, resident_id: str) -> Resource:
    """The Patient of a resident; its id is the resident's own (slot -1)."""
    said: dict[str, Any] = {
        "resourceType": "Patient",
        "id": resident_id,
        "meta": {"profile": [IPS_PROFILES + "Patient-uv-ips", EXTENSIONS + "kinehub-patient"], "security": [security("identity")]},
        "language": "zh-CN",
        "extension": _extensions(resident),
        "identifier": _identifiers(resident),
        "active": True,
        "name": [{"use": "official", "text": resident.name}] if _said(resident.name) else [{"_text": NOT_KNOWN}],
        "telecom": [{"system": "phone", "value": resident.phone, "use": "mobile"}] if _said(resident.phone) else [],
        "gender": resident.gender,
        "_gender": _gender_code(resident),
        "birthDate": resident.birth_date,
        "_birthDate": None if resident.birth_date else NOT_KNOWN,
        "address": [{"extension": [{"url": EXTENSIONS + "division", "valueCode": resident.area}]}] if _said(resident.area) else [],
    }
    present = {name: value for name, value in said.items() if value not in (None, [])}
    return Resource(-1, "Patient", int(DataClass.IDENTITY), dumps(present))


def _said(text: str | None) -> bool:
    return bool(text) and not str(text).isspace()


def _extensions(resident: Resident) -> list[dict[str, str]]:
    return [{"url": EXTENSIONS + "time-zone", "valueCode": resident.zone}] if resident.zone else []


def _identifier(kind: str, system: str, value: str, **more: object) -> dict[str, object]:
    return {"type": {"coding": [{"system": IDENTIFIER_TYPES, "code": kind}]}, "system": system, "value": value, **more}


def _identifiers(resident: Resident) -> list[dict[str, object]]:
    found = []
    if resident.id_number:
        found.append({"use": "official", **_identifier("NI", ID_NUMBER_SYSTEM, id_number(resident.id_number) or resident.id_number)})
    if resident.health_card:
        found.append(_identifier("HC", HEALTH_CARD_SYSTEM, resident.health_card))
    for member in resident.member_numbers:
        party = member.party if member.party.startswith("Organization/") else f"Organization/{member.party}"
        found.append(_identifier("MB", MEMBER_SYSTEM, member.number, assigner={"reference": party}))
    return found


def _gender_code(resident: Resident) -> dict[str, object] | None:
    if resident.gender_code is None:
        return None
    value = {"system": SEX, "code": resident.gender_code}
    return {"extension": [{"url": EXTENSIONS + "gender-code", "valueCoding": value}]}


def organization(party: Party) -> dict[str, Any]:
    """The directory's Organization of a party: who it is, of what kind, where it is reached. The directory gives it id and version."""
    kind = {"coding": [{"system": PARTY_KIND, "code": party.kind}]}
    meta = {"profile": [EXTENSIONS + "kinehub-organization"]}
    telecom = {"telecom": [{"system": _reached_by(party.contact), "value": party.contact}]} if party.contact else {}
    address = {"address": [{"country": party.country}]} if party.country else {}
    return {"resourceType": "Organization", "meta": meta, "active": True, "type": [kind], "name": party.name} | telecom | address


def _reached_by(contact: str) -> str:
    """The ContactPoint system of a text; `other` where its form does not tell."""
    if re.fullmatch(r"\+?[\d() -]{5,20}", contact):
        return "phone"
    if re.fullmatch(r"[^@\s]+@[^@\s]+", contact):
        return "email"
    return "url" if re.match(r"https?://", contact) else "other"
