"""Forms with a file in them, read into memory: nothing of an upload touches a disk."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from adapters.base import Limits
from hub.access.requests import arriving
from hub.intake.preview import File
from schemas.errors import BadRequest, TooLarge

FIELDS = 64 * 1024
"""Bytes of a form beside its file."""


class _InMemory(MultiPartParser):
    """A form whose file never spools to a disk, where it would lie in clear."""

    spool_max_size = Limits().bytes + 1


async def with_file(request: Request, limit: int, refusal: TooLarge) -> tuple[dict[str, str], File | None]:
    """The fields and the file of a multipart form of `limit` bytes. Raises BadRequest or `refusal`."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise BadRequest("A file is sent as multipart/form-data.", field="file")
    try:
        form = await _InMemory(request.headers, arriving(request, limit + FIELDS, refusal), max_files=1, max_fields=4).parse()
    except MultiPartException:
        raise BadRequest("The form cannot be read.", field="file") from None
    try:
        return await _read(form)
    finally:
        await form.close()


async def _read(form: FormData) -> tuple[dict[str, str], File | None]:
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    upload = form.get("file")
    if not isinstance(upload, UploadFile):
        return fields, None
    name = "".join(letter for letter in (upload.filename or "") if letter.isprintable())[-120:]
    return fields, File(name, await upload.read())
