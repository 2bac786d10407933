"""What a receipt says about each record: facts with units in their names, absent where the file does not say.

Documented in docs/reference/facts.md.
"""

from __future__ import annotations

from typing import Any

from schemas.flags import FLAGS
from schemas.measures import MEASURES
from schemas.moments import local_text
from schemas.records import BodyComposition, Envelope, Quantity, Session, VitalSign
from schemas.standard import FACTS, MEASURED, STANDARD


def facts(record: Envelope) -> dict[str, Any]:
    """The facts of one record."""
    kind = str(record.__struct_config__.tag)
    found = _present(record, FACTS[kind])
    if isinstance(record, Session):
        return found | ({"laps": len(record.laps)} if record.laps else {}) | _device(record)
    if isinstance(record, VitalSign):
        return _vital(record) | found | _device(record)
    measured = [_quantity(quantity) for name, many in MEASURED[kind] if many for quantity in getattr(record, name)]
    return found | ({"measurements": measured} if measured else {}) | _counted(record, kind) | (_device(record) if isinstance(record, BodyComposition) else {})


def _counted(record: Envelope, kind: str) -> dict[str, int]:
    """How many entries each list of the record has that is no list of quantities."""
    named = {name for name, _ in MEASURED[kind]} | {"flags"}
    lists = ((name, getattr(record, name)) for name in STANDARD[kind].fields if name not in named)
    return {name: len(found) for name, found in lists if isinstance(found, list) and found}


def entry(record: Envelope, record_id: str, resident: str | None, resources: list[str]) -> dict[str, Any]:
    """One element of a receipt's `records`."""
    return {
        "record_id": record_id, "kind": record.__struct_config__.tag, "resident_id": resident, "start": local_text(record.start),
        "end": local_text(record.end) if record.end else None, "local_offset_minutes": record.start.offset_minutes, "facts": facts(record),
        "resources": resources, "warnings": [warning(flag.code, flag.field, flag.message) for flag in record.flags],
    }  # fmt: skip


def warning(code: str, field: str, message: str = "") -> dict[str, str]:
    """A warning with its sentence (English; pages translate by code)."""
    sentence = FLAGS.get(code, ("", code))[1]
    return {"code": code, "field": field, "message": f"{sentence} ({message})" if message else sentence}


def _present(record: Envelope, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(record, name, None)) is not None}


def _device(record: Envelope) -> dict[str, Any]:
    if record.device is None:
        return {}
    return {name: value for name in ("manufacturer", "model") if (value := getattr(record.device, name)) is not None}


def _vital(record: VitalSign) -> dict[str, Any]:
    found: dict[str, Any] = {"measure": record.measure, "code": _code(record.measure)}
    if record.quantity is not None:
        found |= _quantity(record.quantity)
    if record.components:
        found["components"] = [_quantity(component) for component in record.components]
    return found


def _quantity(quantity: Quantity) -> dict[str, Any]:
    found: dict[str, Any] = {"measure": quantity.measure, "code": _code(quantity.measure), "value": quantity.value, "unit": quantity.unit}
    if quantity.original:
        found["original"] = quantity.original
    if quantity.coding and "10101|" in quantity.coding:
        found["mdc"] = quantity.coding.rpartition("|")[2]
    return found


def _code(measure: str) -> str:
    known = MEASURES.get(measure)
    return known.loinc[0] if known and known.loinc else measure
