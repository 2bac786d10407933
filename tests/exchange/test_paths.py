from __future__ import annotations

import pytest

from hub.exchange.definitions import is_supported, patient_compartment, resource_types, search_parameters, sources
from hub.exchange.paths import compile_path, evaluate
from tests.exchange.exchange_corpus import PATIENT, RESOURCES


def test_all_resource_types_of_r4_are_defined():
    assert len(resource_types()) == 146
    assert {"Observation", "MedicinalProduct", "EffectEvidenceSynthesis"} <= resource_types()
    assert "SubscriptionTopic" not in resource_types()
    assert all(len(digest) == 64 for digest in sources().values())


def test_every_search_expression_compiles_to_something_that_can_yield():
    count = 0
    for kind in resource_types():
        for parameter in filter(is_supported, search_parameters(kind).values()):
            branches = compile_path(kind, parameter.expression)
            assert branches, (kind, parameter.code)
            for _, expression in parameter.components:
                assert all(compile_path(branch.type, expression) for branch in branches), (kind, parameter.code)
            count += 1
    assert count > 2500


def test_the_patient_compartment_is_that_of_r4():
    assert patient_compartment("Observation") == ("subject", "performer")
    assert patient_compartment("Coverage") == ("policy-holder", "subscriber", "beneficiary", "payor")
    assert patient_compartment("Organization") == ()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Patient.name.given", ["Anna Maria", "Eva"]),
        ("Patient.telecom.where(system='email').value", ["a@example.org"]),
        ("Patient.telecom.where(system='email' and value='nobody')", []),
        ("Patient.deceased.exists() and Patient.deceased != false", [False]),
        ("Patient.active.exists() and Patient.active != false", [True]),
        ("Patient.name[0].family | Patient.gender", ["Müller", "female"]),
        ("Patient.managingOrganization.where(resolve() is Organization).reference", ["Organization/o1"]),
        ("Patient.managingOrganization.where(resolve() is Patient)", []),
        ("(Patient.deceased as dateTime) | Observation.code", []),
    ],
)
def test_an_expression_reads_what_fhirpath_says(expression, expected):
    assert evaluate(PATIENT, expression) == expected


def test_a_choice_is_read_by_its_type():
    when = next(one for one in RESOURCES if one["id"] == "when")
    assert evaluate(when, "(Observation.value as dateTime)") == ["2024-02-29"]
    assert evaluate(when, "Observation.value.as(Quantity)") == []
    assert evaluate(when, "Observation.value.ofType(dateTime)") == ["2024-02-29"]
    assert [branch.type for branch in compile_path("Observation", "Observation.effective")] == ["dateTime", "Period", "Timing", "instant"]


def test_an_extension_is_read_by_its_url():
    resource = {"resourceType": "Patient", "extension": [{"url": "urn:a", "valueString": "x"}, {"url": "urn:b", "valueString": "y"}]}
    assert evaluate(resource, "Patient.extension('urn:b').value") == ["y"]


def test_what_is_no_search_expression_is_refused():
    for expression in ("Patient.name.first()", "Patient.name +", "Patient.name name"):
        with pytest.raises(ValueError, match="search expression"):
            compile_path("Patient", expression)
