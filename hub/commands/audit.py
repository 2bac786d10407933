"""`kinehub audit`: the trail of who did what, and that nothing was taken from it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import click
import msgspec
from joserfc.jwk import ECKey

from hub import service
from hub.audit import proof, tree
from hub.audit.heads import Head, Heads, opened, public_key
from hub.audit.trail import FOLDER, Affected, Entry, affected
from hub.audit.verify import Verdict, exported, verify, verify_file
from hub.commands.options import Options, database, echo, run
from hub.settings import Settings
from hub.store import grants, keyring, parties, postgres
from hub.store.seal import digest_name
from schemas.errors import BadRequest, NotFound

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _instant(_context: click.Context, _option: click.Parameter, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("not an RFC 3339 time, such as 2026-05-01T00:00:00+08:00.") from None
    if found.tzinfo is None:
        raise click.BadParameter("a time needs its offset, such as +08:00.")
    return found


@click.group()
def audit() -> None:
    """The trail of who did what, and that nothing was taken from it."""


@audit.command("verify")
@click.argument("file", required=False, type=_FILE)
@click.option("--public-key", "key", type=_FILE, help="The hub's public key (PEM, JWK or JWKS), instead of the keyring and audit-heads of this machine.")
@click.option("--head", type=_FILE, help="A head that was kept elsewhere, as `audit head` prints it.")
@click.pass_obj
def audit_verify(options: Options, file: Path | None, key: Path | None, head: Path | None) -> None:
    """Recompute every chain and the tree over them, and compare with what is held outside the database. FILE: an export, instead of a database."""
    if head and not key and file:
        raise click.UsageError("--head needs --public-key.")
    held = opened(_text(head), public_key(key.read_bytes())) if head and key else None

    async def work(connection: Any, settings: Settings) -> Verdict:
        signing, _ = _signing(settings)
        return await verify(connection, Heads(settings.data_dir / FOLDER, signing), opened(_text(head), signing) if head else None)

    if file:
        found = verify_file(file, held)
    elif key:
        with _bare(options) as dsn:
            found = asyncio.run(_connected(dsn, lambda connection: verify(connection, None, held)))
    else:
        found = _read(options, work)
    echo(
        options,
        msgspec.to_builtins(found) if found.problem else {"entries": found.entries, "intact": True},
        f"{found.entries} entries, intact" if found.intact else None,
    )
    if not found.intact:
        click.echo(f"kinehub: {found.problem}", err=True)
        sys.exit(1)


@audit.command("head")
@click.option("--public-key", is_flag=True, help="The key that it is checked with, as PEM, instead.")
@click.pass_obj
def audit_head(options: Options, public_key: bool) -> None:
    """The newest signed head, to be kept elsewhere: whoever has it can tell when anything before it is changed."""

    async def work(_: Any, settings: Settings) -> tuple[Head, str]:
        if not (newest := _heads(settings).newest()):
            raise NotFound("There is no signed head yet.", advice="The first is made a minute after the first entry.")
        return newest

    if public_key:
        click.echo(_read(options, _public))
        return
    head, text = _read(options, work)
    echo(options, msgspec.to_builtins(head) | {"head": text}, text)


@audit.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def audit_export(options: Options, file: Path) -> None:
    """Write every entry to FILE (details stay sealed), for `audit verify FILE --public-key KEY --head HEAD` on another machine."""

    with file.open("wb") as out:
        file.chmod(0o600)
        count = _read(options, lambda connection, _: exported(connection, out))
    echo(options, {"file": str(file), "entries": count})


@audit.command("prove")
@click.argument("entry", required=False)
@click.option("--since", type=_FILE, help="Prove that the log begins with all that this earlier head held.")
@click.pass_obj
def audit_prove(options: Options, entry: str | None, since: Path | None) -> None:
    """The proof that ENTRY (as `audit list` names it) is under the newest signed head, for `audit check-proof` or anybody with the public key."""
    if (entry is None) == (since is None):
        raise click.UsageError("Name an ENTRY, or a head with --since.")

    async def work(connection: Any, settings: Settings) -> Any:
        (signing, algorithm), heads = _signing(settings), _heads(settings)
        if since:
            return await proof.consistent(connection, heads, algorithm, _text(since), signing)
        return await proof.included(connection, heads, algorithm, *numbers(entry or ""))

    click.echo(msgspec.json.encode(_read(options, work)).decode())


@audit.command("check-proof")
@click.argument("file", type=_FILE)
@click.option("--public-key", "key", required=True, type=_FILE, help="The hub's public key: PEM, JWK or JWKS.")
@click.option("--head", type=_FILE, help="The head it must lead to; else any that was signed with the key.")
@click.pass_obj
def audit_check_proof(options: Options, file: Path, key: Path, head: Path | None) -> None:
    """Whether a proof holds. Needs no hub, only its public key."""
    trusted = public_key(key.read_bytes())
    found = proof.check(file.read_bytes(), trusted)
    if head and opened(_text(head), trusted) != found.head:
        raise BadRequest("The proof holds, but leads to another head.", code="audit")
    said = {"holds": True, "head": msgspec.to_builtins(found.head)} | ({"entry": found.entry} if found.entry else {})
    echo(options, said, f"The proof holds: under the head of {found.head.at:%Y-%m-%d %H:%M:%S} UTC over {found.head.size} entries.")


@audit.command("restart")
@click.option("--reason", required=True, help="What became of the old log; it is kept in the audit.")
@click.pass_obj
def audit_restart(options: Options, reason: str) -> None:
    """After a loss that `audit verify` names: put the old heads aside (keep them, they prove what is lost) and begin a new log over what there is."""

    async def aside(connection: Any, settings: Settings) -> Path | None:
        return await tree.restart(connection, _heads(settings))

    kept = _read(options, aside)
    run(options, lambda hub: hub.trail.note(Entry(actor="operator", action="restart-log", outcome=reason)))
    echo(options, {"kept": str(kept) if kept else None})


@audit.command("list")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.pass_obj
def audit_list(options: Options, resident_id: UUID) -> None:
    """Who saw what of a resident, when, for what purpose, under which consent."""
    echo(options, run(options, lambda hub: grants.looks(hub, resident_id)))


@audit.command("affected")
@click.option("--party", "party_id", required=True, type=click.UUID)
@click.option("--since", required=True, callback=_instant, help="RFC 3339 with an offset: 2026-05-01T00:00:00+08:00.")
@click.option("--until", required=True, callback=_instant, help="The end, itself outside.")
@click.option("--actor", help="One account or client of the party, as `audit list` names it.")
@click.pass_obj
def audit_affected(options: Options, party_id: UUID, since: datetime, until: datetime, actor: str | None) -> None:
    """After a breach at a party: every resident of whom it was shown or sent something within a time. The listing itself is in the audit."""
    if until <= since:
        raise click.UsageError("--until lies before --since.")

    async def work(hub: service.Hub) -> list[Affected]:
        async with hub.database.connection() as connection:
            party = await parties.by_id(connection, party_id)
            found = await affected(connection, party.number, since, until, actor)
        await hub.trail.note(Entry(actor="operator", action="list-affected", outcome="success", party=party.number))
        return found

    found = run(options, work)
    lines = [f"{one.resident}  {one.times:>4}  {one.first:%Y-%m-%d %H:%M} to {one.last:%Y-%m-%d %H:%M} UTC  {', '.join(one.purposes)}" for one in found]
    echo(options, [msgspec.to_builtins(one) for one in found], "\n".join([*lines, f"{len(found)} residents"]))


def numbers(entry: str) -> tuple[int, int]:
    """(chain, seq) of an entry's name `CHAIN-SEQ`. Raises BadRequest."""
    chain, _, seq = entry.partition("-")
    if not (chain.isascii() and chain.isdigit() and seq.isascii() and seq.isdigit() and len(chain) < 10 and len(seq) < 19):
        raise BadRequest("An entry is named CHAIN-SEQ, as in 3-17.", field="entry")
    return int(chain), int(seq)


def _text(file: Path) -> str:
    return file.read_text("utf-8", "replace")


def _signing(settings: Settings) -> tuple[ECKey, str]:
    """The hub's key pair and the name of its hash."""
    with closing(keyring.of(settings)) as ring:
        return ring.signing_key(), digest_name(ring.suite)


def _heads(settings: Settings) -> Heads:
    return Heads(settings.data_dir / FOLDER, _signing(settings)[0])


async def _public(_: Any, settings: Settings) -> str:
    return str(_signing(settings)[0].as_pem(private=False).decode().strip())


def _read(options: Options, work: Callable[[Any, Settings], Awaitable[Any]]) -> Any:
    """Run `work` on a connection without opening a hub, which would write."""
    with database(options) as (settings, dsn):
        return asyncio.run(_connected(dsn, lambda connection: work(connection, settings)))


async def _connected(dsn: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await work(connection)
    finally:
        await connection.close()


@contextmanager
def _bare(options: Options) -> Iterator[str]:
    """The database alone: no keyring is asked for, and nothing is migrated."""
    if named := options.database_url or os.environ.get("KINEHUB_DATABASE_URL"):
        yield named
        return
    with postgres.connect(options.data_dir) as dsn:
        yield dsn
