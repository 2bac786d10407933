"""The signed heads of the audit's tree, outside the database: `audit-heads/heads.ndjson`, one line for each time the tree grew.

A line is `{"segments": [[chain, first, last], …], "head": JWS}`: the entries that were added, in order, and the tree over all entries since the log
began. Each head signs the SHA-256 of every byte before its line, so the newest signature speaks for the whole file.
A head is an ES256 JWS (compact) with `typ` `kinehub-audit-head`; it holds nothing of any resident and may be published.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from schemas.errors import BadRequest, KineHubError, Unavailable

HEADS = "heads.ndjson"
TYPE = "kinehub-audit-head"

Segment = tuple[int, int, int]
"""(chain, first, last) of neighbouring entries of one chain."""


class Head(msgspec.Struct, frozen=True):
    """The tree at one moment. `log`: which log; `hash`: as hashlib names it; `before`: SHA-256 of the file before this line."""

    log: str
    size: int
    root: str
    hash: str
    at: datetime
    before: str


class Line(msgspec.Struct, frozen=True):
    """One line of the file."""

    segments: list[Segment]
    head: str


def signed(head: Head, key: ECKey) -> str:
    return jws.serialize_compact({"alg": "ES256", "typ": TYPE, "kid": key.thumbprint()}, msgspec.json.encode(head), key)


def opened(text: str, key: ECKey | KeySet) -> Head:
    """The head in a JWS. Raises BadRequest when it was not signed with this key, or is something else."""
    try:
        found = jws.deserialize_compact(text.strip(), key, algorithms=["ES256"])
        if found.headers().get("typ") != TYPE:
            raise BadRequest("This is signed, but it is no head of an audit.", code="audit")
        return msgspec.json.decode(found.payload or b"", type=Head)
    except (JoseError, ValueError):
        raise BadRequest("The head was changed, or was signed with another key.", code="audit") from None


def public_key(content: bytes) -> ECKey | KeySet:
    """A key out of a PEM, a JWK or a key set (`/oauth/jwks`). Raises BadRequest."""
    try:
        if content.lstrip()[:1] != b"{":
            return ECKey.import_key(content)
        found = msgspec.json.decode(content, type=dict[str, object])
        return KeySet.import_key_set(found) if "keys" in found else ECKey.import_key(found)  # type: ignore[arg-type]
    except (JoseError, ValueError, KeyError, TypeError):
        raise BadRequest("This is no public key: PEM, JWK or JWKS is.", code="audit") from None


class Heads:
    """The file as one process knows it: read on from where it was left, its newest head checked each time."""

    def __init__(self, folder: Path, key: ECKey) -> None:
        self.path, self._key = folder / HEADS, key
        self._offset, self._hash = 0, hashlib.sha256()
        self._newest: tuple[Head, str] | None = None

    def newest(self) -> tuple[Head, str] | None:
        """The newest head and its JWS; None while there is no file. Raises Unavailable when the file was changed."""
        with _open(self.path) as file:
            if file is None:
                if self._newest:
                    raise tampered(f"{HEADS} is gone")
                return None
            if os.fstat(file.fileno()).st_size < self._offset:
                raise tampered(f"{HEADS} was cut")
            file.seek(self._offset)
            last, offset, so_far = b"", self._offset, self._hash.copy()
            for line in file:
                if line.endswith(b"\n"):  # else a write that a crash cut off
                    so_far.update(last)
                    last, offset = line, offset + len(line)
        if last:
            self._newest = self._checked(last, so_far.hexdigest())
            so_far.update(last)
            self._offset, self._hash = offset, so_far
        return self._newest

    def _checked(self, line: bytes, before: str) -> tuple[Head, str]:
        try:
            text = msgspec.json.decode(line, type=Line).head
            head = opened(text, self._key)
        except (msgspec.MsgspecError, UnicodeDecodeError, KineHubError):
            raise tampered(f"the newest line of {HEADS} was changed") from None
        if head.before != before:
            raise tampered(f"a line of {HEADS} before the newest was changed")
        return head, text

    def append(self, segments: Sequence[Segment], size: int, root: bytes, algorithm: str) -> Head:
        """Sign a head and write it durably; the caller holds `alone` and has just asked for the newest."""
        log = self._newest[0].log if self._newest else secrets.token_hex(8)
        head = Head(log, size, root.hex(), algorithm, datetime.now(UTC), self._hash.hexdigest())
        line = msgspec.json.encode(Line(list(segments), signed(head, self._key))) + b"\n"
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._offset)
            file.seek(self._offset)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return head

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether this process is the one that may write now; others come again in a minute."""
        with self.path.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def lines(self) -> Iterator[tuple[int, Line, Head]]:
        """Every whole line with its number and head, after the newest has spoken for them all. Raises Unavailable."""
        self.newest()
        with _open(self.path) as file:
            for number, line in enumerate(file or (), 1):
                if line.endswith(b"\n"):
                    try:
                        found = msgspec.json.decode(line, type=Line)
                        yield number, found, msgspec.json.decode(jws.extract_compact(found.head.encode()).payload or b"", type=Head)
                    except (msgspec.MsgspecError, JoseError, ValueError):
                        raise tampered(f"line {number} of {HEADS} was changed") from None


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO | None]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        yield None


def tampered(what: str) -> Unavailable:
    return Unavailable(
        f"The audit's record outside the database does not hold: {what}.",
        advice="Run kinehub audit verify, and put audit-heads back from its own copy; see docs/howto/prove-the-audit.md.", code="audit",
    )  # fmt: skip
