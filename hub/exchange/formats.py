"""In which formats FHIR is answered, and whether a request asks for one of them (R4 http.html#mime-type)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from schemas.errors import NotAcceptable

OFFERED: Final = ("application/fhir+json", "application/json", "json")
"""What `_format` takes; `Accept` takes the first two."""
_TAKEN: Final = frozenset({*OFFERED, "application/json+fhir", "text/json", "application/*", "*/*", "*"})
_VERSIONS: Final = frozenset({"4.0", "4.0.1"})


def check(pairs: Iterable[tuple[str, str]], accept: str = "") -> None:
    """Raises NotAcceptable where `_format`, which outranks `Accept`, or else `Accept` names nothing that is offered. Neither is repeated."""
    stated = [text.split(";") for name, text in pairs if name == "_format" and text.strip()]
    if stated:
        # a plus sign that was not escaped arrives as a space
        said, place = [[type_.strip().replace(" ", "+"), *more] for type_, *more in stated], "_format"
    else:
        said, place = [one.split(";") for one in accept.split(",") if one.strip()], "Accept"
    if said and not any(_is_offered(*one) for one in said):
        raise NotAcceptable(f"FHIR is answered as {' or '.join(OFFERED[:2])}, in version 4.0.", field=place, advice=f"For {place} name one of these.")


def check_asked(query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """The same of a request as it came in."""
    accept = b",".join([value for name, value in headers if name == b"accept"])
    if b"format" in query or accept not in (b"", b"*/*", b"application/fhir+json"):
        check(parse_qsl(query.decode("latin-1")), accept.decode("latin-1"))


def _is_offered(type_: str, *parameters: str) -> bool:
    said = dict(part.lower().strip().partition("=")[::2] for part in parameters)
    version, weight = said.get("fhirversion", "4.0").strip('"'), said.get("q", "1")
    return type_.strip().lower() in _TAKEN and version in _VERSIONS and weight.strip("0.") != ""
