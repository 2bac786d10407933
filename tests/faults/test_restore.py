"""An erasure outlives backups: what was backed up before it, restored after it, shows nothing of the erased resident."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from hub.store import postgres
from hub.store.backup import backup, backup_keys
from schemas.errors import Unavailable
from tests.builders import a_session
from tests.databases import execute
from tests.process import Running, a_hub, command

NAME = "唯一姓名戊"
PASSWORD = "a long enough phrase"


def running(city: Running, work: Callable[[], object]) -> None:
    """Beside the running hub."""
    work()


def stopped(city: Running, work: Callable[[], object]) -> None:
    """Without a hub: the command starts and stops the database itself."""
    assert city.stop() == 0
    work()
    city.again()


def two_residents(city: Running) -> tuple[str, str, dict[str, set[str]]]:
    """One to be erased, one to be kept, and what the hospital sees of each."""
    city.add_party("center", "Center", "fitness-center")
    city.add_party("hospital", "Hospital", "hospital")
    erased, kept = city.resident(NAME, 7), city.resident("Resident 3", 3)
    for resident in (erased, kept):
        city.upload("center", a_session(), resident)
        city.grant(resident, "hospital")
    return erased, kept, {resident: city.shown("hospital", resident) for resident in (erased, kept)}


@pytest.mark.parametrize("when", [running, stopped])
def test_a_backup_from_before_an_erasure_shows_nothing_of_the_erased(tmp_path: Path, when: Callable[[Running, Callable[[], object]], None]) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        erased, kept, seen = two_residents(city)
        assert all(seen.values())
        city.cli("backup", str(file))
        city.cli("resident", "erase", erased)
        later = city.upload("center", a_session("2026-05-09T08:00:00+08:00"), kept)
        when(city, lambda: city.cli("restore", str(file)))

        assert city.shown("hospital", kept) == seen[kept]
        assert not {reference.partition("/")[2] for reference in later["records"][0]["resources"]} & city.shown("center", kept)
        headers = city.bearer("hospital", "system/*.rs")
        for party in ("hospital", "center"):
            assert city.shown(party, erased) == set()
        for path in (f"Patient/{erased}", f"Patient/{erased}/$everything", *(f"Observation/{id_}" for id_ in seen[erased])):
            assert city.http.get(f"/fhir/{path}", headers=headers).status_code == 404
        for path in (f"Patient/{kept}", *(f"Observation/{id_}" for id_ in seen[kept])):
            assert city.http.get(f"/fhir/{path}", headers=headers).status_code == 200
        assert city.audit()["intact"]
        assert not any(name.encode() in found.read_bytes() for name in (NAME,) for found in (file, file.with_name("hub.backup.keys")))


@pytest.mark.parametrize("when", [running, stopped])
def test_a_restore_keeps_what_residents_decided_since_the_backup(tmp_path: Path, when: Callable[[Running, Callable[[], object]], None]) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        city.add_party("hospital", "Hospital", "hospital")
        city.add_party("clinic", "Clinic", "hospital")
        withdrawn, changing = city.resident("Resident 2", 2), city.resident("Resident 3", 3)
        for resident in (withdrawn, changing):
            city.upload("center", a_session(), resident)
        consent = city.grant(withdrawn, "hospital")
        long_dead, deceased = city.resident("Resident 4", 4), city.resident("Resident 5", 5)
        city.upload("center", a_session(), deceased)
        city.grant(deceased, "hospital")
        died(city, long_dead)
        city.cli("user", "add", "child", "--role", "resident", "--resident", changing, "--name", "Child", "--password-file", str(password_file(city)))
        relative = city.cli("resident", "relative", long_dead, "--login", "child", "--reason", "insurance, papers seen")["representative_id"]
        browser = signed_in(city, withdrawn)
        cookies = dict(browser.cookies)
        page = browser.get("/resident").text
        city.cli("backup", str(file))

        assert browser.post("/sign-out", data={"csrf": token_in(page)}).status_code == 303
        city.cli("consent", "withdraw", "--resident", withdrawn, consent)
        city.grant(withdrawn, "clinic")
        died(city, deceased)
        city.cli("resident", "unrepresent", long_dead, relative)
        new = city.grant(changing, "hospital")
        assert city.shown("hospital", withdrawn) == set()
        assert city.shown("hospital", changing) != set()
        when(city, lambda: city.cli("restore", str(file)))

        assert city.shown("hospital", withdrawn) == set()
        assert city.shown("clinic", withdrawn) == city.shown("center", withdrawn) != set()
        assert city.shown("hospital", deceased) == city.shown("center", deceased) == set()
        deaths = {one["resident"]: one for one in city.cli("resident", "deaths")}
        assert deaths[deceased]["confirmed"]
        assert deaths[long_dead]["relatives"][0]["ended"]
        browser.cookies.update(cookies)
        assert browser.get("/resident").headers["Location"].startswith("/sign-in")
        browser.close()
        city.cli("consent", "withdraw", "--resident", changing, new)
        assert city.shown("hospital", changing) == set()
        assert [one["status"] for one in city.cli("consent", "list", "--resident", withdrawn)] == ["inactive", "active"]
        assert city.audit()["intact"]


def died(city: Running, resident: str) -> None:
    """Recorded by the operator, confirmed by an administrator."""
    city.cli("resident", "died", resident, "--on", "2026-05-01", "--evidence", "a certificate of a hospital")
    login = f"admin-{resident[:8]}"
    city.cli("user", "add", login, "--role", "admin", "--name", "Admin", "--password-file", str(password_file(city)))
    with closing(browsing(city, login)) as browser:
        page = browser.get("/admin/deaths").text
        assert browser.post(f"/admin/deaths/{resident}/confirm", data={"csrf": token_in(page)}).status_code == 303, resident


def password_file(city: Running) -> Path:
    password = city.folder.with_name("password")
    password.write_text(PASSWORD)
    return password


def signed_in(city: Running, resident: str) -> httpx.Client:
    """A browser in which a resident has signed in, and which keeps its cookie whatever it is told."""
    city.cli("user", "add", "wang", "--role", "resident", "--resident", resident, "--name", "Resident", "--password-file", str(password_file(city)))
    return browsing(city, "wang")


def browsing(city: Running, login: str) -> httpx.Client:
    browser = httpx.Client(base_url=city.url, headers={"Origin": city.url})
    form = {"login": login, "password": PASSWORD, "csrf": token_in(browser.get("/sign-in").text)}
    assert browser.post("/sign-in", data=form).headers["Location"] in ("/resident", "/admin")
    return browser


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def test_nobody_else_reads_a_backup_while_it_is_written(tmp_path: Path) -> None:
    """The tool opens the file before it asks the database: this one is not there, and what was made so far lies there."""
    file, before = tmp_path / "hub.backup", os.umask(0)
    try:
        for write in (backup, backup_keys):
            with pytest.raises(Unavailable):
                write(f"postgresql://nobody@/none?host={tmp_path}", file)
    finally:
        os.umask(before)
    made = [one for one in tmp_path.iterdir() if one.name.startswith("hub.backup")]
    assert made
    assert {one.stat().st_mode & 0o777 for one in made} == {0o600}


def test_keys_of_before_an_erasure_open_the_others_of_an_earlier_backup(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        erased, kept, seen = two_residents(city)
        city.cli("backup", str(file))
        city.cli("resident", "erase", erased)
        lost(city)
        city.cli("restore", str(file))
        assert city.shown("hospital", kept) == seen[kept]
        assert city.shown("hospital", erased) == set()
        headers = city.bearer("hospital", "system/*.rs")
        assert all(city.http.get(f"/fhir/Observation/{id_}", headers=headers).status_code == 404 for id_ in seen[erased])


def test_keys_written_afresh_after_rotations_open_an_earlier_backup(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        _, kept, seen = two_residents(city)
        city.cli("backup", str(file))
        old = file.with_name("hub.backup.keys").read_bytes()
        for _ in range(2):
            city.cli("keys", "rotate", "--erasure")
        before = file.read_bytes()
        assert city.cli("backup", "--keys-only", str(file))["keys"] == f"{file}.keys"
        assert file.read_bytes() == before
        assert file.with_name("hub.backup.keys").stat().st_mode & 0o777 == 0o600

        lost(city)
        city.cli("restore", str(file))
        assert city.shown("hospital", kept) == seen[kept]

        lost(city)
        file.with_name("hub.backup.keys").write_bytes(old)
        city.cli("restore", str(file))
        assert city.stop() == 0
        city.again()
        answer = city.http.get("/fhir/Observation", params={"patient": kept}, headers=city.bearer("hospital", "system/*.rs"))
        assert answer.status_code == 500  # the keys of before both rotations open nobody


def test_a_hold_placed_since_a_backup_still_stands_after_it_is_restored(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        _, kept, _ = two_residents(city)
        released = city.cli("resident", "hold", kept, "--reason", "ended")["hold_id"]
        city.cli("backup", str(file))
        city.cli("resident", "release", kept, released)
        held = city.cli("resident", "hold", kept, "--reason", "case 12")["hold_id"]
        city.cli("restore", str(file))
        assert [hold["hold_id"] for hold in city.cli("resident", "holds")] == [held]


def lost(city: Running) -> None:
    """The key table is lost, so that a restore takes FILE.keys."""
    with postgres.connect(city.folder) as dsn:
        line = [postgres.binaries() / "psql", "-XAtqc", "DELETE FROM data_keys"]
        subprocess.run(line, env=postgres.environment(dsn), check=True)


def test_a_backup_from_before_a_column_was_added_is_restored(tmp_path: Path) -> None:
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        _, kept, seen = two_residents(city)
        assert city.stop() == 0
        with postgres.connect(tmp_path / "hub") as dsn:
            here = urlsplit(dsn)
            execute(dsn, f'CREATE DATABASE older TEMPLATE "{here.path[1:]}"')
            older = urlunsplit(here._replace(path="/older"))
            execute(older, "ALTER TABLE parties DROP COLUMN token_url", "UPDATE alembic_version SET version_num = '0003'")
            backup(older, file)
        city.cli("restore", str(file))
        city.again()
        assert city.shown("hospital", kept) == seen[kept]


def test_a_file_that_is_no_whole_backup_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    whole, cut, other = tmp_path / "hub.backup", tmp_path / "cut.backup", tmp_path / "other.backup"
    with a_hub(tmp_path / "hub") as city:
        _, kept, seen = two_residents(city)
        city.cli("backup", str(whole))
        cut.write_bytes(whole.read_bytes()[:-900])
        other.write_text("no backup at all")
        for file in (cut, other):
            done = command(city.folder, "restore", str(file))
            assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
            assert city.shown("hospital", kept) == seen[kept]
        assert city.audit()["intact"]
        city.cli("restore", str(whole))
        assert city.shown("hospital", kept) == seen[kept]


def test_a_restore_that_fails_on_its_way_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    """The backup reads to its end, but a table in it has a column that is not known here."""
    file, next_one = tmp_path / "hub.backup", tmp_path / "next.backup"
    with a_hub(tmp_path / "hub") as city:
        _, kept, seen = two_residents(city)
        assert city.stop() == 0
        with postgres.connect(tmp_path / "hub") as dsn:
            here = urlsplit(dsn)
            execute(dsn, f'CREATE DATABASE newer TEMPLATE "{here.path[1:]}"')
            newer = urlunsplit(here._replace(path="/newer"))
            execute(newer, "ALTER TABLE parties ADD COLUMN unheard_of integer")
            backup(newer, file)
        city.again()
        done = command(city.folder, "restore", str(file))
        assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
        assert "unheard_of" in done.stderr
        assert city.shown("hospital", kept) == seen[kept]
        assert city.audit()["intact"]
        city.cli("backup", str(next_one))
        contents = subprocess.run([postgres.binaries() / "pg_restore", "--list", next_one], capture_output=True, text=True, check=True).stdout
        assert " public " in contents
        assert " kept " not in contents


def test_an_external_database_is_backed_up_and_restored(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP and on any version when KINEHUB_TEST_DATABASE_URL says so: pg_restore 18 sets what a server before 17 does not know."""
    monkeypatch.setenv("KINEHUB_KEYRING", str(tmp_path / "keyring.json"))
    monkeypatch.setenv("KINEHUB_DATABASE_URL", database_url)
    file, folder = tmp_path / "hub.backup", tmp_path / "state"
    for words in (f"party add Kiosk --kind kiosk --key-out {tmp_path / 'key.jwk'}", f"backup {file}"):
        done = command(folder, *words.split())
        assert done.returncode == 0, done.stderr
    execute(database_url, "DELETE FROM parties")
    done = command(folder, "restore", str(file))
    assert done.returncode == 0, done.stderr
    assert "Kiosk" in command(folder, "party", "list").stdout


def test_the_tools_find_a_server_by_any_form_of_its_url() -> None:
    tcp = postgres.environment("postgresql://hub:p%40ss@db.example:6432/kine%20hub?sslmode=verify-full")
    named = {"PGHOST": "db.example", "PGPORT": "6432", "PGUSER": "hub", "PGPASSWORD": "p@ss", "PGDATABASE": "kine hub", "PGSSLMODE": "verify-full"}
    assert named.items() <= tcp.items()
    socket = postgres.environment("postgresql://hub:secret@/kinehub?host=/run/postgres")
    assert (socket["PGHOST"], socket["PGPORT"], socket["PGDATABASE"]) == ("/run/postgres", "5432", "kinehub")


def test_an_account_that_was_ended_stays_ended_after_a_restore(tmp_path: Path) -> None:
    """Whether before the backup or since; and a password that was changed since is the one that counts."""
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        people = {login: city.resident(f"Resident {order}", order) for order, login in enumerate(("before", "since", "changed", "stays"), 2)}
        for login, resident in people.items():
            city.cli("user", "add", login, "--role", "resident", "--resident", resident, "--name", login, "--password-file", str(password_file(city)))
        assert city.stop() == 0
        with postgres.connect(tmp_path / "hub") as dsn:
            execute(dsn, f"UPDATE accounts SET ended = now() WHERE resident = '{people['before']}'")
            backup(dsn, file)
            execute(dsn, f"UPDATE accounts SET ended = now() WHERE resident = '{people['since']}'")
            execute(dsn, f"UPDATE accounts SET password = NULL WHERE resident = '{people['changed']}'")
        city.cli("restore", str(file))
        city.again()
        assert {login: enters(city, login) for login in people} == {"before": False, "since": False, "changed": False, "stays": True}


def test_what_was_taken_from_somebody_since_a_backup_is_not_given_back_by_a_restore(tmp_path: Path) -> None:
    """A lead's rights, a colleague's code that was taken back or used, an emergency access that the resident ended."""
    file = tmp_path / "hub.backup"
    with a_hub(tmp_path / "hub") as city:
        city.add_party("clinic", "Clinic", "hospital")
        resident, clinic = city.resident(NAME, 7), city.parties["clinic"]["party_id"]
        for login in ("stays", "leaves"):
            named = ("--role", "doctor", "--name", login, "--party", clinic, "--lead")
            city.cli("user", "add", login, *named, "--password-file", str(password_file(city)))
        assert city.stop() == 0
        with postgres.connect(tmp_path / "hub") as dsn:
            execute(dsn, "INSERT INTO invitations (code, id, party, role, lead, name, expires, made_by) SELECT '1', id, party, role, lead, name, "
                    "now() + interval '7 days', id FROM accounts LIMIT 1")  # fmt: skip
            execute(dsn, "INSERT INTO emergencies (bucket, id, resident, account, party, expires) SELECT r.bucket, a.id, r.id, a.id, a.party, "
                    f"now() + interval '1 day' FROM accounts a, residents r WHERE r.id = '{resident}' LIMIT 1")  # fmt: skip
            backup(dsn, file)
            execute(dsn, "UPDATE accounts SET lead = false WHERE id = (SELECT max(id::text)::uuid FROM accounts)")
            execute(dsn, "DELETE FROM invitations")
            execute(dsn, "UPDATE emergencies SET ended = now()")
        city.cli("restore", str(file))
        with postgres.connect(tmp_path / "hub") as dsn:
            left = ("SELECT count(*) FROM accounts WHERE lead", "SELECT count(*) FROM invitations", "SELECT count(*) FROM emergencies WHERE ended IS NULL")
            assert [counted(dsn, statement) for statement in left] == [1, 0, 0]


def counted(dsn: str, statement: str) -> int:
    async def work() -> int:
        connection = await asyncpg.connect(dsn)
        try:
            return int(await connection.fetchval(statement))
        finally:
            await connection.close()

    return asyncio.run(work())


def enters(city: Running, login: str) -> bool:
    with httpx.Client(base_url=city.url) as browser:
        fields = {"csrf": token_in(browser.get("/sign-in").text), "login": login, "password": password_file(city).read_text().strip(), "next": ""}
        browser.post("/sign-in", data=fields)
        return browser.get("/resident").status_code == 200
