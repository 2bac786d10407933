"""Many writers at once, some of them killed: no fork, no gap, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from tests.audit.test_audit import Audit
from tests.audit.writer import LANES, WRITERS

PROCESSES, KILLED, ENOUGH = 8, 3, 150
"""Processes of `WRITERS` chains each: 32 writers. How many are killed, and after how many entries of each process."""


def test_32_writers_leave_no_fork_and_no_gap_though_some_are_killed(hub_url: str, tmp_path: Path) -> None:
    trail = Audit(hub_url, tmp_path)
    trail.note(1)
    line = [sys.executable, "-m", "tests.audit.writer", hub_url, str(tmp_path)]
    with ExitStack() as open_pipes:
        writers = [open_pipes.enter_context(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) for _ in range(PROCESSES)]
        said = _lives(writers)
    found = asyncio.run(_found(hub_url))
    acknowledged = {name[:-1] for name in said if name.endswith("\n")}
    assert len(acknowledged) >= PROCESSES * ENOUGH
    assert acknowledged <= set(found)
    assert len(found) == len(set(found)) <= len(acknowledged) + KILLED * WRITERS * LANES
    trail.note(1)
    assert trail.verdict(*trail.kept()) == trail.verdict() == {"entries": len(found) + 2, "intact": True}
    assert asyncio.run(_tree(hub_url)) == (len(found) + 2, PROCESSES * WRITERS)


def _lives(writers: list[subprocess.Popen[str]]) -> list[str]:
    """What they say: all of them write, some are killed, the others stop when asked."""
    said: list[str] = []
    for writer in writers:
        assert writer.stdout
        said += [writer.stdout.readline() for _ in range(ENOUGH)]
    for writer in writers[:KILLED]:
        writer.kill()
    for writer in writers[KILLED:]:
        assert writer.stdin
        writer.stdin.write("stop\n")
        writer.stdin.close()
    for writer in writers:
        assert writer.stdout
        said += writer.stdout.readlines()
    assert [writer.wait() for writer in writers] == [-9] * KILLED + [0] * (PROCESSES - KILLED)
    return said


async def _found(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT rule FROM audit WHERE rule IS NOT NULL")
    await connection.close()
    return [row["rule"] for row in rows]


async def _tree(url: str) -> tuple[int, int]:
    """How many entries are in the tree, and how many chains wrote together."""
    connection = await asyncpg.connect(url)
    size = await connection.fetchval("SELECT sum(last - first + 1)::int FROM audit_segments")
    chains = await connection.fetchval("SELECT count(DISTINCT chain) FROM audit WHERE rule IS NOT NULL")
    await connection.close()
    return size, chains
