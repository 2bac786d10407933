"""Keys move from one back end to another: what opened opens at every moment, who was erased stays erased, the old place is empty at the end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hub.store import keyring, postgres
from hub.store.ids import new_resident_id
from hub.store.keyring import Keyring, Place, WrappedKey
from schemas.errors import KineHubError, SealError
from tests.builders import a_session
from tests.faults.test_rotation import more_residents, rows
from tests.process import Running, a_hub, command, refused_start
from tests.softhsm import PIN
from tests.transit import TOKEN, Engine


def place(request: pytest.FixtureRequest, folder: Path, kind: str) -> Place:
    if kind == "file":
        return Place("")
    (folder / kind).write_text(PIN if kind == "pkcs11" else TOKEN)
    return Place(request.getfixturevalue("token_address") if kind == "pkcs11" else request.getfixturevalue("engine").address, str(folder / kind))


def opened(folder: Path, where: Place) -> Keyring:
    return Keyring(folder / "keyring.json", where.store, Path(where.secret_file) if where.secret_file else None)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


STEPS = ("begin_move", "settle", "empty_source")


@pytest.mark.parametrize("lost", STEPS)
@pytest.mark.parametrize(("source", "target"), [("file", "vault"), ("vault", "file"), ("file", "pkcs11"), ("pkcs11", "vault"), ("vault", "pkcs11")])
def test_a_move_killed_at_any_step_leaves_every_key_readable_and_goes_on(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, lost: str
) -> None:
    old, new = place(request, tmp_path, source), place(request, tmp_path, target)
    keyring.create(tmp_path / "keyring.json", "international", old.store, Path(old.secret_file) if old.secret_file else None).close()
    kept, gone = str(new_resident_id()), str(new_resident_id())
    with closing(opened(tmp_path, old)) as serving:
        held = {who: serving.wrap(who, who.encode()[:32]) for who in (kept, gone)}
        serving.puncture(held[gone].erasure, gone)
        said, before = serving.token("urn:x", "1"), (tmp_path / "keyring.json").read_bytes()
        for step in STEPS:
            arguments = (new,) if step == "begin_move" else ()
            where = new if step == "empty_source" else old
            if step == lost:
                with closing(opened(tmp_path, where)) as ring, monkeypatch.context() as patch:
                    patch.setattr(keyring, "write", killed)
                    with pytest.raises(KeyboardInterrupt):
                        getattr(ring, step)(*arguments)
                readable(serving, kept, held, gone)
            with closing(opened(tmp_path, where)) as ring:
                getattr(ring, step)(*arguments)
            if step == "begin_move":
                held[kept] = serving.wrap_under(kept, serving.unwrap(kept, held[kept]), held[kept].erasure)
            readable(serving, kept, held, gone)
            assert serving.token("urn:x", "1") == said
    with closing(opened(tmp_path, new)) as ring:
        readable(ring, kept, held, gone)
        assert ring.move is None
        ring.check()
        assert ring._backend.at(old).held() == set()
        assert ring.signing_key()
    with pytest.raises(KineHubError, match="are in the back end"):
        opened(tmp_path, old)
    if source != "file":
        (tmp_path / "keyring.json").write_bytes(before)
        with pytest.raises(KineHubError, match="does not hold"):
            opened(tmp_path, old)


@pytest.mark.parametrize("settled", [False, True])
def test_a_place_that_somebody_wrote_into_the_file_is_never_asked(tmp_path: Path, engine: Engine, settled: bool) -> None:
    (tmp_path / "secret").write_text(TOKEN)
    keyring.create(tmp_path / "keyring.json").close()
    with closing(opened(tmp_path, Place(""))) as serving:
        serving.wrap(str(new_resident_id()), b"d" * 32)
        contents = json.loads((tmp_path / "keyring.json").read_text())
        elsewhere = {"store": engine.address, "secret_file": str(tmp_path / "secret")}
        contents["move"] = {"source": {"store": ""}, "target": elsewhere, "first": 1, "settled": settled}
        contents["secrets"]["body"] = contents["mac"]
        (tmp_path / "keyring.json").write_text(json.dumps(contents))
        for ask in (lambda: serving.token("urn:x", "1") and serving.keks(), lambda: opened(tmp_path, Place(""))):
            with pytest.raises(KineHubError, match=r"was changed|are in the back end"):
                ask()
    assert engine.asked == []


def readable(ring: Keyring, kept: str, held: dict[str, WrappedKey], gone: str) -> None:
    assert ring.unwrap(kept, held[kept]) == kept.encode()[:32]
    with pytest.raises(SealError):
        ring.unwrap(gone, held[gone])
    assert not ring.reaches(held[gone].erasure, gone)


def test_a_move_while_serving_killed_in_the_middle_goes_on_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    secret = tmp_path / "secret"
    secret.write_text(TOKEN)
    there = ("keys", "move", "--to", engine.address, "--secret-file", str(secret))
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "Center", "fitness-center")
        kept, gone = city.resident("Kept", 2), city.resident("Gone", 3)
        for who in (kept, gone):
            city.upload("center", a_session(), who)
        seen = city.shown("center", kept)
        with postgres.connect(city.folder) as dsn:
            keys = more_residents(city.folder, dsn, 1200)
            assert half_moved(city, dsn, there)
            assert city.shown("center", kept) == seen
            doctor = command(city.folder, "doctor")
            assert (doctor.returncode, "is not finished" in doctor.stdout) == (1, True)
            assert city.cli("resident", "erase", gone)["destroyed_keys"]
            said = city.cli(*there)
            assert (said["back_end"], said["left"], 0 < said["rewrapped"] < len(keys)) == ("vault", "file", True)
            assert json.loads((city.folder / "keyring.json").read_bytes())["keys"] == {}
            assert {row[0] for row in rows(dsn, "SELECT DISTINCT kek FROM data_keys")} == {"2"}
            with closing(Keyring(city.folder / "keyring.json", engine.address, secret)) as ring:
                for row in rows(dsn, "SELECT subject, kek, erasure, wrapped FROM data_keys LIMIT 50"):
                    opened_key = ring.unwrap(str(row["subject"]), WrappedKey(row["kek"], row["erasure"], row["wrapped"]))
                    assert opened_key == keys.get(str(row["subject"]), opened_key)
        assert city.shown("center", kept) == seen
        city.upload("center", a_session("2026-05-09T08:00:00+08:00"), kept)
        seen = city.shown("center", kept)
        assert city.stop() == 0
        assert "are in the back end vault" in refused_start(city.folder)
        monkeypatch.setenv("KINEHUB_KEYRING", engine.address)
        monkeypatch.setenv("KINEHUB_KEYRING_SECRET_FILE", str(secret))
        city.again()
        assert (city.shown("center", kept), city.shown("center", gone)) == (seen, set())
        engine.broken = "DELETE"
        with pytest.raises(SystemExit):
            city.cli("keys", "move", "--to", "file")
        assert engine.keys
        assert city.shown("center", kept) == seen
        engine.broken = None
        assert city.cli("keys", "move", "--to", "file")["left"] == "vault"
        assert not engine.keys
        assert city.shown("center", kept) == seen
        assert city.stop() == 0
        monkeypatch.delenv("KINEHUB_KEYRING")
        city.again()
        assert (city.shown("center", kept), city.shown("center", gone)) == (seen, set())
        assert city.audit()["intact"]


def half_moved(city: Running, dsn: str, arguments: tuple[str, ...]) -> bool:
    """Start a move and SIGKILL it when some data keys are wrapped again and some are not."""
    half = "SELECT count(DISTINCT kek) > 1 FROM data_keys"
    child = subprocess.Popen([sys.executable, "-m", "hub", "--data-dir", str(city.folder), *arguments], stdout=subprocess.DEVNULL)
    while child.poll() is None:
        if rows(dsn, half)[0][0]:
            child.send_signal(signal.SIGKILL)
            break
    child.wait()
    return bool(rows(dsn, half)[0][0])
