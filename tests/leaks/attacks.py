"""The attacks: each arranges a pair of residents of whom one has something that the denied reader may not see.

The allowed reader has a Consent for all of it, so that a marker that appears nowhere shows a broken test and not a tight hub.
Attacks on doors that this hub does not have (delegates, aggregates, merging) come with the doors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from hub.access import deaths, emergency
from hub.access.sessions import Person
from hub.store import erasure, grants, petitions
from hub.store.parties import Party
from hub.store.relabel import relabel
from schemas.labels import ACT_CODE, RULES, compiled
from schemas.labels import LOCAL as SENSITIVITY
from tests.builders import a_pressure, a_session
from tests.leaks.town import Case, Leaks, classes, rows_of
from tests.planted import Plants

Json = dict[str, Any]
Attack = Callable[[Leaks], Awaitable[Case]]
OLD, BOUND = "2026-01-15", "2026-04-01"
EXERCISE = ("session", "day-summary")
ORDINARY = ("session", "vital", "body-composition", "day-summary", "fitness-test", "lab-result", "sleep", "condition", "medication", "visit", "prescription")


async def _case(leaks: Leaks, plants: Plants, hidden: Any, absent: Any, **more: Any) -> Case:
    return Case(hidden, absent, plants, await leaks.shown(hidden, plants), **more)


async def _partly(leaks: Leaks, plants: Plants, hidden: Any, absent: Any, **more: Any) -> Case:
    """A pair of whom both have the resource, with another hidden part."""
    for one in (hidden, absent):
        await leaks.agree(one, leaks.allowed)
    ids, like = await leaks.shown(hidden), await leaks.shown(absent)
    twins = dict(zip(_records(ids), _records(like), strict=True))
    return Case(hidden, absent, plants, ids, [one.replace(found := one.partition("/")[2][:36], twins[found]) for one in ids], **more)


def _records(ids: list[str]) -> list[str]:
    """The records behind references, in their order."""
    return list(dict.fromkeys(one.partition("/")[2][:36] for one in ids))


async def _unseen(leaks: Leaks) -> tuple[Any, Any, Plants]:
    """A resident with a record of every kind that only the allowed reader may see, and one of whom nothing is known."""
    hidden, absent, plants = await leaks.resident(), await leaks.resident(), Plants()
    await leaks.plant(hidden, plants)
    await leaks.agree(hidden, leaks.allowed)
    return hidden, absent, plants


async def no_consent(leaks: Leaks) -> Case:
    """A1: nobody agreed with this reader."""
    hidden, absent, plants = await _unseen(leaks)
    return await _case(leaks, plants, hidden, absent)


async def expired(leaks: Leaks) -> Case:
    """A2: what was agreed ended a second ago, or with yesterday."""
    from tests.leaks.town import a_moment_ago

    hidden, absent, plants = await _unseen(leaks)
    await leaks.agree(hidden, leaks.denied, only={"class": classes("*"), "period": {"start": "2026-01-01", "end": a_moment_ago()}})
    return await _case(leaks, plants, hidden, absent)


async def withdrawn(leaks: Leaks) -> Case:
    """A3: withdrawn between two pages, with everything asked for and cached before."""
    hidden, absent, plants = await _unseen(leaks)
    consents = await leaks.agree(hidden, leaks.denied)
    page = await leaks.city.get(leaks.denied.hospital, "Observation", patient=str(hidden), _count=2)
    link = next(one["url"] for one in page.json()["link"] if one["relation"] == "next").partition("/fhir/")[2]
    assert (await leaks.denied.browser.get(f"/hospital/patients/{hidden}")).status_code == 200
    assert await leaks.city.shown(leaks.denied.hospital, hidden)
    await leaks.withdraw(hidden, consents)
    return await _case(leaks, plants, hidden, absent, link=link)


SENSITIVE = {"type": "permit", "securityLabel": [
    *({"system": ACT_CODE, "code": code} for code in ("PSY", "HIV")), {"system": SENSITIVITY, "code": "MINOR14"},
]}  # fmt: skip
"""What the allowed reader is granted by name, beside all classes."""
TURNS_14 = date(2026, 4, 20)


def _sensitive(plants: Plants) -> list[Json]:
    """Mental health by code, word, questionnaire and medicine, HIV by test, and every kind from before the age of 14."""
    icd, early, at = "http://hl7.org/fhir/sid/icd-10", f"{TURNS_14 - timedelta(days=8)}", "2026-05-06T09:00:00+08:00"
    rows = [
        {"kind": "condition", "start": at, "name": plants.words(), "coding": f"{icd}|F32.9", "note": plants.words()},
        {"kind": "condition", "start": at, "name": f"抑郁 {plants.words()}"},
        {"kind": "medication", "start": at, "name": f"舍曲林 {plants.words()}"},
        {"kind": "screening", "start": at, "instrument": "SAS", "title": plants.words(), "answers": [{"item": "1", "answer": plants.words()}], "score": 57},
        {"kind": "lab-result", "start": at, "items": [{"name": "HIV 抗体", "text": plants.words()}], "note": plants.words()},
        {"kind": "visit", "start": at, "department": "精神科", "reason": plants.words()},
    ]
    return [*({"record": row} for row in rows), *(_at(row, early) for row in rows_of(plants, ORDINARY))]


async def _labelled(leaks: Leaks) -> tuple[Any, Any, Plants]:
    """A pair of whom one has sensitive records; the denied reader may see all classes, the allowed one the sensitivities by name as well."""
    hidden, absent = await leaks.pair(birth_date=TURNS_14.replace(year=2012))
    plants = Plants()
    await leaks.send(leaks.center, _sensitive(plants), hidden)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied)
    await leaks.agree(hidden, leaks.allowed, SENSITIVE)
    return hidden, absent, plants


async def label_denied(leaks: Leaks) -> Case:
    """A4: all classes were agreed to, no sensitivity by name."""
    hidden, absent, plants = await _labelled(leaks)
    return await _case(leaks, plants, hidden, absent, values=("57", "gt56"))


async def label_later(leaks: Leaks) -> Case:
    """A4: the label comes after everything was asked for and cached."""
    hidden, absent, plants = await _seen_before_the_rules(leaks)
    page = await leaks.city.get(leaks.denied.hospital, "Observation", patient=str(hidden), _count=2)
    link = next(one["url"] for one in page.json()["link"] if one["relation"] == "next").partition("/fhir/")[2]
    await relabel(leaks.city.hub)
    return await _case(leaks, plants, hidden, absent, link=link)


async def label_owed(leaks: Leaks) -> Case:
    """A4: the rules have changed, and the stored labels have not yet."""
    hidden, absent, plants = await _seen_before_the_rules(leaks)
    return await _case(leaks, plants, hidden, absent)


async def _seen_before_the_rules(leaks: Leaks) -> tuple[Any, Any, Plants]:
    """As `_labelled`, stored and read by a hub that has no rules yet, and then has."""
    vault = leaks.city.hub.vault
    vault.rules = compiled(1, ())
    try:
        hidden, absent, plants = await _labelled(leaks)
        for one in await leaks.shown(hidden, plants):
            assert (await leaks.city.get(leaks.denied.hospital, one)).status_code == 200
        assert (await leaks.denied.browser.get(f"/hospital/patients/{hidden}")).status_code == 200
        assert await leaks.city.shown(leaks.denied.hospital, hidden)
    finally:
        vault.rules = RULES
    return hidden, absent, plants


async def date_denied(leaks: Leaks) -> Case:
    """A5: data from before the first day that was agreed to, and a night across it."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    early = [_at(row, OLD) for row in rows_of(plants, ORDINARY)]
    straddling = a_session("2026-03-31T23:30:00+08:00", 90, note=plants.words(), title=plants.words())
    await leaks.send(leaks.center, [*early, straddling], hidden)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, only={"class": classes("*"), "dataPeriod": {"start": BOUND}})
    await leaks.agree(hidden, leaks.allowed)
    return await _case(leaks, plants, hidden, absent)


def _at(row: Json, day: str) -> Json:
    """The record moved to another day."""
    record = dict(row["record"])
    for name in ("start", "end", "date", "issued"):
        if name in record:
            record[name] = day + record[name][10:]
    if record["kind"] == "sleep":
        record["end"] = day[:-2] + "16" + record["end"][10:]
    return row | {"record": record}


async def class_denied(leaks: Leaks) -> Case:
    """A6: only exercise was agreed to. With figures of a hidden measurement to search by (A16, A17)."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    await leaks.plant(hidden, plants, [kind for kind in ORDINARY if kind not in EXERCISE])
    await leaks.send(leaks.center, [a_pressure(systolic=133)], hidden)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, only={"class": classes("activity")})
    await leaks.agree(hidden, leaks.allowed)
    return await _case(leaks, plants, hidden, absent, values=("133", "gt130", "31.4", "63.2"))


async def component_denied(leaks: Leaks) -> Case:
    """A7: the systolic pressure is denied inside a pressure that may be seen."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    high = plants.pressure()
    for one, systolic in ((hidden, float(high)), (absent, 120.5)):
        components = [{"measure": name, "value": value, "unit": "mm[Hg]"} for name, value in (("systolic", systolic), ("diastolic", 78))]
        await leaks.send(
            leaks.center, [{"record": {"kind": "vital", "measure": "blood-pressure", "start": "2026-05-06T09:00:00+08:00", "components": components}}], one
        )
        deny = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}]}
        await leaks.agree(one, leaks.denied, deny)
    return await _partly(leaks, plants, hidden, absent, values=(high, "gt130", "8480-6$gt130"))


async def source_denied(leaks: Leaks) -> Case:
    """A8: whatever gym B wrote is denied; what is computed from it (A22) is computed without it."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    await leaks.plant(hidden, plants, ORDINARY, party=leaks.gym)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, _deny_authored(leaks.gym))
    await leaks.agree(hidden, leaks.allowed)
    return await _case(leaks, plants, hidden, absent)


def _deny_authored(party: Party) -> Json:
    return {"type": "deny", "data": [{"meaning": "authoredby", "reference": {"reference": party.reference}}]}


async def other_purpose(leaks: Leaks) -> Case:
    """A9: agreed to for research, asked for treatment; a header may not add a purpose."""
    hidden, absent, plants = await _unseen(leaks)
    for party, _ in leaks.denied.parties:
        for purpose in ("HRESCH", "HMARKT"):
            await leaks.consent(hidden, {
                "type": "permit", "class": classes("*"), "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": party.reference}}],
                "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": purpose}],
            })  # fmt: skip
    return await _case(leaks, plants, hidden, absent)


async def purpose_by_header(leaks: Leaks) -> Case:
    """A9: the same, with the purpose claimed in a header that the party is not registered for."""
    case = await other_purpose(leaks)
    return Case(case.hidden, case.absent, case.plants, case.ids, headers={"X-Purpose-Of-Use": "HRESCH"})


async def guessed(leaks: Leaks) -> Case:
    """A10: ids of another resident, when the reader has a Consent of a third."""
    hidden, absent, plants = await _unseen(leaks)
    third, _ = await leaks.pair()
    await leaks.agree(third, leaks.denied)
    return await _case(leaks, plants, hidden, absent)


async def anothers_link(leaks: Leaks) -> Case:
    """A12: a page link that was made for another client."""
    hidden, absent, plants = await _unseen(leaks)
    page = await leaks.city.get(leaks.allowed.hospital, "Observation", patient=str(hidden), _count=2)
    link = next(one["url"] for one in page.json()["link"] if one["relation"] == "next").partition("/fhir/")[2]
    return await _case(leaks, plants, hidden, absent, link=link)


async def older_version(leaks: Leaks) -> Case:
    """A13: an earlier version was of a time that is denied, the newest is not."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    told = {"source_record_id": "V-1", "sport": "rowing"}
    await leaks.send(leaks.center, [a_session(f"{OLD}T08:00:00+08:00", note=plants.words(), title=plants.words(), **told)], hidden)
    await leaks.agree(hidden, leaks.allowed)
    case = await _case(leaks, plants, hidden, absent, alike=False)
    for one in (hidden, absent):
        await leaks.send(leaks.center, [a_session("2026-05-07T08:00:00+08:00", **told)], one)
        await leaks.agree(one, leaks.denied, only={"class": classes("*"), "dataPeriod": {"start": BOUND}})
    return case


async def newest_version(leaks: Leaks) -> Case:
    """A13 in reverse: the earlier version may be seen, the newest may not."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    told = {"source_record_id": "V-2", "sport": "rowing"}
    await leaks.send(leaks.center, [a_session("2026-05-07T08:00:00+08:00", **told)], hidden)
    await leaks.send(leaks.center, [a_session(f"{OLD}T08:00:00+08:00", note=plants.words(), title=plants.words(), **told)], hidden)
    plants.keep("赛艇")
    await leaks.agree(hidden, leaks.allowed)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, only={"class": classes("*"), "dataPeriod": {"start": BOUND}})
    return await _case(leaks, plants, hidden, absent, alike=False)


async def erased(leaks: Leaks) -> Case:
    """A14: the resident was erased; those who might see are told what they are told of nobody."""
    hidden, absent, plants = await _unseen(leaks)
    await leaks.agree(hidden, leaks.denied)
    case = await _case(leaks, plants, hidden, absent)
    like = await no_consent(leaks)
    case.allowed, case.allowed_ids = like.hidden, like.ids
    plants.markers += like.plants.markers
    await erasure.erase(leaks.city.hub, hidden, actor="test")
    return case


async def deceased(leaks: Leaks) -> Case:
    """A14: the resident died, with everything agreed to; who uploaded it is a reader like the others."""
    hidden, absent, plants = await _unseen(leaks)
    await leaks.agree(hidden, leaks.denied)
    assert await leaks.city.shown(leaks.denied.hospital, hidden)
    case = await _case(leaks, plants, hidden, absent)
    like = await no_consent(leaks)
    case.allowed, case.allowed_ids = like.hidden, like.ids
    plants.markers += like.plants.markers
    await died(leaks, hidden)
    return case


async def died(leaks: Leaks, whom: Any) -> None:
    evidence = deaths.Evidence(date(2026, 5, 1), "a certificate of a hospital")
    await deaths.record(leaks.city.hub, whom, evidence, actor="one")
    await deaths.confirm(leaks.city.hub, whom, actor="another")


async def by_reference(leaks: Leaks) -> Case:
    """A15: from a resident who agreed, by any reference, to one who did not."""
    hidden, absent, plants = await _unseen(leaks)
    case = await _case(leaks, plants, hidden, absent)
    mine, like = await leaks.pair()
    for one in (mine, like):
        await leaks.agree(one, leaks.denied)
    return Case(mine, like, plants, case.ids, allowed=hidden)


async def part_of_a_panel(leaks: Leaks) -> Case:
    """A20, A21: one item of a fitness test is denied: the report does not name it, nor tell it again in words."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    grip, told = "31.44919", plants.words()
    plants.keep(grip)
    stand = {"measure": "sit-to-stand-30s", "value": 14, "unit": "{count}"}
    test = {"kind": "fitness-test", "start": "2026-05-08T09:00:00+08:00"}
    await leaks.send(
        leaks.center, [{"record": test | {"note": told, "items": [{"measure": "grip-strength", "value": float(grip), "unit": "kg"}, stand]}}], hidden
    )
    await leaks.send(leaks.center, [{"record": test | {"items": [stand]}}], absent)
    deny = {"type": "deny", "code": [{"coding": [{"system": "https://kinehub.org/fhir/CodeSystem/measure", "code": "grip-strength"}]}]}
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, deny)
    return await _partly(leaks, plants, hidden, absent, values=(grip, "gt20"))


async def part_of_a_record(leaks: Leaks) -> Case:
    """A20: of a screening and a prescription only what an instructor needs may be seen, not the answers behind it."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    await leaks.plant(hidden, plants, ["screening"])
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, only={"class": classes("activity")})
    await leaks.agree(hidden, leaks.allowed)
    return await _case(leaks, plants, hidden, absent)


async def deletion_asked(leaks: Leaks) -> Case:
    """A6, A20: the resident asked to have every record deleted, which hides each of them from everybody, whatever the source answers."""
    case = await _refused(leaks, None, leaks.center, kinds=ORDINARY)
    for record in _records(case.ids):
        await petitions.about_record(leaks.city.hub, case.hidden, UUID(record), "deletion", "gone, please")
    return case


async def _refused(leaks: Leaks, source: Party | None, party: Party, *, kinds: tuple[str, ...] = ()) -> Case:
    """Agreed with both readers, and then refused to all by the resident: the allowed reader sees somebody else's, of the same kinds.

    kinds: plant only these, and leave the refusing to the caller
    """
    hidden, absent, plants = await leaks.resident(), await leaks.resident(), Plants()
    other = await leaks.resident()
    for one in (hidden, other):
        await leaks.plant(one, plants, *([kinds] if kinds else []), party=party)
        await leaks.agree(one, leaks.allowed)
    await leaks.agree(hidden, leaks.denied)
    assert await leaks.city.shown(leaks.denied.hospital, hidden)
    ids = await leaks.shown(hidden, plants)
    if not kinds:
        await grants.refuse(leaks.city.hub, hidden, actor=f"Patient/{hidden}", source=source)
    return Case(hidden, absent, plants, ids, allowed=other, allowed_ids=await leaks.shown(other, plants))


async def paused(leaks: Leaks) -> Case:
    """A3: everything paused, with what was agreed to left as it was."""
    return await _refused(leaks, None, leaks.center)


async def source_shut(leaks: Leaks) -> Case:
    """A8: gym B switched off for everybody, and everything there is came from it."""
    return await _refused(leaks, leaks.gym, leaks.gym)


async def _broken_glass(leaks: Leaks, plants: Plants, hidden: Any, absent: Any, by: str, **more: Any) -> Case:
    """An emergency access of the denied hospital to the hidden resident, opened by the reader or by a colleague."""
    async with leaks.city.hub.database.connection() as connection:
        await connection.execute("DELETE FROM emergencies")
        account = await connection.fetchval("SELECT id FROM accounts WHERE party = $1", leaks.denied.hospital.number)
    person = Person(account if by == "reader" else uuid4(), "doctor", "", leaks.denied.hospital.number, None, None, "", datetime.now(UTC))
    await emergency.open_(leaks.city.hub, person, leaks.denied.hospital, hidden, reason="life", text="unconscious on the floor", hours=4)
    return await _case(leaks, plants, hidden, absent, **more)


async def glass_expired(leaks: Leaks) -> Case:
    """A23: a second use after the end, by the page that was open and by every other way."""
    hidden, absent, plants = await _unseen(leaks)
    case = await _broken_glass(leaks, plants, hidden, absent, "reader")
    page = await leaks.denied.browser.get("/hospital/emergency/patient?weeks=52")
    assert case.plants.scanner().found(page.content), "an emergency access that shows nothing proves nothing"
    async with leaks.city.hub.database.connection() as connection:
        await connection.execute("UPDATE emergencies SET expires = clock_timestamp()")
    return case


async def glass_of_a_colleague(leaks: Leaks) -> Case:
    """A23: a colleague has one open about this resident; it is theirs alone."""
    hidden, absent, plants = await _unseen(leaks)
    return await _broken_glass(leaks, plants, hidden, absent, "colleague")


async def glass_by_client(leaks: Leaks) -> Case:
    """A23: with one open, everything else is asked for: search, bulk, tables, push, and by a client that claims the purpose."""
    hidden, absent, plants = await _unseen(leaks)
    return await _broken_glass(leaks, plants, hidden, absent, "reader", headers={"X-Purpose-Of-Use": "BTG"})


def _made_of(plants: Plants, *sources: Json) -> list[Json]:
    """Records with ids of their source, and what was made of them: a report, and of that an adherence."""
    named = [{"record": one | {"start": "2026-05-06T09:00:00+08:00", "source_record_id": f"IN-{number}"}} for number, one in enumerate(sources)]
    inputs = [one["record"]["source_record_id"] for one in named]
    change = {"measure": "grip-strength", "before": 28.1, "after": 30, "unit": "kg", "verdict": plants.words()}
    report = {"kind": "effect-evaluation", "conclusion": plants.words(), "grade": plants.words(), "changes": [change], "inputs": inputs}
    followed = {"kind": "adherence", "note": plants.words(), "goal": plants.words(), "achievement": "improving", "done_sessions": 3, "inputs": ["EV-1"]}
    more = {"start": "2026-05-07T09:00:00+08:00", "formula": "f", "formula_version": "1"}
    return [*named, {"record": report | more | {"source_record_id": "EV-1"}}, {"record": followed | more | {"source_record_id": "AD-1"}}]


async def made_of_denied(leaks: Leaks) -> Case:
    """A22: pulses are denied; what was made of one, and what was made of that, is of classes that may be seen."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    pulse = {"kind": "vital", "measure": "heart-rate", "quantity": {"measure": "heart-rate", "value": 71, "unit": "/min"}, "note": plants.words()}
    await leaks.send(leaks.center, _made_of(plants, pulse), hidden)
    deny = {"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}]}
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied, deny)
    await leaks.agree(hidden, leaks.allowed)
    return await _case(leaks, plants, hidden, absent)


async def made_of_sensitive(leaks: Leaks) -> Case:
    """A22: one of the sources is sensitive, which was not agreed to by name; the records made of it say nothing of that themselves."""
    hidden, absent = await leaks.pair()
    plants = Plants()
    await leaks.send(leaks.center, _made_of(plants, {"kind": "condition", "name": f"抑郁 {plants.words()}"}), hidden)
    for one in (hidden, absent):
        await leaks.agree(one, leaks.denied)
    await leaks.agree(hidden, leaks.allowed, SENSITIVE)
    return await _case(leaks, plants, hidden, absent)


ATTACKS: dict[str, Attack] = {
    "A1": no_consent, "A2": expired, "A3": withdrawn, "A3 paused": paused, "A4": label_denied, "A4 later": label_later, "A4 owed": label_owed,
    "A5": date_denied, "A6": class_denied, "A6 deletion asked": deletion_asked, "A7": component_denied, "A8": source_denied, "A8 shut": source_shut,
    "A9": other_purpose, "A9 header": purpose_by_header, "A10": guessed, "A12": anothers_link, "A13": older_version, "A13 reverse": newest_version,
    "A14": erased, "A14 deceased": deceased,
    "A15": by_reference, "A20": part_of_a_record, "A20 panel": part_of_a_panel, "A22": made_of_denied, "A22 label": made_of_sensitive,
    "A23 expired": glass_expired, "A23 colleague": glass_of_a_colleague, "A23 elsewhere": glass_by_client,
}  # fmt: skip
