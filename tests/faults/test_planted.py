"""Hundreds of markers go in through every door of a real hub, failing ones too; then nothing the hub left anywhere holds one.

Looked through: PostgreSQL's own files, WAL and log, a dump as text, the backup, the hub's files and its whole speech (every
library at DEBUG), the metrics, the audit heads, what was opened for writing, and the folder for temporary files. A party's
name is public and in the clear: that it is found where it should be shows that the looking works.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openpyxl
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from adapters import fitfile, kinehub_json
from hub.demo.__main__ import receiving
from hub.quality import worker
from hub.store import postgres
from hub.store.keyring import Keyring
from schemas.records import KINDS
from schemas.resident import HEALTH_CARD_SYSTEM, ID_NUMBER_SYSTEM
from schemas.standard import OF_RESIDENTS
from tests.builders import a_session, an_id_number
from tests.planted import Plants, Scanner, files, forms, worded
from tests.process import Running

SPY = Path(__file__).with_name("spy")
OPEN_NAME = "明处的名字甲乙丙"
"""A party's name: in the clear, as organizations are public."""
CODES = ("http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org", '"subject"', '"valueQuantity"', "tai_chi", "badminton", "太极拳", "快走")
"""Codes of what people did, and what every FHIR body and receipt holds."""
KEPT_KEYS = ("keyring.json", "postgres.password")
"""Files that are there to hold secrets (0600), with each party's own private key (*.jwk), which its command was told to write."""


class Watched(Running):
    """A hub of which everything said by its commands is kept."""

    said: list[str]

    def cli(self, *arguments: str, stdin: str | None = None) -> Any:
        done = self.command(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    def command(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "hub", "--data-dir", str(self.folder), "--json", *arguments]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, check=False)
        self.said = [*getattr(self, "said", []), done.stderr]
        return done

    def psql(self, statement: str) -> str:
        with postgres.connect(self.folder) as dsn:
            line = [postgres.binaries() / "psql", "-XAtqc", statement]
            return subprocess.run(line, env=postgres.environment(dsn), capture_output=True, text=True, check=True).stdout


class World:
    """The hub, who uses it, and what is planted."""

    def __init__(self, city: Watched, plants: Plants, folder: Path) -> None:
        self.city, self.plants, self.folder = city, plants, folder
        self.person = plants.person()
        self.member = plants.text("MEMBER")
        self.resident = ""

    def send(self, content: bytes, format_: str = "auto", party: str = "center", resident: bool = True, **headers: str) -> httpx.Response:
        query = ({"resident": self.resident} if resident else {}) | {"filename": self.plants.text("FILE")}
        key = {"Idempotency-Key": self.plants.text("IDEM")}
        return self.city.http.post(f"/intake/{format_}", params=query, content=content, headers=self.tokens(party) | key | headers)

    def tokens(self, party: str, scope: str = "intake.write") -> dict[str, str]:
        bearer = self.city.bearer(party, scope)
        self.plants.keep(bearer["Authorization"].rpartition(".")[2])
        return bearer

    def who(self) -> dict[str, str]:
        """Someone the hub does not know."""
        return self.plants.person() | {"member_number": self.plants.text("NOBODY")}


# Through the doors


def people_and_parties(world: World, receiver: str) -> None:
    city, plants = world.city, world.plants
    city.add_party("center", OPEN_NAME, "fitness-center")
    city.add_party("hospital", "Hospital", "hospital")
    city.add_party("cloud", "Cloud", "city-cloud", "--deliver-to", f"{receiver}/fhir")
    for key in ("center", "hospital", "cloud"):
        plants.keep(json.loads(Path(city.parties[key]["key"]).read_text())["d"])
    member = {"party": city.parties["center"]["party_id"], "number": world.member}
    person = world.person | {"zone": "Asia/Shanghai", "birth_date": "1957-03-19", "member_numbers": [member]}
    world.resident = city.cli("resident", "add", "--from", "-", stdin=json.dumps(person))["resident_id"]
    for classes, to, purpose in (("all", "hospital", "TREAT"), ("all", "cloud", "PUBHLTH")):
        city.grant(world.resident, to, purpose, classes)
    for broken in ('{"name": "%s", "id_number": "%s"', '{"name": "%s", "id_number": "%s", "gender": "x"}', '{"name": "%s", "phone": 7, "id_number": "%s"}'):
        assert city.command("resident", "add", "--from", "-", stdin=broken % (plants.name(), plants.id_number())).returncode
    wrong = {"name": plants.name(), "id_number": plants.id_number()[:-2] + "11"}
    assert city.command("resident", "add", "--from", "-", stdin=json.dumps(wrong)).returncode == 1


def own_json(world: World) -> None:
    plants = world.plants
    device = {"manufacturer": plants.text("MAKER"), "model": plants.text("MODEL"), "identifier": plants.text("SERIAL"), "firmware": plants.text("FIRM")}
    session = {
        "kind": "session", "sport": "badminton", "start": "2026-05-01T08:00:00+08:00", "end": "2026-05-01T08:40:00+08:00", "elapsed_s": 2400,
        "distance_m": float(plants.figure()), "title": plants.words(), "note": plants.words(), "coach": plants.name(), "venue": plants.words(),
        "programme": plants.words(), "source_record_id": plants.text("SOURCE"), "device": device,
    }  # fmt: skip
    places = {"latitude": {"interval_s": 1, "values": [31.2304719, 31.2304733]}, "longitude": {"interval_s": 1, "values": [121.4737137, 121.4737251]}}
    plants.markers += ["31.2304719", "121.4737137", "312304719", "1214737137"]
    one = {"record": session, "series": places, "who": {"member_number": world.member, "name": world.person["name"]}}
    assert world.send(json.dumps(one).encode(), "kinehub-json").status_code == 201
    session |= {"distance_m": float(plants.figure()), "note": plants.words()}
    assert world.send(json.dumps(one, ensure_ascii=False).encode(), "kinehub-json").json()["status"] == "updated"
    pressure = [{"measure": name, "value": float(value), "unit": "mm[Hg]"} for name, value in (("systolic", plants.pressure()), ("diastolic", "79"))]
    vital = {"kind": "vital", "measure": "blood-pressure", "start": "2026-05-02T09:00:00+08:00", "components": pressure, "note": plants.words()}
    weighed = [{"measure": "body-weight", "value": 61.44137, "unit": "kg", "original": plants.text("WEIGHT")}]
    plants.markers.append("61.44137")
    tested = {"kind": "fitness-test", "start": "2026-05-02", "tester": plants.name(), "grade": plants.text("GRADE"), "items": [
        {"measure": "grip-strength", "value": 31.44919, "unit": "kg"}]}  # fmt: skip
    plants.markers.append("31.44919")
    rows = [
        vital,
        {"kind": "body-composition", "start": "2026-05-02T09:10:00+08:00", "quantities": weighed},
        tested,
        {"kind": "day-summary", "start": "2026-05-02", "date": "2026-05-02", "distance_m": float(plants.figure())},
        {"kind": "check-in", "start": "2026-05-02T07:00:00+08:00", "venue": plants.words(), "method": plants.text("CARDREADER")},
    ]
    assert world.send(json.dumps({"records": [{"record": row} for row in rows]}).encode(), "kinehub-json").status_code == 201


def every_kind(world: World) -> None:
    """One more record of each kind, every text of it a marker."""
    samples = [row["record"] for row in json.loads(kinehub_json.sample) if row["record"]["kind"] in OF_RESIDENTS]
    rows = [worded(KINDS[record["kind"]], record, world.plants) for record in samples]
    answer = world.send(json.dumps({"records": [{"record": row} for row in rows]}, ensure_ascii=False).encode(), "kinehub-json")
    assert answer.status_code == 201, answer.text


def rows_that_wait_and_rows_refused(world: World) -> None:
    plants = world.plants
    waiting = [a_session(f"2026-05-{day:02d}T08:00:00+08:00", note=plants.words(), title=plants.text("TITLE")) | {"who": world.who()} for day in range(3, 9)]
    del waiting[0]["who"]["id_number"]  # a row that states another ID number is settled for nobody
    refused = [
        a_session("2026-05-10T08:00:00+08:00", note=plants.words(), hr_avg=float(plants.figure())) | {"who": world.who()},
        a_session("2026-05-11T08:00:00+08:00", note=plants.words(), end=plants.text("NOTATIME")) | {"who": world.who()},
        a_session("2026-05-12T08:00:00+08:00", note=plants.words(), sport=plants.text("NOSPORT")) | {"who": world.who()},
        a_session("2026-05-13T08:00:00+08:00", hr_avg=plants.text("NOTANUMBER")) | {"who": world.who()},
        {"record": {"kind": plants.text("NOKIND"), "start": plants.text("NOSTART")}, "who": world.who()},
    ]
    answer = world.send(json.dumps({"records": waiting + refused}).encode(), "kinehub-json", resident=False)
    receipt = answer.json()
    assert (answer.status_code, len(receipt["pending"]), len(receipt["rejected"])) == (207, 6, 5), receipt
    bearer, path = world.tokens("center"), f"/intake/receipts/{receipt['receipt_id']}"
    settle = partial(world.city.http.post, f"{path}/pending/{receipt['pending'][0]['row']}", headers=bearer)
    assert settle(json={"resident": world.resident}).status_code == 200
    assert settle(json={"resident": plants.text("NOBODY")}).status_code == 400
    assert settle(json={"resident": "00000000-0000-0000-0000-000000000000"}).status_code == 404
    assert world.city.http.get(path, headers=bearer).status_code == 200
    assert world.city.http.get(f"/intake/receipts/{plants.text('RECEIPT')}", headers=bearer).status_code == 400


def tables(world: World) -> None:
    plants = world.plants
    heads = ["会员号", "身份证号", "姓名", "手机", "项目", "开始时间", "结束时间", "距离", "指导员", "备注"]
    rows = [[world.member, "", world.person["name"], "", "快走", "2026-05-20 08:00", "2026-05-20 08:43", plants.figure(), plants.name(), plants.words()]]
    for day in range(1, 13):
        who = world.who()
        good = day % 2
        rows.append([
            who["member_number"], who["id_number"], who["name"], who["phone"], "太极拳" if good else plants.text("SPORT"), f"2026-05-{day:02d} 09:00",
            f"2026-05-{day:02d} 09:45" if good else plants.words(), plants.figure(), plants.name(), plants.words(),
        ])  # fmt: skip
    for charset in ("utf-8-sig", "gb18030"):
        text = io.StringIO(newline="")
        csv.writer(text).writerows([heads, *rows])
        rows[0][7] = plants.figure()
        assert world.send(text.getvalue().encode(charset), "table", resident=False).status_code == 207
    rows[0][7] = plants.figure()
    workbook = a_workbook([heads, *rows])
    plants.keep(workbook[60:120])
    assert world.send(workbook, resident=False).status_code == 207
    assert world.send(workbook[:-200], "table", resident=False).status_code == 422


def a_workbook(rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def tracks(world: World) -> None:
    plants = world.plants
    longitude, height = "121.4917531", plants.figure()
    gpx = f"""<gpx version="1.1" creator="{plants.text("DEVICE")}" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>{plants.words()}</name>
<type>walking</type><trkseg><trkpt lat="31.2177193" lon="{longitude}"><ele>{height}</ele><time>2026-05-03T07:00:00+08:00</time></trkpt>
<trkpt lat="31.2178193" lon="121.4918531"><ele>5</ele><time>2026-05-03T07:02:15+08:00</time></trkpt></trkseg></trk></gpx>"""
    plants.markers += [longitude, "31.2177193"]
    creator = f"""<Creator xsi:type="Device_t" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Name>{plants.text("WATCH")}</Name>
<UnitId>3917264{plants._next()}</UnitId><ProductID>1</ProductID><Version><VersionMajor>7</VersionMajor><VersionMinor>1</VersionMinor></Version></Creator>"""
    plants.keep(re.findall(r"<UnitId>(\d+)", creator)[0])
    tcx = f"""<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"><Activities><Activity Sport="Running">
<Id>2026-05-04T07:00:00+08:00</Id><Lap StartTime="2026-05-04T07:00:00+08:00"><TotalTimeSeconds>60</TotalTimeSeconds>
<DistanceMeters>{plants.figure()}</DistanceMeters><Calories>11</Calories></Lap><Notes>{plants.words()}</Notes>{creator}</Activity></Activities>
</TrainingCenterDatabase>"""
    for text, kind in ((gpx, "gpx"), (tcx, "tcx")):
        assert world.send(text.encode(), kind).status_code == 201, kind
        assert world.send(text.encode()[: len(text) // 2] + plants.words().encode(), kind).status_code in (207, 201, 422)
    fit = a_fit_file(plants)
    plants.keep(fit[30:70])
    answer = world.send(fit, "fit")
    assert answer.status_code == 201, answer.text
    assert world.send(fit[:-40], "fit").status_code in (201, 200, 422)


def a_fit_file(plants: Plants) -> bytes:
    start, enum, u16, u32, u32z, text = 1_146_697_200, 0x00, 0x84, 0x86, 0x8C, 0x07
    model, serial = plants.text("FITWATCH"), 3_141_500_000 + secrets.randbelow(99_999)
    plants.markers += [str(serial), "7341.37"]
    return fitfile.write([
        (0, [(0, enum, 4), (1, u16, 255), (3, u32z, serial), (4, u32, start), (8, text, model)]),
        (20, [(253, u32, start + 5), (3, 0x02, 91)]),
        (18, [(253, u32, start + 600), (2, u32, start), (5, enum, 1), (7, u32, 600_000), (8, u32, 600_000), (9, u32, 734_137)]),
        (34, [(253, u32, start + 600), (5, u32, start + 600 + 8 * 3600)]),
    ])  # fmt: skip


def station_and_cloud(world: World) -> None:
    plants = world.plants
    who = plants.person()
    hl7 = "\r".join((
        f"MSH|^~\\&|STATION^{secrets.token_hex(8).upper()}^EUI-64|KIOSK|||20260501083000+0800||ORU^R01^ORU_R01|{plants.text('CONTROL')}|P|2.6"
        "||||||UNICODE UTF-8",
        f"PID|||{who['id_number']}^^^^NNCHN~{plants.text('STATIONID')}^^^STATION^PI||{who['name']}||19570319|F|||{plants.words()}||{who['phone']}",
        f"OBR|1|{plants.text('ORDER')}||182777000^monitoring of patient^SCT|||20260501082500+0800",
        "OBX|1||528391^MDC_DEV_SPEC_PROFILE_BP^MDC|1.0.0.0|||||||X|||||||" + plants.text("EUI"),
        f"OBX|2|NM|150021^MDC_PRESS_BLD_NONINV_SYS^MDC|1.1.1.1|{plants.pressure()}|266016^MDC_DIM_MMHG^MDC|||||F|||20260501082500+0800",
        "OBX|3|NM|150022^MDC_PRESS_BLD_NONINV_DIA^MDC|1.1.1.2|79|266016^MDC_DIM_MMHG^MDC|||||F|||20260501082500+0800",
        f"NTE|1||{plants.words()}", "",
    ))  # fmt: skip
    plants.keep(hl7.split("^")[3][:16])
    assert world.send(hl7.encode(), "hl7v2", resident=False).status_code == 207
    assert world.send(hl7.encode(), "hl7v2").status_code in (201, 403)
    assert world.send(hl7.replace("MSH", "MXH").encode(), "hl7v2").status_code == 422
    cuff = {
        "header": {"id": plants.text("OMH"), "creation_date_time": "2026-05-01T08:31:00+08:00", "user_id": plants.text("USER"),
                   "schema_id": {"namespace": "omh", "name": "blood-pressure", "version": "4.0"},
                   "acquisition_provenance": {"source_name": plants.text("CUFF"), "modality": "sensed"}},
        "body": {"systolic_blood_pressure": {"value": float(plants.pressure()), "unit": "mmHg"},
                 "diastolic_blood_pressure": {"value": 81, "unit": "mmHg"}, "user_notes": plants.words(),
                 "effective_time_frame": {"date_time": "2026-05-01T08:30:00+08:00"}},
    }  # fmt: skip
    assert world.send(json.dumps([cuff]).encode(), "open-mhealth").status_code == 201


def unusable(world: World) -> None:
    plants, http = world.plants, world.city.http
    for body in (f'{{"records": [{{"note": "{plants.words()}"', f'{{"{plants.text("KEY")}": NaN}}', plants.words(), f"\0\1{plants.name()}\0"):
        for kind in ("kinehub-json", "auto", "table", "hl7v2", "fit"):
            assert world.send(body.encode(), kind).status_code in (415, 422)
    assert world.send(plants.words().encode(), plants.text("FORMAT")).status_code == 415
    for name, value in (("id-number", plants.id_number()), ("health-card", plants.text("CARD")), ("member", plants.text("MEMBER")), ("x", plants.phone())):
        answer = world.send(b"{}", "kinehub-json", resident=False, **{"X-Resident-Identifier": f"{name}|{value}"})
        assert answer.status_code in (400, 404, 422)
        asked = {"identifier": f"{name}|{value}", "resident": plants.text("NOID")}
        assert http.post("/intake/auto", params=asked, content=b"{}", headers=world.tokens("center")).status_code in (400, 404, 422)
    other = a_session(note=plants.words()) | {"who": {"id_number": plants.id_number(), "name": plants.name()}}
    assert world.send(json.dumps(other).encode(), "kinehub-json").status_code == 403


def clients(world: World) -> None:
    plants, http, city = world.plants, world.city.http, world.city
    for given in (plants.text("BEARER"), ".".join(plants.text("PART") for _ in range(3))):
        assert http.get("/fhir/Observation", headers={"Authorization": f"Bearer {given}"}).status_code == 401
        assert http.get("/fhir/Observation", params={"access_token": given}).status_code == 401
    party = city.parties["hospital"]
    private = json.loads(Path(party["key"]).read_text())
    now = int(time.time())
    good = {"iss": party["client_id"], "sub": party["client_id"], "aud": f"{city.url}/oauth/token", "iat": now, "exp": now + 60}
    for changed in ({}, {"aud": plants.text("AUD")}, {"sub": plants.text("SUB")}, {"exp": now - 9}, {"exp": plants.text("EXP")}):
        content = good | {"jti": plants.text("JTI")} | changed
        signed = jwt.encode({"alg": "ES384", "kid": private["kid"]}, content, ECKey.import_key(private), algorithms=["ES384"])
        plants.keep(signed.rpartition(".")[2])
        form = {
            "grant_type": "client_credentials", "scope": "system/*.rs", "client_assertion": signed,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }  # fmt: skip
        answers = [http.post("/oauth/token", data=form).status_code for _ in range(2)]
        assert answers == ([400, 400] if changed else [200, 400])
    form = {"grant_type": plants.text("GRANT"), "scope": plants.text("SCOPE"), "client_secret": plants.text("SECRET")}
    assert http.post("/oauth/token", data=form).status_code == 400
    assert http.post("/oauth/token", data=form, auth=(plants.text("BASIC"), plants.text("BASICSECRET"))).status_code == 401
    assert http.post("/oauth/introspect", data={"token": plants.text("TOKEN")}).status_code == 400
    assert http.post("/oauth/token", json=form).status_code == 400


def searches(world: World) -> None:
    plants, http, person = world.plants, world.city.http, world.person
    bearer = world.tokens("hospital", "system/*.rs")
    find = partial(http.post, "/fhir/Patient/_search", headers=bearer)
    assert find(data={"identifier": f"{ID_NUMBER_SYSTEM}|{person['id_number']}"}).json()["total"] == 1
    assert find(data={"identifier": f"{HEALTH_CARD_SYSTEM}|{plants.text('CARD')}"}).json()["total"] == 0
    for form in ({"name": person["name"]}, {"phone": plants.phone()}, {plants.text("PARAMETER"): plants.words()}, {"birthdate": plants.text("DATE")}):
        assert find(data=form).status_code in (200, 400)
    for query in (
        {"patient": world.resident, "_include": "*"}, {"patient": world.resident, "code": plants.text("CODE")}, {"patient": plants.text("PATIENT")},
        {"patient": world.resident, "value-quantity": plants.text("VALUE")}, {"patient": world.resident, "date": plants.words()},
        {"patient": world.resident, "_cursor": plants.text("CURSOR")}, {"identifier": f"{ID_NUMBER_SYSTEM}|{plants.id_number()}"},
        {"patient.identifier": f"{ID_NUMBER_SYSTEM}|{plants.id_number()}"},
    ):  # fmt: skip
        assert http.get("/fhir/Observation", params=query, headers=bearer).status_code in (200, 400), query
    shown = http.get("/fhir/Observation", params={"patient": world.resident, "_count": "200"}, headers=bearer).text
    assert world.person["name"] not in shown
    assert "loinc.org" in shown
    assert http.get(f"/fhir/Patient/{world.resident}/$everything", headers=bearer).status_code == 200
    for path in (f"Patient/{plants.text('ID')}", f"{plants.text('TYPE')}/1", f"Observation/{plants.words()}/_history/{plants.text('VERSION')}"):
        assert http.get(f"/fhir/{path}", headers=bearer).status_code == 404
    refused = http.get("/fhir/Observation", headers=bearer | {"X-Purpose-Of-Use": plants.text("PURPOSE")})
    assert refused.status_code == 403


def pages(world: World) -> None:
    plants, city = world.plants, world.city
    roles = {"staff": ("--party", city.parties["center"]["party_id"]), "doctor": ("--party", city.parties["hospital"]["party_id"]),
             "resident": ("--resident", world.resident)}  # fmt: skip
    for role, options in roles.items():
        login, password, name = plants.text("LOGIN"), plants.text("PASSWORD"), plants.name()
        secret = world.folder / "password"
        secret.write_text(password)
        city.cli("user", "add", login, "--name", name, "--role", role, *options, "--password-file", str(secret))
        secret.unlink()
        with httpx.Client(base_url=city.url, timeout=60) as browser:
            wrong = {"login": plants.text("LOGIN"), "password": plants.text("PASSWORD"), "next": f"/{plants.text('NEXT')}"}
            assert browser.post("/sign-in", data=wrong | {"csrf": csrf(browser.get("/sign-in"))}).status_code == 401
            form = {"login": login, "password": password, "csrf": csrf(browser.get("/sign-in")), "next": ""}
            assert browser.post("/sign-in", data=form).status_code == 303
            assert browser.post("/sign-in", data=wrong | {"csrf": plants.text("CSRF")}).status_code == 403
            plants.keep(browser.cookies["kinehub_session"])
            {"staff": at_the_center, "doctor": at_the_hospital, "resident": at_home}[role](world, browser)


def csrf(page: httpx.Response) -> str:
    return page.text.partition('name="csrf" value="')[2].partition('"')[0]


def at_the_center(world: World, browser: httpx.Client) -> None:
    plants = world.plants
    token = csrf(browser.get("/account"))
    send = partial(browser.post, "/center/preview", data={"csrf": token})
    heads = ["会员号", "姓名", "手机", "项目", "开始时间", "结束时间", "距离", "备注"]
    rows = [[world.member, world.person["name"], "", "快走", "2026-06-01 08:00", "2026-06-01 08:43", plants.figure(), plants.words()]]
    rows += [[plants.text("GUEST"), plants.name(), plants.phone(), "快走", "2026-06-01 08:00", end, plants.figure(), plants.words()]
             for end in ("2026-06-01 08:30", "2026-06-01 07:30")]  # fmt: skip
    # Long rows, so that the form is larger than what frameworks keep in memory.
    rows += [[world.member, "", "", "快走", f"2026-06-{2 + n // 20:02d} {8 + n % 10:02d}:00", "", "1000", secrets.token_hex(9000)] for n in range(200)]
    workbook = a_workbook([heads, *rows])
    assert len(workbook) > 2**20
    answer = send(files={"file": (f"{plants.text('FILE')}.xlsx", workbook)})
    assert answer.status_code == 303, answer.text[:500]
    page = answer.headers["location"]
    assert browser.get(page).status_code == 200
    assert browser.get(f"{page}/marked").status_code == 200
    receipt = browser.post(f"{page}/accept", data={"csrf": token}).headers["location"].partition("?")[0]
    assert browser.get(receipt).status_code == 200
    for value in (plants.id_number(), world.person["id_number"]):
        form = {"csrf": token, "system": "id-number", "value": value}
        assert browser.post(f"{receipt}/pending/3", data=form).status_code in (303, 404)
    for name, content in ((plants.text("FILE"), plants.words().encode()), (f"{plants.text('FILE')}.csv", b"\0"), (plants.name(), b"")):
        assert send(files={"file": (name, content)}).status_code in (415, 422)
    assert browser.post("/center/preview", data={"csrf": plants.text("CSRF"), "file": plants.words()}).status_code in (400, 403)


def at_the_hospital(world: World, browser: httpx.Client) -> None:
    token = csrf(browser.get("/account"))
    for value in (world.person["id_number"], world.plants.id_number()):
        form = {"csrf": token, "system": "id-number", "value": value}
        assert browser.post("/hospital", data=form).status_code in (200, 303)
    assert browser.get(f"/hospital/patients/{world.resident}").status_code == 200
    assert browser.get(f"/hospital/patients/{world.plants.text('PATIENT')}").status_code in (200, 404)


def at_home(world: World, browser: httpx.Client) -> None:
    plants, city = world.plants, world.city
    token = csrf(browser.get("/account"))
    assert browser.get("/resident").status_code == 200
    assert browser.get("/resident/records").status_code == 200
    assert browser.get("/resident/looks").status_code == 200
    assert browser.get("/resident/download").status_code == 200
    consent = a_consent(plants, world.resident, city.parties["hospital"]["organization"])
    headers = {"X-CSRF-Token": token}
    assert browser.post("/fhir/Consent", json=consent, headers=headers).status_code == 201
    for broken in ({"status": plants.text("STATUS")}, {"patient": {"reference": f"Patient/{plants.text('OTHER')}"}}, {"provision": {"type": plants.words()}}):
        assert browser.post("/fhir/Consent", json=consent | broken, headers=headers).status_code in (201, 400, 422)
    assert browser.post("/fhir/Consent", content=f'{{"text": "{plants.words()}'.encode(), headers=headers).status_code == 400
    assert browser.post("/fhir/Consent", json=consent | {"patient": plants.words()}, headers=headers).status_code in (400, 422)
    stop = {"csrf": token, "grant": plants.text("GRANT")}
    assert browser.post(f"/resident/grants/{plants.text('GRANT')}/stop", data=stop).status_code in (400, 404, 422)


def a_consent(plants: Plants, resident: str, receiver: str) -> dict[str, Any]:
    """With everything free text may stand in."""
    role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "PRCP", "display": plants.words()}]}
    return {
        "resourceType": "Consent", "status": "active", "patient": {"reference": f"Patient/{resident}", "display": plants.name()},
        "identifier": [{"system": "urn:x", "value": plants.text("CONSENT")}],
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{plants.words()}</div>'},
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}], "text": plants.words()},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {
            "type": "permit", "period": {"start": "2026-01-01", "end": "2099-12-31"}, "actor": [{"role": role, "reference": {"reference": receiver}}],
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT", "display": plants.words()}],
        },
    }  # fmt: skip


def commands(world: World) -> None:
    plants, city = world.plants, world.city
    folder = world.folder / "to-ingest"
    folder.mkdir()
    name, note = plants.text("INGEST"), plants.words()
    file = folder / f"{name}.json"
    file.write_text(json.dumps(a_session("2026-05-28T08:00:00+08:00", note=note) | {"who": {"member_number": world.member}}))
    party = city.parties["center"]["party_id"]
    assert city.cli("ingest", str(file), "--party", party)["status"] == "stored"
    file.write_text(json.dumps(a_session("2026-05-28T08:00:00+08:00", note=plants.words(), hr_avg=float(plants.figure()))))
    assert city.command("ingest", str(file), "--party", party, "--resident", world.resident).returncode == 1
    file.unlink()
    city.said = [said.replace(name, "") for said in city.said]  # a refused file is named on its own operator's terminal
    gone = city.resident(plants.name(), 991)
    plants.keep(an_id_number(991))
    city.upload("center", a_session(note=plants.words(), distance_m=float(plants.figure())), gone)
    city.cli("resident", "erase", gone)
    city.cli("consent", "explain", "--resident", world.resident, "--to", city.parties["hospital"]["party_id"], "--purpose", "TREAT")
    city.cli("audit", "list", "--resident", world.resident)
    city.cli("resident", "add", "--name", plants.name(), "--phone", plants.phone(), "--id-number", plants.id_number())
    city.cli("keys", "rotate")
    assert city.command("consent", "withdraw", "--resident", world.resident, gone).returncode == 1


# Faults


def broken_inside(world: World) -> str:
    """Requests that fail on a defect: a table that is away, and a record that was tampered with. Returns a request's id, for the log."""
    city = world.city
    world.city.psql("ALTER TABLE records RENAME TO records_away")
    answers = [
        world.send(json.dumps(a_session("2026-06-20T08:00:00+08:00", note=world.plants.words())).encode(), "kinehub-json"),
        city.http.get("/fhir/Observation", params={"patient": world.resident}, headers=world.tokens("hospital", "system/*.rs")),
        city.http.post("/fhir/Patient/_search", data={"identifier": f"{ID_NUMBER_SYSTEM}|{world.person['id_number']}"},
                       headers=world.tokens("hospital", "system/*.rs")),
    ]  # fmt: skip
    city.psql("ALTER TABLE records_away RENAME TO records")
    city.psql(f"UPDATE records SET body = set_byte(body, 99, get_byte(body, 99) # 1) WHERE resident = '{world.resident}' AND kind = 2")
    answers.append(city.http.get("/fhir/Observation", params={"patient": world.resident}, headers=world.tokens("hospital", "system/*.rs")))
    assert [answer.status_code for answer in answers] == [500] * 4
    city.psql(f"UPDATE records SET body = set_byte(body, 99, get_byte(body, 99) # 1) WHERE resident = '{world.resident}' AND kind = 2")
    return str(answers[0].headers["x-request-id"])


def database_killed(world: World) -> int:
    """SIGKILL to a backend and then to PostgreSQL itself, with uploads and searches under way. Returns the backend's number."""
    city = world.city
    bearer, reader = world.tokens("center"), world.tokens("hospital", "system/*.rs")
    bodies = [json.dumps(a_session(f"2026-06-{1 + n % 28:02d}T{n % 24:02d}:00:00+08:00", note=world.plants.words())) for n in range(60)]

    def upload(body: str) -> int:
        with httpx.Client(base_url=city.url, timeout=60) as http:
            try:
                http.get("/fhir/Observation", params={"patient": world.resident}, headers=reader)
                return http.post("/intake/kinehub-json", params={"resident": world.resident}, content=body, headers=bearer).status_code
            except httpx.ReadError:  # the worker that had it ended with the database, and was started again
                return 503

    backend = int(city.psql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1"))
    postmaster = int((city.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(upload, body) for body in bodies]
        sent[10].result()
        os.kill(backend, signal.SIGKILL)
        sent[40].result()
        os.kill(postmaster, signal.SIGKILL)
        answers = {one.result() for one in sent}
    assert answers <= {200, 201, 500, 503}
    assert answers & {500, 503}
    until(lambda: city.http.get("/readyz").status_code == 200)
    return backend


def deliveries(world: World, receiver: str) -> None:
    """To a receiver that fails, loses its answer, refuses, and takes."""

    def control() -> dict[str, Any]:
        return dict(httpx.get(f"{receiver}/control").json())

    assert control()["offered"]
    for mood, arrived in (("lose", lambda: len(control()["stored"])), ("refuse", lambda: dead(world)), ("up", lambda: len(control()["stored"]))):
        before = arrived()
        httpx.put(f"{receiver}/control", json={"mode": mood})
        world.city.psql("UPDATE outbox SET next_at = now() WHERE status = 'owed'")
        until(lambda arrived=arrived, before=before: arrived() > before)


def judged(world: World) -> None:
    """Great Expectations over all that came in, and its reports read."""
    world.city.cli("quality", "run")  # some of it was judged on its own by now
    runs = [run for source in world.city.cli("quality", "show")["sources"] for run in source["runs"]]
    assert sum(run["records"] for run in runs) > 10
    assert int(world.city.psql("SELECT count(*) FROM quality_flags"))


def dead(world: World) -> int:
    return int(world.city.psql("SELECT count(*) FROM outbox WHERE status = 'dead'"))


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline


@contextmanager
def a_watched_hub(folder: Path) -> Iterator[Watched]:
    city = Watched(folder)
    try:
        yield city
    finally:
        city.http.close()
        if city.child.poll() is None:
            city.stop()


def dumped(city: Watched, *options: str) -> bytes:
    with postgres.connect(city.folder) as dsn:
        line = [postgres.binaries() / options[0], *options[1:]]
        return subprocess.run(line, env=postgres.environment(dsn), capture_output=True, check=True).stdout


def test_nothing_planted_through_any_door_stands_anywhere_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, opened = tmp_path / "tmp", tmp_path / "opened"
    temporary.mkdir()
    for name, value in (("TMPDIR", temporary), ("KINEHUB_TEST_OPENED", opened), ("PYTHONPATH", os.pathsep.join((str(SPY), os.environ.get("PYTHONPATH", ""))))):
        monkeypatch.setenv(name, str(value))
    plants = Plants(CODES)
    backup = tmp_path / "backup"
    with receiving() as receiver, a_watched_hub(tmp_path / "hub") as city:
        world = World(city, plants, tmp_path)
        httpx.put(f"{receiver}/control", json={"mode": "error"})
        people_and_parties(world, receiver)
        for door in (own_json, every_kind, rows_that_wait_and_rows_refused, tables, tracks, station_and_cloud, unusable, clients, searches, pages, commands):
            door(world)
        request_id = broken_inside(world)
        backend = database_killed(world)
        deliveries(world, receiver)
        if worker.installed():
            judged(world)
        city.cli("backup", str(backup))
        metrics = city.http.get("/metrics").content
        city.add_party("last", f"{OPEN_NAME}丁", "fitness-center")
        dump = dumped(city, "pg_dump")
        restored = b"".join(dumped(city, "pg_restore", "--file=-", str(file)) for file in (backup, backup.with_name("backup.keys")))
        assert city.stop() == 0
    kept = json.loads((city.folder / "keyring.json").read_text())
    plants.markers += [*kept["keys"].values(), Keyring(city.folder / "keyring.json").signing_key().as_dict(private=True)["d"]]
    plants.keep((city.folder / "postgres.password").read_text().strip())
    head = city_head(dump)
    assert len(set(plants.markers)) >= 400

    own = [path for path in files([city.folder]) if path.name not in KEPT_KEYS and path.suffix != ".jwk"]
    log = tmp_path / "hub.log"
    places = {
        "dump": [dump], "backup": [restored, backup.read_bytes(), backup.with_name("backup.keys").read_bytes()], "metrics": [metrics],
        "hub's speech": [log.read_bytes()], "commands' speech": ["".join(city.said).encode()], "opened files": [opened.read_bytes()],
        "base": read(own, "postgres/base"), "WAL": read(own, "postgres/pg_wal"), "PostgreSQL's log": read(own, "log"),
        "audit heads": read(own, "audit-heads"), "temporary": read(list(files([temporary])), ""), "the rest": read(own, ""),
    }  # fmt: skip
    scanner = Scanner(plants.markers)
    leaks = {place: found for place, parts in places.items() for found in [set().union(*map(scanner.found, parts))] if found}
    assert leaks == {}

    # What is there in the clear is found where it is.
    public = {
        OPEN_NAME: ("dump", "backup", "base", "WAL"), request_id: ("hub's speech",), f"(PID {backend})": ("PostgreSQL's log",),
        head: ("dump",), "heads.ndjson": ("audit heads",), 'kinehub_requests_total{door="intake"': ("metrics",),
        f"{city.folder}/keyring.new": ("opened files",), "Shells remember what is typed": ("commands' speech",),
    }  # fmt: skip
    for marker, where in public.items():
        control = Scanner([marker])
        for place in where:
            assert any(control.found(part) for part in places[place]), (marker, place)

    assert not list(temporary.iterdir())
    assert [path for path in opened.read_text().splitlines() if not allowed(path, city.folder, tmp_path)] == []


def city_head(dump: bytes) -> str:
    """A hash of the dump's audit table."""
    return max(re.findall(rb"\\\\x([0-9a-f]{64})\n", dump), key=len).decode()


def read(paths: list[Path], under: str) -> list[bytes]:
    return [path.read_bytes() + path.name.encode() for path in paths if f"/{under}" in str(path)]


def allowed(path: str, folder: Path, beside: Path) -> bool:
    """Where the hub may write: its folder, what a command was told to write, devices, and Python's own compiled modules."""
    return path.startswith((f"{folder}/", "/dev/", "descriptor", str(beside / "backup"))) or path == str(folder) or "/__pycache__/" in path


@pytest.mark.parametrize("marker", ["阮涅穊", "7341.337", "199731100001", "NOTE-7-ab12cd", b"\x01raw\xff\x00bytes"])
def test_a_marker_is_found_in_every_writing_of_it(marker: str | bytes) -> None:
    scanner = Scanner([marker, "another marker"])
    noise = secrets.token_bytes(5001)
    assert scanner.found(noise) == set()
    for writing in forms(marker):
        assert scanner.found(noise + writing + noise) == {marker}
    if isinstance(marker, bytes):
        return
    import base64
    import gzip

    import zstandard

    text = f"前言 {marker} after"
    for charset in ("utf-8", "gb18030", "utf-16"):
        for before in range(3):
            plain = b"x" * before + text.encode(charset)
            assert scanner.found(base64.b64encode(plain)) == {marker}
            assert scanner.found(base64.urlsafe_b64encode(plain)) == {marker}
            assert scanner.found(plain.hex().encode()) == {marker}
    packed = zstandard.compress(msgspec.json.encode({"note": text}))
    for hidden in (packed, packed.hex().encode(), gzip.compress(text.encode()), json.dumps(text).encode(), str(httpx.QueryParams({"q": text})).encode()):
        assert scanner.found(noise + hidden + noise) == {marker}
