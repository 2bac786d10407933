"""What every adapter promises by being in the folder, checked for each one that is found."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.base import Adapter, AdapterError, Context, Decoded, Rejected, adapters, detect
from schemas import records
from schemas.flags import FLAGS

CONTEXT = Context(received_at=datetime(2026, 6, 1, tzinfo=UTC), zone="Asia/Shanghai")
EACH = pytest.mark.parametrize("adapter", adapters(), ids=lambda adapter: adapter.id)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

LEAF = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=15)


def read(adapter: Adapter, content: bytes) -> list[Decoded | Rejected]:
    return list(adapter.decode(io.BytesIO(content), CONTEXT))


def holds_its_promise(adapter: Adapter, content: bytes) -> bool:
    """AdapterError, or rows that validate; any other exception fails the test."""
    try:
        for row in read(adapter, content):
            if isinstance(row, Decoded):
                validates(adapter, row)
    except AdapterError as refusal:
        return bool(refusal.message) and 400 <= refusal.status < 500
    return True


def validates(adapter: Adapter, row: Decoded) -> None:
    written = records.encode(row.record)
    assert records.encode(records.decode(written)) == written
    assert row.record.__struct_config__.tag in adapter.emits
    for flag in row.record.flags:
        assert flag.code in FLAGS
    for series in row.series:
        assert msgspec.convert(msgspec.to_builtins(series), records.Series) == series
        assert (series.interval_s is None) == (series.offsets_s is not None)
        assert series.offsets_s is None or len(series.offsets_s) == len(series.values)


def damaged(content: bytes, seed: int) -> Iterator[bytes]:
    """The sample with bytes turned over, cut out and doubled, the same for each run."""
    chance = random.Random(seed)
    for _ in range(60):
        copy = bytearray(content)
        for _ in range(chance.choice((1, 2, 8))):
            copy[chance.randrange(len(copy))] = chance.choice((0, 255, chance.randrange(256)))
        at = chance.randrange(len(copy))
        yield bytes(copy)
        yield bytes(copy[:at] + copy[at + chance.randrange(1, 40) :])
        yield bytes(copy[:at] + copy)


def test_there_are_adapters_and_their_names_differ() -> None:
    names = [adapter.id for adapter in adapters()]
    assert {"fit", "tcx", "gpx"} <= set(names)
    assert len(set(names)) == len(names)


@EACH
def test_adapter_describes_itself(adapter: Adapter) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,40}", adapter.id)
    assert all(adapter.title)
    assert adapter.version
    assert all(re.fullmatch(r"\.[a-z0-9]+", ending) for ending in adapter.extensions)
    assert adapter.emits
    assert adapter.emits <= records.KINDS.keys()


@EACH
def test_sample_decodes_to_what_the_adapter_emits(adapter: Adapter) -> None:
    rows = [row for row in read(adapter, adapter.sample) if isinstance(row, Decoded)]
    assert rows
    for row in rows:
        validates(adapter, row)
        assert row.record.start.at is not None or row.record.start.local is not None


@EACH
def test_sample_is_recognised_as_its_own_format(adapter: Adapter) -> None:
    assert detect(adapter.sample[:4096], f"upload{next(iter(adapter.extensions), '')}") is adapter


@EACH
def test_decoding_twice_gives_the_same(adapter: Adapter) -> None:
    assert read(adapter, adapter.sample) == read(adapter, adapter.sample)


@EACH
def test_empty_file_is_refused(adapter: Adapter) -> None:
    with pytest.raises(AdapterError):
        read(adapter, b"")


@EACH
def test_file_cut_anywhere_is_refused_or_gives_valid_rows(adapter: Adapter) -> None:
    step = max(1, len(adapter.sample) // 150)
    assert all(holds_its_promise(adapter, adapter.sample[:end]) for end in range(0, len(adapter.sample), step))


@EACH
def test_damaged_sample_is_refused_or_gives_valid_rows(adapter: Adapter) -> None:
    assert all(holds_its_promise(adapter, content) for content in damaged(adapter.sample, 1))


@EACH
@QUICK
@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused_or_give_valid_rows(adapter: Adapter, content: bytes) -> None:
    assert holds_its_promise(adapter, content)
    assert holds_its_promise(adapter, adapter.sample[:20] + content)


@EACH
@QUICK
@given(tree=JSON)
def test_any_json_is_refused_or_gives_valid_rows(adapter: Adapter, tree: object) -> None:
    assert holds_its_promise(adapter, json.dumps(tree).encode())


@EACH
def test_foreign_samples_are_refused_or_give_valid_rows(adapter: Adapter) -> None:
    assert all(holds_its_promise(adapter, other.sample) for other in adapters())
