"""Which language a page speaks: Chinese is the source text, English is looked up in `english.py`.

One set of callables reads a ContextVar, so that Jinja's global gettext serves many requests in two languages at once.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from fastapi import Request

from hub.web.english import ENGLISH

LANGUAGES = {"zh-CN": "中文", "en": "English"}
LANGUAGE: ContextVar[str] = ContextVar("language", default="zh-CN")
COOKIE = "kinehub_lang"


def choose(request: Request, default: str) -> str:
    """The language of a request: asked for in the URL, kept in the cookie, or the hub's own."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return wish
    return default


def gettext(text: str) -> str:
    """`text` in the language of this request."""
    return ENGLISH.get(text, text) if LANGUAGE.get() == "en" else text


def ngettext(one: str, many: str, count: int) -> str:
    """As gettext; Chinese has one form, English keys the second form by its Chinese text and a bar."""
    return gettext(one if count == 1 else many)


def say(text: str, **values: Any) -> str:
    """`text` in the language of this request with its `%(name)s` filled in."""
    return gettext(text) % values if values else gettext(text)


def pick(pair: tuple[str, str]) -> str:
    """The one of (zh-CN, en) that this request speaks."""
    return pair[1] if LANGUAGE.get() == "en" else pair[0]
