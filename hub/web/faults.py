"""Why a row or a file was not taken, in words of the request's language, with what to do about it.

The sentences of the core are English; pages translate by code. A code that is not here is shown with the core's own sentence.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from hub.intake.receipts import RejectedRow
from hub.web import words
from hub.web.locales import LANGUAGE, say
from schemas.measures import MEASURES
from schemas.records import Envelope
from schemas.standard import BOUNDS, field_of

ROWS: dict[str, tuple[str, str]] = {
    "text-too-long": ("字太多", "一栏最多 20000 字，请写短一些。"),
    "list-too-long": ("写得太多", "一条记录里最多 5000 项，请分成几条。"),
    "end-before-start": ("结束早于开始", "结束时间应在开始之后。改好后再传，收过的不会重复。"),
    "ends-before-start": ("结束早于开始", "结束时间应在开始之后。改好后再传，收过的不会重复。"),
    "date-too-early": ("日期早于 2000 年", "设备或电脑的时钟没有校准，请改成真实日期。"),
    "date-in-future": ("日期在将来", "请核对年、月、日。"),
    "out-of-range": ("数值不可能", "请核对数值和单位。"),
    "not-a-number": ("不是数字", "请只写数字，例如 104。"),
    "formula": ("公式没有算出结果", "请用表格软件打开、保存，再传。"),
    "unit": ("单位不对", "请用模板里写的单位。"),
    "required": ("没有填", "请填上再传。"),
    "time": ("时间看不懂", "请写成 2026-05-01 08:00。"),
    "no-time": ("没有时间", "请填上开始时间。"),
    "sport": ("运动项目不认识", "请从项目表里选一个，或者空着。"),
    "no-values": ("这一行没有数值", "至少填一项，或者删掉这一行。"),
    "empty": ("没有可以记的内容", "请填上数值，或者删掉这一行。"),
    "unknown-measure": ("指标不认识", "请从指标表里选。"),
    "measure": ("指标不认识", "请从指标表里选。"),
    "example": ("这一行一半是模板的示例", "自己的记录：把第一列清空，写本人的号码；不是就删掉这一行。"),
    "status-reason": ("状态和原因对不上", "拒绝、暂停、失败、取消时写明原因，其余时候不写。"),
    "clinical-status": ("有痊愈日期而状态不是痊愈", "请核对日期和状态。"),
    "goal": ("写了达成情况，没有写是哪个目标", "请把目标也写上。"),
    "venue-unknown": ("目录里没有这个场馆，或者有几个", "请先把场馆加进目录，再照目录里的名称或编号写。"),
    "no-zone": ("时间没有写时区", "请写成 2026-05-01T08:00+08:00，或请管理员填上本机构的时区。"),
    "counting": ("计数方式不认识", "请写闸机、摄像头或人工清点，或者空着。"),
    "too-many": ("一条记录里的条目太多", "请分成几条再传。"),
    "plan-empty": ("处方里什么也没有写", "标题、原因、摘要、目标、项目、注意事项，至少写一项。"),
    "age-band": ("年龄不在这个版本的标准里", "请核对出生日期和版本；或者不写版本，只传测得的数值。"),
    "append-only": ("这一笔记过了，内容却不一样", "记过的账不改。要更正，另记一笔，用新的编号。"),
    "value-missing": ("没有数值", "请填上数值再传。"),
    "time-missing": ("没有时间", "请填上开始时间。"),
    "status": ("这一条是作废的，或者没有做", "作废的不用传。"),
    "not-a-measure": ("不是标准里的指标", "请对照指标表。"),
    "not-a-name": ("这里写的不是名字，也不是编号", "请核对分隔符，或者空着。"),
    "not-complete": ("缺了必须有的内容", "请补齐再传。"),
    "not-readable": ("时间或内容看不懂", "请按格式要求写，时间写全。"),
    "not-json": ("不是完整的 JSON", "请重新导出再传。"),
    "not-r4": ("不符合 FHIR R4", "请用 $validate 查出每一处。"),
    "not-a-resource": ("不是 FHIR 资源", "请传 FHIR R4（JSON）。"),
    "schema": ("结构不对", "请对照格式说明。"),
    "invalid": ("不符合数据标准", "请对照标准的说明。"),
    "duplicate-key": ("同一项写了两次", "每一项只写一次。"),
    "too-deep": ("嵌套太深", "请按格式要求的层次写。"),
    "too-large": ("一条里的数据太多", "请分成几条再传。"),
    "channel": ("采样的种类不认识", "请对照格式说明。"),
    "comparator": ("不是一个确定的数", "请写测得的数，不写范围或上下限。"),
    "digits-lost": ("号码在表格里丢了几位", "请把这一列设为文本，再填一次。"),
    "too-long": ("写得太长", "请写短一些。"),
    "text": ("有看不见的字符", "请重新输入。"),
    "duration": ("时长看不懂", "请写成 0:45:30（时:分:秒）。"),
    "gender": ("性别看不懂", "请写男或女，或者空着。"),
    "yes-no": ("不是“是”或“否”", "请写是或否，或者空着。"),
    "phone": ("电话不对", "请写手机号，或带区号的座机号。"),
    "zone": ("时区不认识", "请写 IANA 时区，例如 Asia/Shanghai。"),
    "area": ("区划代码不对", "请写 4、6、9 或 12 位的代码。"),
}
"""Code of a rejected row to what is wrong and what to do."""

FILES: dict[str, str] = {
    "empty": "文件是空的，或者里面没有可以收的内容。",
    "empty-file": "文件是空的。",
    "unknown-format": "认不出这个文件的格式。请用课程登记表（Excel 或 CSV），或设备导出的原文件。",
    "too-large": "文件太大了。请分成几份再传。",
    "headers": "没有找到认识的表头。请下载模板，对照第一行的列名。",
    "charset": "文件的文字编码认不出。请在 Excel 里另存为 .xlsx 再传。",
    "workbook": "这个 Excel 文件打不开。请重新另存为 .xlsx 再传。",
    "not-a-table": "这不是表格文件。请另存为 .xlsx 或 .csv 再传。",
    "truncated": "文件不完整，请重新导出。",
    "other-person": "文件里写的不是这位居民。请核对是谁的文件。",
    "preview-gone": "文件只为您保留一小时，已经删除。请重新选文件。",
    "csrf": "页面打开太久了。请回到上一页，重新做一次。",
    "form-done": "这一步您已经做过了，没有再做一次。要再做，请重新打开那一页。",
    "not-found": "没有找到。",
    "forbidden": "这个账号不能做这一步。",
    "invalid-request": "填写的内容不对，请核对。",
    "no-such-member": "没有找到这样的居民，请核对号码，或先登记。",
    "asked-already": "这件事您已经提过了，正在等答复。",
    "asked-often": "等答复的已经很多了。请等一等，或打 12345。",
    "answered-already": "已经答复过了。",
    "own-look": "不能答复自己的查看，请本机构另一位同事来答复。",
    "not-corrected": "这条记录还没有改。请先上传更正后的记录，再答复。",
    "not-the-source": "由记下这条记录的机构答复。",
    "no-such-code": "号码不对，或者已经用过、过时了。请患者再出一个。",
    "too-many-codes": "输错太多次了。请等一刻钟，再请患者出一个新的。",
    "not-representative": "您不再替这个人办事了，已经回到您自己的记录。",
    "not-your-right": "这一步您不能替他办。请他自己办，或请他允许您。",
    "staff-name": "请写姓名，最多 40 个字。",
    "staff-waiting": "还没用的邀请码太多了，请先收回几个。",
    "no-such-invitation": "邀请码不对，或者已经用过、过期了。请管账号的同事再出一个。",
    "last-lead": "一个机构要留一个管账号的人。请先让别的同事也管账号。",
    "password-length": "密码要 10 到 256 个字。",
    "login-taken": "这个登录名有人用了，请换一个。",
    "last-way-in": "这是您唯一的登录办法，不能删。请先在别的设备上加一把。",
    "many-representatives": "代办的人太多了，请先停掉一位。",
    "emergency-reason": "请选一个原因。",
    "emergency-text": "请写明发生了什么，10 到 500 个字。",
    "emergency-unreviewed": "您上一次紧急查看还没有人复核，三天过了。请同事先复核。",
    "emergency-open": "您还有一次紧急查看开着。请先结束。",
    "emergency-often": "您一天里打开得太多了。请同事来。",
    "no-emergency": "您现在没有打开紧急查看。",
    "no-such-person": "没有这个号码的人，请核对。",
    "own-review": "自己的不能自己复核，请同事来。",
    "not-confirmed": "号码和人对不上，或者这里不能替他办。请核对号码和证件；打电话的，请他来当面办。",
    "too-young": "您还不满 14 岁，这件事由父母或监护人决定。",
    "wish-person": "请写他的姓名和手机号。",
    "death-evidence": "请写明凭什么证明，10 到 500 个字。",
    "death-day": "请核对去世的日期。",
    "death-recorded": "这个人已经登记过了。",
    "own-death-record": "自己登记的不能自己确认，请另一位管理员来。",
    "no-death": "这个人没有登记去世，或者还没有确认。",
    "against-the-wish": "本人生前不让给。",
    "no-such-case": "没有这件事，或者已经过时了。请重新开始。",
    "assist-over": "这件事已经办过，或者已经撤了。请打开看一看，或重新开始。",
    "not-by-phone": "这个电话里不能办。请他来当面，在纸上签字。",
    "paper-needed": "这个要本人签字，见证代替不了。请打印表格，签好再传。",
    "own-witness": "自己不能给自己做见证，请同事来。",
    "unknown-form": "没有这个号码的表，或者是旧的。请核对表下面的号码，或重新打印、签字。",
    "odd-scan": "只收 PDF、JPEG、PNG，最大 5 MB。请重新扫描；已经选好的都还在。",
    "only-example": "模板里只有示例那一行。请在它下面填您的记录。",
    "template": "这份模板这里不认识。请重新下载模板。",
    "template-mark": "%(place)s 应当写明这是哪份模板，现在没有。请把第一列的列名写回来，或把内容抄进新下载的模板。",
    "template-headers": "这份模板的列名那一行不在了，或者不在前 10 行。请把它加回来，或把内容抄进新下载的模板。",
    "template-again": "从 %(place)s 起是另一张表。请分成几个文件再传。",
    "template-header": "%(place)s 不是模板的列名，或者重复了。请照模板改回列名；不要的列，把列名清空。",
    "template-column": "模板缺了一列：%(place)s。请把这一列加回来，或把内容抄进新的模板。",
    "unusable-file": "这个文件不能用。请核对以后重新导出。",
    "clock-relative": "这个文件里的时间从开机算起，因为设备的时钟没有校准。请校准时钟；这一次请手工登记。",
    "delimiters": "这不是完整的 HL7 消息：开头没有写明分隔符。请重新导出。",
    "framing": "HL7 消息的分块标记不对。请按设备发出的原样传。",
    "message-type": "这不是检测结果的消息（ORU^R01）。请传检测结果。",
    "no-results": "文件里没有能用的检测结果。请对照指标表。",
    "not-hl7": "这不是 HL7 v2 消息。请传 ORU^R01。",
    "idempotency": "这个请求号用过了，内容却不同。请换一个请求号。",
    "invalid": "填写的内容不对，请核对。",
    "login": "请先登录。",
    "sign-in-again": "这一步请再登录一次。",
    "not-verified": "设备没有核对是不是本人。请用指纹、面容或锁屏密码确认，或改用密码登录。",
    "no-assessment": "还没有做影响评估，不能送到境外。",
    "abroad": "口令不能让记录离开中国。要给境外机构看，请患者在专门的一页上同意。",
    "sign-in-often": "从这里试错的密码太多了。请过一刻钟再试，或用指纹、面容、屏幕锁登录。",
    "sign-in-failed": "账号或密码不对。请再试，或到服务台问一问。",
    "conflict": "别人先改过了，或者已经有了。请刷新再看。",
    "unavailable": "现在用不了，请过一会儿再试。",
    "not-acceptable": "没有这种格式，请换一种。",
    "not-supported": "这一项还不支持。",
    "not-yet": "还没有封存好，请过一分钟再看。",
    "held": "按规定，这个人的资料现在不能删除。",
    "audit": "审计记录现在核对不了，请管理员查看。",
    "too-costly": "要数的太多了，请缩小范围。",
}
"""Code of an error of the whole request to a sentence; `place` is what the error names."""

REASONS: dict[str, tuple[str, str]] = {
    "unknown": ("号码没有登记", "先登记，或 30 天内再确认；过期自动删除。"),
    "ambiguous": ("同名同电话有几个人", "请用会员号或身份证号确认是哪一位。"),
    "identifiers-disagree": ("几个号码不是同一个人", "请核对会员号和身份证号。"),
    "no-identifier": ("没有写是谁", "请填会员号再传，或收下后再确认。"),
}
"""Why a row waits for its resident."""


class Words(NamedTuple):
    """What is wrong, and what to do."""

    wrong: str
    advice: str


def row(found: RejectedRow, original: bytes | None = None, record: Envelope | None = None) -> Words:
    """A rejected row in words: field and value, what is wrong, what to do, and a suggestion where the adapter has one."""
    value = _value(found.field, cells(original), record)
    wrong, advice = ROWS.get(found.code, (found.message, found.advice))
    if LANGUAGE.get() == "en" and found.code not in ("out-of-range",):
        subject = " ".join(filter(None, (words.field(found.field) if found.field else "", value)))
        return Words(f"{subject}: {found.message}" if subject else found.message, suggestion(found.advice) or found.advice or say(advice))
    subject = " ".join(filter(None, (words.field(found.field) if found.field else "", value)))
    limits = _bounds(found.field) if found.code == "out-of-range" else None
    if limits:
        advice = say("%(field)s应在 %(low)s 到 %(high)s 之间。", field=words.field(found.field), low=limits[0], high=limits[1])
    return Words("：".join(filter(None, (subject, say(wrong)))), " ".join(filter(None, (say(advice), suggestion(found.advice)))))


def _value(field: str, row: dict[str, str], record: Envelope | None) -> str:
    """What the row says for the field: the cell under its header, or a decoded number."""
    stem = field.rpartition(".")[2]
    label = _zh(stem)
    found = next((text for head, text in row.items() if label and head.startswith(label)), "")
    decoded = getattr(record, stem, None)
    return found[:40] or (words.number(decoded) if isinstance(decoded, (int, float)) else "")


def _zh(stem: str) -> str:
    if stem in words.HINTS:
        return words.HINTS[stem][0]
    known = field_of(stem) or MEASURES.get(stem)
    return known.zh if known else ""


def suggestion(advice: str) -> str:
    """A value that the adapter thinks was meant: advice that is nothing but a value and a question mark."""
    return say("是不是 %(value)s？", value=advice[:-1]) if advice.endswith("?") and re.fullmatch(r"[\d.:\-\s]+", advice[:-1]) else ""


def _bounds(field: str) -> tuple[str, str] | None:
    stem = field.rpartition(".")[2]
    bounds = next(((low, high) for of_kind in BOUNDS.values() for name, low, high in of_kind if name == stem), None)
    if bounds is None and (measure := MEASURES.get(stem)) is not None and measure.reject_low is not None and measure.reject_high is not None:
        bounds = measure.reject_low, measure.reject_high
    return (f"{bounds[0]:g}", f"{bounds[1]:g}") if bounds else None


def waiting(reason: str) -> Words:
    """Why a row waits, in words."""
    wrong, advice = REASONS.get(reason, (reason, ""))
    return Words(say(wrong), say(advice))


def file(code: str, message: str, advice: str = "", place: str = "") -> str:
    """An error of the whole request in words."""
    if LANGUAGE.get() == "en" or code not in FILES.keys() | ROWS.keys():
        return f"{message} {advice}".strip()
    if code not in FILES:  # the only row, or the first of rows of which none can be used
        wrong, what = ROWS[code]
        return f"{words.field(place) if place else '文件'}：{wrong}。{what}"
    return FILES[code] % {"place": place} if "%(place)s" in FILES[code] else FILES[code]


def cells(original: bytes | None) -> dict[str, str]:
    """A tabular row's own cells by their headers; nothing for other formats."""
    try:
        found = json.loads(original) if original else {}
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items() if not isinstance(value, (dict, list))} if isinstance(found, dict) else {}
