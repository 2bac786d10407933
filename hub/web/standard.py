"""/standard: the unified data standard for people and for programs. Public: it says nothing of anyone."""

from __future__ import annotations

import asyncio

import orjson
from fastapi import APIRouter, Request, Response

from adapters.kinehub_schema import schema, schemas
from hub.web.locales import LANGUAGE, pick
from hub.web.pages import Page, download
from mappings.sources import KINDS_TAKEN
from mappings.template_files import as_csv, as_workbook
from schemas import published
from schemas.errors import NotFound
from schemas.records import STANDARD_VERSION
from schemas.standard import STANDARD

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


_MEDIA = {"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "csv": "text/csv; charset=utf-8"}


@router.get("/templates/{kind}.{ending}")
async def template(request: Request, kind: str, ending: str, version: str = STANDARD_VERSION) -> Response:
    """The table to fill in for records of a kind, in the language of the request. Raises NotFound."""
    if kind not in KINDS_TAKEN or ending not in _MEDIA:
        raise NotFound("There is no such template.", advice=f"Known: {', '.join(KINDS_TAKEN)}, as xlsx or csv.")
    write = as_csv if ending == "csv" else as_workbook
    language = LANGUAGE.get()
    content = await asyncio.to_thread(write, kind, version, language)
    return download(content, f"{pick((STANDARD[kind].zh, STANDARD[kind].en))} {version}.{ending}", _MEDIA[ending])
