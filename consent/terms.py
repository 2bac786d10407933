"""The little terminology a consent decision needs: purposes, sensitivities, confidentiality, and codes that mean the same.

Purposes and sensitivities are the parts of HL7 v3 ActReason (PurposeOfUse) and ActCode (InformationSensitivityPolicy),
2018-08-12 as published with FHIR R4, that the hub meets. `ETH` above `ETHUD` and `OPIOIDUD`, and `BH` above `MH`, `PSY`
and `SUD`, follow IHE PCF and the later releases of HL7 Terminology. Codes that are not in the tables stand for themselves.
"""

from __future__ import annotations

from functools import cache, lru_cache

from schemas.measures import BY_LOINC, BY_MDC, LOCAL, LOINC, MDC, MEASURES, Measure

ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
CONSENT_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
MEDIA_TYPES = "urn:ietf:bcp:13"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ATC = "http://www.whocc.no/atc"
FORMAT_CODES = "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem"

ALIASES = {
    "http://hl7.org/fhir/v3/ActReason": ACT_REASON,
    "http://terminology.hl7.org/ValueSet/v3-PurposeOfUse": ACT_REASON,
    "urn:oid:2.16.840.1.113883.5.8": ACT_REASON,
    "http://hl7.org/fhir/v3/ActCode": ACT_CODE,
    "http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy": ACT_CODE,
    "http://terminology.hl7.org/ValueSet/v3-ActInformationSensitivityPolicy": ACT_CODE,
    "urn:oid:2.16.840.1.113883.5.4": ACT_CODE,
    "http://hl7.org/fhir/v3/Confidentiality": CONFIDENTIALITY,
    "http://terminology.hl7.org/ValueSet/v3-Confidentiality": CONFIDENTIALITY,
    "http://terminology.hl7.org/ValueSet/v3-ConfidentialityClassification": CONFIDENTIALITY,
    "urn:oid:2.16.840.1.113883.5.25": CONFIDENTIALITY,
    "http://hl7.org/fhir/v3/ObservationValue": OBSERVATION_VALUE,
    "http://hl7.org/fhir/ValueSet/resource-types": RESOURCE_TYPES,
    "http://hl7.org/fhir/fhir-types": RESOURCE_TYPES,
    "http://hl7.org/fhir/consentaction": CONSENT_ACTION,
    "http://hl7.org/fhir/ValueSet/consent-action": CONSENT_ACTION,
    "http://hl7.org/fhir/consentscope": CONSENT_SCOPE,
    "http://hl7.org/fhir/ValueSet/mimetypes": MEDIA_TYPES,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.24": MDC,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.88": RXNORM,
    "urn:oid:1.3.6.1.4.1.19376.1.2.3": FORMAT_CODES,
    "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode": FORMAT_CODES,
}
"""Other names under which the same code systems are met."""

RANKS = {code: rank for rank, code in enumerate("ULMNRV")}
"""Confidentiality from unrestricted to very restricted."""

HIERARCHY = {
    "PurposeOfUse": "HMARKT HOPERAT HPAYMT HRESCH PATRQT PUBHLTH TREAT",
    "HOPERAT": "CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP HQUALIMP HSYSADMIN MEMADMIN MILCDM"
    " PATADMIN PATSFTY PERFMSR RECORDMGT SYSDEV TRAIN",
    "HSYSADMIN": "LABELING METAMGT",
    "SYSDEV": "HTEST",
    "HPAYMT": "CLMATTCH COVAUTH COVERAGE REMITADV",
    "COVERAGE": "ELIGDTRM ELIGVER ENROLLM MILDCRG",
    "HRESCH": "BIORCH CLINTRCH DSRCH POARCH TRANSRCH",
    "CLINTRCH": "CLINTRCHNPC CLINTRCHPC PRECLINTRCH",
    "PATRQT": "FAMRQT PWATRNY SUPNWK",
    "PUBHLTH": "DISASTER THREAT",
    "TREAT": "CLINTRL COC ETREAT POPHLTH",
    "ETREAT": "BTG ERTREAT",
}
"""Purpose of use to the purposes directly under it."""

SENSITIVITIES = {
    "SPI": "BH MH PSY PSYTHPN SUD",
    "BH": "COGN DVD EMOTDIS MH PSY PSYTHPN SUD",
    "SUD": "ETHUD OPIOIDUD",
    "ETH": "ETHUD OPIOIDUD",
}
"""Sensitivity to the sensitivities directly under it."""

INSTRUCTIONS = frozenset({
    "ANONY", "AOD", "AUDIT", "AUDTR", "CPLYCC", "CPLYCD", "CPLYJPP", "CPLYOPP", "CPLYOSP", "CPLYPOL", "DECLASSIFYLABEL", "DEID", "DELAU",
    "DOWNGRDLABEL", "DRIVLABEL", "ENCRYPT", "ENCRYPTR", "ENCRYPTT", "ENCRYPTU", "HUAPRV", "LABEL", "MASK", "MINEC", "PERSISTLABEL", "PRIVMARK",
    "PSEUD", "REDACT", "UPGRDLABEL", "NOAUTH", "NOCOLLECT", "NODSCLCD", "NODSCLCDS", "NOINTEGRATE", "NOLIST", "NOMOU", "NOORGPOL", "NOPAT",
    "NOPERSISTP", "NORDSCLCD", "NORDSCLCDS", "NORDSCLW", "NORELINK", "NOREUSE", "NOVIP", "ORCON",
})  # fmt: skip
"""ActCode labels that say what to do with the data (obligations, refrains), not what it is about."""

BY_SNOMED = {
    "364075005": "heart-rate", "75367002": "blood-pressure", "271649006": "systolic", "271650006": "diastolic", "431314004": "oxygen-saturation",
    "386725007": "body-temperature", "86290005": "respiratory-rate", "27113001": "body-weight", "50373000": "body-height", "60621009": "bmi",
}  # fmt: skip
"""SNOMED CT observables that vital signs are coded with, beside or instead of LOINC."""

PARTS = {"blood-pressure": ("systolic", "diastolic", "mean-pressure")}
"""Measure to the measures it is made of: a rule about the panel is a rule about its parts."""

STANDARD_SYSTEMS = frozenset(
    {LOINC, SNOMED, MDC, RXNORM, ATC, "http://unitsofmeasure.org"}
)
KNOWN = STANDARD_SYSTEMS | frozenset(ALIASES.values())
STANDARD_PREFIXES = ("http://terminology.hl7.org/", "http://hl7.org/fhir/")


def _parents(children: dict[str, str]) -> dict[str, list[str]]:
    parents: dict[str, list[str]] = {}
    for parent, listed in children.items():
        for child in listed.split():
            parents.setdefault(child, []).append(parent)
    return parents


PURPOSE_PARENTS = _parents(HIERARCHY)
SENSITIVITY_PARENTS = _parents(SENSITIVITIES)
PURPOSES = frozenset(PURPOSE_PARENTS) | frozenset(HIERARCHY)


def _upwards(code: str, parents: dict[str, list[str]]) -> frozenset[str]:
    found = {code}
    for parent in parents.get(code, ()):
        found |= _upwards(parent, parents)
    return frozenset(found)


@cache
def purposes_above(code: str) -> frozenset[str]:
    """A purpose and everything it is a kind of."""
    return _upwards(code, PURPOSE_PARENTS)


@cache
def sensitivities_above(code: str) -> frozenset[str]:
    """A sensitivity and everything it is a kind of."""
    return _upwards(code, SENSITIVITY_PARENTS)


@cache
def _sensitivities_below(code: str) -> frozenset[str]:
    return frozenset({code}).union(*(_sensitivities_below(kind) for kind in SENSITIVITIES.get(code, "").split()))


@cache
def may_coincide(one: str, other: str) -> bool:
    """Whether something may be both: one is a kind of the other, or they have a kind in common (as SUD and ETH have)."""
    return not _sensitivities_below(one).isdisjoint(_sensitivities_below(other))


@lru_cache(maxsize=4096)
def system(uri: str) -> str:
    """The one name of a code system: without a slash at the end, and known by https, a value set, an older name or an OID as well."""
    plain = uri.rstrip("/").replace("https://", "http://", 1)
    plain = f"urn:oid:{plain}" if plain.startswith("2.16.840.") else plain
    return ALIASES.get(plain) or (plain if plain in KNOWN else uri)


def _measure(uri: str, code: str) -> Measure | None:
    if uri == LOINC:
        return BY_LOINC.get(code)
    if uri == MDC:
        return BY_MDC.get(code)
    if uri == SNOMED:
        return MEASURES.get(BY_SNOMED.get(code, ""))
    return MEASURES.get(code) if uri == LOCAL else None


@lru_cache(maxsize=65536)
def meaning(uri: str, code: str) -> tuple[str, str]:
    """System and code, replaced by the measure of the unified data standard where there is one: LOINC, MDC, SNOMED CT and local codes meet here."""
    uri = system(uri)
    measure = _measure(uri, code)
    return (LOCAL, measure.key) if measure else (uri, code)


def broader(uri: str, code: str) -> tuple[str, ...]:
    """What a code of a classification stands under, by its spelling: B20.1 under B20 in ICD-10, C09AA02 under C09AA in ATC."""
    lengths = range(3, len(code)) if "icd-10" in uri.lower() else (1, 3, 4, 5) if uri == ATC else ()
    return tuple(dict.fromkeys(code[:length].rstrip(".") for length in lengths if length < len(code)))


def with_parts(concept: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """A concept and the parts a rule about it speaks of too."""
    return (concept, *((LOCAL, part) for part in PARTS.get(concept[1], ()))) if concept[0] == LOCAL else (concept,)


def is_standard(uri: str, code: str) -> bool:
    """Whether the code's meaning is known here, so that it can be told apart from the codes of a rule."""
    return uri in STANDARD_SYSTEMS or uri.startswith(STANDARD_PREFIXES) or meaning(uri, code)[0] == LOCAL
