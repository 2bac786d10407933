"""The conditions a provision may set, each answering YES, MAYBE or NO for one resource.

MAYBE is an honest "not known": an unknown date, content that was not opened, a reference that does not resolve, a code that maps
to nothing. The decision takes every world that MAYBE leaves open: it permits only what all of them permit, and denies what any denies.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from consent.content import Concepts, Content
from consent.request import Facts
from consent.span import EVER, NEVER
from consent.terms import RANKS, may_coincide, sensitivities_above
from schemas.classes import CODES

NO, MAYBE, YES = 0, 1, 2
ANY = "*"
"""A sensitivity that may be any or none."""


class Case(msgspec.Struct):
    """One atom of a resource: one data class, one sensitivity, one set of codes. A resource is permitted when all its atoms are."""

    facts: Facts
    bit: int
    sensitivity: str | None
    content: Content | None = None
    concepts: Concepts | None = None


def likeness(reference: str, named: frozenset[str]) -> int:
    """Whether a reference is among those named; an absolute one against a relative one stays open."""
    if reference in named:
        return YES
    others = [other for other in named if ("://" in other) != ("://" in reference)]
    return MAYBE if any(_tail(reference) == _tail(other) for other in others) else NO


def _tail(reference: str) -> list[str]:
    return reference.rsplit("/", 2)[-2:]


class DataPeriod(msgspec.Struct, frozen=True):
    """When the data was made: contained is YES, overlapping or unknown MAYBE. So a permit needs containment, a deny any overlap."""

    since: datetime
    until: datetime

    def match(self, case: Case) -> int:
        starts, ends = case.facts.starts, case.facts.ends
        if (starts is not None and starts >= self.until) or (ends is not None and ends < self.since):
            return NO
        if starts is None and ends is None:
            return MAYBE
        begun = self.since == EVER or (starts is not None and starts >= self.since)
        ended = self.until == NEVER or (ends is not None and ends < self.until)
        return YES if begun and ended else MAYBE


class Class(msgspec.Struct, frozen=True):
    """Data classes (bits), resource types, profiles, document types: any one of them. `loose` were given without a system: they can deny only."""

    bits: int
    types: frozenset[str]
    profiles: frozenset[str]
    documents: frozenset[tuple[str, str]]
    loose: frozenset[str] = frozenset()

    def match(self, case: Case) -> int:
        if case.bit & self.bits or case.facts.resource_type in self.types:
            return YES
        if (self.bits and not case.bit) or (self.types and not case.facts.resource_type):
            return MAYBE
        if not (self.profiles or self.documents or self.loose):
            return NO
        return MAYBE if case.content is None else self._inside(case, case.content)

    def _inside(self, case: Case, content: Content) -> int:
        if not self.profiles.isdisjoint(content.profiles) or not self.documents.isdisjoint(content.document_types):
            return YES
        bare = {case.facts.resource_type, *(code for code, bit in CODES.items() if bit & case.bit), *(code for _, code in content.document_types)}
        return NO if self.loose.isdisjoint(bare) else MAYBE


class Codes(msgspec.Struct, frozen=True):
    """Coded elements of the resource. `loose` are codes the rule gave without a system, or of one not known here: they can deny, not permit."""

    codes: frozenset[tuple[str, str]]
    loose: frozenset[str]
    systems: frozenset[str]

    def match(self, case: Case) -> int:
        if case.concepts is None:
            return MAYBE
        if not self.codes.isdisjoint(case.concepts.codes):
            return YES
        unmapped = case.concepts.opaque and self.systems.isdisjoint(case.concepts.systems)
        return MAYBE if unmapped or not self.loose.isdisjoint(case.concepts.bare) else NO


class Data(msgspec.Struct, frozen=True):
    """Named resources. `around` holds the instances and what they refer to; `unclear`: a reference that names nothing known.

    `indirect` are resources at hand that refer to one named: what refers to them is related at one remove, which can deny only.
    `identifiers` are of instances named by identifier; an author's role that is not among `known_roles` may be anybody's.
    """

    instances: frozenset[str]
    around: frozenset[str]
    targets: frozenset[str]
    authors: frozenset[str]
    unclear: bool
    indirect: frozenset[str] = frozenset()
    identifiers: frozenset[tuple[str, str]] = frozenset()
    known_roles: frozenset[str] = frozenset()

    @property
    def by_name(self) -> bool:
        """Whether the references of resources alone tell whether it is met."""
        return not (self.targets or self.authors or self.identifiers or self.unclear or self.indirect)

    def match(self, case: Case) -> int:
        facts = case.facts
        if facts.reference in self.around or facts.source in self.authors:
            return YES
        if self.unclear or not facts.reference:
            return MAYBE
        if case.content is None and (self.targets or self.authors or self.identifiers):
            return MAYBE
        return max(likeness(facts.reference, self.instances | self.targets), self._inside(case.content))

    def _inside(self, content: Content | None) -> int:
        if content is None:
            return NO
        links = [likeness(reference, self.targets) for reference in content.references] if self.targets else []
        removed = MAYBE if not self.indirect.isdisjoint(content.references) else NO
        return max([removed, self._identified(content), *links, *(self._wrote(author) for author in content.authors)])

    def _identified(self, content: Content) -> int:
        """Whether the resource is one named by identifier; without an identifier of that system it may be."""
        if not self.identifiers.isdisjoint(content.identifiers):
            return YES
        known = {uri for uri, _ in content.identifiers}
        return MAYBE if any(uri not in known for uri, _ in self.identifiers) else NO

    def _wrote(self, author: str) -> int:
        unseen = bool(self.authors) and author.startswith("PractitionerRole/") and author not in self.known_roles
        return max(likeness(author, self.authors), MAYBE if unseen else NO)


class Source(msgspec.Struct, frozen=True):
    """The uploading party."""

    party: str

    def match(self, case: Case) -> int:
        return MAYBE if case.facts.source is None else YES if case.facts.source == self.party else NO


Condition = DataPeriod | Class | Codes | Data | Source


class Labels(msgspec.Struct, frozen=True):
    """Security labels of a rule. Confidentiality is a high-water mark for a permit and a floor for a deny (`rank`); sensitivity subsumes."""

    rank: int | None
    sensitivities: frozenset[str]
    permits: bool

    def match(self, case: Case) -> int:
        return max(self._confidentiality(case.facts.confidentiality), self.covers(case))

    def _confidentiality(self, code: str) -> int:
        if not code:
            return MAYBE
        if self.rank is None:
            return NO
        rank = RANKS.get(code)
        if rank is None:
            return MAYBE
        return YES if (rank <= self.rank if self.permits else rank >= self.rank) else NO

    def covers(self, case: Case) -> int:
        """Whether the sensitivity of the case is one the rule names, or a kind of one."""
        if case.sensitivity is None or not self.sensitivities:
            return NO
        if case.sensitivity == ANY:
            return MAYBE
        if not self.sensitivities.isdisjoint(sensitivities_above(case.sensitivity)):
            return YES
        return MAYBE if any(may_coincide(case.sensitivity, named) for named in self.sensitivities) else NO
