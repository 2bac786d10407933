"""Everything an adapter may be, on one page.

An adapter turns the bytes of one source format into records of the unified data standard. It is one module in
`adapters/` (or one published under the entry-point group `kinehub.adapters`) with these names at its top:

    id: str                     name in the URL: POST /intake/{id}
    title: tuple[str, str]      zh-CN, en
    version: str                written into Provenance; raise it when the output changes
    extensions: tuple[str, ...] file name endings, lower case with dot
    emits: frozenset[str]       record kinds it can yield
    sample: bytes               the smallest real-shaped file
    recognises(head: bytes, filename: str | None) -> bool     `head` is the first 4,096 bytes
    decode(stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]

and where its code does not name the fields that it fills, for the page that shows them:

    fills() -> dict[str, frozenset[str]]   kind of record to its fields

It never touches the database, HTTP, FHIR, the clock (`context.received_at` is the clock) or the network. It raises
AdapterError (UnknownFormat, TooLarge) and nothing else; a row that cannot be used is yielded as Rejected.
It never guesses a time zone: a wall clock without offset is Moment(local=…), and the intake applies the party's zone.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import BinaryIO, NamedTuple, Protocol, cast

import msgspec

from schemas.errors import AdapterError, TooLarge, UnknownFormat
from schemas.records import Decoded, Rejected

__all__ = ["Adapter", "AdapterError", "Context", "Decoded", "Limits", "Rejected", "TooLarge", "UnknownFormat", "adapters", "detect"]


class Limits(msgspec.Struct, frozen=True):
    """How much one upload may hold; over it: TooLarge. `expanded_bytes` counts what a zip or an XML entity unfolds to."""

    bytes: int = 64 * 1024 * 1024
    expanded_bytes: int = 256 * 1024 * 1024
    rows: int = 50_000
    columns: int = 200
    depth: int = 64
    samples: int = 400_000


class Context(msgspec.Struct, frozen=True):
    """What an adapter may know beside the bytes.

    received_at: aware; the only clock. zone: the party's IANA zone, for formats that need it to anchor a local clock.
    """

    received_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    filename: str | None = None
    zone: str | None = None
    limits: Limits = Limits()


class Adapter(Protocol):
    """The shape of an adapter module; see the top of this page."""

    id: str
    title: tuple[str, str]
    version: str
    extensions: tuple[str, ...]
    emits: frozenset[str]
    sample: bytes

    def recognises(self, head: bytes, filename: str | None) -> bool: ...

    def decode(self, stream: BinaryIO, context: Context) -> Iterator[Decoded | Rejected]: ...


class _Names(NamedTuple):
    by_id: dict[str, Adapter]
    order: list[Adapter]


@cache
def _discover() -> _Names:
    import adapters as room

    modules = [import_module(f"adapters.{found.name}") for found in pkgutil.iter_modules(room.__path__) if found.name != "base"]
    modules += [entry.load() for entry in entry_points(group="kinehub.adapters")]
    found = [cast(Adapter, module) for module in modules if hasattr(module, "decode") and hasattr(module, "emits")]
    return _Names({adapter.id: adapter for adapter in found}, sorted(found, key=lambda adapter: adapter.id))


def adapters() -> list[Adapter]:
    """Every adapter there is, by id."""
    return _discover().order


def adapter(name: str) -> Adapter:
    """The adapter called `name`. Raises UnknownFormat."""
    try:
        return _discover().by_id[name]
    except KeyError:
        known = ", ".join(sorted(_discover().by_id))
        raise UnknownFormat(f"There is no format {name[:40]!r}.", advice=f"Known formats: {known}, or auto.") from None


def detect(head: bytes, filename: str | None) -> Adapter:
    """The adapter whose `recognises` says yes to the first 4,096 bytes. Raises UnknownFormat."""
    recognises: Callable[[Adapter], bool] = lambda candidate: candidate.recognises(head[:4096], filename)  # noqa: E731 - one filter
    for candidate in filter(recognises, adapters()):
        return candidate
    raise UnknownFormat("The file's format was not recognised.", advice="Name it in the URL; `kinehub adapters list` shows what is known.")
