"""Every kind of record is said in plain words in both languages."""

from __future__ import annotations

import re

import pytest

from hub.web import words
from hub.web.locales import LANGUAGE
from mappings.face import Example, examples
from schemas.records import DaySummary, Session
from schemas.standard import STANDARD


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.says)
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_record_has_a_line_of_its_own(example: Example, language: str) -> None:
    token = LANGUAGE.set(language)
    try:
        line = words.line(example.record)
    finally:
        LANGUAGE.reset(token)
    assert line.strip()
    assert not re.search(r"None|\{|\[|<", line)


def test_a_kind_is_told_by_its_name_what_it_is_called_and_its_first_figures() -> None:
    lines = {str(example.record.__struct_config__.tag): words.line(example.record) for example in reversed(examples())}
    assert lines["sleep"] == "睡眠 睡眠时长 428 分钟，深睡 71 分钟，浅睡 262 分钟"
    assert lines["condition"] == "诊断 原发性高血压"
    assert lines["points"] == "积分 完成一次锻炼 变动 20 分，余额 340 分"
    for kind, line in lines.items():
        if kind not in ("vital", "body-composition", Session.__struct_config__.tag, DaySummary.__struct_config__.tag):
            assert line.startswith(STANDARD[kind].zh)


def test_a_country_is_called_by_its_name_in_both_languages_and_an_unknown_code_by_itself() -> None:
    found = {}
    for language in ("zh-CN", "en"):
        token = LANGUAGE.set(language)
        found[language] = [words.country(code) for code in ("SG", "HK", "XX")]
        LANGUAGE.reset(token)
    assert found == {"zh-CN": ["新加坡", "中国香港特别行政区", "XX"], "en": ["Singapore", "Hong Kong SAR China", "XX"]}
