"""Accounts: passwords by length, one answer for every wrong sign-in, a lock that does not show."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.access import accounts
from schemas.errors import BadRequest, Conflict, Unauthenticated

pytestmark = pytest.mark.anyio

PASSWORD = "a long walk by the river"
NOW = datetime(2026, 5, 3, 9, 30, tzinfo=UTC)


async def outcome(hub: Any, login: str, password: str, now: datetime = NOW) -> str:
    """`in`, or the words of the refusal."""
    try:
        await accounts.signed_in(hub.database, hub.keyring, login, password, now)
    except Unauthenticated as refusal:
        return f"{refusal.code}: {refusal.message}"
    return "in"


async def test_a_name_is_recognised_however_it_is_written(hub: Any, account: Any) -> None:
    made = await account("Wang.Wei", password=PASSWORD)
    for written in ("wang.wei", " WANG.WEI ", "Ｗａｎｇ．ｗｅｉ"):
        assert await accounts.signed_in(hub.database, hub.keyring, written, PASSWORD, NOW) == made
    with pytest.raises(Conflict):
        await account("WANG.WEI", password=PASSWORD)


async def test_every_wrong_sign_in_is_answered_in_the_same_words(hub: Any, account: Any) -> None:
    await account("zhao", password=PASSWORD)
    await account("only.passkey")
    answers = {
        await outcome(hub, "zhao", "not the password"),
        await outcome(hub, "nobody", PASSWORD),
        await outcome(hub, "only.passkey", ""),
        await outcome(hub, "only.passkey", PASSWORD),
        await outcome(hub, "", ""),
        await outcome(hub, "zhao", "x" * 100_000),
    }
    assert len(answers) == 1
    assert "in" not in answers


async def test_ten_failures_lock_an_account_for_a_quarter_of_an_hour_without_a_word(hub: Any, account: Any) -> None:
    await account("qian", password=PASSWORD)
    answers = set(await asyncio.gather(*(outcome(hub, "qian", "not the password") for _ in range(10))))
    answers.add(await outcome(hub, "qian", PASSWORD))
    answers.add(await outcome(hub, "qian", PASSWORD, NOW + timedelta(minutes=14)))
    assert len(answers) == 1
    assert await outcome(hub, "qian", PASSWORD, NOW + timedelta(minutes=15)) == "in"


async def test_nine_failures_and_a_success_begin_anew(hub: Any, account: Any) -> None:
    await account("sun", password=PASSWORD)
    await asyncio.gather(*(outcome(hub, "sun", "not the password") for _ in range(9)))
    assert await outcome(hub, "sun", PASSWORD) == "in"
    await outcome(hub, "sun", "not the password")
    assert await outcome(hub, "sun", PASSWORD) == "in"


async def test_guesses_in_parallel_all_count(hub: Any, account: Any) -> None:
    await account("li", password=PASSWORD)
    await asyncio.gather(*(outcome(hub, "li", f"guess number {n}") for n in range(12)))
    assert await outcome(hub, "li", PASSWORD) != "in"


@pytest.mark.parametrize(
    ("password", "accepted"), [("九个字的密码不够长", False), ("十个汉字就可以做密码了", True), ("aaaaaaaaaa", True), ("a" * 257, False)]
)
async def test_a_password_is_judged_by_its_length(account: Any, password: str, accepted: bool) -> None:
    if accepted:
        await account(f"length {password}", password=password)
    else:
        with pytest.raises(BadRequest):
            await account(f"length {password}", password=password)


async def test_what_a_role_belongs_to_must_be_named(account: Any) -> None:
    for role in ("staff", "doctor", "city", "king"):
        with pytest.raises(BadRequest):
            await account(f"role {role}", role=role, password=PASSWORD)
    with pytest.raises(BadRequest):
        await account("role resident", resident=None)
    with pytest.raises(BadRequest):
        await account(" ", password=PASSWORD)


async def test_a_new_password_unlocks_and_replaces_the_old_one(hub: Any, account: Any) -> None:
    made = await account("zhou", password=PASSWORD)
    await asyncio.gather(*(outcome(hub, "zhou", "not the password") for _ in range(10)))
    async with hub.database.connection() as connection:
        await accounts.set_password(connection, made, "another walk by the river")
    assert await outcome(hub, "zhou", PASSWORD) != "in"
    assert await outcome(hub, "zhou", "another walk by the river") == "in"


async def test_the_table_shows_neither_name_nor_password(hub: Any, account: Any) -> None:
    made = await account("wu.hao", password=PASSWORD)
    async with hub.database.connection() as connection:
        row = str(await connection.fetchrow("SELECT accounts::text FROM accounts WHERE id = $1", made))
        known = await accounts.account(connection, hub.keyring, made)
    for clear in ("wu.hao", PASSWORD, "李娜", "李娜".encode().hex(), b"wu.hao".hex()):
        assert clear not in row
    assert known.name == "李娜"
