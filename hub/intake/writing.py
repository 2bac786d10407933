"""One writer per process: uploads that arrive while a transaction runs share the next one (one commit, many requests)."""

from __future__ import annotations

import asyncio
import contextlib

from hub.audit.trail import Trail
from hub.store.database import Database
from hub.store.vault import Vault
from hub.store.writer import Upload, write
from schemas.errors import KineHubError

MOST_UPLOADS, MOST_DRAFTS = 100, 400


class Writing:
    """A queue in front of the store; `put` returns when the upload is durable, or raises what went wrong with it alone."""

    def __init__(self, database: Database, vault: Vault, trail: Trail) -> None:
        self._database, self._vault, self._trail = database, vault, trail
        self._waiting: list[tuple[Upload, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._forever())

    async def put(self, upload: Upload) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((upload, future))
        self._wake.set()
        await future

    async def stop(self) -> None:
        while self._waiting:
            await self._flush()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _forever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._flush()

    async def _flush(self) -> None:
        batch = self._next()
        try:
            await write(self._database, self._vault, self._trail, [upload for upload, _ in batch])
        except Exception as error:
            await self._alone(batch, error)
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    async def _alone(self, batch: list[tuple[Upload, asyncio.Future[None]]], error: Exception) -> None:
        """After a failed shared transaction each upload is tried by itself, so that one bad neighbour harms nobody."""
        for upload, future in batch:
            failure: Exception | None = error
            if len(batch) > 1 and isinstance(error, KineHubError):
                try:
                    await write(self._database, self._vault, self._trail, [upload])
                    failure = None
                except Exception as own:
                    failure = own
            if not future.done():
                future.set_exception(failure) if failure else future.set_result(None)

    def _next(self) -> list[tuple[Upload, asyncio.Future[None]]]:
        taken, drafts = 0, 0
        for upload, _ in self._waiting[:MOST_UPLOADS]:
            drafts += len(upload.drafts)
            if taken and drafts > MOST_DRAFTS:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch
