"""What the command line says when it is used wrongly: one line on stderr, and the exit code of whose fault it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process import command


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("frobnicate", 2, "No such command 'frobnicate'. See kinehub --help."),
        ("party add X --kind nope", 2, "Invalid value for '--kind'"),
        ("party add X --kind kiosk", 2, "See kinehub party add --help."),
        ("party add X --kind kiosk --jwks {broken}", 2, "--jwks must hold a JWK set as JSON."),
        ("token --client C --key {broken} --scope S", 2, "--key must hold a private JWK as JSON."),
        ("resident add --from {missing}", 1, "No such file or directory."),
        ("sample-files {broken}", 1, "File exists."),
        ("consent explain --resident 0190c000-0000-7000-8000-000000000001 --to x --purpose NONSENSE", 2, "no v3 PurposeOfUse code"),
        ("delivery replay 99", 1, "No dead letter has such an id."),
        ("delivery replay 99999999999999999999999", 2, "Invalid value for 'IDS...'"),
        ("resident add", 2, "A resident needs at least a name."),
        ("resident add --name X --id-number 1", 1, "The ID number"),
        ("resident add --name X --phone abc", 2, "The phone is a mobile (13812345678), a landline"),
        ("resident add --name X --phone 19900000002 --zone Mars/Olympus", 2, "The zone is an IANA time zone such as Asia/Shanghai."),
        ("resident add --from {wrong}", 2, "An area is a division code: 4 digits for a city"),
        ("user add x --role city --area zz --password-file {words}", 2, "--area: An area is a division code"),
        ("party add X --kind kiosk --area 990000 --key-out {missing}", 2, "--area: An area is a division code"),
        ("party add X --kind kiosk --purpose TREAT,NONSENSE --key-out {missing}", 2, "no v3 PurposeOfUse code"),
        ("party add X --kind kiosk --key-out {broken}", 1, "File exists."),
        ("user add x --role admin --password-file {binary}", 2, "--password-file must hold UTF-8 text."),
        ("user add x --role resident --resident 0190c000-0000-7000-8000-000000000001 --password-file {words}", 1, "There is no such resident."),
        ("consent decide --case {listed}", 2, "--case must hold"),
        ("token --client C --key {listed} --scope S", 2, "--key must hold a private JWK as JSON."),
        ("backup --keys-only .", 2, "is a directory."),
    ],
)
def test_wrong_use_is_one_line_that_says_what_is_wrong(tmp_path: Path, words: str, code: int, said: str) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    binary, listed, passphrase, wrong = tmp_path / "binary", tmp_path / "listed.json", tmp_path / "words", tmp_path / "wrong.json"
    wrong.write_text('{"name": "X", "phone": "19900000002", "area": "zz"}')
    binary.write_bytes(b"\xff\xfe\x00")
    listed.write_text("[1]")
    passphrase.write_text("a long enough phrase")
    files = {"broken": broken, "missing": tmp_path / "missing.json", "binary": binary, "listed": listed, "words": passphrase, "wrong": wrong}
    done = command(tmp_path / "hub", *words.format(**files).split())
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
    assert said in done.stderr


def test_a_private_key_that_is_there_is_never_written_over_and_none_is_left_for_a_party_that_was_refused(tmp_path: Path) -> None:
    key, other = tmp_path / "key.jwk", tmp_path / "other.jwk"
    made = command(tmp_path / "hub", "party", "add", "One", "--kind", "kiosk", "--key-out", str(key))
    assert made.returncode == 0, made.stderr
    written = key.read_bytes()
    again = command(tmp_path / "hub", "party", "add", "Two", "--kind", "kiosk", "--key-out", str(key))
    assert (again.returncode, key.read_bytes()) == (1, written)
    refused = command(tmp_path / "hub", "--database-url", "postgresql://localhost:1/none", "party", "add", "Three", "--kind", "kiosk", "--key-out", str(other))
    assert refused.returncode == 1
    assert not other.exists()
    assert "Two" not in command(tmp_path / "hub", "party", "list").stdout


def test_shells_are_spoken_of_when_a_resident_was_added_from_options(tmp_path: Path) -> None:
    done = command(tmp_path / "hub", "resident", "add", "--name", "X", "--phone", "19900000002")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Shells remember what is typed: use --from for real people.\n"
