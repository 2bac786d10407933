"""A device's name out of what its browser says: enough for its owner to know it, and nothing of the browser's own words."""

from __future__ import annotations

import pytest

from hub.access.devices import device_of, names

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("told", "device"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36", "chrome windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "edge windows"),
        (f"Mozilla/5.0 (Linux; Android 14; V2309A) {WEBKIT} Version/4.0 Chrome/116.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.50", "wechat android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1", "safari iphone"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 CriOS/140.0 Mobile/15E148 Safari/604.1", "chrome iphone"),
        (f"Mozilla/5.0 (Phone; OpenHarmony 5.0) {WEBKIT} Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile", "huawei harmony"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "firefox linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15", "safari mac"),
        ("curl/8.9 <script>", ""),
        ("", ""),
    ],
)
def test_a_device_has_the_name_of_its_browser_and_system(told: str, device: str) -> None:
    assert device_of(told) == device
    assert len(names(device)) == len(device.split())


def test_a_word_that_is_no_code_has_no_name() -> None:
    assert names("chrome <script>") == [("Chrome", "Chrome")]
