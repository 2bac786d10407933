"""The rights of parents by age, to the second: what they had before, what the young person agreed to, and none."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from hub.access.representatives import RIGHTS, Representative, _one
from schemas.labels import of_age

ALL = frozenset(RIGHTS)
SECOND = timedelta(seconds=1)


def parent(now: datetime, born: date, zone: str = "Asia/Shanghai", relation: str = "parent", agreed: tuple[str, ...] = ("look",)) -> Representative:
    row = {"id": uuid4(), "resident": uuid4(), "account": uuid4(), "relation": relation, "rights": list(agreed), "ends": None, "now": now, "begun": now}
    return _one(row, of_age(born, zone))


@pytest.mark.parametrize(
    ("born", "zone", "fourteen", "eighteen"),
    [
        (date(2012, 5, 3), "Asia/Shanghai", datetime(2026, 5, 2, 16, tzinfo=UTC), datetime(2030, 5, 2, 16, tzinfo=UTC)),
        (date(2012, 2, 29), "Asia/Shanghai", datetime(2026, 2, 28, 16, tzinfo=UTC), datetime(2030, 2, 28, 16, tzinfo=UTC)),
        (date(2012, 5, 3), "Asia/Urumqi", datetime(2026, 5, 2, 18, tzinfo=UTC), datetime(2030, 5, 2, 18, tzinfo=UTC)),
    ],
)
def test_rights_change_at_midnight_of_the_fourteenth_and_eighteenth_birthday(born: date, zone: str, fourteen: datetime, eighteen: datetime) -> None:
    assert parent(fourteen - SECOND, born, zone).rights == ALL
    assert parent(fourteen, born, zone).rights == {"look"}
    assert parent(fourteen, born, zone).young
    assert parent(eighteen - SECOND, born, zone).rights == {"look"}
    assert not parent(eighteen, born, zone).rights
    assert not parent(fourteen, born, zone, agreed=()).rights, "nothing until the young person has said so"


def test_an_age_that_is_not_known_any_more_gives_no_right() -> None:
    now = datetime.now(UTC)
    row = {"id": uuid4(), "resident": uuid4(), "account": uuid4(), "relation": "guardian", "rights": ["look"], "ends": None, "now": now, "begun": now}
    assert not _one(row, None).rights


def test_family_has_what_was_chosen_whatever_the_age() -> None:
    assert parent(datetime(2026, 5, 3, tzinfo=UTC), date(1950, 1, 1), relation="family", agreed=("stop",)).rights == {"stop"}
