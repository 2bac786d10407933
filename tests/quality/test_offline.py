"""Judging asks nobody: with every way out of the machine closed, and watched, a run does what it always does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hub.quality import worker
from tests.builders import a_session
from tests.process import a_hub

SHUT = """
import os, sys

def shut(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") or (event == "socket.connect" and not isinstance(arguments[1], (str, bytes))):
        with open(os.environ["WENT_OUT"], "a") as seen:
            seen.write(f"{event} {arguments[-1]}\\n")
        raise OSError("the network is off")
    if event == "import" and arguments[0] == "great_expectations":
        with open(os.environ["JUDGED"], "a") as seen:
            seen.write("judged")

sys.addaudithook(shut)
"""
"""A `sitecustomize` that every Python process of a command loads first; sockets of the machine's own PostgreSQL are files."""


@pytest.mark.skipif(not worker.installed(), reason="great_expectations is not installed: pip install -e '.[quality]'")
def test_a_run_works_with_the_network_off_and_never_looks_for_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHUT)
    seen, judged = tmp_path / "went-out", tmp_path / "judged"
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    shut = os.environ | {"PYTHONPATH": paths, "WENT_OUT": str(seen), "JUDGED": str(judged)}
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "中心", "fitness-center")
        rows = [a_session(f"2026-05-{day:02d}T08:00:00+08:00") for day in range(1, 25)]
        city.upload("center", {"records": rows}, city.resident("王秀英", 2))
        line = [sys.executable, "-m", "hub", "--data-dir", str(city.folder), "--json", "quality", "run"]
        ran = subprocess.run(line, capture_output=True, text=True, check=False, env=shut)
        assert ran.returncode == 0, ran.stderr
        assert '"records": 24' in ran.stdout or '"records":24' in ran.stdout
        assert judged.exists()
        assert not seen.exists(), seen.read_text()
        assert city.stop() == 0
