from __future__ import annotations

import json
from decimal import Decimal

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.exchange.compartment import Compartment, held
from hub.exchange.search import bundle, leaving, run, search_url
from schemas.errors import BadRequest
from tests.exchange.exchange_corpus import BASE, HELD, RESOURCES, compartment, observation, page, quantity, query, resource

HIDEABLE = sorted(one["id"] for one in RESOURCES if one["id"] != "p1")
SEARCHES = [
    [], [("code", "8867-4")], [("code:not", "8867-4")], [("device:missing", "true")], [("_sort", "value-quantity")], [("_sort", "-date,code")],
    [("device.manufacturer", "garmin")], [("_has:Provenance:target:agent", "Organization/o1")], [("_has:DiagnosticReport:result:code", "11488-4")],
    [("_has:Observation:has-member:code", "55423-8")], [("encounter._has:Provenance:target:recorded", "2024")], [("_include", "*")],
    [("_include", "Observation:*"), ("_include:iterate", "*"), ("_revinclude:iterate", "Provenance:target")],
    [("_revinclude", "DiagnosticReport:result"), ("_count", "2")], [("combo-code-value-quantity", "8480-6$120")], [("_summary", "count")],
    [("_total", "estimate")],
]  # fmt: skip


def ids(resources):
    return [one.id for one in resources]


def walk(pairs, where):
    """Every page's matches, following positions to the end."""
    asked, position, pages = query("Observation", *pairs), None, []
    for _ in range(100):
        one = run(asked, where.of_type("Observation"), where, position)
        pages.append(one)
        position = one.position
        if position is None:
            return pages
    raise AssertionError("the pages never end")


def test_the_newest_comes_first_unless_a_sort_is_asked():
    assert ids(page("Observation").matches) == ids(sorted((one for one in HELD if one.type == "Observation"), key=lambda one: -one.at))


@pytest.mark.parametrize(
    ("sort", "first", "last"),
    [
        ("date", "absent", "bp2"), ("-date", "bp2", "absent"), ("value-quantity", "month", None), ("-value-quantity", "steps", None),
        ("value-string", "text", None), ("-value-string", "open", None), ("_id", "absent", "when"), ("-_id", "when", "absent"),
        ("status", None, None), ("device", "hr", None),
    ],
)  # fmt: skip
def test_results_are_in_the_order_of_a_sort_and_what_has_no_value_comes_last(sort, first, last):
    found = ids(page("Observation", ("_sort", sort)).matches)
    assert first in (None, found[0])
    assert last in (None, found[-1])
    assert len(found) == 11


def test_later_sort_keys_break_the_ties_of_earlier_ones():
    found = page("Observation", ("_sort", "code,-date")).matches
    keys = [(one.content["code"]["coding"][0]["code"], one.id) for one in found]
    assert [code for code, _ in keys] == sorted(code for code, _ in keys)
    assert [id for code, id in keys if code == "8867-4"] == ["hr", "sampled", "absent"]


values = st.one_of(st.none(), st.decimals(min_value=0, max_value=9, places=1).map(float))
rows = st.lists(st.tuples(values, st.sampled_from(["2024-01-01", "2024-01", "2023", "2024-01-01T10:00:00Z"]), st.integers(0, 3)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(1, 30), st.sampled_from(["", "value-quantity", "-value-quantity", "date", "-date,value-quantity", "code", "-_id"]))
def test_pages_of_any_size_show_each_match_once_and_in_the_order_of_one_page(made, size, sort):
    contents = [
        observation(f"o{n}", "8867-4", when, **({} if value is None else {"valueQuantity": quantity(value, "kg")}))
        for n, (value, when, _) in enumerate(made)
    ]
    where = Compartment([resource(content, at) for content, (_, _, at) in zip(contents, made, strict=True)])
    pairs = [("_sort", sort)] if sort else []
    whole = page("Observation", *pairs, ("_count", "1000"), within=where)
    pages = walk([*pairs, ("_count", str(size))], where)
    assert [id for one in pages for id in ids(one.matches)] == ids(whole.matches)
    assert all(len(one.matches) == size for one in pages[:-1])
    assert {one.total for one in pages} == {len(made)}


@pytest.mark.parametrize("pairs", SEARCHES)
@settings(max_examples=15, deadline=None)
@given(hidden=st.sets(st.sampled_from(HIDEABLE), max_size=6))
def test_an_answer_without_a_hidden_resource_is_the_answer_when_it_is_absent(pairs, hidden):
    absent = [one for one in HELD if one.id not in hidden]
    for kind in ("Observation",):
        hiding, lacking = compartment(*hidden), compartment(held=absent)
        asked = query(kind, *pairs)
        answers = [bundle(asked, leaving(asked, run(asked, where.of_type(kind), where)), search_url(asked)) for where in (hiding, lacking)]
        assert answers[0] == answers[1]
        assert not any(f'"fullUrl":"{BASE}/{one.type}/{one.id}"'.encode() in answers[0] for one in HELD if one.id in hidden)


def test_a_page_continues_after_its_last_match_was_withdrawn():
    pairs = [("_sort", "-date"), ("_count", "3")]
    first = page("Observation", *pairs)
    rest = compartment(first.matches[-1].id)
    after = run(query("Observation", *pairs), rest.of_type("Observation"), rest, first.position)
    whole = ids(page("Observation", ("_sort", "-date")).matches)
    assert ids(after.matches) == whole[3:6]


@pytest.mark.parametrize("position", [b"", b"[]", b'[[],"x","y"]', b'[["x"],1,"y"]', b'[[1,2],1,"y"]', b"\xff"])
def test_a_position_of_another_search_is_refused(position):
    where = compartment()
    with pytest.raises(BadRequest):
        run(query("Observation", ("_sort", "value-quantity")), where.of_type("Observation"), where, position)


def test_totals_are_exact_and_may_be_left_out():
    assert page("Observation", ("code", "8867-4"), ("_count", "1")).total == 3
    assert page("Observation", ("_total", "none")).total is None
    counted = page("Observation", ("code", "8867-4"), ("_summary", "count"), ("_include", "*"))
    assert (counted.matches, counted.included, counted.total, counted.position) == ([], [], 3, None)
    assert page("Observation", ("_count", "0"), ("_total", "none")).total == 11


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("_include", "Observation:subject")], {"p1"}),
        ([("_include", "Observation:subject:Patient")], {"p1"}),
        ([("_include", "Observation:subject:Device")], set()),
        ([("_include", "Observation:device"), ("_include", "Observation:encounter")], {"d1", "e1"}),
        ([("_include", "Observation:*")], {"p1", "d1", "e1"}),
        ([("_include", "*")], {"p1", "d1", "e1"}),
        ([("_include", "Observation:encounter"), ("_include", "Encounter:location")], {"e1"}),
        ([("_include", "Observation:encounter"), ("_include:iterate", "Encounter:location")], {"e1", "l1"}),
        ([("_include:iterate", "*")], {"p1", "d1", "e1", "l1", "o1", "o0"}),
        ([("_revinclude", "Provenance:target")], {"pv1"}),
        ([("_revinclude", "Provenance:target:Patient")], set()),
        ([("_revinclude", "DiagnosticReport:result"), ("_revinclude", "Observation:has-member")], {"dr1", "steps"}),
        ([("_revinclude", "Provenance:*")], {"pv1"}),
        ([("_include", "Observation:subject"), ("_revinclude:iterate", "Provenance:target")], {"p1", "pv1", "pv2"}),
        ([("_include", "Observation:focus")], set()),
    ],
)
def test_includes_follow_the_references_asked_for(pairs, expected):
    found = page("Observation", ("_id", "hr"), *pairs)
    assert ids(found.matches) == ["hr"]
    assert set(ids(found.included)) == expected
    assert len(found.included) == len(expected)


def test_what_matches_is_not_included_again():
    found = page("Observation", ("_id", "hr,steps"), ("_include", "Observation:has-member"), ("_include:iterate", "*"))
    assert len({(one.type, one.id) for one in found.matches + found.included}) == len(found.matches) + len(found.included)


def test_a_hidden_target_is_neither_included_nor_walked_through():
    where = compartment("d1", "e1")
    assert set(ids(page("Observation", ("_id", "hr"), ("_include:iterate", "*"), within=where).included)) == {"p1", "o1", "o0"}
    assert page("Observation", ("device.manufacturer", "garmin"), within=where).total == 0


def test_a_searchset_is_valid_fhir_and_carries_stored_bytes_untouched():
    raw = b'{"resourceType":"Observation","id":"dec","status":"final","code":{"text":"x"},"valueQuantity":{"value":72.50}}'
    where = compartment(held=[*HELD, held(raw, 99)])
    asked = query("Observation", ("_include", "Observation:subject"), ("_revinclude", "Provenance:target"), ("_count", "4"))
    found = run(asked, where.of_type("Observation"), where)
    made = bundle(asked, leaving(asked, found), search_url(asked), search_url(asked, "opaque"))
    assert raw in made
    parsed = json.loads(made)
    assert Bundle.model_validate(json.loads(made, parse_float=Decimal)).type == "searchset"
    assert parsed["total"] == 12
    assert [entry["search"]["mode"] for entry in parsed["entry"]] == ["match"] * 4 + ["include"] * len(found.included)
    assert parsed["entry"][0]["fullUrl"] == f"{BASE}/Observation/dec"
    assert [link["relation"] for link in parsed["link"]] == ["self", "next"]


def test_an_empty_searchset_is_valid_fhir():
    asked = query("Observation", ("code", "nothing"))
    made = json.loads(bundle(asked, page("Observation", ("code", "nothing")), search_url(asked)))
    assert Bundle.model_validate(made).total == 0
    assert "entry" not in made


def test_links_say_what_was_understood_and_keep_identifiers_out():
    asked = query("Observation", ("patient", "p1"), ("colour", "red"), ("value-string", "a&b=c"), ("_cursor", "old"), lenient=True)
    assert search_url(asked) == f"{BASE}/Observation?patient=p1&value-string=a%26b%3Dc"
    assert search_url(asked, "new").endswith("&_cursor=new")
    assert search_url(query("Patient", ("identifier", "s|1")), withheld={"identifier"}) == f"{BASE}/Patient"
    assert asked.cursor == "old"


def test_a_shaped_search_shapes_what_it_includes_only_under_summary():
    for name, text, is_shaped in (("_summary", "true", True), ("_elements", "code", False)):
        asked = query("Observation", ("_id", "hr"), (name, text), ("_include", "Observation:subject"))
        where = compartment()
        entries = json.loads(bundle(asked, leaving(asked, run(asked, where.of_type("Observation"), where)), ""))["entry"]
        assert "SUBSETTED" in json.dumps(entries[0])
        assert ("SUBSETTED" in json.dumps(entries[1])) is is_shaped
