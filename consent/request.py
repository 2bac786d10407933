"""What a decision is about: who asks (`Request`), and what is known of a stored resource without opening it (`Facts`)."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Request(msgspec.Struct, frozen=True):
    """One ask. References are relative (`Practitioner/x`); `purpose` is a v3 PurposeOfUse code, or `system|code`; `at` is aware.

    `action` None: the asker did not say; then no permit for an action is surely met, and every deny of one may be.
    """

    actor: str
    at: datetime
    acts_for: str | None = None
    member_of: tuple[str, ...] = ()
    purpose: str | None = None
    action: str | None = "access"


class Facts(msgspec.Struct, frozen=True):
    """A stored resource, seen from outside. `starts` and `ends` are its first and last instant; None is not known.

    `classes` are DataClass bits, `source` the uploading party (`Organization/x`), `sensitivity` v3 ActCode codes (other
    systems as `system|code`), `confidentiality` a v3 Confidentiality code, empty where the resource was never labelled and `?` where
    its labels say nothing of it, `purposes` the purposes of use it is labelled for, where it is.
    """

    classes: int
    resource_type: str = ""
    reference: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    source: str | None = None
    sensitivity: frozenset[str] = frozenset()
    confidentiality: str = "N"
    purposes: frozenset[str] = frozenset()
