"""SMART v2 scopes: what a token may ask for. What it then sees is for consent to say.

`(patient|user|system)/(Type|*).[c][r][u][d][s]`, letters in that order; of v1 `read` (rs), `write` (cud) and `*` (cruds);
and KineHub's own `intake.write`. Scopes with search parameters (`?category=…`) are refused, never widened by leaving the parameters out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from schemas.errors import BadRequest

INTAKE = "intake.write"
UPLOADERS = frozenset(
    {"fitness-center", "elder-home", "kiosk", "test-station", "wearable-cloud", "venue-platform", "community-clinic", "hospital", "community"}
)  # fmt: skip
"""Kinds of parties that send files."""

_V1 = {"read": "rs", "write": "cud", "*": "cruds"}
_SHAPE = re.compile(r"(patient|user|system)/([A-Z][A-Za-z]{1,63}|\*)\.(c?r?u?d?s?|read|write|\*)", re.ASCII)
_OTHER = frozenset({INTAKE, "openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "online_access", "offline_access"})
_LONGEST = 4096


class Scope(msgspec.Struct, frozen=True):
    """One scope. `context` is patient, user or system, and empty for words without a resource type (`intake.write`)."""

    context: str
    type: str
    letters: str = ""

    def __str__(self) -> str:
        return f"{self.context}/{self.type}.{self.letters}" if self.context else self.type


def parse(text: str) -> tuple[Scope, ...]:
    """Scopes of a space-separated list, each once, in the order given. Raises BadRequest (`invalid_scope`)."""
    words = text.split(" ") if len(text) <= _LONGEST else []
    scopes = tuple(dict.fromkeys(_scope(word) for word in words if word))
    if not scopes:
        raise _invalid("No scope was named, or far too many.")
    return scopes


def _scope(word: str) -> Scope:
    if word in _OTHER:
        return Scope("", word)
    shape = _SHAPE.fullmatch(word)
    if shape is None or not shape[3]:
        raise _invalid("A scope is not of the form system/Type.rs.")
    return Scope(shape[1], shape[2], _V1.get(shape[3], shape[3]))


def _invalid(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_scope", field="scope", advice="Ask for system/Observation.rs, system/*.rs or intake.write, for example.")


def narrowed(asked: Iterable[Scope], kind: str) -> tuple[Scope, ...]:
    """What of `asked` a party of this kind gets without a person present: never more than was asked, maybe nothing.

    `patient/` and `user/` need a launch or a person, so Backend Services get none of them. Every party may ask to read;
    whether anything is seen is the resident's consent.
    """
    kept = (_narrow(scope, kind) for scope in asked)
    return tuple(dict.fromkeys(scope for scope in kept if scope is not None))


def _narrow(scope: Scope, kind: str) -> Scope | None:
    if not scope.context:
        return scope if scope.type == INTAKE and kind in UPLOADERS else None
    letters = "".join(letter for letter in scope.letters if letter in "rs")
    return Scope(scope.context, scope.type, letters) if letters and scope.context == "system" else None


def allows(scopes: Iterable[Scope], type_: str, letter: str) -> bool:
    """Whether a system scope covers `letter` (one of c r u d s) on resources of `type_`.

    `patient/` and `user/` scopes never count here: without a patient in context they cover no rows, not all.
    """
    return any(letter in scope.letters and scope.type in (type_, "*") and scope.context == "system" for scope in scopes)


def may_upload(scopes: Iterable[Scope]) -> bool:
    """Whether `intake.write` is among them."""
    return any(scope.type == INTAKE and not scope.context for scope in scopes)


def written(scopes: Iterable[Scope]) -> str:
    """Scopes as OAuth writes them, space-separated."""
    return " ".join(map(str, scopes))
