"""`kinehub backup`, `restore` and `keys`: what an operator keeps safe."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from hub import service
from hub.audit.trail import Entry
from hub.commands.options import Options, database, echo, run
from hub.settings import Settings, load
from hub.store import backup as backups
from hub.store import keyring, moving, rotation, tombstones
from hub.store.backend import kind
from hub.store.keyring import Place
from schemas.errors import Unavailable


@click.group()
def keys() -> None:
    """The keyring."""


@keys.command("rotate")
@click.option("--erasure", is_flag=True, help="New erasure keys as well, one for each month.")
@click.pass_obj
def keys_rotate(options: Options, /, *, erasure: bool) -> None:
    """New keys for the data keys, all wrapped again, and for the keyring's own secrets. Safe while serving; after a kill, run it again and it goes on.

    What was replaced is destroyed by the next rotation: from then on no FILE.keys of before this one opens, nor, with an HSM or transit, keyring.json.
    """
    echo(options, run(options, partial(rotation.rotate, erasure=erasure)))


@keys.command("move")
@click.option("--to", required=True, help="file, or the address of a PKCS#11 token or a transit engine, as in KINEHUB_KEYRING.")
@click.option("--secret-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The file with the PIN or token of the new place.")
@click.pass_obj
def keys_move(options: Options, /, *, to: str, secret_file: Path | None) -> None:
    """Move the keys to another back end; every data key is wrapped again there. Safe while serving; after a kill, run it again and it goes on.

    At its end the keys in the old back end are destroyed. Then set KINEHUB_KEYRING to the new one and start the hub again.
    """
    settings, place = load(options.data_dir, options.database_url), _place(to, secret_file)
    if settings.keyring != settings.data_dir / "keyring.json":
        raise Unavailable("Only the keyring.json of the data directory can be moved.", advice="Stop the hub and put it there first.")
    if keyring.settled_at(settings.keyring) == place.store:
        settings = msgspec.structs.replace(settings, keyring_store=place.store, keyring_secret_file=Path(place.secret_file) if place.secret_file else None)
    elif settings.keyring_store == place.store:
        raise Unavailable("The keys are there already.")
    echo(options, run(options, partial(moving.move, target=place), settings))


def _place(to: str, secret_file: Path | None) -> Place:
    if kind(to) == "file" and to != "file":
        raise Unavailable("--to must be file, pkcs11:// or vault://.")
    if to != "file" and secret_file is None:
        raise Unavailable("--secret-file must name the file with the PIN or token of the new place.")
    return Place("" if to == "file" else to, str(secret_file.absolute()) if secret_file else "")


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--keys-only", is_flag=True, help="Write FILE.keys alone, afresh; after two rotations of keys the old one opens nobody.")
@click.pass_obj
def backup_command(options: Options, file: Path, keys_only: bool) -> None:
    """Back the database up to FILE; the wrapped keys go to FILE.keys."""
    with database(options) as (_, dsn):
        echo(options, (backups.backup_keys if keys_only else backups.backup)(dsn, file))


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def restore_command(options: Options, file: Path) -> None:
    """Restore FILE in place of what is stored, FILE.keys beside it; who was erased since stays erased, what was withdrawn since withdrawn."""
    with database(options) as (settings, dsn):
        result = backups.restore(dsn, file)
        result |= asyncio.run(_reapply(settings, dsn))
    echo(options, result)


async def _reapply(settings: Settings, dsn: str) -> dict[str, Any]:
    async with service.opened(settings, dsn) as hub:  # which erases again whoever the ledger names
        erased = {stone.resident for stone in tombstones.listed(hub.keyring)}
        await hub.trail.note(Entry(actor="operator", action="restore", outcome=f"{len(erased)} erased again"))
    return {"erased_again": len(erased)}
