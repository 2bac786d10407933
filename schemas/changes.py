"""What changed between two versions of the standard, what that means to partners, and the version step it demands.

    compatible   senders and readers go on as they are
    attention    what is sent is still taken; readers may meet what they did not meet before
    breaking     what was sent may be refused now, or what is read means something else

A step is `patch` (words only), `minor` or `major`; before 1.0.0 a breaking change is a minor step (semver.org, 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

from schemas.published import Document

Verdict = Literal["compatible", "attention", "breaking"]
Step = Literal["none", "patch", "minor", "major"]
STEPS: Final[tuple[Step, ...]] = ("none", "patch", "minor", "major")
VERDICTS: Final[tuple[Verdict, ...]] = ("compatible", "attention", "breaking")


class Change(NamedTuple):
    """One change. `place` is the way to it in the document; `before` or `after` is None for what was added or removed."""

    place: tuple[str, ...]
    what: Literal["added", "removed", "changed"]
    before: Any
    after: Any
    verdict: Verdict
    step: Step


Judged = tuple[Verdict, Step]
_WORDS: Final[Judged] = ("compatible", "patch")
_MORE: Final[Judged] = ("compatible", "minor")
_LOOK: Final[Judged] = ("attention", "minor")
_BREAKS: Final[Judged] = ("breaking", "major")


def _never_mind(before: Any, after: Any) -> Judged:
    return _WORDS


def _look(before: Any, after: Any) -> Judged:
    return _LOOK


def _breaks(before: Any, after: Any) -> Judged:
    return _BREAKS


def _required(before: Any, after: Any) -> Judged:
    return _BREAKS if after else _LOOK


def _possible(before: Any, after: Any) -> Judged:
    """Narrower refuses what was taken; wider lets through what was not met before."""
    old, new = before or (None, None), after or (None, None)
    narrower = (new[0] is not None and (old[0] is None or new[0] > old[0])) or (new[1] is not None and (old[1] is None or new[1] < old[1]))
    return _BREAKS if narrower else _LOOK


def _values(before: Any, after: Any) -> Judged:
    return _BREAKS if set(before or ()) - set(after or ()) else _LOOK


def _codes(before: Any, after: Any) -> Judged:
    """The first code is what a reader searches for; further ones may be added."""
    old, new = list(before or ()), list(after or ())
    return _MORE if new[: len(old)] == old else _BREAKS


def _code(before: Any, after: Any) -> Judged:
    return _BREAKS if before else _MORE


def _type(before: Any, after: Any) -> Judged:
    return _LOOK if (before, after) == ("integer", "number") else _BREAKS


_RULES: Final[dict[str, Callable[[Any, Any], Judged]]] = {
    **dict.fromkeys(("zh", "en", "meaning", "meaning_zh", "definition", "source", "standard"), _never_mind),
    **dict.fromkeys(("unit", "key", "bit", "data_class"), _breaks),
    **dict.fromkeys(("usual", "category", "fact", "indoor", "distance_measure"), _look),
    "required": _required, "possible": _possible, "values": _values, "loinc": _codes, "mdc": _codes, "wst363": _code, "type": _type,
}  # fmt: skip
"""Attribute of an entry to how a change of it is judged; of others readers must take note."""


def changes(old: Document, new: Document) -> list[Change]:
    """Every change from `old` to `new`, the gravest first."""
    found = _of_entries((), {**old, "version": ""}, {**new, "version": ""})
    return sorted(found, key=lambda change: (-VERDICTS.index(change.verdict), change.place))


def _of_entries(place: tuple[str, ...], old: Document, new: Document) -> Iterator[Change]:
    for name in dict.fromkeys((*old, *new)):
        before, after, here = old.get(name), new.get(name), (*place, name)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _of_entries(here, before, after)
        elif isinstance(before, dict) or isinstance(after, dict):
            yield _of_entry(here, before, after)
        else:
            what: Literal["added", "removed", "changed"] = "added" if before is None else "removed" if after is None else "changed"
            yield Change(here, what, before, after, *_RULES.get(name, _look)(before, after))


def _of_entry(place: tuple[str, ...], before: Document | None, after: Document | None) -> Change:
    if after is None:
        return Change(place, "removed", before, None, *(_LOOK if place[:2] == ("codes", "flag") else _BREAKS))
    return Change(place, "added", None, after, *(_BREAKS if after.get("required") else _MORE))


def demanded(found: list[Change]) -> Step:
    """The step that these changes demand."""
    return max((change.step for change in found), key=STEPS.index, default="none")


def stepped(version: str, step: Step) -> str:
    """The least version after `version` that makes this step."""
    major, minor, patch = (int(part) for part in version.split("."))
    if step == "none":
        return version
    if step == "patch":
        return f"{major}.{minor}.{patch + 1}"
    return f"{major + 1}.0.0" if step == "major" and major else f"{major}.{minor + 1}.0"
