"""One call at a time for many callers: what arrives while a call runs shares the next one.

The first caller goes at once and alone; under load the groups grow by themselves. No caller waits for a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from schemas.errors import KineHubError, Unavailable

Item = TypeVar("Item")


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
                await self._together(self._next())
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
