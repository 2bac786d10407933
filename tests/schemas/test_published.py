"""The whole standard as one document: releases do not change, a version step is never forgotten, and changes are judged."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from click.testing import CliRunner

from hub.cli import cli
from schemas import published
from schemas.changes import STEPS, changes, demanded, stepped
from schemas.errors import KineHubError
from schemas.published import Document
from schemas.records import KINDS, STANDARD_VERSION
from schemas.standard import PARTS


def kinehub(*arguments: str) -> str:
    """What a command prints; its error is raised."""
    return CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout


def order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_a_version_that_was_released_is_what_its_file_says() -> None:
    if not published.is_draft():
        found = changes(published.kept(STANDARD_VERSION), published.current())
        least = stepped(STANDARD_VERSION, demanded(found))
        assert not found, f"The standard differs from schemas/releases/{STANDARD_VERSION}.json: set STANDARD_VERSION to {least} or later."


def test_the_version_makes_the_step_that_the_changes_since_the_last_release_demand() -> None:
    last = published.versions()[-1]
    least = stepped(last, demanded(changes(published.kept(last), published.current())))
    assert order(STANDARD_VERSION) >= order(least), f"Set STANDARD_VERSION in schemas/records.py to {least} or later."


@pytest.mark.parametrize("version", published.versions())
def test_a_release_names_its_version_and_is_written_as_it_is_shown(version: str) -> None:
    found = published.kept(version)
    assert found["version"] == version
    assert published.written(found).decode() == kinehub("standard", "show", version) if version != STANDARD_VERSION else found


def test_every_field_has_a_type_and_every_part_is_found() -> None:
    document = published.current()
    assert set(published.part_structs()) == set(PARTS)
    assert set(document["kinds"]) == set(KINDS)
    for group in (document["kinds"], document["parts"]):
        assert all("type" in field for one in group.values() for field in one["fields"].values())
    fields = document["kinds"]["vital"]["fields"]
    assert (fields["quantity"]["type"], fields["components"]["type"], fields["start"]["required"]) == ("quantity", "list of quantity", True)
    assert fields["interpretation"]["values"][:2] == ["L", "H"]


def test_a_document_is_one_line_an_entry() -> None:
    lines = published.written(published.current()).decode().splitlines()
    assert sum(line.strip().startswith('"heart-rate": {') for line in lines) == 1
    assert json.loads("\n".join(lines)) == published.current()


def edited(*path: str, value: Any = None) -> Document:
    """The current standard with the entry at `path` set, or taken out."""
    document = copy.deepcopy(published.current())
    inside = document
    for name in path[:-1]:
        inside = inside[name]
    if value is None:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return document


SESSION = ("kinds", "session", "fields")


@pytest.mark.parametrize(
    ("path", "value", "verdict", "step"),
    [
        (("kinds", "nap"), {"zh": "小睡", "en": "Nap", "key": ["start"], "fields": {}}, "compatible", "minor"),
        (("kinds", "check-in"), None, "breaking", "major"),
        ((*SESSION, "mood"), {"zh": "心情", "en": "mood", "type": "string"}, "compatible", "minor"),
        ((*SESSION, "mood"), {"zh": "心情", "en": "mood", "type": "string", "required": True}, "breaking", "major"),
        ((*SESSION, "rpe"), None, "breaking", "major"),
        ((*SESSION, "hr_avg", "zh"), "心率均值", "compatible", "patch"),
        ((*SESSION, "hr_avg", "unit"), "Hz", "breaking", "major"),
        ((*SESSION, "hr_avg", "possible"), [30, 260], "breaking", "major"),
        ((*SESSION, "hr_avg", "possible"), [10, 300], "attention", "minor"),
        ((*SESSION, "hr_avg", "possible"), None, "attention", "minor"),
        ((*SESSION, "pool_length_m", "possible"), [10, 100], "breaking", "major"),
        ((*SESSION, "modality", "values"), ["sensed", "derived"], "breaking", "major"),
        ((*SESSION, "modality", "values"), ["sensed", "self-reported", "derived", "guessed"], "attention", "minor"),
        ((*SESSION, "steps", "type"), "number", "attention", "minor"),
        ((*SESSION, "hr_avg", "type"), "integer", "breaking", "major"),
        ((*SESSION, "start", "required"), None, "attention", "minor"),
        (("kinds", "session", "key"), ["start"], "breaking", "major"),
        (("measures", "grip-strength", "loinc"), ["83174-3"], "compatible", "minor"),
        (("measures", "heart-rate", "loinc"), ["40443-4", "8867-4"], "breaking", "major"),
        (("measures", "heart-rate", "usual"), [40, 200], "attention", "minor"),
        (("measures", "heart-rate", "data_class"), "activity", "breaking", "major"),
        (("measures", "mean-pressure", "source"), "LOINC 2.81", "compatible", "patch"),
        (("measures", "bmi", "wst363"), "DE00.00.000.00", "compatible", "minor"),
        (("measures", "rpe"), None, "breaking", "major"),
        (("codes", "sport", "quidditch"), {"zh": "魁地奇", "en": "Quidditch"}, "compatible", "minor"),
        (("codes", "flag", "implausible"), None, "attention", "minor"),
        (("codes", "data-class", "sleep", "bit"), 30, "breaking", "major"),
    ],
)
def test_a_change_is_judged_by_what_it_does_to_partners(path: tuple[str, ...], value: Any, verdict: str, step: str) -> None:
    (found,) = changes(published.current(), edited(*path, value=value))
    assert (found.place, found.verdict, found.step) == (path, verdict, step)


def test_no_change_demands_no_step_and_the_gravest_decides() -> None:
    assert demanded(changes(published.current(), published.current())) == "none"
    both = edited("measures", "rpe")
    both["codes"]["sport"]["quidditch"] = {"zh": "魁地奇", "en": "Quidditch"}
    found = changes(published.current(), both)
    assert demanded(found) == "major"
    assert found[0].verdict == "breaking"


@pytest.mark.parametrize(
    ("version", "steps"), [("0.1.4", ["0.1.4", "0.1.5", "0.2.0", "0.2.0"]), ("2.3.4", ["2.3.4", "2.3.5", "2.4.0", "3.0.0"])]
)
def test_steps_follow_semantic_versioning(version: str, steps: list[str]) -> None:
    assert [stepped(version, step) for step in STEPS] == steps


def test_the_command_prints_changes_with_verdict_and_step(tmp_path: Any) -> None:
    file = tmp_path / "old.json"
    file.write_bytes(published.written({**edited("measures", "rpe"), "version": "0.1.0"}))
    told = json.loads(kinehub("--json", "standard", "diff", str(file)))
    assert (told["old"], told["new"], told["step"]) == ("0.1.0", STANDARD_VERSION, "minor")
    assert [(change["place"], change["what"], change["verdict"]) for change in told["changes"]] == [("measures/rpe", "added", "compatible")]
    assert "compatible  added    measures/rpe" in kinehub("standard", "diff", str(file))


def test_a_version_or_file_that_is_none_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "x.json"
    file.write_text("[]")
    for name in ("9.9.9", str(file)):
        with pytest.raises(KineHubError):
            kinehub("standard", "diff", name)
