"""What the HL7 Personal Health Device IG asks of a reading, its device and its gateway before anything may claim it.

Source: https://github.com/HL7/phd (commit 5af8412, 2.0.0): PhdBaseObservation, PhdNumericObservation, PhdCompoundNumericObservation, PhdDevice,
PhgDevice, restated in `schemas/fsh/input/fsh/devices.fsh`. Each refers to the others, so all of a record claims them or nothing does. Rules that
every face keeps (subject, effective time, values in UCUM) are not asked again here.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from mappings.functions import there
from schemas import package
from schemas.measures import MDC, MEASURES
from schemas.records import Device, Quantity, VitalSign

_SETS: Final = "https://kinehub.org/fhir/ValueSet/"
PHD: Final = "65573"
"""MDC_MOC_VMS_MDS_SIMP, the type of a device that measures."""
PHG: Final = "531981"
"""MDC_MOC_VMS_MDS_AHD, the type of a gateway."""


def conforms(record: VitalSign) -> bool:
    """Whether the source said all that the guide asks: of the reading, of its device and of the gateway that received it."""
    device, gateway = record.device, record.gateway
    if device is None or gateway is None or not _is_reading(record):
        return False
    named = there(device.manufacturer) and there(device.model) and all(there(one.version) for one in device.specializations)
    return named and _is_of(device, PHD) and _is_of(gateway, PHG)


def _is_reading(record: VitalSign) -> bool:
    """An MDC code for every figure (mdc-1, PhdCompoundNumericObservation.component.code), and no judgement but the device's own
    (PhdBaseObservation.interpretation)."""
    if record.interpretation is not None:
        return False
    if record.quantity is not None:
        return not record.components and _is_coded(record.quantity)
    has_both = {"systolic", "diastolic"} <= {one.measure for one in record.components}
    return record.measure == "blood-pressure" and has_both and all(_is_coded(one) for one in record.components)


def _is_coded(quantity: Quantity) -> bool:
    measure = MEASURES.get(quantity.measure)
    return measure is not None and measure.unit != "" and str(quantity.coding).startswith(f"{MDC}|")


def _is_of(device: Device, type_: str) -> bool:
    """An identifier, the type, specializations, and versions that say what they are of."""
    versions = (*((True,) if there(device.firmware) else ()), *(str(one.mdc) in _codes("device-version-type") for one in device.versions))
    specializations = [one.mdc in _codes("device-specialization") for one in device.specializations]
    return there(device.identifier) and device.mdc_type == type_ and bool(versions and specializations) and all((*versions, *specializations))


@cache
def _codes(name: str) -> frozenset[str]:
    return frozenset(package.value_sets()[_SETS + name][MDC] or ())
