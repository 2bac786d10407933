"""Scopes: read as SMART v2 says, cut to what a party may ask for, never widened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access import scopes
from hub.store.parties import KINDS
from schemas.errors import BadRequest

LETTERS = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda chosen: "".join(letter for letter in "cruds" if letter in chosen))
WORDS = st.one_of(
    st.builds("{}/{}.{}".format, st.sampled_from(["patient", "user", "system"]), st.sampled_from(["*", "Observation", "Patient"]),
              LETTERS | st.sampled_from(["read", "write", "*"])),
    st.sampled_from(["intake.write", "openid", "launch", "offline_access"]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "understood"),
    [
        ("system/Observation.rs", "system/Observation.rs"),
        ("system/*.read", "system/*.rs"),
        ("system/Patient.write", "system/Patient.cud"),
        ("user/*.*", "user/*.cruds"),
        ("system/Task.cruds  intake.write system/Task.cruds", "system/Task.cruds intake.write"),
    ],
)
def test_scopes_of_both_versions_are_understood(asked: str, understood: str) -> None:
    assert scopes.written(scopes.parse(asked)) == understood


@pytest.mark.parametrize(
    "wrong",
    [
        "", " ", "system/Observation", "system/Observation.", "system/Observation.sr", "system/Observation.rr", "system/observation.r",
        "System/Observation.r", "system/Observation.rs?category=vital-signs", "system/*.rs\tintake.write", "admin/*.rs",
        "intake.read", "system/Observation.rs\n", "everything", "system/Observation.x", "системa/*.rs", "system/*.rs " * 1000,
    ],
)  # fmt: skip
def test_a_scope_that_is_not_one_is_refused(wrong: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        scopes.parse(wrong)
    assert refusal.value.code == "invalid_scope"


def test_only_kinds_that_upload_get_intake_write() -> None:
    asked = scopes.parse("system/*.rs intake.write")
    with_intake = {kind for kind in KINDS if scopes.may_upload(scopes.narrowed(asked, kind))}
    assert with_intake == scopes.UPLOADERS
    assert not with_intake & {"city-cloud", "insurer", "research"}


def test_backend_services_get_no_patient_and_no_user_scope() -> None:
    asked = scopes.parse("patient/*.rs user/*.rs launch openid system/Observation.rs")
    assert scopes.written(scopes.narrowed(asked, "hospital")) == "system/Observation.rs"


def test_a_patient_scope_without_a_patient_covers_nothing() -> None:
    assert not scopes.allows(scopes.parse("patient/*.cruds user/*.cruds"), "Observation", "r")


def test_a_scope_covers_its_type_and_its_letters_only() -> None:
    held = scopes.parse("system/Observation.rs system/*.r")
    assert scopes.allows(held, "Observation", "s")
    assert scopes.allows(held, "Patient", "r")
    assert not scopes.allows(held, "Patient", "s")
    assert not scopes.allows(held, "Observation", "u")
    assert not scopes.allows(scopes.parse("intake.write"), "intake", "w")


@given(words=st.lists(WORDS, min_size=1, max_size=6), kind=st.sampled_from(KINDS), type_=st.sampled_from(["Observation", "Patient", "Device"]),
       letter=st.sampled_from("cruds"))  # fmt: skip
def test_narrowing_never_allows_what_was_not_asked(words: list[str], kind: str, type_: str, letter: str) -> None:
    asked = scopes.parse(" ".join(words))
    granted = scopes.narrowed(asked, kind)
    assert not scopes.allows(granted, type_, letter) or scopes.allows(asked, type_, letter)
    assert scopes.narrowed(granted, kind) == granted
    assert scopes.may_upload(granted) <= scopes.may_upload(asked)


@given(words=st.lists(WORDS, min_size=1, max_size=6))
def test_what_is_written_reads_back(words: list[str]) -> None:
    held = scopes.parse(" ".join(words))
    assert scopes.parse(scopes.written(held)) == held
