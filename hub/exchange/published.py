"""The terminology, questionnaires and measures this hub publishes, in memory: what there is, by canonical or id, and what a value set contains.

It is about no resident and no party: anybody may read it, without a token.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

import orjson

from hub.exchange.compartment import Compartment, Resource
from schemas import terminology
from schemas.errors import BadRequest, NotFound

TYPES: Final = ("CodeSystem", "ValueSet", "ConceptMap", "Questionnaire", "Measure")
Content = dict[str, Any]


class Member(NamedTuple):
    """One code of a value set. `concept` has its display and designations as far as they are known here."""

    system: str
    version: str
    concept: Content

    @property
    def code(self) -> str:
        return str(self.concept["code"])


@cache
def compartment() -> Compartment:
    """Everything that is published, to search in."""
    return Compartment(Resource(orjson.dumps(one), one["resourceType"], one["id"], 0, one) for one in terminology.resources())


def every(type_: str) -> list[Content]:
    """Every resource of a type."""
    return [one.content for one in compartment().of_type(type_)]


def held(type_: str, id_: str) -> Resource:
    """The resource of this id. Raises NotFound."""
    found = compartment().read(type_, id_)
    if found is None:
        raise NotFound("There is no such resource.")
    return found


def of_id(type_: str, id_: str) -> Content:
    """The content of the resource of this id. Raises NotFound."""
    return held(type_, id_).content


def of_url(type_: str, canonical: str, version: str = "") -> Content:
    """The resource of this canonical, `url` or `url|version`. Raises NotFound, also for a version that is not held."""
    url, _, stated = canonical.partition("|")
    found = next((one for one in every(type_) if one["url"] == url), None)
    wanted = {one for one in (version, stated) if one}
    if found is None:
        raise NotFound(f"This hub does not hold that {type_}.")
    if wanted - {found["version"]}:
        raise NotFound(f"This hub does not hold that version of the {type_}.", advice=f"It holds {found['version']}.")
    return found


def resource(type_: str, id_: str, canonical: str | None, version: str = "") -> Content:
    """The resource an operation is about: that of the id in the path, else that of the canonical. Raises BadRequest, NotFound."""
    if not id_ and not canonical:
        raise BadRequest("The parameter url is needed.", field="url")
    found = of_id(type_, id_) if id_ else of_url(type_, canonical or "", version)
    if id_ and canonical and canonical.partition("|")[0] != found["url"]:
        raise BadRequest("The url is not that of the resource in the path.", field="url")
    return found


# Code systems


@cache
def concepts(system: str) -> dict[str, Content]:
    """Code to concept of a code system; empty for one that is not held."""
    found = next((one for one in every("CodeSystem") if one["url"] == system), None)
    return {concept["code"]: concept for concept in found["concept"]} if found else {}


def display(concept: Content, language: str | None) -> str | None:
    """How a concept is called in a language; in zh-CN when no other was asked for or is there."""
    wanted = (language or "").partition("-")[0].lower()
    found = (one["value"] for one in concept.get("designation", ()) if wanted and one["language"].partition("-")[0] == wanted)
    return next(found, concept.get("display"))


def designations(concept: Content) -> list[Content]:
    """Every name of a concept with its language, that of its display included."""
    own = [{"language": terminology.LANGUAGES[0], "value": concept["display"]}] if "display" in concept else []
    return [*own, *concept.get("designation", ())]


# Value sets


def _members(value_set: Content) -> Iterator[Member]:
    for include in value_set["compose"]["include"]:
        system = include["system"]
        held = concepts(system)
        for concept in include.get("concept") or held.values():
            yield Member(system, include.get("version", ""), {name: value for name, value in concept.items() if name in ("code", "display", "designation")})


@cache
def members(id_: str) -> dict[tuple[str, str], Member]:
    """(system, code) to member of a value set, in its order."""
    return {(one.system, one.code): one for one in _members(of_id("ValueSet", id_))}
