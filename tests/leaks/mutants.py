"""The decision switched off on one way out at a time: `python -m tests.leaks.mutants` runs the matrix against each, and every one must be killed.

A mutant lives in a test process alone (`KINEHUB_MUTANT`, applied by `conftest.py`). `on(name, file)` hands out everything to whatever
calls the vault from that function; the others break one of the finer guards.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from consent import decision, redaction
from hub.access import emergency, representatives
from hub.exchange import reading, routes
from hub.store import assists, vault, writer
from hub.store.vault import Vault
from schemas.labels import NONE, Label


class Mutant(NamedTuple):
    """What is broken, and the column of the matrix that must see it, or the tests beside it."""

    column: str
    apply: Callable[[], None]
    file: str = "test_matrix.py"


def on(function: str, file: str) -> Callable[[], None]:
    """The vault takes whoever asks from inside `function` of `file` for the resident."""

    def apply() -> None:
        decided = Vault._decided

        async def mutated(self: Vault, connection: Any, asked: vault.Asked, read: Any) -> Any:
            if _inside(function, file):
                asked = msgspec.structs.replace(asked, self_access=True)
            return await decided(self, connection, asked, read)

        Vault._decided = mutated  # type: ignore[method-assign]

    return apply


def _inside(function: str, file: str) -> bool:
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function and frame.f_code.co_filename.endswith(file):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def _put(holder: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(holder, name, value)


def _same_epoch() -> None:
    async def epoch_of(hub: Any, connection: Any, asked: Any, cursor: Any) -> int:
        return 1

    reading.epoch_of = epoch_of


async def _anybodys(hub: Any, account: Any) -> Any:
    found = await emergency._found(hub, "true")
    return found[-1] if found else None


def _of_any_right() -> None:
    one = representatives._one

    def mutated(row: Any, fourteen: Any) -> Any:
        return msgspec.structs.replace(one(row, fourteen), rights=frozenset(representatives.RIGHTS))

    representatives._one = mutated


DELEGATES = "test_delegates.py"
ROUTES, WEB = "exchange/routes.py", "web/hospital.py"
_ANYBODYS_CASE = assists._READ.replace("party = $2", "party = party").replace("account = $3", "account = account")
MUTANTS: dict[str, Mutant] = {
    "assist, of another organization": Mutant("assist", _put(assists, "_READ", _ANYBODYS_CASE)),
    "read": Mutant("read", on("read", ROUTES)),
    "vread": Mutant("vread", on("vread", ROUTES)),
    "history": Mutant("hist", on("history", ROUTES)),
    "search": Mutant("search", on("_page", ROUTES)),
    "search, newest first": Mutant("next", on("newest", "exchange/reading.py")),
    "count": Mutant("count", on("_page", ROUTES)),
    "include": Mutant("incl", on("_page", ROUTES)),
    "chain": Mutant("chain", on("_page", ROUTES)),
    "_has": Mutant("has", on("_page", ROUTES)),
    "everything": Mutant("every", on("everything", ROUTES)),
    "validate what is kept": Mutant("err", on("validate_one", ROUTES)),
    "samples, read": Mutant("sampled", on("newest", "exchange/sampled.py")),
    "samples, versions": Mutant("sampled", on("versions", "exchange/sampled.py")),
    "doctor's page": Mutant("portal", on("patient", WEB)),
    "doctor's table": Mutant("dl", on("sessions", WEB)),
    "emergency, whose it is": Mutant("emergency", _put(emergency, "of_account", _anybodys)),
    "push to the cloud": Mutant("city", on("_bundle", "delivery/worker.py")),
    "representative, until when": Mutant("delegate", _put(representatives, "_STANDS", "true"), DELEGATES),
    "representative, which right": Mutant("delegate", _of_any_right, DELEGATES),
    "redaction": Mutant("read", _put(decision, "redacted", lambda resource, components, contained: redaction.marked(resource))),
    "references to what is held back": Mutant("every", _put(vault, "_scrubbed", lambda served, hidden: served)),
    "hash of the original": Mutant("every", _put(vault, "ORIGINAL", re.compile(rb"nothing like it"))),
    "page link after a change": Mutant("next", _same_epoch),
    "page link of another client": Mutant("next", _put(reading, "binding", lambda asked, client, pairs: b"everybody's")),
    "resident of the permit": Mutant("every", _put(routes, "_about", lambda asked, whom: msgspec.structs.replace(asked, resident=whom, self_access=True))),
    "labels at intake": Mutant("search", _put(writer, "_labelled", lambda *_: NONE)),
    "labels of older rules": Mutant("every", _put(Vault, "_label", lambda self, row, body: Label(tuple(body.header.sensitivity)))),
    "what a record was made of": Mutant("every", _put(vault, "DERIVED", frozenset())),
    "prefilter and verdict": Mutant("search", _put(vault, "_judgement", lambda *_: decision.Verdict("permit"))),
}  # fmt: skip


def main() -> int:
    """Run the matrix against each mutant; print the table; exit 1 when one survives."""
    survivors = []
    sys.stdout.write(f"{'mutant':36} {'column':8} killed by\n")
    for name, mutant in MUTANTS.items():
        killer = _killer(name, mutant)
        survivors += [] if killer else [name]
        sys.stdout.write(f"{name:36} {mutant.column:8} {killer or 'NOBODY'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} killed\n")
    return 1 if survivors else 0


def _killer(name: str, mutant: Mutant) -> str:
    """The first test that fails, of the column where it is one of the matrix; empty where none does."""
    line = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", f"tests/leaks/{mutant.file}"]
    line += ["-k", f"denied and {mutant.column}"] if mutant.file == "test_matrix.py" else []
    done = subprocess.run(line, env=os.environ | {"KINEHUB_MUTANT": name}, capture_output=True, text=True, check=False)
    found = re.search(r"^FAILED \S+::test_(?:\w+\[(.+?)\]|(\w+))", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1):
        raise SystemExit(f"The tests did not run against {name}:\n{done.stdout[-2000:]}")
    return found[1] or found[2] if found else ""


if __name__ == "__main__":
    sys.exit(main())
