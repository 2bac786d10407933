"""Representatives: family by invitation with limited rights, parents by age; every act on record, and what is revoked ends on live sessions too."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from pypdf import PdfReader

from hub.access.sessions import digest
from hub.cli import cli as kinehub
from hub.settings import load
from tests.builders import an_id_number
from tests.web.test_sensitive import send, sensitive
from tests.web.test_visit_codes import made
from tests.web.town import Place, Visitor, today

END = (today() + timedelta(days=30)).isoformat()


@pytest.fixture(autouse=True)
def none_before(place: Place) -> Iterator[None]:
    for statement in ("DELETE FROM representatives", "DELETE FROM code_guesses", "DELETE FROM emergencies"):
        place.rows(statement)
    yield
    place.rows("DELETE FROM representatives")
    place.rows("DELETE FROM emergencies")


def invited(elder: Visitor, *rights: str, until: str = END) -> str:
    answer = elder.send_form("/resident/family/invite", until=until, **dict.fromkeys(rights, "1"))
    assert answer.status_code == 200, answer.text
    return "".join(re.findall(r"<span>(\d{3})</span>", answer.text))


def helping(elder: Visitor, helper: Visitor, *rights: str) -> None:
    """The helper takes up an invitation and acts from now on."""
    assert helper.send_form("/resident/family/accept", code=invited(elder, *rights)).status_code == 303
    assert acting(helper) == 303


def acting(helper: Visitor) -> int:
    (form,) = re.findall(r'action="(/resident/family/[^"]+/act)"', helper.show("/resident/family"))
    return helper.send_form(form).status_code


def a_parent(place: Place, rights: str = "{}") -> None:
    """As `kinehub resident represent` writes it."""
    place.rows(
        "INSERT INTO representatives (bucket, id, resident, account, relation, rights) "
        f"SELECT r.bucket, $2, r.id, a.id, 'parent', '{rights}' FROM residents r, accounts a WHERE r.id = $1 AND a.resident = $3",
        place.town.child, uuid4(), place.town.resident,
    )  # fmt: skip


def test_family_looks_stops_and_grants_as_it_was_allowed_and_the_elder_reads_it(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "stop")
        home = helper.show("/resident")
        assert "李建国的运动健康" in home
        assert "羽毛球" in home
        assert "您正在替李建国办事" in home
        assert helper.send_form("/resident/pause").status_code == 303
        assert helper.send_form("/resident/resume").status_code == 403, "letting others see again is a right of its own"
        for path in ("/resident/download", "/resident/grants/new", f"/resident/grants/{uuid4()}/preview"):
            assert helper.get(path).status_code == 403, path
        assert helper.send_form("/resident/code", kinds="activity", hours="2").status_code == 403
        copies = ("/resident/downloads", "/resident/records.csv", "/resident/records.pdf", "/resident/records/print")
        for path in (*copies, "/resident/petitions", "/resident/family/new"):
            assert helper.get(path).status_code == 403, path
        assert helper.send_form("/resident/petitions/new", record=str(uuid4()), kind="deletion", words="x").status_code == 403
        assert helper.send_form("/resident/family/invite", until=END, look="1").status_code == 403
        assert "王秀英" in elder.show("/resident/family")
        looks = elder.show("/resident/looks")
        assert "全部暂停着" in elder.show("/resident")
        elder.send_form("/resident/resume")
        assert helper.send_form("/resident/family/self").status_code == 303
        assert "王秀英，您好" in helper.show("/resident")
    for said in ("王秀英", "为了：替您办事", "不再让人看", "开始替您办事"):
        assert said in looks
    acts = place.rows("SELECT actor FROM audit WHERE resident = $1 AND action = 'consent-refuse' ORDER BY at DESC LIMIT 1", place.town.neighbour)
    assert acts[0]["actor"].startswith("Account/")


def test_a_grant_by_family_names_who_agreed(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "grant", "stop")
        who = helper.show("/resident/grants/new?find=市第二医院")
        link = re.findall(r'class="choice" href="([^"]+)"', who)[0].replace("&amp;", "&")
        page = helper.show(f"{link}&kind=activity&term=month")
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))
        assert helper.post("/resident/grants/new", data=fields | {"sensitive": "PSY"}).status_code == 403
        assert helper.post("/resident/grants/new", data=fields).status_code == 303
        consents = [entry["resource"] for entry in elder.get("/fhir/Consent?_count=200").json()["entry"]]
        (made,) = [one for one in consents if one["status"] == "active" and one["provision"]["type"] == "permit"]
        (row,) = place.rows("SELECT id FROM representatives WHERE account IS NOT NULL")
        elder.send_form("/resident/stop-all")
        given_back = elder.send_form(f"/resident/grants/{made['id']}/again").headers["location"].partition("granted=")[2].partition("#")[0]
        mine = elder.get(f"/fhir/Consent/{given_back}").json()
        receipts = [visitor.show(f"/resident/grants/{id_}") for visitor in (elder, helper) for id_ in (made["id"], given_back)]
        assert [re.findall(r"谁同意的</dt><dd>([^<]+)<", page) for page in receipts] == [["王秀英"], ["李建国"]] * 2, "whoever reads it"
        elder.send_form("/resident/stop-all")
        given_back = helper.send_form(f"/resident/grants/{given_back}/again").headers["location"].partition("granted=")[2].partition("#")[0]
        theirs = elder.get(f"/fhir/Consent/{given_back}").json()
        elder.send_form("/resident/stop-all")
    assert made["performer"] == theirs["performer"] == [{"reference": f"RelatedPerson/{row['id']}"}]
    assert mine["performer"] == [{"reference": f"Patient/{place.town.neighbour}"}]


@pytest.mark.parametrize("how", ["elder", "date"])
def test_what_ended_ends_on_the_next_request_of_a_live_session(place: Place, how: str) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "stop")
        assert "羽毛球" in helper.show("/resident/records")
        if how == "elder":
            (form,) = re.findall(r'action="(/resident/family/[^"]+/end)"', elder.show("/resident/family"))
            assert elder.send_form(form).status_code == 303
        else:
            place.rows("UPDATE representatives SET ends = clock_timestamp()")
        gone = helper.get("/resident/records")
        assert gone.status_code == 403
        assert "羽毛球" not in gone.text
        assert helper.send_form("/resident/pause").status_code == 403, "a form that was loaded for somebody else"
        assert "全部暂停着" not in helper.show("/resident"), "back at one's own records"
        assert helper.send_form("/resident/pause").status_code == 303
        assert "全部暂停着" in helper.show("/resident")
        assert "全部暂停着" not in elder.show("/resident")
        assert helper.send_form("/resident/resume").status_code == 303
        assert "羽毛球" not in helper.show("/resident/records")
        assert not re.findall(r"/act\"", helper.show("/resident/family"))


def test_a_code_is_for_somebody_else_once_and_guesses_are_few(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper, place.browse("xiaoming") as third:
        code = invited(elder, "look")
        assert elder.send_form("/resident/family/accept", code=code).status_code == 404, "not for oneself"
        assert helper.send_form("/resident/family/accept", code=code).status_code == 303
        assert third.send_form("/resident/family/accept", code=code).status_code == 404
        late = invited(elder, "look")
        place.rows("UPDATE representatives SET code_expires = clock_timestamp() WHERE account IS NULL")
        assert third.send_form("/resident/family/accept", code=late).status_code == 404
        for _ in range(3):
            third.send_form("/resident/family/accept", code="000000000")
        assert third.send_form("/resident/family/accept", code=invited(elder, "look")).status_code == 403


@pytest.mark.parametrize("fields", [{"until": END}, {"look": "1", "until": "2020-01-01"}, {"look": "1", "until": "2199-01-01"}, {"look": "1", "until": "soon"}])
def test_an_invitation_says_what_and_until_when(place: Place, fields: dict[str, str]) -> None:
    with place.browse("li") as elder:
        assert elder.send_form("/resident/family/invite", **fields).status_code == 400
    assert not place.rows("SELECT 1 FROM representatives")


def test_nobody_acts_for_whom_they_do_not_represent(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper, place.browse("xiaoming") as third:
        helping(elder, helper, "look")
        (row,) = place.rows("SELECT id FROM representatives")
        assert third.send_form(f"/resident/family/{row['id']}/act").status_code == 404
        assert third.send_form(f"/resident/family/{row['id']}/end").status_code == 404
        assert third.send_form(f"/resident/family/{row['id']}/agree", look="1").status_code == 404
        place.rows("UPDATE sessions SET acting = $1 WHERE account = (SELECT id FROM accounts WHERE resident = $2)", row["id"], place.town.child)
        assert "羽毛球" not in third.get("/resident/records").text, "an id put into a session is not enough"


def test_a_parent_acts_for_a_child_and_both_are_shown(place: Place) -> None:
    a_parent(place)
    with place.browse("wang") as parent, place.browse("xiaoming") as child, place.browse("doctor") as doctor:
        assert "王秀英" in child.show("/resident/family")
        assert acting(parent) == 303
        home = parent.show("/resident")
        assert "王小明的运动健康" in home
        assert "篮球" in home
        assert parent.send_form("/resident/pause").status_code == 303
        assert parent.send_form("/resident/resume").status_code == 303
        (row,) = place.rows("SELECT id FROM representatives")
        assert child.send_form(f"/resident/family/{row['id']}/end").status_code == 404, "a child of ten does not end it"
        asked = {"system": "id-number", "value": an_id_number(4), "reason": "life", "text": "孩子在操场上昏倒了，没有家长。", "hours": "1"}
        answer = doctor.send_form("/hospital/emergency", **asked)
        assert answer.status_code == 303
        assert "篮球" in doctor.show("/hospital/emergency/patient"), "that it is a child's hides nothing in an emergency"
        assert "紧急查看：李医生" in parent.show("/resident"), "the guardian is told as well"


def command(place: Place, *arguments: str) -> Result:
    environment = {"KINEHUB_KEYRING": str(load(place.folder).keyring)}
    return CliRunner().invoke(kinehub, ["--data-dir", str(place.folder), "--database-url", place.database, *arguments], env=environment)


def cli(place: Place, *arguments: str) -> str:
    done = command(place, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_at_fourteen_the_young_person_says_what_a_parent_may(place: Place) -> None:
    cli(place, "resident", "represent", str(place.town.child), "--login", "wang", "--as", "parent")
    born = {"name": "王小明", "id_number": an_id_number(4), "birth_date": today().replace(year=today().year - 14, day=1).isoformat()}
    with place.browse("wang") as parent, place.browse("xiaoming") as child:
        assert acting(parent) == 303
        assert "篮球" in parent.show("/resident/records")
        file = place.folder / "born.json"
        file.write_text(json.dumps(born))
        cli(place, "resident", "add", "--from", str(file))
        assert parent.get("/resident/records").status_code == 403, "on a live session"
        (page,) = re.findall(r'href="(/resident/family/[0-9a-f-]{36})"', child.show("/resident/family"))
        (form,) = re.findall(r'action="(/resident/family/[^"]+/agree)"', child.show(page))
        assert child.send_form(form, look="1").status_code == 303
        assert acting(parent) == 303
        assert "篮球" in parent.show("/resident/records")
        assert parent.send_form("/resident/pause").status_code == 403
        file.write_text(json.dumps(born | {"birth_date": "2000-01-01"}))
        cli(place, "resident", "add", "--from", str(file))
        assert parent.get("/resident/records").status_code == 403, "18"
        refused = command(place, "resident", "represent", str(place.town.child), "--login", "wang", "--as", "guardian")
        assert refused.exit_code != 0
        file.write_text(json.dumps(born | {"birth_date": f"{today().year - 10}-01-05"}))
        cli(place, "resident", "add", "--from", str(file))


def refusals(place: Place, visitor: Visitor) -> list[str]:
    consents = [entry["resource"] for entry in visitor.get("/fhir/Consent?_count=200").json().get("entry", [])]
    return [one["id"] for one in consents if one["status"] == "active" and one["provision"]["type"] == "deny"]


def test_family_that_may_stop_does_not_end_a_refusal_of_the_residents(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "stop")
        elder.send_form("/resident/pause")
        (pause,) = [one for one in refusals(place, elder) if "data" not in elder.get(f"/fhir/Consent/{one}").json()["provision"]]
        assert helper.send_form(f"/resident/grants/{pause}/stop").status_code == 403
        assert "全部暂停着" in elder.show("/resident")
        elder.send_form("/resident/resume")


def test_family_that_may_grant_neither_reads_nor_gives_back_what_is_most_private(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "grant")
        who = elder.show("/resident/grants/new?find=市第二医院")
        link = re.findall(r'class="choice" href="([^"]+)"', who)[0].replace("&amp;", "&")
        page = elder.show(f"{link}&kind=activity&term=month")
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', page))
        made = elder.post("/resident/grants/new", data=fields | {"sensitive": "PSY"}).headers["location"].partition("granted=")[2].partition("#")[0]
        for path in ("/resident", "/resident/grants", f"/resident/grants/{made}"):
            assert "包括敏感的" in elder.show(path), path
            assert "包括敏感的" not in helper.show(path), path
        elder.send_form(f"/resident/grants/{made}/stop")
        assert helper.send_form(f"/resident/grants/{made}/again").status_code == 403
        assert elder.send_form(f"/resident/grants/{made}/again").status_code == 303
        elder.send_form("/resident/stop-all")


def test_wrong_codes_of_one_resident_shut_out_nobody_else(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper, place.browse("xiaoming") as third:
        for _ in range(21):
            third.send_form("/resident/family/accept", code="000000000")
        assert helper.send_form("/resident/family/accept", code=invited(elder, "look")).status_code == 303


def test_a_code_by_family_is_good_while_they_may_make_it_and_names_who_agreed(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper, place.browse("doctor") as doctor:
        helping(elder, helper, "visit")
        assert helper.get("/resident").status_code == 403, "it is not the right to look"
        assert "我替李建国同意" in helper.show("/resident/code?kind=activity") or "我替家人同意" in helper.show("/resident/code?kind=activity")
        (row,) = place.rows("SELECT id FROM representatives WHERE account IS NOT NULL")
        assert doctor.send_form("/hospital/code", code=made(helper)).status_code == 303
        consents = [entry["resource"] for entry in elder.get("/fhir/Consent?_count=200").json()["entry"]]
        (consent,) = [one for one in consents if one["status"] == "active" and one["provision"]["type"] == "permit"]
        assert consent["performer"] == [{"reference": f"RelatedPerson/{row['id']}"}]
        assert {"王秀英"} <= set(re.findall(r"<strong>([^<·]+)</strong>", elder.show("/resident"))), "on the first page, under who looked"
        elder.send_form("/resident/stop-all")
        code = made(helper)
        place.rows("UPDATE representatives SET rights = '{look}'")
        assert doctor.send_form("/hospital/code", code=code).status_code == 404
        place.rows("UPDATE representatives SET rights = '{visit}'")
        code = made(helper)
        elder.send_form(f"/resident/family/{row['id']}/end")
        assert doctor.send_form("/hospital/code", code=code).status_code == 404
        assert "羽毛球" not in doctor.show(f"/hospital/patients/{place.town.neighbour}")


def test_a_parents_code_lets_the_doctor_see_a_childs_records_and_the_childs_own_does_not(place: Place) -> None:
    a_parent(place)
    with place.browse("wang") as parent, place.browse("xiaoming") as child, place.browse("doctor") as doctor:
        assert acting(parent) == 303
        assert "不满 14 岁时的记录也给看" in parent.show("/resident/code?kind=activity")
        where = doctor.send_form("/hospital/code", code=made(parent)).headers["location"]
        assert "篮球" in doctor.show(where)
        parent.send_form("/resident/stop-all")
        assert "篮球" not in doctor.show(where)
        assert doctor.send_form("/hospital/code", code=made(child)).status_code == 303
        assert "篮球" not in doctor.show(where)
        child.send_form("/resident/stop-all")


def sheets(visitor: Visitor) -> str:
    answer = visitor.get("/resident/records.pdf")
    assert answer.headers["content-type"] == "application/pdf"
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)


def test_family_takes_a_copy_of_what_they_may_see_and_of_nothing_sensitive(place: Place) -> None:
    with sensitive(place) as elder, place.browse("wang") as helper:
        helping(elder, helper, "download")
        for path in ("/resident/records.csv", "/resident/records/print"):
            assert "焦虑障碍" in elder.show(path)
            assert "羽毛球" in helper.show(path)
            assert "焦虑障碍" not in helper.show(path)
        assert "焦虑障碍" in sheets(elder)
        assert "羽毛球" in sheets(helper)
        assert "焦虑障碍" not in sheets(helper)
        bundle = [entry["resource"] for entry in helper.get("/resident/download").json()["entry"]]
        kept = {one["resourceType"] for one in (entry["resource"] for entry in elder.get("/resident/download").json()["entry"])}
        assert {"Consent", "Condition"} <= kept
        assert not {"Consent", "Condition"} & {one["resourceType"] for one in bundle}
        assert "李建国" in helper.show("/resident/records/print")
        (row,) = place.rows("SELECT id FROM representatives")
        place.rows("UPDATE sessions SET created = created - interval '11 minutes' WHERE token = $1", digest(helper.cookies["kinehub_session"]))
        assert "again=1" in helper.get("/resident/download").headers["location"]
        noted = place.rows("SELECT actor, purpose FROM audit WHERE action = 'download' AND rule = $1", f"representative/{row['id']}")
        assert {(one["actor"].partition("/")[0], one["purpose"]) for one in noted} == {("Account", "FAMRQT")}
        assert len(noted) == 8


def test_family_asks_for_corrections_of_what_they_see_and_reads_no_words_about_the_rest(place: Place) -> None:
    with sensitive(place) as elder, place.browse("wang") as helper, place.browse("staff") as desk:
        seen = RECORD.findall(elder.show("/resident/records"))
        hidden = next(record for record in seen if "焦虑障碍" in elder.show(f"/resident/petitions/new?record={record}"))
        open_one = next(record for record in seen if "羽毛球" in elder.show(f"/resident/petitions/new?record={record}"))
        private = elder.send_form("/resident/petitions/new", record=hidden, kind="correction", words="我没有焦虑").headers["location"].partition("#")[0]
        helping(elder, helper, "ask")
        assert helper.get(f"/resident/petitions/new?record={hidden}").status_code == 404
        assert helper.send_form("/resident/petitions/new", record=hidden, kind="deletion", words="x").status_code == 404
        assert helper.get(private).status_code == 404
        assert private not in helper.show("/resident/petitions")
        theirs = helper.send_form("/resident/petitions/new", record=open_one, kind="correction", words="那天没有去").headers["location"].partition("#")[0]
        for visitor in (elder, helper):
            assert "那天没有去" in visitor.show(theirs)
            assert theirs in visitor.show("/resident/petitions")
        assert "由替居民办事的人提出" in desk.show(theirs.replace("/resident/", "/center/"))
        assert "王秀英" in elder.show("/resident/looks")
    place.rows("DELETE FROM petitions WHERE resident = $1", place.town.neighbour)


RECORD = re.compile(r"/resident/petitions/new\?record=([0-9a-f-]{36})")


def test_the_audit_over_fhir_names_who_acts_as_a_representative_and_never_as_a_patient(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "stop", "visit")
        helper.show("/resident/records")
        helper.send_form("/resident/pause")
        made(helper)
        (row,) = place.rows("SELECT id FROM representatives")
        me = f"RelatedPerson/{row['id']}"
        events = [entry["resource"] for entry in elder.get("/fhir/AuditEvent?_count=60").json()["entry"]]
        elder.send_form("/resident/resume")
        named = elder.get(f"/fhir/AuditEvent?agent={me}&_count=100").json()["entry"]
    people = [agent for event in events for agent in event["agent"] if agent.get("name") == "王秀英"]
    theirs = [agent for agent in people if agent["who"].get("reference") == me]
    assert len(theirs) >= 5
    assert {one["role"][0]["coding"][0]["code"] for one in theirs} == {"FAMMEMB"}
    assert all(one["requestor"] and one["who"]["display"] == "王秀英" for one in theirs)
    assert str(place.town.resident) not in json.dumps(events), "whose own record the helper's is, is not told"
    assert len(named) >= 5


def test_an_operator_ends_what_a_death_or_a_court_ended(place: Place) -> None:
    made_id = cli(place, "resident", "represent", str(place.town.child), "--login", "wang", "--as", "guardian").strip()
    with place.browse("wang") as guardian:
        assert acting(guardian) == 303
        assert "篮球" in guardian.show("/resident/records")
        cli(place, "resident", "unrepresent", str(place.town.child), made_id)
        assert guardian.get("/resident/records").status_code == 403
        assert command(place, "resident", "unrepresent", str(place.town.child), made_id).exit_code != 0, "once"


def test_nothing_on_a_helpers_pages_tells_of_what_they_may_not_see(place: Place) -> None:
    """Not its source, not its kind, not that it was recorded, not that the source was shut."""
    clinic = "妇幼保健院"
    pages = ("/resident", "/resident/sources", "/resident/looks?tab=automated", "/resident/grants", "/resident/records")

    def offered(visitor: Visitor) -> list[bool]:
        kinds = re.findall(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new?find=市第二医院"))[0].replace("&amp;", "&")
        page = visitor.show(kinds)
        return [f'value="{code}"' in page for code in ("diagnosis", "laboratory", "activity")]

    with place.browse("wang") as helper, sensitive(place) as elder:
        helping(elder, helper, "look", "stop", "grant")
        (source,) = place.rows(
            "SELECT DISTINCT p.id, p.name FROM parties p JOIN records r ON r.party = p.number WHERE r.resident = $1 AND r.restricted", place.town.neighbour
        )
        assert source["name"] == clinic
        assert [clinic in elder.show(path) for path in pages[:3]] == [True] * 3
        assert [clinic in helper.show(path) for path in pages] == [False] * 5
        assert offered(elder) == [True, True, True]
        assert offered(helper) == [False, False, True]
        assert helper.send_form(f"/resident/sources/{source['id']}/shut").status_code == 404
        assert elder.send_form(f"/resident/sources/{source['id']}/shut").status_code == 303
        assert clinic in elder.show("/resident/grants")
        assert [clinic in helper.show(path) for path in pages] == [False] * 5
        refusal = re.search(r'href="(/resident/grants/[0-9a-f-]+)"', elder.show("/resident/grants"))
        assert refusal
        assert helper.get(refusal[1]).status_code == 404
        assert elder.send_form(f"/resident/sources/{source['id']}/open").status_code == 303
        plain = send(place, {"kind": "condition", "start": f"{today() - timedelta(days=1)}T09:00:00+08:00", "name": "高血压"})
        try:
            assert [clinic in helper.show(path) for path in pages[:3]] == [True] * 3
            assert offered(helper) == [True, False, True]
        finally:
            place.rows("DELETE FROM records WHERE id = $1", plain)


STEPS = {
    r"/resident/(pause|stop-all|(grants|sources|emergencies)/[^/]+/(stop|shut|end))": "stop",
    r"/resident/(resume|(grants|sources)/[^/]+/(again|open)|grants.*)": "grant", r"/resident/code.*": "visit",
    r"/resident/petitions.*": "ask", r"/resident/download": "download", r"/resident/family/self|/sign-out": "look",
}  # fmt: skip


@pytest.mark.parametrize("rights", ["look", "look stop", "look grant", "look visit ask", "look stop grant download"])
def test_a_helper_is_shown_no_step_that_they_may_not_take(place: Place, rights: str) -> None:
    """Every link of every page that a helper comes to opens, and every button is of a right that they have."""
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, *rights.split())
        elder.send_form("/resident/pause")
        try:
            steps = reached(helper)
        finally:
            elder.send_form("/resident/resume")
        steps |= reached(helper)
    needed = {action: next((right for pattern, right in STEPS.items() if re.fullmatch(pattern, action)), "unknown") for action in steps}
    assert set(needed.values()) <= set(rights.split()), needed
    assert "stop" not in rights or "/resident/pause" in steps


def reached(visitor: Visitor) -> set[str]:
    """What the forms do of every page that can be come to from the first one; each link must open."""
    seen, waiting, actions = set[str](), ["/resident"], set[str]()
    while waiting and len(seen) < 60:
        path = waiting.pop(0)
        answer = visitor.get(path)
        assert answer.status_code != 403, path
        seen.add(path)
        if answer.headers["content-type"].startswith("text/html"):
            page = unescape(answer.text.partition("<main")[2])
            actions |= set(re.findall(r'<form method="(?:post|get)" action="([^"?#]+)', page))
            links = (link.partition("#")[0] for link in re.findall(r'href="(/resident[^"]*)"', page))
            waiting += [link for link in dict.fromkeys(links) if link not in seen and link not in waiting]
    return actions


def test_the_log_says_what_a_helper_was_shown_and_took(place: Place) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "ask", "download")
        session = re.findall(r"/resident/records/[0-9a-f-]{36}", helper.show("/resident/records"))[0]
        for path in ("/resident/grants", session, f"/resident/petitions/new?record={session[-36:]}", "/resident/records/print", "/resident/records.csv"):
            helper.show(path)
        helper.get("/resident/download").raise_for_status()
        rows = list(csv.DictReader(elder.get("/resident/looks/log.csv").content.decode("utf-8-sig").splitlines()))
    said = [(row["做了什么"], row["看到了什么"], row["其中哪几项"]) for row in rows if row["谁"] == "王秀英"]
    (whole, _, table, _, sheet, name, asked, session_page, grants, listed, begun) = (set(fields.split("; ")) for _, _, fields in said[:11])
    assert {"平均心率", "运动项目", "姓名", "出生日期"} <= whole
    assert {"平均心率", "运动项目"} <= table
    assert all({"运动项目", "总用时（秒）"} <= shown and "平均心率" not in shown for shown in (sheet, asked, session_page, listed)), "a line has no heart rate"
    assert (name, grants, begun) == ({"姓名"}, {"姓名"}, {""}), "pages without a record"
