"""The criteria of a search: one parameter with its modifier and values, a chain, or `_has`, to a predicate over resources."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from hub.exchange import values
from hub.exchange.compartment import Compartment
from hub.exchange.definitions import SearchParameter, is_supported, resource_types, search_parameters
from hub.exchange.paths import Branch, compile_path
from hub.exchange.values import Frame, Test, split

MAX_CHAIN: Final = 5

Content = dict[str, Any]
Predicate = Callable[[Content, Compartment], bool]

MODIFIERS: Final[dict[str, tuple[str, ...]]] = {
    "token": ("missing", "not", "text", "of-type"),
    "string": ("missing", "exact", "contains"),
    "reference": ("missing", "identifier"),
    "uri": ("missing", "below", "above"),
}
"""Parameter type to the modifiers answered, beside a resource type on a reference. Every other type: `missing`."""


class Clause(NamedTuple):
    """One criterion: OR over `texts`, AND with its neighbours.

    name: as written, modifier included; code and modifier: of a plain parameter, code `` for chains and `_has`
    """

    name: str
    code: str
    modifier: str
    texts: tuple[str, ...]
    matches: Predicate


class Wrong(Exception):
    """A parameter cannot be used; `reason` is fit to be shown."""

    def __init__(self, reason: str, code: str = "invalid") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


_SAFE_NAME = re.compile(r"[A-Za-z_][\w:.\-]{0,79}")


def shown(name: str) -> str:
    return name if _SAFE_NAME.fullmatch(name) else "(unreadable name)"


# Plain parameters


def read_values(branches: Sequence[Branch], resource: Content) -> Iterable[tuple[Branch, Any]]:
    """Every value of a parameter in a resource, with the branch that says its type."""
    return ((branch, value) for branch in branches for value in branch.read(resource))


def references(branches: Sequence[Branch], resource: Content, base_url: str) -> list[tuple[str, str]]:
    """(type, id) of every literal reference to this hub that a parameter reads."""
    found = (values.local_reference(value.get("reference"), base_url) for _, value in read_values(branches, resource) if isinstance(value, dict))
    return [local for local in found if local]


def _any_test(branches: Sequence[Branch], tests: Sequence[Test]) -> Predicate:
    def matches(resource: Content, _: Compartment) -> bool:
        for branch in branches:
            for value in branch.read(resource):
                for test in tests:
                    if test(branch.type, branch.systems, value):
                        return True
        return False

    return matches


def _missing(parameter: SearchParameter, branches: Sequence[Branch], text: str) -> Predicate:
    if text not in ("true", "false"):
        raise Wrong(":missing is true or false")
    wanted = text == "true"
    nodes = _nodes_with_all(parameter, branches) if parameter.components else None

    def has(resource: Content) -> bool:
        return nodes(resource) if nodes else any(branch.read(resource) for branch in branches)

    return lambda resource, _: has(resource) is not wanted


def _parts(parameter: SearchParameter, branch: Branch) -> list[tuple[str, tuple[Branch, ...]]]:
    return [(kind, compile_path(branch.type, expression)) for kind, expression in parameter.components]


def _nodes_with_all(parameter: SearchParameter, branches: Sequence[Branch]) -> Callable[[Content], bool]:
    compiled = [(branch, [part for _, part in _parts(parameter, branch)]) for branch in branches]
    return lambda resource: any(
        all(any(one.read(node) for one in part) for part in parts) for branch, parts in compiled for node in branch.read(resource)
    )


def _composite(parameter: SearchParameter, branches: Sequence[Branch], text: str, frame: Frame) -> Predicate:
    """Each `$` part against the same node: the code and the value of one component, not of two."""
    texts = split(text, "$")
    if len(texts) != len(parameter.components):
        raise ValueError(f"{len(parameter.components)} parts joined by $ are expected")
    tests = [_plain_test(kind, "", "", one, frame) for (kind, _), one in zip(parameter.components, texts, strict=True)]
    compiled = [(branch, [part for _, part in _parts(parameter, branch)]) for branch in branches]

    def node_matches(node: Any, parts: list[tuple[Branch, ...]]) -> bool:
        return all(
            any(test(one.type, one.systems, value) for one in part for value in one.read(node)) for test, part in zip(tests, parts, strict=True)
        )

    return lambda resource, _: any(node_matches(node, parts) for branch, parts in compiled for node in branch.read(resource))


def _plain_test(kind: str, code: str, modifier: str, text: str, frame: Frame) -> Test:
    if kind == "token":
        by_modifier = {"text": values.token_text_test, "of-type": values.of_type_test}
        return by_modifier.get(modifier, values.token_test)(text)
    if kind == "string":
        return values.string_test(text, modifier, code)
    if kind == "reference":
        return values.reference_identifier_test(text) if modifier == "identifier" else values.reference_test(text, modifier, frame)
    if kind == "uri":
        return values.uri_test(text, modifier)
    if kind == "date":
        return values.date_test(text, frame)
    return values.quantity_test(text) if kind == "quantity" else values.number_test(text)


def _check_modifier(parameter: SearchParameter, modifier: str) -> None:
    if not modifier or modifier in MODIFIERS.get(parameter.type, ("missing",)):
        return
    if parameter.type == "reference" and modifier in resource_types():
        if parameter.targets and modifier not in parameter.targets:
            raise Wrong(f"it never refers to {modifier}")
        return
    raise Wrong(f"the modifier :{shown(modifier)} is not supported here", "not-supported")


def _predicate(parameter: SearchParameter, branches: tuple[Branch, ...], modifier: str, texts: Sequence[str], frame: Frame) -> Predicate:
    if modifier == "missing":
        return _missing(parameter, branches, texts[0])
    if parameter.components:
        any_of = [_composite(parameter, branches, text, frame) for text in texts]
        return lambda resource, compartment: any(one(resource, compartment) for one in any_of)
    if branches and all(branch.type == "boolean" for branch in branches):
        tests = [values.boolean_test(text) for text in texts]
    else:
        tests = [_plain_test(parameter.type, parameter.code, modifier, text, frame) for text in texts]
    positive = _any_test(branches, tests)
    if modifier == "not":
        return lambda resource, compartment: not positive(resource, compartment)
    return positive


@cache
def branches_of(resource_type: str, code: str) -> tuple[Branch, ...]:
    """How a resource type's parameter reads its values."""
    return compile_path(resource_type, search_parameters(resource_type)[code].expression)


def parameter_of(resource_type: str, code: str) -> SearchParameter:
    found = search_parameters(resource_type).get(code)
    if found is None:
        raise Wrong(f"{resource_type} has no such search parameter")
    if not is_supported(found):
        raise Wrong("this search parameter is not supported", "not-supported")
    return found


def _plain_clause(resource_type: str, name: str, text: str, frame: Frame) -> Clause:
    code, _, modifier = name.partition(":")
    parameter = parameter_of(resource_type, code)
    _check_modifier(parameter, modifier)
    texts = tuple(split(text, ","))
    if not all(texts):
        raise Wrong("a value is expected")
    return Clause(name, code, modifier, texts, _predicate(parameter, branches_of(resource_type, code), modifier, texts, frame))


# Chains and _has


def _chain_types(parameter: SearchParameter, modifier: str, rest: str) -> list[str]:
    """The types a chain goes on through: the named one, or every target that knows the next parameter."""
    if parameter.type != "reference":
        raise Wrong("only a reference can be chained")
    if modifier:
        _check_modifier(parameter, modifier)
        if modifier not in resource_types():
            raise Wrong("a chain takes a resource type as its modifier")
        return [modifier]
    following = rest.partition(".")[0].partition(":")[0]
    known = [kind for kind in sorted(parameter.targets or resource_types()) if following == "_has" or following in search_parameters(kind)]
    if not known:
        raise Wrong("nothing it refers to has the chained parameter")
    return known


def _pointed(branches: Sequence[Branch], resource: Content, compartment: Compartment, base_url: str) -> Iterable[Content]:
    """What the references of a parameter lead to: contained resources, and visible ones of the compartment."""
    for branch in branches:
        for reference in branch.read(resource):
            literal = reference.get("reference", "") if isinstance(reference, dict) else ""
            if literal.startswith("#"):
                yield from (one for one in resource.get("contained", ()) if one.get("id") == literal[1:])
                continue
            found = compartment.target(reference, base_url)
            if found is not None:
                yield found.content


def _chain_clause(resource_type: str, name: str, text: str, frame: Frame, depth: int) -> tuple[Clause, set[str]]:
    head, _, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = parameter_of(resource_type, code)
    kinds = _chain_types(parameter, modifier, rest)
    below, reaches, reasons = {}, set(kinds), []
    for kind in kinds:
        try:
            clause, further = clause_of(kind, rest, text, frame, depth + 1)
        except Wrong as wrong:
            reasons.append(wrong)
            continue
        below[kind] = clause.matches
        reaches |= further
    if not below:
        raise reasons[0]
    branches = branches_of(resource_type, code)

    def matches(resource: Content, compartment: Compartment) -> bool:
        pointed = _pointed(branches, resource, compartment, frame.base_url)
        return any(below[one["resourceType"]](one, compartment) for one in pointed if one["resourceType"] in below)

    return Clause(name, "", "", tuple(split(text, ",")), matches), reaches


def _has_clause(resource_type: str, name: str, text: str, frame: Frame, depth: int) -> tuple[Clause, set[str]]:
    parts = name.split(":", 3)
    if len(parts) < 4 or parts[1] not in resource_types():
        raise Wrong("_has:Type:reference:parameter is expected")
    _, kind, code, rest = parts
    parameter = parameter_of(kind, code)
    if parameter.type != "reference" or (parameter.targets and resource_type not in parameter.targets):
        raise Wrong(f"it is no reference to {resource_type}")
    clause, reaches = clause_of(kind, rest, text, frame, depth + 1)
    branches = branches_of(kind, code)

    def refers(one: Content, key: tuple[str, str]) -> bool:
        return key in references(branches, one, frame.base_url)

    def matches(resource: Content, compartment: Compartment) -> bool:
        key = resource_type, resource.get("id", "")
        return any(refers(one.content, key) and clause.matches(one.content, compartment) for one in compartment.of_type(kind))

    return Clause(name, "", "", tuple(split(text, ",")), matches), reaches | {kind}


def clause_of(resource_type: str, name: str, text: str, frame: Frame, depth: int = 0) -> tuple[Clause, set[str]]:
    if depth > MAX_CHAIN:
        raise Wrong("the chain is too long", "too-costly")
    try:
        if name.startswith("_has:"):
            return _has_clause(resource_type, name, text, frame, depth)
        if "." in name:
            return _chain_clause(resource_type, name, text, frame, depth)
        return _plain_clause(resource_type, name, text, frame), set()
    except ValueError as wrong:
        raise Wrong(str(wrong)) from None
