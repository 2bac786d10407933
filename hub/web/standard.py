"""/standard: the unified data standard for people and for programs. Public: it says nothing of anyone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from adapters.kinehub_schema import schema, schemas
from hub.web import described
from hub.web.locales import LANGUAGE, pick, say
from hub.web.pages import Page, download, pages_of
from mappings.sources import KINDS_TAKEN
from mappings.template_files import as_csv, as_workbook
from schemas import published
from schemas.errors import NotFound
from schemas.measures import MEASURES
from schemas.records import STANDARD_VERSION
from schemas.standard import STANDARD

router = APIRouter(prefix="/standard", route_class=Page)
documents = APIRouter(include_in_schema=False)

PACKAGE = Path(__file__).parents[2] / "build" / "guide" / "package.tgz"
"""Where `make guide` puts the FHIR package; there is none in an installed hub."""
_PUBLIC = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff"}


@router.get("")
async def index(request: Request, q: Annotated[str, Query(max_length=80)] = "") -> Response:
    """What the standard holds, and what of it is asked for."""
    found = described.search(q)
    return pages_of(request).render(
        request, "standard.html", q=q.strip(), found=described.grouped(found), count=len(found), kinds=STANDARD.values(), systems=described.systems(),
        measures=len(MEASURES), unsure=described.unsure(), version=STANDARD_VERSION, draft=published.is_draft(), versions=published.versions(),
        schemas=list(schemas()), title=described.title, unsure_codes=described.unsure_codes, package=PACKAGE.is_file(),
    )  # fmt: skip


@router.get("/measures")
async def measures(request: Request) -> Response:
    """Every measure with its codes, unit and ranges."""
    return pages_of(request).render(request, "standard_measures.html", measures=list(map(described.of_measure, MEASURES.values())), unsure=described.unsure())


@router.get("/codes/{name}")
async def codes(request: Request, name: str) -> Response:
    """One list of codes. Raises NotFound."""
    if name not in described.systems():
        raise NotFound("There is no such list of codes.")
    return pages_of(request).render(request, "standard_codes.html", system=described.systems()[name], described=described)


@router.get("/kinds/{kind}")
async def kind_page(request: Request, kind: str) -> Response:
    """One kind of record, field by field. Raises NotFound."""
    if kind not in STANDARD:
        raise NotFound("There is no such kind of record.")
    found = STANDARD[kind]
    key = say("、").join(pick((found.fields[name].zh, found.fields[name].en)) for name in found.key)
    groups = [list(described.rows(kind, common=common)) for common in (False, True)]
    return pages_of(request).render(request, "standard_kind.html", kind=found, groups=groups, key=key)


@documents.get("/standard.json")
async def whole(request: Request) -> Response:
    """The whole standard as one document."""
    return Response(published.written(published.current()), 200, _PUBLIC, "application/json")


@documents.get("/standard/releases/{version}.json")
async def release(request: Request, version: str) -> Response:
    """A version of the standard as one document. Raises NotFound."""
    return Response(published.written(published.release(version)), 200, _PUBLIC, "application/json")


@documents.get("/standard/package.tgz")
async def package(request: Request) -> Response:
    """The FHIR package, where it was built. Raises NotFound."""
    if not PACKAGE.is_file():
        raise NotFound("The FHIR package was not built here.", advice="Build it with make guide.")
    return Response(await asyncio.to_thread(PACKAGE.read_bytes), 200, _PUBLIC, "application/gzip")


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
