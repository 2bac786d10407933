"""What a browser says of itself, as a short name of the device for lists: "Chrome · Android". It is a hint for people and decides nothing."""

from __future__ import annotations

import re

BROWSERS: tuple[tuple[str, str, tuple[str, str]], ...] = (
    ("wechat", r"MicroMessenger/", ("微信", "WeChat")),
    ("huawei", r"HuaweiBrowser/|ArkWeb/", ("华为浏览器", "Huawei Browser")),
    ("miui", r"MiuiBrowser/", ("小米浏览器", "Mi Browser")),
    ("qq", r"MQQBrowser/|QQBrowser/", ("QQ 浏览器", "QQ Browser")),
    ("edge", r"Edg(?:A|iOS)?/", ("Edge", "Edge")),
    ("firefox", r"Firefox/|FxiOS/", ("火狐", "Firefox")),
    ("chrome", r"Chrome/|CriOS/", ("Chrome", "Chrome")),
    ("safari", r"Safari/", ("Safari", "Safari")),
)
SYSTEMS: tuple[tuple[str, str, tuple[str, str]], ...] = (
    ("iphone", r"iPhone", ("苹果手机", "iPhone")),
    ("ipad", r"iPad", ("iPad", "iPad")),
    ("harmony", r"HarmonyOS|OpenHarmony", ("鸿蒙", "HarmonyOS")),
    ("android", r"Android", ("安卓", "Android")),
    ("windows", r"Windows NT", ("Windows 电脑", "Windows")),
    ("mac", r"Macintosh", ("苹果电脑", "Mac")),
    ("linux", r"Linux|X11", ("Linux 电脑", "Linux")),
)
"""Code, how it is told in a User-Agent, its name (zh-CN, en). The first that fits: many also call themselves Chrome and Safari, or Linux."""

_NAMES = {code: name for code, _, name in (*BROWSERS, *SYSTEMS)}


def device_of(user_agent: str) -> str:
    """Codes of browser and system, as a list keeps them ("chrome android"); nothing of what the browser wrote itself."""
    told = user_agent[:500]
    found = (next((code for code, sign, _ in known if re.search(sign, told)), "") for known in (BROWSERS, SYSTEMS))
    return " ".join(filter(None, found))


def names(device: str) -> list[tuple[str, str]]:
    """The names (zh-CN, en) of what `device_of` told; none where it knew neither."""
    return [_NAMES[code] for code in device.split() if code in _NAMES]
