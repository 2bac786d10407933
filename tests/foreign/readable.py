"""What a foreign client has to find."""

from __future__ import annotations

from typing import NamedTuple

from tests.process import Running


class History(NamedTuple):
    """Where it is, who may be read and who not, the token's header, and the ids of every Observation there is to see."""

    city: Running
    base: str
    resident: str
    stranger: str
    headers: dict[str, str]
    observations: frozenset[str]

    @property
    def token(self) -> str:
        return self.headers["Authorization"].removeprefix("Bearer ")
