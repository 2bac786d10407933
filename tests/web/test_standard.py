"""The standard over HTTP: for programs as documents, for people as a page. No one signs in."""

from __future__ import annotations

import json
import re

from jsonschema import Draft202012Validator
from markupsafe import escape

from adapters import kinehub_json
from adapters.kinehub_schema import FILE, schema, schemas
from hub.web.standard import PACKAGE
from mappings.sources import KINDS_TAKEN
from schemas import published
from schemas.instruments import INSTRUMENTS
from schemas.measures import MEASURES
from schemas.quality import bands_of
from schemas.records import STANDARD_VERSION
from schemas.standard import STANDARD
from schemas.terminology import code_systems
from tests.web.town import Place


def test_the_whole_standard_and_its_releases_are_served(place: Place) -> None:
    with place.browse() as stranger:
        assert stranger.get("/standard.json").json() == published.current()
        for version in (*published.versions(), STANDARD_VERSION):
            assert stranger.get(f"/standard/releases/{version}.json").json()["version"] == version
        assert stranger.get("/standard/releases/9.9.9.json").status_code == 404


def test_every_schema_is_served_and_stands_alone(place: Place) -> None:
    with place.browse() as stranger:
        for name in schemas():
            answer = stranger.get(f"/standard/schema/{name}.json")
            assert answer.headers["content-type"] == "application/schema+json"
            assert answer.json() == schema(name)
        assert stranger.get("/standard/schema/dance.json").status_code == 404


def test_openapi_holds_the_shape_of_our_own_json(place: Place) -> None:
    with place.browse() as stranger:
        described = stranger.get("/openapi.json").json()
    reference = described["paths"]["/intake/{format_}"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    shapes = described["components"]["schemas"]
    assert reference.rpartition("/")[2] in shapes
    for target in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', str(described).replace("'", '"')):
        assert target in shapes
    whole = {"$schema": schema(FILE)["$schema"], "$ref": reference, "components": described["components"]}
    assert Draft202012Validator(whole).is_valid(json.loads(kinehub_json.sample))


def test_templates_are_downloaded_in_the_language_of_the_reader(place: Place) -> None:
    with place.browse() as stranger:
        for kind in KINDS_TAKEN:
            assert stranger.get(f"/standard/templates/{kind}.xlsx").content.startswith(b"PK")
        zh, en, old = (stranger.get(f"/standard/templates/session.csv{asked}") for asked in ("?lang=zh-CN", "?lang=en", "?lang=en&version=0.1.0"))
        assert zh.text.startswith("\ufeff模板 session ")
        assert "Mean heart rate (/min)" in en.text
        assert "attachment" in en.headers["content-disposition"]
        assert old.text.startswith("\ufefftemplate session 0.1.0,")
        for missing in ("dance.xlsx", "session.pdf", "session.csv?version=9.9.9"):
            assert stranger.get(f"/standard/templates/{missing}").status_code == 404


def test_the_centre_finds_the_templates_and_is_told_which_cell_is_wrong(place: Place) -> None:
    with place.browse("staff") as staff:
        page = staff.show("/center")
        assert '/standard/templates/session.xlsx"' in page
        wrong = staff.get("/standard/templates/session.csv").text.replace("距离(米)", "路程")
        answer = staff.upload(wrong.encode(), "sessions.csv")
    assert answer.status_code == 422
    assert "Q1 不是模板的列名" in answer.text


def test_the_page_leads_from_a_kind_to_its_fields_units_places_and_sources(place: Place) -> None:
    with place.browse() as stranger:
        home = stranger.show("/standard")
        for kind in STANDARD.values():
            assert f'href="/standard/kinds/{kind.code}"' in home
            page = stranger.show(f"/standard/kinds/{kind.code}")
            for field in kind.fields.values():
                assert f'id="{field.name}"' in page
        page = re.sub(r"\s+", " ", stranger.show("/standard/kinds/session"))
        row = page.partition('id="hr_avg"')[2].partition("</tr>")[0]
    for said in ("平均心率", "/min", "可能 20–260", "Observation.valueQuantity", "LOINC 55425-3", "标准模板", "TCX"):
        assert said in row, said


def test_a_search_without_a_script_finds_names_codes_and_places(place: Place) -> None:
    with place.browse() as stranger:
        wanted_of = (
            ("心率", "#hr_avg"), ("8867-4", "/standard/measures#heart-rate"), ("heart rate mean", "#hr_avg"), ("泳池", "#pool_length_m"),
            ("encounter.period", "/standard/kinds/check-in#start"), ("yoga", "/standard/codes/sport#yoga"), ("implausible", "quality-flag"),
        )  # fmt: skip
        for asked, wanted in wanted_of:
            assert wanted in stranger.show(f"/standard?q={asked}"), asked
        assert "没有找到" in stranger.show("/standard?q=qzx")
        assert "<script>" not in stranger.show("/standard?q=<script>alert(1)</script>")


def test_what_could_not_be_verified_says_so(place: Place) -> None:
    with place.browse() as stranger:
        page = stranger.show("/standard/measures")
    for measure in MEASURES.values():
        row = page.partition(f'id="{measure.key}"')[2].partition("</tr>")[0]
        before, _, bands = row.partition("<details>")
        bands, _, after = bands.partition("</details>")
        assert ("待核对" in before + after) == ("(verify)" in measure.source or measure.source.startswith("third-party use")), measure.key
        assert bands.count("待核对") == sum("verify" in band.source for band in bands_of(measure.key)), measure.key


def test_each_instrument_says_what_of_it_was_not_compared_with_its_source(place: Place) -> None:
    with place.browse() as stranger:
        page, home = stranger.show("/standard/codes/instrument"), stranger.show("/standard")
        sure = stranger.show("/standard/codes/sex")
    for name, known in INSTRUMENTS.items():
        row = page.partition(f'id="{name}"')[2].partition("</tr>")[0]
        assert f"题号 1–{len(known.questions)}" in row
        assert escape(known.source) in row
        assert "待核对" in row
    assert f"{len(INSTRUMENTS)} 个编码，其中 {sum(known.is_unsure for known in INSTRUMENTS.values())} 个待核对" in home
    assert "待核对" not in sure


def test_every_list_of_codes_has_a_page_with_its_canonical_url(place: Place) -> None:
    with place.browse() as stranger:
        home = stranger.show("/standard?lang=en")
        for system in code_systems():
            if system["id"] != "measure":
                assert f'href="/standard/codes/{system["id"]}"' in home
                page = stranger.show(f"/standard/codes/{system['id']}")
                assert system["url"] in page
                assert page.count("<tr id=") == system["count"]
        assert stranger.get("/standard/codes/dance").status_code == stranger.get("/standard/kinds/dance").status_code == 404


def test_the_fhir_package_is_offered_where_it_was_built(place: Place) -> None:
    with place.browse() as stranger:
        listed = "/standard/package.tgz" in stranger.show("/standard")
        assert (stranger.get("/standard/package.tgz").status_code == 200) == listed == PACKAGE.is_file()


def test_every_link_of_the_page_leads_somewhere(place: Place) -> None:
    with place.browse() as stranger:
        links = set(re.findall(r'href="(/[^"#?]*)', stranger.show("/standard") + stranger.show("/standard/kinds/session"))) - {"/static/app.css"}
        assert len(links) > 30
        for link in links:
            assert stranger.get(link).status_code == 200, link
