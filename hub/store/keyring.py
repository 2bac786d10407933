"""The keyring: every key that is not in the database, and the tombstone ledger beside it.

    kek       key-encryption keys, by number; the newest wraps
    erasure   one key per month (`2026-11`, after an erasure `2026-11.1`): destroying it makes every wrap under it useless
    index     blind tokens of identifiers; hub   the hub's own sealed values; signing   ES256, audit roots and access tokens

A data key is wrapped twice, erasure key inside key-encryption key, so no backup of the database opens what was erased.
The file is 0600, written whole and synced before it replaces the old one, under a lock between processes.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from joserfc.jwk import ECKey

from hub.store.seal import SUITES, Sealer, mac
from schemas.errors import SealError, Unavailable


class _Contents(msgspec.Struct):
    id: str
    suite: str
    kek: dict[str, bytes]
    erasure: dict[str, bytes]
    index: bytes
    hub: bytes
    signing: dict[str, Any]


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key as the table holds it: which keys wrap it, and the wrap."""

    kek: str
    erasure: str
    wrapped: bytes


class Keyring:
    """A keyring file in memory. Reloads itself when another process has written it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mtime_ns = 0
        self._read()

    @property
    def id(self) -> str:
        return self._contents.id

    @property
    def suite(self) -> str:
        return self._contents.suite

    @property
    def ledger(self) -> Path:
        """The tombstone ledger kept beside the keyring."""
        return self.path.with_name("tombstones.ndjson")

    def signing_key(self) -> ECKey:
        """The hub's ES256 key pair."""
        return ECKey.import_key(self._contents.signing)

    def token(self, system: str, value: str) -> bytes:
        """Blind token (16 bytes) of an identifier, under the key of its system."""
        return mac(self.suite, self._contents.index, b"identifier", system.encode(), value.encode())[:16]

    def party_token(self, party: int, *parts: bytes) -> bytes:
        """Blind token (32 bytes) in a party's own space: file and idempotency keys never meet between parties."""
        return mac(self.suite, self._contents.index, b"party", str(party).encode(), *parts)

    def hub_sealer(self, table: str) -> Sealer:
        """Sealer for what is about no resident and still nobody's business."""
        return _sealer(self.suite, self._contents.hub, table)

    def wrap(self, subject: str, data_key: bytes) -> WrappedKey:
        """Wrap a data key under this month's erasure key and the newest key-encryption key."""
        self._reload_if_changed()
        return self.wrap_under(subject, data_key, self._month_key())

    def is_current(self, kek: str, erasure: str) -> bool:
        """Whether a wrap just made is still made with the newest keys; asked inside the transaction that stores it.

        An erasure writes its successor key before it locks the key table, so a wrap that slipped past the lock shows here.
        """
        self._reload_if_changed()
        return (kek, erasure) == (self._newest_kek(), self._month_key())

    def wrap_under(self, subject: str, data_key: bytes, month: str) -> WrappedKey:
        """Wrap a data key under a named erasure key."""
        kek = self._newest_kek()
        where = (subject.encode(), kek.encode(), month.encode())
        inner = Sealer(self.suite, self._contents.erasure[month], "erasure").seal(data_key, *where)
        return WrappedKey(kek, month, Sealer(self.suite, self._contents.kek[kek], "kek").seal(inner, *where))

    def unwrap(self, subject: str, key: WrappedKey) -> bytes:
        """The data key of `subject`. Raises SealError when its erasure key was destroyed."""
        where = (subject.encode(), key.kek.encode(), key.erasure.encode())
        if key.erasure not in self._contents.erasure or key.kek not in self._contents.kek:
            self._reload_if_changed()
        try:
            kek, erasure = self._contents.kek[key.kek], self._contents.erasure[key.erasure]
        except KeyError:
            raise SealError("The key that would open this was destroyed.") from None
        inner = Sealer(self.suite, kek, "kek").open(key.wrapped, *where)
        return Sealer(self.suite, erasure, "erasure").open(inner, *where)

    def add_kek(self) -> str:
        """A new key-encryption key, used from now on."""
        with self._changing() as contents:
            number = str(max(map(int, contents.kek)) + 1)
            contents.kek[number] = secrets.token_bytes(32)
        return number

    def keks(self) -> list[str]:
        """The numbers of the key-encryption keys held."""
        self._reload_if_changed()
        return list(self._contents.kek)

    def drop_kek(self, number: str) -> None:
        """Forget a key-encryption key under which nothing is wrapped any more."""
        with self._changing() as contents:
            contents.kek.pop(number, None)

    def succeed_erasure_key(self, old: str) -> str:
        """Make the successor of an erasure key; survivors are re-wrapped under it before `destroy`."""
        with self._changing() as contents:
            month, _, count = old.partition(".")
            successor = f"{month}.{int(count or 0) + 1}"
            contents.erasure.setdefault(successor, secrets.token_bytes(32))
        return successor

    def destroy_erasure_key(self, name: str) -> None:
        """Destroy an erasure key: every wrap made under it, in any copy anywhere, is useless from now on."""
        with self._changing() as contents:
            contents.erasure.pop(name, None)

    def _newest_kek(self) -> str:
        return max(self._contents.kek, key=int)

    def _month_key(self) -> str:
        month = datetime.now(UTC).strftime("%Y-%m")
        held = [name for name in self._contents.erasure if name.partition(".")[0] == month]
        if not held:
            with self._changing() as contents:
                contents.erasure.setdefault(month, secrets.token_bytes(32))
            return self._month_key()
        return max(held, key=lambda name: int(name.partition(".")[2] or 0))

    def _reload_if_changed(self) -> None:
        if self.path.stat().st_mtime_ns != self._mtime_ns:
            self._read()

    def _read(self) -> None:
        try:
            self._mtime_ns = self.path.stat().st_mtime_ns
            self._contents = msgspec.json.decode(self.path.read_bytes(), type=_Contents)
        except FileNotFoundError:
            raise Unavailable(
                f"There is no keyring at {self.path}.", advice="Restore the keyring from its own backup; without it nothing can be read."
            ) from None
        except msgspec.MsgspecError:
            raise Unavailable(f"The keyring at {self.path} is damaged.", advice="Restore it from its own backup.") from None

    @contextmanager
    def _changing(self) -> Iterator[_Contents]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            yield self._contents
            _write(self.path, self._contents)
            self._mtime_ns = self.path.stat().st_mtime_ns


_sealer = lru_cache(maxsize=64)(Sealer)


def _write(path: Path, contents: _Contents) -> None:
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


def create(path: Path, suite: str = "international") -> Keyring:
    """A new keyring file; refuses to overwrite one."""
    if suite not in SUITES:
        raise Unavailable(f"KINEHUB_CRYPTO must be one of {', '.join(SUITES)}.")
    if path.exists():
        raise Unavailable(f"There is a keyring at {path} already.")
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, _Contents(
        id=base64.b32encode(secrets.token_bytes(10)).decode().lower(), suite=suite, kek={"1": secrets.token_bytes(32)}, erasure={},
        index=secrets.token_bytes(32), hub=secrets.token_bytes(32), signing=dict(ECKey.generate_key("P-256", private=True).as_dict(private=True)),
    ))  # fmt: skip
    return Keyring(path)
