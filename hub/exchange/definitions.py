"""What FHIR R4 (4.0.1) defines: resource types, their elements, their search parameters, the Patient compartment.

Read once from `schemas/r4/definitions.json` (source and hashes are inside; `schemas/r4/compact.py` makes it).
Nothing here knows what KineHub stores.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

CANONICAL = "http://hl7.org/fhir/SearchParameter/"


class Element(NamedTuple):
    """One element of a type: its name without `[x]`, whether it is a choice, its types, and R4's flags on it."""

    name: str
    types: tuple[str, ...]
    is_choice: bool
    is_array: bool
    is_summary: bool
    is_modifier: bool
    is_required: bool

    def typed_keys(self) -> tuple[tuple[str, str], ...]:
        """(JSON key, FHIR type) of every way to write it: `valueQuantity`, `valueString` … for a choice."""
        if self.is_choice:
            return tuple((self.name + kind[0].upper() + kind[1:], kind) for kind in self.types)
        return ((self.name, self.types[0]),)

    def json_keys(self) -> list[str]:
        return [key for key, _ in self.typed_keys()]


class SearchParameter(NamedTuple):
    """One search parameter of one resource type.

    expression: FHIRPath as R4 has it, possibly naming further types after `|`; empty when R4 gives none
    targets:    resource types a reference may have; empty = any
    components: of a composite: (parameter type, expression below each node that `expression` yields)
    url:        canonical of its definition
    """

    code: str
    type: str
    expression: str
    targets: frozenset[str]
    components: tuple[tuple[str, str], ...]
    url: str


class _Parameter(msgspec.Struct):
    code: str
    type: str
    base: list[str]
    expression: str = ""
    target: list[str] = []
    components: list[tuple[str, str]] = []


class _Definitions(msgspec.Struct):
    sources: dict[str, str]
    resources: list[str]
    elements: dict[str, dict[str, str]]
    systems: dict[str, list[str]]
    parameters: dict[str, _Parameter]
    patient: dict[str, list[str]]


_ROOTS = ("Resource", "DomainResource")
_WITHOUT_NARRATIVE = frozenset({"Bundle", "Binary", "Parameters"})
_CORRECTED = {"Linkage-source": "Linkage.item.where(type = 'source').resource"}
"""R4 describes this as items whose type is `source` and gives it the expression of any item."""
_UNSUPPORTED = frozenset({"_text", "_content", "_query", "near"})


@cache
def _definitions() -> _Definitions:
    return msgspec.json.decode(files("schemas").joinpath("r4", "definitions.json").read_bytes(), type=_Definitions)


def sources() -> dict[str, str]:
    """The published files the definitions come from, to their SHA-256."""
    return _definitions().sources


@cache
def resource_types() -> frozenset[str]:
    """Every concrete resource type of R4."""
    return frozenset(_definitions().resources)


@cache
def _by_base() -> dict[str, dict[str, SearchParameter]]:
    found: dict[str, dict[str, SearchParameter]] = {}
    for name, one in _definitions().parameters.items():
        made = SearchParameter(one.code, one.type, _CORRECTED.get(name, one.expression), frozenset(one.target), tuple(one.components), CANONICAL + name)
        for base in one.base:
            found.setdefault(base, {})[one.code] = made
    return found


@cache
def search_parameters(resource_type: str) -> dict[str, SearchParameter]:
    """Code to search parameter of a type, those of every resource (`_id`, `_lastUpdated` …) included."""
    roots = _ROOTS[:1] if resource_type in _WITHOUT_NARRATIVE else _ROOTS
    return {code: one for base in (*roots, resource_type) for code, one in _by_base().get(base, {}).items()}


def is_supported(parameter: SearchParameter) -> bool:
    """Whether this hub answers it: not full text, named queries, geographic distance, nor composites reaching out of their node."""
    reaches_out = any("%" in expression for _, expression in parameter.components)
    return parameter.code not in _UNSUPPORTED and bool(parameter.expression) and not reaches_out


@cache
def patient_compartment(resource_type: str) -> tuple[str, ...]:
    """The search parameters that put a resource of this type into a patient's compartment; empty = it is never in one."""
    return tuple(code for code in _definitions().patient.get(resource_type, ()) if code in search_parameters(resource_type))


def _element(name: str, shape: str) -> Element:
    flags, *types = shape.split(" ")
    return Element(name.removesuffix("[x]"), tuple(types), name.endswith("[x]"), "a" in flags, "s" in flags, "m" in flags, "r" in flags)


@cache
def elements(path: str) -> dict[str, Element]:
    """Name to element directly below a type (`Observation`, `Period`) or an inner path (`Observation.component`).

    Empty for primitives. The elements that every inner path has (`id`, `extension`) are not listed there.
    """
    kind, _, below = path.partition(".")
    shapes = _definitions().elements.get(kind, {})
    prefix = below + "." if below else ""
    names = (name for name in shapes if name.startswith(prefix) and "." not in name[len(prefix):])  # fmt: skip
    return {found.name: found for found in (_element(name[len(prefix):], shapes[name]) for name in names)}  # fmt: skip


def below(path: str, element: Element, kind: str) -> str:
    """Where the children of an element are defined: a datatype, or the inner path itself, or the path it refers to."""
    if kind.startswith("#"):
        return kind[1:]
    return f"{path}.{element.name}" if kind in ("BackboneElement", "Element") else kind


def code_systems(path: str) -> tuple[str, ...]:
    """The code systems of a `code` with a required binding (`Observation.status`); empty when it has none."""
    return tuple(_definitions().systems.get(path, ()))


@cache
def by_key(path: str) -> dict[str, tuple[Element, str]]:
    """JSON key (`valueQuantity`) directly below a type or inner path to its element and the FHIR type of its value."""
    return {key: (element, kind) for element in elements(path).values() for key, kind in element.typed_keys()}


def is_summary(path: str, key: str) -> bool:
    """Whether a JSON key belongs to the summary of a type. Required elements and modifier extensions always do."""
    found = by_key(path).get(key.removeprefix("_"))
    if found is None:
        return key in ("resourceType", "modifierExtension")
    return found[0].is_summary or found[0].is_required
