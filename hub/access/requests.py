"""What is read off a request: the hub it came to, and small bodies with a limit, of which no part reaches a disk or a log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextvars import ContextVar
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from fastapi import Request

from adapters.base import Limits
from schemas.errors import BadRequest, TooLarge

if TYPE_CHECKING:
    from hub.service import Hub

PURPOSE_HEADER = "x-purpose-of-use"
LIMIT = 64 * 1024
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 32
BEGAN: ContextVar[float] = ContextVar("began")
"""When the request being answered came in, on the monotonic clock."""
STEP_S = 0.025
"""Answers that show nothing leave at whole steps after their request: what is hidden then takes no longer than what never was."""
TIMER_S = 0.0015
"""Timers go off at whole milliseconds after they were set, which tells when that was: the last of the wait goes by the clock."""


def hub_of(request: Request) -> Hub:
    """The hub this request came to."""
    return cast("Hub", request.app.state.hub)


async def even_out() -> None:
    """Wait for the next step, so that the time an empty answer takes tells nothing. Nothing is held meanwhile."""
    began = BEGAN.get(None)
    if began is None:
        return
    until = time.monotonic() + (began - time.monotonic()) % STEP_S
    await asyncio.sleep(max(0.0, until - time.monotonic() - TIMER_S))
    while time.monotonic() < until:  # noqa: ASYNC110 - no event comes at that moment
        await asyncio.sleep(0)


async def body(request: Request, limit: int = LIMIT) -> bytes:
    """The request's body; read once, then kept with the request. Raises TooLarge."""
    kept = getattr(request.state, "small_body", None)
    if isinstance(kept, bytes):
        return kept
    refusal = TooLarge(f"The body is over {limit} bytes.", code="invalid_request")
    request.state.small_body = b"".join([part async for part in arriving(request, limit, refusal)])
    return bytes(request.state.small_body)


async def arriving(request: Request, limit: int, refusal: TooLarge) -> AsyncGenerator[bytes, None]:
    """A body part by part. Raises `refusal` when there are more than `limit` bytes, before the first where its length says so."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise refusal
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise refusal
        yield part


def file_too_large() -> TooLarge:
    """For a file over the limit of every upload."""
    return TooLarge(f"The file is larger than {Limits().bytes // 2**20} MiB.", advice="Split it.")


def is_form(request: Request) -> bool:
    """Whether the body is a url-encoded form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


async def fields(request: Request) -> dict[str, str]:
    """The fields of a url-encoded form, each at most once. Raises BadRequest (`invalid_request`) or TooLarge."""
    if not is_form(request):
        raise BadRequest(f"The body must be {_FORM}.", code="invalid_request")
    try:
        pairs = parse_qsl((await body(request)).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:
        raise BadRequest("The form cannot be read.", code="invalid_request") from None
    named = dict(pairs)
    if len(named) != len(pairs):
        raise BadRequest("A field is there more than once.", code="invalid_request")
    return named
