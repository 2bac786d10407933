"""The invariants of R4 that matter in a Consent: its own ppc-1 to ppc-5, and per-1, ref-1, ext-1 of what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from consent.span import moment
from hub.exchange.valid import wrong

SCOPES = {"patient-privacy": "ppc-2", "research": "ppc-3", "adr": "ppc-4", "treatment": "ppc-5"}
"""Scopes for which there must be a patient."""
_PERIOD = {"id", "extension", "start", "end", "_start", "_end"}
_UTC = ZoneInfo("UTC")


def check_consent(consent: dict[str, Any]) -> None:
    """Raises InvalidRecord with the path of the first element that breaks an invariant. The Consent is valid R4 otherwise."""
    if "policy" not in consent and "policyRule" not in consent:
        raise wrong("Consent.policy", "or policyRule is needed (ppc-1)")
    scopes = {coding.get("code") for coding in consent["scope"].get("coding", [])}
    if "patient" not in consent and (rule := next((SCOPES[scope] for scope in SCOPES if scope in scopes), None)):
        raise wrong("Consent.patient", f"is needed in this scope ({rule})")
    contained = {f"#{each.get('id')}" for each in consent.get("contained", [])}
    for path, element in _elements(consent, "Consent"):
        if fault := _ends_early(element) or _dangling(path, element, contained) or _undecided(path, element):
            raise wrong(path + fault[0], fault[1])


def _elements(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for name, inner in node.items():
            yield from _elements(inner, f"{path}.{name}")
    elif isinstance(node, list):
        for place, inner in enumerate(node):
            yield from _elements(inner, f"{path}[{place}]")


def _ends_early(element: dict[str, Any]) -> tuple[str, str] | None:
    if not {"start", "end"} <= element.keys() <= _PERIOD:
        return None
    try:
        early = moment(element["start"], _UTC).since >= moment(element["end"], _UTC).until
    except (ValueError, OverflowError):  # the edges of the calendar; the engine understands no permit of such a rule
        return None
    return ("", "ends before it starts (per-1)") if early else None


def _dangling(path: str, element: dict[str, Any], contained: set[str]) -> tuple[str, str] | None:
    """A local reference to what is not contained; `#` alone is the Consent itself, seen from inside."""
    reference = element.get("reference")
    if not isinstance(reference, str) or not reference.startswith("#") or reference in contained:
        return None
    if reference == "#" and path.startswith("Consent.contained["):
        return None
    return ".reference", "names nothing that is contained (ref-1)"


def _undecided(path: str, element: dict[str, Any]) -> tuple[str, str] | None:
    if not path.endswith("]") or path.rpartition(".")[2].partition("[")[0] not in ("extension", "modifierExtension"):
        return None
    values = [name for name in element if name.removeprefix("_").startswith("value")]
    return ("", "has either a value or extensions (ext-1)") if bool(values) == ("extension" in element) else None
