"""The structure of R4's own types compiled to checks: elements, JSON shapes, cardinality, choices, primitives, bindings, invariants.

A type is compiled when it is first met, an element when it is first written. A check costs no more than the elements that are there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from schemas.r4.elements import (
    DATATYPES,
    QUICK_OBJECTS,
    QUICK_PROFILES,
    RESOURCE_TYPES,
    Quick,
    all_quick,
    binding_rule,
    quick_bound,
    quick_reference,
    reference_rule,
    targets_of,
)  # fmt: skip
from schemas.r4.extensions import extensions_rule, names_of
from schemas.r4.fhirpath import Scope, Truth
from schemas.r4.invariants import OF_CONTAINERS, broken, truth_of
from schemas.r4.issues import Check, Found, Issue, Rule, below, both, error, is_broken, more, warning
from schemas.r4.narrative import xhtml_rule
from schemas.r4.primitives import PRIMITIVES, QUICK, is_blank
from schemas.r4.profiles import profile_rule
from schemas.r4.structures import Constraint, Element, Structure, Type, core
from schemas.r4.terms import codes_of, is_code

_RESOURCES: Final = frozenset({"Resource", "DomainResource"})
_NOT_AN_OBJECT: Final = error("structure", "type", "The element is a JSON object.")
_NOT_A_LIST: Final = error("structure", "type", "The element repeats: it is a JSON array.")
_A_LIST: Final = error("structure", "type", "The element does not repeat: it is no JSON array.")
_EMPTY: Final = error("structure", "empty", "The element is empty; leave out what is not known.")
_BLANK: Final = warning("value", "blank", "The text is blank.")
_NULL: Final = error("structure", "null", "The element is null; leave out what is not known.")
_UNKNOWN: Final = error("structure", "unknown-element", "R4 has no such element here.")
_NO_CODE: Final = error("code-invalid", "required-binding", "A code of the value set is required here; extensions alone are none.")
_ONLY_ID: Final = error("invariant", "ele-1", "The element has neither a value nor children (ele-1).")


_NAME: Final = re.compile(r"_?[a-z][A-Za-z0-9]{0,40}")
"""What an element may be called; a key of another form may be what a person typed, and is not repeated."""


_Field = tuple[type, Quick, Check]
"""The JSON type that a quick test is for, the test, and the check that says what is wrong when the test is not true."""


def _unknown(key: str) -> Check:
    found = below(f".{key}", _UNKNOWN) if _NAME.fullmatch(key) else _UNKNOWN
    return lambda value, node, scope: found


# Types


class Plan(NamedTuple):
    """What objects with the same keys in the same order have in common: the field of each key, and what their keys alone say."""

    fields: tuple[_Field, ...]
    presence: Found
    invariants: list[tuple[Truth, list[Issue]]]
    is_extended: bool


_PLANS: Final = 512
"""How many plans a type keeps: resources of one source have the same few, and nobody fills the memory with others."""


@dataclass(slots=True, eq=False)
class Parts:
    """What an object of a type is judged by, wherever it stands. `fields` are compiled when their key is first written."""

    makers: dict[str, Callable[[], _Field]]
    presence: list[Rule]
    invariants: list[tuple[Truth, list[Issue]]]
    of_containers: list[tuple[Truth, list[Issue]]]
    of_datatype: list[Rule]
    may_be_id_only: bool
    fields: dict[str, _Field] = field(default_factory=dict)
    plans: dict[tuple[str, ...], Plan] = field(default_factory=dict)

    def field(self, key: str) -> _Field:
        """The check of a key's value. An unknown key is not kept."""
        found = self.fields.get(key)
        if found is None:
            maker = self.makers.get(key)
            if maker is None:
                return _only(_unknown(key))
            found = self.fields[key] = maker()
        return found

    def plan(self, value: dict[str, Any], scope: Scope) -> Plan:
        """The plan of an object, kept when it has nothing but known keys."""
        presence = _all_of(self.presence, value, scope)
        invariants = self.invariants + (self.of_containers if "contained" in value else [])
        made = Plan(tuple(map(self.field, value)), presence, invariants, "extension" in value or "modifierExtension" in value)
        if self.makers.keys() >= value.keys():
            if len(self.plans) >= _PLANS:
                self.plans.clear()
            self.plans[tuple(value)] = made
        return made


@cache
def parts(element: Element, of: Structure, type_: str) -> Parts:
    """The parts of an object whose elements are those below one of a structure; `type_` is what R4 calls it."""
    makers: dict[str, Callable[[], _Field]] = {"resourceType": lambda: (str, bool, _anything)} if _is_resource(type_) else {}
    for child in element.children.values():
        makers |= _makers(child, of)
    of_datatype = [DATATYPES[type_]] if type_ in DATATYPES else []
    presence = [*_required(element), *_alternatives(element)]
    invariants, of_containers = (_invariants(element, type_, of_containers=one) for one in (False, True))
    return Parts(makers, presence, invariants, of_containers, of_datatype, _is_resource(type_))


def _parts_of(type_: str) -> Parts:
    found = core(type_)
    if found is None:
        raise KeyError(type_)
    return parts(found.root, found, type_)


def placed(known: Parts, further: list[Rule], path: str, type_: str) -> Rule:  # noqa: C901 - see `check`
    """The check of an object that stands in a place: by its parts, by further rules of the place, and with its extensions, which depend on it."""
    plans, make, is_quick = known.plans, known.plan, QUICK_OBJECTS.get(type_)
    rules, names, may_be_id_only = [*known.of_datatype, *further], names_of(path, type_), known.may_be_id_only

    def check(value: Any, scope: Scope) -> Found:  # noqa: C901, PLR0912 - the hot loop: a call would cost as much as what it does
        if type(value) is not dict or not value:
            return _shapeless(value)
        if is_quick is not None and is_quick(value):
            return _all_of(further, value, scope) if further else None
        fields, presence, invariants, is_extended = plans.get(tuple(value)) or make(value, scope)
        found: Found = None
        for one, (kind, quick, full) in zip(value.values(), fields, strict=False):
            if type(one) is kind and quick(one):
                continue
            wrong = full(one, value, scope)
            if wrong is not None:
                found = both(found, wrong)
        if presence is not None:
            found = both(found, presence)
        if len(value) == 1 and "id" in value and not may_be_id_only:
            return _ONLY_ID
        if found is not None and is_broken(found):
            return found
        for holds, wrong in invariants:
            if holds(value, scope) is not True:
                found = both(found, wrong)
        for rule in rules:
            wrong = rule(value, scope)
            if wrong is not None:
                found = both(found, wrong)
        if is_extended and not is_broken(found):
            return both(found, extensions_rule(value, scope, names))
        return found

    return check


def _all_of(rules: list[Rule], value: Any, scope: Scope) -> Found:
    found: Found = None
    for rule in rules:
        wrong = rule(value, scope)
        if wrong is not None:
            found = both(found, wrong)
    return found


def _shapeless(value: Any) -> Found:
    return _EMPTY if value == {} else _A_LIST if type(value) is list else _NULL if value is None else _NOT_AN_OBJECT


def _required(element: Element) -> list[Rule]:
    needed = [(child.name, _both_ways(child), child) for child in element.children.values() if child.definition.min]
    rows = [(name, keys, _missing(child), _valueless(child)) for name, keys, child in needed]

    def judge(value: Any, scope: Scope) -> Found:
        found: Found = None
        for name, keys, missing, valueless in rows:
            if name not in value and keys.isdisjoint(value):
                found = both(found, missing)
            elif "_" + name in value and name not in value:
                found = both(found, valueless)
        return found

    return [judge] if rows else []


def _alternatives(element: Element) -> list[Rule]:
    """One rule for each choice: it has one type."""
    return [_one_type(_both_ways(child), _twice(child)) for child in element.children.values() if child.is_choice and len(child.types) > 1]


def _one_type(keys: frozenset[str], twice: list[Issue]) -> Rule:
    def judge(value: Any, scope: Scope) -> Found:
        written = keys & value.keys()
        return twice if len(written) > 1 and len({key.removeprefix("_") for key in written}) > 1 else None

    return judge


def _anything(value: Any, node: dict[str, Any], scope: Scope) -> Found:
    return None


def _is_resource(type_: str) -> bool:
    found = core(type_)
    return found is not None and found.kind == "resource"


def _both_ways(element: Element) -> frozenset[str]:
    """The JSON keys of an element; a primitive may be there by its extensions alone."""
    keys = [key for key, _ in element.spellings()] or [element.name]
    return frozenset(keys) | {"_" + key for key, type_ in element.spellings() if type_.code in PRIMITIVES}


def _missing(element: Element) -> list[Issue]:
    return [Issue("error", "required", "required", "The element is required.", "." + element.name.removesuffix("[x]"))]


def _valueless(element: Element) -> list[Issue]:
    return [Issue("warning", "required", "no-value", "The element is required and has no value, only extensions.", "." + element.name)]


def _twice(element: Element) -> list[Issue]:
    return [Issue("error", "structure", "choice", "The element has more than one type.", "." + element.name.removesuffix("[x]"))]


def _invariants(element: Element, type_: str, *, of_containers: bool) -> list[tuple[Truth, list[Issue]]]:
    """Those that hold wherever nothing is contained, or the others. ref-1 is judged where references are."""
    some = (one for one in element.definition.constraint if one.expression and one.key != "ref-1" and (one.key in OF_CONTAINERS) is of_containers)
    return [(truth_of(one, type_), broken(one)) for one in some]


# Elements


def _makers(element: Element, of: Structure) -> dict[str, Callable[[], _Field]]:
    """JSON keys of an element to what compiles their checks; with `_` before it the key of what a primitive has beside its value."""
    found: dict[str, Callable[[], _Field]] = {}
    if element.definition.content_reference:
        found[element.name] = lambda: _only(_referred(element, of))
    for key, type_ in element.spellings():
        segment = f".{element.name[:-3]}.ofType({type_.code})" if element.is_choice else f".{key}"
        found[key] = lambda type_=type_, segment=segment, key=key: _field(element, of, type_, segment, key)  # type: ignore[misc]
        if type_.code in PRIMITIVES:
            found["_" + key] = lambda type_=type_, segment=segment, key=key: _only(_beside(element, type_, segment, key))  # type: ignore[misc]
    return found


def _referred(element: Element, of: Structure) -> Check:
    target = of.elements[element.definition.content_reference.partition("#")[2]]
    return _repeated(element, placed(parts(target, of, target.path), [], target.path, "BackboneElement"), f".{element.name}")


def _field(element: Element, of: Structure, type_: Type, segment: str, key: str) -> _Field:
    if type_.code in PRIMITIVES:
        return _listed(element, str, _quick_text(element, type_.code), _primitive(element, type_.code, segment, key))
    quick = None if element.children else _quick_object(element, type_)
    return _listed(element, dict, quick, _repeated(element, _rule(element, of, type_), segment))


def _listed(element: Element, kind: type, quick: Quick | None, full: Check) -> _Field:
    """The field with the quick test of one value, where there is one, made that of a list where the element repeats."""
    if quick is None:
        return _only(full)
    return (list, all_quick(kind, quick), full) if element.is_list else (kind, quick, full)


def _only(full: Check) -> _Field:
    """For what no quick test is for."""
    return Parts, bool, full


def _quick_text(element: Element, type_: str) -> Quick | None:
    """For a text that has no rule but its pattern or the codes of its binding."""
    binding = element.definition.binding
    if type_ != "xhtml" and any(one.expression for one in element.definition.constraint):
        return None
    if binding is None or binding_rule(binding, type_) is None:
        return QUICK.get(type_)
    codes = codes_of(binding.value_set)
    return codes.__contains__ if codes is not None and type_ == "code" else None


def _quick_object(element: Element, type_: Type) -> Quick | None:
    """For an object that has no rule but its type's, a binding, or the types that it may refer to."""
    binding, quick = element.definition.binding, QUICK_OBJECTS.get(type_.code)
    if any(one.expression for one in element.definition.constraint) or not all(url in QUICK_PROFILES for url in type_.profile):
        return None
    if type_.code == "Reference":
        return quick_reference(targets_of((type_,)))
    return quick if quick is None or binding is None or binding_rule(binding, type_.code) is None else quick_bound(quick, binding, type_.code)


def _rule(element: Element, of: Structure, type_: Type) -> Rule:
    """Everything one value of an element is judged by."""
    if type_.code in _RESOURCES:
        return contained_rule if element.name == "contained" else resource_rule
    if element.children:
        return placed(parts(element, of, element.path), [], element.path, type_.code)
    return placed(_parts_of(type_.code), _own(element, type_), element.path, type_.code)


def _own(element: Element, type_: Type) -> list[Rule]:
    """What an element asks for beside its datatype."""
    found: list[Rule] = []
    binding = element.definition.binding
    if binding is not None and (bound := binding_rule(binding, type_.code)) is not None:
        found.append(bound)
    if type_.code == "Reference":
        found.append(reference_rule(targets_of((type_,))))
    for one in element.definition.constraint:
        if one.expression:
            found.append(_constraint(one, type_.code))
    return [*found, *(rule for url in type_.profile if (rule := profile_rule(url)) is not None)]


def _constraint(constraint: Constraint, type_: str) -> Rule:
    truth, wrong = truth_of(constraint, type_), broken(constraint)
    return lambda value, scope: None if truth(value, scope) is True else wrong


def _repeated(element: Element, rule: Rule, segment: str) -> Check:
    """The check of an object, or of a list of them where the element repeats."""
    if not element.is_list:

        def single(value: Any, node: dict[str, Any], scope: Scope) -> Found:
            found = rule(value, scope)
            return None if found is None else below(segment, found)

        return single

    def each(value: Any, node: dict[str, Any], scope: Scope) -> Found:
        if type(value) is not list or not value:
            return below(segment, _EMPTY if value == [] else _NOT_A_LIST)
        found: Found = None
        for place, one in enumerate(value):
            wrong = rule(one, scope)
            if wrong is not None:
                found = more(found, below(f"{segment}[{place}]", wrong))
        return found

    return each


def _primitive(element: Element, type_: str, segment: str, key: str) -> Check:
    is_valid = PRIMITIVES[type_]
    binding = element.definition.binding
    rules = [bound] if binding is not None and (bound := binding_rule(binding, type_)) is not None else []
    rules += [_constraint(one, type_) for one in element.definition.constraint if one.expression and type_ != "xhtml"]
    rules += [xhtml_rule] if type_ == "xhtml" else []
    malformed = error("value", "primitive", f"The value is no {type_} of R4.")
    may_be_blank = type_ in ("string", "markdown")
    below_key = "_" + key

    def judge(value: Any, scope: Scope) -> Found:
        if not is_valid(value):
            kind = type(value)
            if may_be_blank and is_blank(value):
                return _BLANK
            return _NULL if value is None else _A_LIST if kind is list else _EMPTY if value == "" and kind is str else malformed
        found: Found = None
        for rule in rules:
            wrong = rule(value, scope)
            if wrong is not None:
                found = both(found, wrong)
        return found

    def single(value: Any, node: dict[str, Any], scope: Scope) -> Found:
        if not rules and is_valid(value):
            return None
        found = judge(value, scope)
        return None if found is None else below(segment, found)

    def each(value: Any, node: dict[str, Any], scope: Scope) -> Found:
        if type(value) is not list or not value:
            return below(segment, _EMPTY if value == [] else _NOT_A_LIST)
        found: Found = None
        for place, one in enumerate(value):
            wrong = judge(one, scope)
            if wrong is not None and not (one is None and _is_beside(node.get(below_key), place)):
                found = more(found, below(f"{segment}[{place}]", wrong))
        return found

    return each if element.is_list else single


def _is_beside(beside: Any, place: int) -> bool:
    return type(beside) is list and place < len(beside) and beside[place] is not None


def _beside(element: Element, type_: Type, segment: str, key: str) -> Check:
    """The check of `_birthDate`: id and extensions of a primitive; in a list, null where there are none."""
    rule = placed(_parts_of("Element"), [], element.path, type_.code)
    binding = element.definition.binding
    valueless = _NO_CODE if binding is not None and binding.strength == "required" and type_.code == "code" else None

    def single(value: Any, node: dict[str, Any], scope: Scope) -> Found:
        found = rule(value, scope)
        if key in node:
            return None if found is None or found is _ONLY_ID else below(segment, found)
        found = both(found, valueless)
        return None if found is None else below(segment, found)

    def each(value: Any, node: dict[str, Any], scope: Scope) -> Found:
        if type(value) is not list or not value:
            return below(segment, _EMPTY if value == [] else _NOT_A_LIST)
        values = node.get(key)
        found: Found = None
        for place, one in enumerate(value):
            if one is None and type(values) is list and place < len(values) and values[place] is not None:
                continue
            wrong = rule(one, scope)
            wrong = None if wrong is _ONLY_ID else wrong
            if valueless is not None and not (type(values) is list and place < len(values) and values[place] is not None):
                wrong = both(wrong, valueless)
            if wrong is not None:
                found = more(found, below(f"{segment}[{place}]", wrong))
        return found

    return each if element.is_list else single


# Resources


def resource_rule(value: Any, scope: Scope) -> Found:
    """A resource inside another: contained (one without a container of its own) or carried by a Bundle or Parameters."""
    if type(value) is not dict:
        return _NULL if value is None else _A_LIST if type(value) is list else _NOT_AN_OBJECT
    return judge_resource(value, Scope(value, value))


def contained_rule(value: Any, scope: Scope) -> Found:
    """A contained resource."""
    if type(value) is not dict:
        return _NULL if value is None else _A_LIST if type(value) is list else _NOT_AN_OBJECT
    return judge_resource(value, Scope(value, scope.root))


def judge_resource(body: dict[str, Any], scope: Scope) -> Found:
    """Everything but the profiles it claims."""
    type_ = body.get("resourceType")
    if type(type_) is not str:
        return error("structure", "resource-type", "The resource has no resourceType.")
    rule = _resource(type_)
    if rule is not None:
        return rule(body, scope)
    if is_resource_type(type_):
        return [Issue("information", "not-supported", "unserved-type", "The structure of this resource type is not checked here.")]
    return error("structure", "resource-type", "R4 has no such resource type.")


def is_resource_type(type_: Any) -> bool:
    """Whether R4 has a concrete resource type of this name."""
    return type(type_) is str and _is_resource_type(type_)


@lru_cache(1024)
def _is_resource_type(type_: str) -> bool:
    return type_ not in _RESOURCES and is_code(RESOURCE_TYPES, type_) is True


@lru_cache(1024)
def _resource(type_: str) -> Rule | None:
    if not is_resource_type(type_):
        return None
    found = core(type_)
    return None if found is None else _of_resource(type_)


@cache
def _of_resource(type_: str) -> Rule:
    return placed(_parts_of(type_), [], type_, type_)
