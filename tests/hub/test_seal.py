"""Sealed values open only where they lie, under the key they were made with; SM4, SM3 and SM4-GCM by their published vectors."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from hub.store import rotation
from hub.store.seal import SUITES, Sealer, Sm4Gcm, bound, digest_name, mac, pack, unpack
from tests.builders import a_city, a_session

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.mark.parametrize("suite", SUITES)
@given(value=st.binary(max_size=300), where=st.lists(st.binary(max_size=8), min_size=1, max_size=3), elsewhere=st.lists(st.binary(max_size=8), max_size=3))
def test_a_value_opens_at_its_place_and_at_no_other(suite: str, value: bytes, where: list[bytes], elsewhere: list[bytes]) -> None:
    sealer = Sealer(suite, KEY, "records")
    sealed = sealer.seal(value, *where)
    assert sealer.open(sealed, *where) == value
    if elsewhere != where:
        with pytest.raises(Exception, match="does not belong"):
            sealer.open(sealed, *elsewhere)


@pytest.mark.parametrize("suite", SUITES)
def test_a_value_opens_under_no_other_key_table_or_suite(suite: str) -> None:
    sealed = Sealer(suite, KEY, "records").seal(b"value", b"row")
    others = [Sealer(suite, OTHER, "records"), Sealer(suite, KEY, "series"), Sealer(SUITES[1 - SUITES.index(suite)], KEY, "records")]
    for other in others:
        with pytest.raises(Exception, match="another key"):
            other.open(sealed, b"row")


@given(st.binary(max_size=2000))
def test_packing_gives_back_what_went_in_and_hides_its_exact_length(value: bytes) -> None:
    assert unpack(pack(value)) == value
    assert len(pack(value)) % 64 == 0


def test_sm4_gcm_gives_the_published_vector() -> None:
    """RFC 8998, appendix A.1."""
    key, nonce = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), bytes.fromhex("00001234567800000000ABCD")
    data = bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2")
    plain = bytes.fromhex("".join(letter * 16 for letter in "ABCDEFEA"))
    expected = (
        "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D"
        "83DE3541E4C2B58177E065A9BF7B62EC"
    )
    sealed = Sm4Gcm(key).encrypt(nonce, plain, data)
    assert sealed.hex().upper() == expected
    assert Sm4Gcm(key).decrypt(nonce, sealed, data) == plain


def test_sm4_gives_the_published_vectors() -> None:
    """GB/T 32907-2016, annex A: one block, and the same one encrypted a million times."""
    key = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
    encryptor = Cipher(algorithms.SM4(key), modes.ECB()).encryptor()
    block = encryptor.update(key)
    assert block.hex().upper() == "681EDF34D206965E86B3E94F536E4246"
    for _ in range(999_999):
        block = encryptor.update(block)
    assert block.hex().upper() == "595298C7C6FD271F0402F804C33D3F66"


def test_sm3_gives_the_published_vectors() -> None:
    """GB/T 32905-2016, annex A."""
    vectors = {
        b"abc": "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0",
        b"abcd" * 16: "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732",
    }
    for message, digest in vectors.items():
        assert hashlib.new(digest_name("guomi"), message).hexdigest().upper() == digest


@given(key=st.binary(min_size=1, max_size=100), parts=st.lists(st.binary(max_size=80), max_size=3))
def test_the_keyed_digest_of_guomi_is_hmac_over_sm3(key: bytes, parts: list[bytes]) -> None:
    """RFC 2104 with the hash of GB/T 32905, block of 64 bytes, written out."""

    def sm3(value: bytes) -> bytes:
        return hashlib.new("sm3", value).digest()

    padded = (key if len(key) <= 64 else sm3(key)).ljust(64, b"\0")
    inner, outer = bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
    assert mac("guomi", key, *parts) == sm3(outer + sm3(inner + bound(*parts)))


@pytest.mark.parametrize("move", ["another row", "an older version", "an edited byte"])
def test_a_body_moved_rolled_back_or_edited_in_the_database_does_not_open(hub_url: str, tmp_path: Path, move: str) -> None:
    statements = {
        "another row": "UPDATE records SET body = (SELECT body FROM records WHERE id = $2) WHERE id = $1",
        "an older version": "UPDATE records SET body = (SELECT body FROM record_history WHERE id = $1 AND $2::uuid IS NOT NULL) WHERE id = $1",
        "an edited byte": "UPDATE records SET body = set_byte(body, 60, (get_byte(body, 60) + 1) % 256) WHERE id = $1 AND $2::uuid IS NOT NULL",
    }

    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            one = (await city.upload(center, a_session(), resident=resident)).json()["records"][0]
            other = (await city.upload(center, a_session("2026-05-09T08:00:00+08:00"), resident=resident)).json()["records"][0]
            await city.upload(center, a_session(hr_avg=130), resident=resident)
            async with city.hub.database.connection() as connection:
                await connection.execute(statements[move], UUID(one["record_id"]), UUID(other["record_id"]))
            answer = await city.get(center, one["resources"][1])
            assert answer.status_code == 500
            assert b"118" not in answer.content
            assert b"130" not in answer.content

    asyncio.run(work())


def test_rotation_wraps_every_key_again_and_nothing_is_lost(hub_url: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with a_city(hub_url, tmp_path) as city:
            center = await city.party("Center", "fitness-center")
            resident = await city.resident()
            await city.upload(center, a_session(), resident=resident)
            before = await city.shown(center, resident)
            done = await rotation.rotate(city.hub)
            (month,) = done["erasure_keys"]
            assert done == {"kek": "2", "erasure_keys": [month], "rewrapped": 1, "dropped": []}
            assert (await rotation.rotate(city.hub))["dropped"] == ["1"]
            assert await city.shown(center, resident) == before
            assert (await rotation.rotate(city.hub, erasure=True))["erasure_keys"] == [f"{month}.1"]
            assert (await rotation.rotate(city.hub, erasure=True))["dropped"] == ["3", month]
            assert await city.shown(center, resident) == before
        async with a_city(hub_url, tmp_path) as city, city.hub.database.connection() as connection:
            assert {tuple(row) for row in await connection.fetch("SELECT kek, erasure FROM data_keys")} == {("5", f"{month}.2")}

    asyncio.run(work())
