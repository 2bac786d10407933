"""The terminology operations of R4 on what the standard publishes: $lookup, $validate-code, $subsumes, $expand, $translate.

Each is a function of what was asked; the routes at the end offer it by GET and POST, on the type and where R4 says so on an instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request, Response

from hub.exchange import published
from hub.exchange.inputs import Definition, Inputs, Named, codings, inputs_of, need, one
from hub.exchange.published import Content, Member
from hub.exchange.values import fold
from schemas.errors import BadRequest, NotFound

router = APIRouter(prefix="/fhir", tags=["terminology"])
FHIR_JSON = "application/fhir+json"
_R4: Final = "http://hl7.org/fhir/OperationDefinition/"

OPERATIONS: Final = {
    "CodeSystem": {"lookup": f"{_R4}CodeSystem-lookup", "subsumes": f"{_R4}CodeSystem-subsumes", "validate-code": f"{_R4}CodeSystem-validate-code"},
    "ConceptMap": {"translate": f"{_R4}ConceptMap-translate"},
    "ValueSet": {"expand": f"{_R4}ValueSet-expand", "validate-code": f"{_R4}ValueSet-validate-code"},
}
"""Type to operation and its definition."""


def _parameters(*parameters: Content | None) -> Content:
    return {"resourceType": "Parameters", "parameter": [one for one in parameters if one]}


def _text(name: str, value: str | None, kind: str = "String") -> Content | None:
    return {"name": name, f"value{kind}": value} if value else None


# Code systems

_CODED: Final = {"coding": "Coding", "codeableConcept": "CodeableConcept", "display": "string", "displayLanguage": "code", "abstract": "boolean"}
_LOOKUP: Final = Definition(
    {"code": "code", "system": "uri", "version": "string", "coding": "Coding", "displayLanguage": "code", "property": "code"}, ("property",), ("date",)
)


def lookup(inputs: Inputs) -> Content:
    """What is known of one code. Raises NotFound for a system or a code that is not held."""
    (asked,) = codings(inputs, one(inputs, "system"))
    system = published.of_url("CodeSystem", asked.system, asked.version)
    concept = _concept(system, asked.code)
    wanted = inputs.get("property", [])
    names = [one for one in published.designations(concept) if not wanted or not {"designation", f"lang.{one['language']}"}.isdisjoint(wanted)]
    return _parameters(
        _text("name", system["title"]),
        _text("version", system["version"]),
        _text("display", published.display(concept, one(inputs, "displayLanguage"))),
        *({"name": "designation", "part": [_text("language", one["language"], "Code"), _text("value", one["value"])]} for one in names),
        *(_property(found) for found in _properties(concept) if not wanted or found["code"] in wanted),
    )


def _concept(system: Content, code: str) -> Content:
    found = published.concepts(system["url"]).get(code)
    if found is None:
        raise NotFound("The code system has no such code.")
    return found


def _properties(concept: Content) -> Iterator[Content]:
    if "definition" in concept:
        yield {"code": "definition", "valueString": concept["definition"]}
    yield from concept.get("property", ())


def _property(found: Content) -> Content:
    kind, value = next((key, value) for key, value in found.items() if key.startswith("value"))
    return {"name": "property", "part": [_text("code", found["code"], "Code"), {"name": "value", kind: value}]}


_VALIDATE_IN_SYSTEM: Final = Definition({"url": "uri", "code": "code", "version": "string", **_CODED}, refuses=("codeSystem", "date"))


def validate_in_system(inputs: Inputs, id_: str = "") -> Content:
    """Whether a code is in a code system and called what the client calls it. Raises NotFound for a system that is not held."""
    canonical = one(inputs, "url") or (None if id_ or "coding" not in inputs else inputs["coding"][0].get("system"))
    system = published.resource("CodeSystem", id_, canonical, one(inputs, "version") or "")
    held = published.concepts(system["url"])
    asked = [found for found in codings(inputs, system["url"]) if found.system == system["url"]]
    return _verdict(((found, held.get(found.code)) for found in asked), one(inputs, "displayLanguage"), "code system")


def _verdict(judged: Iterable[tuple[Named, Content | None]], language: str | None, where: str) -> Content:
    """The answer of $validate-code: the first coding that is there and rightly named, else the first that is there, else none."""
    there = [(asked, concept) for asked, concept in judged if concept is not None]
    right = next((concept for asked, concept in there if _is_named(asked.display, concept, language)), None)
    shown = right or (there[0][1] if there else None)
    wrong = "The display is not a name of this code." if there else f"The {where} has no such code."
    return _parameters(
        {"name": "result", "valueBoolean": right is not None},
        _text("message", "" if right else wrong),
        _text("display", published.display(shown, language) if shown else ""),
    )


def _is_named(said: str, concept: Content, language: str | None) -> bool:
    """Whether a display is one of the concept's names, in the language when one is stated; no display is never wrong."""
    names = [published.display(concept, language)] if language else [name["value"] for name in published.designations(concept)]
    return not said or not any(names) or fold(said) in [fold(name) for name in names if name]


_SUBSUMES: Final = Definition({"codeA": "code", "codeB": "code", "system": "uri", "version": "string", "codingA": "Coding", "codingB": "Coding"})


def subsumes(inputs: Inputs, id_: str = "") -> Content:
    """`equivalent` or `not-subsumed`: none of our code systems has a hierarchy. Raises NotFound for a system or code that is not held."""
    sides = [_side(inputs, letter) for letter in "AB"]
    stated = {coding["system"] for coding in sides if coding.get("system")} | set(inputs.get("system", []))
    if len(stated) > 1:
        raise BadRequest("Both codes must be of the one code system.", field="system")
    system = published.resource("CodeSystem", id_, next(iter(stated), None), one(inputs, "version") or "")
    first, second = (_concept(system, coding["code"])["code"] for coding in sides)
    return _parameters(_text("outcome", "equivalent" if first == second else "not-subsumed", "Code"))


def _side(inputs: Inputs, letter: str) -> Content:
    coding = one(inputs, f"coding{letter}")
    if coding is None:
        return {"code": need(inputs, f"code{letter}")}
    if not coding.get("system") or not coding.get("code"):
        raise BadRequest("A coding needs system and code.", field=f"coding{letter}")
    return dict(coding)


# Value sets

_EXPAND: Final = Definition(
    {
        "url": "uri", "valueSetVersion": "string", "filter": "string", "offset": "integer", "count": "integer", "includeDesignations": "boolean",
        "includeDefinition": "boolean", "displayLanguage": "code", "activeOnly": "boolean", "excludeNested": "boolean", "excludeNotForUI": "boolean",
        "excludePostCoordinated": "boolean",
    },
    refuses=(
        "valueSet", "context", "contextDirection", "date", "designation", "exclude-system", "system-version", "check-system-version",
        "force-system-version",
    ),
)  # fmt: skip
_SAID: Final = {"filter": "String", "offset": "Integer", "count": "Integer", "includeDesignations": "Boolean", "displayLanguage": "Code"}
"""Parameters that shape an expansion, recorded in it."""


def expand(inputs: Inputs, id_: str = "") -> Content:
    """The codes of a value set, or the page of them that `offset` and `count` ask for. Raises NotFound."""
    value_set = published.resource("ValueSet", id_, one(inputs, "url"), one(inputs, "valueSetVersion") or "")
    found = [member for member in published.members(value_set["id"]).values() if _is_wanted(member, one(inputs, "filter"))]
    offset, count = one(inputs, "offset") or 0, one(inputs, "count")
    page = found[offset : None if count is None else offset + count]
    language, designated = one(inputs, "displayLanguage"), bool(one(inputs, "includeDesignations"))
    expansion = {
        "identifier": uuid4().urn, "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), "total": len(found),
        **({"offset": offset} if {"offset", "count"} & inputs.keys() else {}), "parameter": _used(inputs, found),
        "contains": [_contained(member, language, designated) for member in page],
    }  # fmt: skip
    kept = {name: value for name, value in value_set.items() if name != "compose" or one(inputs, "includeDefinition")}
    return {**kept, "expansion": {name: value for name, value in expansion.items() if value != []}}


def _is_wanted(member: Member, text: str | None) -> bool:
    """Whether every word of a filter is in the code or one of its names."""
    names = [member.code, *(name["value"] for name in published.designations(member.concept))]
    said = fold(" ".join(names))
    return all(word in said for word in fold(text or "").split())


def _used(inputs: Inputs, found: Sequence[Member]) -> list[Content]:
    """What shaped the expansion. An OID takes no version behind a bar: each code says its version as well."""
    versions = dict.fromkeys(f"{member.system}|{member.version}" for member in found if member.version and not member.system.startswith("urn:"))
    asked = [{"name": name, f"value{kind}": inputs[name][0]} for name, kind in _SAID.items() if name in inputs]
    return [*asked, *({"name": "version", "valueUri": canonical} for canonical in versions)]


def _contained(member: Member, language: str | None, designated: bool) -> Content:
    made = {
        "system": member.system, "version": member.version, "code": member.code, "display": published.display(member.concept, language),
        "designation": published.designations(member.concept) if designated else [],
    }  # fmt: skip
    return {name: value for name, value in made.items() if value}


_VALIDATE_IN_SET: Final = Definition(
    {"url": "uri", "valueSetVersion": "string", "code": "code", "system": "uri", "systemVersion": "string", **_CODED},
    refuses=("valueSet", "context", "date"),
)


def validate_in_set(inputs: Inputs, id_: str = "") -> Content:
    """Whether a code is in a value set and called what the client calls it. Raises NotFound for a value set that is not held."""
    value_set = published.resource("ValueSet", id_, one(inputs, "url"), one(inputs, "valueSetVersion") or "")
    held = published.members(value_set["id"])
    asked = codings(inputs, one(inputs, "system"), "systemVersion")
    return _verdict(((found, _in(held, found)) for found in asked), one(inputs, "displayLanguage"), "value set")


def _in(held: dict[tuple[str, str], Member], asked: Named) -> Content | None:
    member = held.get((asked.system, asked.code))
    return member.concept if member and asked.version in ("", member.version) else None


# Concept maps

_TRANSLATE: Final = Definition(
    {
        "url": "uri", "conceptMapVersion": "string", "code": "code", "system": "uri", "version": "string", "source": "uri", "coding": "Coding",
        "codeableConcept": "CodeableConcept", "target": "uri", "targetsystem": "uri", "reverse": "boolean",
    },
    refuses=("conceptMap", "dependency"),
)  # fmt: skip
_NO_MATCH: Final = ("unmatched", "disjoint")
_REVERSED: Final = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}


def translate(inputs: Inputs, id_: str = "") -> Content:
    """What a code is in other systems, with how sure that is. Raises NotFound for a map that is not held."""
    reverse = bool(one(inputs, "reverse"))
    asked = codings(inputs, one(inputs, "system"))
    maps = _maps(inputs, id_, reverse)
    found = [pair for map_ in maps for coding in asked for pair in _matches(map_, coding, one(inputs, "targetsystem"), reverse)]
    remarks = dict.fromkeys(remark for _, remark in found if remark)
    done = any(match["part"][0]["valueCode"] not in _NO_MATCH for match, _ in found)
    return _parameters(
        {"name": "result", "valueBoolean": done},
        _text("message", "; ".join(remarks) if found else "No translation of it is known here."),
        *(match for match, _ in found),
    )


def _maps(inputs: Inputs, id_: str, reverse: bool) -> list[Content]:
    if id_ or "url" in inputs:
        return [published.resource("ConceptMap", id_, one(inputs, "url"), one(inputs, "conceptMapVersion") or "")]
    ends = {"source": one(inputs, "target" if reverse else "source"), "target": one(inputs, "source" if reverse else "target")}
    return [map_ for map_ in published.every("ConceptMap") if all(not url or map_.get(f"{end}Canonical") == url for end, url in ends.items())]


def _matches(map_: Content, asked: Named, to: str | None, reverse: bool) -> Iterator[tuple[Content, str]]:
    """Each match with its remark."""
    for group in map_["group"]:
        start, end = (group["target"], group["source"]) if reverse else (group["source"], group["target"])
        version = "" if reverse else group.get("sourceVersion", "")
        if start == asked.system and to in (None, end) and asked.version in ("", version):
            for element in group["element"]:
                for target in element["target"]:
                    if asked.code == (target.get("code") if reverse else element["code"]):
                        yield _match(map_["url"], end, element if reverse else target, target, reverse), target.get("comment", "")


def _match(map_url: str, system: str, concept: Content, target: Content, reverse: bool) -> Content:
    equivalence = _REVERSED.get(target["equivalence"], target["equivalence"]) if reverse else target["equivalence"]
    coding = {"system": system} | {name: concept[name] for name in ("code", "display") if name in concept}
    found: list[Content] = [{"name": "concept", "valueCoding": coding}] if "code" in coding else []
    return {"name": "match", "part": [{"name": "equivalence", "valueCode": equivalence}, *found, {"name": "source", "valueUri": map_url}]}


# Routes


TAKES: Final[dict[tuple[str, str], Definition]] = {
    ("CodeSystem", "lookup"): _LOOKUP,
    ("CodeSystem", "subsumes"): _SUBSUMES,
    ("CodeSystem", "validate-code"): _VALIDATE_IN_SYSTEM,
    ("ConceptMap", "translate"): _TRANSLATE,
    ("ValueSet", "expand"): _EXPAND,
    ("ValueSet", "validate-code"): _VALIDATE_IN_SET,
}
"""(type, operation) to what it takes."""


def _offer(type_: str, name: str, work: Callable[..., Content], *, on_instance: bool = True) -> None:
    """Routes of one operation. What is published is for everybody: no token is asked, and any origin may read."""
    definition = TAKES[type_, name]

    async def on_type(request: Request) -> Response:
        return answered(work(await inputs_of(request, definition)))

    async def on_one(request: Request, id_: str) -> Response:
        return answered(work(await inputs_of(request, definition), id_))

    said = (work.__doc__ or "").partition(" Raises ")[0]
    for method in ("GET", "POST"):  # one route each: an operation of the HTTP description has one method
        router.add_api_route(f"/{type_}/${name}", on_type, methods=[method], name=f"{type_}-{name}", description=said)
        if on_instance:
            router.add_api_route(f"/{type_}/{{id_}}/${name}", on_one, methods=[method], name=f"{type_}-{name}-instance", description=said)


def answered(content: Content) -> Response:
    """A published resource, or what is said of one."""
    return Response(orjson.dumps(content), 200, {"Access-Control-Allow-Origin": "*"}, FHIR_JSON)


_offer("CodeSystem", "lookup", lookup, on_instance=False)
_offer("CodeSystem", "validate-code", validate_in_system)
_offer("CodeSystem", "subsumes", subsumes)
_offer("ValueSet", "expand", expand)
_offer("ValueSet", "validate-code", validate_in_set)
_offer("ConceptMap", "translate", translate)
