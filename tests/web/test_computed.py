"""A computed result says where it comes from, and a person can be asked about it (PIPL 24)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.builders import a_city
from tests.web.test_family import helping
from tests.web.test_petitions import answered
from tests.web.town import Place, Visitor, today

GRIP = {"measure": "grip-strength", "unit": "kg"}
DAY = f"{today() - timedelta(days=6)}T09:00:00+08:00"


def test_of(value: float, id_: str, **more: Any) -> dict[str, Any]:
    return {"kind": "fitness-test", "start": DAY, "items": [GRIP | {"value": value}], "source_record_id": id_} | more


test_of.__test__ = False  # type: ignore[attr-defined]

ROWS = (
    test_of(28.1, "T-1"),
    test_of(30, "T-2", start=DAY.replace("T09", "T10"), edition="gtzd-2023", grade="良好", total_score=81),
    {"kind": "effect-evaluation", "start": DAY.replace("T09", "T11"), "formula": "grip-change", "formula_version": "1.2", "inputs": ["T-1", "T-2", "T-9"],
     "changes": [GRIP | {"before": 28.1, "after": 30, "verdict": "提高"}], "grade": "有效", "source_record_id": "E-1"},
    {"kind": "screening", "start": DAY.replace("T09", "T12"), "instrument": "house-list", "answers": [{"item": "1", "question": "头晕吗", "answer": True}],
     "risk_level": "中风险"},
    {"kind": "vital", "measure": "resting-heart-rate", "start": DAY, "quantity": {"measure": "resting-heart-rate", "value": 205, "unit": "/min"}},
)  # fmt: skip


@pytest.fixture(scope="module")
def results(place: Place) -> Iterator[list[UUID]]:
    """Two tests, an evaluation of both, a screening and an odd pulse of the neighbour, by the centre."""

    async def work() -> list[UUID]:
        async with a_city(place.database, place.folder) as city:
            city.keys.update(place.town.city.keys)
            answer = await city.upload(place.town.center, {"records": [{"record": row} for row in ROWS]}, resident=place.town.neighbour)
            assert answer.status_code == 201, answer.text
            return [UUID(one["record_id"]) for one in answer.json()["records"]]

    with ThreadPoolExecutor(1) as beside:  # a browser has a loop of its own in this thread
        made = beside.submit(asyncio.run, work()).result()
    yield made
    place.rows("DELETE FROM petitions WHERE kind = 'review'")
    place.rows("UPDATE records SET deleted = true WHERE id = ANY($1::uuid[])", made)


def told(page: str) -> dict[str, str]:
    return {label: re.sub("<[^>]+>", "", text) for label, text in re.findall(r"<dt>([^<]+)</dt><dd>(.*?)</dd>", page)}


def asking(visitor: Visitor, record: UUID, **more: str) -> str:
    sent = visitor.send_form("/resident/petitions/new", record=str(record), kind="review", **({"of": "result"} | more))
    assert sent.status_code == 303, sent.text
    return str(sent.headers["location"]).partition("#")[0]


def test_each_result_says_what_it_was_made_from_and_what_its_source_left_unsaid(place: Place, results: list[UUID]) -> None:
    plain, test, evaluation, screening, _ = results
    with place.browse("li") as visitor, place.browse("wang") as stranger:
        listed = re.findall(r"/resident/petitions/result\?record=([0-9a-f-]+)", visitor.show("/resident/records"))
        assert {str(one) for one in (test, evaluation, screening)} <= set(listed)
        assert str(plain) not in listed, "measured, and nothing more"
        shown = {record: told(visitor.show(f"/resident/petitions/result?record={record}")) for record in (test, evaluation, screening)}
        assert visitor.get(f"/resident/petitions/result?record={plain}").status_code == 404
        assert stranger.get(f"/resident/petitions/result?record={test}").status_code == 404
    assert shown[test] | {"等级": "良好", "标准版本": "国民体质测定标准（2023年修订）", "总分": "81 分", "测试项目": "握力 30 kg"} == shown[test]
    assert shown[evaluation]["公式"] == "grip-change"
    assert shown[evaluation]["公式版本"] == "1.2"
    assert shown[evaluation]["前后对比"] == "握力 28.1 → 30 kg 提高"
    assert re.fullmatch("体质测定 握力 30 kg；体质测定 握力 28.1 kg；另有 1 条这里没有", shown[evaluation]["依据的记录"])
    assert shown[screening] | {"风险等级": "中风险", "量表编码": "house-list", "版本": "对方没有写明", "回答": "头晕吗: 是"} == shown[screening]


def test_one_tap_asks_a_person_of_the_source_who_answers_by_the_clock(place: Place, results: list[UUID]) -> None:
    with place.browse("li") as visitor, place.browse("staff") as staff, place.browse("doctor") as other, place.browse("admin") as admin:
        petition = asking(visitor, results[3])
        page = visitor.show(petition)
        assert re.search("还有 1[45] 天答复", page)
        assert "中风险" in page
        assert visitor.send_form("/resident/petitions/new", record=str(results[3]), kind="review", of="result").status_code == 409
        assert "请人看看结果" in staff.show("/center/petitions")
        desk = staff.show(petition.replace("/resident/", "/center/"))
        assert "风险等级 中风险" in desk
        assert "请人看一看这个结果" in desk
        assert other.get(petition.replace("/resident/", "/hospital/")).status_code == 404
        assert answered(admin, petition, "admin", "upheld") == 403, "the source answers for its result"
        assert answered(staff, petition, "center", "corrected") == 400, "an answer to something else"
        assert answered(staff, petition, "center", "changed") == 409, "it is as it was"
        assert answered(staff, petition, "center", "upheld", "答了头晕，所以是中风险，见量表第一题") == 303
        page = visitor.show(petition)
        for said in ("人工看过，结果不变", "答了头晕，所以是中风险", "怎么得来的", "house-list", "头晕吗: 是"):
            assert said in page, said
        log = visitor.show("/resident/looks?tab=people")
        assert "答复了您的要求" in log
    rows = place.rows("SELECT action, outcome FROM audit WHERE rule = $1 ORDER BY at", f"petition:{petition.rpartition('/')[2]}")
    assert ("petition", "review") in [(row["action"], row["outcome"]) for row in rows]
    assert ("petition-answer", "upheld") in [(row["action"], row["outcome"]) for row in rows]


def test_a_mark_of_the_hubs_own_is_answered_by_its_administrator(place: Place, results: list[UUID]) -> None:
    record = results[4]
    with place.browse("li") as visitor, place.browse("admin") as admin, place.browse("staff") as staff:
        page = visitor.show(f"/resident/petitions/result?record={record}")
        assert "统一数据口径" in page
        assert visitor.send_form("/resident/petitions/new", record=str(record), kind="review", of="result").status_code == 404
        petition = asking(visitor, record, of="flags", words="我那天就是跳得快")
        assert "运动健康通管理员" in visitor.show(petition)
        assert staff.get(petition.replace("/resident/", "/center/")).status_code == 404
        assert "我那天就是跳得快" in admin.show(petition.replace("/resident/", "/admin/"))
        assert answered(admin, petition, "admin", "upheld", "数字比常见的大，没有别的意思") == 303
        assert "数字比常见的大" in visitor.show(petition)


def test_family_asks_with_the_right_to_ask_and_not_without(place: Place, results: list[UUID]) -> None:
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look")
        assert helper.get(f"/resident/petitions/result?record={results[1]}").status_code == 403
        assert helper.send_form("/resident/petitions/new", record=str(results[1]), kind="review", of="result").status_code == 403
        elder.send_form(re.findall(r'action="(/resident/family/[^"]+/end)"', elder.show("/resident/family"))[0])
        helper.send_form("/resident/family/self")
        helping(elder, helper, "look", "ask")
        assert "良好" in helper.show(asking(helper, results[1]))
    place.rows("DELETE FROM representatives")


def test_a_result_that_is_to_be_deleted_leaves_the_others_whole_for_family(place: Place, results: list[UUID]) -> None:
    _, test, _, screening, pulse = results
    with place.browse("li") as elder, place.browse("wang") as helper:
        helping(elder, helper, "look", "ask")
        deletion = elder.send_form("/resident/petitions/new", record=str(screening), kind="deletion", words="不要了")
        assert deletion.status_code == 303
        answers = [helper.get(f"/resident/petitions/result?record={record}") for record in (test, pulse, screening)]
        assert [answer.status_code for answer in answers] == [200, 200, 404]
        assert "良好" in answers[0].text
        elder.send_form(re.findall(r'action="(/resident/family/[^"]+/end)"', elder.show("/resident/family"))[0])
