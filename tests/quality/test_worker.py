"""The worker is a process of its own: nothing else ever imports Great Expectations, and reports are for their own party alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hub.quality import worker
from tests.builders import a_session
from tests.process import a_hub
from tests.web.town import Place, place, town_url

__all__ = ["place", "town_url"]

needs_great_expectations = pytest.mark.skipif(not worker.installed(), reason="great_expectations is not installed: pip install -e '.[quality]'")


@pytest.mark.parametrize("part", ["hub.app", "hub.cli", "hub.serve", "hub.delivery.worker", "hub.demo.__main__", "hub.quality.worker"])
def test_no_other_process_imports_great_expectations(part: str) -> None:
    asks = [sys.executable, "-c", f"import sys, {part}; print(sorted({{'great_expectations', 'pandas', 'scipy'}} & set(sys.modules)))"]
    assert subprocess.run(asks, capture_output=True, text=True, check=True).stdout.strip() == "[]"


@needs_great_expectations
def test_a_running_hub_is_judged_by_a_command(tmp_path: Path) -> None:
    with a_hub(tmp_path / "hub") as city:
        city.add_party("center", "中心", "fitness-center")
        resident = city.resident("王秀英", 2)
        rows = [a_session(f"2026-05-{day:02d}T08:00:00+08:00", hr_max=90 if day == 3 else 150) for day in range(1, 25)]
        receipt = city.upload("center", {"records": rows}, resident)
        (run,) = city.cli("quality", "run")["runs"]
        assert (run["records"], run["flagged"]) == (24, 0)  # what the hot path flagged already is not flagged twice
        assert city.cli("quality", "run") == {"runs": []}
        (again,) = city.cli("quality", "run", "--receipt", receipt["receipt_id"])["runs"]
        assert again["score"] == run["score"] < 100
        (source,) = city.cli("quality", "show", "--party", city.parties["center"]["party_id"])["sources"]
        assert [one["id"] for one in source["runs"]] == [again["id"], run["id"]]
        assert [(one["rule"], one["failed"], one["of"]) for one in source["runs"][0]["failed"]] == [("mean-under-peak-heart-rate", 1, 24)]
        assert source["runs"][0]["engine"].startswith("great_expectations 1.")
        assert city.audit()["intact"]
        assert city.stop() == 0


@needs_great_expectations
def test_a_report_is_linked_from_the_receipt_and_shown_to_its_own_party_in_both_languages(place: Place) -> None:
    place.judge()
    with place.browse("staff") as staff, place.browse("doctor") as doctor, place.browse("admin") as admin:
        home = staff.show("/center")
        assert "最近一次得分" in home
        path = home.partition('href="/center/receipts/')[2].partition('"')[0]
        receipt = staff.show(f"/center/receipts/{path}")
        report = receipt.partition('href="/center/quality/')[2].partition('"')[0]
        page, english = staff.show(f"/center/quality/{report}?lang=zh-CN"), staff.show(f"/center/quality/{report}?lang=en")
        assert "平均心率不高于最高心率" in page or "说明了运动项目" in page
        assert "The sport is stated" in english
        assert "great_expectations 1." in page
        assert "王秀英" not in page
        assert "http://" not in page.replace(place.url, "")
        assert doctor.get(f"/center/quality/{report}").status_code in (403, 404)
        assert "还在认识平时" in admin.show("/admin")
    other = place.rows("SELECT id FROM quality_runs WHERE party <> $1 LIMIT 1", place.town.center.number)[0]["id"]
    with place.browse("staff") as staff:
        assert staff.get(f"/center/quality/{other}").status_code == 404
