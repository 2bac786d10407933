"""Extensions that are known: where they may stand and what they may hold."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from schemas.r4.elements import is_absolute
from schemas.r4.fhirpath import Scope
from schemas.r4.issues import Found, below, both, error, more
from schemas.r4.profiles import profile_rule
from schemas.r4.structures import CORE, Structure, core, structure

_MODIFIER: Final = error("structure", "extension-modifier", "The extension does not change the meaning of what it stands in: it is no modifierExtension.")
_NO_MODIFIER: Final = error("structure", "extension-modifier", "The extension changes the meaning of what it stands in: it is a modifierExtension.")
_RELATIVE: Final = error("invalid", "extension-url", "The url of an extension is absolute.")
_MISPLACED: Final = error("structure", "extension-context", "The extension is not allowed here.")
_ABSTRACT: Final = {"DomainResource": ("Resource",), "BackboneElement": ("Element",)}


@cache
def names_of(path: str, type_: str) -> frozenset[str]:
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
                found = more(found, below(f".{key}[{place}]", wrong))
    return found


def _judge(extension: Any, scope: Scope, names: frozenset[str], is_modifier: bool) -> Found:
    url = extension.get("url") if type(extension) is dict else None
    if type(url) is str and "Extension" not in names and not is_absolute(url):
        return _RELATIVE
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

