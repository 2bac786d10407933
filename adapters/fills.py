"""Which source fills which field of which kind of record, worked out from the sources themselves: nothing here is kept by hand.

A table's layout says it in its columns, an adapter in its `fills`. Of one that has none it is read from its code, and that of the
modules it leans on: fields that it passes to a record, sets on one, or names as keys of its tables.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Final, NamedTuple, cast

from adapters import table
from adapters.base import Adapter, adapters
from mappings import sources, templates
from mappings.sources import Layout
from schemas.records import KINDS, STANDARD_VERSION
from schemas.standard import STANDARD

Fields = dict[str, frozenset[str]]
_SHARED: Final = frozenset({"adapters", "adapters.base", "adapters.elements", "adapters.xml"})
_STRUCTS: Final = {struct.__name__: kind for kind, struct in KINDS.items()}


class Source(NamedTuple):
    """A source: an adapter's id or a layout's, its names (zh-CN, en), and the fields it fills by kind of record."""

    id: str
    title: tuple[str, str]
    fields: Fields


@cache
def filling() -> tuple[Source, ...]:
    """Every source: the adapters, the standard's templates, and each layout of a centre's table."""
    coded = [Source(one.id, one.title, _by(one)) for one in adapters() if one.id != table.id]
    tables = (Source(layout.id, layout.title, {layout.kind: frozenset(_columns(layout))}) for layout in sources.layouts())
    own = {kind: frozenset(_columns(templates.layout(kind, STANDARD_VERSION))) for kind in sources.KINDS_TAKEN}
    return (*coded, Source("template", ("标准模板", "Standard template"), own), *tables)


def sources_of(kind: str, field: str) -> list[Source]:
    """The sources that fill a field."""
    return [source for source in filling() if field in source.fields.get(kind, ())]


def _columns(layout: Layout) -> Iterator[str]:
    fields = STANDARD[layout.kind].fields
    for column in layout.columns:
        if column.part == "record":
            yield "start" if column.field == "date" and "date" not in fields else column.field
        elif column.part == "measure":
            yield from ({"measure", "quantity", "components", "quantities", "items"} & set(fields))
    yield from layout.constants
    yield "flags"


def _by(adapter: Adapter) -> Fields:
    if said := getattr(adapter, "fills", None):
        return cast(Fields, said())
    passed: dict[str, set[str]] = {kind: set() for kind in adapter.emits}
    for node in _nodes(cast(ModuleType, adapter)):
        for kind, name in _named(node):
            for each in [kind] if kind else adapter.emits:
                passed.setdefault(each, set()).add(name)
    return {kind: frozenset(passed[kind] & STANDARD[kind].fields.keys()) for kind in adapter.emits}


def _nodes(module: ModuleType) -> Iterator[ast.AST]:
    seen: set[str] = set()
    waiting = [module.__name__]
    while waiting:
        name = waiting.pop()
        if name in seen or name in _SHARED:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(_code(sys.modules[name]))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("adapters"):
                waiting += [full for full in (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)) if full in sys.modules]
            yield node


def _code(module: ModuleType) -> str:
    """A module's code; nothing for one that came without."""
    try:
        return inspect.getsource(module)
    except OSError:
        return ""


def _named(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(kind, field) that a piece of code names; no kind where it does not say which record it is about."""
    if isinstance(node, ast.Call):
        kind = _STRUCTS.get(getattr(node.func, "id", ""), "")
        yield from ((kind, word.arg) for word in node.keywords if word.arg and (kind or getattr(node.func, "id", "") in ("dict", "replace")))
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        yield "", node.attr
    elif isinstance(node, ast.Dict):
        yield from (("", str(key.value)) for key in node.keys if isinstance(key, ast.Constant))
