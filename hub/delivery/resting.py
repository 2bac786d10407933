"""Receivers that do not answer rest, so that none of them holds up what is owed to the others.

Known to one process and kept nowhere: after a restart each is asked again. How long a message waits, and when it is given up, stands in its own row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable

LONGEST_REST_S = 60.0
_AWAY = frozenset({"HTTP 429", "HTTP 502", "HTTP 503", "HTTP 504"})


class Resting:
    """Who does not answer: how often in a row, and until when they are not asked (by the monotonic clock)."""

    def __init__(self) -> None:
        self._silent: dict[Hashable, tuple[int, float]] = {}

    def now(self) -> list[Hashable]:
        """Those that are not to be asked now."""
        return [receiver for receiver, (_, until) in self._silent.items() if until > time.monotonic()]

    def begin(self, receiver: Hashable) -> None:
        """Before one is asked: who was silent is asked by one lane, and by the others when it has answered."""
        if receiver in self._silent:
            self._silent[receiver] = (self._silent[receiver][0], math.inf)

    def end(self, receiver: Hashable, reason: str | None) -> None:
        """After it was asked: what went wrong, None when nothing did. It rests a second, then twice as long each time."""
        if reason is None or (reason.startswith("HTTP ") and reason not in _AWAY):
            self._silent.pop(receiver, None)
            return
        times = self._silent.get(receiver, (0, 0.0))[0] + 1
        self._silent[receiver] = (times, time.monotonic() + min(LONGEST_REST_S, 2.0 ** (min(times, 12) - 1)))

    def spare(self, receiver: Hashable) -> None:
        """It was not asked after all."""
        if receiver in self._silent:
            self._silent[receiver] = (self._silent[receiver][0], 0.0)
