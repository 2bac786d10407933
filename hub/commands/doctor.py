"""`kinehub doctor`."""

from __future__ import annotations

import asyncio
import sys

import click

from hub.commands.options import Options, database, echo


@click.command()
@click.pass_obj
def doctor(options: Options) -> None:
    """What was checked, what is wrong and how to mend it."""
    from hub.doctor import examine

    with database(options) as (settings, dsn):
        findings = asyncio.run(examine(settings, dsn))
    echo(options, findings, "\n".join(f"{'ok ' if found['ok'] else 'BAD'} {found['check']}: {found['text']}" for found in findings))
    if not all(found["ok"] for found in findings):
        sys.exit(1)
