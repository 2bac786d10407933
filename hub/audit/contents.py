"""What an audit entry keeps of an answer, sealed for the resident: how many resources of which types, and what they are of; never a value."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import orjson

_MEASURED: Final = re.compile(rb'"code":\{"coding":\[\{"system":"[^"]*","code":"([^"]+)"')
"""The first coding of each `code` of an Observation and its components, as our faces write them."""
PATIENT_PARTS: Final = ("identifier", "name", "telecom", "gender", "birthDate", "address", "contact")
MOST: Final = 100
"""So many different things are named."""


def contents(shown: Iterable[tuple[str, bytes]]) -> dict[str, Any] | None:
    """`shown`: resources by type; `fields`: codes of what was measured and `Patient.part`s. None of nothing."""
    counts: Counter[str] = Counter()
    fields: dict[str, None] = {}
    for type_, raw in shown:
        counts[type_] += 1
        if type_ == "Observation":
            fields |= dict.fromkeys(code.decode() for code in _MEASURED.findall(raw))
        elif type_ == "Patient":
            said = orjson.loads(raw)
            fields |= dict.fromkeys(f"Patient.{part}" for part in PATIENT_PARTS if part in said)
    return ({"shown": dict(counts)} | ({"fields": list(fields)[:MOST]} if fields else {})) if counts else None
