"""A running hub with one resident's history and a hospital that may read it, for clients nobody here wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import a_pressure, a_session
from tests.foreign.readable import History
from tests.process import a_hub


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Four sessions and two blood pressures in May 2026, granted to a hospital."""
    folder: Path = tmp_path_factory.mktemp("foreign")
    with a_hub(folder / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        city.add_party("hospital", "Hospital", "hospital")
        resident, stranger = city.resident("王秀英", 2), city.resident("李建国", 3)
        for person in (resident, stranger):
            records = [
                *(a_session(f"2026-05-{day:02d}T08:00:00+08:00") for day in range(1, 5)),
                *(a_pressure(f"2026-05-{day:02d}T09:00:00+08:00") for day in (2, 3)),
            ]
            city.upload("center", {"records": records}, person)
        city.grant(resident, "hospital")
        coach = {"resourceType": "Practitioner", "identifier": [{"system": "https://gym.example/staff", "value": "7"}], "name": [{"text": "周敏"}]}
        venue = {"resourceType": "Location", "identifier": [{"system": "https://gym.example/sites", "value": "1"}], "name": "二楼"}
        person, place = city.add_entry("center", coach), city.add_entry("center", venue)
        role = {
            "resourceType": "PractitionerRole", "identifier": [{"system": "https://gym.example/staff", "value": "7-coach"}],
            "practitioner": {"reference": person}, "location": [{"reference": place}],
        }  # fmt: skip
        city.add_entry("center", role)
        yield History(city, f"{city.url}/fhir", resident, stranger, city.bearer("hospital", "system/*.rs"), frozenset(city.shown("hospital", resident)))
