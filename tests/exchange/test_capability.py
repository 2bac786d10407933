from __future__ import annotations

from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from hub.exchange.capability import capability_statement, smart_configuration
from tests.exchange.exchange_corpus import BASE, query

READ = ["read", "vread", "history-instance"]
TYPES = {"Observation": [*READ, "search-type"], "Patient": [*READ, "search-type"], "Provenance": [*READ, "search-type"], "Binary": ["read"]}
EVERYTHING = "http://hl7.org/fhir/OperationDefinition/Patient-everything"


def statement():
    return capability_statement(BASE, "0.1.0", TYPES, "2024-01-01", {"Patient": {"everything": EVERYTHING}})


def of_type(kind):
    return next(one for one in statement()["rest"][0]["resource"] if one["type"] == kind)


def test_the_statement_is_valid_and_of_r4():
    assert CapabilityStatement.model_validate(statement()).fhirVersion == "4.0.1"
    assert statement()["format"][0] == "application/fhir+json"
    assert statement()["implementation"]["url"] == BASE


def test_every_parameter_that_is_stated_is_answered():
    samples = {"date": "2024", "quantity": "1", "number": "1"}
    for kind in ("Observation", "Patient", "Provenance"):
        for one in of_type(kind)["searchParam"]:
            assert query(kind, (f"{one['name']}:missing", "true")).clauses
            if one["type"] in samples:
                assert query(kind, (one["name"], samples[one["type"]])).clauses
        assert not {"_text", "_content", "_query"} & {one["name"] for one in of_type(kind)["searchParam"]}


def test_every_include_that_is_stated_is_answered():
    for kind in ("Observation", "Patient"):
        for text in of_type(kind)["searchInclude"]:
            assert query(kind, ("_include", text)).include
        for text in of_type(kind)["searchRevInclude"]:
            assert query(kind, ("_revinclude", text)).revinclude
    assert "Provenance:target" in of_type("Observation")["searchRevInclude"]
    assert "Observation:subject" in of_type("Patient")["searchRevInclude"]


def test_only_what_is_offered_is_stated():
    assert "searchParam" not in of_type("Binary")
    assert of_type("Binary")["readHistory"] is False
    assert [one["code"] for one in of_type("Patient")["interaction"]] == TYPES["Patient"]
    assert of_type("Patient")["operation"] == [{"name": "everything", "definition": EVERYTHING}]
    assert "operation" not in of_type("Observation")


def test_clients_find_the_token_endpoint():
    security = statement()["rest"][0]["security"]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    (token,) = security["extension"]
    assert (token["url"].partition("#")[2], token["valueUri"]) == ("token", "http://localhost:8000/oauth/token")
    assert smart_configuration(BASE)["token_endpoint"] == "http://localhost:8000/oauth/token"


def test_the_smart_configuration_claims_backend_services_and_no_launch():
    made = smart_configuration(BASE)
    assert made["grant_types_supported"] == ["client_credentials"]
    assert made["code_challenge_methods_supported"] == ["S256"]
    assert made["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    assert set(made["capabilities"]) == {"client-confidential-asymmetric", "permission-v2"}
    assert "authorization_endpoint" not in made
