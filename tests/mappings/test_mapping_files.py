"""A wrong mapping file is refused at start-up with its file and line; nothing in one is evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mappings.face import FOLDER, compile_folder, examples
from schemas.errors import MappingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "fhir"))


def _edited(folder: Path, name: str, old: str, new: str) -> int:
    """Replace text in a file; the line it stood on."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("session.yaml", "when: timer_s}", "wenn: timer_s}", "unknown key 'wenn'"),
        ("session.yaml", "value: hr_max}", "value: hr_top}", "no field 'hr_top'"),
        ("session.yaml", "measure: hr-peak, value: hr_max}", "measure: hr-summit, value: hr_max}", "'hr-summit' is not known"),
        ("session.yaml", "measure: energy, value: energy_kcal}", "measure: hr-mean, value: energy_kcal}", "cannot be expressed"),
        ("session.yaml", "{slot: 8,", "{slot: 7,", "slot 7 is taken"),
        ("session.yaml", "{slot: 4,", "{slot: 0,", "a number from 1 on"),
        ("session.yaml", "title: {string: title}", "title: {eval: title}", "unknown key 'eval'"),
        ("session.yaml", "{sport_concept: [sport, sub_sport]}", "{exec: [sport]}", "unknown key 'exec'"),
        ("session.yaml", "{of: distance_measure}, value: distance_m}", "{of: __import__}, value: distance_m}", "'__import__' is not known"),
        ("session.yaml", "code: {pa: PAPanel,", "code: {icd: PAPanel,", "unknown key 'icd'"),
        ("session.yaml", "record: lap}", "record: leap}", "'leap' is not known"),
        ("session.yaml", "{record: lap}", "{pa: PAPanel}", "record"),
        ("session.yaml", "class: activity", "class: sport", "'sport' is not known"),
        ("vital.yaml", "effective: period", "effective: now", "'now' is not known"),
        ("body-composition.yaml", "      - bmi\n", "      - body-mass\n", "'body-mass' is not known"),
    ],
)
def test_a_wrong_key_or_name_is_named_with_file_and_line(folder: Path, name: str, old: str, new: str, said: str) -> None:
    line = _edited(folder, name, old, new)
    with pytest.raises(MappingError) as refused:
        compile_folder(folder)
    assert refused.value.message.startswith(f"{name}:")
    assert said in refused.value.message
    assert abs(int(refused.value.message.split(":")[1]) - line) <= 12


def test_an_unknown_key_is_named_with_its_very_line(folder: Path) -> None:
    line = _edited(folder, "day-summary.yaml", "value: floors}", "value: floors, colour: red}")
    with pytest.raises(MappingError, match=rf"^day-summary\.yaml:{line}: unknown key 'colour'"):
        compile_folder(folder)


def _mapped_lines() -> list[tuple[str, str]]:
    """Every one-line mapping of a field: taken out, the hub must not start. Two lines share the durations: the examples watch them."""
    lines = []
    for path in sorted(FOLDER.glob("*.yaml")):
        mapped = path.read_text(encoding="utf-8").partition("examples:")[0] if path.name != "shared.yaml" else ""
        lines += [(path.name, line) for line in mapped.splitlines() if line.startswith("  - {slot:") and "elapsed_s" not in line]
    return lines


@pytest.mark.parametrize(("name", "line"), _mapped_lines())
def test_taking_out_a_mapping_line_stops_the_start(folder: Path, name: str, line: str) -> None:
    _edited(folder, name, line + "\n", "")
    with pytest.raises(MappingError, match="neither mapped nor in left_out"):
        compile_folder(folder)


def test_a_record_kind_without_a_mapping_stops_the_start(folder: Path) -> None:
    (folder / "check-in.yaml").unlink()
    with pytest.raises(MappingError, match="check-in"):
        compile_folder(folder)


@pytest.mark.parametrize("text", ["", "- a list\n", "kind: [\n", "kind: session\nkind: session\n", "kind: !!python/object:os.system x\n"])
def test_a_file_that_is_no_table_is_refused(folder: Path, text: str) -> None:
    (folder / "session.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(MappingError, match=r"session\.yaml"):
        compile_folder(folder)


def test_a_mapping_without_two_examples_is_refused(folder: Path) -> None:
    path = folder / "check-in.yaml"
    path.write_text(path.read_text(encoding="utf-8").partition("  - says: still inside")[0], encoding="utf-8")
    with pytest.raises(MappingError, match="at least two examples"):
        examples(folder)
