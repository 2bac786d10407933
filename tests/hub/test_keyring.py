"""Keys in three back ends: what is wrapped opens where it was wrapped, what is destroyed opens nowhere, what is wrong is said in one line."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.store import backend, keyring, postgres, puncture
from hub.store.ids import new_resident_id
from hub.store.keyring import Keyring, WrappedKey
from schemas.errors import KineHubError, SealError
from tests.builders import a_session
from tests.databases import execute
from tests.process import Running, a_hub, command, refused_start
from tests.softhsm import PIN, a_token
from tests.transit import TOKEN, Engine

SUITES = ("international", "guomi")


# the puncturable key


@pytest.mark.parametrize("suite", SUITES)
@settings(max_examples=25, deadline=None)
@given(gone=st.lists(st.uuids(), min_size=1, max_size=6, unique=True), stay=st.lists(st.uuids(), max_size=6, unique=True))
def test_a_punctured_key_forgets_exactly_whom_it_was_punctured_for(suite: str, gone: list[UUID], stay: list[UUID]) -> None:
    whole = puncture.planted(b"s" * 32)
    left = whole
    for subject in gone:
        left = puncture.punctured(suite, left, subject)
    left = puncture.unpacked(puncture.packed(left))
    for subject in gone:
        assert not puncture.reaches(left, subject)
        with pytest.raises(SealError):
            puncture.leaf(suite, left, subject)
    for subject in set(stay) - set(gone):
        assert puncture.leaf(suite, left, subject) == puncture.leaf(suite, whole, subject)


@given(st.uuids(), st.uuids())
def test_no_seed_that_is_left_lies_above_who_was_punctured(subject: UUID, other: UUID) -> None:
    left = puncture.punctured("international", puncture.punctured("international", puncture.planted(b"s" * 32), other), subject)
    way = {(1 << 128 | subject.int) >> shift for shift in range(0, 129)}
    assert not way & left.keys()


# the back ends, in this process


@pytest.fixture(params=["file", "pkcs11", "vault"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path | None]:
    """The address of a back end and the file with its secret."""
    secret = tmp_path / "secret"
    if request.param == "file":
        return "", None
    if request.param == "pkcs11":
        secret.write_text(PIN)
        return request.getfixturevalue("token_address"), secret
    secret.write_text(TOKEN)
    return request.getfixturevalue("engine").address, secret


@pytest.fixture
def opened(tmp_path: Path, store: tuple[str, Path | None]) -> Iterator[Callable[[], Keyring]]:
    """Opens the keyring again and again, as another process would."""
    keyring.create(tmp_path / "keyring.json", "international", *store).close()
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Keyring(tmp_path / "keyring.json", *store)))


def test_a_data_key_opens_in_another_process_and_for_its_subject_alone(opened: Callable[[], Keyring]) -> None:
    subject, data_key = str(new_resident_id()), b"d" * 32
    wrapped = opened().wrap(subject, data_key)
    ring = opened()
    assert ring.unwrap(subject, wrapped) == data_key
    assert data_key not in wrapped.wrapped
    with pytest.raises(SealError):
        ring.unwrap(str(new_resident_id()), wrapped)
    for changed in (wrapped.wrapped[:-1] + bytes((wrapped.wrapped[-1] ^ 1,)), wrapped.wrapped[::-1]):
        with pytest.raises(SealError):
            ring.unwrap(subject, WrappedKey(wrapped.kek, wrapped.erasure, changed))
    ring.check()


@pytest.mark.parametrize("store", ["pkcs11", "vault"], indirect=True)
def test_a_back_end_opens_at_its_place_alone_and_destroys_one_key_alone(store: tuple[str, Path | None]) -> None:
    with closing(backend.at(*store, f"kinehub-{uuid4().hex}-")) as keys:
        for name in ("one", "two", "one"):
            keys.make(name)
        assert keys.held() == {"one", "two"}
        wrapped = keys.wrap("one", b"value", b"here", b"")
        assert keys.unwrap("one", wrapped, b"here", b"") == b"value"
        for name, where in (("one", (b"", b"here")), ("one", (b"here",)), ("two", (b"here", b""))):
            with pytest.raises(SealError):
                keys.unwrap(name, wrapped, *where)
        keys.destroy("one")
        keys.destroy("one")
        assert keys.held() == {"two"}
        keys.make("one")
        with pytest.raises(SealError):
            keys.unwrap("one", wrapped, b"here", b"")


def test_an_erasure_is_destroyed_in_the_back_end_and_no_older_copy_of_the_file_undoes_it(opened: Callable[[], Keyring], tmp_path: Path) -> None:
    erased, kept = str(new_resident_id()), str(new_resident_id())
    elsewhere = opened()
    wrapped = {who: elsewhere.wrap(who, who.encode()[:32]) for who in (erased, kept)}
    before = (tmp_path / "keyring.json").read_bytes()
    ring = opened()
    destroyed = ring.puncture(wrapped[erased].erasure, erased)
    assert destroyed
    assert ring.puncture(wrapped[erased].erasure, erased) == []
    elsewhere.check()
    for one in (ring, elsewhere, opened()):
        assert one.unwrap(kept, wrapped[kept]) == kept.encode()[:32]
        with pytest.raises(SealError):
            one.unwrap(erased, wrapped[erased])
    if ring.remote:
        (tmp_path / "keyring.json").write_bytes(before)
        old = opened()
        for who in (erased, kept):
            with pytest.raises(KineHubError, match="does not hold"):
                old.unwrap(who, wrapped[who])
        with pytest.raises(KineHubError, match="does not hold the key erasure-"):
            old.check()


def test_no_proxy_of_the_environments_reads_keys_on_their_way_within_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "secret").write_text(TOKEN)
    with closing(keyring.create(tmp_path / "keyring.json", "international", engine.address, tmp_path / "secret")) as ring:
        assert ring.wrap(str(new_resident_id()), b"d" * 32)
    assert engine.asked


def test_a_key_encryption_key_that_is_dropped_opens_nothing_any_more(opened: Callable[[], Keyring]) -> None:
    ring, subject = opened(), str(new_resident_id())
    old = ring.wrap(subject, b"d" * 32)
    assert ring.add_kek() == "2"
    new = opened().wrap(subject, b"d" * 32)
    assert (old.kek, new.kek) == ("1", "2")
    assert ring.unwrap(subject, old) == ring.unwrap(subject, new)
    opened().drop_kek("1")
    assert ring.unwrap(subject, new) == b"d" * 32
    for one in (ring, opened()):
        with pytest.raises(KineHubError):
            one.unwrap(subject, old)


def test_the_files_own_secrets_go_under_a_new_local_key_at_each_rotation(opened: Callable[[], Keyring], tmp_path: Path) -> None:
    ring, elsewhere, subject = opened(), opened(), str(new_resident_id())
    said = ring.token("urn:x", "1"), ring.signing_key().thumbprint(), ring.tombstone_code(b"x")
    wrapped, copies = ring.wrap(subject, b"d" * 32), []
    for local in ("local-2", "local-3"):
        copies.append((tmp_path / "keyring.json").read_bytes())
        ring.add_kek()
        assert _contents(ring).secrets.key == local
        for one in (ring, elsewhere, opened()):
            assert (one.token("urn:x", "1"), one.signing_key().thumbprint(), one.tombstone_code(b"x")) == said
            assert one.unwrap(subject, wrapped) == b"d" * 32
            one.check()
    assert {name for name in ring._backend.held() if name.startswith("local")} == {"local-2", "local-3"}
    if ring.remote:
        for copy, opens in zip(copies, (False, True), strict=True):
            (tmp_path / "keyring.json").write_bytes(copy)
            if opens:
                assert opened().token("urn:x", "1") == said[0]
            else:
                with pytest.raises(KineHubError, match="does not hold the key local"):
                    opened()


def test_a_rotation_killed_before_the_file_is_written_leaves_it_as_it_was_and_goes_on(
    opened: Callable[[], Keyring], monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = opened()
    before, said = ring.path.read_bytes(), ring.token("urn:x", "1")
    with monkeypatch.context() as patch:
        patch.setattr(keyring, "write", _killed)
        with pytest.raises(KeyboardInterrupt):
            ring.add_kek()
    assert ring.path.read_bytes() == before
    again = opened()
    assert again.token("urn:x", "1") == said
    assert (again.add_kek(), _contents(again).secrets.key, opened().token("urn:x", "1")) == ("2", "local-2", said)


def test_what_a_killed_process_left_to_destroy_is_destroyed_by_the_next(opened: Callable[[], Keyring], monkeypatch: pytest.MonkeyPatch) -> None:
    ring, subject = opened(), str(new_resident_id())
    wrapped = ring.wrap(subject, b"d" * 32)
    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "_bury", _killed)
        with pytest.raises(KeyboardInterrupt):
            ring.puncture(wrapped.erasure, subject)
    names = {tree.seeds.key for tree in _contents(ring).erasure.values()}
    assert _contents(ring).doomed == [name.replace(".g1", ".g0") for name in names]
    again = opened()
    assert _contents(again).doomed == []
    again.check()
    with pytest.raises(SealError):
        again.unwrap(subject, wrapped)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def _contents(ring: Keyring) -> keyring.Contents:
    return msgspec.json.decode(ring.path.read_bytes(), type=keyring.Contents)


def test_what_only_the_file_holds_is_not_in_it_in_the_clear(opened: Callable[[], Keyring], tmp_path: Path) -> None:
    ring = opened()
    private = ring.signing_key().as_dict(private=True)["d"]
    assert str(private) not in (tmp_path / "keyring.json").read_text()
    if ring.remote:
        assert _contents(ring).keys == {}


@pytest.mark.parametrize("field", ["id", "suite", "kek", "erasure", "secrets", "ledger", "mac"])
def test_an_edited_keyring_file_opens_nothing(opened: Callable[[], Keyring], tmp_path: Path, field: str) -> None:
    ring = opened()
    ring.wrap(str(new_resident_id()), b"d" * 32)
    file = tmp_path / "keyring.json"
    content = json.loads(file.read_text())
    edited = {
        "id": "aaaaaaaaaaaaaaaa", "suite": "guomi", "kek": ["1", "2"], "erasure": {}, "secrets": content["secrets"] | {"body": content["mac"]},
        "ledger": [1, content["mac"]], "mac": "AAAA",
    }  # fmt: skip
    file.write_text(json.dumps(content | {field: edited[field]}))
    with pytest.raises(KineHubError, match=r"was changed|does not hold"):
        opened()


def test_the_chinese_suite_is_refused_where_the_back_end_has_no_sm4(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(KineHubError, match="guomi needs a keyring file"):
        keyring.create(tmp_path / "keyring.json", "guomi", engine.address, tmp_path / "secret")
    assert not engine.keys


# a hub over each of them


def main_job(city: Running) -> None:
    """Upload, read, rotate, erase: what a keyring is for."""
    city.add_party("center", "Center", "fitness-center")
    city.add_party("hospital", "Hospital", "hospital")
    kept, gone = city.resident("Kept", 2), city.resident("Gone", 3)
    for resident in (kept, gone):
        city.upload("center", a_session(), resident)
        city.grant(resident, "hospital")
    seen = city.shown("hospital", kept)
    assert seen
    assert city.cli("keys", "rotate", "--erasure")["rewrapped"] == 2
    assert json.loads((city.folder / "keyring.json").read_bytes())["secrets"]["key"] == "local-2"
    assert city.shown("hospital", kept) == seen
    said = city.cli("resident", "erase", gone)
    assert said["destroyed_keys"]
    assert city.shown("hospital", gone) == set()
    assert city.shown("hospital", kept) == seen
    assert all(found["ok"] for found in city.cli("doctor"))
    assert city.stop() == 0
    city.again()
    assert city.shown("hospital", kept) == seen
    assert city.audit()["intact"]


def named(monkeypatch: pytest.MonkeyPatch, folder: Path, address: str, secret: str) -> Path:
    """What an operator sets for a back end; the file with the secret."""
    file = folder / "secret"
    file.write_text(f"{secret}\n")
    monkeypatch.setenv("KINEHUB_KEYRING", address)
    monkeypatch.setenv("KINEHUB_KEYRING_SECRET_FILE", str(file))
    return file


def test_a_hub_lives_on_a_pkcs11_token_and_says_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = a_token(tmp_path / "hsm", monkeypatch)
    secret = named(monkeypatch, tmp_path, address, PIN)
    with a_hub(tmp_path / "hub") as city:
        main_job(city)
        assert city.stop() == 0

    def refused(said: str) -> None:
        line = refused_start(tmp_path / "hub")
        assert said in line
        assert PIN not in line

    secret.write_text("314159")
    refused("The PIN is not that of the token")
    secret.unlink()
    refused("KINEHUB_KEYRING_SECRET_FILE cannot be read")
    secret.write_text(PIN)
    monkeypatch.setenv("KINEHUB_KEYRING", address.replace("token=", "token=another-"))
    refused("There is no one token another-")
    monkeypatch.setenv("KINEHUB_KEYRING", address.replace(".so", ".soo"))
    refused("cannot be loaded")
    monkeypatch.setenv("KINEHUB_KEYRING", "pkcs11://host/lib.so")
    refused("KINEHUB_KEYRING must be pkcs11:///")
    monkeypatch.delenv("KINEHUB_KEYRING")
    refused("are in the back end pkcs11")
    monkeypatch.setenv("KINEHUB_KEYRING", address)
    tokens = tmp_path / "hsm" / "tokens"
    shutil.copytree(tokens, tmp_path / "kept")
    _destroy_newest_kek(tokens, address)
    refused("does not hold the key kek-")
    shutil.rmtree(tokens)
    shutil.copytree(tmp_path / "kept", tokens)
    with a_hub(tmp_path / "hub") as city:
        assert city.http.get("/readyz").status_code == 200


def _destroy_newest_kek(tokens: Path, address: str) -> None:
    """As an operator might by mistake: with the token's own tool, in another process."""
    module, _, label = address.removeprefix("pkcs11://").partition("?token=")
    script = (
        "import sys, pkcs11; session = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).open(user_pin=sys.argv[3], rw=True)\n"
        "keys = [key for key in session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY}) if '-kek-' in key.label]\n"
        "max(keys, key=lambda key: key.label).destroy()"
    )
    subprocess.run([sys.executable, "-c", script, module, label, PIN], check=True)


def test_a_hub_lives_on_a_transit_engine_and_says_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    secret = named(monkeypatch, tmp_path, engine.address, TOKEN)
    with a_hub(tmp_path / "hub") as city:
        main_job(city)
        assert city.stop() == 0

    def refused(said: str) -> None:
        line = refused_start(tmp_path / "hub")
        assert said in line
        assert TOKEN not in line

    secret.write_text("s.another")
    refused("refuses the token")
    secret.write_text(TOKEN)
    monkeypatch.setenv("KINEHUB_KEYRING", engine.address.replace("/transit", "/elsewhere"))
    refused("There is no transit engine at that mount")
    monkeypatch.setenv("KINEHUB_KEYRING", "vault+http://keys.example.org/transit")
    refused("only to this machine")
    monkeypatch.setenv("KINEHUB_KEYRING", engine.address)
    held = dict(engine.keys)
    del engine.keys[next(name for name in held if "-kek-" in name)]
    refused("does not hold the key kek-")
    engine.keys.clear()
    refused("does not hold the key local")
    engine.keys.update(held)
    engine.sealed = True
    refused("is sealed or not ready")
    engine.sealed = False
    engine.stop()
    refused("cannot be reached")


def test_a_hub_whose_key_back_end_is_down_reads_on_what_is_open_and_says_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    named(monkeypatch, tmp_path, engine.address, TOKEN)
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        open_, shut = city.resident("Open", 2), city.resident("Shut", 3)
        for resident in (open_, shut):
            city.upload("center", a_session(), resident)
        assert city.stop() == 0
        city.again()
        seen, headers = city.shown("center", open_), city.bearer("center", "system/*.rs intake.write")
        assert seen
        engine.stop()
        for _ in range(5):
            assert city.shown("center", open_) == seen
            for answer in (
                city.http.get("/fhir/Observation", params={"patient": shut}, headers=headers),
                city.http.post("/intake/kinehub-json", params={"resident": shut}, json=a_session("2026-05-09T08:00:00+08:00"), headers=headers),
            ):
                assert (answer.status_code, answer.headers["Retry-After"].isdigit()) == (503, True)
                assert "The key back end cannot be reached" in answer.text
        again = city.http.post("/intake/kinehub-json", params={"resident": open_}, json=a_session("2026-05-09T08:00:00+08:00"), headers=headers)
        assert again.status_code == 201
        ready = city.http.get("/readyz")
        assert (ready.status_code, "key back end" in ready.json()["status"]) == (503, True)
        assert city.http.get("/healthz").status_code == 200
        doctor = command(city.folder, "doctor")
        assert doctor.returncode == 1
        assert "The key back end cannot be reached" in doctor.stdout + doctor.stderr
        engine.start()
        _until(lambda: city.http.get("/readyz").status_code == 200)
        assert city.http.get("/fhir/Observation", params={"patient": shut}, headers=headers).json()["total"] > 0


def _until(true: Callable[[], bool]) -> None:
    """Ask until it is so; the time limit of the whole run ends it otherwise."""
    while not true():
        asyncio.run(asyncio.sleep(0.1))


# keyrings of before


def test_a_keyring_of_before_keys_were_puncturable_is_brought_forward(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        kept, gone = city.resident("Kept", 2), city.resident("Gone", 3)
        for resident in (kept, gone):
            city.upload("center", a_session(), resident)
        seen = city.shown("center", kept)
        assert city.stop() == 0
        _as_before(city.folder)
        city.again()
        assert city.shown("center", kept) == seen
        before = (city.folder / "keyring.json").read_bytes()
        assert city.cli("resident", "erase", gone)["destroyed_keys"]
        assert city.shown("center", kept) == seen
        assert city.shown("center", gone) == set()
        held = json.loads(before)["erasure"]
        assert [tree["flat"] for tree in held.values()] == [True]
        assert not held.keys() & json.loads((city.folder / "keyring.json").read_bytes())["erasure"].keys()


def _as_before(folder: Path) -> None:
    """Turn a keyring, its ledger and the key table into what the version before wrote."""
    from hub.store.seal import Sealer

    ring = Keyring(folder / "keyring.json")
    contents, held = _contents(ring), ring._secrets()
    seeds = {name: uuid4().bytes * 2 for name in contents.erasure}
    with postgres.connect(folder) as dsn:
        for bucket, subject, wrap in _wraps(dsn):
            inner = Sealer("international", seeds[wrap.erasure], "erasure")
            where = subject.encode(), wrap.kek.encode(), wrap.erasure.encode()
            kek = Sealer("international", contents.keys[f"kek-{wrap.kek}"], "kek")
            again = kek.seal(inner.seal(ring.unwrap(subject, wrap), *where), *where)
            execute(dsn, f"UPDATE data_keys SET wrapped = '\\x{again.hex()}' WHERE bucket = {bucket} AND subject = '{subject}'")
    keks = {number: contents.keys[f"kek-{number}"] for number in contents.kek}
    old = {"id": contents.id, "suite": contents.suite, "kek": keks, "erasure": seeds, "index": held.index, "hub": held.hub, "signing": held.signing}
    ring.path.write_bytes(msgspec.json.encode(old))
    ring.ledger.write_bytes(msgspec.json.encode({"resident": str(uuid4()), "at": "2026-01-01T00:00:00Z"}) + b"\n")


def _wraps(dsn: str) -> list[tuple[int, str, WrappedKey]]:
    import asyncpg

    async def rows() -> list[tuple[int, str, WrappedKey]]:
        connection = await asyncpg.connect(dsn)
        try:
            found = await connection.fetch("SELECT bucket, subject, kek, erasure, wrapped FROM data_keys")
        finally:
            await connection.close()
        return [(row["bucket"], str(row["subject"]), WrappedKey(row["kek"], row["erasure"], row["wrapped"])) for row in found]

    return asyncio.run(rows())
