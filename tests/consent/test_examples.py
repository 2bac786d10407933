"""The examples of `docs/reference/consent-decide.md`, and `kinehub consent decide` as a command: its input, its answers, what it says of bad cases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.case import decide_cases
from hub.cli import cli
from tests.consent.cases import Json, consent, observation, rule

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "consent-decide.md"
EXAMPLES = re.findall(r"### \d+\. (.+?)\n.*?```json\n(.*?)\n```\n\n```json\n(.*?)\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def decided(content: str, *options: str) -> Result:
    return CliRunner().invoke(cli, [*options, "consent", "decide", "--case", "-"], input=content.encode())


def a_case(**elements: Any) -> Json:
    request = {"actor": "Practitioner/a", "at": "2026-06-01T10:00:00+08:00"}
    return {"id": "a", "consents": [consent(rule("permit"))], "request": request, "resource": observation(), **elements}


@pytest.mark.parametrize(("case", "answer"), [example[1:] for example in EXAMPLES], ids=[example[0] for example in EXAMPLES])
def test_an_example_of_the_page_is_answered_as_it_says(case: str, answer: str) -> None:
    assert decided(case).stdout == answer + "\n"


def test_the_page_has_ten_examples() -> None:
    assert len(EXAMPLES) == 10


def test_cases_come_as_one_as_a_list_or_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps(a_case()), encoding="utf-8")
    one = CliRunner().invoke(cli, ["--json", "consent", "decide", "--case", str(file)])
    assert json.loads(one.stdout)["decision"] == "permit"
    assert json.loads(decided(json.dumps([a_case(), a_case(id="b")])).stdout)[1]["id"] == "b"
    assert [each["id"] for each in json.loads(decided("\n".join(json.dumps(a_case(id=name)) for name in "xy")).stdout)] == ["x", "y"]
    assert json.loads(decided("[]").stdout) == []


def test_one_bad_case_of_a_list_is_denied_and_named_and_the_others_are_answered() -> None:
    found = decided(json.dumps([a_case(), a_case(id="tz", timezone="Mars/Olympus"), {}, a_case(id="c")]))
    assert found.exit_code == 0
    assert [each["decision"] for each in json.loads(found.stdout)] == ["permit", "deny", "deny", "permit"]
    assert found.stderr.splitlines() == ["case tz: timezone: unknown time zone", "case 2: resource: a case needs a resource"]


@pytest.mark.parametrize(("content", "line"), [
    (json.dumps(a_case(timezone="Mars/Olympus")), "case a: timezone: unknown time zone"),
    (json.dumps(a_case(resource={"resourceType": "Bundle", "entry": [{"resource": 5}]})), "case a: resource: not a FHIR resource that can be read"),
    ("5", "--case must hold JSON: one case, a list of cases, or a case a line."),
    ("[5]", "--case must hold JSON: one case, a list of cases, or a case a line."),
    ("{", "--case must hold JSON: one case, a list of cases, or a case a line."),
])  # fmt: skip
def test_a_bad_case_alone_is_one_line_with_its_place(content: str, line: str) -> None:
    found = decided(content)
    assert (found.exit_code, found.stdout) == (2, "")
    assert line in found.stderr


def test_the_sentences_come_in_chinese_too() -> None:
    found = CliRunner().invoke(cli, ["consent", "decide", "--case", "-", "--language", "zh-CN"], input=json.dumps(a_case()).encode())
    assert json.loads(found.stdout)["text"] == "可以查看（依据 Consent/c provision）。"


def test_no_data_directory_is_touched(tmp_path: Path) -> None:
    decided(json.dumps(a_case()), "--data-dir", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


BROKEN = [
    {}, {"resourceType": "Consent"}, consent(rule("permit"), scope=5, id=7, meta=5, patient=[], contained=5),
    consent(rule("permit", actor=5, data=[5])), consent(rule("permit"), policyRule=[]), {**consent(None), "provision": [[]]},
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_consent_that_cannot_be_understood_permits_nothing_and_stops_nothing(broken: Json) -> None:
    assert json.loads(decided(json.dumps(a_case(consents=[broken]))).stdout)["decision"] == "deny"
    assert json.loads(decided(json.dumps(a_case(consents=[broken, consent(rule("permit"), id="all")]))).stdout)["decision"] == "permit"


WORDS = ["Observation", "Bundle", "Consent", "Group/g", "Patient/p", "permit", "deny", "active", "2026-01-01", "TREAT", "Provenance", "Parameters"]
NAMES = [
    "resourceType", "id", "resource", "entry", "consents", "resources", "request", "subject", "patient", "reference", "code", "coding", "component",
    "contained", "hasMember", "derivedFrom", "section", "parameter", "provision", "actor", "meta", "security", "versionId", "fullUrl", "target", "member",
    "period", "start", "identifier", "value", "system", "relatesTo", "content", "context", "entity", "agent", "scope",
]  # fmt: skip
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=15,
)


PARTS = st.fixed_dictionaries({}, optional=dict.fromkeys(("consents", "resources", "resource", "timezone", "id"), ANY))


@settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(PARTS, st.dictionaries(st.sampled_from(NAMES), ANY))
def test_whatever_a_case_holds_it_is_answered_or_refused(parts: Json, resource: Json) -> None:
    answers, _ = decide_cases([a_case(**parts), a_case(resource=resource, resources=parts.get("resources")), a_case(consents=[resource])])
    assert {answer["decision"] for answer in answers} <= {"permit", "deny", "redact"}
