"""Quality flags and warnings (zh-CN, en): code to sentence. Every code an adapter or a rule may put on a record is here."""

from __future__ import annotations

FLAGS: dict[str, tuple[str, str]] = {
    "zone-assumed": ("时间没有时区，按机构所在时区理解", "The time has no zone; the party's zone was assumed"),
    "zone-unknown": ("时间没有时区，只记当地钟点", "The time has no zone; only the local clock is kept"),
    "time-from-header": ("没有测量时间，用了消息时间", "No time of measurement; the message time was used"),
    "end-from-duration": ("结束时间由开始加用时得出", "The end was taken as start plus elapsed time"),
    "distance-not-measured": ("距离为 0，当作没有测量", "Distance 0 is taken as not measured"),
    "distance-computed": ("距离由轨迹点算出", "The distance was computed from the track"),
    "heart-rate-not-measured": ("心率为 0，当作没有测量", "Heart rate 0 is taken as not measured"),
    "energy-not-measured": ("热量为 0，当作没有测量", "Energy 0 is taken as not measured"),
    "hr-avg-computed": ("平均心率由采样算出", "The mean heart rate was computed from the samples"),
    "value-rounded": ("数值按规定取整", "The value was rounded as its definition asks"),
    "unit-converted": ("单位已换算，原值保留", "The unit was converted; the original is kept"),
    "unit-normalized": ("单位写法已改为 UCUM", "The unit's spelling was changed to UCUM"),
    "unit-assumed": ("没有写单位，数值只合本标准的单位", "No unit is written; the value fits the unit of the standard only"),
    "code-system-assumed": ("编码没有写体系，按格式推定", "The code names no system; it was inferred"),
    "value-missing": ("没有数值，跳过", "No value; skipped"),
    "not-a-measure": ("不是本标准的指标，跳过", "Not a measure of the standard; skipped"),
    "duplicate-probe": ("同一时刻多个探头，都保留", "Several probes at one moment; each is kept"),
    "track-without-times": ("轨迹没有时间，跳过", "A track without times; skipped"),
    "track-empty": ("空轨迹，跳过", "An empty track; skipped"),
    "activity-empty": ("只有一个点，时长和距离都没有", "A single point: no duration, no distance"),
    "sport-unknown": ("没有说明运动项目", "The sport is not stated"),
    "clock-relative": ("设备时钟没有校准，按文件内当地时间推算", "The device clock was never set; anchored on the local time in the file"),
    "checksum-wrong": ("文件校验和不对，内容可读", "The file's checksum is wrong; its content is readable"),
    "truncated": ("文件不完整，收下了能读的部分", "The file ends early; the readable part was taken"),
    "developer-field": ("数值取自开发者字段", "The value comes from a developer field"),
    "figures-disagree": ("文件内的数字互相不一致", "Figures inside the file disagree"),
    "session-computed": ("文件没有汇总，由采样得出", "The file has no session summary; it was computed from the samples"),
    "implausible": ("数值少见，请核对", "The value is unusual; please check"),
    "clock-skew": ("时间与收到的时间相差异常", "The time differs oddly from the time of receipt"),
    "trailing-bytes": ("文件末尾有多余内容，没有读", "Bytes after the end of the file were not read"),
    "position-virtual": ("室内运动的位置是虚拟的，不作轨迹保存", "The positions of an indoor session are virtual; not kept as a track"),
    "sample-empty": ("有的采样点只有时间", "Some samples hold nothing but a time"),
    "time-unreadable": ("有的时间无法读取，跳过", "Some times could not be read; skipped"),
    "same-moment": ("同一来源在同一时刻还有一条", "The same source has another record of the same moment"),
    "gap": ("有缺失的数据", "Readings are missing"),
    "unit-doubtful": ("数值像是别的单位", "The value looks like another unit"),
    "rule-unmet": ("来源的 FHIR 资源有规则不满足，数值照收", "A rule of R4 or of a profile that the source claims is not met; the reading was taken"),
    "instrument-unknown": (
        "不是标准认得的问卷，或答案与它的题号、顺序、类型不符；原样保存",
        "Not a questionnaire of the standard, or its answers do not fit its link ids, their order or types; kept as given",
    ),
    "edition-unknown": ("没有这个版本的得分表，数值原样保存", "No score table of this edition is held; the values stay as read"),
    "self-reported": ("自己填报，不是仪器测量", "Self-reported, not measured"),
}

ROUTINE = frozenset(
    {
        "zone-assumed",
        "hr-avg-computed",
        "unit-converted",
        "unit-normalized",
        "end-from-duration",
        "value-rounded",
        "distance-computed",
        "session-computed",
        "developer-field",
        "time-from-header",
        "code-system-assumed",
        "unit-assumed",
        "value-missing",
        "rule-unmet",
    }
)
"""Flags that say how a value came about, not that it is doubtful."""
