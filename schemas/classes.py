"""Data classes (数据类别): what a resident can grant apart. One list behind labels, consent, CLI and pages.

Source: the unified data standard, section "Data classes". The bit numbers are stored in `records.labels`
and must never be renumbered; a new class takes the next free bit.
"""

from __future__ import annotations

from enum import IntFlag


class DataClass(IntFlag):
    """One bit per data class; a record's labels are the union of its resources' classes."""

    ACTIVITY = 1 << 0
    LOCATION = 1 << 1
    FITNESS_TEST = 1 << 2
    HEALTH_CHECK = 1 << 3
    LABORATORY = 1 << 4
    MEDICATION = 1 << 5
    DIAGNOSIS = 1 << 6
    IMAGING = 1 << 7
    LIFESTYLE = 1 << 8
    SLEEP = 1 << 9
    PRESCRIPTION = 1 << 10
    REHABILITATION = 1 << 11
    ATTENDANCE = 1 << 12
    POINTS = 1 << 13
    IDENTITY = 1 << 14
    BIOMETRIC = 1 << 15


CODES: dict[str, DataClass] = {member.name.lower().replace("_", "-"): member for member in DataClass if member.name}
"""Class code as the CLI, FHIR labels and pages write it (`fitness-test`) to its bit."""

NAMES: dict[str, tuple[str, str]] = {
    "activity": ("运动", "Exercise"),
    "location": ("位置轨迹", "Routes and places"),
    "fitness-test": ("体质监测", "Fitness tests"),
    "health-check": ("健康检测", "Health checks"),
    "laboratory": ("检验", "Laboratory"),
    "medication": ("用药", "Medication"),
    "diagnosis": ("诊治", "Diagnoses and visits"),
    "imaging": ("影像", "Imaging"),
    "lifestyle": ("生活习惯", "Lifestyle"),
    "sleep": ("睡眠", "Sleep"),
    "prescription": ("运动处方与方案", "Exercise prescriptions and plans"),
    "rehabilitation": ("康复", "Rehabilitation"),
    "attendance": ("出入场", "Attendance and bookings"),
    "points": ("积分与消费", "Points and purchases"),
    "identity": ("身份与联系方式", "Identity and contacts"),
    "biometric": ("生物识别", "Biometrics"),
}
"""Class code to its zh-CN and en names."""

SYSTEM = "https://kinehub.org/fhir/CodeSystem/data-class"
"""CodeSystem of the data-class label in `meta.security`."""

ALL = DataClass(sum(member for member in DataClass if member is not DataClass.BIOMETRIC))
"""What `--data all` grants: every class but `biometric`."""


def parse_classes(text: str) -> DataClass:
    """`all`, or comma-separated class codes, to bits. Raises ValueError naming the unknown code."""
    if text.strip() == "all":
        return ALL
    bits = DataClass(0)
    for code in text.split(","):
        if code.strip() not in CODES:
            raise ValueError(f"unknown data class {code.strip()!r}; known: {', '.join(CODES)}, all")
        bits |= CODES[code.strip()]
    return bits


def codes_of(bits: int) -> list[str]:
    """Bits back to class codes, in the order of the list."""
    return [code for code, member in CODES.items() if bits & member]
