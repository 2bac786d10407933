"""`kinehub doctor`: what was checked, what is wrong and how to mend it."""

from __future__ import annotations

import shutil
from typing import Any

from hub import service
from hub.audit.verify import verify
from hub.settings import Settings
from hub.store import assessments, erasure, parties, relabel, tombstones
from hub.store.keyring import Keyring
from hub.store.migrate import NEWEST
from schemas.errors import KineHubError, Unavailable


async def examine(settings: Settings, dsn: str) -> list[dict[str, Any]]:
    """Findings: check, ok, text."""
    findings = [_keyring(settings), _disk(settings)]
    try:
        async with service.opened(settings, dsn) as hub, hub.database.connection() as connection:
            findings.append(_keys(hub.keyring))
            holds = sum(hold["stands"] for hold in await erasure.holds(hub))
            findings.append(_finding("erasure", True, f"{len(tombstones.listed(hub.keyring))} erased, their ledger intact; {holds} legal holds stand"))
            findings.append(_finding("database", True, f"PostgreSQL {await connection.fetchval('SHOW server_version')}"))
            revision = await connection.fetchval("SELECT version_num FROM alembic_version")
            findings.append(_finding("schema", revision == NEWEST, f"revision {revision}" if revision == NEWEST else "run kinehub migrate"))
            commit = await connection.fetchval("SELECT current_setting('fsync') || ' ' || current_setting('synchronous_commit')")
            findings.append(
                _finding(
                    "durability",
                    commit == "on on",
                    "fsync and synchronous_commit are on" if commit == "on on" else "switch fsync and synchronous_commit on",
                )
            )
            trail = await verify(connection, hub.trail.heads)
            findings.append(_finding("audit", trail.intact, trail.problem or f"{trail.entries} entries, intact"))
            findings.append(_labels(await relabel.waiting(connection, hub.vault.rules.version), hub.vault.rules.version))
            findings.append(_contacts(await parties.everyone(connection)))
            findings.append(_assessments(await assessments.due(connection)))
            dead = await connection.fetchval("SELECT count(*) FROM outbox WHERE status = 'dead'")
            findings.append(_finding("delivery", dead == 0, "no dead letters" if not dead else f"{dead} dead letters; see kinehub delivery list"))
    except KineHubError as error:
        findings.append(_finding("database", False, f"{error.message} {error.advice}".strip()))
    return findings


def _contacts(known: list[parties.Party]) -> dict[str, Any]:
    """Who receives must say how it is reached (PIPL, article 17)."""
    without = [party.name for party in known if party.agreed_purposes and not party.contact]
    missing = f"{len(without)} receivers without a contact, which residents are told: kinehub party contact"
    return _finding("contacts", True, missing if without else "every receiver can be reached by residents")


def _assessments(due: list[assessments.Due]) -> dict[str, Any]:
    """Records that go abroad without an assessment are a fault; the others are told (PIPL, article 55)."""
    abroad = [one.about for one in due if one.abroad]
    missing = f"{len(due)} impact assessments are due{f', {len(abroad)} of receivers abroad' if abroad else ''}: kinehub assessment list"
    return _finding("assessments", not abroad, missing if due else "every impact assessment that is due is on record")


def _labels(waiting: relabel.Waiting, rules: int) -> dict[str, Any]:
    if not waiting.older:
        return _finding("labels", True, f"every stored version is labelled by rules {rules}")
    return _finding(
        "labels", False,
        f"{waiting.older} stored versions wait for label rules {rules}, {waiting.never} of them never labelled and shown to their resident alone: "
        "the delivery worker sees to it after a start, and so does kinehub records relabel",
    )  # fmt: skip


def _keys(ring: Keyring) -> dict[str, Any]:
    try:
        ring.check()
    except Unavailable as error:
        return _finding("keys", False, f"{error.message} {error.advice}".strip())
    if ring.move:
        return _finding("keys", False, "a move to another back end is not finished, and the old one still holds keys: run the kinehub keys move of before")
    return _finding("keys", True, f"in the back end {ring.backend}; key-encryption keys {', '.join(ring.keks())}, {len(ring.erasure_keys())} erasure keys")


def _keyring(settings: Settings) -> dict[str, Any]:
    mode = settings.keyring.stat().st_mode & 0o777
    return _finding("keyring", mode == 0o600, "0600" if mode == 0o600 else f"{settings.keyring} is {mode:o}: run chmod 600 on it")


def _disk(settings: Settings) -> dict[str, Any]:
    free = shutil.disk_usage(settings.data_dir).free / 2**30
    return _finding("disk", free > 2, f"{free:.1f} GiB free" if free > 2 else f"only {free:.1f} GiB free: make room")


def _finding(check: str, ok: bool, text: str) -> dict[str, Any]:
    return {"check": check, "ok": ok, "text": text}
