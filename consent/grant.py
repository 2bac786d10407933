"""Writing consents: one receiver, one purpose, the classes by name, an end. And withdrawing them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from consent.provision import SHARING_SCOPES
from consent.terms import ACT_CODE, ACT_REASON, CONSENT_ACTION, INSTRUCTIONS, PURPOSES
from schemas.classes import SYSTEM, DataClass, codes_of
from schemas.errors import BadRequest
from schemas.labels import SENSITIVITIES

CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
POLICY = "https://kinehub.org/policy/resident-consent"
"""R4 asks each Consent for a policy (ppc-1). This one says: what is not permitted is denied."""
WITHDRAWN_AT = "https://kinehub.org/fhir/StructureDefinition/withdrawn-at"

Day = date | datetime


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _day(value: Day) -> date:
    return value.date() if isinstance(value, datetime) else value


def _same_day(day: date, years: int) -> date:
    """The same day in a later year; 28 February for the 29th."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return day.replace(year=day.year + years, day=28)


def _last_day(start: date, years: int) -> date:
    return _same_day(start, years) - timedelta(days=1)


def _text(value: Day, field: str) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise BadRequest("a time needs an offset", field=field)
        return value.isoformat(timespec="seconds")
    return value.isoformat()


def _order(value: Day) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def _period(start: Day | None, end: Day | None, field: str) -> dict[str, str]:
    if start and end and (_day(end) < _day(start) or (isinstance(start, datetime) and isinstance(end, datetime) and _order(end) <= _order(start))):
        raise BadRequest(f"{field}-until lies before {field}-from", field=field)
    edges = {"start": (start, f"{field}_from"), "end": (end, f"{field}_until")}
    return {name: _text(edge, place) for name, (edge, place) in edges.items() if edge is not None}


def _validity(start: Day, end: Day | None) -> dict[str, str]:
    last = end or _last_day(_day(start), 1)
    if _day(last) >= _same_day(_day(start), 5):
        raise BadRequest("a consent lasts five years at most", field="valid_until", advice="end it earlier; it can be renewed")
    return _period(start, last, "valid")


def _reference(value: str, field: str) -> dict[str, str]:
    kind, slash, name = value.partition("/")
    if not (kind and slash and name) or "/" in name:
        raise BadRequest("not a reference like Organization/…", field=field)
    return {"reference": value}


def _system(code: str) -> str:
    return SENSITIVITIES[code].system if code in SENSITIVITIES else ACT_CODE


def _checked(purpose: str, classes: DataClass, sensitive: Sequence[str]) -> None:
    if purpose not in PURPOSES:
        raise BadRequest("unknown purpose of use", field="purpose", advice="use a v3 PurposeOfUse code, for example TREAT")
    if not codes_of(classes) or int(classes) & ~sum(DataClass):
        raise BadRequest("no data class, or an unknown one", field="classes")
    for number, code in enumerate(sensitive):
        if not code.isalnum() or code in INSTRUCTIONS:
            raise BadRequest("not a sensitivity code", field=f"sensitive[{number}]", advice="use a v3 ActCode sensitivity, for example PSY")


def consent_for(
    *,
    resident: str,
    recipient: str,
    purpose: str,
    classes: DataClass,
    recorded: datetime,
    consent_id: str,
    sensitive: Sequence[str] = (),
    valid_from: Day | None = None,
    valid_until: Day | None = None,
    data_from: Day | None = None,
    data_until: Day | None = None,
    performer: str | None = None,
) -> dict[str, Any]:
    """An R4 Consent that lets `recipient` see these classes for this purpose. Valid one year unless said, five at most.

    `resident` and `recipient` are references; dates are days where the resident lives, ends included. What carries a sensitivity
    label is covered by a nested permit for the codes in `sensitive`, and by nothing else. `performer`: who agreed in the resident's name.
    """
    _checked(purpose, classes, sensitive)
    role = _concept(PARTICIPATION, "PRCP" if recipient.startswith("Organization/") else "IRCP")
    provision: dict[str, Any] = {
        "type": "permit",
        "period": _validity(valid_from or recorded, valid_until),
        "actor": [{"role": role, "reference": _reference(recipient, "recipient")}],
        "action": [_concept(CONSENT_ACTION, "access"), _concept(CONSENT_ACTION, "disclose")],
        "purpose": [{"system": ACT_REASON, "code": purpose}],
        "class": [{"system": SYSTEM, "code": code} for code in codes_of(classes)],
    }
    if data := _period(data_from, data_until, "data"):
        provision["dataPeriod"] = data
    if sensitive:
        provision["provision"] = [{"type": "permit", "securityLabel": [{"system": _system(code), "code": code} for code in sensitive]}]
    return _stated(resident, recorded, consent_id, provision) | {"performer": [_reference(performer or resident, "performer")]}


def refusal_for(
    *, resident: str, recorded: datetime, consent_id: str, source: str | None = None, instances: Sequence[str] = ()
) -> dict[str, Any]:
    """An R4 Consent that denies everybody everything until it is withdrawn; with `source` or `instances`, what this organization wrote, or these resources.

    It names no actor: it holds against every receiver there is or will be, the source included. The resident's own reading rests on no consent.
    """
    provision: dict[str, Any] = {"type": "deny"}
    meant = [("authoredby", source)] if source else [("instance", instance) for instance in instances]
    if meant:
        provision["data"] = [{"meaning": meaning, "reference": _reference(name, "data")} for meaning, name in meant]
    return _stated(resident, recorded, consent_id, provision)


def _stated(resident: str, recorded: datetime, consent_id: str, provision: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": consent_id,
        "status": "active",
        "scope": _concept(CONSENT_SCOPE, min(SHARING_SCOPES)),
        "category": [_concept("http://loinc.org", "59284-0")],
        "patient": _reference(resident, "resident"),
        "dateTime": _text(recorded, "recorded"),
        "performer": [_reference(resident, "resident")],
        "policy": [{"uri": POLICY}],
        "provision": provision,
    }


def withdrawn(consent: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The consent, no longer in force from `at` on; what it permitted before stays on record."""
    stamp = {"url": WITHDRAWN_AT, "valueDateTime": _text(at, "at")}
    others = [each for each in consent.get("extension") or [] if each.get("url") != WITHDRAWN_AT]
    return {**consent, "status": "inactive", "extension": [*others, stamp]}


class Paper(NamedTuple):
    """A signed form: the number of its wording, what was scanned of it, and the SHA-256 of the scan."""

    number: str
    type: str
    size: int
    sha256: str


class Assisted(NamedTuple):
    """Who recorded a resident's words for them: the enterer and the witness by account and name, for whom, how, and how they knew who it was."""

    enterer: tuple[str, str]
    organization: str
    channel: str
    checked: str
    at: datetime
    witness: tuple[str, str] | None = None
    paper: Paper | None = None


ACCOUNTS, HASHES = "https://kinehub.org/sid/account", "https://kinehub.org/sid/sha-256"
_AGENTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"


def assisted(consent: dict[str, Any], by: Assisted) -> dict[str, Any]:
    """The consent, saying by its verification and a contained Provenance that staff recorded it; the resident stays who agrees.

    It holds what each version owes to staff: one that was given so and stopped so has two.
    """
    resident, at = consent["patient"], _text(by.at, "at")
    agents = [("author", {**resident}, _AGENTS), ("enterer", _account(by.enterer), _AGENTS)]
    agents += [("WIT", _account(by.witness), PARTICIPATION)] if by.witness else []
    before = [each for each in consent.get("contained") or [] if each.get("resourceType") == "Provenance"]
    provenance: dict[str, Any] = {
        "resourceType": "Provenance", "id": f"assisted-{len(before) + 1}", "target": [{"reference": "#"}], "recorded": at,
        "activity": {"text": by.channel}, "reason": [{"text": f"identity: {by.checked}"}],
        "agent": [
            {"type": _concept(system, code), "who": who} | ({} if code == "author" else {"onBehalfOf": {"reference": by.organization}})
            for code, who, system in agents
        ],
    }  # fmt: skip
    stated = {**consent, "verification": [{"verified": True, "verifiedWith": resident, "verificationDate": at}]}
    if by.paper:
        proof = {"system": HASHES, "value": by.paper.sha256}
        provenance["entity"] = [{"role": "source", "what": {"identifier": proof, "display": f"signed form {by.paper.number}"}}]
        stated["sourceAttachment"] = {"contentType": by.paper.type, "size": by.paper.size, "title": f"signed form {by.paper.number}", "creation": at}
    return {**stated, "contained": [*(consent.get("contained") or []), provenance]}


def _account(who: tuple[str, str]) -> dict[str, Any]:
    return {"identifier": {"system": ACCOUNTS, "value": who[0]}, "display": who[1]}


def renewed(consent: dict[str, Any], at: datetime, consent_id: str) -> dict[str, Any]:
    """A new consent that says what a withdrawn one said, agreed to at `at`, until the same end. Its own numbers, and how it was given, are not carried over."""
    own = ("meta", "identifier", "extension", "contained", "verification", "sourceAttachment")
    kept = {name: value for name, value in consent.items() if name not in own}
    others = [each for each in consent.get("extension") or [] if each.get("url") != WITHDRAWN_AT]
    return {**kept, "id": consent_id, "status": "active", "dateTime": _text(at, "at")} | ({"extension": others} if others else {})
