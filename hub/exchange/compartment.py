"""The resources of one resident that one caller may see, in memory, and how references find their way among them.

Whatever is not in here does not exist for the search: chains, `_has`, includes and reverse includes look nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from hub.exchange.values import local_reference

_parse = msgspec.json.decode


class Resource:
    """One visible resource: its serialised bytes, parsed only when somebody looks inside.

    at: what the default order (newest first) goes by, for example the record's start in microseconds since 1970
    """

    __slots__ = ("_content", "at", "id", "raw", "type")

    def __init__(self, raw: bytes, type: str, id: str, at: int = 0, content: dict[str, Any] | None = None) -> None:
        self.raw = raw
        self.type = type
        self.id = id
        self.at = at
        self._content = content

    @property
    def content(self) -> dict[str, Any]:
        if self._content is None:
            self._content = _parse(self.raw)
        return self._content

    @property
    def key(self) -> tuple[str, str]:
        return self.type, self.id


def held(raw: bytes, at: int = 0) -> Resource:
    """A resource whose type and id are read out of its bytes."""
    content = _parse(raw)
    return Resource(raw, content["resourceType"], content.get("id", ""), at, content)


def _nothing(_type: str, _id: str) -> Resource | None:
    return None


class Compartment:
    """What of one resident is visible to the caller, plus a look-up of directory entries (Organization, Location …)."""

    def __init__(self, visible: Iterable[Resource] = (), directory: Callable[[str, str], Resource | None] = _nothing) -> None:
        self._by_key: dict[tuple[str, str], Resource] = {}
        self._by_type: dict[str, list[Resource]] = {}
        for one in visible:
            if one.key not in self._by_key:
                self._by_key[one.key] = one
                self._by_type.setdefault(one.type, []).append(one)
        self._directory = directory

    def read(self, type: str, id: str) -> Resource | None:
        """The visible resource or directory entry; None when it is unknown or hidden, which is the same."""
        return self._by_key.get((type, id)) or self._directory(type, id)

    def of_type(self, type: str) -> list[Resource]:
        """Every visible resource of a type in the compartment; the directory is not walked."""
        return self._by_type.get(type, [])

    def types(self) -> list[str]:
        return list(self._by_type)

    def target(self, reference: Any, base_url: str) -> Resource | None:
        """What a Reference points to, as far as it is visible. Logical, conditional and foreign references point to nothing."""
        local = local_reference(reference.get("reference"), base_url) if isinstance(reference, dict) else None
        return self.read(*local) if local else None
