"""HL7 v2 results: what is taken, what is skipped and said, what is refused."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import hl7v2
from adapters.base import AdapterError, Context, Decoded, Limits, Rejected, TooLarge
from adapters.segments import MAX_SEGMENTS
from schemas.records import BodyComposition, VitalSign
from tests.shared import shared

HEAD = "MSH|^~\\&|KIOSK|HALL|||20260501083000+0800||ORU^R01|M1|P|2.6||||||UNICODE UTF-8"
PERSON = "PID|||S1^^^HALL^PI"


def read(content: bytes | str, **limits: int) -> list[Decoded | Rejected]:
    raw = content.encode() if isinstance(content, str) else content
    return list(hl7v2.decode(io.BytesIO(raw), Context(limits=Limits(**limits))))


def message(*observations: str, head: str = HEAD, person: str = PERSON) -> str:
    return "\r".join([head, person, "OBR|1|||X|||20260501082500+0800", *observations])


def vitals(content: bytes | str) -> list[VitalSign]:
    return [found.record for found in read(content) if isinstance(found, Decoded) and isinstance(found.record, VitalSign)]


def of(records: list[VitalSign], measure: str) -> list[VitalSign]:
    return [record for record in records if record.measure == measure]


def flags(records: list[VitalSign]) -> list[tuple[str, str]]:
    return [(flag.code, flag.field) for record in records for flag in record.flags]


def test_monitor_with_mdc_codes_gives_one_pressure_panel_and_skips_what_has_no_value() -> None:
    records = vitals(shared("hl7_oru_comen_monitor_mdc.hl7"))
    (panel,) = of(records, "blood-pressure")
    assert [(c.measure, c.value, c.unit) for c in panel.components] == [
        ("systolic", 120, "mm[Hg]"), ("diastolic", 80, "mm[Hg]"), ("mean-pressure", 90, "mm[Hg]"),
    ]  # fmt: skip
    assert panel.posture == "sitting"
    assert (panel.start.at, panel.start.offset_minutes) == (datetime(2025, 6, 9, 17, 51, 27, tzinfo=UTC), 480)
    values = {r.measure: r.quantity.value for r in records if r.quantity}
    assert values == {"oxygen-saturation": 97, "heart-rate": 59, "respiratory-rate": 20, "body-temperature": 37.0}
    assert [code for code, _ in flags(records)].count("value-missing") == 2
    assert [code for code, _ in flags(records)].count("not-a-measure") == 2


def test_two_probes_at_one_second_are_both_kept_and_said() -> None:
    probes = of(vitals(shared("hl7_oru_comen_monitor_mdc.hl7")), "oxygen-saturation")
    assert [probe.ordinal for probe in probes] == [0, 1]
    assert all(probe.flags[0].code == "duplicate-probe" for probe in probes)


def test_structured_numeric_without_coding_system_or_time_of_its_own_is_read() -> None:
    (glucose,) = vitals(shared("hl7_oru_glucose_sn.hl7"))
    assert glucose.quantity
    assert (glucose.quantity.value, glucose.quantity.unit, glucose.quantity.coding) == (182, "mg/dL", "http://loinc.org|1554-5")
    assert (glucose.start.at, glucose.start.offset_minutes) == (datetime(2002, 2, 15, 1, 30, tzinfo=UTC), 360)
    assert (glucose.interpretation, glucose.reference_low, glucose.reference_high) == ("H", 70, 105)
    assert {code for code, _ in flags([glucose])} == {"unit-normalized", "code-system-assumed"}


def test_containers_name_the_device_and_are_no_observations() -> None:
    records = vitals(shared("hl7_oru_ihe_pcd_nibp.hl7"))
    assert [record.measure for record in records] == ["blood-pressure", "heart-rate"]
    assert records[0].device
    assert (records[0].device.identifier, records[0].device.mdc_type) == ("080019FFFE3ED02D172.16.172.135", "69965")
    assert flags(records) == []


def test_message_time_is_used_and_said_and_no_zone_is_invented() -> None:
    records = vitals(shared("hl7_oru_loinc_vitals_no_time.hl7"))
    assert {(r.start.at, r.start.local) for r in records} == {(None, datetime(2026, 7, 26, 12, 15))}  # noqa: DTZ001
    assert all("time-from-header" in {flag.code for flag in record.flags} for record in records)
    (temperature,) = of(records, "body-temperature")
    assert temperature.quantity
    assert (temperature.quantity.value, temperature.quantity.original) == (37.0, "98.6 [degF]")


BY_NURSE = "1042^王^护士^^^^^^HALL"
AT_CENTRE = "殷行社区卫生服务中心^L^^^^^^^^YH-01"
DIRECTOR = "D7^李^主任"


def an_obx(number: int, code: str, value: str, unit: str, *who: str) -> str:
    """An observation whose fields 16 and on are `who`: 16 the observer, 23 the organization, 24 its address, 25 its director."""
    return f"OBX|{number}|NM|{code}^^LN||{value}|{unit}|||||F|||20260501082500+0800||" + "|".join(who)


@pytest.mark.parametrize(
    ("who", "performer", "organization"),
    [
        ((BY_NURSE, *[""] * 6, AT_CENTRE, "长海路 1 号^^上海", DIRECTOR), "王护士", "殷行社区卫生服务中心"),
        (("", *[""] * 6, AT_CENTRE, "", DIRECTOR), "李主任", "殷行社区卫生服务中心"),
        (("1042", *[""] * 6, "^^^^^^^^^YH-01"), "1042", "YH-01"),
        (("1043^Miller^Ann^B~1042^王^护士",), "王护士", None),
        (("1043^Miller^Ann^B",), "Ann B Miller", None),
        (("^^^^^^^^HALL", *[""] * 6, '""'), None, None),
        (("110101199003070097",), None, None),
        ((), None, None),
    ],
)
def test_who_measured_is_read_by_name_or_number(who: tuple[str, ...], performer: str | None, organization: str | None) -> None:
    pressure = [an_obx(1, "8480-6", "128", "mm[Hg]", *who), an_obx(2, "8462-4", "79", "mm[Hg]")]
    panel, pulse = vitals(message(*pressure, an_obx(3, "8867-4", "66", "/min", *who)))
    assert {(one.performer, one.performing_organization) for one in (panel, pulse)} == {(performer, organization)}


@pytest.mark.parametrize(("who", "field"), [(("7^" + "长" * 300,), 16), (("7^\x07",), 16), (("", *[""] * 6, "x" * 300), 23), ([""] * 9 + ["7^\x07"], 25)])
def test_what_cannot_be_a_name_is_said_with_its_field(who: tuple[str, ...], field: int) -> None:
    found = read(message(an_obx(1, "8867-4", "66", "/min", *who), an_obx(2, "59408-5", "97", "%")))
    assert [(one.field, one.code) for one in found if isinstance(one, Rejected)] == [(f"OBX[1]-{field}", "not-a-name")]
    assert len(found) == 2


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r\n"])
def test_segments_may_end_in_any_line_end(end: str) -> None:
    content = hl7v2.sample.decode().replace("\r", end)
    assert len(read(content)) == 3


def test_sample_gives_a_panel_a_pulse_and_one_weighing() -> None:
    records = [found.record for found in read(hl7v2.sample) if isinstance(found, Decoded)]
    assert [type(record) for record in records] == [VitalSign, VitalSign, BodyComposition]
    assert [q.measure for q in records[2].quantities] == ["body-weight", "body-fat"]  # type: ignore[union-attr]


def test_weight_alone_stays_a_vital() -> None:
    (weight,) = vitals(message("OBX|1|NM|188736^MDC_MASS_BODY_ACTUAL^MDC||61.4|263875^MDC_DIM_KILO_G^MDC|||||F"))
    assert weight.measure == "body-weight"


@pytest.mark.parametrize("wrapped", ["\x0b{}\x1c\r", "\x0b{}\r\x1c\r", "\x0b{}\x1c", "{}\x1c\r"])
def test_block_marks_of_the_wire_are_taken_off(wrapped: str) -> None:
    assert len(read(wrapped.replace("{}", hl7v2.sample.decode()))) == 3


def test_several_messages_in_a_batch_are_numbered_and_carry_their_own_bytes() -> None:
    one = message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F")
    found = read(f"FHS|^~\\&|X\rBHS|^~\\&|X\r{one}\r{one.replace('71', '72')}\rBTS|2\rFTS|1\r")
    assert [(item.row, item.record.quantity.value) for item in found if isinstance(item, Decoded)] == [(1, 71), (2, 72)]  # type: ignore[union-attr]
    assert all(item.original and item.original.startswith(b"MSH") and b"BTS" not in item.original for item in found)


def test_a_bad_message_of_a_batch_leaves_its_neighbours() -> None:
    good = message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F")
    found = read(f"{good}\r{good.replace('ORU^R01', 'ADT^A01')}\r{good}")
    assert [type(item) for item in found] == [Decoded, Rejected, Decoded]
    assert isinstance(found[1], Rejected)
    assert (found[1].row, found[1].code) == (2, "message-type")


def test_other_message_types_are_refused_by_name() -> None:
    with pytest.raises(AdapterError, match=r"ADT\^A01"):
        read(message("OBX|1|NM|8867-4||71|/min", head=HEAD.replace("ORU^R01", "ADT^A01")))


@pytest.mark.parametrize(
    ("observation", "value", "unit", "flag"),
    [
        ("OBX|1|NM|57664^MDC_MASS_BODY_ACTUAL^MDC||61|1731^MDC_DIM_KILO_G^MDC|||||F", 61, "kg", "code-system-assumed"),
        ("OBX|1|NM|19384^MDC_PULS_OXIM_SAT_O2^MDC||97|%|||||F", 97, "%", "code-system-assumed"),
        ("OBX|1|NM|8480-6^SBP^LN||16|kPa|||||F", 120.00992, "mm[Hg]", "unit-converted"),
        ("OBX|1|NM|8302-2^H^LN||1.72|m|||||F", 172, "cm", "unit-converted"),
        ("OBX|1|ST|8867-4^HR^LN||72|BPM|||||F", 72, "/min", "unit-normalized"),
        ("OBX|1|NM|8310-5^T^LN||36.6||||||F", 36.6, "Cel", "unit-assumed"),
        ("OBX|1|NM|99-9^HR^L^8867-4^HR^LN||72|/min|||||F", 72, "/min", ""),
    ],
)
def test_sloppy_codes_and_units_are_understood_and_said(observation: str, value: float, unit: str, flag: str) -> None:
    (record,) = vitals(message(observation))
    quantity = record.quantity or record.components[0]
    assert (quantity.value, quantity.unit) == (value, unit)
    assert {code for code, _ in flags([record])} == ({flag} if flag else set())


@pytest.mark.parametrize("bad", ["abc", "1e5", "nan", "120/80", "<5", "--3", "9" * 400])
def test_a_value_that_is_no_number_is_rejected_without_quoting_it(bad: str) -> None:
    found = read(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", f"OBX|2|NM|9279-1^RR^LN||{bad}|/min|||||F"))
    assert isinstance(found[1], Rejected)
    assert (found[1].code, found[1].cell) == ("not-a-number", "OBX[2]-5")
    assert bad not in found[1].message + found[1].advice


def test_a_bound_is_not_a_measured_value() -> None:
    found = read(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", "OBX|2|SN|1554-5^G^LN||<^20|mg/dL|||||F"))
    assert isinstance(found[1], Rejected)
    assert found[1].code == "comparator"


def test_a_weight_without_unit_is_not_guessed() -> None:
    with pytest.raises(AdapterError, match="unit"):
        read(message("OBX|1|NM|29463-7^W^LN||70||||||F"))


@pytest.mark.parametrize("observation", ["|0|", "|8388607|", '|""|'])
def test_sentinels_for_no_value_are_not_stored(observation: str) -> None:
    records = vitals(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", f"OBX|2|NM|59408-5^S^LN|{observation}%|||||F"))
    assert [record.measure for record in records] == ["heart-rate"]
    assert flags(records) == [("value-missing", "OBX[2]-5")]


@pytest.mark.parametrize("status", ["X", "W", "D"])
def test_invalid_and_withdrawn_results_are_skipped(status: str) -> None:
    records = vitals(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", f"OBX|2|NM|59408-5^S^LN||97|%|||||{status}"))
    assert [record.measure for record in records] == ["heart-rate"]


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [("70_105", 70, 105), ("70-105", 70, 105), ("70 - 105", 70, 105), ("<105", None, 105), (">=70", 70, None), ("odd", None, None)],
)
def test_reference_ranges_are_read_as_sources_write_them(written: str, low: float | None, high: float | None) -> None:
    (record,) = vitals(message(f"OBX|1|NM|8867-4^HR^LN||71|/min|{written}||||F"))
    assert (record.reference_low, record.reference_high) == (low, high)


def test_two_readings_of_pressure_at_one_moment_are_two_panels() -> None:
    rows = [
        f"OBX|{n}|NM|{code}||{value}|mmHg|||||F"
        for n, (code, value) in enumerate([("8480-6^^LN", 120), ("8462-4^^LN", 80), ("8480-6^^LN", 118), ("8462-4^^LN", 79)])
    ]
    panels = vitals(message(*rows))
    assert [[c.value for c in panel.components] for panel in panels] == [[120, 80], [118, 79]]
    assert [panel.ordinal for panel in panels] == [0, 1]


def test_who_is_read_with_identifiers_told_apart() -> None:
    person = "PID|||K7^^^HALL^PI~990000195001010013^^^GA^NI~C9^^^GA^HC||样本^人^^^^^L^I||19500101|F|||||13000000000"
    (found,) = read(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", person=person))
    assert found.who
    assert (found.who.source_id, found.who.id_number, found.who.health_card) == ("K7", "990000195001010013", "C9")
    assert (found.who.name, found.who.gender, found.who.phone, str(found.who.birth_date)) == ("样本人", "female", "13000000000", "1950-01-01")


def test_chinese_text_in_gb18030_is_read_announced_or_not() -> None:
    for charset in ("GB 18030-2000", ""):
        head = HEAD.replace("UNICODE UTF-8", charset)
        person = "PID|||S1||样^本"
        (found,) = read(message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", head=head, person=person).encode("gb18030"))
        assert found.who
        assert found.who.name == "样本"


def test_other_delimiters_and_escapes_are_honoured() -> None:
    content = (
        message("OBX|1|NM|8867-4^HR^LN||71|/min|||||F", person="PID|||A\\F\\1^^^H^PI")
        .replace("|", "#")
        .replace("^", "!")
        .replace("MSH#!", "MSH#!", 1)
    )
    (found,) = read(content)
    assert found.who
    assert found.who.source_id == "A#1"


@pytest.mark.parametrize(
    "content",
    [b"", b"   ", b"MSH", b"MSH|", b"hello", b"MSH|^~\\&", b"MSH||||", b"MSHAAAA", b"\x0bMSH|^~\\&|A", b"\x0b" + hl7v2.sample,
     b"\x0b\x0bMSH|^~\\&\x1c\r",
     hl7v2.sample[:200], hl7v2.sample + b"\x0b", b"PK\x03\x04", b"MSH|^~\\&|" + b"\\F" * 5000, b"\xff\xfe" * 300],
)  # fmt: skip
def test_broken_input_is_an_adapter_error(content: bytes) -> None:
    with pytest.raises(AdapterError):
        read(content)


def test_limits_are_kept() -> None:
    with pytest.raises(TooLarge):
        read(b"MSH|" + b" " * 200, bytes=100)
    with pytest.raises(TooLarge):
        read(message(*["OBX|1|NM|8867-4^HR^LN||71|/min|||||F"] * 30), rows=20)
    with pytest.raises(TooLarge):
        read(message(*["NTE|1"] * (MAX_SEGMENTS + 1)))


def test_many_readings_of_one_measure_are_each_kept() -> None:
    assert len(read(message(*["OBX|1|NM|8867-4^HR^LN||71|/min|||||F"] * 9_000))) == 9_000


def measures(content: bytes) -> set[str] | None:
    """What a file's records measure; None where it is refused. Any other exception fails the test."""
    try:
        found = [row.record for row in read(content) if isinstance(row, Decoded)]
    except AdapterError:
        return None
    singles = {record.measure for record in found if isinstance(record, VitalSign)}
    return singles | {part.measure for record in found if isinstance(record, BodyComposition) for part in record.quantities}


@given(st.binary(max_size=300))
def test_random_bytes_measure_nothing_of_their_own(noise: bytes) -> None:
    assert not measures(noise)
    assert not measures(b"MSH|^~\\&|" + noise)
    whole = measures(hl7v2.sample) or set()
    assert (measures(hl7v2.sample[:300] + noise) or set()) <= whole
    assert (measures(hl7v2.sample[:200] + noise + hl7v2.sample[200:]) or set()) <= whole


@given(st.integers(0, len(hl7v2.sample)))
def test_a_cut_file_is_refused_or_measures_a_part_of_the_whole(at: int) -> None:
    part, whole = measures(hl7v2.sample[:at]), measures(hl7v2.sample)
    assert whole == {"blood-pressure", "heart-rate", "body-weight", "body-fat"}
    assert part is None or part <= whole
    assert part is None or at > hl7v2.sample.index(b"|128|")


@pytest.mark.parametrize(("code", "flagged"), [("8867-5^^LN", False), ("1^x^99Z^8867-5^^LN", False), ("24331-1^^LN", True), ("²-1^^LN", True), ("H^^LN", True)])
def test_a_loinc_number_that_fails_its_check_digit_is_refused_and_one_of_no_measure_is_flagged(code: str, flagged: bool) -> None:
    found = read(message(f"OBX|1|NM|{code}||66|/min|||||F", an_obx(2, "59408-5", "97", "%")))
    assert [(one.field, one.message) for one in found if isinstance(one, Rejected)] == (
        [] if flagged else [("OBX[1]-3", "The LOINC number fails its check digit.")]
    )
    assert ("not-a-measure" in {flag.code for one in found if isinstance(one, Decoded) for flag in one.record.flags}) == flagged
