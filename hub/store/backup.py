"""Backups with PostgreSQL's own tools. The wrapped keys are left out of FILE and go to FILE.keys, to be kept apart and briefly.

A restore takes the live key table where it still stands, else FILE.keys. After an erasure both open everybody but the erased; after two
rotations FILE.keys opens nobody, and is written afresh with `backup --keys-only`.

A restore takes nothing from the audit: entries written since the backup (the erasure's own among them) stay beside the backup's.
Nor does it take back what residents decided since: their consents stay as they stand, a withdrawal above all, and nobody stays signed in.
Who died since stays dead, and who ceased to act for a resident does not act again. Accounts sign in as they do now: what was ended, and a passkey that was
removed or a password that was changed, does not come back.
Only rows are restored, so the revision stays that of the tables they come into, whichever the backup was made at.
All of it is one transaction: a restore that fails has changed nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Any

from hub.store.postgres import binaries, environment
from schemas.errors import Conflict, Unavailable

_KEYS = "public.data_keys"
_TREE = ("public.audit_segments", "public.audit_nodes")
"""The audit's tree: made again from the heads beside the database, which a backup must not take back."""

_KEEP_AUDIT = """LOCK TABLE public.audit, public.audit_chains IN ACCESS EXCLUSIVE MODE;
CREATE SCHEMA IF NOT EXISTS kept;
CREATE TABLE IF NOT EXISTS kept.audit (LIKE public.audit INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.audit_chains (LIKE public.audit_chains INCLUDING INDEXES);
ALTER TABLE kept.audit_chains ADD COLUMN IF NOT EXISTS secret bytea;
INSERT INTO kept.audit SELECT * FROM public.audit ON CONFLICT DO NOTHING;
INSERT INTO kept.audit_chains SELECT * FROM public.audit_chains ON CONFLICT DO NOTHING;"""

_CONSENT = 21

_KEEP_CONSENTS = f"""CREATE TABLE IF NOT EXISTS kept.residents (LIKE public.residents INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.records (LIKE public.records INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.record_history (LIKE public.record_history INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.holds (LIKE public.holds INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.wishes (LIKE public.wishes INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.deaths (LIKE public.deaths INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.representatives (LIKE public.representatives INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.accounts (LIKE public.accounts INCLUDING INDEXES);
CREATE TABLE IF NOT EXISTS kept.passkeys (LIKE public.passkeys INCLUDING INDEXES);
ALTER TABLE kept.residents ADD COLUMN IF NOT EXISTS deceased boolean NOT NULL DEFAULT false;
DELETE FROM kept.residents k USING public.residents p WHERE p.bucket = k.bucket AND p.id = k.id;
DELETE FROM kept.records k USING public.records p WHERE p.bucket = k.bucket AND p.id = k.id;
INSERT INTO kept.residents SELECT * FROM public.residents;
INSERT INTO kept.holds SELECT * FROM public.holds ON CONFLICT DO NOTHING;
INSERT INTO kept.wishes SELECT * FROM public.wishes ON CONFLICT DO NOTHING;
INSERT INTO kept.deaths SELECT * FROM public.deaths ON CONFLICT DO NOTHING;
INSERT INTO kept.representatives SELECT * FROM public.representatives ON CONFLICT DO NOTHING;
INSERT INTO kept.accounts SELECT * FROM public.accounts ON CONFLICT DO NOTHING;
INSERT INTO kept.passkeys SELECT * FROM public.passkeys ON CONFLICT DO NOTHING;
INSERT INTO kept.records SELECT * FROM public.records WHERE kind = {_CONSENT};
INSERT INTO kept.record_history SELECT * FROM public.record_history WHERE kind = {_CONSENT} ON CONFLICT DO NOTHING;"""  # noqa: S608 - constant
"""Into tables of their own, which a restore of an earlier release that failed half-way may have left here: they are added to."""

_PUT_AUDIT_BACK = """INSERT INTO public.audit SELECT * FROM kept.audit ON CONFLICT DO NOTHING;
INSERT INTO public.audit_chains OVERRIDING SYSTEM VALUE SELECT * FROM kept.audit_chains ON CONFLICT DO NOTHING;
SELECT setval(pg_get_serial_sequence('public.audit_chains', 'chain'), (SELECT max(chain) FROM public.audit_chains));
DROP SCHEMA kept CASCADE;"""

_PUT_CONSENTS_BACK = """DELETE FROM public.records r USING kept.records k WHERE r.bucket = k.bucket AND r.id = k.id;
INSERT INTO public.records SELECT k.* FROM kept.records k JOIN public.residents r ON r.bucket = k.bucket AND r.id = k.resident;
INSERT INTO public.record_history SELECT k.* FROM kept.record_history k JOIN public.residents r ON r.bucket = k.bucket AND r.id = k.resident
ON CONFLICT DO NOTHING;
UPDATE public.residents r SET epoch = greatest(r.epoch, (SELECT k.epoch FROM kept.residents k WHERE k.bucket = r.bucket AND k.id = r.id)) + 1;
DELETE FROM public.holds h USING kept.residents k WHERE k.bucket = h.bucket AND k.id = h.resident;
INSERT INTO public.holds SELECT * FROM kept.holds ON CONFLICT DO NOTHING;
DELETE FROM public.wishes w USING kept.residents k WHERE k.bucket = w.bucket AND k.id = w.resident;
INSERT INTO public.wishes SELECT * FROM kept.wishes ON CONFLICT DO NOTHING;
DELETE FROM public.deaths d USING kept.residents k WHERE k.bucket = d.bucket AND k.id = d.resident;
INSERT INTO public.deaths SELECT * FROM kept.deaths ON CONFLICT DO NOTHING;
UPDATE public.residents r SET deceased = k.deceased FROM kept.residents k WHERE k.bucket = r.bucket AND k.id = r.id;
UPDATE public.accounts a SET ended = k.ended, password = k.password, lead = k.lead FROM kept.accounts k WHERE k.id = a.id;
DELETE FROM public.passkeys p USING kept.accounts k WHERE k.id = p.account;
INSERT INTO public.passkeys SELECT p.* FROM kept.passkeys p JOIN public.accounts a ON a.id = p.account ON CONFLICT DO NOTHING;
UPDATE public.accounts a SET ended = now() FROM public.residents r WHERE r.id = a.resident AND r.deceased AND a.ended IS NULL;
UPDATE public.representatives p SET ended = k.ended, ends = k.ends, rights = k.rights FROM kept.representatives k WHERE k.bucket = p.bucket AND k.id = p.id;
DELETE FROM public.invitations;
UPDATE public.emergencies SET ended = now() WHERE ended IS NULL AND expires > now();
DELETE FROM public.sessions;"""
"""Epochs go on from where they were: what a running hub decided before the restore must never look current."""


def backup(dsn: str, file: Path) -> dict[str, Any]:
    """Write FILE (everything but data keys) and FILE.keys, both 0600. Raises Unavailable with what the tool said."""
    left_out = [f"--exclude-table-data={table}" for table in (_KEYS, *_TREE)]
    _run(dsn, ["pg_dump", "--format=custom", "--schema=public", *left_out, f"--file={file}"])
    file.chmod(0o600)
    return {"file": str(file), "keys": str(backup_keys(dsn, file)["keys"]), "bytes": file.stat().st_size}


def backup_keys(dsn: str, file: Path) -> dict[str, Any]:
    """Write FILE.keys (0600) afresh beside a FILE that stays as it is; the old one is replaced when the new one is whole."""
    keys = file.with_name(file.name + ".keys")
    draft = keys.with_name(keys.name + ".new")
    _run(dsn, ["pg_dump", "--format=custom", "--data-only", f"--table={_KEYS}", f"--file={draft}"])
    draft.chmod(0o600)
    draft.replace(keys)
    return {"file": str(file), "keys": str(keys)}


def restore(dsn: str, file: Path) -> dict[str, Any]:
    """Restore FILE over the hub's tables, keeping the live key table where it holds keys, else taking FILE.keys."""
    keys = file.with_name(file.name + ".keys")
    live = int(_query(dsn, f"SELECT count(*) FROM {_KEYS}"))  # noqa: S608 - constant name
    if not live and not keys.exists():
        raise Conflict(f"There are no data keys: {keys} is missing.", advice="Put it beside the backup.")
    for archive in (file,) if live else (file, keys):
        _read_through(dsn, archive)
    tables = _query(
        dsn,
        "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables "
        "WHERE schemaname = 'public' AND tablename NOT IN ('data_keys', 'alembic_version', 'audit_segments', 'audit_nodes')",
    )
    with _transaction(dsn) as sql:
        sql.write(f"{_KEEP_AUDIT} {_KEEP_CONSENTS} TRUNCATE {tables};\n".encode())
        for archive in (file,) if live else (file, keys):
            _write_rows(dsn, archive, sql)
        sql.write((_PUT_CONSENTS_BACK + _PUT_AUDIT_BACK).encode())
    return {"restored": str(file), "keys": "kept" if live else str(keys)}


def _read_through(dsn: str, archive: Path) -> None:
    """Read an archive to its end before anything gives way to it. Raises Unavailable for one that is cut short, or is none."""
    _run(dsn, ["pg_restore", "--file=/dev/null", str(archive)])


_LEFT_OUT = re.compile(r" alembic_version | kept | public (sessions|forms) ")
"""In a list of contents: the revision, what an earlier release kept, and sign-ins with what they sent, which no restore brings back."""


def _write_rows(dsn: str, archive: Path, sql: IO[bytes]) -> None:
    """The rows of an archive as SQL, but for those that are not restored. Raises Unavailable."""
    contents = _run(dsn, ["pg_restore", "--list", str(archive)])
    with NamedTemporaryFile("w", suffix=".list") as chosen:
        chosen.writelines(line for line in contents.splitlines(keepends=True) if not _LEFT_OUT.search(line))
        chosen.flush()
        line = [str(binaries() / "pg_restore"), "--data-only", "--disable-triggers", f"--use-list={chosen.name}", "--file=-", str(archive)]
        with subprocess.Popen(line, env=os.environ | environment(dsn), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reading:  # noqa: S603 - as above
            assert reading.stdout is not None
            sql.writelines(_for_any_server(reading.stdout))
    if reading.returncode:
        raise Unavailable("pg_restore could not read the backup to its end.")


def _for_any_server(lines: IO[bytes]) -> Iterator[bytes]:
    """Without the one setting that pg_restore writes at the head and servers before 17 do not know."""
    for line in lines:
        if line != b"SET transaction_timeout = 0;\n":
            yield line
        if line.startswith(b"COPY "):
            yield from lines


@contextmanager
def _transaction(dsn: str) -> Iterator[IO[bytes]]:
    """What psql reads: committed when the block ends well, undone in every other case. Raises Unavailable with what psql said, but no row."""
    with TemporaryFile() as said:
        line = [str(binaries() / "psql"), "-Xqf", "-", "-v", "ON_ERROR_STOP=1"]
        psql = subprocess.Popen(line, env=os.environ | environment(dsn), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603 - as above
        assert psql.stdin is not None
        try:
            with suppress(BrokenPipeError):  # psql gave up, and says why
                psql.stdin.write(b"BEGIN;\n")
                yield psql.stdin
                psql.stdin.write(b"\nCOMMIT;\n")
        finally:
            with suppress(BrokenPipeError):
                psql.stdin.close()
            psql.wait()
        said.seek(0)
        errors = re.findall(r"(?:ERROR|FATAL): +(.+)", said.read().decode(errors="replace"))
    if psql.returncode:
        raise Unavailable(f"The restore failed: {errors[0] if errors else psql.returncode}.", advice="Nothing was changed.")


def _run(dsn: str, command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own tools
        [binaries() / command[0], *command[1:]], env=os.environ | environment(dsn), capture_output=True, text=True, check=False,
        umask=0o077,  # a backup is nobody else's to read while it is written, either
    )  # fmt: skip
    if done.returncode:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else done.returncode}")
    return done.stdout


def _query(dsn: str, statement: str) -> str:
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own tools
        [binaries() / "psql", "-XAtqc", statement], env=os.environ | environment(dsn), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"psql failed: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}")
    return done.stdout.strip()
