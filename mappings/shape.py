"""Nested elements of a resource as a YAML writes them under `elements`.

    {function: field}            a call of a function of the closed list; `[field, field]` for several, `record.field` inside `each`;
                                 `otherwise: value` is written when it says nothing; `map: {said: written}` replaces what it says
    {to: slot}                   a Reference to that resource of the same record, a list of them where that slot repeats; `as: name`
                                 wraps each one (`{"name": Reference}`)
    {local: code}                a CodeableConcept of the standard's own list of record codes
    {each: field, ...}           a list with the object for every entry of a list field
    {name: ..., name: ...}       an object; without anything from the record in it, it is left out with all its constants
    [...]                        a list
    text, number, true           themselves
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mappings import calls
from mappings.elements import Part, Scope, listed, named
from mappings.functions import Context, dumps
from mappings.tables import Table
from schemas.codes import LISTS

BESIDE = ("otherwise", "map")
"""What stands beside a call's function."""


class _Plain(NamedTuple):
    """A call of fields of the item alone, without further words."""

    function: Callable[..., bytes]
    getters: list[Callable[[Any], Any]]

    def __call__(self, context: Context, item: Any) -> bytes:
        return self.function(context, *[getter(item) for getter in self.getters])


Node = bytes | Part | _Plain


def element(scope: Scope, spec: Table, name: str, value: Any) -> bytes | Part:
    """One element with its name; absent where nothing is said."""
    opening, inner = b',"%b":' % name.encode(), node(scope, spec, value)
    if isinstance(inner, bytes):
        return opening + inner
    if isinstance(inner, _Plain):
        return _said(opening, *inner)

    def write(context: Context, item: Any) -> bytes:
        said = inner(context, item)
        return opening + said if said else b""

    return write


def _said(opening: bytes, function: Callable[..., bytes], getters: list[Callable[[Any], Any]]) -> Part:
    """A plain call with its element's name, in one step: what most elements of a session are."""

    def write(context: Context, item: Any) -> bytes:
        value = function(context, *[getter(item) for getter in getters])
        return opening + value if value else b""

    return write


def node(scope: Scope, spec: Table, value: Any) -> Node:
    """The value of an element: constant bytes, or a part."""
    if isinstance(value, Table):
        if "to" in value:
            return _references(scope, value)
        if "each" in value:
            return _repeated(scope, value)
        if "local" in value:
            return dumps(_local(scope, value))
        return _call(scope, value) if is_call(value) else _object(scope, value)
    return _list(scope, spec, value) if isinstance(value, list) else dumps(value)


def _local(scope: Scope, value: Table) -> dict[str, Any]:
    value.only(("local",))
    said = named(value, "local", value["local"], LISTS["record"]).zh
    return {"coding": [{"system": scope.shared.systems["record"], "code": value["local"], "display": said}], "text": said}


def is_call(value: Table) -> bool:
    """One key with the name of a field, or a list of such: an object of FHIR is written with more in it."""
    said = [inner for key, inner in value.items() if key not in BESIDE]
    return len(said) == 1 and all(isinstance(name, str) for name in listed(said[0]))


def _call(scope: Scope, call: Table) -> Part | _Plain:
    call.only((*calls.FUNCTIONS, *BESIDE))
    name, fields = next((key, value) for key, value in call.items() if key not in BESIDE)
    function, readers = calls.FUNCTIONS[name], [scope.reader(call, name, field) for field in listed(fields)]
    if not any(of_record for of_record, _ in readers) and len(call) == 1:
        return _Plain(function, [read for _, read in readers])
    otherwise = dumps(call["otherwise"]) if "otherwise" in call else b""
    mapped = {dumps(said): dumps(written) for said, written in call.get("map", {}).items()}

    def write(context: Context, item: Any) -> bytes:
        said = function(context, *[read(context.record if of_record else item) for of_record, read in readers])
        return mapped.get(said, said) or otherwise

    return write


def _object(scope: Scope, table: Table) -> Node:
    members = [(b'"%b":' % name.encode(), node(scope, table, inner)) for name, inner in table.items()]
    if all(isinstance(inner, bytes) for _, inner in members):
        return b"{%b}" % b",".join(opening + inner for opening, inner in members if isinstance(inner, bytes))

    def write(context: Context, item: Any) -> bytes:
        parts, said = [], False
        for opening, inner in members:
            found = inner if isinstance(inner, bytes) else inner(context, item)
            said = said or (found != b"" and inner is not found)
            if found:
                parts.append(opening + found)
        return b"{%b}" % b",".join(parts) if said else b""

    return write


def _list(scope: Scope, spec: Table, values: list[Any]) -> Node:
    nodes = [node(scope, spec, value) for value in values]
    if all(isinstance(inner, bytes) for inner in nodes):
        return b"[%b]" % b",".join(inner for inner in nodes if isinstance(inner, bytes))

    def write(context: Context, item: Any) -> bytes:
        found = [inner if isinstance(inner, bytes) else inner(context, item) for inner in nodes]
        said = b",".join(filter(None, found))
        return b"[%b]" % said if said else b""

    return write


def _repeated(scope: Scope, table: Table) -> Part:
    getter, inner = scope.getter(table, "each", table["each"]), scope.of_entries(table, table["each"])
    one = _object(inner, Table({name: value for name, value in table.items() if name != "each"}).of(table))
    if isinstance(one, bytes):
        raise table.wrong("each: nothing of an entry is written", "each")
    inner.all_used(table)

    def write(context: Context, item: Any) -> bytes:
        said = b",".join(filter(None, [one(context, entry) for entry in getter(item)]))
        return b"[%b]" % said if said else b""

    return write


def _references(scope: Scope, table: Table) -> Part:
    table.only(("to", "as"))
    slot, slots = table["to"], scope.slots
    scope.wanted.append((table, slot))
    opening, closing = (b'{"%b":' % table["as"].encode(), b"}") if "as" in table else (b"", b"")

    def write(context: Context, _: Any) -> bytes:
        template = slots[slot]
        type_ = template.type.encode()
        said = [b'%b{"reference":"%b/%b-%d"}%b' % (opening, type_, context.id, number, closing) for number in template.slots(context.record)]
        return b"[%b]" % b",".join(said) if said and (template.each or opening) else b"".join(said)

    return write
