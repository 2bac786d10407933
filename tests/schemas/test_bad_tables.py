"""A table or mapping that is wrong stops every command, with one line that names the file, its line and what is wrong there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import ROOMS, ROOT

WRONG = [
    ("mappings/fhir/session.yaml", "value: hr_max}", "value: hr_top}", "value: the record has no field 'hr_top'"),
    ("mappings/fhir/session.yaml", "loinc: 73985-4", "loinc: 73985-5", "the LOINC number '73985-5' fails its check digit"),
    ("mappings/sources/gym_visits.yaml", "  hr_max: [", "  hr_top: [", "unknown key 'hr_top'"),
    ("mappings/sources/gym_visits.yaml", "[Distance], unit: km", "[Distance], unit: kg", "unit 'kg' cannot be converted to 'm'"),
    ("schemas/measures.csv", "8867-4,149522", "8867-5,149522", "loinc: the LOINC number '8867-5' fails its check digit"),
    ("schemas/measures.csv", "55423-8,,{steps}", "55423-8,,stepz", "unit: 'stepz' is not a unit of UCUM"),
    ("schemas/fields.csv", "session,distance_m,距离,distance,m,", "session,distance_m,距离,distance,metre,", "unit: 'metre' is not a unit of UCUM"),
    ("schemas/fields.csv", "session,hr_max,", "session,hr_top,", "field: a session has no field 'hr_top'"),
    ("schemas/fields.csv", "session,steps,步数", "session,steps,步数,步", "the row does not have the 10 cells of its header"),
    ("schemas/measures.csv", "{steps},activity,activity,0,", "{steps},activity,activity,none,", "low: 'none' is not a number"),
    ("schemas/measures.csv", "{steps},activity,activity,", "{steps},activity,sport,", "data_class: 'sport' is not known"),
    ("schemas/bands.csv", "systolic,,6,13,65,165", "systolic,f,6,13,65,165", "sex: 'f' is not known"),
    ("schemas/editions.csv", "gtzd-2003,3,6", "gtzd-1999,3,6", "edition: 'gtzd-1999' is not known"),
]


def _start(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run([sys.executable, "-m", "hub", "adapters", "list"], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    assert _start(folder).returncode == 0
    return folder


@pytest.mark.parametrize(("name", "old", "new", "said"), WRONG)
def test_the_place_is_named_in_one_line(rooms: Path, name: str, old: str, new: str, said: str) -> None:
    path = rooms / name
    right = path.read_text(encoding="utf-8")
    assert old in right
    path.write_text(right.replace(old, new, 1), encoding="utf-8")
    done = _start(rooms)
    path.write_text(right, encoding="utf-8")
    line = right[: right.index(old)].count("\n") + 1
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"kinehub: {path.name}:{line}: ")
    assert said in done.stderr


def test_a_table_that_is_not_there_is_named(rooms: Path) -> None:
    path = rooms / "schemas" / "editions.csv"
    right = path.read_text(encoding="utf-8")
    path.unlink()
    done = _start(rooms)
    path.write_text(right, encoding="utf-8")
    assert (done.returncode, done.stderr) == (1, "kinehub: editions.csv: the table is not there\n")
