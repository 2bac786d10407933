"""A search request, read against R4's definitions into a `Query` that can tell whether a resource matches.

Nothing is looked up here: what a chain or `_has` needs comes from the `Compartment` handed to `matches`.
Errors name the parameter, never its value: values are residents' data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

from hub.exchange import values
from hub.exchange.clauses import Clause, Content, Wrong, branches_of, clause_of, shown
from hub.exchange.compartment import Compartment
from hub.exchange.definitions import patient_compartment, resource_types, search_parameters
from hub.exchange.results import RESULT, Include, Result, Sort, Summary, read_result
from hub.exchange.values import Frame
from schemas.errors import BadRequest
from schemas.resident import ZONE

_HERE = ZoneInfo(ZONE)


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


def _needs_content(resource_type: str, clauses: Sequence[Clause], result: Result, patients: Sequence[str], frame: Frame) -> bool:
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


def _check_together(result: Result) -> None:
    if result.summary == "text" and (result.include or result.revinclude):
        raise BadRequest("_summary=text cannot be combined with _include or _revinclude.", code="invalid", field="_summary")
    if result.elements and result.summary not in ("false", "count"):
        raise BadRequest("_elements cannot be combined with _summary.", code="invalid", field="_elements")


def parse(
    resource_type: str, pairs: Sequence[tuple[str, str]], *, lenient: bool, base_url: str, zone: tzinfo = _HERE, now: datetime | None = None
) -> Query:
    """The query that these parameters ask. `base_url` is ours, with `/fhir`; `zone` is that of dates which state none.

    Raises BadRequest naming the parameter that is unknown, has an unsupported modifier or a value that cannot be read;
    with `lenient` such parameters are left out of the query and of its self link instead.
    """
    if resource_type not in resource_types():
        raise BadRequest("This is no FHIR R4 resource type.", code="not-supported")
    frame, result = Frame(base_url, zone, now or datetime.now(UTC)), Result(resource_type)
    clauses: list[Clause] = []
    used: list[tuple[str, str]] = []
    dropped: list[str] = []
    reaches: set[str] = set()
    for name, text in pairs:
        try:
            if name.partition(":")[0] in RESULT:
                read_result(result, name, text)
            else:
                clause, further = clause_of(resource_type, name, text, frame)
                clauses.append(clause)
                reaches |= further
            used.append((name, text))
        except Wrong as wrong:
            if not lenient:
                raise BadRequest(f"Search parameter {shown(name)}: {wrong.reason}.", code=wrong.code, field=shown(name)) from None
            dropped.append(shown(name))
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
