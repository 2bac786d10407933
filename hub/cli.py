"""The command line: one module a noun in `hub/commands`, JSON or one readable line out, one clear line on stderr when it fails.

Exit 0 on success, 2 for wrong use, 1 for a refused or failed operation.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import NoReturn

import click

from hub.commands.access import token, user
from hub.commands.assessment import assessment
from hub.commands.audit import audit
from hub.commands.backup import backup_command, keys, restore_command
from hub.commands.consent import consent
from hub.commands.delivery import delivery
from hub.commands.directory import directory
from hub.commands.doctor import doctor
from hub.commands.formats import adapters_group, sample_files
from hub.commands.ingest import ingest
from hub.commands.options import Options
from hub.commands.party import party
from hub.commands.quality import quality
from hub.commands.records import records
from hub.commands.resident import resident
from hub.commands.serve import migrate_command, serve, worker_command
from hub.commands.standard import standard
from hub.defects import places
from schemas.errors import KineHubError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data-dir", type=click.Path(path_type=Path), default=Path(".kinehub"), show_default=True, help="Where the hub keeps its files.")
@click.option("--database-url", default=None, help="An external PostgreSQL; also KINEHUB_DATABASE_URL.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def cli(context: click.Context, data_dir: Path, database_url: str | None, as_json: bool) -> None:
    """KineHub: the exchange hub that lets exercise count as health data."""
    context.obj = Options(data_dir, database_url, as_json)


for command in (
    serve, worker_command, migrate_command, party, directory, resident, user, token, ingest, consent, audit, delivery, quality, keys, backup_command,
    restore_command, doctor, records, adapters_group, sample_files, standard,
    assessment,
):  # fmt: skip
    cli.add_command(command)


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


def _wrong_use(error: click.ClickException) -> str:
    """One line: what is wrong, and whose help says how it is right."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    said = " ".join(error.format_message().split())
    return f"kinehub: {said} See {context.command_path} --help." if context else f"kinehub: {said}"


def main() -> NoReturn:
    """The command `kinehub`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        cli.main(_common_first(sys.argv[1:]), prog_name="kinehub", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(_wrong_use(error), err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(1)
    except KineHubError as error:
        click.echo(f"kinehub: {error.message} {error.advice}".rstrip(), err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"kinehub: {error.filename}: {error.strerror}." if error.filename else f"kinehub: a defect of ours: {places(error)}", err=True)
        sys.exit(1)
    except Exception as error:
        click.echo(f"kinehub: a defect of ours: {places(error)}", err=True)
        sys.exit(1)
    sys.exit(0)
