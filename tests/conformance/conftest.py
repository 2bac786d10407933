"""What the conformance tests need: the guide, built once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance import guide

MISSING = [program for program in ("java", "mvn", "make", "node", "npm") if not shutil.which(program)]


@pytest.fixture(scope="session")
def package() -> Path:
    """The guide's package, built by SUSHI. Skips where a program is missing; in CI that is an error."""
    if MISSING and os.environ.get("CI"):
        raise FileNotFoundError(f"In CI conformance must be checked: {', '.join(MISSING)} is missing.")
    if MISSING:
        pytest.skip(f"conformance needs {', '.join(MISSING)} (Java 17, Maven, Node)")
    made = subprocess.run(["make", "--silent", "sushi"], cwd=guide.ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]
    return guide.build()
