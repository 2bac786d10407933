"""The permit: the only thing against which the vault opens a resident's data."""

from __future__ import annotations

from datetime import datetime

import msgspec

from consent.decision import Decision


class Permit(msgspec.Struct, frozen=True):
    """Who may see whose data, why, until when. `basis` is `consent`, `emergency`, `representative` or `self`.

    Good only while the resident's epoch is `resident_epoch` and the database's clock is before `valid_until`.
    """

    resident: str
    recipient: str
    purpose: str
    decision: Decision
    resident_epoch: int
    issued_at: datetime
    valid_until: datetime | None
    basis: str

    def holds(self, at: datetime, resident_epoch: int) -> bool:
        """Whether it still is good at this instant and epoch."""
        return resident_epoch == self.resident_epoch and self.issued_at <= at and (self.valid_until is None or at < self.valid_until)
