"""`kinehub serve`: one parent that owns lock, PostgreSQL and port; N web workers and one delivery worker as its children.

A child exits when its parent dies (a SIGKILLed parent must not leave orphans on the port); the parent starts a child again
when it falls. SIGTERM: stop taking requests, finish, stop PostgreSQL, exit 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from multiprocessing.process import BaseProcess
from typing import Any

import msgspec

from hub.defects import places
from hub.settings import Settings
from mappings.sources import layouts
from schemas.errors import Unavailable

_PR_SET_PDEATHSIG = 1
GRACE_S = 20
MOST_FALLS = 3
"""Falls before the first readiness after which the start is given up."""


class Serving(msgspec.Struct):
    """What the parent serves."""

    settings: Settings
    dsn: str
    host: str
    port: int
    workers: int
    announce: Callable[[str], None]
    alive: Callable[[], bool]
    revive: Callable[[], None]


def serve(serving: Serving) -> None:
    """Serve until SIGTERM or SIGINT. Raises MappingError when a layout is wrong, Unavailable when the port is taken."""
    layouts()
    listener = _listener(serving.host, serving.port)
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    jobs: list[tuple[Any, tuple[Any, ...]]] = [(_web, (serving.settings, serving.dsn, listener, ready, os.getpid()))] * serving.workers
    jobs.append((_delivery, (serving.settings, serving.dsn, os.getpid())))
    stopping, started, falls = threading.Event(), threading.Event(), 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    children = [_started(context, *job) for job in jobs]
    threading.Thread(target=_announce, args=(serving, ready, started), daemon=True).start()
    try:
        while not stopping.wait(0.2):
            if not serving.alive():
                sys.stderr.write("kinehub: PostgreSQL ended; starting it again\n")
                serving.revive()
            falls += sum(not child.is_alive() for child in children)
            if falls >= MOST_FALLS and not started.is_set():
                raise Unavailable("The hub's workers do not start.", advice="What they said stands above.")
            children = [child if child.is_alive() else _restarted(context, job, child, stopping) for child, job in zip(children, jobs, strict=True)]
    finally:
        _stop(children)
        listener.close()


def _announce(serving: Serving, ready: Any, started: threading.Event) -> None:
    for _ in range(serving.workers):
        ready.acquire()
    started.set()
    serving.announce(serving.settings.base_url)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        raise Unavailable(f"Port {port} on {host} is taken.", advice="Choose another with --port.") from None
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


def _started(context: Any, target: Any, arguments: tuple[Any, ...]) -> BaseProcess:
    child: BaseProcess = context.Process(target=target, args=arguments)
    child.start()
    return child


def _restarted(context: Any, job: tuple[Any, tuple[Any, ...]], fallen: BaseProcess, stopping: threading.Event) -> BaseProcess:
    sys.stderr.write(f"kinehub: a worker ended (exit {fallen.exitcode}); starting it again\n")
    stopping.wait(0.5)
    return _started(context, *job)


def _stop(children: list[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_S
    for child in children:
        child.join(max(0.1, deadline - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()


def die_with_parent(parent: int) -> None:
    """Exit when the parent does: the kernel's signal on Linux, and a look at the parent's number everywhere."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()


def _web(settings: Settings, dsn: str, listener: socket.socket, ready: Any, parent: int) -> None:
    die_with_parent(parent)
    import uvicorn

    from hub.app import application

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.release()

    config = uvicorn.Config(
        application(settings, dsn), loop="uvloop", http="httptools", access_log=False, log_level="warning", server_header=False, date_header=True,
        timeout_graceful_shutdown=15, lifespan="on", h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip
    Server(config).run(sockets=[listener])


def _delivery(settings: Settings, dsn: str, parent: int) -> None:
    die_with_parent(parent)
    from hub.delivery.worker import run

    stop = asyncio.Event()

    async def main() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(settings, dsn, stop)

    _run_silently(main())


def _run_silently(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, or exit naming what went wrong without its text."""
    try:
        asyncio.run(work)
    except Exception as error:
        sys.stderr.write(f"kinehub: {places(error)}\n")
        sys.exit(1)
