"""The embedded PostgreSQL's life and deaths, on real servers."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import hub
import schemas
from hub.store import database, launch, postgres
from schemas.errors import Conflict, Unavailable

HUB = """
import os, sys
from pathlib import Path
from hub.store import postgres
with postgres.lock(Path(sys.argv[1])):
    server = postgres.start(Path(sys.argv[1]))
    print(server.pid, server.dsn, flush=True)
    sys.stdin.read()
    server.stop()
"""
COMMAND = """
import sys
from pathlib import Path
from hub.store import postgres
with postgres.connect(Path(sys.argv[1])) as dsn:
    print(0, dsn, flush=True)
    sys.stdin.read()
"""
INTRUDER = """
import os, socket, sys
folder, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
for attempt in (lambda: os.listdir(folder), lambda: socket.socket(socket.AF_UNIX).connect(folder + "/.s.PGSQL.5432")):
    try:
        attempt()
        print("entered")
    except PermissionError:
        print("refused")
"""
STRANGER = """
import os, sys
if os.geteuid() == 0:
    os.setresuid(*[os.stat(sys.argv[1] + "/postgres").st_uid] * 3)
print(os.getpid(), "runs", flush=True)
sys.stdin.read()
"""
ORPHAN = """
import os, sys
from hub.store import launch
uid, gid, *command = sys.argv[1:]
if int(uid) != os.geteuid():
    launch.become(int(uid), int(gid), [launch.CAP_DAC_OVERRIDE, launch.CAP_DAC_READ_SEARCH])
os.execv(command[0], command)
"""
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it changes the account of a child")


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    """One data directory for many tests: what one leaves behind, even a dying server, must not trouble the next."""
    made = Path(tempfile.mkdtemp(prefix="kinehub-test-", dir="/tmp"))
    made.chmod(0o755)
    with postgres.connect(made / "hub"):
        pass
    yield made / "hub"
    eventually(lambda: removed(made))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that anyone may enter, so that what is closed inside is closed by the hub."""
    made = Path(tempfile.mkdtemp(prefix="kinehub-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    eventually(lambda: removed(made))


@pytest.fixture
def copied(folder: Path, data_dir: Path) -> Path:
    """A directory that may be spoilt."""
    with postgres.lock(data_dir):
        postgres.start(data_dir).stop()
        subprocess.run(["cp", "-a", data_dir, folder / "hub"], check=True)
    return folder / "hub"


def removed(folder: Path) -> bool:
    # Killed programs of PostgreSQL tidy up behind themselves while we do.
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.fixture(scope="module")
def house() -> Iterator[Path]:
    """The project and PostgreSQL's binaries copied out of the tree the tests run in: PYTHONPATH for a hub that lives elsewhere."""
    made = Path(tempfile.mkdtemp(prefix="kinehub-house-", dir="/tmp"))
    made.chmod(0o755)
    wheel = postgres.binaries().parents[1]
    for package in (hub, schemas):
        shutil.copytree(_folder_of(package), made / _folder_of(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(wheel / "pginstall18", made / wheel.name / "pginstall18", symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), made / f"{wheel.name}.libs")
    (made / wheel.name / "__init__.py").write_text("raise ImportError('the start-up code of the wheel is not used')\n")
    yield made
    shutil.rmtree(made)


def _folder_of(package: Any) -> Path:
    return Path(package.__path__[0])


def ask(dsn: str, *statements: str) -> Any:
    """Run statements and give the first value of the last."""

    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def keep(dsn: str) -> int:
    """Commit a number that only this test knows."""
    number = secrets.randbelow(1 << 30)
    ask(dsn, "CREATE TABLE IF NOT EXISTS kept (n int)", f"INSERT INTO kept VALUES ({number})", "SELECT 1")
    return number


def kept(dsn: str, number: int) -> bool:
    return bool(ask(dsn, f"SELECT EXISTS (SELECT FROM kept WHERE n = {number})"))


@contextmanager
def process(script: str, data_dir: Path, python: str = sys.executable, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A hub or command in a process of its own; it ends when its input does."""
    child = subprocess.Popen([python, "-c", script, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
    with child:
        try:
            yield child
        except BaseException:
            child.kill()
            raise


def answer(child: subprocess.Popen[str]) -> tuple[int, str]:
    """The server's process and dsn, as the child says them."""
    assert child.stdout
    pid, dsn = child.stdout.readline().split()
    return int(pid), dsn


def eventually(condition: Callable[[], Any]) -> Any:
    """Ask again until it is so: for what happens inside a folder while a program that is not ours works there, which nothing announces."""
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)
    return found


def said_line(pipe: IO[str] | None, words: str) -> str:
    """The first line with these words; waits for it, and fails when the pipe ends without."""
    assert pipe
    return next(line for line in pipe if words in line)


def ended(pid: int) -> bool:
    """Wait for the end of a process that need not be our child."""
    with suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            return bool(select.select([pidfd], [], [], 30)[0])
        finally:
            os.close(pidfd)
    return True


def slay(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)


def modes(*folders: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of folders, of everything in them, and of everything above them."""
    found = {path for folder in folders for path in (folder, *folder.rglob("*"), *folder.parents)}
    return {path: (status.st_mode, status.st_uid, status.st_gid) for path in found for status in [path.lstat()]}


def test_a_first_start_makes_the_database_and_a_second_one_keeps_what_was_written(folder: Path) -> None:
    data_dir = folder / "above" / "hub"
    with postgres.lock(data_dir):
        first = postgres.start(data_dir)
        number = keep(first.dsn)
        first.stop()
        assert not first.alive()
        second = postgres.start(data_dir)
        assert second.alive()
        assert kept(second.dsn, number)
        second.stop()
        second.stop()


def test_the_cluster_is_durable_checked_and_sorted_by_code_point(postgres_dsn: str) -> None:
    wanted = {
        "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on", "listen_addresses": "",
        "server_encoding": "UTF8", "TimeZone": "UTC", "jit": "off", "max_connections": "60",
    }  # fmt: skip
    assert {name: ask(postgres_dsn, f"SELECT current_setting('{name}')") for name in wanted} == wanted
    assert ask(postgres_dsn, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = current_database()") == "bC.UTF-8"


def test_the_servers_role_is_no_superuser_and_the_superuser_cannot_sign_in(postgres_dsn: str) -> None:
    assert ask(postgres_dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        ask(postgres_dsn, "SELECT pg_read_file('/etc/passwd')")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        ask(postgres_dsn.replace("://kinehub:", "://postgres:"), "SELECT 1")


def test_a_wrong_password_is_refused(postgres_dsn: str) -> None:
    password = urlsplit(postgres_dsn).password
    assert password
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(postgres_dsn.replace(password, "wrong"), "SELECT 1")
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(postgres_dsn.replace(f":{password}", ""), "SELECT 1")


def test_asyncpg_sqlalchemy_and_libpq_read_the_same_dsn(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "5433")

    async def by_sqlalchemy() -> Any:
        engine = create_async_engine(database.driver_url(postgres_dsn))
        try:
            async with engine.connect() as connection:
                return await connection.scalar(text("SELECT current_user"))
        finally:
            await engine.dispose()

    by_psql = subprocess.check_output([postgres.binaries() / "psql", "-Atc", "SELECT current_user", postgres_dsn], text=True)
    assert (ask(postgres_dsn, "SELECT current_user"), asyncio.run(by_sqlalchemy()), by_psql.strip()) == ("kinehub",) * 3


def test_the_environment_leads_pg_dump_and_pg_basebackup_to_the_server(data_dir: Path, folder: Path) -> None:
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        number = keep(server.dsn)
        dump = subprocess.check_output([server.bin_dir / "pg_dump"], env=server.environment(), text=True)
        subprocess.run([server.bin_dir / "pg_basebackup", "-D", folder / "base", "-c", "fast"], env=server.environment(), check=True)
        server.stop()
    assert f"\n{number}\n" in dump
    assert (folder / "base" / "PG_VERSION").exists()


def test_each_test_database_is_empty_and_may_be_written(database_url: str) -> None:
    assert ask(database_url, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    number = keep(database_url)
    assert kept(database_url, number)


def test_a_killed_hub_takes_its_server_along(data_dir: Path) -> None:
    with process(HUB, data_dir) as hub_process:
        pid, _ = answer(hub_process)
        hub_process.kill()
        assert ended(pid)


def test_a_hub_that_forgets_to_stop_takes_its_server_along(data_dir: Path) -> None:
    with process(HUB.replace("server.stop()", ""), data_dir) as hub_process:
        pid, _ = answer(hub_process)
        hub_process.communicate()
        assert hub_process.returncode == 0
        assert ended(pid)


def test_a_second_start_right_after_the_hub_was_killed_keeps_what_was_committed(data_dir: Path) -> None:
    with process(HUB, data_dir) as hub_process:
        pid, dsn = answer(hub_process)
        number = keep(dsn)
        hub_process.kill()
        hub_process.wait()
        with postgres.lock(data_dir):
            server = postgres.start(data_dir)
            assert server.pid != pid
            assert kept(server.dsn, number)
            server.stop()


def test_a_server_orphaned_by_its_hub_is_shut_down_by_the_next_start(data_dir: Path) -> None:
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        number = keep(server.dsn)
        command = [os.fsdecode(part) for part in Path(f"/proc/{server.pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        server.stop()
        owner = (data_dir / "postgres").stat()
        account = [str(owner.st_uid), str(owner.st_gid)]
        with subprocess.Popen([sys.executable, "-c", ORPHAN, *account, *command], stderr=subprocess.PIPE, text=True) as orphan:
            said_line(orphan.stderr, "ready to accept connections")
            again = postgres.start(data_dir)
            _, last_words = orphan.communicate()
        assert "received fast shutdown request" in last_words
        assert "database system is shut down" in last_words
        assert kept(again.dsn, number)
        again.stop()


def _has_pid_file(data_dir: Path) -> bool:
    return (data_dir / "postgres" / "postmaster.pid").exists()


def test_a_server_that_was_killed_is_not_alive_and_starts_again(data_dir: Path) -> None:
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        number = keep(server.dsn)
        slay(server.pid)
        assert not server.alive()
        again = postgres.start(data_dir)
        assert kept(again.dsn, number)
        server.stop()
        assert again.alive()
        again.stop()


def test_a_backend_too_busy_to_notice_its_servers_death_does_not_block_the_next_start(data_dir: Path) -> None:
    busy = "DO $$ BEGIN RAISE NOTICE 'busy'; WHILE clock_timestamp() < now() + interval '1 min' LOOP END LOOP; END $$"
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        with subprocess.Popen([server.bin_dir / "psql", "-c", busy], env=server.environment(), stderr=subprocess.PIPE, text=True) as client:
            said_line(client.stderr, "busy")
            slay(server.pid)
            again = postgres.start(data_dir)
            assert client.wait() != 0
        assert ask(again.dsn, "SELECT 1") == 1
        again.stop()


def test_a_number_in_a_stale_pid_file_that_is_a_strangers_by_now_harms_neither(data_dir: Path) -> None:
    noted = data_dir / "postgres" / "postmaster.pid"
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        said = noted.read_text()
        slay(server.pid)
        assert not server.alive()
        with process(STRANGER, data_dir) as stranger:
            pid, _ = answer(stranger)
            noted.write_text(said.replace(str(server.pid), str(pid), 1))
            postgres.start(data_dir).stop()
            assert stranger.poll() is None


@pytest.mark.parametrize("moment", ["postgres.new-*", "postgres.new-*/global/pg_control", "postgres"])
def test_a_first_start_killed_at_any_moment_leaves_nothing_in_the_way(folder: Path, moment: str) -> None:
    data_dir = folder / "hub"
    with process(HUB, data_dir) as hub_process:
        eventually(lambda: list(data_dir.glob(moment)))
        hub_process.kill()
        hub_process.wait()
        with postgres.connect(data_dir) as dsn:
            assert ask(dsn, "SELECT current_database()") == "kinehub"
        with postgres.connect(data_dir):
            pass
    assert not list(data_dir.glob("postgres.new-*"))


def test_the_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    started: list[postgres.Server] = []
    with postgres.lock(data_dir):
        starter = threading.Thread(target=lambda: started.append(postgres.start(data_dir)))
        starter.start()
        starter.join()
        assert ask(started[0].dsn, "SELECT 1") == 1
        started[0].stop()


def test_a_second_hub_is_refused_with_the_process_that_has_the_directory(data_dir: Path) -> None:
    with process(HUB, data_dir) as hub_process:
        answer(hub_process)
        said = rf"^Another hub \(process {hub_process.pid}\) is using {re.escape(str(data_dir))}\.$"
        with pytest.raises(Conflict, match=said), postgres.lock(data_dir):
            pass


def test_the_lock_is_free_again_after_its_holder_was_killed(data_dir: Path) -> None:
    with process(HUB, data_dir) as hub_process:
        answer(hub_process)
        slay(hub_process.pid)
        with postgres.lock(data_dir):
            assert (data_dir / "hub.lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_that_cannot_be_made_is_said_in_one_line(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(Unavailable, match=r"file/hub cannot be used: Not a directory\.$"), postgres.lock(folder / "file" / "hub"):
        pass


def test_a_command_uses_the_server_of_a_running_hub(data_dir: Path) -> None:
    with process(HUB, data_dir) as hub_process:
        pid, dsn = answer(hub_process)
        with postgres.connect(data_dir) as found:
            assert found == dsn
            assert ask(found, "SELECT 1") == 1
        os.kill(pid, 0)
        assert ask(dsn, "SELECT 1") == 1


def test_a_command_without_a_hub_starts_the_server_and_stops_it(data_dir: Path) -> None:
    with postgres.connect(data_dir) as dsn:
        number = keep(dsn)
    assert not _has_pid_file(data_dir)
    with postgres.lock(data_dir), pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        ask(dsn, "SELECT 1")
    with postgres.connect(data_dir) as dsn:
        assert kept(dsn, number)


def test_a_command_that_started_the_server_waits_for_the_others_that_use_it(data_dir: Path) -> None:
    with process(COMMAND, data_dir) as first:
        answer(first)
        with postgres.connect(data_dir) as dsn:
            assert first.stdin
            first.stdin.close()
            assert [ask(dsn, "SELECT 1") for _ in range(5)] == [1] * 5
            assert first.poll() is None
        assert first.wait() == 0
    assert not _has_pid_file(data_dir)


def test_commands_that_come_all_at_once_are_all_served(data_dir: Path) -> None:
    with process(COMMAND, data_dir) as one, process(COMMAND, data_dir) as two, process(COMMAND, data_dir) as three:
        dsns = {answer(child)[1] for child in (one, two, three)}
        assert len(dsns) == 1
        for child in (one, two, three):
            assert child.stdin
            child.stdin.close()
        assert [child.wait() for child in (one, two, three)] == [0, 0, 0]


def test_a_lost_password_file_is_made_anew(data_dir: Path) -> None:
    with postgres.connect(data_dir) as before:
        pass
    (data_dir / "postgres.password").unlink()
    with postgres.connect(data_dir) as after:
        assert after != before
        assert ask(after, "SELECT 1") == 1


def test_a_server_that_cannot_start_says_why(copied: Path) -> None:
    (copied / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(Unavailable, match=r"PostgreSQL did not start: .*pg_control"), postgres.connect(copied):
        pass


def test_secrets_and_socket_are_for_the_owner_only(data_dir: Path) -> None:
    with postgres.connect(data_dir):
        private = {path: oct(path.stat().st_mode & 0o777) for path in (data_dir / "run", data_dir / "postgres", data_dir / "log", data_dir)}
        files = {path: oct(path.stat().st_mode & 0o777) for path in (data_dir / "postgres.password", data_dir / "log" / "postgres.log")}
    assert set(private.values()) == {"0o700"}
    assert set(files.values()) == {"0o600"}


def test_a_path_too_long_for_a_socket_gets_a_private_folder_elsewhere_and_keeps_it(folder: Path, copied: Path) -> None:
    deep = folder / ("d" * 120)
    copied.rename(deep)
    with postgres.connect(deep) as dsn:
        number = keep(dsn)
    sockets = Path((deep / "socket").read_text().strip())
    try:
        assert oct(sockets.stat().st_mode & 0o777) == "0o700"
        with postgres.connect(deep) as dsn:
            assert str(sockets) in dsn
            assert kept(dsn, number)
        sockets.chmod(0o777)
        with postgres.connect(deep) as dsn:
            moved = Path((deep / "socket").read_text().strip())
            assert moved != sockets
        shutil.rmtree(moved)
    finally:
        shutil.rmtree(sockets)


def test_a_data_directory_may_have_any_name_and_move(copied: Path) -> None:
    for name in ("with space", "a,b:5432", "per%cent&more?", "数据"):
        copied = copied.rename(copied.with_name(name))
        with postgres.connect(copied) as dsn:
            assert ask(dsn, "SELECT 1") == 1
    shutil.rmtree((copied / "socket").read_text().strip())


def test_the_log_holds_nothing_of_what_statements_carry(data_dir: Path) -> None:
    marker = f"resident{secrets.token_hex(8)}"
    failing = {
        "INSERT INTO people VALUES ($1)": asyncpg.UniqueViolationError,
        "SELECT $1::text::date": asyncpg.InvalidDatetimeFormatError,
        "INSERT INTO short VALUES ($1)": asyncpg.StringDataRightTruncationError,
        "SELECT pg_temp.loud($1)": asyncpg.RaiseError,
    }

    async def provoke(dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TEMP TABLE people (name text PRIMARY KEY); CREATE TEMP TABLE short (name varchar(3))")
        await connection.execute(
            "CREATE FUNCTION pg_temp.loud(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '%', t; RAISE EXCEPTION '%', t; END $$"
        )
        await connection.execute("INSERT INTO people VALUES ($1)", marker)
        for statement, error in failing.items():
            with pytest.raises(error):
                await connection.execute(statement, marker)
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.execute(f"SELEC '{marker}'")
        await connection.close()

    with postgres.connect(data_dir) as dsn:
        asyncio.run(provoke(dsn))
    logged = "".join(path.read_text() for path in (data_dir / "log").iterdir())
    assert "ready to accept connections" in logged
    assert marker not in logged


def test_a_crash_in_a_statement_is_logged_without_the_statement(data_dir: Path) -> None:
    marker = f"resident{secrets.token_hex(8)}"
    with postgres.connect(data_dir) as dsn:
        sleeping = f"DO $$ BEGIN RAISE NOTICE 'backend %', pg_backend_pid(); PERFORM '{marker}', pg_sleep(60); END $$"
        command = [str(postgres.binaries() / "psql"), "-c", sleeping]
        with subprocess.Popen(command, env=postgres.environment(dsn), stderr=subprocess.PIPE, text=True) as client:
            os.kill(int(said_line(client.stderr, "backend").split()[-1]), signal.SIGKILL)
            assert client.wait() != 0
        while subprocess.run([*command[:1], "-c", "SELECT 1"], env=postgres.environment(dsn), capture_output=True, check=False).returncode:
            pass  # it serves again by itself; one that is told to end while it recovers takes half a minute
    logged = (data_dir / "log" / "postgres.log").read_text()
    assert "was terminated by signal 9" in logged
    assert marker not in logged


def test_the_server_knows_nothing_of_the_hubs_environment(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEHUB_SECRET", "not for PostgreSQL")
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        assert b"KINEHUB" not in Path(f"/proc/{server.pid}/environ").read_bytes()
        server.stop()


@only_root
def test_another_local_user_can_neither_enter_the_sockets_folder_nor_connect(data_dir: Path) -> None:
    with postgres.connect(data_dir):
        data_dir.chmod(0o755)
        assert oct((data_dir / "run").stat().st_mode & 0o777) == "0o700"
        stranger = str(pwd.getpwnam("daemon").pw_uid)
        said = subprocess.check_output([sys.executable, "-c", INTRUDER, str(data_dir / "run"), stranger], text=True)
    data_dir.chmod(0o700)
    assert said.split() == ["refused", "refused"]


@only_root
def test_postgresql_never_runs_as_root_and_may_only_search_closed_folders(data_dir: Path) -> None:
    with postgres.lock(data_dir):
        server = postgres.start(data_dir)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if ":\t" in line)
        server.stop()
    assert "0" not in status["Uid"].split() + status["Gid"].split() + status["Groups"].split()
    executable = (postgres.binaries() / "postgres").stat().st_mode & 0o001
    allowed = 1 << launch.CAP_DAC_READ_SEARCH | (0 if executable else 1 << launch.CAP_DAC_OVERRIDE)
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb", "CapInh")} == {allowed}
    assert status["NoNewPrivs"] == "1"


@only_root
def test_root_starts_it_from_a_closed_project_on_a_closed_directory_and_opens_no_folder(house: Path, folder: Path) -> None:
    closed, data_dir = folder / "closed", folder / "closed" / "data" / "hub"
    shutil.copytree(house, closed / "project", symlinks=True)
    data_dir.mkdir(parents=True)
    for path in (closed, *closed.rglob("*")):
        path.chmod(path.lstat().st_mode & 0o700, follow_symlinks=True) if not path.is_symlink() else None
    before = modes(closed)
    environment = os.environ | {"PYTHONPATH": str(closed / "project"), "PYTHONDONTWRITEBYTECODE": "1"}
    with process(HUB, data_dir, env=environment) as hub_process:
        pid, dsn = answer(hub_process)
        assert str(closed) in str(Path(f"/proc/{pid}/exe").readlink())
        number = keep(dsn)
        assert {path: found for path, found in modes(closed).items() if path in before} == before
        slay(hub_process.pid)
        assert ended(pid)
    with process(HUB, data_dir, env=environment) as hub_process:
        assert kept(answer(hub_process)[1], number)
        hub_process.communicate()
    assert {path: found for path, found in modes(closed).items() if path in before} == before


@only_root
def test_a_hub_without_root_runs_it_as_itself(house: Path, folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    environment = {"PYTHONPATH": str(house), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    python = _python_for(environment, account)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    with process(HUB, folder / "hub", python, env=environment, **account) as hub_process:
        pid, dsn = answer(hub_process)
        assert Path(f"/proc/{pid}").stat().st_uid == nobody.pw_uid
        number = keep(dsn)
        slay(hub_process.pid)
        assert ended(pid)
    with process(HUB, folder / "hub", python, env=environment, **account) as hub_process:
        assert kept(answer(hub_process)[1], number)
        hub_process.communicate()
    with postgres.connect(folder / "hub") as dsn:
        assert kept(dsn, number)


def _python_for(environment: dict[str, str], account: dict[str, Any]) -> str:
    """An interpreter that the account can reach: ours may lie in root's closed home."""
    attempt = ["-c", "import hub.store.postgres"]
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with suppress(OSError):
            if not subprocess.call([python, *attempt], env=environment, stderr=subprocess.DEVNULL, **account):
                return python
    pytest.skip("no Python 3.11 that an account without rights can reach")
