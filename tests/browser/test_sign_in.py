"""Passkeys in real Chromium with its virtual authenticator: first on the page, asked for where it matters, and only when the device checked who it is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_pages import AXE, CHOICES, DESK, PHONE, SMALL, axe, by_password, chromium, pytestmark, visiting
from tests.web.town import Place

__all__ = ["axe", "chromium", "pytestmark"]

AUTHENTICATOR = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}


class Device:
    """The virtual authenticator of a page's browser."""

    def __init__(self, page: Any, *, offered: bool = False, **options: Any) -> None:
        if not offered:  # the virtual one takes up an offer by itself, where a person would have pressed the button
            page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable")
        self.id = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | options})["authenticatorId"]

    def set(self, what: str, **values: Any) -> None:
        self.devtools.send(f"WebAuthn.{what}", {"authenticatorId": self.id} | values)


def registered(page: Any) -> None:
    """Add a passkey to the account that is signed in."""
    page.goto("/account")
    page.click("[data-passkey] button")
    page.wait_for_selector("text=加好了")


def removed(page: Any) -> None:
    page.goto("/account")
    page.click("text=改名、删掉")
    page.click("text=删掉这一把")
    page.wait_for_url(re.compile("/account$"))


def test_the_passkey_is_the_first_and_biggest_and_the_keyboard_reaches_it(chromium: Any, axe: str, place: Place, tmp_path: Path) -> None:
    for size in (PHONE, DESK):
        with visiting(chromium, place, size=size) as page:
            page.goto("/sign-in?next=/resident/records")
            heights = page.evaluate("[...document.querySelectorAll('main :is(button, summary)')].filter((e) => e.checkVisibility()).map((e) => e.offsetHeight)")
            assert heights[0] == max(heights)
            assert heights[0] > 60
            assert not page.is_visible("#password")
            for _ in range(20):
                page.keyboard.press("Tab")
                if "屏幕锁" in page.evaluate("document.activeElement.innerText"):
                    break
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            assert page.is_visible("#password")
            page.evaluate(axe)
            assert page.evaluate(AXE, True) == []
            assert page.evaluate(SMALL) == []
            assert page.evaluate(f"({CHOICES})().length") <= 7
    with visiting(chromium, place, java_script_enabled=False) as page:
        page.goto("/sign-in")
        assert page.is_visible("#password")
        assert not page.is_visible("[data-passkey]")


def test_a_grant_and_a_download_ask_the_passkey_once_more_and_go_on(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "li") as page:
        Device(page)
        registered(page)
        page.goto("/resident/grants/new")
        page.click(".choice:has-text('市第二医院')")
        page.check("[value=activity]")
        place.rows("UPDATE sessions SET created = created - interval '11 minutes'")
        page.click("main button")
        assert "请再确认一次是您本人" in page.inner_text("h1")
        page.click("[data-passkey] button")
        page.wait_for_selector(".sentence")
        page.click("main button")
        assert "现在可以看" in page.inner_text("[role=status]")
        place.rows("UPDATE sessions SET created = created - interval '11 minutes'")
        page.click("#who .stop")
        assert "已经停止" in page.inner_text("[role=status]"), "stopping asks for nothing"
        page.goto("/resident/downloads")
        page.click("[data-passkey] button")
        page.wait_for_url(re.compile("/resident/downloads"))
        with page.expect_download() as loading:
            page.click("text=表格（CSV）")
        assert loading.value.suggested_filename.endswith(".csv")
        removed(page)


@pytest.mark.parametrize("verified", ["not set up", "wrong finger"])
def test_a_device_that_did_not_check_who_it_is_signs_nobody_in(chromium: Any, place: Place, verified: str) -> None:
    with visiting(chromium, place, "li", refused="401") as page:
        device = Device(page)
        registered(page)
        page.click("main >> text=退出登录")
        device.set("setUserVerified", isUserVerified=False)
        page.goto("/sign-in")
        if verified == "not set up":  # a client that does not ask for it, as no browser would: the hub looks itself
            page.evaluate("""() => {
              const get = navigator.credentials.get.bind(navigator.credentials);
              navigator.credentials.get = (o) => { o.publicKey.userVerification = "discouraged"; return get(o); };
            }""")
        page.click("[data-passkey] button")
        said = page.wait_for_selector("[data-passkey] [role=status]:not(:empty)").inner_text()
        assert ("没有确认是您本人" if verified == "not set up" else "要用手指、面容或屏幕锁确认") in said
        assert page.is_visible("#password"), "the way in that is left"
        page.goto("/resident")
        assert "/sign-in" in page.url
        by_password(page, "li")
        removed(page)


def test_a_passkey_is_offered_in_the_field_of_the_name(chromium: Any, place: Place) -> None:
    with visiting(chromium, place, "li") as page:
        Device(page, offered=True)
        registered(page)
        page.click("main >> text=退出登录")
        page.wait_for_url(re.compile("/resident$"))
        removed(page)
