"""Values of R4's datatypes that structure alone does not judge: bindings, references, units, codings, fixed and pattern values."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha1
from typing import Any, Final

from schemas.r4.fhirpath import NO_VALUE, UCUM, Scope
from schemas.r4.issues import Found, Issue, Rule, below, error, warning
from schemas.r4.primitives import PRIMITIVES
from schemas.r4.structures import Binding, Type, structure
from schemas.r4.terms import codes_of, is_code, is_member
from schemas.r4.ucum import is_unit

RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
_REFERENCE: Final = re.compile(r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_IS_REST: Final = re.compile(r"https?://\S+/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch
_IS_SPACED: Final = re.compile(r"\s").search
_ABSOLUTE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S+")


# Bindings


def binding_rule(binding: Binding, type_: str) -> Rule | None:
    """Judges a value by its binding; None when there is nothing to judge it by."""
    make = _BOUND.get(type_)
    return None if make is None or not binding.value_set else make(binding)


def _bound_code(binding: Binding) -> Rule | None:
    codes, url = codes_of(binding.value_set), binding.value_set
    if codes is None and is_member(url, None, "") is None:
        return None
    wrong = _misplaced(binding, "The code")

    def judge(value: Any, scope: Scope) -> Found:
        return None if type(value) is not str or (value in codes if codes is not None else is_member(url, None, value) is not False) else wrong

    return judge


def _bound_coding(binding: Binding) -> Rule | None:
    wrong, url = _misplaced(binding, "The coding"), binding.value_set

    def judge(value: Any, scope: Scope) -> Found:
        return wrong if type(value) is dict and _in(url, value) is False else None

    return judge


def _bound_concept(binding: Binding) -> Rule | None:
    wrong, url = _misplaced(binding, "No coding"), binding.value_set

    def judge(value: Any, scope: Scope) -> Found:
        codings = value.get("coding", ()) if type(value) is dict else ()
        told = [_in(url, one) for one in codings if type(one) is dict]
        if True in told or None in told or (not told and binding.strength != "required"):
            return None
        return wrong

    return judge


def _bound_quantity(binding: Binding) -> Rule | None:
    return _bound_coding(binding)


def _in(url: str, coding: Mapping[str, Any]) -> bool | None:
    return _is_in(url, coding.get("system"), coding.get("code"))


@lru_cache(4096)
def _is_in(url: str, system: Any, code: Any) -> bool | None:
    return is_member(url, system if type(system) is str else "", code) if type(code) is str else False


def _misplaced(binding: Binding, what: str) -> Found:
    name = binding.value_set.rpartition("/")[2]
    if binding.strength == "required":
        return error("code-invalid", "required-binding", f"{what} is not in the value set {name}, which is required.")
    return warning("code-invalid", f"{binding.strength}-binding", f"{what} is not in the value set {name} ({binding.strength}).")


_BOUND: Final = {
    "code": _bound_code, "string": _bound_code, "uri": _bound_code, "Coding": _bound_coding, "CodeableConcept": _bound_concept,
    "Quantity": _bound_quantity, "Duration": _bound_quantity, "Age": _bound_quantity, "Distance": _bound_quantity,
}  # fmt: skip


# Datatypes


_RELATIVE: Final = warning("invalid", "coding-system", "The system of a coding is an absolute URI.")
_UNKNOWN_CODE: Final = error("code-invalid", "unknown-code", "The code system has no such code.")
_NOT_UCUM: Final = error("code-invalid", "unit", "The code is no unit of UCUM.")


@lru_cache(1024)
def is_absolute(url: str) -> bool:
    """Whether a URI names its scheme."""
    return _ABSOLUTE.fullmatch(url) is not None


def coding_rule(value: Any, scope: Scope) -> Found:
    """A code that its code system does not have; a system that is no absolute URI."""
    return _coded(value.get("system"), value.get("code"))


@lru_cache(4096)
def _coded(system: Any, code: Any) -> Found:
    if type(system) is not str:
        return None
    if not is_absolute(system):
        return _RELATIVE
    if type(code) is str and is_code(system, code) is False:
        return _NOT_UCUM if system == UCUM else _UNKNOWN_CODE
    return None


def identifier_rule(value: Any, scope: Scope) -> Found:
    """A system that is no absolute URI."""
    system = value.get("system")
    if type(system) is str and not is_absolute(system):
        return error("invalid", "identifier-system", "The system of an identifier is an absolute URI.")
    return None


def quantity_rule(value: Any, scope: Scope) -> Found:
    """A code that says to be UCUM and is not; a system that is no absolute URI."""
    system, code = value.get("system"), value.get("code")
    if type(code) is not str or type(system) is not str:
        return None
    if system == UCUM:
        return None if is_unit(code) else _NOT_UCUM
    return None if is_absolute(system) else error("invalid", "coding-system", "The system of a unit is an absolute URI.")


def attachment_rule(value: Any, scope: Scope) -> Found:
    """A size or hash that is not that of the data."""
    data, size, hash_ = value.get("data"), value.get("size"), value.get("hash")
    if any(type(text) is str and _IS_SPACED(text) for text in (data, hash_)):
        return error("value", "attachment", "The Base64 of an attachment holds no white space.")
    if type(data) is not str or (size is None and hash_ is None):
        return None
    content = b64decode(data)
    if size is not None and size != len(content):
        return error("value", "attachment", "The size is not that of the data.")
    if hash_ is not None and hash_ != b64encode(sha1(content, usedforsecurity=False).digest()).decode():
        return error("value", "attachment", "The hash is not the SHA-1 of the data.")
    return None


def reference_rule(targets: frozenset[str]) -> Rule:
    """The check of a reference to these types (none = any): a reference that is no URL, or leads to another type than it says or may."""
    misplaced = below(".reference", error("structure", "reference-target", f"The reference leads to {' or '.join(sorted(targets))}."))

    def judge(value: Any, scope: Scope) -> Found:
        reference, said = value.get("reference"), value.get("type")
        if type(reference) is not str:
            return None
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            return _other_reference(reference, targets, scope, misplaced)
        target = match[1]
        if target not in targets and not is_code(RESOURCE_TYPES, target):
            return _UNCLEAR
        if target not in targets and targets:
            return misplaced
        return _STATED if said is not None and said != target and type(said) is str else None

    return judge


_STATED: Final = below(".reference", error("invalid", "reference-target", "The type that the reference states is not the type it leads to."))
_SPACED: Final = below(".reference", error("value", "reference", "The reference holds white space."))
_DANGLING: Final = below(".reference", error("invariant", "ref-1", "The reference leads to a contained resource that is not there (ref-1)."))
_NO_CONTAINER: Final = below(".reference", error("not-found", "reference", "The reference leads to its container, and nothing contains this resource."))
_TWICE: Final = below(".security", error("business-rule", "security-label", "The same security label is there twice."))
_OTHER_URL: Final = below(".fullUrl", error("invalid", "full-url", "The fullUrl is not that of the resource."))
_UNCLEAR: Final = below(".reference", warning("value", "reference", "The reference is neither Type/id with a type of R4 nor another absolute URL."))


def _other_reference(reference: str, targets: frozenset[str], scope: Scope, misplaced: list[Issue]) -> Found:
    if _IS_SPACED(reference):
        return _SPACED
    if reference[:1] == "#":
        if reference == "#":
            return _NO_CONTAINER if scope.resource is scope.root else None
        inner = scope.contained().get(reference[1:])
        return _DANGLING if inner is None else misplaced if targets and inner.get("resourceType") not in targets else None
    return None if _ABSOLUTE.fullmatch(reference) else _UNCLEAR


def meta_rule(value: Any, scope: Scope) -> Found:
    """A security label that is there twice."""
    labels = value.get("security", ())
    if len(labels) < 2:
        return None
    pairs = [(one.get("system"), one.get("code")) for one in labels]
    return _TWICE if len(set(pairs)) < len(pairs) else None


def entry_rule(value: Any, scope: Scope) -> Found:
    """An entry of a Bundle whose fullUrl is that of another resource than it holds."""
    url, resource = value.get("fullUrl"), value.get("resource")
    if type(url) is not str or type(resource) is not dict or not _IS_REST(url) or type(resource.get("id")) is not str:
        return None
    return None if url.endswith(f"/{resource.get('resourceType')}/{resource['id']}") else _OTHER_URL


DATATYPES: Final[dict[str, Rule]] = {
    "Bundle.entry": entry_rule, "Meta": meta_rule, "Coding": coding_rule, "Identifier": identifier_rule, "Attachment": attachment_rule,
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), quantity_rule),
}  # fmt: skip
"""Datatype or inner path to what is judged of it beside its structure and invariants."""


def targets_of(types: tuple[Type, ...]) -> frozenset[str]:
    """The types references of these kinds may lead to; empty = any."""
    urls = [url for type_ in types if type_.code == "Reference" for url in type_.target_profile or ("Resource",)]
    names = {found.type if (found := structure(url)) is not None else url.rpartition("/")[2] for url in urls}
    return frozenset() if "Resource" in names else frozenset(names)


# What is met most


@lru_cache(4096)
def _is_clean(system: str, code: str) -> bool:
    """Whether nothing can be found in a system and a code, wherever they stand."""
    return PRIMITIVES["uri"](system) and PRIMITIVES["code"](code) and is_absolute(system) and _coded(system, code) is None


def _is_quick_coding(value: dict[str, Any]) -> bool:
    system, code = value.get("system"), value.get("code")
    if type(system) is not str or type(code) is not str or not _is_clean(system, code):
        return False
    display = value.get("display")
    return len(value) == 2 or (len(value) == 3 and type(display) is str and display.strip() != "")


def _is_quick_quantity(value: dict[str, Any]) -> bool:
    if len(value) != 4 or "unit" not in value or "value" not in value:
        return False
    system, code, unit, number = value.get("system"), value.get("code"), value["unit"], type(value["value"])
    if type(system) is not str or type(code) is not str or type(unit) is not str:
        return False
    return (number is float or number is int) and unit.strip() != "" and _is_clean(system, code)


def _is_quick_concept(value: dict[str, Any]) -> bool:
    codings, text = value.get("coding"), value.get("text")
    if text is not None and (type(text) is not str or text.strip() == ""):
        return False
    if type(codings) is not list or not codings or len(value) != (1 if text is None else 2):
        return len(value) == 1 and text is not None
    for one in codings:  # noqa: SIM110 - all() costs more than the test
        if type(one) is not dict or not _is_quick_coding(one):
            return False
    return True


Quick = Callable[[Any], object]
"""A test of a JSON value of one type: when it is true there is nothing to find; otherwise the check says what."""
QUICK_OBJECTS: Final[dict[str, Quick]] = {"Coding": _is_quick_coding, "CodeableConcept": _is_quick_concept, "Quantity": _is_quick_quantity}
"""Datatype to a test that is true only of objects in which nothing can be found: the plain ones, which are most."""
QUICK_PROFILES: Final = frozenset({"http://hl7.org/fhir/StructureDefinition/SimpleQuantity"})
"""Profiles of datatypes in which nothing can be found either where those tests are true: a plain Quantity has no comparator."""


def quick_bound(quick: Quick, binding: Binding, type_: str) -> Quick:
    """The same of what is in a value set as well."""
    url, may_be_text = binding.value_set, binding.strength != "required"

    def of_coding(value: dict[str, Any]) -> bool:
        return bool(quick(value)) and _is_in(url, value["system"], value["code"]) is not False

    def of_concept(value: dict[str, Any]) -> bool:
        if not quick(value):
            return False
        for one in value.get("coding", ()):
            if _is_in(url, one["system"], one["code"]) is not False:
                return True
        return may_be_text and "coding" not in value

    return of_concept if type_ == "CodeableConcept" else of_coding


def quick_reference(targets: frozenset[str]) -> Quick | None:
    """Of a literal reference to one of these types, with or without a display."""
    if not targets:
        return None
    leads_there = re.compile(rf"(?:https?://[^\s/]\S*/)?(?:{'|'.join(sorted(targets))})/[A-Za-z0-9\-.]{{1,64}}").fullmatch

    def is_quick(value: dict[str, Any]) -> bool:
        reference, display = value.get("reference"), value.get("display")
        if type(reference) is not str or not leads_there(reference):
            return False
        return len(value) == 1 or (len(value) == 2 and type(display) is str and display.strip() != "")

    return is_quick


def all_quick(kind: type, quick: Quick) -> Quick:
    """Of a list of such values."""

    def are_quick(values: list[Any]) -> bool:
        for one in values:
            if type(one) is not kind or not quick(one):
                return False
        return bool(values)

    return are_quick


# Fixed values


def fixed_rule(fixed: Any) -> Rule:
    wrong = error("value", "fixed-value", "The value is not the one that the profile fixes.")
    kinds = _kinds(fixed)
    return lambda value, scope: None if value is NO_VALUE or (value == fixed and type(value) in kinds) else wrong


def pattern_rule(pattern: Any) -> Rule:
    wrong = error("value", "pattern-value", "The value does not hold what the profile's pattern asks for.")
    return lambda value, scope: None if value is NO_VALUE or matches(value, pattern) else wrong


def _kinds(value: Any) -> tuple[type, ...]:
    return (int, float) if type(value) in (int, float) else (type(value),)


def matches(value: Any, pattern: Any) -> bool:
    """Whether a value holds everything of a pattern; a list of the pattern is somewhere in the list of the value."""
    if type(pattern) is dict:
        return type(value) is dict and all(key in value and matches(value[key], inner) for key, inner in pattern.items())
    if type(pattern) is list:
        return type(value) is list and all(any(matches(one, inner) for one in value) for inner in pattern)
    return bool(value == pattern) and type(value) in _kinds(pattern)
