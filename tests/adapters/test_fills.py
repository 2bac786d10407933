"""What the page says a source fills is what comes out of it."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from adapters import kinehub_json, table
from adapters.base import Adapter, Context, Decoded, adapters
from adapters.fills import filling, sources_of
from mappings import sources
from schemas.standard import STANDARD

CODED = [one for one in adapters() if one.id != table.id]


@pytest.mark.parametrize("adapter", CODED, ids=lambda adapter: adapter.id)
def test_nothing_comes_out_of_a_sample_that_is_not_said_to(adapter: Adapter) -> None:
    (source,) = (source for source in filling() if source.id == adapter.id)
    assert set(source.fields) == adapter.emits
    for row in adapter.decode(io.BytesIO(adapter.sample), Context(received_at=datetime(2026, 6, 1, tzinfo=UTC), zone="Asia/Shanghai")):
        if isinstance(row, Decoded):
            kind = str(row.record.__struct_config__.tag)
            assert {name for name in row.record.__struct_fields__ if getattr(row.record, name)} <= source.fields[kind]


def test_what_is_said_is_not_everything() -> None:
    assert [source.id for source in sources_of("session", "pool_length_m")] == ["fhir-r4", "fit", kinehub_json.id, "template"]
    assert "tcx" not in {source.id for source in sources_of("session", "venue")}
    assert {source.id for source in sources_of("check-in", "method")} == {"fhir-r4", kinehub_json.id, "template", "check_ins"}


def test_every_layout_is_a_source_and_fills_fields_of_its_kind() -> None:
    known = {source.id: source for source in filling()}
    for layout in sources.layouts():
        assert {"start"} <= known[layout.id].fields[layout.kind] <= set(STANDARD[layout.kind].fields)
