"""The documentation says what the code does: generated parts are fresh, every setting, command, adapter, flag and link is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import fields

from adapters.base import adapters
from docs import generate
from hub.settings import Settings
from schemas.flags import FLAGS
from schemas.measures import MEASURES

REFERENCE = generate.ROOT / "docs" / "reference"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"kinehub ((?:[a-z-]+ ?)+)")


def _page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_no_generated_part_is_stale() -> None:
    assert [str(page.relative_to(generate.ROOT)) for page in generate.stale()] == [], "run python docs/generate.py"


def test_every_block_is_used_once() -> None:
    used = [name for page in generate.pages() for name in re.findall(r"<!-- generated: ([a-z-]+) -->", page.read_text(encoding="utf-8"))]
    assert sorted(used) == sorted(generate.BLOCKS)


def test_every_setting_is_documented() -> None:
    page, variables = _page("settings.md"), generate.variables()
    assert len(variables) >= 4
    for name in variables:
        assert f"`{name}`" in page
    assert set(generate.SETTING_NOTES) == {field.name for field in fields(Settings)}


def test_every_command_is_documented() -> None:
    page = _page("cli.md")
    known = [" ".join(words) for words, _ in generate.commands()]
    assert len(known) >= 20
    assert all(f"## `{command}" in page for command in known)


def test_every_adapter_flag_and_measure_is_documented() -> None:
    formats, errors, measures = _page("formats.md"), _page("errors.md"), _page("measures.md")
    assert adapters()
    assert all(f"### `{adapter.id}`" in formats for adapter in adapters())
    assert all(f"`{flag}`" in errors for flag in FLAGS)
    assert all(f"`{measure}`" in measures for measure in MEASURES)


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: str(page.relative_to(generate.ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    for target in _LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        if anchor:
            assert anchor in _anchors(found), target


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_commands_shown_in_pages_exist() -> None:
    known = {words[1:] for words, _ in generate.commands()}
    firsts = {words[0] for words in known}
    for page in generate.pages():
        for block in re.findall(r"```(?:sh|bash)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in _COMMAND.findall(block):
                words = tuple(line.split())
                assert words[0] in firsts, f"{page.name}: kinehub {line}"
                assert any(words[: len(command)] == command for command in known), f"{page.name}: kinehub {line}"


def test_every_page_is_reachable_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [generate.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = [target.partition("#")[0] for target in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
        waiting += [(page.parent / target).resolve() for target in targets if target]
    assert {page.resolve() for page in generate.pages()} <= seen
