"""What a party may put into the directory: R4 resources that are valid, named, identified, its own, and hold nothing unknown."""

from __future__ import annotations

from typing import Final

from hub.exchange.valid import check, wrong
from hub.store.directory import Body, each
from schemas.errors import InvalidRecord, Refused
from schemas.resident import HEALTH_CARD_SYSTEM, ID_NUMBER_SYSTEM

NEEDED: Final = {
    "Location": "name", "Practitioner": "name", "PractitionerRole": "practitioner", "HealthcareService": "name", "DeviceDefinition": "modelNumber",
}  # fmt: skip
"""The types a party may add, and what each of them needs beside an identifier."""

OWNER: Final = {"Location": "managingOrganization", "PractitionerRole": "organization", "HealthcareService": "providedBy", "DeviceDefinition": "owner"}
"""The element that names the party; filled in where it is left out."""

GIVEN: Final = ("id", "meta")
UNTAKEN: Final = ("text", "contained", "implicitRules", "modifierExtension", "fhir_comments")
"""A narrative or contained resource would carry private contacts past their seal; the others cannot be understood here."""


def checked(body: object, organization: str) -> Body:
    """A directory entry of the party whose Organization this is. Raises InvalidRecord with the path, or Refused for another's."""
    type_ = body.get("resourceType") if isinstance(body, dict) else None
    if not isinstance(body, dict) or type_ not in NEEDED:
        raise InvalidRecord(f"resourceType is one of {', '.join(NEEDED)}.", field="resourceType")
    _check_elements(type_, body)
    _check_identifiers(type_, body)
    _check_named(type_, body)
    return _owned(type_, body, organization)


def _check_elements(type_: str, body: Body) -> None:
    for name in GIVEN:
        if name in body:
            raise wrong(f"{type_}.{name}", "is given by the hub", "Leave it out; the identifier says which entry is meant.")
    for name in UNTAKEN:
        for path, _ in each(body, type_, name):
            if name != "text" or path == f"{type_}.text":
                raise wrong(path, "is not taken", "Leave it out.")
    check(body)


def _check_identifiers(type_: str, body: Body) -> None:
    identifiers = body.get("identifier") or [{}]
    for place, identifier in enumerate(identifiers):
        for name in ("system", "value"):
            if name not in identifier:
                raise wrong(f"{type_}.identifier[{place}].{name}", "is missing", "An entry is found again by the system and value of its identifier.")
    for path, system in each(body, type_, "system"):
        if system in (ID_NUMBER_SYSTEM, HEALTH_CARD_SYSTEM):
            raise wrong(path, "is for residents: nobody's ID or health-card number stands in the directory", "Use the number of a licence or of the staff.")


def _check_named(type_: str, body: Body) -> None:
    needed = NEEDED[type_]
    if needed not in body:
        raise wrong(f"{type_}.{needed}", "is missing")
    if type_ == "Practitioner" and "text" not in body["name"][0]:
        raise wrong("Practitioner.name[0].text", "is missing", "Give the whole name as it is written.")
    if type_ == "PractitionerRole" and "reference" not in body["practitioner"]:
        raise wrong("PractitionerRole.practitioner.reference", "is missing", "Add the Practitioner first; refer to it as Practitioner/ID.")


def _owned(type_: str, body: Body, organization: str) -> Body:
    name = OWNER.get(type_)
    if name is None:
        return body
    if name in body and body[name].get("reference") != organization:
        raise Refused(f"{type_}.{name} names another party.", advice=f"Leave it out, or name {organization}.")
    return body | {name: {"reference": organization} | body.get(name, {})}
