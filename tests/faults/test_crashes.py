"""The hub is killed while clients upload: what was acknowledged is there, once. KINEHUB_LONG=1 runs 2,000 files and ten kills."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx

from tests.builders import a_session
from tests.process import Running, a_hub, command

LONG = bool(os.environ.get("KINEHUB_LONG"))
FILES, KILLS = (2000, 10) if LONG else (400, 3)
CLIENTS = 20


def a_file(order: int) -> dict[str, Any]:
    """A session of its own minute and day."""
    return a_session(f"2026-0{1 + order % 5}-{1 + order // 5 % 28:02d}T{order // 140 % 24:02d}:{order % 60:02d}:00+08:00", minutes=5)


class Clients:
    """Clients that send every file until it is acknowledged, each under its own Idempotency-Key, whatever happens to the hub."""

    def __init__(self, city: Running, residents: list[str]) -> None:
        self.city, self.residents = city, residents
        self.headers = city.bearer("center", "intake.write")
        self.acknowledged: dict[int, dict[str, Any]] = {}
        self.up, self.progress, self.cut_off = asyncio.Event(), asyncio.Event(), 0
        self.up.set()

    async def send(self, orders: list[int]) -> None:
        async with httpx.AsyncClient(base_url=self.city.url, timeout=60) as http:
            for order in orders:
                while not await self._one(http, order):
                    await self.up.wait()

    async def _one(self, http: httpx.AsyncClient, order: int) -> bool:
        """Whether the hub acknowledged the file."""
        try:
            answer = await http.post(
                "/intake/kinehub-json", params={"resident": self.residents[order % len(self.residents)]}, json=a_file(order),
                headers=self.headers | {"Idempotency-Key": f"file-{order}"},
            )  # fmt: skip
        except httpx.TransportError:
            self.cut_off += 1
            return False
        if answer.status_code == 503:
            self.cut_off += 1
            return False
        assert answer.status_code in (200, 201), f"{answer.text}\n{self.city.last_words()}"
        self.acknowledged[order] = answer.json()
        self.progress.set()
        return True

    async def kill(self, after: int) -> None:
        """SIGKILL once `after` files are acknowledged, and start again."""
        while len(self.acknowledged) < after:
            self.progress.clear()
            await self.progress.wait()
        self.up.clear()
        self.city.kill()
        await asyncio.to_thread(self.city.again)
        self.up.set()

    async def run(self) -> None:
        shares = [list(range(client, FILES, CLIENTS)) for client in range(CLIENTS)]
        async with asyncio.TaskGroup() as group:
            for share in shares:
                group.create_task(self.send(share))
            for number in range(1, KILLS + 1):
                await self.kill(FILES * number // (KILLS + 1))


def test_a_hub_killed_again_and_again_loses_and_doubles_no_acknowledged_upload(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        residents = [city.resident(f"Resident {order}", order) for order in range(2, 6)]
        clients = Clients(city, residents)
        asyncio.run(clients.run())
        assert clients.cut_off
        assert len(clients.acknowledged) == FILES
        records = {order: [record["record_id"] for record in receipt["records"]] for order, receipt in clients.acknowledged.items()}
        assert all(len(ids) == 1 for ids in records.values())
        assert len({ids[0] for ids in records.values()}) == FILES
        for index, resident in enumerate(residents):
            receipts = [clients.acknowledged[order] for order in range(index, FILES, len(residents))]
            promised = {reference for receipt in receipts for record in receipt["records"] for reference in record["resources"]}
            assert city.shown("center", resident) == {reference.partition("/")[2] for reference in promised if reference.startswith("Observation/")}
        assert city.audit()["intact"]


def test_a_second_hub_on_the_same_folder_is_refused_in_one_line_and_sigterm_ends_the_first_cleanly(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        second = command(city.folder, "serve", "--port", "0")
        assert second.returncode == 1
        assert second.stdout == ""
        assert len(second.stderr.strip().splitlines()) == 1
        assert second.stderr.startswith("kinehub: ")
        assert city.http.get("/readyz").status_code == 200
        assert city.stop() == 0
        city.again()
        assert city.http.get("/readyz").status_code == 200
