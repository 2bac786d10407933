"""What one data key takes to wrap and to open in each back end: `python -m tests.bench.keyrings [COUNT]`.

The transit engine is the small server of the tests on this machine: its figure is the round trip and nothing of a real one's work.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import pytest

from hub.store import keyring
from hub.store.ids import new_resident_id
from hub.store.keyring import Keyring
from tests.softhsm import PIN, a_token
from tests.transit import TOKEN, an_engine


def _timed(ring: Keyring, count: int) -> tuple[list[float], list[float]]:
    """Microseconds of each wrap and each unwrap."""
    wrapping, opening = [], []
    for _ in range(count):
        subject = str(new_resident_id())
        began = perf_counter()
        wrapped = ring.wrap(subject, os.urandom(32))
        between = perf_counter()
        ring.unwrap(subject, wrapped)
        wrapping.append((between - began) * 1e6)
        opening.append((perf_counter() - between) * 1e6)
    return wrapping, opening


def _rings(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[tuple[str, Keyring]]:
    pin, token = folder / "pin", folder / "token"
    pin.write_text(PIN)
    token.write_text(TOKEN)
    yield "file", keyring.create(folder / "file" / "keyring.json")
    erased = keyring.create(folder / "erased" / "keyring.json")
    for _ in range(100):
        subject = str(new_resident_id())
        erased.puncture(erased.wrap(subject, bytes(32)).erasure, subject)
    yield "file, 100 erased of the month", erased
    yield "file, guomi", keyring.create(folder / "guomi" / "keyring.json", "guomi")
    yield "pkcs11 (SoftHSM)", keyring.create(folder / "pkcs11" / "keyring.json", store=a_token(folder / "softhsm", patch), secret_file=pin)
    with an_engine() as engine:
        yield "vault (server of the tests)", keyring.create(folder / "vault" / "keyring.json", store=engine.address, secret_file=token)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory(prefix="kinehub-bench-") as made, pytest.MonkeyPatch.context() as patch:
        for name, opened in _rings(Path(made), patch):
            with closing(opened) as ring:
                parts = zip(("wrap", "unwrap"), _timed(ring, count), strict=True)
                said = [f"{what} {statistics.median(times):.0f} us, p99 {statistics.quantiles(times, n=100)[98]:.0f}" for what, times in parts]
            sys.stdout.write(f"{name}: {'; '.join(said)}; file {ring.path.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
