"""The full records on file and their faces: a line for each field and each resource, so that a change of one is a change of one line.

    python -m tests.mappings.kept     writes the faces anew; what changed is for the reviewer to judge
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson

from mappings.face import face
from schemas.records import decode
from tests.mappings.r4_oracle import SUBJECT

FOLDER = Path(__file__).parent / "golden"


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def record_in(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["record"]
    return found


def written(record: dict[str, Any]) -> str:
    """A record with its face of today, as it is kept."""
    faces = [json.loads(resource.json) for resource in face(decode(orjson.dumps(record)), SUBJECT)]
    fields = [f"{json.dumps(name)}: {_line(value)}" for name, value in record.items()]
    return '{"record": {\n' + ",\n".join(fields) + '\n},\n"face": [\n' + ",\n".join(map(_line, faces)) + "\n]}\n"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    for kept in files():
        kept.write_text(written(record_in(kept)), encoding="utf-8")
