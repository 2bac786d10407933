"""Where keys live that must be destroyable: in the keyring file, in a PKCS#11 token, or in the transit engine of Vault or OpenBao.

The last two never give a key out: what is wrapped goes there, and a key destroyed there is gone for every copy of every file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from schemas.errors import Unavailable

PATIENCE_S = 2.0
"""How long a back end that could not be reached is not asked again: a request that needs it is answered at once."""


class Backend(Protocol):
    """Named keys. What is wrapped is bound to `where`.

    Raises Unavailable when the back end cannot be reached, refuses or does not hold the key, and SealError when what was wrapped was changed.
    """

    @property
    def remote(self) -> bool:
        """Whether a call takes a way that an event loop must not wait for."""

    def make(self, name: str) -> None:
        """A new key; the one that is there when a killed process made it already."""

    def wrap(self, name: str, value: bytes, *where: bytes) -> bytes: ...

    def unwrap(self, name: str, wrapped: bytes, *where: bytes) -> bytes: ...

    def destroy(self, name: str) -> None:
        """Destroy a key for good; nothing happens when it is gone already."""

    def held(self) -> set[str]:
        """The names of the keys held: the back end is there and lets us in."""

    def close(self) -> None: ...


class Breaker:
    """Lets nobody wait in turn for a back end that is down."""

    def __init__(self) -> None:
        self._until = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def trying(self) -> Iterator[None]:
        if time.monotonic() < self._until:
            raise down()
        try:
            yield
        except Unavailable as error:
            if error.code == DOWN:
                with self._lock:
                    self._until = time.monotonic() + PATIENCE_S
            raise


DOWN = "keys-unavailable"


def down(why: str = "cannot be reached") -> Unavailable:
    return Unavailable(f"The key back end {why}.", code=DOWN, advice="What is open already can still be read; try again.")


def missing(name: str) -> Unavailable:
    return Unavailable(f"The key back end does not hold the key {name}.", advice="Restore it there from its own backup; nothing else opens what it wrapped.")


def kind(store: str) -> str:
    """`file`, `pkcs11` or `vault`: what a back end's address names. Raises Unavailable for another."""
    scheme = urlsplit(store).scheme if ":" in store else "file"
    if scheme not in ("file", "pkcs11", "vault", "vault+http"):
        raise Unavailable("KINEHUB_KEYRING must be a file, pkcs11:// or vault://.")
    return scheme.partition("+")[0]


def at(store: str, secret_file: Path | None, prefix: str) -> Backend:
    """The back end at an address; `prefix` keeps this keyring's keys apart from others'. The client libraries are imported when they are needed."""
    if secret_file is None:
        raise Unavailable("KINEHUB_KEYRING_SECRET_FILE must name the file with the PIN or token of the key back end.")
    try:
        secret = secret_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unavailable(f"KINEHUB_KEYRING_SECRET_FILE cannot be read: {error.strerror}.") from None
    if kind(store) == "pkcs11":
        from hub.store.pkcs11 import Token

        return Token(store, secret, prefix)
    from hub.store.transit import Transit

    return Transit(store, secret, prefix)
