"""What a party may put into the directory: R4 resources that are valid, named, identified, its own, and hold nothing unknown."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

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


def _wrong(path: str, what: str, advice: str = "") -> InvalidRecord:
    return InvalidRecord(f"{path} {what}.", field=path, advice=advice)


def _check_elements(type_: str, body: Body) -> None:
    for name in GIVEN:
        if name in body:
            raise _wrong(f"{type_}.{name}", "is given by the hub", "Leave it out; the identifier says which entry is meant.")
    for name in UNTAKEN:
        for path, _ in each(body, type_, name):
            if name != "text" or path == f"{type_}.text":
                raise _wrong(path, "is not taken", "Leave it out.")
    _check_r4(type_, body)
    empty = _empty(body, type_)
    if empty is not None:
        raise _wrong(empty, "is empty", "Leave out what is not known.")


def _check_r4(type_: str, body: Body) -> None:
    from pydantic import ValidationError

    model: Any = getattr(import_module(f"fhir.resources.R4B.{type_.lower()}"), type_)
    try:
        model.model_validate(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise _wrong(_path(type_, problem["loc"]), "is no element of R4" if problem["type"] == "extra_forbidden" else "is not valid in R4") from None
    for field in model.model_fields.values():
        _check_field(type_, body, field.alias, field.json_schema_extra or {})


def _path(type_: str, places: tuple[int | str, ...]) -> str:
    return type_ + "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in places)


def _check_field(type_: str, body: Body, name: str, said: dict[str, Any]) -> None:
    """Required codes and reference targets, which the models name and do not check."""
    codes: list[str] = said.get("enum_values", [])
    targets: list[str] = said.get("enum_reference_types", [])
    if codes and name in body and body[name] not in codes:
        raise _wrong(f"{type_}.{name}", f"is one of {', '.join(codes)}")
    for path, reference in each(body.get(name), f"{type_}.{name}", "reference") if targets else ():
        if str(reference).partition("/")[0] not in targets:
            raise _wrong(path, f"refers to {' or '.join(targets)}")


def _empty(node: Any, path: str) -> str | None:
    """The path of the first null, blank text, or empty list or object: FHIR has none of these."""
    if node in (None, [], {}) or (isinstance(node, str) and not node.strip()):
        return path
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = (_empty(one, f"{path}[{place}]" if isinstance(place, int) else f"{path}.{place}") for place, one in below)
    return next((one for one in found if one is not None), None)


def _check_identifiers(type_: str, body: Body) -> None:
    identifiers = body.get("identifier") or [{}]
    for place, identifier in enumerate(identifiers):
        for name in ("system", "value"):
            if name not in identifier:
                raise _wrong(f"{type_}.identifier[{place}].{name}", "is missing", "An entry is found again by the system and value of its identifier.")
    for path, system in each(body, type_, "system"):
        if system in (ID_NUMBER_SYSTEM, HEALTH_CARD_SYSTEM):
            raise _wrong(path, "is for residents: nobody's ID or health-card number stands in the directory", "Use the number of a licence or of the staff.")


def _check_named(type_: str, body: Body) -> None:
    needed = NEEDED[type_]
    if needed not in body:
        raise _wrong(f"{type_}.{needed}", "is missing")
    if type_ == "Practitioner" and "text" not in body["name"][0]:
        raise _wrong("Practitioner.name[0].text", "is missing", "Give the whole name as it is written.")
    if type_ == "PractitionerRole" and "reference" not in body["practitioner"]:
        raise _wrong("PractitionerRole.practitioner.reference", "is missing", "Add the Practitioner first; refer to it as Practitioner/ID.")


def _owned(type_: str, body: Body, organization: str) -> Body:
    name = OWNER.get(type_)
    if name is None:
        return body
    if name in body and body[name].get("reference") != organization:
        raise Refused(f"{type_}.{name} names another party.", advice=f"Leave it out, or name {organization}.")
    return body | {name: {"reference": organization} | body.get(name, {})}
