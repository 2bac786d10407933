"""`kinehub user` and `kinehub token`: who signs in, and a token for a party."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import click
import httpx
import orjson

from hub import service
from hub.access import accounts
from hub.access.keys import Token, fetch_token
from hub.commands.options import Options, check_area, echo, run
from hub.store import parties
from hub.store.ids import bucket_of
from schemas.errors import NotFound, Unavailable


@click.group()
def user() -> None:
    """People who sign in."""


@user.command("add")
@click.argument("login")
@click.option("--name", default="")
@click.option("--role", type=click.Choice(["resident", "staff", "doctor", "city", "admin"]), required=True)
@click.option("--party", "party_id", type=click.UUID)
@click.option("--resident", "resident_id", type=click.UUID)
@click.option("--area", help="Division code of 4, 6, 9 or 12 digits.")
@click.option("--lead", is_flag=True, help="Manages the accounts of the party: invites colleagues and ends their accounts.")
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file with the password; otherwise it is asked for.")
@click.pass_obj
def user_add(
    options: Options, login: str, name: str, role: str, party_id: UUID | None, resident_id: UUID | None, area: str | None, lead: bool,
    password_file: Path | None,
) -> None:
    """A sign-in for a staff member of a party or a level, or for a resident."""
    if area:
        check_area(area)
    password = _password_of(password_file) if password_file else click.prompt("Password", hide_input=True, confirmation_prompt=True)

    async def work(hub: service.Hub) -> UUID:
        async with hub.database.connection() as connection:
            number = (await parties.by_id(connection, party_id)).number if party_id else None
            if resident_id and not await connection.fetchval("SELECT true FROM residents WHERE bucket = $1 AND id = $2", bucket_of(resident_id), resident_id):
                raise NotFound("There is no such resident.")
            return await accounts.add(
                connection, hub.keyring, login=login, name=name or login, role=role, party=number, resident=resident_id, area=area, password=password,
                lead=lead,
            )  # fmt: skip

    made = run(options, work)
    echo(options, {"account_id": str(made), "login": login, "role": role}, f"{login} can sign in.")


def _password_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise click.UsageError("--password-file must hold UTF-8 text.") from None


@click.command()
@click.option("--client", "client_id", required=True)
@click.option("--key", "key_file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--scope", required=True)
@click.option("--purpose")
@click.option("--url", envvar="KINEHUB_BASE_URL", default="http://localhost:8000", show_default=True, show_envvar=True, help="The hub's address.")
@click.pass_obj
def token(options: Options, client_id: str, key_file: Path, scope: str, purpose: str | None, url: str) -> None:
    """A Backend Services access token from a running hub (private_key_jwt)."""
    try:
        key = orjson.loads(key_file.read_bytes())
    except orjson.JSONDecodeError:
        key = None
    if not isinstance(key, dict):
        raise click.UsageError("--key must hold a private JWK as JSON.")

    async def work() -> Token:
        async with httpx.AsyncClient() as http:
            return await fetch_token(http, f"{url.rstrip('/')}/oauth/token", client_id, key, scope, purpose)

    try:
        answer = asyncio.run(work())
    except httpx.HTTPError:
        raise Unavailable(f"No hub answers at {url}.", advice="Start it with kinehub serve.") from None
    echo(options, {"access_token": answer.access_token, "expires_in": answer.expires_in, "scope": answer.scope}, answer.access_token)
