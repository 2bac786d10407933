"""Extensions that are known: where they may stand and what they may hold."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from schemas.r4.fhirpath import Scope
from schemas.r4.issues import Found, Rule, below, both, error, is_broken
from schemas.r4.profiles import profile_rule
from schemas.r4.structures import CORE, Element, Structure, core, structure

_MODIFIER: Final = error("structure", "extension-modifier", "The extension does not change the meaning of what it stands in: it is no modifierExtension.")
_NO_MODIFIER: Final = error("structure", "extension-modifier", "The extension changes the meaning of what it stands in: it is a modifierExtension.")
_MISPLACED: Final = error("structure", "extension-context", "The extension is not allowed here.")
_ABSTRACT: Final = {"DomainResource": ("Resource",), "BackboneElement": ("Element",)}


def placed(base: Rule, element: Element, type_: str) -> Rule:
    """The check of a value together with that of its extensions, which may depend on where the value stands."""
    names = _names(element.path, type_)

    def judge(value: Any, scope: Scope) -> Found:
        found = base(value, scope)
        if type(value) is dict and ("extension" in value or "modifierExtension" in value) and not is_broken(found):
            return both(found, extensions_rule(value, scope, names))
        return found

    return judge


@cache
def _names(path: str, type_: str) -> frozenset[str]:
    """Everything a context may call the place."""
    kinds = {type_, "Element"}
    found = core(type_)
    if found is not None and found.kind == "resource":
        kinds = {type_, "Resource", "Element"} | ({"DomainResource"} if "extension" in found.root.children else set())
    return frozenset({path, path.replace("[x]", ""), *kinds, *_ABSTRACT.get(type_, ())})


def extensions_rule(node: dict[str, Any], scope: Scope, names: frozenset[str]) -> Found:
    """Judges the known extensions of an object that stands in a place of these names."""
    found: Found = None
    for key in ("extension", "modifierExtension"):
        some = node.get(key)
        for place, one in enumerate(some) if type(some) is list else ():
            wrong = _judge(one, scope, names, key == "modifierExtension")
            if wrong is not None:
                found = both(found, below(f".{key}[{place}]", wrong))
    return found


def _judge(extension: Any, scope: Scope, names: frozenset[str], is_modifier: bool) -> Found:
    url = extension.get("url") if type(extension) is dict else None
    known = structure(url) if type(url) is str else None
    if known is None or known.type != "Extension" or known.url == CORE + "Extension":
        return None
    found: Found = None
    if not _is_allowed(known, names):
        found = _MISPLACED
    if is_modifier != known.root.definition.is_modifier:
        found = both(found, _MODIFIER if is_modifier else _NO_MODIFIER)
    rule = profile_rule(known.url)
    return both(found, rule(extension, scope)) if rule is not None else found


def _is_allowed(known: Structure, names: frozenset[str]) -> bool:
    contexts = [one.expression for one in known.context if one.type == "element"]
    return not contexts or len(contexts) < len(known.context) or not names.isdisjoint(contexts)

