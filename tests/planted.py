"""Planted markers and the scanner that looks for them, in every writing a leak could take.

A marker is text or bytes that stands nowhere but where it was planted. `forms` are its writings: UTF-8, GB 18030, UTF-16, hex,
base64 in each of the three alignments, url-encoded, JSON-escaped, and the IEEE 754 bytes of a number. `found` looks for all of
them in one pass, also inside zstd frames and gzip.
"""

from __future__ import annotations

import base64
import json
import secrets
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import quote, quote_plus

import msgspec
import numpy as np
import zstandard

from tests.builders import an_id_number

SHORTEST = 6
"""Bytes of the shortest writing looked for: shorter ones stand in random bytes by chance."""
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08"


def forms(marker: str | bytes) -> set[bytes]:
    """Every writing of a marker that is long enough to be told from chance."""
    plain = [marker] if isinstance(marker, bytes) else [marker.encode(charset) for charset in ("utf-8", "gb18030", "utf-16-le", "utf-16-be")]
    written = {writing for value in plain for writing in (value, value.hex().encode(), value.hex().upper().encode(), *_base64(value))}
    if isinstance(marker, str):
        written |= {quote(marker).encode(), quote(marker).lower().encode(), quote_plus(marker).encode()}
        written |= {json.dumps(marker)[1:-1].encode(), json.dumps(marker)[1:-1].upper().replace("\\U", "\\u").encode()}
        written |= _binary(marker)
    return {writing for writing in written if len(writing) >= SHORTEST}


def _base64(value: bytes) -> Iterator[bytes]:
    """The characters that `value` alone decides, wherever it begins in what is encoded."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        inner = encoded[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]
        yield from (inner, inner.translate(bytes.maketrans(b"+/", b"-_")))


def _binary(marker: str) -> set[bytes]:
    try:
        number = float(marker)
    except ValueError:
        return set()
    return {struct.pack(order + "d", number) for order in "<>"} if "." in marker else set()


class Scanner:
    """Looks for many markers at once: windows of six bytes are sifted by table, and what is left is compared."""

    def __init__(self, markers: Iterable[str | bytes]) -> None:
        self._by_head: dict[bytes, list[tuple[bytes, str | bytes]]] = {}
        for marker in markers:
            for writing in forms(marker):
                self._by_head.setdefault(writing[:SHORTEST], []).append((writing, marker))
        self._sieves = [np.zeros(65536, dtype=bool) for _ in range(SHORTEST // 2)]
        for head in self._by_head:
            for place, sieve in enumerate(self._sieves):
                sieve[int.from_bytes(head[2 * place : 2 * place + 2], "little")] = True

    def found(self, content: bytes) -> set[str | bytes]:
        """The markers that stand in `content`, plain or compressed, in any writing."""
        return set().union(*(self._plain(part) for part in (content, *_unzipped(content))))

    def _plain(self, content: bytes) -> set[str | bytes]:
        if len(content) < SHORTEST:
            return set()
        each = np.frombuffer(content, dtype=np.uint8).astype(np.uint16)
        pairs = each[:-1] | (each[1:] << 8)
        last = len(content) - SHORTEST + 1
        hits = np.ones(last, dtype=bool)
        for place, sieve in enumerate(self._sieves):
            hits &= sieve[pairs[2 * place : 2 * place + last]]
        seen = set()
        for at in np.flatnonzero(hits).tolist():
            for writing, marker in self._by_head.get(content[at : at + SHORTEST], ()):
                if content.startswith(writing, at):
                    seen.add(marker)
        return seen

    def walked(self, places: Iterable[Path]) -> dict[str, set[str | bytes]]:
        """File by file, what stands in it or in its name; folders are walked."""
        found = {}
        for file in files(places):
            seen = self.found(file.read_bytes()) | self.found(file.name.encode())
            if seen:
                found[str(file)] = seen
        return found


def files(places: Iterable[Path]) -> Iterator[Path]:
    """Every regular file at or under `places`."""
    for place in places:
        yield from sorted(path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file() and not path.is_symlink())


def _unzipped(content: bytes) -> Iterator[bytes]:
    """What zstd frames and gzip streams in `content` hold, also where they are written in hex."""
    for magic, open_ in ((_ZSTD, _zstd), (_GZIP, _gzip)):
        yield from filter(None, (open_(content[at : at + 1 << 20]) for at in _each(content, magic)))
        hexed = magic.hex().encode()
        yield from filter(None, (open_(_unhexed(content[at : at + (1 << 20)])) for at in _each(content, hexed)))


def _each(content: bytes, part: bytes) -> Iterator[int]:
    at = content.find(part)
    while at >= 0:
        yield at
        at = content.find(part, at + 1)


def _unhexed(text: bytes) -> bytes:
    digits = text[: next((at for at, byte in enumerate(text) if byte not in b"0123456789abcdef"), len(text))]
    return bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


def _zstd(content: bytes) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    except zstandard.ZstdError:
        return b""


def _gzip(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(content, 1 << 24)
    except zlib.error:
        return b""


class Plants:
    """Hands out markers, each one once, and remembers them."""

    def __init__(self, known: Iterable[str | bytes] = ()) -> None:
        self.markers: list[str | bytes] = list(known)
        self._count = 0

    def _new(self, marker: str) -> str:
        assert marker not in self.markers
        self.markers.append(marker)
        return marker

    def _next(self) -> int:
        self._count += 1
        return self._count

    def name(self) -> str:
        order = self._next()
        return self._new(f"阮{chr(0x6E00 + order)}{chr(0x7A00 + order)}")

    def id_number(self) -> str:
        return self._new(an_id_number(self._next(), "19570319"))

    def phone(self) -> str:
        return self._new(f"199{73110000 + self._next()}")

    def text(self, kind: str) -> str:
        """A member number, health card, serial, note, file name, key, password: told apart by their first letters."""
        return self._new(f"{kind}-{self._next()}-{secrets.token_hex(5)}")

    def words(self) -> str:
        return self._new(f"左膝{chr(0x6700 + self._next())}酸要{chr(0x6800 + self._next())}歇")

    def figure(self) -> str:
        """A distance in metres that nothing else is."""
        return self._new(f"{7300 + self._next()}.{secrets.randbelow(80) + 11}7")

    def pressure(self) -> str:
        return self._new(f"13{self._next() % 10}.{secrets.randbelow(80000) + 10001}7")

    def keep(self, marker: str | bytes) -> None:
        self.markers.append(marker)

    def person(self) -> dict[str, str]:
        return {"name": self.name(), "id_number": self.id_number(), "phone": self.phone(), "health_card": self.text("CARD")}

    def scanner(self) -> Scanner:
        return Scanner(self.markers)


CODED = {"measure", "unit", "sport", "status_reason", "cancellation"}
"""Texts of a record that are codes, or that its status forbids."""


def worded(struct: type[msgspec.Struct], sample: dict[str, Any], plants: Plants) -> dict[str, Any]:
    """A record, or a part of one, with a marker in each of its texts."""
    said = dict(sample)
    for field in msgspec.structs.fields(struct):
        parts = [part for part in get_args(field.type) if isinstance(part, type) and issubclass(part, msgspec.Struct)]
        if field.type in (str, str | None) and field.name not in CODED:
            said[field.name] = plants.words()
        elif get_origin(field.type) is list and parts and field.name in said:
            said[field.name] = [worded(parts[0], entry, plants) for entry in said[field.name]]
        elif field.type == list[str]:
            said[field.name] = [plants.words()]
    return said
