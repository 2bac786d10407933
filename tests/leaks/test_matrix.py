"""Every attack at every way out: what is denied does not show, what is absent shows the same, and what is allowed does show."""

from __future__ import annotations

import msgspec
import pytest

from tests.leaks.attacks import ATTACKS
from tests.leaks.exits import EXITS, SHUT, Answer, Ask, scanned, told, unknown
from tests.leaks.town import Case, Stage


@pytest.fixture(scope="module")
def cases(stage: Stage) -> dict[str, Case]:
    return {}


def arranged(stage: Stage, cases: dict[str, Case], attack: str) -> Case:
    if attack not in cases:
        cases[attack] = stage.run(ATTACKS[attack](stage.leaks))
        assert cases[attack].ids, "the allowed reader sees nothing of what is hidden"
    return cases[attack]


def seen(case: Case, answers: list[Answer]) -> set[str | bytes]:
    scanner = case.plants.scanner()
    return set().union(*(scanner.found(scanned(answer)) for answer in answers))


NAMED_ALONE = {"notices"}
"""Ways out that tell whom a consent names of that consent: scanned, and not compared with a resident who never had one."""


@pytest.mark.parametrize("exit_", EXITS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_denied_does_not_show(stage: Stage, cases: dict[str, Case], attack: str, exit_: str) -> None:
    case, leaks, way = arranged(stage, cases, attack), stage.leaks, EXITS[exit_]
    denied = stage.run(way(Ask(leaks, leaks.denied, case.hidden, case.ids, case)))
    assert not seen(case, denied), [answer.asked for answer in denied if seen(case, [answer])]
    assert all(answer.status < 500 for answer in denied), [answer for answer in denied if answer.status >= 500]
    if case.alike and exit_ not in NAMED_ALONE:
        absent = stage.run(way(Ask(leaks, leaks.denied, case.absent, case.twins or unknown(case.ids, case.absent), case)))
        assert len(denied) == len(absent)
        differing = [one.asked for one, hidden, twin in zip(denied, told(denied), told(absent), strict=True) if hidden != twin]
        assert not differing


OPEN = [exit_ for exit_ in EXITS if exit_ not in SHUT]
TELLING = {"read", "search", "every", "portal"}


TELLING = {"A13": ("vread", "hist")}
"""Where an attack's hidden part shows to the allowed reader, if not everywhere: an older version is in its own history alone."""
PAGES = {"portal", "dl"}
"""Ways out that show sessions: asked where the hidden part holds one."""
WITHOUT_SESSIONS = {"A6", "A7", "A13 reverse", "A20", "A20 panel", "A22", "A22 label"}
COMPARED = {*SHUT, "count", "err", "agg", "chain", "has", "sampled", "receipts", "notices", "emergency", "assist"}
"""Ways out that hold no text or figure of a record: they are compared only."""
HELD = dict.fromkeys(exit_ for exit_ in EXITS if exit_ not in COMPARED)
SHOWN = [(attack, exit_) for attack in ATTACKS for exit_ in TELLING.get(attack, HELD) if exit_ not in PAGES or attack not in WITHOUT_SESSIONS]


@pytest.mark.parametrize(("attack", "exit_"), SHOWN)
def test_what_is_allowed_does_show(stage: Stage, cases: dict[str, Case], attack: str, exit_: str) -> None:
    case, leaks = arranged(stage, cases, attack), stage.leaks
    about, ids = (case.allowed, case.allowed_ids or case.ids) if case.allowed else (case.hidden, case.ids)
    answers = stage.run(EXITS[exit_](Ask(leaks, leaks.allowed, about, ids, msgspec.structs.replace(case, headers={}, link=""))))
    assert seen(case, answers)
