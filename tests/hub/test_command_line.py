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
    ],
)
def test_wrong_use_is_one_line_that_says_what_is_wrong(tmp_path: Path, words: str, code: int, said: str) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    done = command(tmp_path / "hub", *words.format(broken=broken, missing=tmp_path / "missing.json").split())
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (code, "", 1), done.stderr
    assert said in done.stderr
