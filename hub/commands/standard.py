"""`kinehub standard`: the unified data standard as files, and what changed between two of its versions. Needs no hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hub.commands.options import Options, echo
from mappings.sources import KINDS_TAKEN
from mappings.template_files import as_csv, as_workbook
from mappings.templates import LANGUAGES
from schemas import published
from schemas.changes import Change, changes, demanded, stepped
from schemas.errors import BadRequest
from schemas.published import Document
from schemas.records import STANDARD_VERSION


@click.group("standard")
def standard() -> None:
    """The unified data standard: show it, compare versions, make templates."""


@standard.command("show")
@click.argument("version", default=STANDARD_VERSION)
def show(version: str) -> None:
    """The whole standard as one JSON document, as /standard.json serves it; of a released VERSION too."""
    click.echo(published.written(published.release(version)).decode(), nl=False)


@standard.command("diff")
@click.argument("old")
@click.argument("new", default=STANDARD_VERSION)
@click.pass_obj
def diff(options: Options, old: str, new: str) -> None:
    """What changed from OLD to NEW (versions or files), what that means to partners, and the version step it demands."""
    before, after = _document(old), _document(new)
    found = changes(before, after)
    step = demanded(found)
    told = {"old": before["version"], "new": after["version"], "step": step, "least": stepped(before["version"], step), "changes": [_told(c) for c in found]}
    echo(options, told, "\n".join([*map(_line, found), f"{len(found)} changes; step: {step} ({before['version']} to {told['least']} or later)"]))


@standard.command("template")
@click.argument("kind", type=click.Choice(KINDS_TAKEN))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--lang", type=click.Choice(LANGUAGES), default=LANGUAGES[0], show_default=True, help="Language of headers and comments.")
@click.option("--version", default=STANDARD_VERSION, show_default=True, help="A version of the standard.")
@click.pass_obj
def template(options: Options, kind: str, file: Path, lang: str, version: str) -> None:
    """Write the table to fill in for records of KIND to FILE (.xlsx or .csv)."""
    if file.suffix.lower() not in (".xlsx", ".csv"):
        raise BadRequest("The template is a workbook or a CSV file.", advice="Name a FILE that ends in .xlsx or .csv.")
    write = as_csv if file.suffix.lower() == ".csv" else as_workbook
    file.write_bytes(write(kind, version, lang))
    echo(options, {"file": str(file), "kind": kind, "version": version}, str(file))


def _document(name: str) -> Document:
    """A version of the standard, or one kept in a file. Raises BadRequest, NotFound."""
    path = Path(name)
    if not path.is_file():
        return published.release(name)
    try:
        found: Document = json.loads(path.read_text(encoding="utf-8"))
        stepped(found["version"], "none")
        stepped(found["version"], "patch")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadRequest("The file is no version of the standard.", advice="Make one with kinehub standard show.") from None
    return found


def _told(change: Change) -> dict[str, Any]:
    return change._asdict() | {"place": "/".join(change.place)}


def _line(change: Change) -> str:
    shown = {"added": "", "removed": "", "changed": f": {_short(change.before)} to {_short(change.after)}"}[change.what]
    if change.what != "changed" and not isinstance(change.before or change.after, dict):
        shown = f": {_short(change.before if change.what == 'removed' else change.after)}"
    return f"{change.verdict:10}  {change.what:7}  {'/'.join(change.place)}{shown}"


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]
