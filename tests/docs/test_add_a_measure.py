"""The measure that docs/howto/add-a-measure.md adds, added: its diff goes into a copy of the rooms, and the copy is asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.generate import ROOMS, ROOT

PAGE = (ROOT / "docs" / "howto" / "add-a-measure.md").read_text(encoding="utf-8")
COPIED = (*ROOMS, "docs", "tests/mappings", "tests/conformance", "README.md", "CHANGELOG.md")
TRACK = """<?xml version="1.0"?><gpx version="1.1" creator="Garmin Connect" xmlns="http://www.topografix.com/GPX/1/1"
 xmlns:s="http://www.garmin.com/xmlschemas/TrackStatsExtension/v1"><trk><type>hiking</type>
<extensions><s:TrackStatsExtension><s:Ascent>12</s:Ascent><s:Descent>304.8</s:Descent></s:TrackStatsExtension></extensions><trkseg>
<trkpt lat="31.2304" lon="121.4737"><time>2026-05-03T07:00:00+08:00</time></trkpt>
<trkpt lat="31.2313" lon="121.4737"><time>2026-05-03T07:01:15+08:00</time></trkpt></trkseg></trk></gpx>"""
ASKED = """
import json
from adapters.kinehub_schema import schema
from hub.exchange import published
from hub.web import described
from mappings.face import face
from mappings.inverse import records_of
from schemas.r4.validator import validate
from schemas.records import KINDS, decode
from tests.mappings.r4_oracle import SUBJECT

record = decode(b'{"kind":"session","start":{"at":"2026-05-01T00:00:00Z","offset_minutes":480},"sport":"hiking","descent_m":304.8}')
made = [json.loads(one.json) for one in face(record, SUBJECT)]
(back,) = records_of(made)
(shown,) = [one for one in made if any(coding["code"] == "descent" for coding in one.get("code", {}).get("coding", ()))]
print(json.dumps({
    "value": shown["valueQuantity"], "profiles": shown["meta"]["profile"],
    "faults": [str(issue) for one in made for issue in validate(one) if issue.severity == "error"],
    "back": back.record.descent_m, "code": published.concepts("https://kinehub.org/fhir/CodeSystem/measure")["descent"]["designation"],
    "page": [str(hit) for hit in described.search("descent")], "schema": "descent_m" in json.dumps(schema("session")),
}))
"""


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms with the page's diff applied and what is generated written again; as they were, they stay in `before`."""
    folder = tmp_path_factory.mktemp("measure")
    for name in COPIED:
        _copied(ROOT / name, folder / "before" / name)
    shutil.copytree(folder / "before", folder / "after")
    (diff,) = re.findall(r"```diff\n(.*?)```", PAGE, re.DOTALL)
    after = folder / "after"
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=after, check=True)
    for command in (["docs/generate.py"], ["-m", "tests.mappings.kept"]):
        _python(after, *command)
    return after


def _copied(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copy(source, target)
    else:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))


def _python(folder: Path, *arguments: str) -> str:
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _checked(rooms: Path, name: str, content: str) -> dict[str, Any]:
    path = rooms.parent / name
    path.write_text(content, encoding="utf-8")
    found: dict[str, Any] = json.loads(_python(rooms, "-m", "hub", "--json", "adapters", "check", str(path)))
    return found


def test_the_whole_commit_is_as_small_as_the_page_says(rooms: Path) -> None:
    counted = subprocess.run(["git", "diff", "--no-index", "--numstat", "before", "after"], cwd=rooms.parent, capture_output=True, text=True, check=False)
    lines = [line.split("\t") for line in counted.stdout.splitlines()]
    changed = sum(int(added) + int(removed) for added, removed, _ in lines)
    assert f"changes {changed} lines of {len(lines)} files" in PAGE
    assert changed < 30


def test_the_files_of_both_third_parties_are_taken_with_the_figure(rooms: Path) -> None:
    (command, answer) = re.findall(r"```text\n\$ printf '(.*?)' > .*?\n(.*?)```", PAGE, re.DOTALL)[0]
    assert _checked(rooms, "hike.csv", command.replace("\\n", "\n")) == json.loads(answer)
    (session,) = _checked(rooms, "hike.gpx", TRACK)["records"]
    assert session["facts"]["descent_m"] == 304.8


def test_the_face_carries_it_validly_and_is_read_back(rooms: Path) -> None:
    said = json.loads(_python(rooms, "-c", ASKED))
    assert (said["value"]["value"], said["value"]["code"]) == (304.8, "m")
    assert said["profiles"][-1].endswith("kinehub-session-measure")
    assert said["faults"] == []
    assert said["back"] == 304.8
    assert said["code"] == [{"language": "en", "value": "Total descent"}]
    assert said["schema"]
    assert any("descent_m" in hit for hit in said["page"])


def test_without_its_mapping_line_the_start_is_refused_with_the_place(rooms: Path, tmp_path: Path) -> None:
    shutil.copytree(rooms, tmp_path / "rooms")
    path = tmp_path / "rooms" / "mappings" / "fhir" / "session.yaml"
    path.write_text(re.sub(r".*descent.*\n", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"session\.yaml:\d+: .*descent_m.*neither mapped nor in left_out"):
        _python(tmp_path / "rooms", "-c", ASKED)
