"""The pages in real Chromium: without a script, by keyboard alone, on a phone, under their own content policy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_center import dated
from tests.web.town import PASSWORD, Place

CHROMIUM = Path(os.environ.get("KINEHUB_CHROMIUM", "/usr/bin/chromium"))
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"Chromium is not at {CHROMIUM}; name it in KINEHUB_CHROMIUM")

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 760}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: Any, place: Place, login: str | None = None, size: dict[str, int] = DESK, **more: Any) -> Iterator[Any]:
    """A signed-in page; what the browser complains of fails the test."""
    context = chromium.new_context(viewport=size, base_url=place.url, accept_downloads=True, **more)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(place.url) else None)
    if login:
        page.goto("/sign-in")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.click("form.stack button")
        page.wait_for_selector(".me")
    yield page
    context.close()
    assert not [text for text in complaints if "404" not in text]


def grant_in_three_screens(page: Any, find: str = "市第二医院") -> None:
    page.goto("/resident")
    page.click("text=让别人看")
    page.click(f".choice:has-text('{find}')")
    page.check("[value=activity]")
    page.click("main button")
    assert "我同意" in page.inner_text(".sentence")
    page.click("main button")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_grant_takes_three_screens_and_one_tap_stops_it(chromium: Any, place: Place, script: bool) -> None:
    patient = f"/hospital/patients/{place.town.neighbour}"
    with visiting(chromium, place, "li", java_script_enabled=script) as resident, visiting(chromium, place, "doctor") as doctor:
        grant_in_three_screens(resident)
        assert "现在可以看" in resident.inner_text("[role=status]")
        doctor.goto(patient)
        assert "羽毛球" in doctor.inner_text("main")
        resident.click("#who .stop")
        assert "已经停止" in resident.inner_text("[role=status]")
        doctor.reload()
        assert "没有可以显示给您的记录" in doctor.inner_text("main")


FOCUS = """() => {
  const e = document.activeElement;
  return (e.innerText || e.value || "") + "|" + getComputedStyle(e).outlineStyle;
}"""


def test_the_keyboard_alone_grants_and_stops(chromium: Any, place: Place) -> None:
    def press(page: Any, wanted: str, key: str = "Enter") -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate(
                "(() => { const e = document.activeElement; return (e.innerText || e.value || '') + '|' + getComputedStyle(e).outlineStyle })()"
            )
            if wanted in focus:
                assert focus.endswith("solid"), f"no visible focus on {focus}"
                if key == "Space":
                    page.keyboard.press(key)
                else:
                    with page.expect_navigation():
                        page.keyboard.press(key)
                return
        raise AssertionError(f"{wanted} cannot be reached")

    with visiting(chromium, place, "li") as page:
        page.goto("/resident")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        for wanted in ("让别人看", "社区卫生服务中心"):
            press(page, wanted)
        press(page, "activity", "Space")
        press(page, "下一步")
        press(page, "同意，到")
        press(page, "停止")
        assert "已经停止" in page.inner_text("[role=status]")


ADDRESSES = {
    None: ["/sign-in"],
    "wang": ["/resident", "/resident/records", "/resident/looks", "/resident/grants/new", "/account"],
    "doctor": ["/hospital"],
    "staff": ["/center"],
    "admin": ["/admin"],
    "city": ["/city"],
}


@pytest.mark.parametrize("login", list(ADDRESSES))
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_pages_fit_a_phone_and_a_four_times_zoom(chromium: Any, place: Place, login: str | None, language: str) -> None:
    town = place.town
    more = {"wang": [f"/resident/grants/{town.consent}/preview"], "doctor": [f"/hospital/patients/{town.resident}", f"/hospital/patients/{town.neighbour}"]}
    with visiting(chromium, place, login, PHONE) as page:
        for path in ADDRESSES[login] + more.get(login or "", []):
            for width in (390, 320):
                page.set_viewport_size({"width": width, "height": 844})
                page.goto(f"{path}?lang={language}")
                wide = page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, wide)


def test_the_doctor_sees_one_patient_without_scrolling(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "doctor", DESK) as page:
        page.goto(f"/hospital/patients/{place.town.resident}")
        assert page.evaluate("document.documentElement.scrollHeight") <= DESK["height"]
        assert page.locator("svg.chart rect.bar").count() == 12


def test_a_chosen_file_is_previewed_at_once_and_taken(chromium: Any, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "五月.csv"
    file.write_bytes(dated(160))
    with visiting(chromium, place, "staff") as page:
        page.goto("/center")
        page.set_input_files("#file", file)
        page.wait_for_url(re.compile("/center/preview/"))
        assert "五月.csv" in page.inner_text("h1")
        with page.expect_download() as loading:
            page.click("text=下载带错误列的行")
        assert loading.value.suggested_filename == "五月-要改的行.csv"
        page.click("form[action$=accept] button")
        page.wait_for_url(re.compile("/center/receipts/"))
        assert "行已收下" in page.inner_text(".counts")


def test_a_passkey_is_added_and_signs_in(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "wang") as page:
        devtools = page.context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto("/account")
        page.click("[data-passkey] button")
        page.wait_for_selector("text=加好了")
        page.click("main >> text=退出登录")
        page.wait_for_url(re.compile("/sign-in"))
        page.click("[data-passkey] button")
        page.wait_for_url(re.compile("/resident"))
        assert "王秀英" in page.inner_text("h1")


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility() || e.closest("svg, .unseen, .skip, [disabled]")) continue;
    const [high, low] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < LEAST) bad.push(`${e.className} ${e.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""  # WCAG 2.2, relative luminance
UNNAMED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a")]
  .filter((e) => !(e.labels?.length || e.innerText.trim() || e.ariaLabel)).length"""
SMALL = """() => [...document.querySelectorAll("main .button, main .choice, main .term, .help .button")].filter((e) => e.checkVisibility())
  .map((e) => e.getBoundingClientRect()).filter((box) => box.height < 60 || box.width < 60).length"""


def test_elder_mode_has_large_type_strong_contrast_and_large_targets(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "wang", PHONE) as page:
        for path in ADDRESSES["wang"]:
            page.goto(path)
            assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
            assert page.evaluate("parseFloat(getComputedStyle(document.body).lineHeight)") == 32
            assert page.evaluate(CONTRAST.replace("LEAST", "7")) == [], path
            assert page.evaluate(SMALL) == 0, path


@pytest.mark.parametrize(("login", "path"), [("staff", "/center"), ("doctor", "patient"), (None, "/sign-in")])
def test_every_text_reaches_contrast_and_every_field_has_a_name(chromium: Any, place: Place, login: str | None, path: str) -> None:
    with visiting(chromium, place, login) as page:
        page.goto(f"/hospital/patients/{place.town.resident}" if path == "patient" else path)
        assert page.evaluate(CONTRAST.replace("LEAST", "4.5")) == []
        assert page.evaluate(UNNAMED) == 0
        assert page.evaluate("document.querySelectorAll('h1').length") == 1
        assert page.evaluate("[...document.querySelectorAll('[id]')].length === new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size")
