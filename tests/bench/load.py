"""A load generator that costs little: prepared HTTP/1.1 requests over kept connections, in a process of its own.

An ordinary client takes most of a core at a few hundred requests a second, and then measures itself.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop


class Load(msgspec.Struct):
    """What a run took: seconds in all, milliseconds of each request, statuses that were not the expected one, bytes received."""

    seconds: float
    latencies_ms: list[float]
    unexpected: list[int]
    received: int

    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds


class _Lane(asyncio.Protocol):
    """One connection: sends the next prepared request as soon as the last answer is whole."""

    def __init__(self, work: Iterator[bytes], load: Load, expected: int, done: asyncio.Future[None]) -> None:
        self._work, self._load, self._expected, self._done = work, load, str(expected).encode(), done
        self._buffer, self._wanted = bytearray(), -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def _next(self) -> None:
        request = next(self._work, None)
        if request is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._wanted < 0 and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            _, _, rest = head.partition(b"content-length:")
            self._wanted = end + 4 + int(rest.partition(b"\r\n")[0])
        if 0 <= self._wanted <= len(self._buffer):
            self._answered()

    def _answered(self) -> None:
        self._load.latencies_ms.append((time.perf_counter() - self._began) * 1000)
        self._load.received += len(self._buffer)
        status = bytes(self._buffer[9:12])
        if status != self._expected:
            self._load.unexpected.append(int(status))
        self._buffer.clear()
        self._wanted = -1
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("The hub closed the connection."))


def spread(values: list[float]) -> dict[str, float]:
    """Median and range of rounds."""
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2), "max": round(max(values), 2)}


def answered(load: Load) -> Load:
    """The run, when every answer was as expected."""
    if load.unexpected:
        raise SystemExit(f"{len(load.unexpected)} requests were not answered as expected; the first with {load.unexpected[0]}.")
    return load


def request(url: str, path: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
    """The bytes of one request."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + (body or b"")


def send(url: str, requests: Sequence[bytes], lanes: int, expected: int = 200) -> Load:
    """Send every request once over `lanes` connections, from another process, each lane as fast as it is answered."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_send, url, list(requests), lanes, expected).result()


def _send(url: str, requests: list[bytes], lanes: int, expected: int) -> Load:
    return uvloop.run(_lanes(url, requests, lanes, expected))


async def _lanes(url: str, requests: list[bytes], lanes: int, expected: int) -> Load:
    place, load, work = urlsplit(url), Load(0.0, [], [], 0), iter(requests)
    loop = asyncio.get_running_loop()
    done = [loop.create_future() for _ in range(lanes)]
    began = time.perf_counter()
    for future in done:
        await loop.create_connection(lambda future=future: _Lane(work, load, expected, future), place.hostname, place.port)  # type: ignore[misc]  # bound now
    await asyncio.gather(*done)
    load.seconds = time.perf_counter() - began
    return load


def descends(pid: int, roots: set[int], parents: dict[int, int]) -> bool:
    """Whether a process is one of `roots` or was started below one."""
    while pid not in roots and pid in parents:
        pid = parents[pid]
    return pid in roots
