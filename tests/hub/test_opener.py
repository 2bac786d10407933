"""Only the vault opens what is sealed for a resident: every module of every room is read, and named where it goes around it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("hub", "adapters", "mappings", "consent", "schemas")
VAULT = "hub/store/vault.py"
IMPORTS = {
    "hub.store.seal.unpack": {VAULT},
    "hub.store.seal.Sealer": {VAULT, "hub/store/keyring.py"},  # keys are wrapped by it, and the hub's own values sealed
    "hub.store.body.Body": {VAULT},
    "hub.store.vault.superseded": {"hub/store/writer.py"},  # the version that a new one replaces
    "hub.store.vault.open_waiting": {"hub/intake/pending.py", "hub/intake/preview.py", "hub/intake/receipts.py"},  # no resident yet
}
ATTRIBUTES = {
    "sealer": {VAULT},
    "sealers": {VAULT},
    "data_key": {VAULT},
    "unwrap": {  # a rotation wraps a key again, a move tries that each opens; the keyring asks its back end
        VAULT, "hub/store/rotation.py", "hub/store/moving.py", "hub/store/keyring.py",
    },
    "hub_sealer": {  # names of accounts, of the invited and of passkeys, cursors, contacts, reports about sources, reasons of holds, assessments
        "hub/store/erasure.py", "hub/store/assessments.py",
        "hub/access/accounts.py", "hub/access/passkeys.py", "hub/access/staff.py",
        "hub/exchange/reading.py", "hub/quality/reports.py", "hub/store/directory.py",
    },
    "open_figures": {"hub/quality/runs.py"},  # figures without names, for the quality worker
}


def faults(path: str, source: str) -> Iterator[str]:
    """What a module does that is the vault's alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from _imported(path, node)
        elif isinstance(node, ast.Import):
            yield from (f"{path} imports {name.name} whole" for name in node.names if name.name in ("hub.store.seal", "hub.store.body", "hub.store.vault"))
        elif isinstance(node, ast.Attribute):
            if path not in ATTRIBUTES.get(node.attr, {path}):
                yield f"{path} reaches for .{node.attr}"
            if node.attr.startswith("_") and not node.attr.startswith("__") and ast.unparse(node.value).endswith("vault"):
                yield f"{path} reaches for the vault's {node.attr}"


def _imported(path: str, node: ast.ImportFrom) -> Iterator[str]:
    for name in node.names:
        whole = f"{node.module}.{name.name}"
        if path not in IMPORTS.get(whole, {path}) or whole in ("hub.store.seal", "hub.store.body", "hub.store.vault"):
            yield f"{path} imports {whole}"
        if name.name.startswith("_") and (node.module or "").partition(".")[0] in ROOMS:
            yield f"{path} imports the private {whole}"


def test_nothing_but_the_vault_opens_what_is_a_residents() -> None:
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(modules) > 100
    assert [fault for path in modules for fault in faults(str(path.relative_to(ROOT)), path.read_text())] == []


@pytest.mark.parametrize("exempt", sorted({path for paths in (*IMPORTS.values(), *ATTRIBUTES.values()) for path in paths}))
def test_no_exception_outlives_its_reason(exempt: str) -> None:
    found = list(faults("elsewhere.py", (ROOT / exempt).read_text()))
    for rule, paths in IMPORTS.items():
        assert exempt not in paths or f"elsewhere.py imports {rule}" in found, rule
    for rule, paths in ATTRIBUTES.items():
        assert exempt not in paths or f"elsewhere.py reaches for .{rule}" in found, rule


@pytest.mark.parametrize(
    "source",
    [
        "from hub.store.seal import unpack",
        "from hub.store.seal import unpack as u",
        "from hub.store import seal",
        "import hub.store.vault",
        "from hub.store.vault import _open",
        "from hub.store.vault import superseded",
        "plain = hub.vault.subject(identity, row).sealer('records').open(row['body'])",
        "standing = hub.vault._standing(connection, resident)",
        "key = subject.data_key",
        "rows = await hub.vault.open_figures(connection, records, permit)",
    ],
)
def test_going_around_the_vault_is_found(source: str) -> None:
    assert list(faults("hub/web/somewhere.py", source))
