"""Sealing: authenticated encryption of one value where it lies, in two suites.

    international   AES-256-GCM, HMAC-SHA-256
    guomi           SM4-GCM (GB/T 32907), HMAC-SM3 (GB/T 32905)

A sealed value is `version(1) | suite(1) | commitment(32) | nonce(12) | ciphertext | tag(16)`. GCM does not commit to its key,
so a commitment derived from the key is compared first (as AWS Encryption SDK message format 2 does). The associated data
binds it, length-prefixed, to table, column, subject, row, version and schema version: moved or rolled back, it does not open.
Nonces are random 96-bit under a key per subject and table: far below 2^32 messages (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import hmac
import os
import struct
from functools import lru_cache
from typing import Protocol

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import SealError

SUITES = ("international", "guomi")
_VERSION = 1
_SCHEMA = b"1"
_PAD = 64
_MAX_OPENED = 256 * 1024 * 1024


class Aead(Protocol):
    """What both ciphers offer."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


class Sm4Gcm:
    """SM4-GCM with the call shape of AESGCM; keys are the first 16 bytes of the 32 given."""

    def __init__(self, key: bytes) -> None:
        self._key = key[:16]

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        encryptor = Cipher(algorithms.SM4(self._key), modes.GCM(nonce)).encryptor()
        encryptor.authenticate_additional_data(associated_data or b"")
        return encryptor.update(data) + encryptor.finalize() + encryptor.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        decryptor = Cipher(algorithms.SM4(self._key), modes.GCM(nonce, data[-16:])).decryptor()
        decryptor.authenticate_additional_data(associated_data or b"")
        return decryptor.update(data[:-16]) + decryptor.finalize()


def digest_name(suite: str) -> str:
    """The suite's hash, as hashlib names it."""
    return "sm3" if suite == "guomi" else "sha256"


def mac(suite: str, key: bytes, *parts: bytes) -> bytes:
    """Keyed 32-byte digest over length-prefixed parts."""
    return hmac.digest(key, bound(*parts), digest_name(suite))


def one_block(suite: str, key: bytes) -> Cipher[modes.ECB]:
    """A cipher for single blocks of 16 bytes, no two of them alike."""
    algorithm = algorithms.SM4(key[:16]) if suite == "guomi" else algorithms.AES(key[:16])
    return Cipher(algorithm, modes.ECB())  # noqa: S305 - there is no second block


def bound(*parts: bytes) -> bytes:
    """Canonical encoding of parts: each with its length in four bytes, so that no two lists of parts collide."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


class Sealer:
    """Seals and opens values of one table under one subject's data key. Cheap to keep, dear to make."""

    __slots__ = ("_aead", "_commitment", "_head", "token_key")

    def __init__(self, suite: str, data_key: bytes, table: str) -> None:
        key = mac(suite, data_key, b"kinehub", table.encode(), b"encrypt")
        self._aead: Aead = Sm4Gcm(key) if suite == "guomi" else AESGCM(key)
        self._commitment = mac(suite, data_key, b"kinehub", table.encode(), b"commit")
        self._head = bytes((_VERSION, SUITES.index(suite)))
        self.token_key = mac(suite, data_key, b"kinehub", table.encode(), b"token")

    def seal(self, value: bytes, *where: bytes) -> bytes:
        """`value` sealed to stand at `where` (column, subject, row id, version …) and nowhere else."""
        nonce = os.urandom(12)
        return b"".join((self._head, self._commitment, nonce, self._aead.encrypt(nonce, value, bound(_SCHEMA, *where))))

    def open(self, sealed: bytes, *where: bytes) -> bytes:
        """The value sealed at `where`. Raises SealError when it was moved, edited, or sealed under another key."""
        if sealed[:2] != self._head or not hmac.compare_digest(sealed[2:34], self._commitment):
            raise SealError("A sealed value was made under another key or format.")
        try:
            return self._aead.decrypt(sealed[34:46], sealed[46:], bound(_SCHEMA, *where))
        except InvalidTag:
            raise SealError("A sealed value does not belong where it lies.") from None


@lru_cache(maxsize=1)
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=True)


@lru_cache(maxsize=1)
def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor()


def pack(value: bytes) -> bytes:
    """Compressed and padded to a multiple of 64 bytes, so that lengths tell little."""
    squeezed = _compressor().compress(value)
    return struct.pack(">I", len(squeezed)) + squeezed + bytes(-(len(squeezed) + 4) % _PAD)


def unpack(packed: bytes) -> bytes:
    """The value that `pack` packed."""
    (length,) = struct.unpack_from(">I", packed)
    return _decompressor().decompress(memoryview(packed)[4 : 4 + length], max_output_size=_MAX_OPENED)
