"""`make demo` and `make serve`: a small city on the embedded PostgreSQL, used through the same command line and HTTP as anyone would.

Every number printed is measured in this run. People and values are invented; ID numbers use the unassigned area 990000.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx

from hub.access.keys import Token, fetch_token

WEIGHTS, CHECKS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), "10X98765432"
PEOPLE = (("王秀英", "19550417", 2, "female"), ("李建国", "19520309", 3, "male"), ("陈桂兰", "19600822", 4, "female"))
CLOUD = "市健康云"
PASSWORD = "kinehub-demo-2026"  # noqa: S105 - a demo city's password, printed on its sign-in hints


def id_number(birth: str, order: int) -> str:
    """A GB 11643 number in the unassigned area 990000, so that it is nobody's."""
    head = f"990000{birth}{order:03d}"
    return head + CHECKS[sum(int(digit) * weight for digit, weight in zip(head, WEIGHTS, strict=True)) % 11]


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class City:
    """The demo's parties and residents, made and asked through the command line and HTTP."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.parties: dict[str, dict[str, Any]] = {}
        self.residents: dict[str, str] = {}
        self.http = httpx.Client(base_url=url, timeout=30)
        self.timings: list[tuple[str, float]] = []

    def cli(self, *arguments: str, stdin: str | None = None) -> Any:
        command = [sys.executable, "-m", "hub", "--data-dir", str(self.folder), "--json", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if done.returncode:
            raise SystemExit(f"kinehub {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def add_party(self, key: str, name: str, kind: str, *options: str) -> None:
        keys = self.folder / f"{key}.jwk"
        keys.unlink(missing_ok=True)  # of a city that was not finished
        self.parties[key] = self.cli("party", "add", name, "--kind", kind, "--zone", "Asia/Shanghai", "--key-out", str(keys), *options) | {
            "name": name,
            "key": str(keys),
        }

    def add_entry(self, key: str, body: dict[str, Any]) -> str:
        """A directory entry of a party; its reference."""
        made = self.cli("directory", "add", "--party", self.parties[key]["party_id"], "--from", "-", stdin=json.dumps(body))
        return str(made["reference"])

    def token(self, key: str, scope: str) -> dict[str, str]:
        """An access token by private_key_jwt, as any Backend Services client gets it."""

        async def fetch() -> Token:
            async with httpx.AsyncClient() as http:
                return await fetch_token(http, f"{self.url}/oauth/token", self.parties[key]["client_id"], private, scope)

        private = json.loads(Path(self.parties[key]["key"]).read_bytes())
        return {"Authorization": f"Bearer {asyncio.run(fetch()).access_token}"}

    def timed(self, label: str, response: httpx.Response) -> httpx.Response:
        self.timings.append((label, response.elapsed.total_seconds() * 1000))
        return response


@contextmanager
def serving(folder: Path, port: int, workers: int = 1) -> Iterator[str]:
    """A hub on `folder`, stopped on the way out."""
    environment = {**os.environ, "KINEHUB_BASE_URL": f"http://localhost:{port}"}
    command = [sys.executable, "-m", "hub", "--data-dir", str(folder), "--json", "serve", "--port", str(port), "--workers", str(workers)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)  # noqa: S603 - our own command
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise SystemExit("The hub did not start.")
        yield str(json.loads(line)["base_url"])
    finally:
        child.terminate()
        child.communicate(timeout=30)


@contextmanager
def receiving(port: int = 0) -> Iterator[str]:
    """The city health cloud's stand-in, a process of its own."""
    child = subprocess.Popen([sys.executable, "-m", "hub.demo.receiver", str(port)], stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{child.stdout.readline().strip()}"
    finally:
        child.terminate()
        child.communicate(timeout=10)


def receiver_port(city: City) -> int:
    """Where the city's party looks for the stand-in since an earlier start; 0 before there is one."""
    found = [urlsplit(party["deliver_to"]) for party in city.cli("party", "list") if party["name"] == CLOUD and party["deliver_to"]]
    return (found[-1].port or 0) if found else 0


def build(city: City, receiver: str) -> None:
    """Two hospitals, two centres, a kiosk, a wearable cloud, the city health cloud, three residents, a venue and a coach."""
    parties = (
        ("hospital", "市第二医院", "hospital"), ("hospital2", "市中医医院", "hospital"),
        ("center", "殷行社区运动健康中心", "fitness-center", "--may-register", "--purpose", "TREAT"), ("center2", "滨江健身馆", "fitness-center"),
        ("kiosk", "殷行街道智慧健康小屋", "kiosk"), ("wearable", "手环云", "wearable-cloud"),
        ("city", CLOUD, "city-cloud", "--deliver-to", f"{receiver}/fhir"),
    )  # fmt: skip
    with ThreadPoolExecutor(4) as lanes:
        list(lanes.map(lambda party: city.add_party(*party, "--country", "CN", "--contact", f"privacy@{party[0]}.example"), parties))
        list(lanes.map(lambda person: register(city, *person), zip(PEOPLE, ("A1001", "YH-0002", "YH-0003"), strict=True)))
    furnish(city)


def register(city: City, who: tuple[str, str, int, str], number: str) -> None:
    """One invented resident, a member of the first centre."""
    name, birth, order, gender = who
    person = {
        "name": name, "id_number": id_number(birth, order), "birth_date": f"{birth[:4]}-{birth[4:6]}-{birth[6:]}", "gender": gender,
        "phone": f"1990000{order:04d}", "zone": "Asia/Shanghai", "member_numbers": [{"party": city.parties["center"]["party_id"], "number": number}],
    }  # fmt: skip
    city.residents[name] = city.cli("resident", "add", "--from", "-", stdin=json.dumps(person))["resident_id"]


def furnish(city: City) -> None:
    """The first centre's venue, which its lists name, and a coach."""
    venue = {"resourceType": "Location", "identifier": [{"system": "https://yinhang.example/sites", "value": "YH-2F"}], "status": "active", "name": "二楼"}
    coach = {
        "resourceType": "Practitioner", "identifier": [{"system": "https://yinhang.example/staff", "value": "Z-07"}], "name": [{"text": "周敏"}],
        "telecom": [{"system": "phone", "value": "19900000007"}],
    }  # fmt: skip
    city.add_entry("center", venue)
    city.add_entry("center", coach)


def twelve_weeks(city: City, resident: str) -> None:
    """Invented weeks up to yesterday: classes at the centre, walks by the wearable, blood pressure at the kiosk."""
    today = datetime.now(ZoneInfo("Asia/Shanghai")).replace(hour=0, minute=0, second=0, microsecond=0)
    sent: dict[str, list[dict[str, Any]]] = {"center": [], "wearable": [], "kiosk": []}
    for week in range(12):
        monday = today - timedelta(days=today.weekday() + 7 * week)
        classes = ((0, 9, "tai_chi", 40 - week), (2, 9, "strength_training", 30), (4, 15, "tai_chi", 45 - week))
        sent["center"] += [a_session(monday + timedelta(days=day, hours=hour), sport, minutes, "center") for day, hour, sport, minutes in classes]
        sent["wearable"] += [a_session(monday + timedelta(days=day, hours=18), "walking", 32 - week, "wearable") for day in (1, 3, 5)]
        sent["wearable"].append(a_session(monday + timedelta(hours=9, minutes=1), "tai_chi", 38 - week, "wearable"))
        sent["kiosk"].append(a_pressure(monday + timedelta(days=1, hours=8), 132 + week, 82 + week // 2))
    for key, records in sent.items():
        past = [record for record in records if datetime.fromisoformat(record["start"]) < today]
        answer = city.http.post("/intake/kinehub-json", params={"resident": resident}, json=[{"record": record} for record in past],
                                headers=city.token(key, "intake.write"))  # fmt: skip
        answer.raise_for_status()


def a_session(start: datetime, sport: str, minutes: int, key: str) -> dict[str, Any]:
    measured = {"hr_avg": 96, "hr_max": 121} if key == "wearable" else {}
    end = start + timedelta(minutes=minutes)
    return {"kind": "session", "start": start.isoformat(), "end": end.isoformat(), "elapsed_s": minutes * 60, "sport": sport, **measured}


def a_pressure(at: datetime, systolic: int, diastolic: int) -> dict[str, Any]:
    components = [{"measure": name, "value": value, "unit": "mm[Hg]"} for name, value in (("systolic", systolic), ("diastolic", diastolic))]
    return {"kind": "vital", "start": at.isoformat(), "measure": "blood-pressure", "components": components}


def upload_samples(city: City, resident: str) -> tuple[int, int]:
    """One sample file of each format through the HTTP intake; returns files and records taken."""
    samples = [Path(path) for path in city.cli("sample-files", str(city.folder / "samples"))["files"]]
    headers = {key: city.token(key, "intake.write") for key in ("center", "kiosk", "wearable")}
    senders = {"hl7v2": "kiosk", "table": "center", "kinehub-json": "center"}
    files, records = 0, 0
    for sample in samples:
        sender = senders.get(sample.stem, "wearable")
        who = {} if sample.stem == "table" else {"resident": resident}
        response = city.timed(
            f"upload {sample.stem}", city.http.post(f"/intake/{sample.stem}", params=who, content=sample.read_bytes(), headers=headers[sender])
        )
        receipt = response.json()
        if response.status_code >= 400:
            say(f"  {sample.name:24} refused: {receipt.get('title')}")
            continue
        files, records = files + 1, records + len(receipt["records"])
        say(
            f"  {sample.name:24} {receipt['status']:9} {len(receipt['records'])} records, "
            f"{len(receipt['rejected'])} rejected, {len(receipt['pending'])} waiting"
        )
    return files, records


def history(city: City, key: str, resident: str, label: str) -> int:
    """How many Observations a hospital's FHIR search shows."""
    headers = city.token(key, "system/*.rs")
    response = city.timed(
        f"history {label}", city.http.get("/fhir/Observation", params={"patient": resident, "_total": "accurate", "_count": "50"}, headers=headers)
    )
    total = int(response.json().get("total", -1))
    say(f"  {city.parties[key]['name']} {label}: {total} Observations (HTTP {response.status_code}, {response.elapsed.total_seconds() * 1000:.1f} ms)")
    return total


def demo(folder: Path, port: int) -> None:
    """The main job, end to end."""
    began = time.perf_counter()
    with receiving() as receiver, serving(folder, port) as url:
        say(f"The hub answers at {url} after {time.perf_counter() - began:.1f} s (embedded PostgreSQL made and migrated).")
        city = City(folder, url)
        build(city, receiver)
        say(f"A small city: {len(city.parties)} parties, {len(city.residents)} residents; a venue and a coach of {city.parties['center']['name']}.")
        say("\nReal files through the intake:")
        resident = city.residents[PEOPLE[0][0]]
        files, records = upload_samples(city, resident)
        say(f"  {files} files, {records} records.\n\nWhat the hospital sees of {PEOPLE[0][0]} (invented):")
        before = history(city, "hospital", resident, "before any consent")
        consent = city.cli(
            "consent",
            "grant",
            "--resident",
            resident,
            "--to",
            city.parties["hospital"]["party_id"],
            "--purpose",
            "TREAT",
            "--data",
            "activity,health-check",
        )
        during = history(city, "hospital", resident, "with consent")
        other = history(city, "hospital2", resident, "without one of its own")
        city.cli("consent", "withdraw", "--resident", resident, consent["consent_id"])
        after = history(city, "hospital", resident, "after the withdrawal")
        deliver(city, receiver, resident)
        trail = city.cli("audit", "verify")
        say(f"\nThe audit holds {trail['entries']} entries and is {'intact' if trail['intact'] else 'BROKEN'}.")
        slowest = sorted(city.timings, key=lambda timing: -timing[1])[:3]
        say("Slowest requests: " + ", ".join(f"{label} {ms:.0f} ms" for label, ms in slowest) + ".")
        say(f"Done in {time.perf_counter() - began:.1f} s.")
        if not (before == other == after == 0 and during > 0 and trail["intact"]):
            raise SystemExit("The demo did not see what it should have seen.")


def deliver(city: City, receiver: str, resident: str) -> None:
    """The city cloud receives what the resident lets it have, once, although its first answers are errors."""
    say("\nDelivery to the city health cloud, which answers every other request with an error:")
    httpx.put(f"{receiver}/control", json={"mode": "flap"})
    began = time.perf_counter()
    city.cli("consent", "grant", "--resident", resident, "--to", city.parties["city"]["party_id"], "--purpose", "PUBHLTH", "--data", "activity")
    while time.perf_counter() - began < 30:
        owed = [row for row in city.cli("delivery", "list") if row["status"] == "owed"]
        if not owed:
            break
    arrived = httpx.get(f"{receiver}/control").json()
    again = sum(count - 1 for count in arrived["offered"].values())
    say(f"  {len(arrived['stored'])} records arrived in {time.perf_counter() - began:.1f} s; {again} attempts were repeated, and each was kept once.")
    if [row for row in city.cli("delivery", "list") if row["status"] in ("owed", "dead")] or not arrived["stored"]:
        raise SystemExit("Not everything that is owed was delivered.")


def serve(folder: Path, port: int) -> None:
    """The same city, kept running, with sign-in hints. SIGTERM stops it as Ctrl-C does, its hub included."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with serving(folder, port) as url, receiving(receiver_port(city := City(folder, url))) as receiver:
        if not (folder / "demo-password").exists():
            settle_in(city, receiver)
        name, birth, order, _ = PEOPLE[0]
        say(f"\n{url}/sign-in   resident: wang   doctor: doctor   centre: center   password: {PASSWORD}")
        say(f"The doctor finds {name} (invented) by the ID number {id_number(birth, order)}.\nStop with Ctrl-C.")
        try:
            signal.pause()
        except KeyboardInterrupt:
            say("Stopping.")


def settle_in(city: City, receiver: str) -> None:
    """A city with twelve weeks behind it, accounts and grants. The password's file gets its name last: it says that all of it is there."""
    build(city, receiver)
    resident = city.residents[PEOPLE[0][0]]
    upload_samples(city, resident)
    twelve_weeks(city, resident)
    for key, classes in (("hospital", "activity,health-check,identity"), ("center", "activity")):
        city.cli("consent", "grant", "--resident", resident, "--to", city.parties[key]["party_id"], "--purpose", "TREAT", "--data", classes)
    secret = city.folder / "demo-password.new"
    secret.write_text(PASSWORD)
    for login, name, role, *of in (
        ("wang", PEOPLE[0][0], "resident", "--resident", resident),
        ("doctor", "李医生", "doctor", "--party", city.parties["hospital"]["party_id"]),
        ("center", "周教练", "staff", "--party", city.parties["center"]["party_id"]),
    ):
        city.cli("user", "add", login, "--name", name, "--role", role, *of, "--password-file", str(secret))
    secret.rename(city.folder / "demo-password")


def main() -> None:
    """`python -m hub.demo [--serve] [--port N] [--data-dir DIR]`."""
    arguments = argparse.ArgumentParser(prog="kinehub demo")
    arguments.add_argument("--serve", action="store_true")
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--data-dir", type=Path)
    given = arguments.parse_args()
    if given.serve:
        serve(given.data_dir or Path(".kinehub"), given.port or 8000)
        return
    with tempfile.TemporaryDirectory(prefix="kinehub-demo-") as folder:
        demo(given.data_dir or Path(folder), given.port or free_port())


def free_port() -> int:
    """A port nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
