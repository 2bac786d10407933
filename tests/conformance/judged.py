"""What the reference validator says of resources, one finding an issue."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Finding(NamedTuple):
    """What the validator says, without what differs from one run or entry to the next; `where` is one place of it."""

    severity: str
    text: str
    where: str


def _finding(source: str, issue: dict[str, object]) -> Finding:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}(-\d+)?", "ID", re.sub(r"\[\d+\]", "", str(issue.get("diagnostics"))))
    (place, *_) = issue.get("expression") or ["?"]  # type: ignore[misc]
    return Finding(str(issue["severity"]), text, f"{source}: {place}")


def judged(resources: list[tuple[str, bytes]], packages: Sequence[Path], folder: Path, broken: Sequence[bytes]) -> Iterator[Finding]:
    """Findings on the resources; what is broken on purpose comes first, and must be called so."""
    path = folder / "produced.ndjson"
    path.write_bytes(b"\n".join([*broken, *(json.dumps(json.loads(body), ensure_ascii=False).encode() for _, body in resources)]))
    given = " ".join(map(str, packages))
    done = subprocess.run(["make", "--silent", "validate", f"FILES={path}", f"PACKAGES={given}"], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == len(resources) + len(broken), f"The validator did not run: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    assert all("error" in {issue["severity"] for issue in json.loads(line)["issue"]} for line in lines[: len(broken)])
    for (source, _), line in zip(resources, lines[len(broken) :], strict=True):
        yield from (_finding(source, issue) for issue in json.loads(line).get("issue", ()))
