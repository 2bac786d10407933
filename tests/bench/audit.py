"""What the audit entry of a single read costs: two hubs on one database, one of which leaves none, read in turn."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from hub.demo.__main__ import free_port
from hub.settings import load
from hub.store import postgres
from tests.bench.load import answered, request, send, spread

READS, LANES, ROUNDS = 1500, 64, 3


@contextmanager
def without(change: str, folder: Path, base_url: str, workers: int) -> Iterator[str]:
    """A second hub on the running one's database, with the same tokens, that leaves out what the `sitecustomize` of a folder beside this file says."""
    port = free_port()
    with postgres.connect(folder) as dsn:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).with_name(change)), os.environ.get("PYTHONPATH")))),
            "KINEHUB_KEYRING": str(load(folder).keyring), "KINEHUB_BASE_URL": base_url,
        }  # fmt: skip
        served = ["serve", "--port", str(port), "--workers", str(workers)]
        line = [sys.executable, "-m", "hub", "--data-dir", str(folder), "--database-url", dsn, "--json", *served]
        with subprocess.Popen(line, stdout=subprocess.PIPE, env=environment) as child:
            try:
                assert child.stdout
                assert orjson.loads(child.stdout.readline())
                yield f"http://localhost:{port}"
            finally:
                child.terminate()


def cost(folder: Path, url: str, ids: list[str], headers: dict[str, str], workers: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Single reads a second from 64 clients, enough to hide the time a commit takes with the entry and without, interleaved, and the share that it takes."""
    rates: dict[str, list[float]] = {"with": [], "without": []}
    with without("unaudited", folder, url, workers) as bare:
        for round_ in range(rounds + 1):
            for name, base in (("with", url), ("without", bare)):
                reads = [request(base, f"/fhir/Observation/{id_}", headers) for id_ in random.choices(ids, k=READS)]
                rate = answered(send(base, reads, LANES)).per_second()
                rates[name] += [rate] if round_ else []
    shares = [round(100 * (1 - audited / bare_rate), 1) for audited, bare_rate in zip(rates["with"], rates["without"], strict=True)]
    return {
        "single reads, req/s": spread(rates["with"]), "single reads without an audit entry, req/s": spread(rates["without"]),
        "share of a single read's throughput that its audit entry takes, %": spread(shares),
    }  # fmt: skip
