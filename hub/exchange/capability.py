"""What this hub says of itself: the CapabilityStatement and the SMART configuration, made from the definitions.

A search parameter is listed because the search answers it, so the statement cannot promise more or less than is there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hub.exchange.definitions import SearchParameter, is_supported, search_parameters
from schemas import package

_TOKEN_URI = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris#token"  # noqa: S105 - the older form: the newer must name /authorize too
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"

Statement = dict[str, Any]


def _supported(resource_type: str) -> list[SearchParameter]:
    return sorted((one for one in search_parameters(resource_type).values() if is_supported(one)), key=lambda one: one.code)


def _references(resource_type: str) -> list[SearchParameter]:
    return [one for one in _supported(resource_type) if one.type == "reference"]


def _reverse_includes(resource_type: str, sources: Collection[str]) -> list[str]:
    return [
        f"{source}:{one.code}" for source in sorted(sources) for one in _references(source) if not one.targets or resource_type in one.targets
    ]  # fmt: skip


def _search(resource_type: str, searched: Collection[str]) -> Statement:
    parameters = [{"name": one.code, "definition": one.url, "type": one.type} for one in _supported(resource_type)]
    includes = {} if resource_type == "AuditEvent" else {
        "searchInclude": ["*", *(f"{resource_type}:{one.code}" for one in _references(resource_type))],
        "searchRevInclude": _reverse_includes(resource_type, searched),
    }
    return {**{key: value for key, value in includes.items() if value}, "searchParam": parameters}


def _resource(resource_type: str, interactions: Sequence[str], searched: Collection[str], operations: Mapping[str, str]) -> Statement:
    stated: Statement = {
        "type": resource_type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{resource_type}",
        **({"supportedProfile": supported} if (supported := package.profiles(resource_type)) else {}),
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned" if "vread" in interactions else "no-version",
        "readHistory": "vread" in interactions,
        "referencePolicy": ["literal"],
    }
    if "search-type" in interactions:
        stated |= _search(resource_type, searched)
    if operations:
        stated["operation"] = [{"name": name, "definition": url} for name, url in operations.items()]
    return stated


def token_endpoint(base_url: str) -> str:
    """The token endpoint of the hub whose FHIR base this is."""
    return f"{base_url.rstrip('/').removesuffix('/fhir')}/oauth/token"


def _security(base_url: str) -> Statement:
    return {
        "extension": [{"url": _TOKEN_URI, "valueUri": token_endpoint(base_url)}],
        "cors": True,
        "service": [{"coding": [{"system": _SECURITY_SERVICE, "code": "SMART-on-FHIR"}], "text": "OAuth2 using SMART-on-FHIR"}],
        "description": "SMART Backend Services: client_credentials with private_key_jwt. What a resident's consent hides does not exist.",
    }


def capability_statement(
    base_url: str, version: str, types: Mapping[str, Sequence[str]], date: str, operations: Mapping[str, Mapping[str, str]] | None = None
) -> Statement:
    """The CapabilityStatement of the hub.

    base_url:   FHIR base, as in `http://localhost:8000/fhir`
    version:    of the software
    types:      resource type to its interactions, R4 codes (`read`, `vread`, `history-instance`, `search-type` …)
    date:       when the statement last changed
    operations: resource type to operation name (`everything`) to its definition's URL
    """
    searched = [kind for kind, interactions in types.items() if "search-type" in interactions and kind != "AuditEvent"]  # it goes along with nothing
    offered = operations or {}
    resources = [_resource(kind, types[kind], searched, offered.get(kind, {})) for kind in sorted(types)]
    return {
        "resourceType": "CapabilityStatement",
        "id": "kinehub",
        "url": f"{base_url}/metadata",
        "version": version,
        "name": "KineHub",
        "title": "KineHub FHIR R4 endpoint",
        "status": "active",
        "date": date,
        "publisher": "KineHub",
        "kind": "instance",
        "software": {"name": "KineHub", "version": version},
        "implementation": {"description": "KineHub, exchange hub of exercise and health data", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [{"mode": "server", "security": _security(base_url), "resource": resources}],
    }


def terminology_capabilities(base_url: str, version: str, code_systems: Sequence[Mapping[str, Any]], date: str) -> Statement:
    """The TerminologyCapabilities of the hub: the code systems it publishes and how it expands, validates and translates."""
    return {
        "resourceType": "TerminologyCapabilities",
        "id": "kinehub",
        "url": f"{base_url}/metadata?mode=terminology",
        "version": version,
        "name": "KineHubTerminology",
        "title": "KineHub terminology",
        "status": "active",
        "date": date,
        "publisher": "KineHub",
        "kind": "instance",
        "software": {"name": "KineHub", "version": version},
        "implementation": {"description": "The terminology of the unified data standard", "url": base_url},
        "codeSystem": [_code_system(one) for one in code_systems],
        "expansion": {
            "hierarchical": False,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name} for name in ("filter", "offset", "count", "includeDesignations", "includeDefinition", "displayLanguage")],
            "textFilter": "Every word must be in the code, its display or a designation, in any case.",
        },
        "codeSearch": "explicit",
        "validateCode": {"translations": True},
        "translation": {"needsMap": True},
    }


def _code_system(one: Mapping[str, Any]) -> Statement:
    languages = dict.fromkeys([one["language"], *(name["language"] for concept in one["concept"] for name in concept["designation"])])
    stated: Statement = {"code": one["version"], "isDefault": True, "compositional": False, "language": list(languages)}
    if "property" in one:
        stated["property"] = [found["code"] for found in one["property"]]
    return {"uri": one["url"], "version": [stated], "subsumption": True}


def smart_configuration(base_url: str) -> Statement:
    """`.well-known/smart-configuration` (SMART App Launch 2.2): Backend Services only, no launch of apps."""
    return {
        "token_endpoint": token_endpoint(base_url),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.rs", "system/Patient.rs", "system/Observation.rs", "intake.write"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    }
