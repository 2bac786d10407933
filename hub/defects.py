"""What a defect of ours says of itself: its type and places. The text of an exception may quote a person's value, so no log gets it."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import PurePath
from typing import Any

log = logging.getLogger("kinehub")
_PLACES = 4


def places(error: BaseException) -> str:
    """The exception's type and the last places it came through, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return f"{type(error).__name__} at {' < '.join(f'{PurePath(frame.filename).name}:{frame.lineno}' for frame in reversed(frames)) or '?'}"


def keep_silent() -> None:
    """Have the running loop name the exceptions nobody waited for as `places` does; its own way quotes them."""
    asyncio.get_running_loop().set_exception_handler(_unawaited)


def _unawaited(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    log.error("in the background: %s", places(error) if error else "an event loop's complaint")
