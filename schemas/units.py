"""Units: spelling of sources to UCUM, and exact conversion factors (UCUM; STANDARD "one unit per quantity inside")."""

from __future__ import annotations

import re
from typing import Final

from schemas.errors import InvalidRecord
from schemas.r4.ucum import is_unit

SPELLINGS: Final[dict[str, str]] = {
    "bpm": "/min", "次/分": "/min", "次/min": "/min", "beats/min": "/min", "{beat}/min": "/min", "breaths/min": "/min",
    "mmhg": "mm[Hg]", "mmHg": "mm[Hg]", "kpa": "kPa", "degF": "[degF]", "°F": "[degF]", "F": "[degF]", "℉": "[degF]", "degC": "Cel", "°C": "Cel",
    "C": "Cel", "℃": "Cel", "mg/dl": "mg/dL", "mmol/l": "mmol/L", "公斤": "kg", "千克": "kg", "厘米": "cm", "米": "m", "毫升": "mL",
    "ml": "mL", "秒": "s", "sec": "s", "分钟": "min", "小时": "h", "千卡": "kcal", "大卡": "kcal", "lb": "[lb_av]", "lbs": "[lb_av]",
    "in": "[in_i]", "mi": "[mi_i]", "ft": "[ft_i]", "公里": "km", "千米": "km", "次": "{count}", "步": "{steps}",
}  # fmt: skip
"""What sources write to UCUM. Only spellings met in real files or templates."""

MDC_UNITS: Final[dict[str, str]] = {
    "262688": "%", "264864": "/min", "264928": "/min", "266016": "mm[Hg]", "265987": "kPa", "268192": "Cel", "266560": "[degF]",
    "263875": "kg", "263441": "cm", "264096": "kg/m2", "264274": "mg/dL", "266866": "mmol/L", "263904": "[lb_av]",
}  # fmt: skip
"""IEEE 11073-10101 unit codes (32 bit) to UCUM."""

FACTORS: Final[dict[tuple[str, str], float]] = {
    ("kPa", "mm[Hg]"): 7.50062, ("[lb_av]", "kg"): 0.45359237, ("g", "kg"): 0.001, ("m", "cm"): 100.0, ("mm", "cm"): 0.1,
    ("[in_i]", "cm"): 2.54, ("cm", "m"): 0.01, ("km", "m"): 1000.0, ("[mi_i]", "m"): 1609.344, ("[ft_i]", "m"): 0.3048,
    ("kJ", "kcal"): 1 / 4.184, ("cal", "kcal"): 0.001, ("min", "s"): 60.0, ("h", "s"): 3600.0, ("ms", "s"): 0.001,
    ("h", "min"): 60.0, ("s", "min"): 1 / 60, ("L", "mL"): 1000.0, ("kgf", "kg"): 1.0, ("d", "min"): 1440.0,
}  # fmt: skip
"""(from, to) to an exact factor. Glucose and lipids are not converted: their code follows the unit's property."""

_ANNOTATION = re.compile(r"\{[^}]*\}")


def ucum(spelling: str) -> str:
    """A source's spelling of a unit to UCUM; unknown spellings come back unchanged."""
    return SPELLINGS.get(spelling.strip(), spelling.strip())


def same_unit(one: str, other: str) -> bool:
    """Whether two UCUM units are equal once annotations in braces, which carry no meaning, are stripped."""
    return (_ANNOTATION.sub("", one) or "1") == (_ANNOTATION.sub("", other) or "1")


def convert(value: float, unit: str, target: str) -> float:
    """`value` in `unit` expressed in `target` (both UCUM). Raises InvalidRecord when there is no exact conversion."""
    if same_unit(unit, target):
        return value
    if (unit, target) == ("[degF]", "Cel"):
        return round((value - 32) / 1.8, 2)
    try:
        return round(value * FACTORS[unit, target], 6)
    except KeyError:
        said = f"The unit {unit[:20]!r}" if is_unit(unit) else "The unit is none of UCUM and"
        raise InvalidRecord(f"{said} cannot be converted to {target}.", code="unit") from None
