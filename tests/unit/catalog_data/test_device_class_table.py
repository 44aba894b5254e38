"""The shipped device classes: exact rates, unambiguous names, and a loader that lists every fault."""

import csv
import io
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.catalog.device_classes import (
    COLUMNS,
    AmbiguousDevice,
    DeviceClass,
    DeviceClassTableError,
    load_device_classes,
    match_class,
    parse_device_classes,
    rate_from_nominal_udu,
)

CLASSES = load_device_classes()
BY_ID = {c.class_id: c for c in CLASSES}
MATCHABLE = [c for c in CLASSES if c.match_patterns]
TEXT = files("zhisuan.catalog").joinpath("data/device_classes.csv").read_text(encoding="utf-8")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "accelerators.csv"


def example(device_class: DeviceClass) -> tuple[str, int]:
    assert device_class.example_name is not None and device_class.example_memory_mib is not None
    return device_class.example_name, device_class.example_memory_mib


@pytest.mark.parametrize(
    ("class_id", "rate_udu"),
    [
        ("cpu-core", 25_000),
        ("nvidia-a100-sxm4-80g", 1_000_000),
        ("nvidia-a100-pcie-80g", 1_000_000),
        ("nvidia-h800-sxm5-80g", 2_560_000),
        ("nvidia-l40s-48g", 650_000),
        ("nvidia-h100-sxm5-80g", 3_160_000),
        ("metax-c500", 890_000),
        ("cambricon-mlu370-x8-chip", 150_000),
        ("iluvatar-bi-v150-chip", 300_000),
        ("ascend-910b4-32g", None),
        ("hygon-k100-ai", None),
    ],
)
def test_published_rates(class_id: str, rate_udu: int | None) -> None:
    assert BY_ID[class_id].published_rate_udu_per_hour == rate_udu
    assert BY_ID[class_id].is_rated == (rate_udu is not None)


def test_every_rate_follows_the_rule_that_it_names() -> None:
    """One 度 is 312 TFLOPS for an hour: a rate is the peak's share of that, or stands in the reference cloud's list."""
    for c in CLASSES:
        if c.rate_basis == "nominal/312":
            assert c.nominal_fp16_tflops_milli is not None and c.confidence in ("high", "medium"), c.class_id
            hundredths = c.nominal_fp16_tflops_milli * 100 // 312_000
            assert c.published_rate_udu_per_hour == hundredths * 10_000, c.class_id
        elif c.rate_basis == "reference-cloud":
            assert "Alaya NeW" in c.source and c.is_rated, c.class_id
        else:
            assert c.published_rate_udu_per_hour is None, c.class_id


@given(st.integers(1, 10_000_000))
def test_a_rate_from_the_nominal_peak_is_cut_down_to_hundredths(nominal_milli: int) -> None:
    exact = Decimal(nominal_milli) / 1000 / 312
    assert rate_from_nominal_udu(nominal_milli) == int(exact.quantize(Decimal("0.01"), ROUND_DOWN) * 1_000_000)


def test_low_confidence_figures_make_no_rate() -> None:
    low = [c for c in CLASSES if c.confidence == "low"]
    assert low
    assert all(c.rate_basis == "unrated" and not c.is_rated for c in low)


def test_every_class_has_names_in_both_languages_and_a_source() -> None:
    for c in CLASSES:
        assert c.name.en and c.name.zh and c.source, c.class_id


@pytest.mark.parametrize("device_class", MATCHABLE, ids=lambda c: c.class_id)
def test_every_example_is_its_own_class_and_no_other(device_class: DeviceClass) -> None:
    name, memory = example(device_class)
    assert [c.class_id for c in CLASSES if c.matches(name, memory)] == [device_class.class_id]
    assert match_class(name, memory, CLASSES) == device_class.class_id


@pytest.mark.parametrize(
    ("name", "memory_mib", "class_id"),
    [
        ("A100-SXM-80GB", 81251, "nvidia-a100-sxm4-80g"),
        ("Tesla T4", 15109, "nvidia-t4"),
        ("NVIDIA T4", 16384, "nvidia-t4"),
        ("Ascend 910B2C", 65536, "ascend-910b-64g"),
        ("Ascend 910B1", 65536, "ascend-910b-64g"),
        ("nvidia  l40s ", 46068, "nvidia-l40s-48g"),
        ("Enflame_S60-48GB", 49120, "enflame-s60"),
        ("S60", 42976, "enflame-s60"),
        ("MLU590-M9", 98304, "cambricon-mlu590"),
        ("K500SM_AI", 65520, "hygon-k100-ai"),
        ("Ascend 910A", 32768, "ascend-910a-32g"),
        ("Ascend 910PremiumA", 32768, "ascend-910a-32g"),
    ],
)
def test_other_spellings_seen_in_the_field(name: str, memory_mib: int, class_id: str) -> None:
    assert match_class(name, memory_mib, CLASSES) == class_id


@pytest.mark.parametrize(
    ("name", "memory_mib"),
    [
        ("NVIDIA A100-SXM4-40GB", 40960),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 40192),
        ("NVIDIA GeForce RTX 4090 D", 24564),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376),
        ("NVIDIA GeForce RTX 4090", 49140),
        ("NVIDIA H200 NVL", 143771),
        ("NVIDIA H20-3e", 143771),
        ("NVIDIA H20", 143771),
        ("NVIDIA H800 PCIe", 81559),
        ("NVIDIA L40", 46068),
        ("Ascend 310P3", 21527),
        ("Ascend 910", 32768),
        ("Ascend 910B4", 65536),
        ("AMD Instinct MI355X", 294896),
        ("R200", 32768),
        ("MLU370-X8", 49152),
        ("Ascend 910B", 32768),
        ("BW1000", 65520),
        ("Iluvatar BI-V150S", 32768),
        ("", 81920),
    ],
)
def test_near_names_are_unknown_devices(name: str, memory_mib: int) -> None:
    assert match_class(name, memory_mib, CLASSES) is None


@given(st.sampled_from(MATCHABLE), st.integers(0, 400_000))
def test_no_example_name_is_ambiguous_at_any_memory(device_class: DeviceClass, memory_mib: int) -> None:
    name, _ = example(device_class)
    assert match_class(name, memory_mib, CLASSES) in (None, device_class.class_id)


words = st.sampled_from(sorted({word for c in MATCHABLE for word in example(c)[0].replace("-", " ").split()}))


@given(st.lists(words, min_size=1, max_size=4), st.sampled_from([" ", "-"]), st.sampled_from(MATCHABLE))
def test_no_mixture_of_the_names_words_is_ambiguous(parts: list[str], joint: str, at: DeviceClass) -> None:
    match_class(joint.join(parts), example(at)[1], CLASSES)


@given(st.sampled_from(MATCHABLE), st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6))
def test_an_unknown_suffix_makes_an_unknown_device(device_class: DeviceClass, suffix: str) -> None:
    name, memory = example(device_class)
    found = match_class(f"{name} {suffix}", memory, CLASSES)
    assert found is None or suffix.lower() == "oam"


@given(st.sampled_from(MATCHABLE), st.booleans())
def test_case_and_blanks_do_not_count(device_class: DeviceClass, upper: bool) -> None:
    name, memory = example(device_class)
    written = "  " + (name.upper() if upper else name.lower()).replace(" ", "   ") + "\n"
    assert match_class(written, memory, CLASSES) == device_class.class_id


def test_the_memory_a_tool_reports_lies_within_reach_of_the_nominal_size() -> None:
    for c in MATCHABLE:
        assert c.match_memory_mib is not None and c.memory_mib is not None
        assert c.match_memory_mib[0] <= c.memory_mib <= c.match_memory_mib[1], c.class_id


@pytest.mark.skipif(not SHARED.exists(), reason="the shared reference data is not beside this checkout")
def test_nominal_and_power_figures_agree_with_the_shared_reference() -> None:
    with SHARED.open(encoding="utf-8") as file:
        reference = {(row["vendor"], row["model"]): row for row in csv.DictReader(file)}
    compared = 0
    for c in CLASSES:
        # Two classes are one chip of a reference card and stand at half of its figures.
        parts = 2 if "one of two" in c.model else 1
        for (vendor, model), row in reference.items():
            named = model.removesuffix(" (64GB class)")
            if c.vendor.split()[0] != vendor.split()[0] or named.lower() != c.model.split(" (one of two")[0].lower():
                continue
            compared += 1
            peak = Decimal(row["fp16_bf16_dense_tflops"] or 0) * 1000 / parts
            if c.nominal_fp16_tflops_milli is not None:
                assert c.nominal_fp16_tflops_milli == peak, c.class_id
            elif row["confidence"] != "low":
                assert peak == 0, c.class_id
            if c.power_watts_rated is not None:
                assert c.power_watts_rated == Decimal(row["tdp_w"]) / parts, c.class_id
            assert c.memory_mib == Decimal(row["memory_gb"]) * 1024 / parts, c.class_id
    assert compared >= 25


Edit = Callable[[list[dict[str, str]]], None]


def edited(edit: Edit) -> str:
    rows = list(csv.DictReader(io.StringIO(TEXT)))
    edit(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def setting(row: int, **values: str) -> Edit:
    return lambda rows: rows[row].update(values)


def test_the_table_survives_a_round_trip() -> None:
    assert parse_device_classes(edited(lambda rows: None)) == CLASSES


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (setting(3, class_id="A 100"), "line 5, class_id"),
        (setting(3, class_id="nvidia-t4"), "line 5, class_id"),
        (setting(3, kind="gpu"), "line 5, kind"),
        (setting(3, name_zh=""), "line 5, name_zh"),
        (setting(3, memory_mib="80 GB"), "line 5, memory_mib"),
        (setting(3, memory_mib="-1"), "line 5, memory_mib"),
        (setting(3, match_patterns="(a100"), "line 5, match_patterns"),
        (setting(3, match_patterns=""), "line 5, match_patterns"),
        (setting(3, match_memory_mib_min="90000"), "line 5, match_memory_mib_min"),
        (setting(3, example_name="NVIDIA H100 80GB HBM3"), "line 5, example_name"),
        (setting(3, published_rate_udu_per_hour=""), "line 5, published_rate_udu_per_hour"),
        (setting(3, rate_basis="unrated"), "line 5, published_rate_udu_per_hour"),
        (setting(1, published_rate_udu_per_hour="400001"), "line 3, published_rate_udu_per_hour"),
        (setting(1, nominal_fp16_tflops_milli=""), "line 3, rate_basis"),
        (setting(1, confidence="low"), "line 3, rate_basis"),
        (setting(1, confidence="sure"), "line 3, confidence"),
        (setting(3, embodied_source=""), "line 5, embodied_source"),
        (setting(0, memory_mib="1"), "line 2, memory_mib"),
        (setting(0, match_patterns="cpu"), "line 2, match_patterns"),
    ],
)
def test_a_fault_is_named_by_line_and_column(edit: Edit, where: str) -> None:
    with pytest.raises(DeviceClassTableError) as caught:
        parse_device_classes(edited(edit))
    assert any(problem.startswith(where + ":") for problem in caught.value.problems), caught.value.problems


def test_all_faults_are_listed_at_once() -> None:
    def edit(rows: list[dict[str, str]]) -> None:
        rows[1].update(kind="gpu", memory_mib="x")
        rows[5].update(confidence="sure")

    with pytest.raises(DeviceClassTableError) as caught:
        parse_device_classes(edited(edit))
    assert len(caught.value.problems) == 3
    assert "line 7" in str(caught.value)


def test_two_classes_that_claim_one_device_are_refused() -> None:
    def edit(rows: list[dict[str, str]]) -> None:
        rows.append({**rows[3], "class_id": "second-a100"})

    with pytest.raises(DeviceClassTableError) as caught:
        parse_device_classes(edited(edit))
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("text", ["", "class_id,kind\n", TEXT.replace("vendor", "maker", 1)])
def test_other_columns_are_refused(text: str) -> None:
    with pytest.raises(DeviceClassTableError, match="columns"):
        parse_device_classes(text)


def test_a_short_line_is_named() -> None:
    with pytest.raises(DeviceClassTableError, match="line 2: 2 values instead of"):
        parse_device_classes(",".join(COLUMNS) + "\na,b\n")


def test_an_operators_own_class_that_overlaps_is_told_with_both_names() -> None:
    twin = next(c for c in CLASSES if c.class_id == "nvidia-t4")
    with pytest.raises(AmbiguousDevice) as caught:
        match_class("Tesla T4", 15360, (twin, twin))
    assert caught.value.class_ids == ("nvidia-t4", "nvidia-t4")
