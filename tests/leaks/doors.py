"""Every door of the hub, and the column of the matrix that goes through it: a door that is not here fails the suite."""

from __future__ import annotations

OWN = "the resident's own sign-in: tests/web, tests/exchange/test_own_consent.py"
UPLOADER = "the uploader's own rows: the `receipts` column"
NOBODY = "of nobody: published, or about the hub itself"
SIGNING = "keys, tokens and sessions"

DOORS: dict[str, str] = {
    "GET /fhir/{type_}/{id_}": "read",
    "GET /fhir/{type_}/{id_}/_history/{version}": "vread",
    "GET /fhir/{type_}/{id_}/_history": "hist",
    "GET /fhir/{type_}": "search count next incl chain has err",
    "POST /fhir/{type_}/_search": "search",
    "GET /fhir/Patient/{id_}/$everything": "every",
    "GET /fhir/Observation/{id_}/$sampled": "sampled",
    "POST /fhir/{type_}/{id_}/$validate": "err",
    "POST /fhir/{type_}/$validate": "judges what is sent, and keeps nothing",
    "GET /fhir/Consent/$explain": OWN,
    "POST /fhir/Consent": OWN,
    "PUT /fhir/Consent/{id_}": OWN,
    "POST /intake/{format_}": UPLOADER,
    "GET /intake/receipts/{receipt_id}": UPLOADER,
    "POST /intake/receipts/{receipt_id}/pending/{row}": UPLOADER,
    "GET /hospital": "asks for a number",
    "POST /hospital": "portal",
    "GET /hospital/code": "asks for a code",
    "POST /hospital/code": "makes the Consent that a code stands for, and shows nothing itself: tests/web/test_visit_codes.py",
    "GET /hospital/petitions": "kinds and days of what residents asked, nothing of theirs",
    "GET /hospital/petitions/{petition}": "what a resident wrote to this party: tests/web/test_petitions.py",
    "POST /hospital/petitions/{petition}": "the party's own answer",
    "GET /hospital/patients/{resident}": "portal",
    "GET /hospital/patients/{resident}/sessions.csv": "dl",
    "GET /hospital/emergency": "asks for a number and a reason",
    "POST /hospital/emergency": "emergency",
    "GET /hospital/emergency/patient": "emergency",
    "POST /hospital/emergency/end": "ends it",
    "GET /hospital/reviews": "the words of a colleague about an access, of nobody's data: tests/web/test_emergencies.py",
    "POST /hospital/reviews/{identity}": "judges an access, and shows nothing: tests/web/test_emergencies.py",
    "GET /center/assist": "assist",
    "POST /center/assist": "says whether number and person fit, and nothing of theirs: tests/web/test_assists.py",
    "GET /center/assist/form": NOBODY,
    "GET /center/assist/{case}": "assist",
    "GET /center/assist/{case}/grant": "assist",
    "POST /center/assist/{case}/grant": "keeps what was entered, and shows nothing: tests/web/test_assists.py",
    "GET /center/assist/{case}/stop": "assist",
    "POST /center/assist/{case}/stop": "assist",
    "POST /center/assist/{case}/resume": "keeps what was entered, and shows nothing: tests/web/test_assists.py",
    "GET /center/assist/{case}/form": "assist",
    "GET /center/assist/{case}/paper": "assist",
    "POST /center/assist/{case}/paper": "takes a scan in: tests/web/test_assists.py",
    "POST /center/assist/{case}/ask": "assist",
    "POST /center/assist/{case}/confirm": "assist",
    "POST /center/assist/{case}/cancel": "assist",
    "GET /resident/assists/{case}/paper": "assist",
    "GET /resident/assists/{case}": "assist",
    "GET /metrics": "agg",
    "GET /city": "agg",
}
"""Doors of residents' data, and those beside them. What begins like one of `BESIDE` needs no line of its own.

HEAD goes through the door of GET (`hub.app.Named`), so that it needs none.
"""

BESIDE: dict[str, str] = {
    "/resident": OWN, "/center": UPLOADER, "/oauth": SIGNING, "/sign-in": SIGNING, "/sign-out": SIGNING, "/account": SIGNING, "/join": SIGNING,
    "/fhir/CodeSystem": NOBODY, "/fhir/ValueSet": NOBODY, "/fhir/ConceptMap": NOBODY, "/fhir/metadata": NOBODY, "/fhir/.well-known": NOBODY,
    "/fhir/OperationDefinition": NOBODY, "/standard": NOBODY, "/static": NOBODY, "/docs": NOBODY, "/openapi.json": NOBODY, "/healthz": NOBODY,
    "/readyz": NOBODY, "/admin": NOBODY, "/intake/formats": NOBODY, "/fhir/Questionnaire": NOBODY,
}  # fmt: skip

OF_NOBODY: dict[str, str] = {
    "MeasureReport": "people at a venue, in steps of ten for all but its centre: tests/leaks/test_occupancy.py",
    "AuditEvent": "who looked, for whom it is about and for the party: tests/exchange/test_audit_events.py", "OperationDefinition": NOBODY,
    **dict.fromkeys(("Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService", "DeviceDefinition"), "the directory"),
    **dict.fromkeys(("CodeSystem", "ValueSet", "ConceptMap", "Questionnaire", "Measure"), NOBODY),
}  # fmt: skip
"""Types that are read without a resident's consent, and why they may be. A type that is in neither list fails the suite."""
