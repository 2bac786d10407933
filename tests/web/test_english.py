"""Both languages say everything: each text of a page has its English, with the same names to fill in."""

from __future__ import annotations

import re
from pathlib import Path

from babel.messages.extract import extract_from_dir

import hub.web
from hub.web import faults
from hub.web.english import ENGLISH

FOLDER = Path(hub.web.__file__).parent
CHINESE = re.compile(r"[一-鿿]")
NAMES = re.compile(r"%\([a-z]+\)[sd]")


def said() -> set[str]:
    found = extract_from_dir(FOLDER, [("templates/**.html", "jinja2"), ("**.py", "python")], keywords={"_": None, "say": None})
    texts = {text for _, _, text, _, _ in found if isinstance(text, str) and CHINESE.search(text)}
    return texts | {text for pair in faults.REASONS.values() for text in pair} | set(faults.ROWS["out-of-range"])


def test_every_text_has_its_english() -> None:
    texts = said()
    assert len(texts) > 200
    assert texts <= ENGLISH.keys()


def test_both_languages_fill_in_the_same_names() -> None:
    assert not [text for text, english in ENGLISH.items() if set(NAMES.findall(text)) != set(NAMES.findall(english))]


def test_no_text_is_written_into_a_template_past_the_catalogue() -> None:
    for template in (FOLDER / "templates").glob("*.html"):
        bare = re.sub(r"{{.*?}}|{%.*?%}", "", template.read_text(), flags=re.DOTALL)
        assert not CHINESE.search(bare), template.name
