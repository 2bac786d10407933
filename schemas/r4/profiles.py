"""What a profile asks for beyond the type it constrains, compiled from its snapshot to checks.

Only what differs from the base is compiled: cardinality, types and targets, fixed and pattern values, bindings, invariants, slices.
The structure itself is judged by `shapes.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from schemas.r4.elements import binding_rule, fixed_rule, matches, pattern_rule, reference_rule, targets_of
from schemas.r4.fhirpath import NO_VALUE, Scope
from schemas.r4.invariants import broken, truth_of
from schemas.r4.issues import Found, Issue, Rule, below, both, error, more
from schemas.r4.structures import CORE, Discriminator, Element, Slicing, Structure, core, structure

_OUTSIDE: Final = error("structure", "slice-closed", "The value is in none of the slices that the profile allows.")
_UNLIMITED: Final = "*"
_EXTENDED: Final = error("value", "fixed-value", "The profile fixes the value without extensions.")


_Value = tuple[str, int, str, Any]
"""One value of an element: its step of the path, its place in the list or -1, the JSON key it is written as, and itself."""
_Read = Callable[[dict[str, Any]], list[_Value]]
_Match = Callable[[str, Any], bool]
"""Whether a value, written as a JSON key, is in a slice."""


@cache
def profile_rule(url: str) -> Rule | None:
    """The check of a resource or element by a profile; None when the profile is not known or adds nothing."""
    found = structure(url)
    if found is None or not found.is_profile:
        return None
    base = core(found.type)
    return None if base is None else _rule(found.root, base.root, found)


# One element


def _rule(element: Element, base: Element | None, of: Structure) -> Rule | None:
    """The check of one value of an element."""
    rules = [*_own(element, base, of), *_children(element, base, of)]
    if len(rules) < 2:
        return rules[0] if rules else None

    def judge(value: Any, scope: Scope) -> Found:
        found: Found = None
        for rule in rules:
            wrong = rule(value, scope)
            if wrong is not None:
                found = both(found, wrong)
        return found

    return judge


def _own(element: Element, base: Element | None, of: Structure) -> Iterator[Rule]:
    if element.fixed is not None:
        yield fixed_rule(element.fixed)
    if element.pattern is not None:
        yield pattern_rule(element.pattern)
    types = element.types
    binding = element.definition.binding
    if binding is not None and (base is None or base.definition.binding != binding):
        yield from _bindings(element)
    targets = targets_of(types)
    if targets and (base is None or targets != targets_of(base.types)):
        yield _where_object(reference_rule(targets))
    known = {one.key for one in base.definition.constraint} if base is not None else set()
    for type_ in types:
        found = core(type_.code)
        known |= {one.key for one in found.root.definition.constraint} if found is not None else set()
    for one in element.definition.constraint:
        if one.key not in known and one.expression:
            yield _constraint(truth_of(one, of.type), broken(one))
    yield from _typed(element, base)


def _where_object(rule: Rule) -> Rule:
    """Of a choice whose other types are no references."""
    return lambda value, scope: rule(value, scope) if type(value) is dict else None


def _constraint(truth: Any, wrong: list[Issue]) -> Rule:
    return lambda value, scope: None if truth(value, scope) is True else wrong


def _bindings(element: Element) -> Iterator[Rule]:
    binding = element.definition.binding
    rules = {type_.code: rule for type_ in element.types if binding and (rule := binding_rule(binding, type_.code)) is not None}
    if len(rules) == 1 and len(element.types) == 1:
        yield from rules.values()
    elif element.is_choice and rules:
        yield _by_shape(rules)


def _by_shape(rules: dict[str, Rule]) -> Rule:
    """Of a choice that is not narrowed: a concept has `coding`, a code is text."""

    def judge(value: Any, scope: Scope) -> Found:
        kind = "code" if type(value) is str else "CodeableConcept" if type(value) is dict and "coding" in value else ""
        return rules[kind](value, scope) if kind in rules else None

    return judge


def _typed(element: Element, base: Element | None) -> Iterator[Rule]:
    """Profiles of the datatype."""
    known = {url for type_ in base.types for url in type_.profile} if base is not None else set()
    urls = [url for type_ in element.types for url in type_.profile if url not in known and len(element.types) == 1]
    if len(urls) == 1 and urls[0] != CORE + "Extension":
        yield lambda value, scope: None if (rule := profile_rule(urls[0])) is None else rule(value, scope)


# Below an element


def _children(element: Element, base: Element | None, of: Structure) -> Iterator[Rule]:
    base_children = _base_children(element, base)
    for child in element.children.values():
        beneath = base_children.get(child.name) or _choice_of(child.name, base_children)
        rule = _child(child, beneath, of)
        if rule is not None:
            yield rule


def _base_children(element: Element, base: Element | None) -> dict[str, Element]:
    if base is not None and base.children:
        return base.children
    if base is not None and base.definition.content_reference:
        target = base.definition.content_reference.partition("#")[2]
        of = core(target.partition(".")[0])
        return of.elements[target].children if of is not None and target in of.elements else {}
    found = core(element.types[0].code) if len(element.types) == 1 else None
    return found.root.children if found is not None else {}


def _choice_of(name: str, children: dict[str, Element]) -> Element | None:
    """The choice that `valueQuantity` is a way to write."""
    return next((child for child in children.values() if child.is_choice and name in {key for key, _ in child.spellings()}), None)


def _child(child: Element, base: Element | None, of: Structure) -> Rule | None:
    """The check of an object by one of its elements."""
    read = _reader(child, base)
    judges = [*_counts(child, base), *_allowed(child, base)]
    rule = _rule(child, base, of)
    in_slices = _slices(child, base, of)
    each = None if rule is None else _each(rule)
    beside = below(f".{child.name}", _EXTENDED) if type(child.fixed) is str else None
    if not judges and each is None and in_slices is None:
        return None
    may_lack = not (child.definition.min or any(one.definition.min for one in child.slices.values()))

    def judge(value: Any, scope: Scope) -> Found:
        if type(value) is not dict:
            return None
        values = read(value)
        if not values and may_lack:
            return None
        found: Found = beside if beside is not None and child.name in value and "extension" in (value.get("_" + child.name) or ()) else None
        for count in judges:
            if (wrong := count(values)) is not None:
                found = both(found, wrong)
        if each is not None and (wrong := each(values, scope)) is not None:
            found = both(found, wrong)
        return both(found, in_slices(values, scope)) if in_slices is not None else found

    return judge


def _each(rule: Rule) -> Callable[[list[_Value], Scope], Found]:
    """The check of every value by a rule."""

    def judge(values: list[_Value], scope: Scope) -> Found:
        found: Found = None
        for one in values:
            wrong = rule(one[3], scope)
            if wrong is not None:
                found = more(found, below(_segment(one), wrong))
        return found

    return judge


def _segment(value: _Value) -> str:
    step, place, _, _ = value
    return step if place < 0 else f"{step}[{place}]"


def _reader(child: Element, base: Element | None) -> _Read:
    name = child.name.removesuffix("[x]")
    if child.is_choice or (base is not None and base.is_choice):
        whole = base if base is not None else child
        stem = whole.name.removesuffix("[x]")
        return _choice_reader([(f".{stem}.ofType({type_.code})", key) for key, type_ in whole.spellings() if child.is_choice or key == name])
    step, beside = f".{name}", "_" + name

    def read(node: dict[str, Any]) -> list[_Value]:
        value = node.get(name)
        if type(value) is list:
            return [(step, place, name, NO_VALUE if one is None else one) for place, one in enumerate(value)]
        if value is not None:
            return [(step, -1, name, value)]
        return [(step, -1, name, NO_VALUE)] if beside in node else []

    return read


def _choice_reader(ways: list[tuple[str, str]]) -> _Read:
    """Reads a choice that is written in one of these ways: the step of the path and the JSON key."""
    beside = [(step, key, "_" + key) for step, key in ways]

    def read(node: dict[str, Any]) -> list[_Value]:
        found: list[_Value] = [(step, -1, key, node[key]) for step, key in ways if key in node]
        return found or [(step, -1, key, NO_VALUE) for step, key, other in beside if other in node]

    return read


def _counts(child: Element, base: Element | None, what: str = "The element") -> Iterator[Callable[[list[_Value]], Found]]:
    definition = child.definition
    segment = "." + child.name.removesuffix("[x]")
    least, most = definition.min, definition.max
    if least > (base.definition.min if base is not None else 0):
        missing = below(segment, error("required", "profile-required", f"{what} is required by the profile, at least {least} times."))
        yield lambda values: missing if len(values) < least else None
    if most != _UNLIMITED and (base is None or most != base.definition.max):
        limit = int(most)
        many = below(segment, error("structure", "profile-max", f"{what} occurs at most {limit} times in the profile."))
        yield lambda values: many if len(values) > limit else None


def _allowed(child: Element, base: Element | None) -> Iterator[Callable[[list[_Value]], Found]]:
    if not child.is_choice or base is None or len(child.types) >= len(base.types):
        return
    keys = {key for key, _ in child.spellings()}
    wrong = error("structure", "profile-type", f"The profile allows only {' or '.join(sorted(type_.code for type_ in child.types))} here.")

    def judge(values: list[_Value]) -> Found:
        found: Found = None
        for one in values:
            if one[2] not in keys:
                found = more(found, below(_segment(one), wrong))
        return found

    yield judge


# Slices


_Sliced = Callable[[list[_Value], Scope], Found]


def _slices(sliced: Element, base: Element | None, of: Structure) -> _Sliced | None:
    """The check of a list by its slices: each counted and judged, and nothing outside them where they are closed."""
    if not sliced.slices:
        return None
    matchers = [_matcher(one, sliced) for one in sliced.slices.values()]
    judges = [_slice(one, base, of) for one in sliced.slices.values()]
    is_closed = sliced.definition.slicing is not None and sliced.definition.slicing.rules == "closed"

    def judge(values: list[_Value], scope: Scope) -> Found:
        found: Found = None
        inside: set[int] = set()
        for match, in_slice in zip(matchers, judges, strict=True):
            members = [one for one in values if match(one[2], one[3])]
            if (wrong := in_slice(members, scope)) is not None:
                found = both(found, wrong)
            inside.update(map(id, members))
        outside: Found = None
        for one in values if is_closed else ():
            if id(one) not in inside:
                outside = more(outside, below(_segment(one), _OUTSIDE))
        return both(found, outside)

    return judge


def _slice(one: Element, base: Element | None, of: Structure) -> _Sliced:
    counts = list(_counts(one, None, f"The slice {one.path.rpartition(':')[2]}"))
    rule = _rule(one, base, of)
    each = None if rule is None else _each(rule)

    def judge(members: list[_Value], scope: Scope) -> Found:
        found: Found = None
        for count in counts:
            if (wrong := count(members)) is not None:
                found = both(found, wrong)
        return both(found, each(members, scope)) if each is not None and members else found

    return judge


def _matcher(one: Element, sliced: Element) -> _Match:
    slicing = sliced.definition.slicing or Slicing()
    tests = [_discriminated(one, by) for by in slicing.discriminator]
    if len(tests) == 1:
        return tests[0]

    def match(key: str, value: Any) -> bool:
        for test in tests:
            if not test(key, value):
                return False
        return bool(tests)

    return match


def _discriminated(one: Element, by: Discriminator) -> _Match:
    if by.type == "type":
        return _of_kind(one, by.path)
    path = [] if by.path == "$this" else by.path.split(".")
    if by.type == "exists":
        there = _at(one, path)
        wanted = not there or there[0].definition.max != "0"
        return lambda key, value: bool(_read_at(value, path)) is wanted
    return _valued(one, path)


def _of_kind(one: Element, path: str) -> _Match:
    codes = {type_.code for type_ in one.types}
    if path != "$this":
        steps = path.split(".")
        codes = {type_.code for element in _at(one, steps) for type_ in element.types}
        return lambda key, value: any(type(found) is dict and found.get("resourceType") in codes for found in _read_at(value, steps))
    keys = {one.name.removesuffix("[x]") + code[0].upper() + code[1:] for code in codes} | {one.name}
    return lambda key, value: key in keys and (type(value) is not dict or "resourceType" not in value or value["resourceType"] in codes)


def _valued(one: Element, path: list[str]) -> _Match:
    """By a fixed or pattern value, or a required binding, at a path of the slice; the url of an extension is in its type."""
    if path == ["url"] and (urls := [url for type_ in one.types for url in type_.profile]):
        return lambda key, value: type(value) is dict and value.get("url") in urls
    tests = [test for element in _at(one, path) for test in _tests(element)]
    if not tests:
        return lambda key, value: False
    reaches = _reaching([step for step in path if step != "$this"], tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests))
    return lambda key, value: reaches(value)


def _reaching(path: list[str], test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a test holds for any of the values at a path."""
    if not path:
        return test
    step, inner = path[0], _reaching(path[1:], test)

    def reaches(value: Any) -> bool:
        found = value.get(step) if type(value) is dict else None
        if type(found) is not list:
            return found is not None and inner(found)
        for one in found:  # noqa: SIM110 - any() costs more than the test
            if inner(one):
                return True
        return False

    return reaches


def _tests(element: Element) -> Iterator[Callable[[Any], bool]]:
    if element.fixed is not None:
        fixed = element.fixed
        yield lambda value: bool(value == fixed)
    elif element.pattern is not None:
        pattern = element.pattern
        yield lambda value: matches(value, pattern)
    elif element.definition.binding is not None and element.definition.binding.strength == "required":
        rules = [rule for type_ in element.types if (rule := binding_rule(element.definition.binding, type_.code)) is not None]
        for rule in rules:
            yield _passes(rule)
    else:
        for child in element.children.values():
            for test in _tests(child):
                yield _below(child.name, test)
        for each in element.slices.values():
            yield from _tests(each)


def _passes(rule: Rule) -> Callable[[Any], bool]:
    nowhere = Scope({}, {})
    return lambda value: rule(value, nowhere) is None


def _below(name: str, test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return _reaching([name], test)


def _at(element: Element, path: list[str]) -> list[Element]:
    """The elements of a slice at a path, through the slices on the way."""
    if not path:
        return [element]
    nexts = [element, *element.slices.values()]
    found = [below for one in nexts if (child := one.children.get(path[0]) or one.children.get(path[0] + "[x]")) for below in _at(child, path[1:])]
    return [inner for one in found for inner in (one, *one.slices.values())] if len(path) == 1 else found


def _read_at(value: Any, path: list[str]) -> list[Any]:
    """The values at a path."""
    found = [value]
    for step in path:
        if step == "$this":
            continue
        nexts: list[Any] = []
        for one in found:
            inner = one.get(step) if type(one) is dict else None
            if type(inner) is list:
                nexts += inner
            elif inner is not None:
                nexts.append(inner)
        found = nexts
    return found
