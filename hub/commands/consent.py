"""`kinehub consent`: grants, their withdrawal and their explanation."""

from __future__ import annotations

from datetime import date
from typing import Any, BinaryIO
from uuid import UUID

import click
import orjson

from consent.case import complaint, decide_case, decide_cases
from consent.terms import PURPOSES
from hub import service
from hub.commands.options import Options, echo, run
from hub.store import grants, parties
from schemas.classes import parse_classes
from schemas.errors import BadRequest


@click.group()
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
    dates: dict[str, Any] = {
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

    made = run(options, work)
    echo(options, {"consent_id": made[0]} if len(made) == 1 else {"consent_ids": made, "consent_id": made[0]}, "\n".join(made))


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
    run(options, lambda hub: grants.withdraw(hub, resident_id, consent_id, actor=f"Patient/{resident_id}"))
    echo(options, {"consent_id": str(consent_id), "status": "inactive"}, "Withdrawn.")


@consent.command("list")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.pass_obj
def consent_list(options: Options, resident_id: UUID) -> None:
    """Every consent of a resident, withdrawn ones too."""
    echo(options, run(options, lambda hub: grants.listing(hub, resident_id)))


@consent.command("explain")
@click.option("--resident", "resident_id", required=True, type=click.UUID)
@click.option("--to", "receiver", required=True)
@click.option("--purpose", required=True)
@click.pass_obj
def consent_explain(options: Options, resident_id: UUID, receiver: str, purpose: str) -> None:
    """What a receiver may see, class by class, and which provision decides."""
    if purpose not in PURPOSES:
        raise click.BadParameter("no v3 PurposeOfUse code; for example TREAT, PUBHLTH, HPAYMT, HRESCH.", param_hint="--purpose")

    async def work(hub: service.Hub) -> Any:
        async with hub.database.connection() as connection:
            to = await parties.by_id(connection, _uuid("--to", receiver))
        return await grants.explained(hub, resident_id, to, purpose)

    echo(options, run(options, work))


@consent.command("decide")
@click.option("--case", "case_file", required=True, type=click.File("rb"), help="One case, a list of cases, or a case a line; - is standard input.")
@click.option("--language", type=click.Choice(["en", "zh-CN"]), default="en", show_default=True, help="Of the sentences.")
@click.pass_obj
def consent_decide(options: Options, case_file: BinaryIO, language: str) -> None:
    """Decide cases with the production engine; touches no data directory."""
    cases = _cases(case_file.read())
    if isinstance(cases, list):
        answers, complaints = decide_cases(cases, language)
        for line in complaints:
            click.echo(line, err=True)
        echo(options, answers)
        return
    try:
        echo(options, decide_case(cases, language))
    except BadRequest as wrong:
        raise click.UsageError(complaint(cases, 0, wrong)) from None


def _cases(content: bytes) -> Any:
    """A case, a list of them, or those of each line."""
    try:
        cases = orjson.loads(content)
    except orjson.JSONDecodeError:
        cases = _lines(content)
    if not isinstance(cases, dict) and not (isinstance(cases, list) and all(isinstance(case, dict) for case in cases)):
        raise click.UsageError("--case must hold JSON: one case, a list of cases, or a case a line.")
    return cases


def _lines(content: bytes) -> list[Any] | None:
    try:
        return [orjson.loads(line) for line in content.splitlines() if line.strip()] or None
    except orjson.JSONDecodeError:
        return None
