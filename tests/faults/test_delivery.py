"""Delivery to a city cloud that is down, flaps, loses its answers and is slow, while the worker is killed: once each, in order, and no more.

The receiver is a process of its own (`hub.demo.receiver`). What happens is followed by `delivery list` and the receiver's own record.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.demo.__main__ import CLOUD, receiver_port, receiving
from tests.builders import a_session
from tests.process import Running, a_hub

PATIENCE_S = 90.0


class Receiver:
    """The city cloud's mood and what arrived there, in order."""

    def __init__(self, url: str) -> None:
        self.control = f"{url}/control"

    def mood(self, mode: str) -> None:
        httpx.put(self.control, json={"mode": mode})

    def offered(self) -> dict[str, int]:
        return dict(httpx.get(self.control).json()["offered"])

    def stored(self, resident: str) -> list[str]:
        """Idempotency keys of what arrived about a resident."""
        arrived = httpx.get(self.control).json()["stored"]
        return [one["key"] for one in arrived if f"Patient/{resident}" in one["subjects"]]

    def everything(self) -> list[str]:
        return [one["key"] for one in httpx.get(self.control).json()["stored"]]


def until(met: Callable[[], bool], what: str) -> None:
    """Ask again until it is so; every question is a request or a command, which takes its time."""
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < deadline, f"waited in vain: {what}"


def kill_worker(parent: int) -> None:
    """SIGKILL to the delivery worker: the newest of the hub's children, for it is started last."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    workers = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(max(workers, key=_started), signal.SIGKILL)


def _started(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])


def sent(city: Running, resident: str, days: range) -> list[str]:
    """Sessions uploaded one after another; their keys in the order in which they are owed."""
    receipts = [city.upload("center", a_session(f"2026-05-{day:02d}T08:00:00+08:00"), resident) for day in days]
    return [f"{receipt['records'][0]['record_id']}.1" for receipt in receipts]


def states(city: Running) -> dict[str, int]:
    """How many deliveries are in each state."""
    found: dict[str, int] = {}
    for row in city.cli("delivery", "list"):
        found[row["status"]] = found.get(row["status"], 0) + row["count"]
    return found


@pytest.fixture
def town(tmp_path: Path) -> Iterator[tuple[Running, Receiver]]:
    """A hub that owes a city cloud what residents let it have."""
    with receiving() as url, a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        city.add_party("city", "City cloud", "city-cloud", "--deliver-to", f"{url}/fhir")
        yield city, Receiver(url)


def test_every_owed_record_arrives_once_and_in_order_whatever_fails(town: tuple[Running, Receiver]) -> None:
    city, receiver = town
    first, second, other = (city.resident(f"Resident {order}", order) for order in (2, 3, 4))
    for resident in (first, second):
        city.grant(resident, "city", "PUBHLTH", "activity")
    withdrawn = city.grant(other, "city", "PUBHLTH", "activity")

    receiver.mood("error")
    owed = {resident: sent(city, resident, range(1, 5)) for resident in (first, second)}
    hidden = sent(city, other, range(1, 3))
    until(lambda: owed[first][0] in receiver.offered(), "a first attempt")
    city.cli("consent", "withdraw", "--resident", other, withdrawn)
    before = {key: count for key, count in receiver.offered().items() if key in hidden}
    kill_worker(city.child.pid)
    receiver.mood("flap")
    until(lambda: bool(receiver.stored(first)), "a first arrival")
    receiver.mood("lose")
    lost = len(receiver.everything())
    until(lambda: len(receiver.everything()) > lost, "an arrival whose answer is lost")
    kill_worker(city.child.pid)
    receiver.mood("slow")
    until(lambda: "owed" not in states(city), "everything settled")

    assert receiver.stored(first) == owed[first]
    assert receiver.stored(second) == owed[second]
    assert receiver.stored(other) == []
    assert not set(hidden) & set(receiver.everything())
    assert {key: count for key, count in receiver.offered().items() if key in hidden} == before
    assert set(receiver.everything()) == {*owed[first], *owed[second]}
    assert max(receiver.offered().values()) > 1
    assert states(city)["acknowledged"] == 8
    assert "dead" not in states(city)


def test_what_is_refused_becomes_a_dead_letter_that_can_be_replayed(town: tuple[Running, Receiver]) -> None:
    city, receiver = town
    resident = city.resident("Resident 2", 2)
    city.grant(resident, "city", "PUBHLTH", "activity")
    receiver.mood("refuse")
    (key,) = sent(city, resident, range(1, 2))
    until(lambda: states(city).get("dead") == 1, "a dead letter")
    (dead,) = (row for row in city.cli("delivery", "list") if row["status"] == "dead")
    assert "422" in dead["reason"]
    assert receiver.everything() == []
    receiver.mood("up")
    assert city.cli("delivery", "replay", *map(str, dead["ids"])) == {"replayed": 1}
    until(lambda: states(city).get("acknowledged") == 1, "the replayed letter")
    assert "dead" not in states(city)
    assert receiver.stored(resident) == [key]


def test_a_hub_that_was_stopped_delivers_after_its_next_start(town: tuple[Running, Receiver]) -> None:
    city, receiver = town
    resident = city.resident("Resident 2", 2)
    city.grant(resident, "city", "PUBHLTH", "activity")
    receiver.mood("error")
    owed: list[Any] = sent(city, resident, range(1, 3))
    city.kill()
    receiver.mood("up")
    city.again()
    until(lambda: len(receiver.everything()) == 2, "both records")
    assert receiver.stored(resident) == owed


def test_the_stand_in_of_a_city_served_again_is_where_its_party_delivers_to(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        assert receiver_port(city) == 0
        with receiving() as url:
            city.add_party("city", CLOUD, "city-cloud", "--deliver-to", f"{url}/fhir")
        with receiving(receiver_port(city)) as again:
            assert again == url
