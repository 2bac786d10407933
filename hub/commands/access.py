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
from hub.commands.options import Options, echo, run
from hub.store import parties
from schemas.errors import Unavailable


@click.group()
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

    made = run(options, work)
    echo(options, {"account_id": str(made), "login": login, "role": role}, f"{login} can sign in.")


@click.command()
@click.option("--client", "client_id", required=True)
@click.option("--key", "key_file", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--scope", required=True)
@click.option("--purpose")
@click.option("--url", envvar="KINEHUB_BASE_URL", default="http://localhost:8000", show_default=True, show_envvar=True, help="The hub's address.")
@click.pass_obj
def token(options: Options, client_id: str, key_file: Path, scope: str, purpose: str | None, url: str) -> None:
    """A Backend Services access token from a running hub (private_key_jwt)."""
    try:
        key = orjson.loads(key_file.read_bytes())
    except orjson.JSONDecodeError:
        raise click.UsageError("--key must hold a private JWK as JSON.") from None

    async def work() -> Token:
        async with httpx.AsyncClient() as http:
            return await fetch_token(http, f"{url.rstrip('/')}/oauth/token", client_id, key, scope, purpose)

    try:
        answer = asyncio.run(work())
    except httpx.HTTPError:
        raise Unavailable(f"No hub answers at {url}.", advice="Start it with kinehub serve.") from None
    echo(options, {"access_token": answer.access_token, "expires_in": answer.expires_in, "scope": answer.scope}, answer.access_token)
