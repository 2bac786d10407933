"""Everything the hub says, judged by the reference validator in one run: no error, and no warning without a reason in known.yaml."""

from __future__ import annotations

import json
import re
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.conformance import guide, packed
from tests.conformance.judged import Finding, judged
from tests.conformance.produced import by_mappings, over_http
from tests.process import a_hub

KNOWN: dict[str, list[str]] = {entry["reason"]: entry["says"] for entry in yaml.safe_load((Path(__file__).parent / "known.yaml").read_text())}
UNKNOWN = re.compile(r"^(Profile reference '|CodeSystem is unknown and can't be validated: |ValueSet '?|Unknown extension )(?P<url>(http|urn)[^' ]+)")
OURS_OR_CORE = re.compile(r"http://(hl7\.org/fhir/(?!us/|uv/|sid/)|terminology\.hl7\.org/(?!CodeSystem/ContinuaDeviceIdentifiers$))|https://kinehub\.org/")
"""The one code system of terminology.hl7.org that is not R4's is defined by the HL7 PHD IG."""
IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/Patient-uv-ips"
PROFILE = "https://kinehub.org/fhir/StructureDefinition/kinehub-session-measure"
BROKEN = [
    b'{"resourceType":"Observation","status":"final!","code":{"text":"x"}}',
    b'{"resourceType":"Observation","meta":{"profile":["%b"]},"status":"final","code":{"text":"x"}}' % PROFILE.encode(),
    b'{"resourceType":"Patient","meta":{"profile":["%b"]},"name":[{"text":"x"}]}' % IPS.encode(),
]
"""Against R4, and against a profile of ours or of IPS alone: the validator must call each an error."""


@pytest.fixture(scope="module")
def findings(package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """What the validator finds in everything the mappings make and a real hub answers, and in the guide: its definitions and examples."""
    folder = tmp_path_factory.mktemp("validator")
    with a_hub(folder / "hub") as hub:
        resources = [*by_mappings(), *over_http(hub)]
    published = [*packed.resources(package), *packed.resources(package, "package/example")]
    resources += [(f"guide: {one['resourceType']} {one['id']}", json.dumps(one).encode()) for one in published]
    for type_, count in _types(resources).items():
        assert count, f"nothing of {type_} was judged"
    return list(judged(resources, [package, guide.IPS], folder, BROKEN))


def _types(resources: list[tuple[str, bytes]]) -> Counter[str]:
    must = dict.fromkeys(
        ("Consent", "Linkage", "CapabilityStatement", "OperationDefinition", "Bundle", "Patient", "Provenance", "DeviceDefinition", "HealthcareService",
         "CodeSystem", "ValueSet", "ConceptMap", "Parameters", "TerminologyCapabilities", "AuditEvent"), 0
    )  # fmt: skip
    found = Counter(must)
    for _, body in resources:
        found.update(re.findall(r'"resourceType":\s?"(\w+)"', body.decode()))
    return found


def _listed(finding: Finding) -> bool:
    return any(fnmatchcase(finding.text, pattern) for patterns in KNOWN.values() for pattern in patterns)


def test_the_reference_validator_finds_no_error(findings: list[Finding]) -> None:
    wrong = {finding.text: finding.where for finding in findings if finding.severity in ("error", "fatal")}
    assert not wrong, "\n".join(f"{text} ({where})" for text, where in wrong.items())


def test_every_other_finding_is_known_with_its_reason(findings: list[Finding]) -> None:
    unlisted = {finding.text: finding.where for finding in findings if finding.severity in ("warning", "information") and not _listed(finding)}
    assert not unlisted, "\n".join(f"{text} ({where})" for text, where in unlisted.items())


def test_nothing_of_ours_or_of_r4_itself_is_unknown(findings: list[Finding]) -> None:
    assert [finding for finding in findings if (found := UNKNOWN.search(finding.text)) and OURS_OR_CORE.match(found["url"])] == []


def test_what_is_known_still_occurs(findings: list[Finding]) -> None:
    said = {finding.text for finding in findings}
    assert [pattern for patterns in KNOWN.values() for pattern in patterns if not any(fnmatchcase(text, pattern) for text in said)] == []


def test_what_is_ours_or_unknown_is_known_by_its_whole_name() -> None:
    for pattern in (pattern for patterns in KNOWN.values() for pattern in patterns):
        found = UNKNOWN.search(pattern)
        assert not found or not set("*?[") & set(found["url"]), pattern
        assert not pattern.startswith("*"), pattern
