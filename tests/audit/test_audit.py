"""The audit as those meet it who do not trust the hub: by its commands, with a public key and a head kept elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from click.testing import CliRunner

from hub.audit.trail import GENESIS, Entry, entry_hash, salt_of
from hub.cli import cli
from hub.settings import load
from tests.builders import a_city
from tests.databases import execute

HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "prove-the-audit.md"
RESIDENT = UUID("0190b000-0000-8000-8000-000000000001")
NEIGHBOUR = UUID("0190b000-0000-8000-8000-000000000002")


class Audit:
    """A hub's audit on a database and a folder, with its commands, and what somebody else has kept of it."""

    def __init__(self, url: str, folder: Path, suite: str = "international") -> None:
        self.url, self.folder, self.suite = url, folder, suite
        self.elsewhere = folder / "elsewhere"

    def note(self, count: int = 5, **more: Any) -> None:
        """A writer's life: entries, and its end, at which they are signed."""

        async def work() -> None:
            async with a_city(self.url, self.folder, self.suite) as city:
                for number in range(count):
                    about = RESIDENT if number % 2 else NEIGHBOUR
                    await city.hub.trail.note(Entry(actor="Organization/x", action="read Observation", outcome="shown", resident=about, **more))

        asyncio.run(work())

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command as it is typed: its exit code and what it says on stderr."""
        line = [sys.executable, "-m", "hub", *self._options(), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ | self._keyring())

    def said(self, *arguments: str, keyring: bool = True) -> str:
        """What a command answers, without a process of its own."""
        done = CliRunner(env=self._keyring() if keyring else {}).invoke(cli, [*self._options(), *arguments])
        assert done.stdout, (done.exception, done.stderr)
        return done.stdout

    def _options(self) -> list[str]:
        return ["--data-dir", str(self.folder), "--database-url", self.url]

    def _keyring(self) -> dict[str, str]:
        return {"KINEHUB_KEYRING": str(load(self.folder).keyring)}

    def kept(self) -> tuple[str, ...]:
        """A head and the key, put elsewhere; the options that name them."""
        self.elsewhere.mkdir(exist_ok=True)
        for name, options in (("head", ()), ("key.pem", ("--public-key",))):
            (self.elsewhere / name).write_text(self.said("audit", "head", *options))
        return "--public-key", str(self.elsewhere / "key.pem"), "--head", str(self.elsewhere / "head")

    def verdict(self, *options: str) -> dict[str, Any]:
        """What `audit verify` says; with a public key it is asked without the keyring."""
        return dict(json.loads(self.said("--json", "audit", "verify", *options, keyring="--public-key" not in options)))

    def entries(self, resident: UUID) -> list[str]:
        async def work() -> list[str]:
            connection = await asyncpg.connect(self.url)
            rows = await connection.fetch("SELECT chain || '-' || seq AS entry FROM audit WHERE resident = $1 ORDER BY chain, seq", resident)
            await connection.close()
            return [row["entry"] for row in rows]

        return asyncio.run(work())

    def lines(self) -> list[str]:
        return (self.folder / "audit-heads" / "heads.ndjson").read_text().splitlines(keepends=True)

    def rewrite(self, lines: list[str]) -> None:
        (self.folder / "audit-heads" / "heads.ndjson").write_text("".join(lines))


@pytest.fixture
def trail(hub_url: str, tmp_path: Path) -> Audit:
    """Three writers' chains, each signed at its end."""
    made = Audit(hub_url, tmp_path)
    for _ in range(3):
        made.note()
    return made


def on_database(url: str, work: Callable[[asyncpg.Connection[Any]], Coroutine[Any, Any, None]]) -> None:
    async def connected() -> None:
        connection = await asyncpg.connect(url)
        try:
            await work(connection)
        finally:
            await connection.close()

    asyncio.run(connected())


async def rehashed(connection: asyncpg.Connection[Any]) -> None:
    """Give every chain the hashes that fit what it says now, as one can who has the database."""
    secrets = {row["chain"]: row["secret"] for row in await connection.fetch("SELECT * FROM audit_chains")}
    chain, previous = 0, GENESIS
    for row in await connection.fetch("SELECT * FROM audit ORDER BY chain, seq"):
        chain, previous = row["chain"], previous if row["chain"] == chain else GENESIS
        entry = Entry(**{name: row[name] for name in Entry.__struct_fields__})
        previous = entry_hash("sha256", previous, chain, row["seq"], entry, salt_of("sha256", secrets[chain], row["seq"]))
        await connection.execute("UPDATE audit SET hash = $1 WHERE chain = $2 AND seq = $3", previous, chain, row["seq"])


FIRST, LAST = "(SELECT min(chain) FROM audit)", "(SELECT max(chain) FROM audit)"
DAMAGES = {
    "one byte edited": f"UPDATE audit SET actor = 'Organization/y' WHERE chain = {FIRST} AND seq = 2",
    "one byte of a detail": f"UPDATE audit SET detail = '\\x00' WHERE chain = {FIRST} AND seq = 2",
    "one byte of a hash": f"UPDATE audit SET hash = set_byte(hash, 3, get_byte(hash, 3) # 1) WHERE chain = {FIRST} AND seq = 2",
    "the last row deleted": f"DELETE FROM audit WHERE chain = {LAST} AND seq = 5",
    "a middle row deleted": f"DELETE FROM audit WHERE chain = {FIRST} AND seq = 3",
    "two rows swapped": f"UPDATE audit SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE chain = {FIRST} AND seq IN (2, 3); "
    "UPDATE audit SET seq = -seq WHERE seq < 0",
    "the tail cut off, with its order": f"DELETE FROM audit WHERE chain = {LAST} AND seq > 2; UPDATE audit_segments SET last = 2 WHERE chain = {LAST}",
    "a chain dropped entirely": f"DELETE FROM audit_segments WHERE chain = {LAST}; DELETE FROM audit_chains WHERE chain = {LAST}; "
    f"DELETE FROM audit WHERE chain = {LAST}",
    "the first chain dropped and the others moved up": "CREATE TEMP TABLE gone AS SELECT min(chain) AS chain FROM audit; "
    "DELETE FROM audit_segments WHERE chain = (SELECT chain FROM gone); DELETE FROM audit_chains WHERE chain = (SELECT chain FROM gone); "
    "DELETE FROM audit WHERE chain = (SELECT chain FROM gone); UPDATE audit_segments SET position = position - 5",
    "two chains in another order": f"UPDATE audit_segments SET position = position + 100 WHERE chain = {FIRST}; "
    f"UPDATE audit_segments SET position = position - 5 WHERE chain > {FIRST}; UPDATE audit_segments SET position = 10 WHERE position >= 100",
    "an entry slipped in beside the chains": "INSERT INTO audit (chain, seq, at, actor, action, outcome, hash) VALUES (1, -1, now(), 'a', 'b', 'c', '')",
}  # fmt: skip


def test_what_nobody_touched_is_intact_wherever_it_is_verified(trail: Audit, tmp_path: Path) -> None:
    held = trail.kept()
    trail.note(3)
    assert trail.verdict() == trail.verdict(*held) == {"entries": 18, "intact": True}
    trail.said("audit", "export", str(tmp_path / "audit.ndjson"))
    assert trail.verdict(str(tmp_path / "audit.ndjson"), *held) == {"entries": 18, "intact": True}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_found_by_the_files_beside_the_database_and_by_a_head_kept_elsewhere(trail: Audit, tmp_path: Path, damage: str) -> None:
    held, file = trail.kept(), tmp_path / "audit.ndjson"
    execute(trail.url, damage)
    trail.said("audit", "export", str(file))
    for options in ((), held, (str(file), *held)):
        found = trail.verdict(*options)
        assert not found["intact"], options
        assert found["problem"]


def test_the_entry_that_is_missing_is_named(trail: Audit) -> None:
    on_database(trail.url, lambda connection: connection.execute(f"DELETE FROM audit WHERE chain = {FIRST} AND seq = 3"))
    done = trail.command("audit", "verify")
    assert done.returncode == 1
    assert done.stderr.endswith(": entry 3 is missing\n")
    assert done.stderr.count("\n") == 1


def test_a_whole_chain_written_anew_is_found_by_a_head_kept_elsewhere_alone(trail: Audit) -> None:
    held = trail.kept()

    async def attack(connection: asyncpg.Connection[Any]) -> None:
        await connection.execute(f"UPDATE audit SET actor = 'Organization/y' WHERE chain = {FIRST} AND seq = 2")
        await rehashed(connection)

    on_database(trail.url, attack)
    assert trail.verdict(*held[:2])["intact"]
    assert "some of the first 15 entries were changed" in trail.verdict(*held)["problem"]
    assert "signed head 1 does not hold" in trail.verdict()["problem"]


def test_a_hub_put_back_to_an_older_state_is_found_by_a_newer_head_kept_elsewhere(trail: Audit) -> None:
    old, held = trail.lines(), None
    trail.note()
    held = trail.kept()
    execute(trail.url, f"DELETE FROM audit WHERE chain = {LAST}", "DELETE FROM audit_segments WHERE position >= 15")
    trail.rewrite(old)
    assert trail.verdict()["intact"]
    assert trail.verdict(*held)["problem"] == "the head held elsewhere knows 20 entries, and there are 15: entries are missing"


def test_an_old_head_played_again_as_the_newest_is_found(trail: Audit) -> None:
    lines = trail.lines()
    trail.rewrite([*lines, lines[0]])
    assert "heads.ndjson before the newest was changed" in trail.verdict()["problem"]


def cut(lines: list[str]) -> list[str]:
    return lines[:-1]


def edited(lines: list[str]) -> list[str]:
    return [lines[0].replace("[[", "[[1"), *lines[1:]]


def forged(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1][:-20] + ("A" if lines[-1][-20] != "A" else "B") + lines[-1][-19:]]


def dropped(lines: list[str]) -> list[str]:
    return lines[1:]


def emptied(_: list[str]) -> list[str]:
    return []


@pytest.mark.parametrize("tamper", [cut, edited, forged, dropped, emptied])
def test_heads_that_were_tampered_with_stop_the_start_in_one_line(trail: Audit, tamper: Callable[[list[str]], list[str]]) -> None:
    trail.rewrite(tamper(trail.lines()))
    for command in (("serve", "--port", "0"), ("worker",)):
        done = trail.command(*command)
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1
        assert "The audit's record outside the database does not hold" in done.stderr
    assert not trail.verdict()["intact"]


@pytest.mark.parametrize("content", ["{", '{"chain":1,"seq":2,"hash":"00","at":""}', '{"chain":999,"seq":2,"hash":"00","at":""}'])
def test_a_note_of_a_chains_end_that_was_tampered_with_stops_the_start_in_one_line(trail: Audit, content: str) -> None:
    (trail.folder / "audit-heads" / "1.head").write_text(content)
    done = trail.command("serve", "--port", "0")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert not trail.verdict()["intact"]


def test_nothing_is_signed_over_a_log_that_does_not_hold(trail: Audit) -> None:
    before = trail.lines()
    execute(trail.url, f"UPDATE audit SET hash = '\\x00' WHERE chain = {LAST} AND seq = 5")
    trail.note()
    assert trail.lines() == before


def test_a_crash_between_the_file_and_the_table_is_made_good(trail: Audit) -> None:
    execute(trail.url, "DELETE FROM audit_segments WHERE position >= 5")
    with (trail.folder / "audit-heads" / "heads.ndjson").open("a") as file:
        file.write('{"segments":[[4,1,')  # a write that was cut off
    assert trail.verdict() == {"entries": 15, "intact": True}
    trail.note()
    assert trail.verdict(*trail.kept()) == {"entries": 20, "intact": True}


def test_after_a_loss_a_new_log_begins_and_the_old_heads_are_kept(trail: Audit) -> None:
    lines = trail.lines()
    execute(trail.url, f"DELETE FROM audit WHERE chain = {LAST}")
    assert not trail.verdict()["intact"]
    aside = json.loads(trail.said("--json", "audit", "restart", "--reason", "disk lost"))["kept"]
    assert (Path(aside) / "heads.ndjson").read_text() == "".join(lines)
    assert trail.verdict(*trail.kept()) == {"entries": 11, "intact": True}


@pytest.mark.parametrize("suite", ["international", "guomi"])
def test_a_proof_holds_for_a_stranger_and_for_its_own_entry_only(hub_url: str, tmp_path: Path, suite: str) -> None:
    trail = Audit(hub_url, tmp_path, suite)
    trail.note(7)
    trail.note(6)
    _, key, _, head = trail.kept()
    file = tmp_path / "proof.json"
    for number, entry in enumerate(trail.entries(RESIDENT)):
        text = trail.said("audit", "prove", entry)
        file.write_text(text)
        if not number:
            assert json.loads(trail.said("--json", "audit", "check-proof", str(file), "--public-key", key, "--head", head))["holds"]
        assert len(text) + (24 - len(json.loads(text)["path"])) * 67 < 4096  # as it will be at ten million entries
        assert str(NEIGHBOUR) not in text
    stranger = tmp_path / "check_proof.py"
    stranger.write_text(re.findall("```python\n(.+?)```", HOWTO.read_text(), re.DOTALL)[0])
    said = subprocess.run([sys.executable, str(stranger), str(file), key], capture_output=True, text=True, check=True).stdout
    assert str(RESIDENT) in said
    forged = json.loads(text)
    forged["entry"][3] = "Organization/y"
    file.write_text(json.dumps(forged))
    assert trail.command("audit", "check-proof", str(file), "--public-key", key).returncode == 1
    assert subprocess.run([sys.executable, str(stranger), str(file), key], capture_output=True, check=False).returncode == 1


def test_a_later_head_is_proven_to_go_on_from_an_earlier_one(trail: Audit, tmp_path: Path) -> None:
    _, key, _, head = trail.kept()
    trail.note(9)
    file = tmp_path / "proof.json"
    file.write_text(trail.said("audit", "prove", "--since", head))
    assert json.loads(trail.said("--json", "audit", "check-proof", str(file), "--public-key", key))["head"]["size"] == 24
    forged = json.loads(file.read_text())
    forged["path"][0] = "00" * 32
    file.write_text(json.dumps(forged))
    assert trail.command("audit", "check-proof", str(file), "--public-key", key).returncode == 1


def test_a_head_or_proof_of_another_key_is_refused(trail: Audit, tmp_path: Path) -> None:
    held = trail.kept()
    other = Audit(trail.url, tmp_path / "other")
    other.folder.mkdir()
    (other.folder / "key.jwk").write_text('{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",'
                                          '"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}')  # fmt: skip
    done = trail.command("audit", "verify", "--public-key", str(other.folder / "key.jwk"), *held[2:])
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "another key" in done.stderr
