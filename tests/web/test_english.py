"""Both languages say everything: each text of a page has its English, with the same names to fill in."""

from __future__ import annotations

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir

import hub.web
from docs import generate
from hub.intake.receipts import RejectedRow
from hub.web import faults
from hub.web.english import ENGLISH
from hub.web.locales import LANGUAGE, LANGUAGES

FOLDER = Path(hub.web.__file__).parent
CHINESE = re.compile(r"[一-鿿]")
NAMES = re.compile(r"%\([a-z]+\)[sd]")


OF_OAUTH = {"insufficient_scope", "invalid_client", "invalid_request", "invalid_scope", "unsupported_grant_type"}
NEVER_ON_A_PAGE = {"error", "mapping", "seal", "permit"}
"""Of a start that fails, and of defects."""
COMPUTED = {"schema", "not-json", "duplicate-key", "too-deep", "invalid"}
"""Codes of rows that stand as no constant where the row is refused."""


def said() -> set[str]:
    found = extract_from_dir(FOLDER, [("templates/**.html", "jinja2"), ("**.py", "python")], keywords={"_": None, "say": None})
    texts = {text for _, _, text, _, _ in found if isinstance(text, str) and CHINESE.search(text)}
    advice = {advice for _, advice in faults.ROWS.values()}
    return texts | advice | {text for pair in faults.REASONS.values() for text in pair} | set(faults.ROWS["out-of-range"])


def test_every_text_has_its_english() -> None:
    texts = said()
    assert len(texts) > 200
    assert texts <= ENGLISH.keys()


def test_every_code_that_a_page_can_show_has_its_chinese() -> None:
    codes = generate.particular_codes() | {kind.code: {kind.__name__} for kind in generate.error_classes()}
    of_rows = {code for code, by in codes.items() if by & {"Rejected", "InvalidRecord"}} | COMPUTED | {"append-only"}
    of_requests = {code for code, by in codes.items() if by - {"Rejected", "InvalidRecord"}} - OF_OAUTH - NEVER_ON_A_PAGE
    assert len(of_rows) > 40
    assert len(of_requests) > 60
    assert of_rows - faults.ROWS.keys() - {"example"} == set()
    assert of_requests - faults.FILES.keys() - faults.ROWS.keys() == set()


def test_a_row_whose_error_has_no_advice_of_its_own_gets_that_of_its_code() -> None:
    row = RejectedRow(1, "exercises", "plan-empty", "A plan says at least one of: title, reason, summary, goal, exercise, precaution.", "")
    found = {}
    for language in LANGUAGES:
        token = LANGUAGE.set(language)
        found[language] = faults.row(row).advice, faults.file(row.code, row.message, place=row.field)
        LANGUAGE.reset(token)
    advice = "标题、原因、摘要、目标、项目、注意事项，至少写一项。"
    assert found["zh-CN"] == (advice, f"运动：处方里什么也没有写。{advice}")
    assert found["en"] == ("Write at least one of: title, reason, summary, goal, exercise, precaution.", row.message)


def test_both_languages_fill_in_the_same_names() -> None:
    assert not [text for text, english in ENGLISH.items() if set(NAMES.findall(text)) != set(NAMES.findall(english))]


def test_no_text_is_written_into_a_template_past_the_catalogue() -> None:
    for template in (FOLDER / "templates").glob("*.html"):
        bare = re.sub(r"{{.*?}}|{%.*?%}", "", template.read_text(), flags=re.DOTALL)
        assert not CHINESE.search(bare), template.name
