"""Sensitive records on the resident's pages: said beside the record, and asked for on a screen of their own."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlparse
from uuid import UUID

from tests.builders import a_city
from tests.web.town import Place, Visitor, today


def send(place: Place, *rows: dict[str, object]) -> UUID:
    """Records of the neighbour, by a clinic."""

    async def work() -> UUID:
        async with a_city(place.database, place.folder) as city:
            clinic = await city.party("妇幼保健院", "community-clinic")
            answer = await city.upload(clinic, {"records": [{"record": row} for row in rows]}, resident=place.town.neighbour)
            assert answer.status_code == 201, answer.text
            return UUID(answer.json()["records"][0]["record_id"])

    return asyncio.run(work())


@contextmanager
def sensitive(place: Place) -> Iterator[Visitor]:
    """The neighbour with two sensitive records, which are gone afterwards."""
    at = f"{today() - timedelta(days=1)}T09:00:00+08:00"
    send(place, {"kind": "condition", "start": at, "name": "焦虑障碍"}, {"kind": "lab-result", "start": at, "items": [{"name": "HIV抗体", "text": "阴性"}]})
    try:
        with place.browse("li") as visitor:
            yield visitor
    finally:
        place.rows("DELETE FROM records WHERE resident = $1 AND restricted", place.town.neighbour)


def link_of(page: str, text: str) -> str:
    found = re.search(rf'href="([^"]+)">{text}', page)
    assert found, page
    return html.unescape(found[1])


def chosen(visitor: Visitor, *kinds: str) -> str:
    """The address after the kinds were chosen."""
    who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new?find=市第二医院"))
    assert who
    return html.unescape(who[1]) + "".join(f"&kind={kind}" for kind in kinds)


def test_a_sensitive_record_says_so_in_the_list_and_others_do_not(place: Place) -> None:
    with sensitive(place) as visitor:
        page = visitor.show("/resident/records")
        assert "敏感：心理和精神健康" in page
        assert "敏感：艾滋病病毒" in page
    with place.browse("wang") as visitor:
        assert "敏感：" not in visitor.show("/resident/records")


def test_each_sensitivity_has_a_screen_of_its_own_with_nothing_chosen(place: Place) -> None:
    with sensitive(place) as visitor:
        first = visitor.show(chosen(visitor, "activity", "diagnosis", "laboratory"))
        assert "心理和精神健康：也让市第二医院看吗" in first
        assert "为什么敏感：" in first
        assert "checked" not in first
        second = visitor.show(link_of(first, "我单独同意"))
        assert "艾滋病病毒：也让市第二医院看吗" in second
        last = visitor.show(link_of(second, "这一类不给看"))
        assert "（包括敏感的：心理和精神健康）" in last
        assert "艾滋病" not in last
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', last))
        answer = visitor.post("/resident/grants/new", data=fields)
        assert answer.status_code == 303, answer.text
        receipt = visitor.show(f"/resident/grants/{parse_qs(urlparse(answer.headers['location']).query)['granted'][0]}")
        assert "（包括敏感的：心理和精神健康）" in receipt
        visitor.send_form("/resident/stop-all")


def test_only_what_is_stored_among_the_chosen_kinds_is_asked_for(place: Place) -> None:
    with sensitive(place) as visitor:
        assert "请您念一遍" in visitor.show(chosen(visitor, "activity"))
        assert "艾滋病病毒：也让" in visitor.show(chosen(visitor, "activity", "laboratory"))
        answer = visitor.show(chosen(visitor, "activity") + "&yes=PSY")
        assert "敏感" not in answer


def test_a_sensitivity_that_is_none_is_refused(place: Place) -> None:
    with place.browse("li") as visitor:
        to = parse_qs(urlparse(chosen(visitor)).query)["to"][0]
        answer = visitor.send_form("/resident/grants/new", to=to, kinds="activity", sensitive="LABEL", term="day", until=today().isoformat())
    assert answer.status_code == 400


def test_records_leave_the_country_only_where_that_was_agreed_to_on_its_own_screen(place: Place) -> None:
    async def abroad() -> None:
        async with a_city(place.database, place.folder) as city:
            await city.party("Overseas Clinic", "hospital", country="SG", transfer_basis="标准合同备案 2026-0001", contact="privacy@clinic.example")

    asyncio.run(abroad())
    with place.browse("li") as visitor:
        who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new?find=Overseas"))
        assert who
        first = visitor.show(html.unescape(who[1]) + "&kind=activity")
        assert "在境外（新加坡），也让它看吗" in first
        assert "标准合同备案 2026-0001" in first
        last = visitor.show(link_of(first, "我单独同意，可以送到境外"))
        assert "privacy@clinic.example" in last
        fields = dict(re.findall(r'type="hidden" name="([a-z]+)" value="([^"]*)"', last))
        assert visitor.post("/resident/grants/new", data=fields | {"abroad": "False"}).status_code == 400
        granted = visitor.post("/resident/grants/new", data=fields)
        receipt = f"/resident/grants/{parse_qs(urlparse(granted.headers['location']).query)['granted'][0]}"
        assert "在境外：新加坡" in visitor.show(receipt)
        told = visitor.get(f"{receipt}/receipt.json").json()["receipt"]["processing"]["notice_terms"]
        assert told["怎么联系"] == "privacy@clinic.example"
        assert {"给谁", "送到境外", "为了什么", "看什么", "怎么看", "多久", "您的权利"} < told.keys()
        visitor.send_form(f"{receipt}/stop")
