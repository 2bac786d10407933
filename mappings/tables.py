"""Mapping files as tables that remember their lines, so that a wrong key is named with file and line. Knows no mapping."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import MappingError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Table(dict[str, Any]):
    """A YAML mapping with the file and line of itself and of each key."""

    file: str = ""
    line: int = 0
    lines: dict[str, int]

    def wrong(self, message: str, key: str | None = None) -> MappingError:
        """The error to raise about `key`, or about the table itself."""
        line = self.lines.get(key, self.line) if key else self.line
        return MappingError(f"{self.file}:{line}: {message}", field=key or "")

    def only(self, allowed: Iterable[str]) -> None:
        """Raises MappingError for a key that is not one of `allowed`."""
        known = set(allowed)
        for key in self:
            if key not in known:
                raise self.wrong(f"unknown key {key!r}; known: {', '.join(sorted(known))}", key)

    def need(self, key: str) -> Any:
        """The value of `key`. Raises MappingError when it is not there."""
        if key not in self:
            raise self.wrong(f"{key!r} is missing")
        return self[key]

    def of(self, origin: Table) -> Table:
        """This table, standing where `origin` stands in its file."""
        self.file, self.line, self.lines = origin.file, origin.line, origin.lines
        return self

    def over(self, base: Table) -> Table:
        """This table with what it leaves out taken from `base`."""
        merged = Table({**base, **self}).of(self)
        merged.lines = {**base.lines, **self.lines}
        return merged


def read(path: Path) -> Table:
    """The table in a YAML file. Raises MappingError with file and line when it is not one."""
    loader = _LOADER(path.read_bytes())
    try:
        node = loader.get_single_node()
        table = _value(loader, node, path.name)
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        raise MappingError(f"{path.name}:{mark.line + 1 if mark else 1}: {getattr(wrong, 'problem', 'not YAML')}") from None
    finally:
        loader.dispose()
    if not isinstance(table, Table):
        raise MappingError(f"{path.name}:1: a mapping file is a table of keys")
    return table


def _value(loader: Any, node: Any, file: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _table(loader, node, file)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, file) for item in node.value]
    return None if node is None else loader.construct_object(node)


def _table(loader: Any, node: yaml.MappingNode, file: str) -> Table:
    table = Table()
    table.file, table.line, table.lines = file, node.start_mark.line + 1, {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node))
        table.lines[key] = key_node.start_mark.line + 1
        if key in dict(table):
            raise table.wrong(f"{key!r} stands twice", key)
        table[key] = _value(loader, value_node, file)
    return table
