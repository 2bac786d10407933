"""Clients nobody here wrote read the history over HTTP without a workaround: fhirclient, fhirpy and fhir-kit-client."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhirclient.client import FHIRClient
from fhirclient.models import codesystem, conceptmap, location, observation, parameters, patient, practitionerrole, valueset
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import ResourceNotFound

from tests.foreign.readable import History

NODE = Path(__file__).parent / "node"
PRESSURE = "http://loinc.org|85354-9"
MEASURE = "https://kinehub.org/fhir/CodeSystem/measure"


def authorized(history: History) -> Any:
    """fhirclient, its endpoints read from our CapabilityStatement, with the token in its own place."""
    smart = FHIRClient(settings={"app_id": history.city.parties["hospital"]["client_id"], "api_base": history.base})
    smart.prepare()
    smart.server.auth.access_token = history.token
    assert smart.ready
    return smart


def test_fhirclient_reads_the_patient_and_every_page(history: History) -> None:
    smart = authorized(history)
    assert patient.Patient.read(history.resident, smart.server).id == history.resident

    def found(**asked: str) -> list[str]:
        search = observation.Observation.where({"patient": history.resident, **asked})
        return [resource.id for resource in search.perform_resources_iter(smart.server)]

    pages = list(observation.Observation.where({"patient": history.resident, "_count": "3"}).perform_iter(smart.server))
    ids = [entry.resource.id for page in pages for entry in page.entry]
    assert len(pages) > 1
    assert len(ids) == len(set(ids))
    assert set(ids) == history.observations
    assert len(found(code=PRESSURE)) == 2
    later = found(date="ge2026-05-03")
    assert set(later) < history.observations
    assert set(later) | set(found(date="lt2026-05-03")) == history.observations
    one = observation.Observation.read(ids[0], smart.server)
    assert one.subject.reference == f"Patient/{history.resident}"
    smart.server.session.close()


def test_fhirclient_reads_a_venue_and_a_role_of_the_directory(history: History) -> None:
    smart = authorized(history)
    (role,) = practitionerrole.PractitionerRole.where({"practitioner.name": "周敏"}).perform_resources_iter(smart.server)
    (found,) = location.Location.where({"name": "二楼"}).perform_resources_iter(smart.server)
    assert role.location[0].reference == found.relativePath()
    assert location.Location.read(found.id, smart.server).managingOrganization.reference == role.organization.reference
    smart.server.session.close()


def test_fhirclient_finds_nothing_of_whom_it_may_not_read(history: History) -> None:
    smart = authorized(history)
    assert list(observation.Observation.where({"patient": history.stranger}).perform_resources_iter(smart.server)) == []
    smart.server.session.close()


def test_fhirpy_reads_the_patient_and_every_page(history: History) -> None:
    async def work() -> None:
        client = AsyncFHIRClient(history.base, authorization=history.headers["Authorization"])
        person = await client.reference("Patient", history.resident).to_resource()
        assert person.id == history.resident
        search = client.resources("Observation").search(patient=history.resident)
        ids = [resource.id for resource in await search.limit(3).fetch_all()]
        assert len(ids) == len(set(ids))
        assert set(ids) == history.observations
        assert await search.count() == len(ids)
        assert await search.search(code=PRESSURE).count() == 2
        dated = await search.search(date__ge="2026-05-03").sort("-date").fetch_all()
        moments = [(one.get("effectivePeriod") or {}).get("start") or one["effectiveDateTime"] for one in dated]
        assert moments == sorted(moments, reverse=True)
        assert (await search.first()).id in history.observations
        assert await client.resources("Observation").search(patient=history.stranger).fetch_all() == []
        with pytest.raises(ResourceNotFound):
            await client.reference("Patient", history.stranger).to_resource()

    asyncio.run(work())


def test_fhirclient_reads_expands_and_translates_the_published_codes(history: History) -> None:
    smart = FHIRClient(settings={"app_id": "anybody", "api_base": history.base})
    (found,) = codesystem.CodeSystem.where({"url": MEASURE}).perform_resources_iter(smart.server)
    known = {concept.code for concept in found.concept}
    maps = list(conceptmap.ConceptMap.where({"source-system": MEASURE}).perform_resources_iter(smart.server))
    assert {element.code for one in maps for group in one.group for element in group.element} <= known
    expanded = valueset.ValueSet(smart.server.request_json("ValueSet/measure/$expand"))
    assert {one.code for one in expanded.expansion.contains} == known
    asked = parameters.Parameters({"resourceType": "Parameters", "parameter": [{"name": "coding", "valueCoding": {"system": MEASURE, "code": "systolic"}}]})
    translated = parameters.Parameters(smart.server.post_json("ConceptMap/measure-loinc/$translate", asked.as_json()).json())
    said = {parameter.name: parameter for parameter in translated.parameter}
    assert said["result"].valueBoolean is True
    assert {part.name: part for part in said["match"].part}["concept"].valueCoding.code == "8480-6"
    smart.server.session.close()


def test_fhirpy_looks_up_and_validates_the_published_codes(history: History) -> None:
    async def work() -> None:
        client = AsyncFHIRClient(history.base)
        found = await client.execute("CodeSystem/$lookup", method="get", params={"system": MEASURE, "code": "systolic", "displayLanguage": "en"})
        assert [one["valueString"] for one in found["parameter"] if one["name"] == "display"] == ["Systolic blood pressure"]
        asked = {"resourceType": "Parameters", "parameter": [{"name": "coding", "valueCoding": {"system": MEASURE, "code": "pulse"}}]}
        judged = await client.reference("ValueSet", "measure").execute("$validate-code", data=asked)
        assert next(one["valueBoolean"] for one in judged["parameter"] if one["name"] == "result") is False
        assert await client.resources("CodeSystem").search(code="rpe").count() == 1
        with pytest.raises(ResourceNotFound):
            await client.execute("CodeSystem/$lookup", method="get", params={"system": "http://loinc.org", "code": "8867-4"})

    asyncio.run(work())


@pytest.mark.skipif(shutil.which("npm") is None or shutil.which("node") is None, reason="fhir-kit-client needs node and npm")
def test_fhir_kit_client_reads_the_patient_and_every_page(history: History, tmp_path: Path) -> None:
    shutil.copytree(NODE, tmp_path / "node", ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=tmp_path / "node", capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    asked = ["node", "read.js", history.base, history.token, history.resident]
    done = subprocess.run(asked, cwd=tmp_path / "node", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    everything = len(history.observations)
    assert set(seen["everything"]["ids"]) == history.observations
    assert (len(seen["everything"]["ids"]), seen["everything"]["total"], seen["posted"], seen["whole"]) == (everything,) * 4
    assert seen["everything"]["pages"] == -(-everything // 3)
    assert (seen["fhirVersion"], seen["patient"], seen["pressures"], seen["same"], seen["history"]) == ("4.0.1", history.resident, 2, True, 1)
    assert 0 < len(seen["dated"]) < everything
    assert (seen["expanded"], seen["translated"]) == (["systolic"], True)


def test_foreign_models_take_the_capability_statement_and_a_search_bundle(history: History) -> None:
    with httpx.Client(headers=history.headers, timeout=30) as http:
        stated = http.get(f"{history.base}/metadata")
        found = http.get(f"{history.base}/Observation", params={"patient": history.resident, "_count": "100"})
    statement = CapabilityStatement.model_validate_json(stated.content)
    assert {"Patient", "Observation"} <= {resource.type for resource in statement.rest[0].resource}
    bundle = Bundle.model_validate_json(found.content)
    assert {entry.resource.id for entry in bundle.entry} == history.observations
    assert {entry.search.mode for entry in bundle.entry} == {"match"}
