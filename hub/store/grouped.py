"""One call at a time for many callers: what arrives while a call runs shares the next one.

A caller that comes alone goes at once. Under load the groups grow, by a pause of a few milliseconds too: single uploads from 32 clients went from
1,238 to 1,633 a second with it, and from 35 to 20 ms each (docs/decisions/0002-store.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from schemas.errors import KineHubError, Unavailable

Item = TypeVar("Item")

GATHER_S = 0.003
"""Pause after a group that was in company, so that those who were just answered, and their like, find the next one together."""


class Grouped(Generic[Item]):
    """`put` returns when a call of `run` that held the item has returned, or raises what went wrong with that item alone.

    most, weight: how much one call takes; an item heavier than that goes alone
    """

    def __init__(self, run: Callable[[list[Item]], Awaitable[None]], *, most: int, weight: Callable[[Item], int] = lambda item: 1) -> None:
        self._run, self._most, self._weight = run, most, weight
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._until_empty())
        await future

    async def stop(self) -> None:
        """Return when nothing waits any more."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _until_empty(self) -> None:
        try:
            while self._waiting:
                group = self._next()
                await self._together(group)
                if 1 < len(group) > len(self._waiting):
                    await asyncio.sleep(GATHER_S)
        finally:
            self._task = None

    def _next(self) -> list[tuple[Item, asyncio.Future[None]]]:
        weight, count = 0, 0
        for item, _ in self._waiting:
            weight += self._weight(item)
            if count and weight > self._most:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _together(self, group: list[tuple[Item, asyncio.Future[None]]]) -> None:
        try:
            await self._run([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and isinstance(error, KineHubError) and not isinstance(error, Unavailable):
                for one in group:
                    await self._together([one])
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
        else:
            for _, future in group:
                if not future.done():
                    future.set_result(None)
