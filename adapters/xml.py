"""XML read as a stream of elements: nothing is kept, nothing is fetched, no entity is expanded. Memory stays flat.

Names are given without their prefix: real exports declare namespaces wrongly or not at all.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import BinaryIO
from xml.parsers import expat  # entities are refused below, which is what defusedxml would add

from adapters.base import AdapterError, Limits, TooLarge

_CHUNK = 64 * 1024
_LONGEST_TOKEN = 1024 * 1024
_LONGEST_TEXT = 16 * 1024
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_NATIVE = {"utf-8", "utf-16", "ascii", "iso8859-1"}

Start = Callable[[str, dict[str, str]], None]
End = Callable[[str, str], None]


def walk(stream: BinaryIO, limits: Limits, start: Start, end: End) -> None:
    """Call `start(name, attributes)` and `end(name, text)` for each element. Raises AdapterError, TooLarge.

    text: what stood directly before the end tag, stripped; of a leaf, its content.
    """
    head = stream.read(_CHUNK).lstrip(b" \t\r\n")
    decoder = _decoder(head)
    parser = _parser(limits, start, end, "utf-8" if decoder else None)
    if not head:
        raise AdapterError("The file is empty.", advice="Export it again from the device or app.")
    try:
        _feed(parser, stream, head, decoder, limits)
    except expat.ExpatError as error:
        why = expat.errors.messages[error.code]
        raise AdapterError(
            f"The XML is not well-formed at line {error.lineno}: {why}.", advice="The file may be cut off; export it again.", row=error.lineno
        ) from None
    except (UnicodeError, ValueError):
        raise AdapterError("The text of the file does not fit its encoding.", advice="Export it again as UTF-8.") from None


def recognised(head: bytes, name: str) -> bool:
    """Whether the first bytes of an XML file hold the start tag `name`, whatever its prefix."""
    return re.search(rb"<(?:[\w.-]+:)?" + name.encode() + rb"[\s>]", head.replace(b"\0", b"")) is not None


def _decoder(head: bytes) -> codecs.IncrementalDecoder | None:
    """A decoder for encodings that expat does not know (GB18030 and its like)."""
    found = _ENCODING.match(head)
    if not found:
        return None
    try:
        codec = codecs.lookup(found[1].decode())
        "".encode(codec.name)  # refuses codecs that are not text encodings
    except LookupError:
        raise AdapterError("The file names an encoding that does not exist.", advice="Export it again as UTF-8.") from None
    return None if codec.name in _NATIVE else codec.incrementaldecoder("strict")


def _feed(parser: expat.XMLParserType, stream: BinaryIO, chunk: bytes, decoder: codecs.IncrementalDecoder | None, limits: Limits) -> None:
    read = given = 0
    while chunk:
        read += len(chunk)
        if read > limits.bytes:
            raise TooLarge(f"The file is larger than {limits.bytes} bytes.")
        utf8 = decoder.decode(chunk).encode() if decoder else chunk
        given += len(utf8)
        parser.Parse(utf8, False)
        if given - max(parser.CurrentByteIndex, 0) > _LONGEST_TOKEN:
            raise TooLarge(f"One value or tag of the file is longer than {_LONGEST_TOKEN} bytes.")
        chunk = stream.read(_CHUNK)
    parser.Parse(decoder.decode(b"", final=True).encode() if decoder else b"", True)


def _parser(limits: Limits, start: Start, end: End, encoding: str | None) -> expat.XMLParserType:
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    depth, held, length = 0, [""], 0

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, length
        depth += 1
        if depth > limits.depth:
            raise TooLarge(f"The XML is nested deeper than {limits.depth} levels.")
        held.clear()
        length = 0
        start(name.rpartition(":")[2], attributes)

    def closed(name: str) -> None:
        nonlocal depth, length
        depth -= 1
        end(name.rpartition(":")[2], "".join(held).strip())
        held.clear()
        length = 0

    def said(text: str) -> None:
        nonlocal length
        length += len(text)
        if length <= _LONGEST_TEXT:
            held.append(text)

    def entity(*_: object) -> int:
        raise AdapterError("The XML declares entities, which are not accepted.", advice="Export the file again without a document type.")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = opened, closed, said
    parser.EntityDeclHandler = parser.UnparsedEntityDeclHandler = parser.ExternalEntityRefHandler = entity
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    return parser
