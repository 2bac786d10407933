"""Staff who help a resident to decide, in real Chromium: without a script, by keyboard, at a desk and on a phone; the form and the receipt on a sheet each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_pages import AXE, CHOICES, DESK, LANGUAGES, PHONE, SMALL, WIDTHS, axe, chromium, pytestmark, visiting
from tests.web.test_assists import CALLED, SCAN, ZHAO, begun, chosen, none_before, number_of, read_back, recorded
from tests.web.town import Place

__all__ = ["axe", "chromium", "none_before", "pytestmark"]


def steps(place: Place) -> Iterator[str]:
    """Every page of staff who help."""
    with place.browse("staff") as staff:
        case, called, signing = begun(staff), begun(staff, **CALLED), begun(staff)
        to = read_back(staff, case)["to"]
        chosen(staff, called)
        chosen(staff, signing, "activity", more="&ask=HIV&yes=HIV")
        done = recorded(place, staff)
        yield from ("/center/assist", "/center/assist/form", case, f"{case}/grant", f"{case}/grant?to={to}")
        yield from (f"{case}/grant?to={to}&kind=activity&ask=HIV", f"{case}/grant?to={to}&kind=activity", f"{case}/stop", f"{case}/stop?to=everybody")
        yield from (called, signing, f"{signing}/form", done)


def test_axe_finds_nothing_on_any_step_and_nothing_scrolls_sideways(chromium: Any, axe: str, place: Place) -> None:
    with visiting(chromium, place, "staff") as staff, visiting(chromium, place, "colleague") as colleague, visiting(chromium, place, "zhao") as resident:
        addresses = list(steps(place))
        mine = addresses[-1].replace("/center/assist/", "/resident/assists/")
        visits = [(staff, path) for path in addresses] + [(colleague, addresses[-4]), (colleague, "/center/assist"), (resident, mine), (resident, "/resident")]
        for page, path in visits:
            for language in LANGUAGES:
                page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
                page.evaluate(axe)
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": 844})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, language)
                    if width in (DESK["width"], PHONE["width"]):
                        assert page.evaluate(AXE, page is resident) == [], (path, language, width)
        resident.goto(mine)
        assert resident.evaluate(SMALL) == []
        assert resident.evaluate(f"({CHOICES})().length") <= 7


def test_a_signed_form_is_recorded_without_a_script(chromium: Any, place: Place, tmp_path: Path) -> None:
    scan = tmp_path / "form.pdf"
    scan.write_bytes(SCAN)
    with visiting(chromium, place, "staff", java_script_enabled=False) as page:
        page.goto("/center")
        page.click("text=替居民办")
        page.check("[value=id-card]")
        page.fill("#value", ZHAO["value"])
        page.fill("#name", ZHAO["name"])
        page.click("main form button")
        page.click(".choice:has-text('让别人看')")
        page.click(".choice:has-text('市第二医院')")
        page.check("[value=activity]")
        page.click("main form button")
        page.click("main form button")
        page.click("text=打印这张表")
        number = re.search(r"表的号码：(\S+)", page.inner_text("main"))
        assert number
        page.click(".back a")
        page.fill("#number", number[1])
        page.set_input_files("#file", scan)
        page.click("text=收下签字")
        assert "办好了" in page.inner_text("h1")


def test_the_keyboard_alone_stops_for_a_resident(chromium: Any, place: Place) -> None:
    with place.browse("staff") as staff:
        case = begun(staff, **CALLED)
    with visiting(chromium, place, "staff") as page:
        page.goto(case)
        for wanted in ("不让谁再看", "谁也不给看", "停止"):
            for _ in range(40):
                page.keyboard.press("Tab")
                if wanted in page.evaluate("document.activeElement.innerText || ''"):
                    break
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            with page.expect_navigation():
                page.keyboard.press("Enter")
        assert "办好了" in page.inner_text("h1")


@pytest.mark.parametrize("which", ["empty form", "form", "receipt"])
def test_what_is_handed_over_prints_on_one_sheet(chromium: Any, place: Place, which: str) -> None:
    with place.browse("staff") as staff:
        case = begun(staff)
        chosen(staff, case, "activity", "identity", more="&ask=HIV&ask=PSY&yes=HIV&yes=PSY")
        if which == "receipt":
            files = {"file": ("a.pdf", SCAN)}
            assert staff.post(f"{case}/paper", data={"csrf": staff.csrf, "number": number_of(staff, f"{case}/form")}, files=files).status_code == 303
    with visiting(chromium, place, "staff") as page:
        page.goto({"empty form": "/center/assist/form", "form": f"{case}/form", "receipt": case}[which])
        sheet = page.pdf(prefer_css_page_size=True)
        page.emulate_media(media="print")
        assert not page.locator(".switches, .button, .actions").filter(visible=True).count()
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1
