"""A search request, read against R4's definitions into a `Query` that can tell whether a resource matches.

Nothing is looked up here: what a chain or `_has` needs comes from the `Compartment` handed to `matches`.
Errors name the parameter, never its value: values are residents' data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, Final, Literal, NamedTuple, cast
from zoneinfo import ZoneInfo

from hub.exchange import values
from hub.exchange.compartment import Compartment
from hub.exchange.definitions import SearchParameter, by_key, elements, is_supported, patient_compartment, resource_types, search_parameters
from hub.exchange.paths import Branch, compile_path
from hub.exchange.values import Frame, Test, split
from schemas.errors import BadRequest

DEFAULT_COUNT: Final = 50
MAX_COUNT: Final = 1000
MAX_CHAIN: Final = 5
_SHANGHAI = ZoneInfo("Asia/Shanghai")

Content = dict[str, Any]
Predicate = Callable[[Content, Compartment], bool]
Summary = Literal["true", "text", "data", "count", "false"]

MODIFIERS: Final[dict[str, tuple[str, ...]]] = {
    "token": ("missing", "not", "text", "of-type"),
    "string": ("missing", "exact", "contains"),
    "reference": ("missing", "identifier"),
    "uri": ("missing", "below", "above"),
}
"""Parameter type to the modifiers answered, beside a resource type on a reference. Every other type: `missing`."""


class Sort(NamedTuple):
    """One key of `_sort`."""

    code: str
    is_descending: bool


class Include(NamedTuple):
    """One `_include` or `_revinclude`: `source:code[:target]`; code `*` = every reference, target `` = any type."""

    source: str
    code: str
    target: str
    is_iterate: bool


class Clause(NamedTuple):
    """One criterion: OR over `texts`, AND with its neighbours.

    name: as written, modifier included; code and modifier: of a plain parameter, code `` for chains and `_has`
    """

    name: str
    code: str
    modifier: str
    texts: tuple[str, ...]
    matches: Predicate


@dataclass(frozen=True, slots=True)
class Query:
    """A search over one resource type.

    patient:    ids that `patient`, `subject` (or the type's own compartment parameter) name; for Patient itself, `_id`
    ids:        what `_id` names, in its order
    content:    whether resources must be parsed: False when patient, `_id`, paging and order by `date` are all there is
    total:      `none`, `estimate`, `accurate` as asked; "" = not said, then a total is given where it costs nothing
    count:      page size; 0 together with summary `count`
    elements:   top-level keys asked for; empty = all
    pairs:      the parameters that were used, for the self link; `dropped`: names that leniency left out
    reaches:    further resource types that chains, `_has` and includes may look at; `*` = any
    cursor:     the `_cursor` value as it came, for the caller to verify; "" on the first page
    """

    resource_type: str
    base_url: str
    zone: tzinfo
    clauses: tuple[Clause, ...]
    patient: list[str]
    ids: list[str]
    content: bool
    sort: tuple[Sort, ...]
    count: int
    total: str
    summary: Summary
    elements: tuple[str, ...]
    include: tuple[Include, ...]
    revinclude: tuple[Include, ...]
    reaches: frozenset[str]
    pairs: tuple[tuple[str, str], ...]
    dropped: tuple[str, ...]
    cursor: str

    def matches(self, resource: Content, compartment: Compartment) -> bool:
        """Whether every clause holds for this resource."""
        return all(clause.matches(resource, compartment) for clause in self.clauses)

    def tokens(self, name: str) -> list[tuple[str | None, str | None]]:
        """(system, code) values given for a token parameter without modifier, `identifier` or `patient.identifier`."""
        return [values.token_of(text) for clause in self.clauses if clause.name == name for text in clause.texts]


class _Wrong(Exception):
    """A parameter cannot be used; `reason` is fit to be shown."""

    def __init__(self, reason: str, code: str = "invalid") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


_SAFE_NAME = re.compile(r"[A-Za-z_][\w:.\-]{0,79}")


def _shown(name: str) -> str:
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
        raise _Wrong(":missing is true or false")
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
            raise _Wrong(f"it never refers to {modifier}")
        return
    raise _Wrong(f"the modifier :{_shown(modifier)} is not supported here", "not-supported")


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


def _parameter(resource_type: str, code: str) -> SearchParameter:
    found = search_parameters(resource_type).get(code)
    if found is None:
        raise _Wrong(f"{resource_type} has no such search parameter")
    if not is_supported(found):
        raise _Wrong("this search parameter is not supported", "not-supported")
    return found


def _plain_clause(resource_type: str, name: str, text: str, frame: Frame) -> Clause:
    code, _, modifier = name.partition(":")
    parameter = _parameter(resource_type, code)
    _check_modifier(parameter, modifier)
    texts = tuple(split(text, ","))
    if not all(texts):
        raise _Wrong("a value is expected")
    return Clause(name, code, modifier, texts, _predicate(parameter, branches_of(resource_type, code), modifier, texts, frame))


# Chains and _has


def _chain_types(parameter: SearchParameter, modifier: str, rest: str) -> list[str]:
    """The types a chain goes on through: the named one, or every target that knows the next parameter."""
    if parameter.type != "reference":
        raise _Wrong("only a reference can be chained")
    if modifier:
        _check_modifier(parameter, modifier)
        if modifier not in resource_types():
            raise _Wrong("a chain takes a resource type as its modifier")
        return [modifier]
    following = rest.partition(".")[0].partition(":")[0]
    known = [kind for kind in sorted(parameter.targets or resource_types()) if following == "_has" or following in search_parameters(kind)]
    if not known:
        raise _Wrong("nothing it refers to has the chained parameter")
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
    parameter = _parameter(resource_type, code)
    kinds = _chain_types(parameter, modifier, rest)
    below, reaches, reasons = {}, set(kinds), []
    for kind in kinds:
        try:
            clause, further = _clause(kind, rest, text, frame, depth + 1)
        except _Wrong as wrong:
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
        raise _Wrong("_has:Type:reference:parameter is expected")
    _, kind, code, rest = parts
    parameter = _parameter(kind, code)
    if parameter.type != "reference" or (parameter.targets and resource_type not in parameter.targets):
        raise _Wrong(f"it is no reference to {resource_type}")
    clause, reaches = _clause(kind, rest, text, frame, depth + 1)
    branches = branches_of(kind, code)

    def refers(one: Content, key: tuple[str, str]) -> bool:
        return key in references(branches, one, frame.base_url)

    def matches(resource: Content, compartment: Compartment) -> bool:
        key = resource_type, resource.get("id", "")
        return any(refers(one.content, key) and clause.matches(one.content, compartment) for one in compartment.of_type(kind))

    return Clause(name, "", "", tuple(split(text, ",")), matches), reaches | {kind}


def _clause(resource_type: str, name: str, text: str, frame: Frame, depth: int = 0) -> tuple[Clause, set[str]]:
    if depth > MAX_CHAIN:
        raise _Wrong("the chain is too long", "too-costly")
    try:
        if name.startswith("_has:"):
            return _has_clause(resource_type, name, text, frame, depth)
        if "." in name:
            return _chain_clause(resource_type, name, text, frame, depth)
        return _plain_clause(resource_type, name, text, frame), set()
    except ValueError as wrong:
        raise _Wrong(str(wrong)) from None


# Result parameters


class _Result:
    """What the parameters that shape the result say, while they are being read."""

    def __init__(self, resource_type: str) -> None:
        self.resource_type = resource_type
        self.sort: tuple[Sort, ...] = ()
        self.count = DEFAULT_COUNT
        self.total = ""
        self.summary: Summary = "false"
        self.elements: tuple[str, ...] = ()
        self.include: tuple[Include, ...] = ()
        self.revinclude: tuple[Include, ...] = ()
        self.cursor = ""


def _read_sort(result: _Result, text: str, _: str) -> None:
    keys = []
    for one in text.split(","):
        code = one.removeprefix("-")
        if _parameter(result.resource_type, code).type in ("composite", "special"):
            raise _Wrong("a composite cannot be sorted by", "not-supported")
        keys.append(Sort(code, one.startswith("-")))
    result.sort = tuple(keys)


def _read_count(result: _Result, text: str, _: str) -> None:
    if not re.fullmatch(r"\d{1,9}", text):
        raise _Wrong("a whole number from 0 is expected")
    result.count = min(int(text), MAX_COUNT)


def _read_total(result: _Result, text: str, _: str) -> None:
    if text not in ("none", "estimate", "accurate"):
        raise _Wrong("none, estimate or accurate is expected")
    result.total = text


def _read_total_method(result: _Result, text: str, _: str) -> None:
    """Aidbox's older name of `_total`, which fhirpy sends whenever it counts."""
    named = {"count": "accurate", "estimate": "estimate"}
    if text not in named:
        raise _Wrong("count or estimate is expected")
    result.total = named[text]


def _read_summary(result: _Result, text: str, _: str) -> None:
    if text not in ("true", "text", "data", "count", "false"):
        raise _Wrong("true, text, data, count or false is expected")
    result.summary = cast(Summary, text)


def _read_elements(result: _Result, text: str, _: str) -> None:
    names = [name.removeprefix(result.resource_type + ".") for name in text.split(",")]
    known = elements(result.resource_type)
    keys = [key for name in names for key in (known[name].json_keys() if name in known else [name])]
    if any(key not in by_key(result.resource_type) for key in keys):
        raise _Wrong(f"top-level elements of {result.resource_type} are expected")
    result.elements = (*result.elements, *keys)


def _read_include(result: _Result, text: str, modifier: str) -> None:
    result.include = (*result.include, _included(text, modifier))


def _read_revinclude(result: _Result, text: str, modifier: str) -> None:
    found = _included(text, modifier)
    if found.source == "*":
        raise _Wrong("_revinclude names its source type")
    result.revinclude = (*result.revinclude, found)


def _included(text: str, modifier: str) -> Include:
    if modifier not in ("", "iterate", "recurse"):
        raise _Wrong("only :iterate is supported here", "not-supported")
    source, code, target = (*text.split(":"), "", "")[:3]
    if text.count(":") > 2 or (source != "*" and not code):
        raise _Wrong("Type:parameter or Type:parameter:Target is expected")
    if source != "*" and (source not in resource_types() or (code != "*" and _parameter(source, code).type != "reference")):
        raise _Wrong("a resource type and one of its reference parameters are expected")
    if target and target not in resource_types():
        raise _Wrong("the target is no resource type")
    return Include(source, code or "*", target, modifier != "")


def _read_cursor(result: _Result, text: str, _: str) -> None:
    result.cursor = text


def _read_contained(_result: _Result, text: str, _: str) -> None:
    if text != "false":
        raise _Wrong("only _contained=false is supported", "not-supported")


def _ignore(_result: _Result, _text: str, _: str) -> None:
    """`_format` and `_pretty` are the edge's."""


_RESULT: Final[dict[str, Callable[[_Result, str, str], None]]] = {
    "_sort": _read_sort, "_count": _read_count, "_total": _read_total, "_summary": _read_summary, "_elements": _read_elements,
    "_include": _read_include, "_revinclude": _read_revinclude, "_cursor": _read_cursor, "_contained": _read_contained,
    "_totalMethod": _read_total_method, "_format": _ignore, "_pretty": _ignore,
}  # fmt: skip
RESULT_PARAMETERS: Final = tuple(name for name in _RESULT if name != "_cursor")


def _read_result(result: _Result, name: str, text: str) -> None:
    plain, _, modifier = name.partition(":")
    if modifier and plain not in ("_include", "_revinclude"):
        raise _Wrong("it takes no modifier", "not-supported")
    _RESULT[plain](result, text, modifier)


# The whole request


@cache
def _patient_codes(resource_type: str) -> tuple[str, ...]:
    known = tuple(code for code in ("patient", "subject") if code in search_parameters(resource_type))
    return known or patient_compartment(resource_type)


def _ids(clauses: Sequence[Clause]) -> list[str]:
    named = (values.unescape(text) for clause in clauses if clause.name == "_id" for text in clause.texts)
    return list(dict.fromkeys(named))


def _patients_of(clause: Clause, frame: Frame) -> list[str]:
    named = [values.reference_of(text, clause.modifier, frame) for text in clause.texts]
    return [id for kind, id in named if kind in ("", "Patient") and ":" not in id]


def _names_patient(resource_type: str, clause: Clause) -> bool:
    return clause.code in _patient_codes(resource_type) and clause.modifier in ("", "Patient")


def _patients(resource_type: str, clauses: Sequence[Clause], frame: Frame) -> list[str]:
    if resource_type == "Patient":
        return _ids(clauses)
    named = (id for clause in clauses if _names_patient(resource_type, clause) for id in _patients_of(clause, frame))
    return list(dict.fromkeys(named))


def _is_whole_compartment(resource_type: str, clause: Clause, frame: Frame) -> bool:
    """Whether a clause only names one patient, by the element that also decides whose compartment the resource is in."""
    in_compartment = bool(patient_compartment(resource_type)) and _names_patient(resource_type, clause)
    single = in_compartment and all(branch.is_single for branch in branches_of(resource_type, clause.code))
    return single and len(_patients_of(clause, frame)) == len(clause.texts) == 1


def _needs_content(resource_type: str, clauses: Sequence[Clause], result: _Result, patients: Sequence[str], frame: Frame) -> bool:
    if result.include or result.revinclude or result.elements or result.summary not in ("false", "count"):
        return True
    if any(key.code != "date" for key in result.sort) or len(patients) > 1:
        return True
    return any(clause.name != "_id" and not _is_whole_compartment(resource_type, clause, frame) for clause in clauses)


def _reach_of_include(one: Include) -> set[str]:
    if one.target:
        return {one.target}
    codes = [] if one.source == "*" or one.code == "*" else [one.code]
    targets = {target for code in codes for target in search_parameters(one.source)[code].targets}
    return targets or {"*"}


def _check_together(result: _Result) -> None:
    if result.summary == "text" and (result.include or result.revinclude):
        raise BadRequest("_summary=text cannot be combined with _include or _revinclude.", code="invalid", field="_summary")
    if result.elements and result.summary not in ("false", "count"):
        raise BadRequest("_elements cannot be combined with _summary.", code="invalid", field="_elements")


def parse(
    resource_type: str, pairs: Sequence[tuple[str, str]], *, lenient: bool, base_url: str, zone: tzinfo = _SHANGHAI, now: datetime | None = None
) -> Query:
    """The query that these parameters ask. `base_url` is ours, with `/fhir`; `zone` is that of dates which state none.

    Raises BadRequest naming the parameter that is unknown, has an unsupported modifier or a value that cannot be read;
    with `lenient` such parameters are left out of the query and of its self link instead.
    """
    if resource_type not in resource_types():
        raise BadRequest("This is no FHIR R4 resource type.", code="not-supported")
    frame, result = Frame(base_url, zone, now or datetime.now(UTC)), _Result(resource_type)
    clauses: list[Clause] = []
    used: list[tuple[str, str]] = []
    dropped: list[str] = []
    reaches: set[str] = set()
    for name, text in pairs:
        try:
            if name.partition(":")[0] in _RESULT:
                _read_result(result, name, text)
            else:
                clause, further = _clause(resource_type, name, text, frame)
                clauses.append(clause)
                reaches |= further
            used.append((name, text))
        except _Wrong as wrong:
            if not lenient:
                raise BadRequest(f"Search parameter {_shown(name)}: {wrong.reason}.", code=wrong.code, field=_shown(name)) from None
            dropped.append(_shown(name))
    _check_together(result)
    if result.count == 0 or result.summary == "count":
        result.summary, result.count = "count", 0
    for one in result.include:
        reaches |= _reach_of_include(one)
    reaches |= {one.source for one in result.revinclude}
    patients = _patients(resource_type, clauses, frame)
    return Query(
        resource_type, base_url, zone, tuple(clauses), patients, _ids(clauses), _needs_content(resource_type, clauses, result, patients, frame),
        result.sort, result.count, result.total, result.summary, tuple(dict.fromkeys(result.elements)), result.include, result.revinclude,
        frozenset(reaches), tuple(pair for pair in used if pair[0] != "_cursor"), tuple(dropped), result.cursor,
    )  # fmt: skip
