"""/standard: the unified data standard for people and for programs. Public: it says nothing of anyone."""

from __future__ import annotations

import orjson
from fastapi import APIRouter, Request, Response

from adapters.kinehub_schema import schema, schemas
from hub.web.pages import Page
from schemas import published
from schemas.errors import NotFound

router = APIRouter(prefix="/standard", route_class=Page)
documents = APIRouter(include_in_schema=False)

_PUBLIC = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}


@documents.get("/standard.json")
async def whole(request: Request) -> Response:
    """The whole standard as one document."""
    return Response(published.written(published.current()), 200, _PUBLIC, "application/json")


@documents.get("/standard/releases/{version}.json")
async def release(request: Request, version: str) -> Response:
    """A version of the standard as one document. Raises NotFound."""
    return Response(published.written(published.release(version)), 200, _PUBLIC, "application/json")


@documents.get("/standard/schema/{name}.json")
async def json_schema(request: Request, name: str) -> Response:
    """The JSON Schema of a kind of record, or of a `file`. Raises NotFound."""
    if name not in schemas():
        raise NotFound("There is no such schema.", advice=f"Known: {', '.join(schemas())}.")
    return Response(orjson.dumps(schema(name), option=orjson.OPT_INDENT_2), 200, _PUBLIC, "application/schema+json")
