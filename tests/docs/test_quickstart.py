"""The quickstart typed as it stands, against a real hub, then the Python of the how-to pages with what it made."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs import generate
from tests.process import a_hub

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_KEYS = {"party_id": "_ID", "client_id": "_CLIENT_ID", "resident_id": "RESIDENT_ID"}


def _blocks(page: str, language: str) -> list[str]:
    text = (generate.ROOT / "docs" / page).read_text(encoding="utf-8")
    return [block for found, block in _BLOCK.findall(text) if found == language]


class Reader:
    """Someone who types the lines of a page in a folder and writes down what stands for the words in capitals."""

    def __init__(self, folder: Path, data_dir: Path, url: str) -> None:
        self.folder, self.url, self.known = folder, url, {"http://localhost:8000": url}
        self._kinehub = f"{sys.executable} -m hub --json --data-dir {data_dir}"

    def types(self, line: str) -> Any:
        for name, value in sorted(self.known.items(), key=lambda pair: -len(pair[0])):
            line = line.replace(name, value)
        line = line.replace(".venv/bin/kinehub", self._kinehub)
        environment = {"PYTHONPATH": str(generate.ROOT), "PATH": "/usr/bin:/bin", "KINEHUB_BASE_URL": self.url}
        done = subprocess.run(["/bin/sh", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        return json.loads(done.stdout) if self._kinehub in line and done.stdout else done.stdout


@pytest.mark.filterwarnings("default")
def test_the_quickstart_works_as_it_is_typed_and_so_does_the_python_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install, typed, ingest = _blocks("quickstart.md", "sh")
    assert install.splitlines() == ["make install", ".venv/bin/kinehub serve"]
    with a_hub(tmp_path / "hub") as city:
        reader = Reader(tmp_path, tmp_path / "hub", city.url)
        for line in [*typed.splitlines(), *ingest.splitlines()]:
            said = reader.types(line)
            name = next((word for word in ("hospital", "centre") if f"{word}.jwk" in line), "").upper()
            if isinstance(said, dict):
                reader.known |= {(f"{name}{word}" if word[0] == "_" else word): said[key] for key, word in _KEYS.items() if key in said}
                reader.known |= {"TOKEN": said["access_token"]} if "access_token" in said else {}
        assert {"HOSPITAL_ID", "CENTRE_ID", "HOSPITAL_CLIENT_ID", "RESIDENT_ID", "TOKEN"} <= set(reader.known)

        query = {"params": {"patient": reader.known["RESIDENT_ID"]}, "headers": {"Authorization": f"Bearer {reader.known['TOKEN']}"}}
        shown = {entry["resource"]["id"] for entry in city.http.get("/fhir/Observation", **query).json()["entry"]}
        assert shown
        names = {"client_id": reader.known["HOSPITAL_CLIENT_ID"], "token": reader.known["TOKEN"], "resident_id": reader.known["RESIDENT_ID"]}
        (history,), (validate,) = _blocks("howto/read-the-history.md", "python"), _blocks("howto/use-the-standard.md", "python")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(history.replace("http://localhost:8000", city.url), names)
        assert {line.split()[0] for line in printed.getvalue().splitlines()} == shown

        (tmp_path / "may.json").write_bytes((tmp_path / "samples" / "kinehub-json.json").read_bytes())
        monkeypatch.chdir(tmp_path)
        exec(validate.replace("http://localhost:8000", city.url), {})
        assert httpx.get(f"{city.url}/healthz").status_code == 200
