"""Every door is in the matrix, or is said to hold nothing of anybody; doors that are said to be shut are."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from hub.app import application
from hub.exchange.reading import KINDS_OF_TYPE
from hub.exchange.routes import OPERATIONS, TYPES
from hub.settings import load
from tests.leaks.doors import BESIDE, DOORS, OF_NOBODY
from tests.leaks.exits import EXITS, SHUT


def app(folder: Path) -> FastAPI:
    return application(load(folder), "postgresql://nowhere/")


def doors(folder: Path) -> set[str]:
    """Method and path of every route; the plain ones of `hot_routes` are described again by the routers."""
    found = set()
    for route in iter_route_contexts(app(folder).routes):
        path, methods = str(getattr(route, "path", "")), getattr(route, "methods", None) or {"GET"}
        found |= {f"{method} {path}" for method in methods if method not in ("HEAD", "OPTIONS") and ":" not in path}
    return found


def test_every_door_is_in_the_matrix(tmp_path: Path) -> None:
    known = doors(tmp_path)
    assert len(known) > 70
    unlisted = {door for door in known - DOORS.keys() if not any(door.partition(" ")[2].startswith(start) for start in BESIDE)}
    assert not unlisted
    assert not DOORS.keys() - known, "doors of the matrix that are no more"


def test_every_column_that_a_door_names_exists_and_every_column_has_a_door() -> None:
    named = {column for columns in DOORS.values() for column in columns.split() if column in EXITS}
    assert named | set(SHUT) | {"city", "receipts", "notices"} == set(EXITS)


def test_every_type_is_guarded_by_consent_or_says_why_not() -> None:
    assert OF_NOBODY.keys() == TYPES.keys() - KINDS_OF_TYPE.keys()


def test_doors_said_to_be_shut_are_shut(tmp_path: Path) -> None:
    paths = {door.partition(" ")[2] for door in doors(tmp_path)}
    assert not [path for path in paths if any(word in path.lower() for word in ("export", "subscription", "cds-services", "graphql", "summary", "document"))]
    assert not {"Subscription", "Composition", "DocumentReference"} & TYPES.keys()


def test_every_operation_has_a_column() -> None:
    """An operation that answers of a resident is a column; the others are about what is published or sent along."""
    assert {name for operations in OPERATIONS.values() for name in operations} - {"validate", "lookup", "validate-code", "subsumes", "expand", "translate"} == {
        "everything", "sampled", "explain",
    }  # fmt: skip
