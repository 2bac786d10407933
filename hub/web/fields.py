"""The names that `hub/audit/disclosed.py` keeps of what was disclosed, in the words of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hub.web import words
from hub.web.locales import LANGUAGE, pick, say
from schemas.codes import LISTS
from schemas.measures import MEASURES

PARTS: dict[str, tuple[str, ...]] = {"blood-pressure": ("systolic", "diastolic", "mean-pressure")}
"""Measures that are called by one name together."""

ELEMENTS: dict[str, tuple[str, str]] = {
    "name": ("姓名", "name"),
    "gender": ("性别", "sex"),
    "birthDate": ("出生日期", "date of birth"),
    "birth_date": ("出生日期", "date of birth"),
    "health_card": ("健康卡号", "health card number"),
    "identifier": ("号码", "numbers"),
    "relationship": ("与本人的关系", "relationship"),
    "telecom": ("联系电话", "telephone"),
    "address": ("住址", "address"),
    "contact": ("联系人", "contact person"),
    "code": ("名称", "what it is"),
    "note": ("备注", "remarks"),
    "extension": ("补充说明", "further details"),
    "agent": ("由谁记下", "who recorded it"),
    "entity": ("出自什么", "what it came from"),
    "target": ("说的是哪些", "what it is about"),
    "recorded": ("什么时候记下", "when it was recorded"),
    "achievementStatus": ("达到没有", "how far it was reached"),
    "description": ("说明", "description"),
    "lifecycleStatus": ("进行到哪一步", "stage"),
    "startDate": ("开始日期", "start date"),
    "statusDate": ("状态日期", "date of the status"),
    "cancelationReason": ("取消的原因", "reason of the cancellation"),
    "start": ("开始", "start"),
    "end": ("结束", "end"),
    "participant": ("谁参加", "who took part"),
    "serviceType": ("哪种服务", "which service"),
    "class": ("哪一类", "class"),
    "location": ("地点", "place"),
    "period": ("时间", "time"),
    "reasonCode": ("原因", "reason"),
    "serviceProvider": ("机构", "organization"),
    "type": ("类型", "type"),
    "abatementDateTime": ("好转日期", "date of recovery"),
    "onsetDateTime": ("起病日期", "date of onset"),
    "clinicalStatus": ("病情状态", "clinical status"),
    "verificationStatus": ("确诊没有", "whether confirmed"),
    "recordedDate": ("记下的日期", "date recorded"),
    "recorder": ("谁记的", "who recorded it"),
    "asserter": ("谁说的", "who said so"),
    "basedOn": ("依据", "what it is based on"),
    "conclusion": ("结论", "conclusion"),
    "effectiveDateTime": ("时间", "time"),
    "effectivePeriod": ("时间", "time"),
    "imagingStudy": ("影像", "images"),
    "issued": ("出报告的时间", "when it was issued"),
    "performer": ("谁做的", "who did it"),
    "result": ("结果", "results"),
    "specimen": ("标本", "specimen"),
    "encounter": ("哪次到访", "which visit"),
    "medium": ("方式", "medium"),
    "payload": ("内容", "content"),
    "recipient": ("给谁", "to whom"),
    "sender": ("谁发的", "sender"),
    "sent": ("什么时候发的", "when it was sent"),
    "topic": ("主题", "topic"),
    "modality": ("检查方式", "modality"),
    "started": ("开始", "start"),
    "authoredOn": ("开具时间", "when it was written"),
    "executionPeriod": ("时间", "time"),
    "focus": ("针对什么", "what it is about"),
    "lastModified": ("最后改动", "last change"),
    "output": ("结果", "outcome"),
    "owner": ("谁负责", "who is responsible"),
    "priority": ("缓急", "urgency"),
    "requester": ("谁要求的", "who asked for it"),
    "statusReason": ("状态的原因", "reason of the status"),
    "dosage": ("用法用量", "dosage"),
    "informationSource": ("谁说的", "who said so"),
    "medicationCodeableConcept": ("药名", "medicine"),
    "payor": ("谁付费", "who pays"),
    "subscriberId": ("会员号", "member number"),
    "author": ("谁写的", "author"),
    "created": ("写下的时间", "when it was written"),
    "activity": ("安排的活动", "activities"),
    "goal": ("目标", "goals"),
    "replaces": ("代替哪一份", "what it replaces"),
    "title": ("标题", "title"),
    "occurrenceTiming": ("多久一次", "how often"),
    "orderDetail": ("要求", "details of the order"),
    "authored": ("填写时间", "when it was filled in"),
    "item": ("回答", "answers"),
    "questionnaire": ("哪份问卷", "which questionnaire"),
    "manufacturer": ("厂家", "manufacturer"),
    "modelNumber": ("型号", "model"),
    "serialNumber": ("序列号", "serial number"),
    "specialization": ("遵循的设备标准", "device standards that it keeps"),
    "version": ("版本", "versions"),
    "scope": ("哪种同意", "scope"),
    "dateTime": ("日期", "date"),
    "policyRule": ("总的规定", "general rule"),
    "provision": ("同意了什么", "what was agreed"),
    "organization": ("机构", "organization"),
    "verification": ("核实", "verification"),
    "sourceReference": ("原件", "original"),
    "active": ("有效没有", "whether in force"),
    "managingOrganization": ("机构", "organization"),
    "communication": ("语言", "language"),
    "deceasedBoolean": ("是否去世", "whether deceased"),
    "deceasedDateTime": ("去世日期", "date of death"),
}  # fmt: skip
"""Elements of FHIR resources as people call them."""


def told(names: Iterable[str]) -> list[str]:
    """Fields in words, measures first and those of one name together: 血压（收缩压、舒张压）."""
    left = dict.fromkeys(names)
    said = []
    for whole, parts in PARTS.items():
        inside = [part for part in parts if part in left]
        if inside:
            said.append(say("%(whole)s（%(parts)s）", whole=_measure(whole), parts=listed([_measure(part) for part in inside])))
            left = {name: None for name in left if name not in (whole, *inside)}
    measured = [name for name in left if "." not in name]
    return list(dict.fromkeys([*said, *map(_measure, measured), *map(_element, (name for name in left if "." in name))]))


def listed(said: Sequence[str]) -> str:
    return (", " if LANGUAGE.get() == "en" else "、").join(said)


def _measure(name: str) -> str:
    known = MEASURES.get(name) or LISTS["record"].get(name)
    return pick((known.zh, known.en)) if known else name


def _element(name: str) -> str:
    """`Patient.name` as it is called, `session.hr_avg` by the name of the field."""
    owner, _, element = name.partition(".")
    if owner[0].islower():
        return words.field(element)
    return pick(ELEMENTS[element]) if element in ELEMENTS else element
