"""This hub's validator beside the reference, on a corpus made by mutation: what each calls broken, by the rule that was tried.

The whole corpus takes about three minutes; `CORPUS=600 make conformance` tries the first 600 cases in one. The table is kept in
agreement.json, which docs/reference/validation.md shows; `AGREEMENT=write` renews it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hub.exchange.validate import findings
from tests.conformance import guide
from tests.conformance.corpus import Case, corpus
from tests.conformance.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).parent / "agreement.json"
LISTED: dict[str, list[dict[str, Any]]] = yaml.safe_load((Path(__file__).parent / "differences.yaml").read_text())
WHOLE = 2400
SIZE = int(os.environ.get("CORPUS", WHOLE))
_PLACE = re.compile(r"\[\d+\]")
VERDICTS = ("both broken", "both valid", "reference alone", "ours alone", "not read")


class Judged(NamedTuple):
    """One case with what the reference and we say is wrong."""

    case: Case
    reference: list[str]
    ours: list[str]

    @property
    def verdict(self) -> str:
        if self.reference and all(_is_listed("not_read", one) for one in self.reference):
            return "not read"
        return {(True, True): "both broken", (False, False): "both valid", (True, False): "reference alone", (False, True): "ours alone"}[
            bool(self.reference), bool(self.ours)
        ]


def _is_listed(section: str, text: str) -> bool:
    return any(fnmatchcase(text, _literal(pattern)) for entry in LISTED[section] for pattern in entry["says"])


def _literal(pattern: str) -> str:
    """Brackets are meant as such."""
    return pattern.replace("[", "[[]")


def _said_by_reference(line: str) -> list[str]:
    return [str(issue.get("diagnostics")) for issue in json.loads(line).get("issue", ()) if issue["severity"] in ("error", "fatal")]


def _said_by_us(case: Case) -> list[str]:
    found = findings(json.loads(case.text()))
    return [f"{issue.rule} {_PLACE.sub('', issue.path)}" for issue in found if issue.severity == "error"]


@pytest.fixture(scope="module")
def judged(package: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Judged]:
    """Both verdicts on every case."""
    cases, path = list(corpus(SIZE)), tmp_path_factory.mktemp("corpus") / "corpus.ndjson"
    path.write_text("\n".join(case.text() for case in cases), encoding="utf-8")
    command = ["make", "--silent", "validate", f"FILES={path}", f"PACKAGES={package} {guide.IPS}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == len(cases), f"The validator did not run: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return [Judged(case, _said_by_reference(line), _said_by_us(case)) for case, line in zip(cases, lines, strict=True)]


def _table(judged: list[Judged]) -> dict[str, dict[str, int]]:
    counted = Counter((one.case.rule, one.verdict) for one in judged)
    return {rule: {verdict: counted[rule, verdict] for verdict in VERDICTS} for rule in MUTATIONS}


def test_both_halves_of_the_corpus_are_there(judged: list[Judged]) -> None:
    verdicts = Counter(one.verdict for one in judged)
    assert min(verdicts["both broken"], verdicts["both valid"]) > len(judged) / 10
    assert {one.case.rule for one in judged} == set(MUTATIONS)
    assert {one.verdict for one in judged if one.case.rule == "as it is"} <= {"both valid", "reference alone", "not read"}


def test_nothing_broken_is_accepted_unless_it_is_listed(judged: list[Judged]) -> None:
    unlisted = {
        text: one.case.text()[:600]
        for one in judged if one.verdict == "reference alone"
        for text in one.reference if not _is_listed("reference", text)
    }  # fmt: skip
    assert not unlisted, "\n".join(f"{text} in {body}" for text, body in unlisted.items())


def test_nothing_valid_is_refused_unless_it_is_listed(judged: list[Judged]) -> None:
    unlisted = {text: one.case.text()[:600] for one in judged if one.verdict == "ours alone" for text in one.ours if not _is_listed("ours", text)}
    assert not unlisted, "\n".join(f"{text} in {body}" for text, body in unlisted.items())


@pytest.mark.skipif(SIZE < WHOLE, reason="only the whole corpus has every difference")
def test_what_is_listed_occurs_and_the_table_is_the_one_in_the_documentation(judged: list[Judged]) -> None:
    said = {"not_read": [one.reference for one in judged], "reference": [one.reference for one in judged if one.verdict == "reference alone"]}
    said["ours"] = [one.ours for one in judged if one.verdict == "ours alone"]
    flat = {section: {text for texts in found for text in texts} for section, found in said.items()}
    never = [
        entry["reason"]
        for section, entries in LISTED.items() for entry in entries if not entry.get("seldom")
        if not any(fnmatchcase(text, _literal(pattern)) for text in flat[section] for pattern in entry["says"])
    ]  # fmt: skip
    assert never == [], never
    table = _table(judged)
    if os.environ.get("AGREEMENT") == "write":
        KEPT.write_text(json.dumps(table, indent=1) + "\n")
    assert json.loads(KEPT.read_text()) == table, "The agreement has changed: run with AGREEMENT=write, then docs/generate.py."
