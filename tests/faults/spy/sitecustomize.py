"""Put on a hub's PYTHONPATH by tests: every log line of every library is said, and every file opened for writing is noted.

A file without a name (O_TMPFILE), or one deleted at once, is seen here and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys

logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s %(exc_text)s")

_NOTES = os.environ.get("KINEHUB_TEST_OPENED")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _noted(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not isinstance(arguments[2], int) or not arguments[2] & _WRITES:
        return
    path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else f"descriptor {arguments[0]}"
    with contextlib.suppress(OSError):
        os.write(_descriptor, f"{path}\n".encode())


if _NOTES:
    _descriptor = os.open(_NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.addaudithook(_noted)
