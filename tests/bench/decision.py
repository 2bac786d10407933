"""The consent engine alone: a resident's policy of twenty grants, compiled, asked and answered; microseconds of processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from consent.decision import compile_policy, decide
from consent.grant import consent_for
from consent.request import Facts, Request
from schemas.classes import ALL, DataClass

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GRANTS = 20


def _consents() -> list[dict[str, Any]]:
    made = []
    for number in range(GRANTS):
        base = {"resident": "Patient/p", "recipient": f"Organization/{number}", "purpose": "TREAT", "classes": ALL, "recorded": NOW - timedelta(days=1)}
        made.append(consent_for(**base, consent_id=str(number)))
        made[-1]["provision"]["provision"] = [
            {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}]},
            {"type": "deny", "dataPeriod": {"start": "2026-01-01", "end": "2026-01-31"}},
        ]
    return made


def _spread(work: Callable[[int], object], times: int) -> dict[str, float]:
    taken = []
    for number in range(times):
        began = time.process_time_ns()  # a busy machine counts less
        work(number)
        taken.append((time.process_time_ns() - began) / 1000)
    taken.sort()
    return {"median_us": round(median(taken), 1), "p99_us": round(taken[int(times * 0.99)], 1)}


def figures(times: int = 5000) -> dict[str, Any]:
    """Cold: the policy parsed from its consents. Warm: a request decided, a resource judged by facts, a resource judged by its content."""
    consents = _consents()
    policy = compile_policy(consents, resident="Patient/p", zone="Asia/Shanghai")
    asks = [Request(f"Practitioner/{number}", NOW, f"Organization/{number % GRANTS}", purpose="TREAT") for number in range(100)]
    body = {"resourceType": "Observation", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "effectiveDateTime": "2026-05-01"}
    decision = decide(policy, asks[0])

    def facts(number: int) -> Facts:
        return Facts(int(DataClass.ACTIVITY), "Observation", f"Observation/{number}", NOW - timedelta(hours=number), NOW - timedelta(hours=number))

    return {
        "policy of twenty consents, compiled": _spread(lambda _: compile_policy(consents, resident="Patient/p", zone="Asia/Shanghai"), times // 20),
        "request decided": _spread(lambda number: decide(policy, asks[number % 100]), times),
        "resource judged by facts": _spread(lambda number: decision.check(facts(number)), times),
        "resource judged by content": _spread(lambda number: decision.check(facts(number), body), times),
    }
