"""Claimed against found against measured, and the price that follows."""

import pytest

from zhisuan.base.errors import InvalidInput
from zhisuan.base.text import Text
from zhisuan.supply.evidence import (
    Claimed,
    ClassEvidence,
    ClassSpeed,
    FoundDevice,
    measured_factor_ppm,
    open_flags,
    weigh,
)

CARD = ClassSpeed("card", "accelerator", Text("Card", "卡"), 312_000, 1_000_000)
CORE = ClassSpeed("cpu-core", "cpu", Text("Core", "核"), None, 25_000)
UNRATED = ClassSpeed("new", "accelerator", Text("New", "新卡"), 100_000, None)
CLASSES = {c.class_id: c for c in (CARD, CORE, UNRATED)}


def card(tflops: int | None, health: str = "ok", precision: str = "bf16") -> FoundDevice:
    speeds = {} if tflops is None else {precision: tflops * 1_000_000}
    return FoundDevice("card", "accelerator", "Card 80G", health, speeds)


def weighed(*devices: FoundDevice, claims: tuple[Claimed, ...] = ()) -> dict[str | None, ClassEvidence]:
    return {e.class_id: e for e in weigh(claims, devices, CLASSES, share_min_ppm=800_000)}


def codes(row: ClassEvidence) -> list[str]:
    return [f.code for f in row.flags]


def test_what_is_as_claimed_has_no_flag() -> None:
    row = weighed(card(300), card(290), claims=(Claimed("card", 2, None),))["card"]
    assert (row.claimed_count, row.found_count, row.measured_count) == (2, 2, 2)
    assert (row.nominal_tflops_milli, row.published_tflops_milli, row.measured_tflops_milli) == (
        312_000,
        312_000,
        290_000,
    )
    assert row.measured_min_tflops_milli == 290_000
    assert codes(row) == []


@pytest.mark.parametrize(("tflops", "flagged"), [(249, True), (250, False), (312, False), (400, False)])
def test_below_four_fifths_of_the_claim_is_flagged(tflops: int, flagged: bool) -> None:
    """80 % of the data sheet's 312 is 249.6."""
    assert codes(weighed(card(tflops))["card"]) == (["shortfall"] if flagged else [])


def test_the_providers_own_claim_is_the_measure_where_there_is_one() -> None:
    claim = (Claimed("card", 1, 400_000),)
    row = weighed(card(300), claims=claim)["card"]
    assert row.measured_share_ppm == 750_000
    assert codes(row) == ["shortfall"]


def test_devices_that_are_claimed_and_not_there_are_missing() -> None:
    rows = weighed(card(300), claims=(Claimed("card", 8, None), Claimed("new", 1, None)))
    assert codes(rows["card"]) == ["missing"]
    assert "8 claimed, 1 found" in rows["card"].flags[0].text.en
    assert rows["new"].found_count == 0
    assert "missing" in codes(rows["new"])
    assert [f["class_id"] for f in open_flags(rows.values())] == ["card", "new"]


def test_more_than_claimed_broken_unmeasured_and_unrated_are_said() -> None:
    devices = (card(300), card(300, health="failed"), card(None), card(300, precision="fp32"))
    row = weighed(*devices, claims=(Claimed("card", 1, None),))["card"]
    assert codes(row) == ["unclaimed", "unhealthy", "not_measured"]
    other = FoundDevice("new", "accelerator", "New", "ok", {"fp16": 100_000_000})
    assert codes(weighed(other)["new"]) == ["unrated"]


def test_a_device_without_a_class_is_shown_and_not_sold() -> None:
    row = weighed(FoundDevice(None, "accelerator", "Mystery 9000", "ok", {}))[None]
    assert (row.name.en, codes(row)) == ("Mystery 9000", ["unknown_class"])


def test_a_core_is_compared_with_nothing() -> None:
    row = weighed(FoundDevice("cpu-core", "cpu", "Xeon", "ok", {"bf16": 5_000}), claims=(Claimed("card", 1, None),))
    assert codes(row["cpu-core"]) == []
    assert row["cpu-core"].claimed_count is None
    with pytest.raises(InvalidInput):
        measured_factor_ppm(row["cpu-core"])


@pytest.mark.parametrize(("tflops", "factor"), [(156, 500_000), (312, 1_000_000), (500, 1_000_000), (1, 3_205)])
def test_the_price_follows_the_measurement_and_never_rises_above_the_published(tflops: int, factor: int) -> None:
    assert measured_factor_ppm(weighed(card(tflops))["card"]) == factor


def test_nothing_measured_sets_no_price() -> None:
    with pytest.raises(InvalidInput) as caught:
        measured_factor_ppm(weighed(card(None))["card"])
    assert caught.value.code == "nothing_measured"
