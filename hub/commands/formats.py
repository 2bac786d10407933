"""`kinehub adapters` and `sample-files`: source formats."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from adapters.base import Context, adapters, detect
from hub.commands.options import Options, echo
from mappings.sources import layouts
from schemas.records import Decoded


@click.group("adapters")
def adapters_group() -> None:
    """Source formats."""


@adapters_group.command("list")
@click.pass_obj
def adapters_list(options: Options) -> None:
    """Every format that can be uploaded."""
    layouts()
    found = [
        {"format": a.id, "title": list(a.title), "version": a.version, "extensions": list(a.extensions), "emits": sorted(a.emits)} for a in adapters()
    ]
    echo(options, found, "\n".join(f"{a['format']:14} {a['title'][0]} / {a['title'][1]}: {', '.join(a['extensions'])}" for a in found))


@adapters_group.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", default=None)
@click.pass_obj
def adapters_check(options: Options, file: Path, zone: str | None) -> None:
    """What would be taken from FILE and what would not, and why; nothing is stored."""
    from hub.intake.facts import facts

    body = file.read_bytes()
    source = detect(body, file.name)
    rows = list(source.decode(io.BytesIO(body), Context(received_at=datetime.now(UTC), filename=file.name, zone=zone)))
    taken = [
        {"kind": row.record.__struct_config__.tag, "facts": facts(row.record), "warnings": msgspec.to_builtins(row.record.flags)}
        for row in rows
        if isinstance(row, Decoded)
    ]
    refused = [msgspec.to_builtins(row) for row in rows if not isinstance(row, Decoded)]
    echo(
        options,
        {"format": source.id, "records": taken, "rejected": [{k: v for k, v in row.items() if k not in ("who", "original")} for row in refused]},
    )


@click.command("sample-files")
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
    echo(options, {"files": written}, "\n".join(written))
