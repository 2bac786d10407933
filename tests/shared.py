"""Real-shaped files that several rooms' tests read, and what they ask of the sessions in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.records import Session

SAMPLES = Path(os.environ.get("KINEHUB_SAMPLES") or Path(__file__).parents[2] / "shared" / "samples")


def shared(name: str) -> bytes:
    """A shared sample; skips the test where there are none."""
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the shared samples are not here (KINEHUB_SAMPLES)")
    return path.read_bytes()


def codes(session: Session) -> set[str]:
    """Codes of a session's flags."""
    return {flag.code for flag in session.flags}
