"""The pages in real Chromium: without a script, by keyboard alone, under their own content policy, and every one of them checked.

One Chromium for all: axe-core looks at each page in both languages, at a desk and on a phone; nothing scrolls sideways at 400 %
zoom; residents' pages keep to elder mode; the doctor's page needs no scrolling and prints on one sheet.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.web.test_center import dated
from tests.web.town import PASSWORD, Place

CHROMIUM = Path(os.environ.get("KINEHUB_CHROMIUM", "/usr/bin/chromium"))
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"Chromium is not at {CHROMIUM}; name it in KINEHUB_CHROMIUM")

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visiting(chromium: Any, place: Place, login: str | None = None, size: dict[str, int] = DESK, refused: str = "404", **more: Any) -> Iterator[Any]:
    """A signed-in page; what the browser complains of, or a request to anyone else, fails the test."""
    context = chromium.new_context(viewport=size, base_url=place.url, accept_downloads=True, **more)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(place.url) else None)
    if login:
        page.goto("/sign-in")
        by_password(page, login)
    yield page
    context.close()
    assert not [text for text in complaints if refused not in text]


def by_password(page: Any, login: str) -> None:
    """Sign in by the fallback, which a script folds up under the passkey."""
    page.locator("details.fallback:not([open]) summary").or_(page.locator("#login >> visible=true")).first.click()
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("form.stack button")
    page.wait_for_selector(".me")


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


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_a_code_is_made_in_three_screens_and_scanned_or_typed(chromium: Any, axe: str, place: Place, script: bool) -> None:
    sizes = ({"java_script_enabled": script}, PHONE)
    with visiting(chromium, place, "li", sizes[1], **sizes[0]) as resident, visiting(chromium, place, "doctor", **sizes[0]) as doctor:
        resident.goto("/resident/code")
        resident.check("[value=activity]")
        resident.click("main button")
        assert "我的运动" in resident.inner_text(".sentence")
        resident.click("main button >> nth=0")
        code = re.sub(r"\s", "", resident.inner_text(".code"))
        assert resident.locator("svg.qr").bounding_box()["width"] >= 240
        if script:
            resident.evaluate(axe)
            assert resident.evaluate(AXE, True) == []
            assert resident.evaluate(SMALL) == []
        doctor.goto("/hospital/code")
        if script:
            doctor.goto(f"/hospital/code#{code}")
            assert doctor.input_value("#code") == code
            assert "#" not in doctor.url
        else:
            doctor.fill("#code", code)
        doctor.click("main button")
        assert "羽毛球" in doctor.inner_text("main")
        resident.click("text=看看用上了没有")
        assert "市第二医院" in resident.inner_text("#who")
        resident.click("#who .stop")


def test_a_chosen_file_is_previewed_at_once_and_taken(chromium: Any, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "五月.csv"
    file.write_bytes(dated(160))
    with visiting(chromium, place, "staff") as page:
        page.goto("/center")
        page.set_input_files("#file", file)
        page.wait_for_url(re.compile("/center/preview/"))
        assert "五月.csv" in page.inner_text("h1")
        with page.expect_download() as loading:
            page.click("text=下载带错误列的文件")
        assert loading.value.suggested_filename == "五月-带错误列.csv"
        page.click("form[action$=accept] button")
        page.wait_for_url(re.compile("/center/receipts/"))
        assert "行已收下" in page.inner_text(".counts")


NODE = Path(__file__).parent / "node"
LANGUAGES = ("zh-CN", "en")
WIDTHS = (1280, 390, 320)
"""A desk, a phone, and a desk at 400 % zoom (WCAG 1.4.10)."""

AXE = """(residents) => axe.run(document, {
  runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
  rules: {"target-size": {enabled: true}, "color-contrast-enhanced": {enabled: residents}},
}).then((found) => found.violations.map((one) => [one.id, ...one.nodes.map((node) => node.target.join(" "))].join(": ")))"""

CHOICES = """() => [...document.querySelectorAll("main :is(a, button, input, select, summary)")]
  .filter((e) => e.type !== "hidden" && e.checkVisibility() && !e.disabled && !e.closest(".back, .days"))"""
"""What a page asks one to choose from: not the way back, and not the lines of the list of records."""
SMALL = """() => [...document.querySelectorAll("a, button, label.choice, summary")].filter((e) => e.checkVisibility() && !e.matches(".skip"))
  .filter((e) => { const box = e.getBoundingClientRect(); return box.height < 60 || box.width < 60; }).map((e) => e.outerHTML)"""


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's source, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("axe-core needs npm")
    folder = tmp_path_factory.mktemp("axe") / "node"
    shutil.copytree(NODE, folder, ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def addresses(place: Place, login: str | None) -> Iterator[str]:
    """Every page that someone of this role can open, also those that only a step leads to."""
    town = place.town
    if login == "wang":
        with place.browse("wang") as visitor:
            who = re.search(r'class="choice" href="([^"]+)"', visitor.show("/resident/grants/new"))
            session = re.search(r'href="(/resident/records/[^"]+)"', visitor.show("/resident/records"))
        assert who
        assert session
        step = who[1].replace("&amp;", "&")
        grant = f"/resident/grants/{town.consent}"
        yield from ("/resident", f"/resident?granted={town.consent}", "/resident/records", "/resident/looks", "/resident/grants", grant, f"{grant}/preview")
        with place.browse("wang") as visitor:
            record = re.search(r'href="(/resident/petitions/new[^"]+)"', visitor.show("/resident/records"))
            looks = [re.search(r'href="(/resident/looks/\d+/\d+)"', visitor.show(f"/resident/looks?tab={tab}")) for tab in ("automated", "own")]
            known = re.search(r'href="(/resident/petitions/[0-9a-f-]+)"', visitor.show("/resident/petitions"))
            assert record
            if not known:
                fields = {"record": record[1].partition("=")[2], "kind": "correction", "words": "不对"}
                known = re.match("([^#]+)", visitor.send_form("/resident/petitions/new", **fields).headers["location"])
        assert known
        with place.browse("wang") as visitor:
            older = re.search(r'href="(/resident/records\?before=[^"]+)">更早', visitor.show("/resident/records"))
            assert older
            result = re.search(r'href="(/resident/petitions/result[^"]+)"', visitor.show("/resident/records") + visitor.show(html.unescape(older[1])))
        assert result
        yield from (known[1], record[1], result[1], "/resident/petitions", "/resident/looks?tab=own", *(look[1] for look in looks if look))
        yield from ("/resident/alerts", "/resident/review", "/resident/downloads", "/resident/family", "/resident/family/new", "/resident/after")
        yield from ("/resident/more", "/resident/sources", "/resident/code", "/resident/code?kind=activity&kind=identity")
        yield from ("/resident/grants/new", step, f"{step}&kind=activity&kind=identity", "/account", session[1], f"/resident/grants/{uuid4()}")
    if login == "staff":
        with place.browse("staff") as visitor:
            visitor.send_form(f"{visitor.upload(dated(300)).headers['location']}/accept")
            preview = visitor.upload(dated(300) + dated(320).partition(b"\n")[2]).headers["location"]
            receipt = re.search(r'href="(/center/receipts/[^"]+)"', visitor.show("/center"))
            place.judge()
            reports = re.findall(r'href="(/center/quality/[^"]+)"', visitor.show("/center/quality"))
        assert receipt
        with place.browse("staff") as visitor:
            petition = re.search(r'href="(/center/petitions/[^"]+)"', visitor.show("/center/petitions"))
        yield from ("/center/quality", *reports[:2], "/center/petitions", *([petition[1]] if petition else []))
        yield from ("/center", preview, receipt[1], f"{receipt[1]}?again=2&error=member")
    yield from {
        None: (
            "/sign-in", "/join", "/docs", "/standard", "/standard?q=min", "/standard?q=qzx", "/standard/kinds/session", "/standard/kinds/prescription",
            "/standard/measures", "/standard/codes/sport",
        ),
        "doctor": (
            "/hospital", "/hospital/code", "/hospital/petitions", f"/hospital/patients/{town.resident}", f"/hospital/patients/{town.resident}?weeks=52",
            "/hospital/patients/nobody",
        ),
        "admin": ("/admin", "/admin/petitions", "/admin/deaths"),
        "lead": ("/account/staff",),
        "city": ("/city",),
    }.get(login, ())  # fmt: skip


@pytest.mark.parametrize("login", [None, "wang", "doctor", "staff", "lead", "admin", "city"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(chromium: Any, axe: str, place: Place, login: str | None) -> None:
    with visiting(chromium, place, login) as page:
        for path in addresses(place, login):
            for language in LANGUAGES:
                page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
                page.evaluate(axe)
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": 844})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width, (path, language)
                    if width in (DESK["width"], PHONE["width"]):
                        assert page.evaluate(AXE, login in (None, "wang")) == [], (path, language, width)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_the_standard_is_searched_while_typing_and_without_a_script(chromium: Any, place: Place, script: bool) -> None:
    with visiting(chromium, place, java_script_enabled=script) as page:
        page.goto("/standard")
        page.fill("#q", "泳池")
        if not script:
            page.press("#q", "Enter")
        page.click("#found a:has-text('泳池长度')")
        page.wait_for_url(re.compile("/standard/kinds/session#pool_length_m"))
        assert "Observation.extension(pool-length-m)" in page.inner_text("tr:target")


def test_elder_mode_has_large_type_large_targets_and_few_choices(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "wang", PHONE) as page:
        for path in addresses(place, "wang"):
            page.goto(path)
            assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
            assert page.evaluate("parseFloat(getComputedStyle(document.body).lineHeight)") == 32
            assert page.evaluate(SMALL) == [], path
            assert page.evaluate(f"({CHOICES})().length") <= 7, path
            assert "12345" in page.inner_text("footer.help")
        assert page.evaluate("getComputedStyle(document.body).fontSize") == "20px"
        page.click("text=标准版")
        assert page.evaluate("getComputedStyle(document.body).fontSize") == "16px"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_doctor_sees_one_patient_without_scrolling(chromium: Any, place: Place, language: str) -> None:
    with visiting(chromium, place, "doctor") as page:
        for weeks in (4, 12, 52):
            page.goto(f"/hospital/patients/{place.town.resident}?weeks={weeks}&lang={language}")
            assert page.evaluate("document.documentElement.scrollHeight") <= DESK["height"], weeks
            assert page.locator("svg.chart rect.bar").count() == weeks
        page.goto(f"/hospital/patients/{place.town.resident}?weeks=12")
        for table in page.locator(".patient details summary").all():
            table.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= DESK["width"]


def test_one_patient_and_one_receipt_print_on_one_sheet_each(chromium: Any, place: Place) -> None:
    for login, path, said in (
        ("doctor", f"/hospital/patients/{place.town.resident}", "王秀英"),
        ("wang", f"/resident/grants/{place.town.consent}", "同意回执"),
    ):
        with visiting(chromium, place, login) as page:
            page.goto(path)
            sheet = page.pdf(prefer_css_page_size=True)
            page.emulate_media(media="print")
            assert said in page.inner_text("h1")
            assert not page.locator(".switches, .button").filter(visible=True).count()
        assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1, login
