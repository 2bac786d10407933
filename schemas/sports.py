"""The one vocabulary of sports, read from `sports.csv`, and what sources write for them."""

from __future__ import annotations

from typing import NamedTuple

from schemas.lines import lines

SYSTEM = "https://kinehub.org/fhir/CodeSystem/sport"


class Sport(NamedTuple):
    """A sport: code, names, whether it is always indoors, the measure its distance is coded as, and its LOINC answer if any."""

    code: str
    zh: str
    en: str
    indoor: bool
    distance_measure: str
    loinc: str
    source: str


def _read() -> dict[str, Sport]:
    return {
        r["sport"]: Sport(r["sport"], r["zh"], r["en"], r["indoor"] == "1", r["distance_measure"], r["loinc"], r["source"]) for r in lines("sports.csv")
    }


SPORTS: dict[str, Sport] = _read()

ALIASES: dict[str, str] = {
    "run": "running", "walk": "walking", "biking": "cycling", "bike": "cycling", "ride": "cycling", "road_biking": "cycling", "swim": "swimming",
    "hike": "hiking", "treadmill": "running", "indoor_cycling": "cycling", "spinning": "cycling", "stand_up_paddling": "stand_up_paddleboarding",
    "快走": "walking", "慢走": "walking", "步行": "walking", "跑步机": "running", "慢跑": "running", "功率自行车": "cycling", "动感单车": "cycling",
    "单车": "cycling", "自行车": "cycling", "太极": "tai_chi",
    "康复操": "rehabilitation_exercise", "力量": "strength_training", "操课": "cardio_training",
    "trail_running": "running", "street_running": "running", "track_running": "running", "treadmill_running": "running", "indoor_running": "running",
    "virtual_run": "running", "indoor_walking": "walking", "casual_walking": "walking", "speed_walking": "walking", "mountain_biking": "cycling",
    "gravel_cycling": "cycling", "road_cycling": "cycling", "virtual_ride": "cycling", "spin": "cycling", "lap_swimming": "swimming",
    "open_water_swimming": "swimming", "open_water": "swimming", "dance": "dancing", "virtual_row": "indoor_rowing",
    "有氧操": "cardio_training", "拉伸训练": "flexibility_training", "strength": "strength_training",
}  # fmt: skip
_BY_NAME = {name.casefold(): sport.code for sport in SPORTS.values() for name in (sport.code, sport.zh, sport.en)} | ALIASES


def sport_code(text: str | None) -> str | None:
    """What a source writes (`Biking`, `快走`, `Indoor rowing`) to a code of the vocabulary; None when it is not known."""
    if not text or not text.strip():
        return None
    key = text.strip().casefold()
    return _BY_NAME.get(key) or _BY_NAME.get(key.replace(" ", "_").replace("-", "_"))
