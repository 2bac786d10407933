"""StructureDefinitions of R4 and ours, read when they are first asked for, each as a tree of its elements.

`structures.json` holds R4's (made by `snapshots.py`), `schemas/package/` ours and those of IPS that ours are derived from, in the same
layout: canonical URL to a StructureDefinition with its snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from schemas.r4.fhirpath import Choices

CORE: Final = "http://hl7.org/fhir/StructureDefinition/"


class Constraint(msgspec.Struct, frozen=True):
    """An invariant."""

    key: str
    severity: str
    human: str = ""
    expression: str = ""


class Binding(msgspec.Struct, frozen=True, rename="camel"):
    """A binding to a value set; the version of the canonical is not kept."""

    strength: str
    value_set: str = ""


class Discriminator(msgspec.Struct, frozen=True):
    """What tells the slices apart."""

    type: str
    path: str


class Slicing(msgspec.Struct, frozen=True):
    """How a list is sliced."""

    rules: str = "open"
    discriminator: tuple[Discriminator, ...] = ()


class Type(msgspec.Struct, frozen=True, rename="camel"):
    """One type an element may have."""

    code: str
    profile: tuple[str, ...] = ()
    target_profile: tuple[str, ...] = ()


class _Definition(msgspec.Struct, rename="camel"):
    id: str
    min: int = 0
    max: str = "*"
    type: tuple[Type, ...] = ()
    content_reference: str = ""
    binding: Binding | None = None
    constraint: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    is_modifier: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Element:
    """One element of a structure with those below it. `fixed` and `pattern` are JSON values, None where there is none."""

    name: str
    path: str
    definition: _Definition
    fixed: Any = None
    pattern: Any = None
    children: dict[str, Element] = field(default_factory=dict)
    slices: dict[str, Element] = field(default_factory=dict)

    @property
    def is_choice(self) -> bool:
        return self.name.endswith("[x]")

    @property
    def is_list(self) -> bool:
        return self.definition.max not in ("0", "1")

    @property
    def types(self) -> tuple[Type, ...]:
        return self.definition.type

    def spellings(self) -> Iterator[tuple[str, Type]]:
        """JSON key and type of every way to write it."""
        stem = self.name.removesuffix("[x]")
        for type_ in self.types:
            yield stem + (type_.code[0].upper() + type_.code[1:] if self.is_choice else ""), type_


class Context(msgspec.Struct, frozen=True):
    """Where an extension may stand."""

    type: str
    expression: str


@dataclass(slots=True, eq=False, repr=False)
class Structure:
    """A StructureDefinition."""

    url: str
    type: str
    kind: str
    is_profile: bool
    context: tuple[Context, ...]
    root: Element
    elements: dict[str, Element]


@cache
def _written() -> dict[str, msgspec.Raw]:
    texts = (files("schemas").joinpath(*path).read_bytes() for path in (("r4", "structures.json"), ("package", "structures.json"), ("package", "parents.json")))
    return {url: raw for text in texts for url, raw in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}


def urls() -> list[str]:
    """Canonicals of every structure there is."""
    return list(_written())


@cache
def structure(url: str) -> Structure | None:
    """The structure with a canonical; None when it is not known. A version behind `|` is not looked at."""
    raw = _written().get(url.partition("|")[0])
    return None if raw is None else _structure(msgspec.json.decode(raw))


def core(type_: str) -> Structure | None:
    """R4's own definition of a type."""
    return structure(CORE + type_)


def _structure(body: dict[str, Any]) -> Structure:
    elements: dict[str, Element] = {}
    for one in body["snapshot"]["element"]:
        _place(elements, one)
    root = next(iter(elements.values()))
    is_profile = body.get("derivation") == "constraint"
    context = msgspec.convert(body.get("context", ()), tuple[Context, ...])
    return Structure(body["url"], body["type"], body["kind"], is_profile, context, root, elements)


def _place(elements: dict[str, Element], one: dict[str, Any]) -> None:
    """Puts an element below its parent or, as a slice, below what is sliced. `value[x]:valueQuantity` and `valueQuantity` are one."""
    definition = msgspec.convert(one, _Definition)
    if definition.binding:
        definition.binding = Binding(definition.binding.strength, definition.binding.value_set.partition("|")[0])
    above, _, last = definition.id.rpartition(".")
    name, _, slice_ = last.partition(":")
    fixed, pattern = (next((value for key, value in one.items() if key.startswith(kind)), None) for kind in ("fixed", "pattern"))
    made = Element(name, definition.id, definition, fixed, pattern)
    elements[definition.id] = made
    sliced = elements.get(f"{above}.{name}" if above else name)
    if slice_ and sliced is not None:
        sliced.slices[slice_] = made
    elif above:
        elements[above].children[name] = made


def core_types() -> list[str]:
    """The resource types of R4 whose structure is known."""
    found = (core(url.removeprefix(CORE)) for url in urls() if url.startswith(CORE))
    return [one.type for one in found if one is not None and one.kind == "resource" and not one.is_profile and one.type not in ("Resource", "DomainResource")]


@cache
def choices() -> Choices:
    """R4's choices by name, of all types together."""
    found: dict[str, set[str]] = {}
    for raw in _written().values():
        for name, keys in _choice_keys(raw):
            found.setdefault(name, set()).update(keys)
    return Choices({name: frozenset(keys) for name, keys in found.items()})


class _OnlyTypes(msgspec.Struct):
    id: str
    type: tuple[Type, ...] = ()


class _OnlyElements(msgspec.Struct):
    element: list[_OnlyTypes]


class _OnlySnapshot(msgspec.Struct):
    snapshot: _OnlyElements


def _choice_keys(raw: msgspec.Raw) -> Iterator[tuple[str, list[str]]]:
    for one in msgspec.json.decode(raw, type=_OnlySnapshot).snapshot.element if b"[x]" in bytes(raw) else ():
        name = one.id.rpartition(".")[2]
        if name.endswith("[x]"):
            yield name[:-3], [name[:-3] + type_.code[0].upper() + type_.code[1:] for type_ in one.type]
