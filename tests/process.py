"""A real hub for tests: `python -m hub serve` as processes of its own, asked over HTTP and the command line like anyone would."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from hub.access.keys import fetch_token
from hub.cli import cli
from hub.demo.__main__ import City as Commands
from hub.demo.__main__ import free_port, id_number

PATIENCE_S = 90.0
"""How long a start may take on a loaded machine before a test gives up on it."""

Child = subprocess.Popen[str]


class Running(Commands):
    """A hub on a folder and port: its parties and residents (as in the demo), and its process, which may be killed and started again."""

    child: Child

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__(folder, f"http://localhost:{self.port}")
        self.child = start(folder, self.port)

    def cli(self, *arguments: str, stdin: str | None = None) -> Any:
        """A command; beside a running hub in this process, for the suite gives hundreds and each would import everything again.

        Not with SoftHSM: its library reads where the tokens are once in the life of a process.
        """
        if self.child.poll() is not None or "SOFTHSM2_CONF" in os.environ:
            return super().cli(*arguments, stdin=stdin)
        done = CliRunner().invoke(cli, ["--data-dir", str(self.folder), "--json", *arguments], input=stdin)
        if done.exit_code:
            raise SystemExit(f"kinehub {' '.join(arguments[:2])} failed: {done.exception or done.stderr}")
        return json.loads(done.stdout)

    def kill(self) -> None:
        """SIGKILL to the parent alone, as the kernel would."""
        self.child.kill()
        self.child.communicate()

    def again(self) -> None:
        self.child = start(self.folder, self.port)

    def last_words(self) -> str:
        return log_of(self.folder).read_text()[-4000:]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.child.send_signal(signal.SIGTERM)
        self.child.communicate(timeout=60)
        return self.child.returncode

    def resident(self, name: str, order: int, birth: str = "19550417") -> str:
        person = {"name": name, "id_number": id_number(birth, order), "zone": "Asia/Shanghai"}
        made = self.cli("resident", "add", "--from", "-", stdin=json.dumps(person))["resident_id"]
        self.residents[name] = made
        return str(made)

    def grant(self, resident: str, to: str, purpose: str = "TREAT", classes: str = "all") -> str:
        party = self.parties[to]["party_id"]
        return str(self.cli("consent", "grant", "--resident", resident, "--to", party, "--purpose", purpose, "--data", classes)["consent_id"])

    def bearer(self, key: str, scope: str) -> dict[str, str]:
        """A token by private_key_jwt from the hub's own endpoint, without a command's start-up."""
        party = self.parties[key]
        private = json.loads(Path(party["key"]).read_text())
        return {"Authorization": f"Bearer {asyncio.run(_token(self.url, party['client_id'], private, scope))}"}

    def upload(self, key: str, content: Any, resident: str) -> dict[str, Any]:
        answer = self.http.post("/intake/kinehub-json", params={"resident": resident}, json=content, headers=self.bearer(key, "intake.write"))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def shown(self, key: str, resident: str) -> set[str]:
        """Ids of Observations that a party's search shows, page by page, each once."""
        headers = self.bearer(key, "system/*.rs")
        following: str | None = str(httpx.URL(f"{self.url}/fhir/Observation", params={"patient": resident, "_total": "accurate", "_count": "500"}))
        ids: list[str] = []
        total = -1
        while following:
            page = self.http.get(following, headers=headers).json()
            total = page.get("total", total)
            ids += [entry["resource"]["id"] for entry in page.get("entry", [])]
            following = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        assert total == len(ids) == len(set(ids))
        return set(ids)

    def audit(self) -> dict[str, Any]:
        return dict(self.cli("audit", "verify"))


async def _token(url: str, client: str, private: dict[str, Any], scope: str) -> str:
    async with httpx.AsyncClient(timeout=30) as http:
        return (await fetch_token(http, f"{url}/oauth/token", client, private, scope)).access_token


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the hub, whatever its exit code."""
    return subprocess.run([sys.executable, "-m", "hub", "--data-dir", str(folder), *arguments], capture_output=True, text=True, check=False)


def refused_start(folder: Path) -> str:
    """What a hub that does not start says, in its one line."""
    line = [sys.executable, "-m", "hub", "--data-dir", str(folder), "serve", "--port", str(free_port())]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (1, 1), done.stderr
    return done.stderr


def log_of(folder: Path) -> Path:
    """Where the hubs on a folder, one after the other, write what they say on stderr."""
    return folder.with_name(f"{folder.name}.log")


def start(folder: Path, port: int) -> Child:
    """A hub that has said it is ready."""
    line = [sys.executable, "-m", "hub", "--data-dir", str(folder), "--json", "serve", "--port", str(port)]
    environment = os.environ | {"KINEHUB_BASE_URL": f"http://localhost:{port}"}
    with log_of(folder).open("a") as said:
        child = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
    assert child.stdout is not None
    readable, _, _ = select.select([child.stdout], [], [], PATIENCE_S)
    if not readable or not child.stdout.readline():
        child.kill()
        child.communicate()
        raise AssertionError(f"The hub did not start: {log_of(folder).read_text()}")
    return child


@contextmanager
def a_hub(folder: Path) -> Iterator[Running]:
    """A hub on `folder`, ended on the way out."""
    running = Running(folder)
    try:
        yield running
    finally:
        running.http.close()
        if running.child.poll() is None:
            running.stop()
