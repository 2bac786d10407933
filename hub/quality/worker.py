"""When to judge, and in which process: the delivery worker looks whether something is due and starts a process that imports Great Expectations.

That process works through all that is due and ends, so that its memory is held only while there is something to judge.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import multiprocessing
import os
import sys
import time
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any
from uuid import UUID

import msgspec

from hub import service
from hub.defects import places
from hub.quality import batches, silence
from hub.service import Hub
from hub.settings import Settings
from schemas.errors import KineHubError, NotFound, Unavailable

log = logging.getLogger("kinehub.quality")

LOOK_S = 10.0
SILENCE_S = 3600.0
"""How often to look for sources that fell silent."""
REST_S = 600.0
"""After a fall, so that a batch that cannot be judged does not keep a core busy."""


class Wanted(msgspec.Struct, frozen=True):
    """What to judge now: everything that is due by default, whatever its age; one party's, or one receipt."""

    party: UUID | None = None
    receipt: UUID | None = None


def installed() -> bool:
    """Whether Great Expectations is there, without importing it."""
    return importlib.util.find_spec("great_expectations") is not None


async def watch(hub: Hub, dsn: str, stop: asyncio.Event) -> None:
    """Start a judging process whenever something is due, one at a time, until `stop` is set."""
    if not installed():
        log.warning("great_expectations is not installed: data quality is not watched (pip install 'kinehub[quality]')")
        return
    child: BaseProcess | None = None
    wait, listened = LOOK_S, -SILENCE_S
    while not await _stopped(stop, wait):
        wait = LOOK_S
        if time.monotonic() - listened >= SILENCE_S:
            await _listen(hub)
            listened = time.monotonic()
        if child is not None and child.is_alive():
            continue
        if child is not None and child.exitcode:
            log.warning("the quality worker ended with exit %s", child.exitcode)
            child, wait = None, REST_S
            continue
        child = start(hub.settings, dsn) if await _due(hub) else None
    if child is not None and child.is_alive():
        child.terminate()
        await asyncio.to_thread(child.join, 10)


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _listen(hub: Hub) -> None:
    try:
        await silence.note(hub)
    except KineHubError as error:
        log.warning("looking for silent sources: %s", places(error))


async def _due(hub: Hub) -> bool:
    try:
        async with hub.database.connection() as connection:
            return await batches.due(connection) is not None
    except KineHubError as error:
        log.warning("looking for batches: %s", places(error))
        return False


def start(settings: Settings, dsn: str) -> BaseProcess:
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(settings, dsn, os.getpid()))
    child.start()
    return child


def _child(settings: Settings, dsn: str, parent: int) -> None:
    """Judge what is due, then end."""
    from hub.serve import die_with_parent

    die_with_parent(parent)
    os.nice(10)  # uploads and pages come first
    _silently(judged(settings, dsn, None))


def _silently(work: Any) -> Any:
    try:
        return asyncio.run(work)
    except KineHubError as error:
        sys.stderr.write(f"kinehub quality: {type(error).__name__}: {error.message}\n")
    except Exception as error:
        sys.stderr.write(f"kinehub quality: {places(error)}\n")
    sys.exit(1)


async def judged(settings: Settings, dsn: str, wanted: Wanted | None) -> list[dict[str, Any]]:
    """Judge under the database's lock: what is due by its age, or at once what is `wanted`. Imports Great Expectations."""
    from hub.quality import runs

    async with service.opened(settings, dsn) as hub, hub.database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", runs.LOCK)
        try:
            done = await _judged(hub, wanted)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", runs.LOCK)
    return [msgspec.to_builtins(run) for run in done]


async def _judged(hub: Hub, wanted: Wanted | None) -> Any:
    from hub.quality import runs

    if wanted is None:
        return await runs.judge_due(hub)
    if wanted.receipt is not None:
        async with hub.database.connection() as connection:
            batch = await batches.of_receipt(connection, wanted.receipt)
        if batch is None:
            raise NotFound("There is no such receipt.")
        return [await runs.judge(hub, batch)]
    return await runs.judge_due(hub, quiet=timedelta(0), party=await _number(hub, wanted.party))


async def _number(hub: Hub, party: UUID | None) -> int | None:
    from hub.store import parties

    if party is None:
        return None
    async with hub.database.connection() as connection:
        return (await parties.by_id(connection, party)).number


def judge_apart(settings: Settings, dsn: str, wanted: Wanted) -> list[dict[str, Any]]:
    """As `judged`, in a process of its own, for a command. Raises Unavailable when that process fails or cannot be had."""
    if not installed():
        raise Unavailable("Great Expectations is not installed.", advice="pip install 'kinehub[quality]'")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_telling, args=(settings, dsn, wanted, there))
    child.start()
    there.close()
    try:
        said = here.recv()
    except EOFError:
        raise Unavailable("The quality worker failed; what it said stands above.") from None
    finally:
        child.join()
    if isinstance(said, str):
        raise NotFound(said)
    return list(said)


def _telling(settings: Settings, dsn: str, wanted: Wanted, there: Any) -> None:
    async def work() -> Any:
        try:
            return await judged(settings, dsn, wanted)
        except NotFound as error:
            return error.message

    there.send(_silently(work()))
