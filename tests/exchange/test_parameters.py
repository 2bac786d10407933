from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.exchange.definitions import is_supported, search_parameters
from hub.exchange.parameters import parse
from hub.exchange.values import FOREVER, span_of, token_of
from schemas.errors import BadRequest
from tests.exchange.exchange_corpus import BASE, LOINC, UCUM, found, query

ALL = {"steps", "hr", "sleep", "open", "month", "text", "when", "sampled", "absent", "bp1", "bp2"}
TYPES = ("Observation", "Patient", "Provenance", "Encounter", "DiagnosticReport", "Device", "Consent")
VALUES = {"token": "x", "string": "x", "reference": "x", "date": "2024", "uri": "urn:x", "number": "1", "quantity": "1"}


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_parameter_of_a_type_is_answered(resource_type):
    for code, parameter in search_parameters(resource_type).items():
        text = "$".join(VALUES[kind] for kind, _ in parameter.components) if parameter.components else VALUES.get(parameter.type, "x")
        if not is_supported(parameter):
            with pytest.raises(BadRequest):
                query(resource_type, (code, text))
            continue
        text = "true" if code in ("active", "deceased") else text
        found(resource_type, (code, text))
        everything = found(resource_type, (f"{code}:missing", "true")) | found(resource_type, (f"{code}:missing", "false"))
        assert everything == found(resource_type), code
        if not parameter.components:
            found(resource_type, ("_sort", code))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("code", f"{LOINC}|8867-4", {"hr", "sampled", "absent"}),
        ("code", "8867-4", {"hr", "sampled", "absent"}),
        ("code", "|8867-4", set()),
        ("code", "urn:other|8867-4", set()),
        ("code", "8867-4,55423-8", {"hr", "sampled", "absent", "steps"}),
        ("code", f"{LOINC}|", ALL),
        ("code:not", "8867-4", ALL - {"hr", "sampled", "absent"}),
        ("code:not", "8867-4,55423-8", ALL - {"hr", "sampled", "absent", "steps"}),
        ("code:text", "display of 8867", {"hr", "sampled", "absent"}),
        ("combo-code", "8480-6", {"bp1", "bp2"}),
        ("component-code", "8480-6", {"bp1", "bp2"}),
        ("status", "amended", {"month"}),
        ("status", "http://hl7.org/fhir/observation-status|amended", {"month"}),
        ("status", "http://example.org|amended", set()),
        ("value-concept", "LA1", {"open"}),
        ("category", "activity", ALL),
        ("data-absent-reason:missing", "false", {"absent"}),
        ("value-string", "etude", {"text"}),
        ("value-string", "deux", set()),
        ("value-string:contains", "DEUX", {"text"}),
        ("value-string:exact", "Étude\\, deux", {"text"}),
        ("value-string:exact", "étude\\, deux", set()),
        ("value-string", "laufer", {"open"}),
        ("value-date", "2024-02", {"when"}),
        ("_id", "hr,bp1,unknown", {"hr", "bp1"}),
        ("_profile", "http://x.org/P", ALL),
        ("_profile", "http://x.org/P|1.0", ALL),
        ("_profile", "http://x.org/P|2.0", set()),
        ("_profile:below", "http://x.org", ALL),
        ("_profile:below", "http://x.or", set()),
        ("_lastUpdated", "gt2024-05-02T07:59:59Z", ALL),
        ("_lastUpdated", "gt2024-05-02T08:00:00.000Z", set()),
        ("patient", "p1", ALL),
        ("patient", "Patient/p1", ALL),
        ("patient", f"{BASE}/Patient/p1", ALL),
        ("patient", "http://other.org/fhir/Patient/p1", set()),
        ("subject", "Device/p1", set()),
        ("subject:Patient", "p1", ALL),
        ("subject:Device", "p1", set()),
        ("device", "Device/d1", {"hr"}),
        ("focus", "http://other.org/fhir/Device/9", {"when"}),
        ("focus", "9", set()),
        ("performer:identifier", "urn:x|7", {"text"}),
        ("performer:identifier", "urn:y|7", set()),
        ("performer:missing", "false", {"text"}),
    ],
)
def test_a_token_string_uri_or_reference_matches_as_r4_says(name, text, expected):
    assert found("Observation", (name, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01", {"steps", "hr", "text"}),
        ("eq2024-05-01", {"steps", "hr", "text"}),
        ("ne2024-05-01", ALL - {"steps", "hr", "text"}),
        ("2024-05-01T09:00:15.250+08:00", {"hr"}),
        ("2024-05-01T09:00:15+08:00", {"hr"}),
        ("2024-05-01T01:00:15Z", {"hr"}),
        ("2024-05-01T09:00 08:00", {"hr"}),
        ("2024-05-01T09:00:15", {"hr"}),
        ("2024-05-01T09:00:15.251+08:00", set()),
        ("2024-03", {"month"}),
        ("2024-03-01", set()),
        ("2023", set()),
        ("2024-01-01", {"when"}),
        ("gt2024-05-03", {"open", "bp1", "bp2"}),
        ("ge2024-05-05", {"open", "bp2"}),
        ("sa2024-05-03", {"bp1", "bp2"}),
        ("lt2022", {"absent"}),
        ("le2022", {"absent", "sampled"}),
        ("eb2022-01-02", {"absent", "sampled"}),
        ("lt2024-05-01", {"month", "when", "sampled", "absent", "sleep"}),
        ("eb2024-05-01", {"month", "when", "sampled", "absent"}),
        ("le2024-05-01", {"month", "when", "sampled", "absent", "sleep", "steps", "hr", "text"}),
        ("ap2024-05-20", {"open"}),
        ("ap2024-05-02", {"sleep", "steps", "hr", "text", "open", "bp1", "bp2"}),
        ("2022-01-01,2021-07-01", {"sampled", "absent"}),
    ],
)
def test_a_date_is_compared_by_range_and_precision(text, expected):
    assert found("Observation", ("date", text)) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("value-quantity", "72.5", {"hr"}),
        ("value-quantity", "72.50", {"hr"}),
        ("value-quantity", "73", {"hr"}),
        ("value-quantity", "72", set()),
        ("value-quantity", f"72.5|{UCUM}|/min", {"hr"}),
        ("value-quantity", "72.5||/min", {"hr"}),
        ("value-quantity", f"72.5|{UCUM}|{{beat}}/min", {"hr"}),
        ("value-quantity", f"72.5|{UCUM}|kg", set()),
        ("value-quantity", "72.5|urn:x|/min", set()),
        ("value-quantity", "gt72.4||/min", {"hr"}),
        ("value-quantity", "gt72.5||/min", set()),
        ("value-quantity", "ge72.5||/min", {"hr"}),
        ("value-quantity", "lt72.6||/min", {"hr", "sampled"}),
        ("value-quantity", "lt5", {"month"}),
        ("value-quantity", "ge70||kg", {"month"}),
        ("value-quantity", "gt70||kg", set()),
        ("value-quantity", "ap70||/min", {"hr", "sampled"}),
        ("value-quantity", "sa69||/min", {"hr"}),
        ("value-quantity", "eb71||/min", {"sampled"}),
        ("value-quantity", "ne8", ALL - {"sleep", "open", "text", "when", "absent", "bp1", "bp2"}),
        ("value-quantity", "5.4e3||{steps}", {"steps"}),
        ("component-value-quantity", "120||mm[Hg]", {"bp1", "bp2"}),
        ("combo-value-quantity", "gt100||mm[Hg]", {"bp1", "bp2"}),
        ("component-code-value-quantity", f"{LOINC}|8480-6$120|{UCUM}|mm[Hg]", {"bp1"}),
        ("component-code-value-quantity", "8480-6$lt100", {"bp2"}),
        ("combo-code-value-quantity", "8867-4$gt70", {"hr"}),
        ("code-value-quantity", "8867-4$gt70,55423-8$5400", {"hr", "steps"}),
        ("code-value-string", "11111-1$et", {"text"}),
        ("code-value-date", "22222-2$2024", {"when"}),
        ("code-value-concept:missing", "false", {"open"}),
    ],
)
def test_a_quantity_or_composite_matches_as_r4_says(name, text, expected):
    assert found("Observation", (name, text)) == expected


@pytest.mark.parametrize(
    ("text", "hundred", "ninety_six"),
    [
        ("100", True, False),
        ("100.00", True, False),
        ("1e2", True, True),
        ("ne100", False, True),
        ("ge100", True, False),
        ("lt100", False, True),
        ("ap97", True, True),
    ],
)
def test_a_number_stands_for_the_range_of_its_digits(text, hundred, ninety_six):
    resource = {"resourceType": "RiskAssessment", "prediction": [{"probabilityDecimal": 100}]}
    other = {"resourceType": "RiskAssessment", "prediction": [{"probabilityDecimal": 96}]}
    asked = query("RiskAssessment", ("probability", text))
    assert [asked.matches(resource, None), asked.matches(other, None)] == [hundred, ninety_six]


@pytest.mark.parametrize(
    ("name", "text", "matches"),
    [
        ("name", "mul", True),
        ("name", "MÜLLER", True),
        ("name", "王", True),
        ("name", "maria", False),
        ("name:contains", "maria", True),
        ("given:exact", "Eva", True),
        ("given:exact", "eva", False),
        ("phonetic", "Mueler", True),
        ("phonetic", "Schmidt", False),
        ("address", "南京路", True),
        ("address-city", "shang", True),
        ("identifier", "urn:oid:2.16.156.10011.1.3|11010519491231002X", True),
        ("identifier", "11010519491231002X", True),
        ("identifier:text", "身份", True),
        ("identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|NI|11010519491231002X", True),
        ("identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|MR|11010519491231002X", False),
        ("phone", "13800000000", True),
        ("phone", "phone|13800000000", True),
        ("email", "13800000000", False),
        ("gender", "female", True),
        ("gender", "http://hl7.org/fhir/administrative-gender|female", True),
        ("gender:not", "male", True),
        ("active", "true", True),
        ("deceased", "false", True),
        ("deceased", "true", False),
        ("birthdate", "lt1950", True),
        ("birthdate", "1949-12-31", True),
        ("death-date:missing", "true", True),
        ("organization", "Organization/o1", True),
        ("general-practitioner:missing", "false", False),
    ],
)
def test_a_patient_is_found_by_what_r4_offers(name, text, matches):
    assert found("Patient", (name, text)) == ({"p1"} if matches else set())


@pytest.mark.parametrize(
    ("resource_type", "name", "text", "expected"),
    [
        ("Encounter", "date", "2024-05-01", {"e1"}),
        ("Encounter", "length", "120||min", {"e1"}),
        ("Encounter", "class", "AMB", {"e1"}),
        ("Encounter", "_tag", "urn:t|gym", {"e1"}),
        ("Encounter", "_security", "N", {"e1"}),
        ("Encounter", "_source", "urn:file:1", {"e1"}),
        ("DiagnosticReport", "result", "Observation/hr", {"dr1"}),
        ("DiagnosticReport", "issued", "2024-05-06", {"dr1"}),
        ("Device", "device-name", "watch", {"d1"}),
        ("Device", "url:below", "http://kinehub.org/devices", {"d1"}),
        ("Device", "url:above", "http://kinehub.org/devices/1/part", {"d1"}),
        ("Provenance", "target", "Observation/hr", {"pv1"}),
        ("Provenance", "recorded", "2024-05-02", {"pv1", "pv2"}),
        ("Provenance", "patient", "p1", {"pv2"}),
        ("Consent", "period", "2024", {"c1"}),
        ("Consent", "purpose", "TREAT", {"c1"}),
        ("Consent", "actor", "Organization/o1", {"c1"}),
    ],
)
def test_other_types_are_found_by_their_own_parameters(resource_type, name, text, expected):
    assert found(resource_type, (name, text)) == expected


def test_repeated_parameters_all_have_to_hold():
    assert found("Observation", ("date", "ge2024-05-01"), ("date", "lt2024-05-02"), ("code", "8867-4")) == {"hr"}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("subject:Patient.name", "mul", ALL),
        ("patient.gender", "male", set()),
        ("subject.organization.name", "社区", ALL),
        ("patient.organization.partof.name", "city", ALL),
        ("encounter.class", "AMB", {"hr"}),
        ("device.manufacturer", "garmin", {"hr"}),
        ("_has:Provenance:target:agent", "Organization/o1", {"hr"}),
        ("_has:DiagnosticReport:result:code", "11488-4", {"hr", "bp1"}),
        ("_has:Observation:has-member:code", "55423-8", {"hr"}),
        ("encounter._has:Provenance:target:recorded", "2024-05-02", {"hr"}),
        ("_has:Observation:has-member:_has:Provenance:target:recorded", "2024", set()),
    ],
)
def test_a_chain_walks_the_references_of_the_compartment(name, text, expected):
    assert found("Observation", (name, text)) == expected


def test_a_chain_walks_into_contained_resources():
    assert found("Media", ("subject:Patient.birthdate", "2001")) == {"m1"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("colour", "red"),
        ("patient.colour", "red"),
        ("code.text", "x"),
        ("code:in", "http://vs"),
        ("code:below", "x"),
        ("code:exact", "x"),
        ("date:contains", "2024"),
        ("date", "yesterday"),
        ("date", "2024-13"),
        ("date", "20240501"),
        ("date", "2024-02-30"),
        ("date", "0000"),
        ("date", "9999-99"),
        ("value-quantity", "heavy"),
        ("value-quantity", "5|kg"),
        ("value-quantity", "NaN"),
        ("value-quantity", "1e999999"),
        ("patient", "Patient/p1/_history/1"),
        ("patient", "not an id"),
        ("subject:Patient", "Device/1"),
        ("subject:Consent", "1"),
        ("patient:Pump", "1"),
        ("code:missing", "maybe"),
        ("code", ""),
        ("code", "a,,b"),
        ("code", "a|b|c"),
        ("code", "|"),
        ("component-code-value-quantity", "8480-6"),
        ("_count", "-1"),
        ("_count", "many"),
        ("_sort", "colour"),
        ("_sort", "code-value-date"),
        ("_summary", "short"),
        ("_total", "all"),
        ("_elements", "colour"),
        ("_include", "Observation"),
        ("_include", "Observation:code"),
        ("_include", "Pump:subject"),
        ("_include", "Observation:subject:Pump"),
        ("_include:recursive", "Observation:subject"),
        ("_revinclude", "*"),
        ("_revinclude", "Provenance:colour"),
        ("_contained", "true"),
        ("_text", "x"),
        ("_content", "x"),
        ("_filter", "x"),
        ("_list", "x"),
        ("_query", "x"),
        ("_has:Provenance:target", "x"),
        ("_has:Provenance:recorded:agent", "x"),
        ("_has:Pump:target:agent", "x"),
        ("has-member.has-member.has-member.has-member.has-member.has-member.has-member.code", "x"),
        ("_id:not", "x"[:0]),
        ("秘密", "x"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name_and_left_out_when_lenient(name, text):
    with pytest.raises(BadRequest) as refused:
        query("Observation", (name, text), ("code", "8867-4"))
    if len(text) > 2:
        assert text not in refused.value.message.replace(name, "")
    assert refused.value.field in (name, "(unreadable name)")
    lenient = query("Observation", (name, text), ("code", "8867-4"), lenient=True)
    assert lenient.pairs == (("code", "8867-4"),)
    assert len(lenient.dropped) == 1


def test_an_unknown_resource_type_is_refused():
    with pytest.raises(BadRequest):
        query("Pump")


def test_a_boolean_takes_true_or_false_only():
    with pytest.raises(BadRequest):
        query("Patient", ("active", "yes"))


def test_summaries_that_exclude_each_other_are_refused():
    for pairs in ((("_summary", "text"), ("_include", "Observation:subject")), (("_summary", "true"), ("_elements", "code"))):
        with pytest.raises(BadRequest):
            query("Observation", *pairs)


def test_the_patient_is_known_however_it_is_written():
    for name, text in (("patient", "p1"), ("subject", "Patient/p1"), ("subject:Patient", "p1"), ("patient", f"{BASE}/Patient/p1")):
        assert query("Observation", (name, text)).patient == ["p1"]
    assert query("Observation", ("patient", "p1,Patient/p2"), ("subject", "Patient/p1")).patient == ["p1", "p2"]
    assert query("Observation", ("subject", "Group/g1")).patient == []
    assert query("Observation", ("code", "x")).patient == []
    assert query("Patient", ("_id", "p1")).patient == ["p1"]
    assert query("Schedule", ("actor", "Patient/p1")).patient == ["p1"]
    assert query("Patient", ("identifier", "s|1,2")).tokens("identifier") == [("s", "1"), (None, "2")]
    assert query("Observation", ("patient.identifier", "s|1")).tokens("patient.identifier") == [("s", "1")]


@pytest.mark.parametrize(
    ("pairs", "needed"),
    [
        ([("patient", "p1")], False),
        ([("patient", "p1"), ("_count", "5"), ("_sort", "-date"), ("_total", "none"), ("_format", "json")], False),
        ([("patient", "p1"), ("_summary", "count")], False),
        ([("patient", "p1"), ("_id", "a,b")], False),
        ([("patient", "p1,p2")], True),
        ([("patient", "p1"), ("subject", "p2")], True),
        ([("patient", "p1"), ("code", "x")], True),
        ([("patient", "p1"), ("_sort", "code")], True),
        ([("patient", "p1"), ("_include", "Observation:device")], True),
        ([("patient", "p1"), ("_elements", "code")], True),
        ([("patient", "p1"), ("_summary", "true")], True),
        ([("performer", "Patient/p1")], True),
        ([("subject", "Group/p1")], True),
    ],
)
def test_a_query_says_whether_resources_must_be_opened(pairs, needed):
    assert query("Observation", *pairs).content is needed


def test_a_list_of_targets_is_never_taken_for_the_whole_compartment():
    assert query("Provenance", ("patient", "p1")).content is True
    assert query("Device", ("patient", "p1")).content is True


def test_pages_have_fifty_unless_said_and_a_thousand_at_most():
    assert query("Observation").count == 50
    assert query("Observation", ("_count", "7")).count == 7
    assert query("Observation", ("_count", "5000")).count == 1000
    assert (query("Observation", ("_count", "0")).summary, query("Observation", ("_summary", "count")).count) == ("count", 0)


def test_a_query_names_the_types_it_reaches_for():
    assert query("Observation", ("code", "x")).reaches == frozenset()
    assert query("Observation", ("device.manufacturer", "x"), ("_revinclude", "Provenance:target")).reaches == {"Device", "Provenance"}
    assert query("Observation", ("_has:DiagnosticReport:result:code", "x")).reaches == {"DiagnosticReport"}
    assert query("Observation", ("_include", "*")).reaches == {"*"}


moments = st.datetimes(
    min_value=datetime(1900, 1, 1, tzinfo=UTC).replace(tzinfo=None), max_value=datetime(2200, 1, 1, tzinfo=UTC).replace(tzinfo=None)
)


@given(moments, st.sampled_from([4, 7, 10, 16, 19]))
def test_a_written_time_lies_within_every_coarser_writing_of_it(moment, length):
    zone = query("Observation").zone
    exact = span_of(moment.isoformat(timespec="microseconds"), zone)
    coarse = span_of(moment.isoformat()[:length], zone)
    assert coarse[0] <= exact[0] < exact[1] <= coarse[1] < FOREVER


@given(moments, moments, st.sampled_from([4, 7, 10, 16, 19]), st.sampled_from([4, 7, 10, 16, 19]))
def test_prefixes_agree_with_each_other(one, other, coarse, fine):
    stored = {"resourceType": "Observation", "effectiveDateTime": other.isoformat()[:fine]}
    answers = {
        prefix: query("Observation", ("date", prefix + one.isoformat()[:coarse])).matches(stored, None)
        for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
    }
    assert answers["eq"] is not answers["ne"]
    assert answers["ge"] == (answers["gt"] or answers["eq"])
    assert answers["le"] == (answers["lt"] or answers["eq"])
    assert not (answers["sa"] and not answers["gt"])
    assert not (answers["eb"] and not answers["lt"])
    assert any((answers["eq"], answers["gt"], answers["lt"]))


@given(st.text(alphabet="ab|,$\\", min_size=1, max_size=8))
def test_an_escaped_value_is_taken_to_the_letter(text):
    escaped = "".join("\\" + sign if sign in "|,$\\" else sign for sign in text)
    assert token_of(escaped) == (None, text)
    stored = {"resourceType": "Patient", "identifier": [{"value": text}]}
    assert query("Patient", ("identifier", escaped)).matches(stored, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["code", "date", "patient", "_sort", "_include", "_has:Provenance:target:agent", "value-quantity", "x y", "subject.name"]
            ),
            st.text(max_size=20),
        ),
        max_size=4,
    )
)
def test_any_text_is_answered_or_refused_and_leniency_never_fails(pairs):
    try:
        strict = parse("Observation", pairs, lenient=False, base_url=BASE)
    except BadRequest:
        strict = None
    lenient = parse("Observation", pairs, lenient=True, base_url=BASE)
    assert (strict is None) == bool(lenient.dropped)
