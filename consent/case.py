"""Decision cases, as `kinehub consent decide --case` reads them: consents, a request, a resource; the production engine answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from consent.content import about, identifiers, patients_in, versionless
from consent.decision import Decision, Policy, Verdict, check_resource, compile_policy, decide
from consent.explain import sentence
from consent.match import Class
from consent.redaction import marked
from consent.request import Facts, Request
from consent.span import moment
from schemas.errors import BadRequest
from schemas.resident import ZONE

Json = dict[str, Any]
UTC = ZoneInfo("UTC")
SUBJECTS = ("subject", "patient", "beneficiary", "for")


def _text(case: Mapping[str, Any], name: str, *, needed: bool = False) -> str | None:
    value = case.get(name)
    if value is None and not needed:
        return None
    if not isinstance(value, str) or not value:
        raise BadRequest("not a text, or missing", field=f"request.{name}")
    return value


def request_of(case: Mapping[str, Any]) -> Request:
    """The `request` of a case. BadRequest with the place where it is wrong."""
    at = _text(case, "at", needed=True)
    try:
        moment = datetime.fromisoformat(str(at))
    except ValueError as wrong:
        raise BadRequest("not a time", field="request.at") from wrong
    members = case.get("memberOf") or []
    if not isinstance(members, list) or not all(isinstance(member, str) for member in members):
        raise BadRequest("not a list of references", field="request.memberOf")
    return Request(
        actor=str(_text(case, "actor", needed=True)), at=moment, acts_for=_text(case, "actsFor"), member_of=tuple(members),
        purpose=_text(case, "purpose"), action=_text(case, "action"),
    )  # fmt: skip


def _list(case: Mapping[str, Any], name: str) -> list[Json]:
    """A list of resources; entries of a Bundle and whole Bundles are taken apart. Each keeps the address it stood at."""
    value = case.get(name) or []
    value = [value] if isinstance(value, dict) and value.get("resourceType") == "Bundle" else value
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadRequest("not a list of resources", field=name)
    return list(_apart(value))


def _apart(entries: Sequence[Mapping[str, Any]]) -> Iterator[Json]:
    """Entries `{"fullUrl", "resource"}` of whatever is listed."""
    for each in entries:
        entry = dict(each) if isinstance(each.get("resource"), dict) else {"resource": dict(each)}
        yield entry
        if entry["resource"].get("resourceType") == "Bundle":
            yield from _apart([inner for inner in entry["resource"].get("entry") or () if isinstance(inner, dict)])


def _named(entries: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """Resources by reference and by address. Two that differ under one name are of no use: neither is taken for the other."""
    found: dict[str, Json] = {}
    for entry in entries:
        resource = entry["resource"]
        names = [f"{resource.get('resourceType')}/{resource['id']}"] if resource.get("id") else []
        names += [entry["fullUrl"]] if isinstance(entry.get("fullUrl"), str) else []
        for name in names:
            found[name] = {**resource, "_ambiguous": True} if found.get(name, resource) != resource else resource
    return found


def _current(consents: Sequence[Json]) -> list[Json]:
    """Consents without the versions that a later one of the same id supersedes; where none is later, all stand."""
    return [each for each in consents if not any(_supersedes(other, each) for other in consents)]


def _supersedes(later: Mapping[str, Any], earlier: Mapping[str, Any]) -> bool:
    """Whether both are versions of one consent, by number or else by when they were stored."""
    if not isinstance(later.get("id"), str) or later["id"] != earlier.get("id"):
        return False
    numbers = _version(later), _version(earlier)
    stored = _stored(later), _stored(earlier)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] > numbers[1]
    return stored[0] is not None and stored[1] is not None and stored[0] > stored[1]


def _meta(resource: Mapping[str, Any], name: str) -> str | None:
    found = resource["meta"].get(name) if isinstance(resource.get("meta"), dict) else None
    return found if isinstance(found, str) else None


def _version(consent: Mapping[str, Any]) -> int | None:
    number = _meta(consent, "versionId")
    return int(number) if number and number.isdecimal() else None


def _stored(consent: Mapping[str, Any]) -> datetime | None:
    try:
        return moment(_meta(consent, "lastUpdated"), UTC).since
    except ValueError:
        return None


def _patients(resource: Mapping[str, Any]) -> frozenset[str]:
    """The patients a resource is about: its subjects, or where the type has no such element the patients it refers to."""
    if resource.get("resourceType") in ("Bundle", "Parameters"):
        return frozenset()
    subjects = [resource[name] for name in SUBJECTS if name in resource]
    listed = [each for subject in subjects for each in (subject if isinstance(subject, list) else [subject]) if isinstance(each, dict)]
    named = frozenset(versionless(each["reference"]) for each in listed if isinstance(each.get("reference"), str) and each["reference"])
    if resource.get("resourceType") == "Patient":
        return frozenset(filter(None, [about(resource)]))
    return named if subjects else patients_in(resource)


class _World:
    """One case: who asks, and what is at hand. Each patient's resources are decided by that patient's consents."""

    def __init__(self, case: Mapping[str, Any], request: Request, resource: Mapping[str, Any]) -> None:
        zone = case.get("timezone") or ZONE
        if not isinstance(zone, str):
            raise BadRequest("unknown time zone", field="timezone")
        self.zone = zone
        self.request = request
        self.consents = _current([entry["resource"] for entry in _list(case, "consents")])
        self.resources = _named([*_list(case, "resources"), *_apart([resource])])
        self.decisions: dict[str, Decision] = {}
        self.sole = self._sole(resource)

    def _sole(self, resource: Mapping[str, Any]) -> str | None:
        """The one patient a case is about, for what names none."""
        inner = {patient for entry in _apart([resource]) for patient in _patients(entry["resource"])}
        named = inner or {versionless(str(each["patient"].get("reference"))) for each in self.consents if isinstance(each.get("patient"), dict)}
        return (named or {""}).pop() if len(named) < 2 else None

    def patient(self, resource: Mapping[str, Any]) -> str | None:
        """Whose a resource is: of the one patient it names, or where it names none of the one the case is about."""
        named = _patients(resource)
        if named or not self._known(resource):
            return next(iter(named)) if len(named) == 1 else None
        return self.sole

    def decision(self, patient: str | None) -> Decision | None:
        if patient is None:
            return None
        if patient not in self.decisions:
            self.decisions[patient] = decide(self.policy(patient), self.request)
        return self.decisions[patient]

    def policy(self, patient: str) -> Policy:
        return compile_policy(self.consents, resident=patient, zone=self.zone, resources=self.resources, house=False)

    def judge(self, resource: Mapping[str, Any]) -> Verdict:
        """The verdict on a resource at hand; on a Bundle or Parameters, resource by resource."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str) or not kind:
            return Verdict("deny", (), "not a FHIR resource")
        if kind == "Bundle":
            return self._bundle(resource)
        if kind == "Parameters":
            return self._parameters(resource)
        decision = self.decision(self.patient(resource))
        return check_resource(decision, resource, ZoneInfo(self.zone)) if decision else Verdict("deny", (), "about nobody in particular")

    def _known(self, resource: Mapping[str, Any]) -> bool:
        """Whether what has no reference to a patient is of the patient at hand: by identifier, or because it has no subject at all."""
        subject = next((resource[name] for name in SUBJECTS if name in resource), None)
        if subject is None:
            return True
        patient = self.resources.get(self.sole or "")
        return isinstance(subject, dict) and not identifiers(subject).isdisjoint(identifiers(patient))

    def _bundle(self, bundle: Mapping[str, Any]) -> Verdict:
        """A Bundle is what its resources are: all permitted, some removed, or none."""
        if denied := self._shell(bundle):
            return denied
        verdicts, kept = [], []
        for entry in bundle.get("entry") or []:
            verdict = self.judge(_labelled(entry["resource"], bundle)) if "resource" in entry else Verdict("permit")
            verdicts.append(verdict)
            if verdict.decision != "deny":
                kept.append({**entry, "resource": verdict.resource} if verdict.resource else entry)
        refused = [verdict for verdict in verdicts if verdict.decision != "permit"]
        if not refused:
            return verdicts[0] if verdicts else Verdict("deny")
        document = bundle.get("type") == "document" and verdicts[0].decision == "deny"
        if not kept or document:
            return verdicts[0] if document else refused[0]
        body = {key: value for key, value in bundle.items() if key not in ("total", "signature")}
        return Verdict("redact", refused[0].rule, refused[0].text, marked({**body, "entry": kept}))

    def _shell(self, bundle: Mapping[str, Any]) -> Verdict | None:
        """The denial of Bundles as such, where a rule names them."""
        decision = self.decision(self.sole)
        if decision is None or not any("Bundle" in each.types for node in decision.nodes for each in _class_conditions(node.rule)):
            return None
        verdict = decision.check(Facts(0, "Bundle"), {"resourceType": "Bundle"})
        return verdict if verdict.decision == "deny" and verdict.rule else None

    def _parameters(self, parameters: Mapping[str, Any]) -> Verdict:
        """Parameters are what their resources are, at any depth; what is denied goes with its name."""
        verdicts: list[Verdict] = []
        kept = self._kept(parameters.get("parameter"), verdicts)
        refused = [verdict for verdict in verdicts if verdict.decision != "permit"]
        if not refused:
            return verdicts[0] if verdicts else Verdict("deny")
        if all(verdict.decision == "deny" for verdict in verdicts):
            return refused[0]
        return Verdict("redact", refused[0].rule, refused[0].text, marked({**parameters, "parameter": kept}))

    def _kept(self, parameters: Any, verdicts: list[Verdict]) -> list[Json]:
        kept = []
        for each in parameters if isinstance(parameters, list) else ():
            one = {**each, "part": self._kept(each["part"], verdicts)} if "part" in each else each
            if "resource" in each:
                verdicts.append(self.judge(each["resource"]))
                if verdicts[-1].decision == "deny":
                    continue
                one = {**one, "resource": verdicts[-1].resource or each["resource"]}
            kept.append(one)
        return kept


def _labelled(resource: Any, bundle: Mapping[str, Any]) -> Any:
    """A resource of a document, under the labels of the document too. (Those of a search result are but the highest of what was found.)"""
    around = (bundle.get("meta") or {}).get("security") if bundle.get("type") == "document" else None
    if not around:
        return resource
    meta = resource.get("meta") or {}
    return {**resource, "meta": {**meta, "security": [*(meta.get("security") or []), *around]}}


def _class_conditions(rule: Any) -> Iterator[Class]:
    yield from (each for each in rule.conditions if isinstance(each, Class))
    for child in rule.children:
        yield from _class_conditions(child)


def decide_case(case: Any, language: str = "en") -> Json:
    """`{"id", "decision", "rule", "text"}`, with the redacted resource where a part was removed. BadRequest with the place where it is wrong."""
    if not isinstance(case, dict):
        raise BadRequest("not a case", field="case")
    resource, asked = case.get("resource"), case.get("request")
    if not isinstance(resource, dict):
        raise BadRequest("a case needs a resource", field="resource")
    if not isinstance(asked, dict):
        raise BadRequest("a case needs a request", field="request")
    verdict = _judged(case, request_of(asked), resource)
    answer = {"id": case.get("id"), "decision": verdict.decision, "rule": list(verdict.rule), "text": sentence(verdict, language)}
    return {**answer, "resource": verdict.resource} if verdict.resource else answer


def _judged(case: Mapping[str, Any], request: Request, resource: Json) -> Verdict:
    world = _World(case, request, resource)
    decide(world.policy(""), request)  # says what is wrong with time and zone, whatever the resource
    try:
        return world.judge(resource)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as wrong:
        raise BadRequest("not a FHIR resource that can be read", field="resource") from wrong


def decide_cases(cases: Sequence[Any], language: str = "en") -> tuple[list[Json], list[str]]:
    """The answer to each case, and a line for each that cannot be read: such a case is denied, and the others are answered all the same."""
    answers, complaints = [], []
    for number, case in enumerate(cases):
        try:
            answers.append(decide_case(case, language))
        except BadRequest as wrong:
            complaints.append(complaint(case, number, wrong))
            answers.append({"id": case.get("id") if isinstance(case, dict) else None, "decision": "deny", "rule": [], "text": complaints[-1]})
    return answers, complaints


def complaint(case: Any, number: int, wrong: BadRequest) -> str:
    """One line that says which case cannot be read, and where."""
    named = case.get("id") if isinstance(case, dict) else None
    return f"case {number if named is None else named}: {wrong.field}: {wrong.message}"
