"""`Consent/$explain`: what a receiver may see of the resident who asks, class by class, with the provision that decides and a sentence."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from hub.access.requests import hub_of
from hub.access.sessions import require_person
from hub.store import grants, parties
from schemas.errors import BadRequest

router = APIRouter(prefix="/fhir", tags=["fhir"])
FHIR_JSON = "application/fhir+json"
OPERATION = "https://kinehub.org/fhir/OperationDefinition/consent-explain"


@router.get("/Consent/$explain")
async def explain(request: Request) -> Response:
    """What one receiver (`recipient=Organization/ID`) may see for one `purpose` of the resident who asks, signed in as themselves."""
    person = await require_person(request, "resident")
    assert person.resident is not None
    given = request.query_params
    if not given.get("purpose") or set(given) != {"recipient", "purpose"}:
        raise BadRequest("$explain takes recipient and purpose.", field="purpose", advice="For example ?recipient=Organization/ID&purpose=TREAT.")
    hub = hub_of(request)
    async with hub.database.connection() as connection:
        to = await parties.by_id(connection, _party(given["recipient"]))
    language = "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh-CN"
    found = await grants.explained(hub, person.resident, to, given["purpose"], language)
    return Response(orjson.dumps(parameters(found)), 200, {"Cache-Control": "no-store"}, FHIR_JSON)


@router.get("/OperationDefinition/consent-explain")
async def definition() -> Response:
    """What `$explain` takes and answers; needs no token."""
    return Response(orjson.dumps(operation_definition("2026-11-22")), 200, {"Access-Control-Allow-Origin": "*"}, FHIR_JSON)


def _party(reference: str) -> UUID:
    try:
        return UUID(reference.removeprefix("Organization/"))
    except ValueError:
        raise BadRequest("The recipient is written Organization/ID.", field="recipient") from None


def parameters(explanation: dict[str, Any]) -> dict[str, Any]:
    """The engine's explanation (`consent.explain`) as Parameters; what it does not say is left out."""
    head = [("valid-until", "valueDateTime"), ("data-from", "valueDateTime"), ("data-until", "valueDateTime")]
    stated = [{"name": name, kind: value} for name, kind in head if (value := explanation[name.replace("-", "_")]) is not None]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "at", "valueDateTime": explanation["at"]},
            *stated,
            {"name": "sensitive", "valueBoolean": explanation["sensitive"]},
            *({"name": "class", "part": _class(found)} for found in explanation["classes"]),
            *({"name": "not-understood", "valueString": f"{' '.join(problem['rule'])}: {problem['text']}"} for problem in explanation["problems"]),
        ],
    }


def _class(found: dict[str, Any]) -> list[dict[str, Any]]:
    rules = [{"name": name, "valueString": " ".join(found[key])} for name, key in (("rule", "rule"), ("except", "except")) if found[key]]
    return [
        {"name": "code", "valueCode": found["class"]},
        {"name": "decision", "valueCode": found["decision"]},
        *rules,
        {"name": "text", "valueString": found["text"]},
    ]


def operation_definition(date: str) -> dict[str, Any]:
    """`$explain` as R4 describes an operation."""

    def parameter(name: str, type_: str, use: str, said: str, minimum: int = 0, maximum: str = "1", **more: Any) -> dict[str, Any]:
        return {"name": name, "use": use, "min": minimum, "max": maximum, "documentation": said, **({"type": type_} if type_ else {}), **more}

    parts = [
        parameter("code", "code", "out", "Data class of the unified data standard.", 1),
        parameter("decision", "code", "out", "permit, partly or deny.", 1),
        parameter("rule", "string", "out", "The Consent and provision that decided."),
        parameter("except", "string", "out", "The provision that takes a part away."),
        parameter("text", "string", "out", "The same in a sentence, in the language of Accept-Language (zh-CN or en).", 1),
    ]
    return {
        "resourceType": "OperationDefinition", "id": "consent-explain", "url": OPERATION, "version": "1.0.0", "name": "Explain",
        "title": "What a receiver may see", "status": "active", "kind": "operation", "date": date, "publisher": "KineHub",
        "description": "For the signed-in resident: what one receiver may see of them for one purpose, decided by the engine that decides every read.",
        "affectsState": False, "code": "explain", "resource": ["Consent"], "system": False, "type": True, "instance": False,
        "parameter": [
            parameter("recipient", "string", "in", "Organization/ID of the receiver.", 1),
            parameter("purpose", "code", "in", "v3 PurposeOfUse code, for example TREAT.", 1),
            parameter("at", "dateTime", "out", "The moment of the decision.", 1),
            parameter("valid-until", "dateTime", "out", "When the decision changes by itself."),
            parameter("data-from", "dateTime", "out", "What happened before is not seen."),
            parameter("data-until", "dateTime", "out", "What happened after is not seen."),
            parameter("sensitive", "boolean", "out", "Whether what carries a sensitivity label may be seen.", 1),
            parameter("class", "", "out", "One data class.", 0, "*", part=parts),
            parameter("not-understood", "string", "out", "What in the resident's Consents the engine does not understand, and so denies.", 0, "*"),
        ],
    }  # fmt: skip
