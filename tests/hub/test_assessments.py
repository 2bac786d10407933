"""Impact assessments (PIPL 55, 56): on record before records go abroad, sealed, due again after three years, and never removed."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from click.testing import CliRunner, Result

from hub.cli import cli
from hub.settings import load
from tests.builders import a_city


def rows(dsn: str, query: str) -> list[Any]:
    async def read() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(read())


TODAY = datetime.now(UTC).date()
TEXT = "目的、必要性、对个人的影响、保护措施\n"


def test_records_go_abroad_only_to_whom_was_assessed_and_the_rest_is_told(hub_url: str, tmp_path: Path) -> None:
    async def made() -> None:
        async with a_city(hub_url, tmp_path) as city:
            await city.party("老海外诊所", "hospital", country="SG", transfer_basis="标准合同备案 2026-0001")
            await city.party("市第二医院", "hospital")
            await city.party("健身馆", "fitness-center")

    asyncio.run(made())
    environment = {"KINEHUB_KEYRING": str(load(tmp_path).keyring)}

    def command(*arguments: str) -> Result:
        return CliRunner(env=environment).invoke(cli, ["--data-dir", str(tmp_path), "--database-url", hub_url, "--json", *arguments])

    def due() -> dict[str, bool]:
        return {one["about"]: one["abroad"] for one in json.loads(command("assessment", "list").stdout)["due"]}

    def finding() -> Any:
        return next(one for one in json.loads(command("doctor").stdout) if one["check"] == "assessments")

    def assessed(about: str, on: str = TODAY.isoformat()) -> Result:
        return command("assessment", "add", str(file), "--about", about, "--author", "陈合规", "--on", on)

    file = tmp_path / "assessment.md"
    file.write_text(TEXT)
    abroad = ("party", "add", "Clinic Overseas", "--kind", "hospital", "--country", "SG", "--transfer-basis", "标准合同", "--key-out", str(tmp_path / "key"))
    assert due() == {"sensitive": False, "automated": False, "老海外诊所": True, "市第二医院": False}
    assert not finding()["ok"], "a receiver abroad"
    refused = command(*abroad)
    assert refused.exit_code == 1
    assert getattr(refused.exception, "code", "") == "no-assessment"
    assert assessed("Clinic Overseas", str(TODAY + timedelta(days=1))).exit_code == 1, "of a day to come"
    assert assessed("Clinic Overseas", str(TODAY.replace(day=1) - timedelta(days=3 * 366))).exit_code == 0
    assert command(*abroad).exit_code == 1, "too old"
    identity = json.loads(assessed("Clinic Overseas").stdout)["assessment_id"]
    assert command(*abroad).exit_code == 0
    assert assessed("老海外诊所").exit_code == 0
    assert finding()["ok"]
    assert "3 impact assessments are due" in finding()["text"]
    for about in ("sensitive", "automated", "市第二医院"):
        assert assessed(about).exit_code == 0
    assert due() == {}
    kept = json.loads(command("assessment", "list").stdout)["recorded"]
    assert len(kept) == 6
    assert {one["author"] for one in kept} == {"陈合规"}
    assert command("assessment", "show", identity).stdout == TEXT
    assert not [row for row in rows(hub_url, "SELECT body FROM assessments") if TEXT.encode() in row["body"]]
    noted = [row["rule"] for row in rows(hub_url, "SELECT rule FROM audit WHERE action = 'assessment'")]
    assert sum(one["sha256"] in rule for one in kept for rule in noted if one["assessment_id"] in rule) == 6
