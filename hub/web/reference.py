"""GET /docs: the HTTP interface as a plain page, from the OpenAPI description. Works with the network off and without JavaScript."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Every documented path with its methods and what they do."""
    described: dict[str, Any] = request.app.openapi()
    rows = [
        (method.upper(), path, operation.get("description") or operation.get("summary", ""))
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    ]
    answer: Response = request.app.state.pages.render(request, "docs.html", rows=rows, version=described["info"]["version"])
    return answer
