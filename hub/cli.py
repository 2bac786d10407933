"""The command line: one function a command, JSON or one readable line out, one clear line on stderr when it fails.

Exit 0 on success, 2 for wrong use, 1 for a refused or failed operation.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import click
import httpx
import msgspec
import orjson

from adapters.base import Context, adapters, detect
from consent.case import decide_case
from hub import service
from hub.access import accounts
from hub.access.keys import Token, fetch_token, new_client_key, registrable
from hub.audit.trail import Entry
from hub.audit.verify import verify
from hub.defects import places
from hub.delivery import worker
from hub.exchange.entries import checked
from hub.intake.upload import Delivery, take
from hub.settings import Settings, load
from hub.store import backup as backups
from hub.store import directory as entries
from hub.store import grants, keyring, migrate, parties, postgres, residents, rotation
from schemas.classes import parse_classes
from schemas.errors import BadRequest, KineHubError, Unavailable
from schemas.records import Decoded
from schemas.resident import MemberNumber, Resident


class Options(msgspec.Struct):
    """What every command takes."""

    data_dir: Path
    database_url: str | None
    json: bool


def _echo(options: Options, result: object, line: str | None = None) -> None:
    """The result, as JSON when asked, else as one line (or indented JSON when there is no line)."""
    if options.json:
        click.echo(orjson.dumps(result, default=str).decode())
    else:
        click.echo(line if line is not None else orjson.dumps(result, default=str, option=orjson.OPT_INDENT_2).decode())


@contextmanager
def _database(options: Options) -> Iterator[tuple[Settings, str]]:
    """Settings and a migrated database: the external one, the running hub's, or the embedded one for the length of the command."""
    settings = load(options.data_dir, options.database_url)
    if settings.database_url:
        _ensure_keyring(settings, settings.database_url)
        yield settings, settings.database_url
        return
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with postgres.connect(settings.data_dir) as dsn:
        _ensure_keyring(settings, dsn)
        yield settings, dsn


def _ensure_keyring(settings: Settings, dsn: str) -> None:
    """Migrate; make a keyring only for a database that knows none yet."""
    migrate.upgrade(dsn)
    if settings.keyring.exists():
        return
    if asyncio.run(_knows_keyring(dsn)):
        raise Unavailable(
            f"There is no keyring at {settings.keyring}, and this database was sealed with one.", advice="Restore the keyring from its own backup."
        )
    keyring.create(settings.keyring, settings.crypto)


async def _knows_keyring(dsn: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM meta WHERE key = 'keyring'"))
    finally:
        await connection.close()


@asynccontextmanager
async def _opened(settings: Settings, dsn: str) -> AsyncIterator[service.Hub]:
    async with service.opened(settings, dsn) as hub:
        yield hub


def _run(options: Options, work: Callable[[service.Hub], Awaitable[Any]]) -> Any:
    """Run `work` with an open hub."""

    async def inside(settings: Settings, dsn: str) -> Any:
        async with _opened(settings, dsn) as hub:
            return await work(hub)

    with _database(options) as (settings, dsn):
        return asyncio.run(inside(settings, dsn))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path(".kinehub"), show_default=True, help="Where the hub keeps its files.")
@click.option("--database-url", default=None, help="An external PostgreSQL; also KINEHUB_DATABASE_URL.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def cli(context: click.Context, data_dir: Path, database_url: str | None, as_json: bool) -> None:
    """KineHub: the exchange hub that lets exercise count as health data."""
    context.obj = Options(data_dir, database_url, as_json)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.pass_obj
def serve(options: Options, host: str, port: int, workers: int) -> None:
    """Run the hub, its delivery worker and, unless a database is named, its PostgreSQL."""
    from hub.serve import Serving
    from hub.serve import serve as run

    base = os.environ.get("KINEHUB_BASE_URL") or f"http://localhost:{port}"
    settings = load(options.data_dir, options.database_url, base)

    def announce(url: str) -> None:
        click.echo(orjson.dumps({"base_url": url}).decode() if options.json else f"KineHub is ready at {url}")
        sys.stdout.flush()

    if settings.database_url:
        _ensure_keyring(settings, settings.database_url)
        run(Serving(settings, settings.database_url, host, port, workers, announce, lambda: True, lambda: None))
        return
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with postgres.lock(settings.data_dir):
        servers = [postgres.start(settings.data_dir)]

        def revive() -> None:
            servers[0] = postgres.start(settings.data_dir)

        try:
            _ensure_keyring(settings, servers[0].dsn)
            run(Serving(settings, servers[0].dsn, host, port, workers, announce, lambda: servers[0].alive(), revive))
        finally:
            servers[0].stop()


@cli.command("worker")
@click.pass_obj
def worker_command(options: Options) -> None:
    """Run the delivery worker apart (production)."""
    import signal

    async def main(settings: Settings, dsn: str) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await worker.run(settings, dsn, stop)

    with _database(options) as (settings, dsn):
        asyncio.run(main(settings, dsn))


@cli.command("migrate")
@click.pass_obj
def migrate_command(options: Options) -> None:
    """Bring the database to the newest schema."""
    with _database(options):
        _echo(options, {"revision": migrate.NEWEST}, f"The database is at revision {migrate.NEWEST}.")


@cli.group()
def party() -> None:
    """Organizations that send or receive."""


@party.command("add")
@click.argument("name")
@click.option("--kind", required=True, type=click.Choice(parties.KINDS))
@click.option("--area")
@click.option("--zone")
@click.option("--may-register", is_flag=True)
@click.option("--purpose", default="", help="Purposes of use it is registered for, comma-separated.")
@click.option("--deliver-to", help="FHIR base URL that receives what it is owed.")
@click.option("--jwks", type=click.Path(exists=True, path_type=Path), help="Its public keys; without it a pair is made.")
@click.option("--key-out", type=click.Path(path_type=Path), help="Where the private key made for it is written (0600).")
@click.pass_obj
def party_add(
    options: Options,
    name: str,
    kind: str,
    area: str | None,
    zone: str | None,
    may_register: bool,
    purpose: str,
    deliver_to: str | None,
    jwks: Path | None,
    key_out: Path | None,
) -> None:
    """Register a party."""
    if jwks is None and key_out is None:
        raise click.UsageError("Name --jwks with its public keys, or --key-out for the private key to be made.")
    if zone:
        _check_zone(zone)
    public = registrable(orjson.loads(jwks.read_bytes())) if jwks else None
    if public is None:
        private, public = new_client_key()
        assert key_out is not None
        _write_secret(key_out, orjson.dumps(private))

    async def work(hub: service.Hub) -> parties.Party:
        async with hub.database.connection() as connection:
            return await parties.add(
                connection, name=name, kind=kind, jwks=public, area=area, zone=zone, purposes=tuple(filter(None, purpose.split(","))),
                may_register=may_register, deliver_to=deliver_to,
            )  # fmt: skip

    made = _run(options, work)
    _echo(
        options,
        {"party_id": str(made.id), "client_id": made.client_id, "organization": made.reference},
        f"{made.name}: client {made.client_id}, party {made.id}",
    )


def _check_zone(zone: str) -> None:
    from zoneinfo import available_timezones

    if zone not in available_timezones():
        raise click.UsageError(f"--zone must be an IANA time zone such as Asia/Shanghai, not {zone!r}.")


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    path.chmod(0o600)


@party.command("list")
@click.pass_obj
def party_list(options: Options) -> None:
    """Every party."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            found = await parties.everyone(connection)
        return [
            {"party_id": str(p.id), "name": p.name, "kind": p.kind, "client_id": p.client_id, "purposes": p.purposes, "deliver_to": p.deliver_to}
            for p in found
        ]

    _echo(options, _run(options, work))


@cli.group()
def directory() -> None:
    """What is about no resident: venues, practitioners and their roles, services, device kinds."""


@directory.command("add")
@click.option("--party", "party_id", required=True, type=click.UUID, help="Whose entry it is.")
@click.option("--from", "source", required=True, help="A file with one FHIR R4 resource, or - for standard input.")
@click.pass_obj
def directory_add(options: Options, party_id: UUID, source: str) -> None:
    """Add a Location, Practitioner, PractitionerRole, HealthcareService or DeviceDefinition; the same identifier again updates it."""
    text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise click.UsageError("--from must hold one FHIR resource as JSON.") from None

    async def work(hub: service.Hub) -> tuple[entries.Entry, str]:
        async with hub.database.connection() as connection:
            owner = await parties.by_id(connection, party_id)
            made, outcome = await entries.put(connection, hub.keyring, owner.number, checked(body, owner.reference))
        named = f"{made.reference}/_history/{made.version}"
        await hub.trail.note(Entry(actor="operator", action="directory-add", outcome=outcome, party=owner.number, rule=named))
        return made, outcome

    made, outcome = _run(options, work)
    _echo(options, {"type": made.type, "id": made.id, "reference": made.reference, "version": made.version, "status": outcome}, f"{made.reference}: {outcome}")


@directory.command("list")
@click.option("--party", "party_id", type=click.UUID, help="Only what is this party's.")
@click.pass_obj
def directory_list(options: Options, party_id: UUID | None) -> None:
    """Every entry in its newest version, without private contacts."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            owners = {found.number: str(found.id) for found in await parties.everyone(connection)}
            number = (await parties.by_id(connection, party_id)).number if party_id else None
            found = await entries.newest(connection, number)
        return [
            {"type": one.type, "id": one.id, "version": one.version, "updated": one.updated, "party_id": owners[one.party], "content": one.body}
            for one in found
        ]

    _echo(options, _run(options, work))


@cli.group()
def resident() -> None:
    """Residents."""


@resident.command("add")
@click.option("--from", "source", help="A JSON file, or - for standard input.")
@click.option("--name")
@click.option("--id-number")
@click.option("--birth-date")
@click.option("--gender", type=click.Choice(["male", "female", "unknown", "other"]))
@click.option("--phone")
@click.option("--area")
@click.option("--zone", default=None)
@click.option("--member-number", multiple=True, help="PARTY_ID|NUMBER, repeatable.")
@click.pass_obj
def resident_add(options: Options, /, source: str | None, **given: Any) -> None:
    """Register a resident; the same ID number again gives the same resident."""
    if source:
        text = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise click.UsageError("--from must hold one JSON object.") from None
    else:
        click.echo("Shells remember what is typed: use --from for real people.", err=True)
        numbers = [{"party": text.partition("|")[0], "number": text.partition("|")[2]} for text in given.pop("member_number")]
        fields = {key: value for key, value in given.items() if value is not None} | ({"member_numbers": numbers} if numbers else {})
    if not isinstance(fields, dict) or not fields.get("name"):
        raise click.UsageError("A resident needs at least a name.")

    async def work(hub: service.Hub) -> tuple[UUID, bool]:
        async with hub.database.connection() as connection:
            known = {str(found.id) for found in await parties.everyone(connection)}
        return await residents.register(hub, _resident(fields, known), actor="operator")

    identity, created = _run(options, work)
    _echo(
        options,
        {"resident_id": str(identity), "patient": f"Patient/{identity}", "created": created},
        f"Patient/{identity}{'' if created else ' (known already)'}",
    )


def _resident(fields: dict[str, Any], known: set[str]) -> Resident:
    numbers = [_member(entry, known) for entry in fields.pop("member_numbers", [])]
    try:
        made = msgspec.convert({"zone": "Asia/Shanghai", **fields}, Resident)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The resident cannot be understood: {error}.", field="resident") from None
    return msgspec.structs.replace(made, member_numbers=numbers)


def _member(entry: Any, known: set[str]) -> MemberNumber:
    """`{"party": ID, "number": N}` or `"ID|N"`."""
    party_id, number = entry.partition("|")[::2] if isinstance(entry, str) else (str(entry.get("party", "")), str(entry.get("number", "")))
    if party_id not in known or not number:
        raise BadRequest("A member number names a registered party and a number.", field="member_numbers")
    return MemberNumber(party=party_id, number=number)


@resident.command("erase")
@click.argument("resident_id", type=click.UUID)
@click.pass_obj
def resident_erase(options: Options, resident_id: UUID) -> None:
    """Destroy a resident's key: nothing of them can be read any more, here or in any backup."""
    done = _run(options, lambda hub: residents.erase(hub, resident_id, actor="operator"))
    done |= {"backups": f"FILE.keys of backups made before this opens nobody of {done['erasure_key_destroyed']} any more.",
             "advice": "Run kinehub backup --keys-only FILE for each backup that is kept."}  # fmt: skip
    _echo(options, done, f"Erased {done['resident_id']} at {done['erased_at']}. {done['backups']} {done['advice']}")


@cli.group()
def user() -> None:
    """People who sign in."""


@user.command("add")
@click.argument("login")
@click.option("--name", default="")
@click.option("--role", type=click.Choice(["resident", "staff", "doctor", "city", "admin"]), required=True)
@click.option("--party", "party_id", type=click.UUID)
@click.option("--resident", "resident_id", type=click.UUID)
@click.option("--area")
@click.option("--password-file", type=click.Path(exists=True, path_type=Path), help="A file with the password; otherwise it is asked for.")
@click.pass_obj
def user_add(
    options: Options, login: str, name: str, role: str, party_id: UUID | None, resident_id: UUID | None, area: str | None, password_file: Path | None
) -> None:
    """A sign-in for a staff member of a party or a level, or for a resident."""
    password = password_file.read_text().strip() if password_file else click.prompt("Password", hide_input=True, confirmation_prompt=True)

    async def work(hub: service.Hub) -> UUID:
        async with hub.database.connection() as connection:
            number = (await parties.by_id(connection, party_id)).number if party_id else None
            return await accounts.add(
                connection, hub.keyring, login=login, name=name or login, role=role, party=number, resident=resident_id, area=area, password=password
            )

    made = _run(options, work)
    _echo(options, {"account_id": str(made), "login": login, "role": role}, f"{login} can sign in.")


@cli.command()
@click.option("--client", "client_id", required=True)
@click.option("--key", "key_file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--scope", required=True)
@click.option("--purpose")
@click.option("--url", default="http://localhost:8000", show_default=True)
@click.pass_obj
def token(options: Options, client_id: str, key_file: Path, scope: str, purpose: str | None, url: str) -> None:
    """A Backend Services access token from a running hub (private_key_jwt)."""

    key = orjson.loads(key_file.read_bytes())

    async def work() -> Token:
        async with httpx.AsyncClient() as http:
            return await fetch_token(http, f"{url.rstrip('/')}/oauth/token", client_id, key, scope, purpose)

    try:
        answer = asyncio.run(work())
    except httpx.HTTPError:
        raise Unavailable(f"No hub answers at {url}.", advice="Start it with kinehub serve.") from None
    _echo(options, {"access_token": answer.access_token, "expires_in": answer.expires_in, "scope": answer.scope}, answer.access_token)


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--party", "party_id", required=True, type=click.UUID)
@click.option("--resident", "resident_id", type=click.UUID)
@click.option("--format", "format_", default="auto", show_default=True)
@click.pass_obj
def ingest(options: Options, files: tuple[Path, ...], party_id: UUID, resident_id: UUID | None, format_: str) -> None:
    """Upload files as a party; one receipt a file."""

    async def work(hub: service.Hub) -> list[dict[str, Any]]:
        async with hub.database.connection() as connection:
            sender = await parties.by_id(connection, party_id)
        receipts = []
        with click.progressbar(files, label="files", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            for file in bar:
                receipts.append(await _ingest_one(hub, sender, file, resident_id, format_))
        return receipts

    receipts = _run(options, work)
    _echo(options, receipts if len(receipts) > 1 else receipts[0])
    if any("error" in receipt for receipt in receipts):
        sys.exit(1)


async def _ingest_one(hub: service.Hub, sender: parties.Party, file: Path, resident_id: UUID | None, format_: str) -> dict[str, Any]:
    try:
        _, receipt = await take(
            hub, Delivery(party=sender, body=await asyncio.to_thread(file.read_bytes), format=format_, filename=file.name, resident=resident_id)
        )
    except KineHubError as error:
        print(f"{file}: {error.message} {error.advice}".strip(), file=sys.stderr)
        return {"file": str(file), "error": {"code": error.code, "message": error.message, "advice": error.advice}}
    return {"file": str(file)} | receipt


@cli.group()
def consent() -> None:
    """Who may see what of a resident."""


@consent.command("grant")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.option("--to", "receivers", required=True, multiple=True, help="A party; repeat it for more, one Consent each.")
@click.argument("more", nargs=-1)
@click.option("--purpose", required=True, type=click.Choice(["TREAT", "PUBHLTH", "HPAYMT", "HRESCH"]))
@click.option("--data", "classes", required=True, help="all, or data classes separated by commas.")
@click.option("--sensitive", multiple=True, help="A sensitivity code the grant reaches too.")
@click.option("--valid-from")
@click.option("--valid-until")
@click.option("--data-from")
@click.option("--data-until")
@click.pass_obj
def consent_grant(
    options: Options,
    resident_id: UUID,
    receivers: tuple[str, ...],
    more: tuple[str, ...],
    purpose: str,
    classes: str,
    sensitive: tuple[str, ...],
    valid_from: str | None,
    valid_until: str | None,
    data_from: str | None,
    data_until: str | None,
) -> None:
    """Grant receivers access; one Consent each, valid one year unless said."""
    try:
        bits = parse_classes(classes)
    except ValueError as error:
        raise click.UsageError(f"--data: {error}") from None
    dates = {
        name: _date(name, text)
        for name, text in (("valid_from", valid_from), ("valid_until", valid_until), ("data_from", data_from), ("data_until", data_until))
    }
    sensitivities = tuple(code for text in sensitive for code in text.split(","))

    async def work(hub: service.Hub) -> list[str]:
        made = []
        for receiver in (*receivers, *more):
            async with hub.database.connection() as connection:
                to = await parties.by_id(connection, _uuid("--to", receiver))
            made.append(
                await grants.grant(
                    hub, resident_id, to, purpose=purpose, classes=bits, sensitive=sensitivities, actor=f"Patient/{resident_id}", **dates
                )
            )
        return made

    made = _run(options, work)
    _echo(options, {"consent_id": made[0]} if len(made) == 1 else {"consent_ids": made, "consent_id": made[0]}, "\n".join(made))


def _date(name: str, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--{name.replace('_', '-')} must be a date such as 2026-05-01.") from None


def _uuid(name: str, text: str) -> UUID:
    try:
        return UUID(text.rpartition("/")[2])
    except ValueError:
        raise click.UsageError(f"{name} must be an id.") from None


@consent.command("withdraw")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.argument("consent_id", type=click.UUID)
@click.pass_obj
def consent_withdraw(options: Options, resident_id: UUID, consent_id: UUID) -> None:
    """Withdraw a consent; effective on the next request."""
    _run(options, lambda hub: grants.withdraw(hub, resident_id, consent_id, actor=f"Patient/{resident_id}"))
    _echo(options, {"consent_id": str(consent_id), "status": "inactive"}, "Withdrawn.")


@consent.command("list")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.pass_obj
def consent_list(options: Options, resident_id: UUID) -> None:
    """Every consent of a resident, withdrawn ones too."""
    _echo(options, _run(options, lambda hub: grants.listing(hub, resident_id)))


@consent.command("explain")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.option("--to", "receiver", required=True)
@click.option("--purpose", required=True)
@click.pass_obj
def consent_explain(options: Options, resident_id: UUID, receiver: str, purpose: str) -> None:
    """What a receiver may see, class by class, and which provision decides."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            to = await parties.by_id(connection, _uuid("--to", receiver))
        return await grants.explained(hub, resident_id, to, purpose)

    _echo(options, _run(options, work))


@consent.command("decide")
@click.option("--case", "case_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="One case or a list of cases, JSON.")
@click.pass_obj
def consent_decide(options: Options, case_file: Path) -> None:
    """Decide cases with the production engine; touches no data directory."""
    try:
        cases = orjson.loads(case_file.read_bytes())
    except orjson.JSONDecodeError:
        raise click.UsageError("--case must hold JSON: one case or a list of cases.") from None
    _echo(options, [decide_case(case) for case in cases] if isinstance(cases, list) else decide_case(cases))


@cli.group()
def audit() -> None:
    """The trail of who did what."""


@audit.command("verify")
@click.pass_obj
def audit_verify(options: Options) -> None:
    """Recompute every chain and compare it with what is held outside the database."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            return await verify(connection, hub.keyring, hub.settings.data_dir)

    found = _run(options, work)
    _echo(
        options,
        msgspec.to_builtins(found) if found.problem else {"entries": found.entries, "intact": True},
        f"{found.entries} entries, intact" if found.intact else None,
    )
    if not found.intact:
        click.echo(f"kinehub: {found.problem}", err=True)
        sys.exit(1)


@audit.command("list")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.pass_obj
def audit_list(options: Options, resident_id: UUID) -> None:
    """Who saw what of a resident, when, for what purpose, under which consent."""
    _echo(options, _run(options, lambda hub: grants.looks(hub, resident_id)))


@cli.group()
def delivery() -> None:
    """What is owed to receivers."""


@delivery.command("list")
@click.pass_obj
def delivery_list(options: Options) -> None:
    """What is owed, acknowledged, dead, and suppressed: held back because no consent reaches it, which is no failure."""

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            return await worker.listing(connection)

    _echo(options, _run(options, work))


@delivery.command("replay")
@click.argument("ids", nargs=-1, required=True, type=int)
@click.pass_obj
def delivery_replay(options: Options, ids: tuple[int, ...]) -> None:
    """Send dead letters again."""

    async def work(hub: service.Hub) -> int:
        async with hub.database.connection() as connection:
            return await worker.replay(connection, list(ids))

    count = _run(options, work)
    _echo(options, {"replayed": count}, f"{count} will be sent again.")


@cli.group()
def keys() -> None:
    """The keyring."""


@keys.command("rotate")
@click.pass_obj
def keys_rotate(options: Options) -> None:
    """A new key-encryption key; every data key is wrapped again under it. Resumable, and safe while serving."""
    _echo(options, _run(options, rotation.rotate))


@cli.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--keys-only", is_flag=True, help="Write FILE.keys alone, afresh; after an erasure the old one opens nobody of that month.")
@click.pass_obj
def backup_command(options: Options, file: Path, keys_only: bool) -> None:
    """Back the database up to FILE; the wrapped keys go to FILE.keys."""
    with _database(options) as (_, dsn):
        _echo(options, (backups.backup_keys if keys_only else backups.backup)(dsn, file))


@cli.command("restore")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.pass_obj
def restore_command(options: Options, file: Path) -> None:
    """Restore FILE into an empty database, FILE.keys beside it; who was erased since stays erased."""
    with _database(options) as (settings, dsn):
        result = backups.restore(dsn, file)
        result |= asyncio.run(_reapply(settings, dsn))
    _echo(options, result)


async def _reapply(settings: Settings, dsn: str) -> dict[str, Any]:
    async with _opened(settings, dsn) as hub, hub.database.connection() as connection:
        erased = residents.tombstones(hub)
        for identity in erased:
            await residents.forget_everything(connection, identity)
        await hub.trail.note(Entry(actor="operator", action="restore", outcome=f"{len(erased)} erased again"))
    return {"erased_again": len(erased)}


@cli.command()
@click.pass_obj
def doctor(options: Options) -> None:
    """What was checked, what is wrong and how to mend it."""
    from hub.doctor import examine

    with _database(options) as (settings, dsn):
        findings = asyncio.run(examine(settings, dsn))
    _echo(options, findings, "\n".join(f"{'ok ' if found['ok'] else 'BAD'} {found['check']}: {found['text']}" for found in findings))
    if not all(found["ok"] for found in findings):
        sys.exit(1)


@cli.group("adapters")
def adapters_group() -> None:
    """Source formats."""


@adapters_group.command("list")
@click.pass_obj
def adapters_list(options: Options) -> None:
    """Every format that can be uploaded."""
    found = [
        {"format": a.id, "title": list(a.title), "version": a.version, "extensions": list(a.extensions), "emits": sorted(a.emits)} for a in adapters()
    ]
    _echo(options, found, "\n".join(f"{a['format']:14} {a['title'][0]} / {a['title'][1]}: {', '.join(a['extensions'])}" for a in found))


@adapters_group.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default=None)
@click.pass_obj
def adapters_check(options: Options, file: Path, zone: str | None) -> None:
    """What would be taken from FILE and what would not, and why; nothing is stored."""
    from hub.intake.facts import facts

    body = file.read_bytes()
    source = detect(body, file.name)
    import io

    rows = list(source.decode(io.BytesIO(body), Context(received_at=datetime.now(UTC), filename=file.name, zone=zone)))
    taken = [
        {"kind": row.record.__struct_config__.tag, "facts": facts(row.record), "warnings": msgspec.to_builtins(row.record.flags)}
        for row in rows
        if isinstance(row, Decoded)
    ]
    refused = [msgspec.to_builtins(row) for row in rows if not isinstance(row, Decoded)]
    _echo(
        options,
        {"format": source.id, "records": taken, "rejected": [{k: v for k, v in row.items() if k not in ("who", "original")} for row in refused]},
    )


@cli.command("sample-files")
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_obj
def sample_files(options: Options, folder: Path) -> None:
    """Write one sample file of each format, with the quirks of its source; the people in them are invented."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in adapters():
        path = folder / f"{source.id}{source.extensions[0]}"
        path.write_bytes(source.sample)
        written.append(str(path))
    _echo(options, {"files": written}, "\n".join(written))


def _common_first(arguments: list[str]) -> list[str]:
    """`--data-dir`, `--database-url` and `--json` may stand anywhere on the line; click wants them before the command."""
    common: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in ("--data-dir", "--database-url"):
            common += [word, *([following] if (following := next(words, None)) is not None else [])]
        elif word == "--json" or word.startswith(("--data-dir=", "--database-url=")):
            common.append(word)
        else:
            rest.append(word)
    return common + rest


def main() -> NoReturn:
    """The command `kinehub`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        cli.main(_common_first(sys.argv[1:]), standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(1)
    except KineHubError as error:
        click.echo(f"kinehub: {error.message} {error.advice}".rstrip(), err=True)
        sys.exit(1)
    except Exception as error:
        click.echo(f"kinehub: a defect of ours: {places(error)}", err=True)
        sys.exit(1)
    sys.exit(0)
