"""The paper form for a decision at a desk: its wording, and the number at its foot that says which wording was signed.

A change of a sentence takes a new `VERSION`; forms printed before are then not taken any more.
"""

from __future__ import annotations

import hashlib

import msgspec

from hub.store.assists import Choice
from hub.store.seal import bound

VERSION = "1"
WORDING: tuple[tuple[str, str], ...] = (
    (
        "上面写的是我自己决定的。工作人员一句一句念给我听了，我听懂了。",
        "What stands above is my own decision. It was read to me sentence by sentence, and I understood it.",
    ),
    ("同意还是不同意，都不影响我健身、看病。", "Whether I agree or not changes nothing about my training or my treatment."),
    (
        "我随时可以停止：打 12345，到街道智慧健康小屋请人办，或在网页上按“停止”。停止以后马上就看不到了。",
        "I can stop it at any time: by calling 12345, at the street health kiosk, or by pressing “Stop” on the pages. Nothing is seen from then on.",
    ),
    ("敏感的每一类，我在那一行单独签名；没有单独签名的，不给看。", "For each sensitive kind I sign on its own line; what is not signed for is not shown."),
    ("工作人员看了我的证件，只为确认是我本人。", "Staff saw my card only to make sure that it is me."),
)
"""Sentences of the form, zh-CN and en."""


def digest(choice: Choice | None = None) -> str:
    """SHA-256 over the wording, and over what was chosen where the form says it."""
    said = [text.encode() for pair in WORDING for text in pair]
    chosen = [msgspec.json.encode(choice)] if choice else []
    return hashlib.sha256(bound(VERSION.encode(), *said, *chosen)).hexdigest()


def number(choice: Choice | None = None) -> str:
    """What stands at the foot of a form: of one with the choice filled in, or of an empty one."""
    return f"{VERSION}-{digest(choice)[:8]}"
