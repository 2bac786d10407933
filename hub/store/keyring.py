"""The keyring: every key that is not in the database, and the head of the tombstone ledger beside it.

    kek       key-encryption keys, by number; the newest wraps            } in the back end: the keyring file itself, a PKCS#11 token
    erasure   one puncturable key per month, its seeds under a key there  } or a transit engine (hub/store/backend.py)
    index     blind tokens of identifiers; hub   the hub's own sealed values; signing   ES256, audit roots and access tokens:
              in the file, sealed under the back end's key `local` (`local-2`, `local-3` … after rotations)

A data key is wrapped twice, under its leaf of the month's erasure key and then under the key-encryption key. Erasing a resident punctures
the month's key: its seeds but for that leaf are sealed under a new key of the back end, and the key before it is destroyed there.
The file is 0600, carries a code that shows any change, and is written whole and synced before it replaces the old one, under a lock
between processes.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import re
import secrets
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from joserfc.jwk import ECKey

from hub.store import backend as backends
from hub.store import puncture
from hub.store.backend import Backend, missing
from hub.store.puncture import Nodes
from hub.store.seal import SUITES, Sealer, mac, one_block
from schemas.errors import SealError, Unavailable

if TYPE_CHECKING:
    from hub.settings import Settings

T = TypeVar("T")
_LOCAL = "local"


class Sealed(msgspec.Struct, frozen=True):
    """A value of the file: under a key of its own, which is wrapped under the back end's key `key`."""

    key: str
    wrapped: bytes
    body: bytes


class Tree(msgspec.Struct, frozen=True):
    """A month's erasure key. Flat: one key for the whole month, as made before keys were puncturable."""

    seeds: Sealed
    flat: bool = False


class Secrets(msgspec.Struct):
    """What only this file holds."""

    index: bytes
    hub: bytes
    signing: dict[str, Any]


class Place(msgspec.Struct, frozen=True):
    """A back end: its address ("" for the file) and the file with its secret."""

    store: str
    secret_file: str = ""


class Move(msgspec.Struct, frozen=True):
    """A move between back ends. Key-encryption keys from `first` on are in the target; once `settled`, so is everything; `gone`: the source is empty."""

    source: Place
    target: Place
    first: int
    settled: bool = False
    gone: bool = False


class Contents(msgspec.Struct):
    """The keyring file. `doomed` keys are still to be destroyed in the back end; `ledger` is the length and last code of the tombstones."""

    id: str
    suite: str
    backend: str
    keys: dict[str, bytes]
    kek: list[str]
    erasure: dict[str, Tree]
    secrets: Sealed
    doomed: list[str] = []
    ledger: tuple[int, bytes] = (0, b"")
    mac: bytes = b""
    move: Move | msgspec.UnsetType = msgspec.UNSET


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key as the table holds it: which keys wrap it, and the wrap."""

    kek: str
    erasure: str
    wrapped: bytes


class InFile:
    """The back end that is the keyring file itself. Keys are made and destroyed inside `Keyring.changing`."""

    remote = False

    def __init__(self, contents: Callable[[], Contents]) -> None:
        self._contents = contents

    def make(self, name: str) -> None:
        self._contents().keys.setdefault(name, secrets.token_bytes(32))

    def wrap(self, name: str, value: bytes, *where: bytes) -> bytes:
        return self._sealer(name).seal(value, *where)

    def unwrap(self, name: str, wrapped: bytes, *where: bytes) -> bytes:
        return self._sealer(name).open(wrapped, *where)

    def destroy(self, name: str) -> None:
        self._contents().keys.pop(name, None)

    def held(self) -> set[str]:
        return set(self._contents().keys)

    def close(self) -> None:
        """Nothing is open."""

    def _sealer(self, name: str) -> Sealer:
        contents = self._contents()
        if name not in contents.keys:
            raise missing(name)
        return _sealer(contents.suite, contents.keys[name], name.partition("-")[0])


class Parted:
    """The back end of the settings, and during a move and after it the other: each key is asked for where it is."""

    def __init__(self, contents: Callable[[], Contents], here: Place) -> None:
        self._contents, self._here, self._opened = contents, here, dict[str, Backend]()
        self._lock = threading.Lock()
        move = contents().move
        self._done = move if move and move.gone else None  # the settings of this process name where it went

    @property
    def remote(self) -> bool:
        return any(place.store for place in self._places())

    def make(self, name: str) -> None:
        self._of(name).make(name)

    def wrap(self, name: str, value: bytes, *where: bytes) -> bytes:
        return self._of(name).wrap(name, value, *where)

    def unwrap(self, name: str, wrapped: bytes, *where: bytes) -> bytes:
        return self._of(name).unwrap(name, wrapped, *where)

    def destroy(self, name: str) -> None:
        self._of(name).destroy(name)

    def held(self) -> set[str]:
        return set().union(*(self.at(place).held() for place in self._places()))

    def close(self) -> None:
        for one in self._opened.values():
            one.close()

    def at(self, place: Place) -> Backend:
        with self._lock:
            if place.store not in self._opened:
                self._opened[place.store] = _backend(self._here if place.store == self._here.store else place, self._contents)
            return self._opened[place.store]

    def _of(self, name: str) -> Backend:
        move = self._move()
        there = move is not None and (move.settled or (name.startswith("kek-") and int(name.removeprefix("kek-")) >= move.first))
        return self.at(self._places()[-1] if there else self._places()[0])

    def _places(self) -> list[Place]:
        move = self._move()
        if move is None:
            return [self._here]
        return [move.target] if move.settled else [move.source, move.target]

    def _move(self) -> Move | None:
        move = self._contents().move
        return move if move and move != self._done else None


def _backend(place: Place, contents: Callable[[], Contents]) -> Backend:
    secret = Path(place.secret_file) if place.secret_file else None
    return backends.at(place.store, secret, f"kinehub-{contents().id}-") if place.store else InFile(contents)


class Keyring:
    """A keyring in memory. Reads its file again when another process has written it. Safe to use from several threads."""

    def __init__(self, path: Path, store: str = "", secret_file: Path | None = None) -> None:
        self.path = path
        self._stamp = (0, 0)
        self._lock = threading.RLock()
        self._trees: dict[bytes, Nodes] = {}
        self._opened: tuple[bytes, Secrets] = (b"", Secrets(b"", b"", {}))
        contents = _decoded(path)
        if contents.backend != backends.kind(store) or (contents.move and not contents.move.gone and store != _home(contents.move).store):
            raise Unavailable(f"The keys of {path} are in the back end {contents.backend}.", advice="Name it in KINEHUB_KEYRING.")
        self._contents = contents
        self._here = Place(store, str(secret_file or ""))
        self._backend = Parted(lambda: self._contents, self._here)
        try:
            self._read()
            self._bury()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._backend.close()

    @property
    def id(self) -> str:
        return self._contents.id

    @property
    def suite(self) -> str:
        return self._contents.suite

    @property
    def remote(self) -> bool:
        """Whether a data key is opened elsewhere than in this process."""
        return self._backend.remote

    @property
    def backend(self) -> str:
        """`file`, `pkcs11` or `vault`."""
        return self._contents.backend

    @property
    def ledger(self) -> Path:
        """The tombstone ledger kept beside the keyring."""
        return self.path.with_name("tombstones.ndjson")

    @property
    def ledger_head(self) -> tuple[int, bytes]:
        """How many tombstones there are, and the code of the last."""
        return self._contents.ledger

    def check(self) -> None:
        """Raises Unavailable when the back end cannot be used or does not hold what the file names."""
        contents = self._reloaded()
        held = self._backend.held()
        for name in (contents.secrets.key, *map(_kek, contents.kek), *(tree.seeds.key for tree in contents.erasure.values())):
            if name not in held:
                raise missing(name)

    async def aside(self, call: Callable[..., T], *arguments: Any) -> T:
        """What `call` gives, off the event loop when the back end is not in this process."""
        return await asyncio.to_thread(call, *arguments) if self.remote else call(*arguments)

    def signing_key(self) -> ECKey:
        """The hub's ES256 key pair."""
        return ECKey.import_key(self._secrets().signing)

    def token(self, system: str, value: str) -> bytes:
        """Blind token (16 bytes) of an identifier, under the key of its system."""
        return mac(self.suite, self._secrets().index, b"identifier", system.encode(), value.encode())[:16]

    def party_token(self, party: int, *parts: bytes) -> bytes:
        """Blind token (32 bytes) in a party's own space: file and idempotency keys never meet between parties."""
        return mac(self.suite, self._secrets().index, b"party", str(party).encode(), *parts)

    def entry_id(self, chain: int, seq: int) -> str:
        """The public id of an audit entry: one block, so that it tells neither its place nor how many there are."""
        return self._entries().encryptor().update(struct.pack(">IQI", chain, seq, 0)).hex()

    def entry_number(self, id_: str) -> tuple[int, int] | None:
        """(chain, seq) of an audit entry's id; None when it is none of ours."""
        if not re.fullmatch("[0-9a-f]{32}", id_, re.ASCII):
            return None
        chain, seq, zero = struct.unpack(">IQI", self._entries().decryptor().update(bytes.fromhex(id_)))
        return (chain, seq) if zero == 0 and chain < 2**31 and seq < 2**63 else None

    def _entries(self) -> Cipher[modes.ECB]:
        return one_block(self.suite, mac(self.suite, self._secrets().index, b"audit entries"))

    def hub_sealer(self, table: str) -> Sealer:
        """Sealer for what is about no resident and still nobody's business."""
        return _sealer(self.suite, self._secrets().hub, table)

    def tombstone_code(self, *parts: bytes) -> bytes:
        """The code of a line of the tombstone ledger."""
        return mac(self.suite, self._secrets().hub, b"tombstone", *parts)

    # data keys

    def wrap(self, subject: str, data_key: bytes) -> WrappedKey:
        """Wrap a data key under this month's erasure key and the newest key-encryption key."""
        self._reloaded()
        return self.wrap_under(subject, data_key, self._month_key())

    def is_current(self, kek: str, erasure: str) -> bool:
        """Whether a wrap just made is still made with the newest keys; asked inside the transaction that stores it.

        A rotation writes its successor key before it locks the key table, so a wrap that slipped past the lock shows here.
        """
        self._reloaded()
        return (kek, erasure) == (self.newest_kek(), self._month_key())

    def wrap_under(self, subject: str, data_key: bytes, month: str) -> WrappedKey:
        """Wrap a data key under a named erasure key. Raises SealError when the subject was erased from it."""
        kek = self.newest_kek()
        where = (subject.encode(), kek.encode(), month.encode())
        inner = Sealer(self.suite, self._leaf(month, subject), "erasure").seal(data_key, *where)
        return WrappedKey(kek, month, self._backend.wrap(_kek(kek), inner, *where))

    def unwrap(self, subject: str, key: WrappedKey) -> bytes:
        """The data key of `subject`. Raises SealError when its erasure key was destroyed, Unavailable when the back end cannot be asked."""
        where = (subject.encode(), key.kek.encode(), key.erasure.encode())
        contents = self._reloaded()
        if key.erasure not in contents.erasure or key.kek not in contents.kek:
            raise SealError("The key that would open this was destroyed.")
        leaf = self._leaf(key.erasure, subject)
        return Sealer(self.suite, leaf, "erasure").open(self._backend.unwrap(_kek(key.kek), key.wrapped, *where), *where)

    # key-encryption keys

    def newest_kek(self) -> str:
        return max(self._contents.kek, key=int)

    def add_kek(self) -> str:
        """A new key-encryption key and a new `local`, used from now on. Both or neither: a killed process leaves the file as it was."""
        with self.changing() as contents:
            number = str(max(map(int, contents.kek)) + 1)
            self._backend.make(_kek(number))
            contents.kek.append(number)
            self._renew_local(contents)
        self._bury()
        return number

    def _renew_local(self, contents: Contents) -> None:
        """The file's own secrets under a new key. The one before opens yesterday's copy of the file; the one before that is doomed."""
        old, held = contents.secrets.key, msgspec.json.encode(self._secrets())
        contents.secrets = self._sealed(_local(_turn(old) + 1), held, _LOCAL)
        if _turn(old) > 1:
            contents.doomed.append(_local(_turn(old) - 1))

    def keks(self) -> list[str]:
        """The numbers of the key-encryption keys held."""
        return list(self._reloaded().kek)

    def drop_kek(self, number: str) -> None:
        """Destroy a key-encryption key under which nothing is wrapped any more."""
        with self.changing() as contents:
            contents.kek = [kek for kek in contents.kek if kek != number]
            contents.doomed.append(_kek(number))
        self._bury()

    # moves to another back end

    @property
    def move(self) -> Move | None:
        """The move that is under way."""
        move = self._reloaded().move
        return move if move and not move.gone else None

    def begin_move(self, target: Place) -> None:
        """New data keys are wrapped in the target from now on; the rest is to follow. Nothing happens when this move is under way."""
        with self.changing() as contents:
            move = contents.move
            if move and not move.gone:
                if move.target.store != target.store:
                    raise Unavailable("The keys are moving to another place already.", advice="Finish that with the command that began it.")
                return
            number = max(map(int, contents.kek)) + 1
            contents.move = Move(self._here, target, number)
            self._backend.make(_kek(str(number)))
            contents.kek.append(str(number))

    def settle(self) -> None:
        """All that the file seals goes under new keys of the target, in one writing, when every value opened there again."""
        with self.changing() as contents:
            move = contents.move
            if not move or move.settled:
                return
            held = {_LOCAL: msgspec.json.encode(self._secrets())} | {name: self._open(tree.seeds, name) for name, tree in contents.erasure.items()}
            contents.move, contents.backend = msgspec.structs.replace(move, settled=True), backends.kind(move.target.store)
            contents.kek = [number for number in contents.kek if int(number) >= move.first]
            contents.secrets = self._sealed(_local(_turn(contents.secrets.key) + 1), held[_LOCAL], _LOCAL)
            for name, tree in contents.erasure.items():
                contents.erasure[name] = Tree(self._sealed(_next(tree.seeds.key), held[name], name), tree.flat)
            again = {_LOCAL: self._open(contents.secrets, _LOCAL)} | {name: self._open(tree.seeds, name) for name, tree in contents.erasure.items()}
            if again != held:
                raise Unavailable("The new key back end does not give back what it was given.", advice="Nothing was destroyed; the old one holds the keys.")
            contents.doomed = []

    def empty_source(self) -> None:
        """Destroy every key of this keyring in the back end that was left. Raises Unavailable when one is still there."""
        with self.changing() as contents:
            move = contents.move
            if not move or not move.settled or move.gone:
                return
            source = self._backend.at(move.source)
            for name in source.held():
                source.destroy(name)
            if source.held():
                raise Unavailable("The old key back end keeps keys that it was told to destroy.", advice=f"Destroy kinehub-{contents.id}-* there by hand.")
            contents.move = msgspec.structs.replace(move, gone=True)

    # erasure keys

    def erasure_keys(self) -> list[str]:
        """The names of the erasure keys held."""
        return list(self._reloaded().erasure)

    def newest_of(self, name: str) -> str:
        """The erasure key that new wraps of this one's month go under."""
        return _newest(list(self._months(name)))

    def succeed_erasure_key(self, old: str) -> str:
        """Make the successor of a month's erasure key, used from now on; its data keys are wrapped again under it."""
        with self.changing() as contents:
            month, _, count = self.newest_of(old).partition(".")
            successor = f"{month}.{int(count or 0) + 1}"
            contents.erasure[successor] = self._planted(successor)
        return successor

    def destroy_erasure_key(self, name: str) -> None:
        """Destroy an erasure key: every wrap made under it, in any copy anywhere, is useless from now on."""
        with self.changing() as contents:
            tree = contents.erasure.pop(name, None)
            if tree is not None:
                contents.doomed.append(tree.seeds.key)
        self._bury()

    def flat_of(self, name: str) -> list[str]:
        """The keys of this one's month from which nobody can be erased without their going for all."""
        return [key for key, tree in self._months(name).items() if tree.flat]

    def reaches(self, name: str, subject: str) -> bool:
        """Whether the subject's data key can still be opened under an erasure key of this one's month."""
        return any(tree.flat or puncture.reaches(self._nodes(key, tree), UUID(subject)) for key, tree in self._months(name).items())

    def puncture(self, name: str, subject: str) -> list[str]:
        """Destroy what a subject's data key needs, and nobody else's, in the keys of this one's month: the names of what was destroyed.

        None of them when it was done before. The new key is held and the file names it before the old one goes: a process killed here leaves the old
        one doomed, and whoever opens the keyring next destroys it. A back end that was left, and not emptied yet, is emptied first.
        """
        if self.move:
            with suppress(Unavailable):  # the move is gone on with, and doctor says that it must be
                self.empty_source()
        with self.changing() as contents:
            reaching = {key: tree for key, tree in self._months(name).items() if puncture.reaches(self._nodes(key, tree), UUID(subject))}
            for key, tree in reaching.items():
                left = puncture.punctured(self.suite, self._nodes(key, tree), UUID(subject))
                contents.erasure[key] = Tree(self._sealed(_next(tree.seeds.key), puncture.packed(left), key))
                contents.doomed.append(tree.seeds.key)
        self._bury()
        return [tree.seeds.key for tree in reaching.values()]

    def _months(self, name: str) -> dict[str, Tree]:
        month = name.partition(".")[0]
        return {key: tree for key, tree in self._reloaded().erasure.items() if key.partition(".")[0] == month}

    def _month_key(self) -> str:
        month = datetime.now(UTC).strftime("%Y-%m")
        held = self._months(month)
        if not held:
            with self.changing() as contents:
                if month not in contents.erasure:
                    contents.erasure[month] = self._planted(month)
            return self._month_key()
        return _newest(list(held))

    def _planted(self, name: str) -> Tree:
        return Tree(self._sealed(f"erasure-{name}.g0", puncture.packed(puncture.planted(secrets.token_bytes(32))), name))

    def _leaf(self, month: str, subject: str) -> bytes:
        tree = self._contents.erasure.get(month)
        if tree is None:
            raise SealError("The key that would open this was destroyed.")
        nodes = self._nodes(month, tree)
        return nodes[1] if tree.flat else puncture.leaf(self.suite, nodes, UUID(subject))

    def _nodes(self, name: str, tree: Tree) -> Nodes:
        found = self._trees.get(tree.seeds.body)
        if found is None:
            found = self._trees[tree.seeds.body] = puncture.unpacked(self._open(tree.seeds, name))
        return found

    # the file

    @contextmanager
    def changing(self) -> Iterator[Contents]:
        """The file's contents to be changed: alone among processes and threads, written when the block ends well."""
        with self._lock, self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            try:
                yield self._contents
                self._contents.mac = self._code(self._contents)
                write(self.path, self._contents)
            finally:
                self._read()

    def _reloaded(self) -> Contents:
        if _stamp(self.path) != self._stamp:
            with self._lock:
                self._read()
        return self._contents

    def _read(self) -> None:
        stamp, contents = _stamp(self.path), _decoded(self.path)
        before = self._contents
        self._contents = contents  # the back end in the file opens with what was just read
        try:
            if not secrets.compare_digest(self._code(contents), contents.mac):
                raise changed(self.path)
        except SealError:
            self._contents = before
            raise changed(self.path) from None
        except Unavailable:
            self._contents = before
            raise
        alive = {tree.seeds.body for tree in contents.erasure.values()}
        self._trees = {body: nodes for body, nodes in self._trees.items() if body in alive}
        self._stamp = stamp

    def _secrets(self) -> Secrets:
        sealed = self._contents.secrets
        if self._opened[0] != sealed.body:
            self._opened = sealed.body, msgspec.json.decode(self._open(sealed, _LOCAL), type=Secrets)
        return self._opened[1]

    def _code(self, contents: Contents) -> bytes:
        """With the secret that this process opened already, if it did: no place that the file names is asked before the file is known to be ours."""
        hub = self._opened[1].hub or self._secrets().hub
        return mac(contents.suite, hub, b"keyring", msgspec.json.encode(msgspec.structs.replace(contents, mac=b"")))

    def _bury(self) -> None:
        """Destroy what is doomed. A key is struck off the file only when it is gone."""
        if not self._contents.doomed:
            return
        with self.changing() as contents:
            for name in contents.doomed:
                self._backend.destroy(name)
            contents.doomed = []

    def _sealed(self, key: str, value: bytes, place: str) -> Sealed:
        self._backend.make(key)
        return sealed(self._backend, self._contents, key, value, place)

    def _open(self, value: Sealed, place: str) -> bytes:
        where = (self._contents.id.encode(), place.encode())
        return Sealer(self.suite, self._backend.unwrap(value.key, value.wrapped, *where), "keyring").open(value.body, *where)


def sealed(backend: Backend, contents: Contents, key: str, value: bytes, place: str) -> Sealed:
    """A value of the file under a new key, which is wrapped under the back end's key `key`."""
    once, where = secrets.token_bytes(32), (contents.id.encode(), place.encode())
    return Sealed(key, backend.wrap(key, once, *where), Sealer(contents.suite, once, "keyring").seal(value, *where))


def changed(path: Path) -> Unavailable:
    return Unavailable(f"{path} was changed by something else than the hub.", advice="Restore the keyring and tombstones.ndjson from their own backup.")


def _home(move: Move) -> Place:
    """Where the keyring's own secrets open."""
    return move.target if move.settled else move.source


def settled_at(path: Path) -> str | None:
    """Where a move that has settled and is not over went, as the file says it, unchecked: only to be compared with what an operator says."""
    move = _decoded(path).move if path.exists() else msgspec.UNSET
    return move.target.store if move and move.settled and not move.gone else None


def _kek(number: str) -> str:
    return f"kek-{number}"


def _local(turn: int) -> str:
    return _LOCAL if turn == 1 else f"{_LOCAL}-{turn}"


def _turn(local: str) -> int:
    """Which `local` this is: 1 for the first."""
    return int(local.partition("-")[2] or 1)


def _newest(names: list[str]) -> str:
    return max(names, key=lambda name: int(name.partition(".")[2] or 0))


def _next(key: str) -> str:
    """The name of the back end's key that follows one: `erasure-2026-11.g0`, `.g1` …"""
    name, _, generation = key.rpartition(".g")
    return f"{name}.g{int(generation) + 1}"


_sealer = lru_cache(maxsize=64)(Sealer)


def _stamp(path: Path) -> tuple[int, int]:
    """Tells one writing of the file from the next; the clock of a file system alone is too coarse for it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise Unavailable(
            f"There is no keyring at {path}.", advice="Restore the keyring from its own backup; without it nothing can be read."
        ) from None
    return found.st_mtime_ns, found.st_ino


def _decoded(path: Path) -> Contents:
    _stamp(path)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Contents)
    except msgspec.MsgspecError:
        raise Unavailable(f"The keyring at {path} is damaged.", advice="Restore it from its own backup.") from None


def write(path: Path, contents: Contents) -> None:
    """Write a keyring file whole."""
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(contents))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def of(settings: Settings) -> Keyring:
    """The keyring that the settings name."""
    return Keyring(settings.keyring, settings.keyring_store, settings.keyring_secret_file)


def create(path: Path, suite: str = "international", store: str = "", secret_file: Path | None = None) -> Keyring:
    """A new keyring file, its keys in the back end at `store`; refuses to overwrite one."""
    if suite not in SUITES:
        raise Unavailable(f"KINEHUB_CRYPTO must be one of {', '.join(SUITES)}.")
    if suite != "international" and store:
        raise Unavailable("KINEHUB_CRYPTO=guomi needs a keyring file: pkcs11:// and vault:// wrap with AES-256-GCM alone.")
    if path.exists():
        raise Unavailable(f"There is a keyring at {path} already.")
    signing = dict(ECKey.generate_key("P-256", private=True).as_dict(private=True))
    made = Contents(_new_id(), suite, backends.kind(store), {}, ["1"], {}, Sealed("", b"", b""))
    started(path, made, Secrets(secrets.token_bytes(32), secrets.token_bytes(32), signing), store, secret_file)
    return Keyring(path, store, secret_file)


def started(path: Path, contents: Contents, held: Secrets, store: str = "", secret_file: Path | None = None) -> None:
    """Complete and write a new file: its first keys made in the back end, what only it holds sealed under one of them."""
    backend: Backend = backends.at(store, secret_file, f"kinehub-{contents.id}-") if store else InFile(lambda: contents)
    with closing(backend):
        for name in (_LOCAL, *map(_kek, contents.kek)):
            backend.make(name)
        contents.secrets = sealed(backend, contents, _LOCAL, msgspec.json.encode(held), _LOCAL)
    contents.mac = mac(contents.suite, held.hub, b"keyring", msgspec.json.encode(contents))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, contents)


def _new_id() -> str:
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()
