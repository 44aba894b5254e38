"""Figures are exact and read as people read them."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.text import Text
from zhisuan.console import format as f
from zhisuan.console.factwords import fact_text, shown_facts
from zhisuan.console.speech import Speech, known

ANY = st.integers(-(10**18), 10**18)


def number(text: str) -> Decimal:
    return Decimal(re.sub(r"[¥,]|\s.*", "", text))


@given(ANY)
def test_amounts_say_exactly_what_they_are(value: int) -> None:
    assert number(f.yuan(value)) == Decimal(value).scaleb(-6)
    assert number(f.fen(value)) == Decimal(value).scaleb(-2)
    assert number(f.price(value)) == Decimal(value).scaleb(-8)
    assert number(f.du(value)) == Decimal(value).scaleb(-6)
    assert Decimal(f.du_chart(value)) == Decimal(value).scaleb(-6)
    assert number(f.energy_exact(value)) == Decimal(value).scaleb(-9)
    assert number(f.carbon_exact(value)) == Decimal(value).scaleb(-6)


@given(ANY)
def test_yuan_never_has_a_number_of_places_that_reads_as_thousands(value: int) -> None:
    assert len(f.yuan(value).partition(".")[2]) in (2, 6)


@given(ANY, st.integers(0, 9), st.integers(0, 9))
def test_rounding_is_within_half_a_step(value: int, places: int, keep: int) -> None:
    shown = number(f.rounded(value, places, keep))
    assert abs(shown - Decimal(value).scaleb(-places)) <= Decimal(5).scaleb(-keep - 1)


@given(ANY)
def test_groups_of_three(value: int) -> None:
    whole = f.count(value).lstrip("-").split(",")
    assert "".join(whole) == str(abs(value))
    assert all(len(g) == 3 for g in whole[1:]) and 1 <= len(whole[0]) <= 3


@given(ANY, st.integers(-5, 10**18))
def test_a_share_is_a_share(part: int, whole: int) -> None:
    assert 0 <= f.share_ppm(part, whole) <= 1_000_000


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (f.yuan(1_234_500_000), "¥1,234.50"), (f.yuan(64_998_000), "¥64.998000"), (f.yuan(125), "¥0.000125"), (f.yuan(-2_345), "-¥0.002345"),
        (f.fen(7041), "¥70.41"), (f.price(1_800_000_000), "¥18.00"), (f.du(1_000_000), "1"), (f.percent(437_500), "43.8%"),
        (f.percent(1_000_000, 0), "100%"), (f.memory(512), "512 MiB"), (f.memory(46_068), "45 GiB"), (f.memory(1536), "1.5 GiB"),
        (f.bytes_text(612), "612 B"), (f.bytes_text(3_412_992), "3.3 MiB"), (f.bytes_text(1024**4), "1 TiB"), (f.amount("cpu", 2500), "2.5"), (f.amount("memory", 2048), "2 GiB"),
        (f.tflops(211_402_118), "211.402 TFLOPS"), (f.tflops(47_312), "47.312 GFLOPS"), (f.energy(999_999_999), "1,000 Wh"), (f.energy(1_000_000_000), "1 kWh"),
        (f.carbon(1_500_000), "1.5 gCO₂"), (f.carbon(2 * 10**9), "2 kgCO₂"), (f.carbon(6_962_206_166_398), "6.962 tCO₂"),
        (f.duration(59, "zh"), "59 秒"), (f.duration(3723, "zh"), "1 小时 02 分"), (f.duration(3723, "en"), "1h 02m"), (f.duration(90_061, "en"), "1d 1h"),
        (f.moment("2026-08-02T06:03:22Z"), "2026-08-02 14:03:22"), (f.moment("2026-07-31T16:00:00.123+00:00"), "2026-08-01 00:00:00"),
        (f.moment_zoned("2026-08-02T06:03:22Z"), "2026-08-02 14:03:22 (UTC+8)"), (f.moment(None), "–"), (f.short_moment("2026-08-02T06:03:22Z"), "08-02 14:03"),
        (f.short_id("job_01k1m9x2v7q4r8t0yzabcdef"), "job_…abcdef"), (f.short_id("job_short"), "job_short"), (f.short_id("a" * 64), "a" * 12 + "…"),
    ],
)  # fmt: skip
def test_as_people_read_it(shown: str, wanted: str) -> None:
    assert shown == wanted


def test_speech() -> None:
    say = Speech("zh")
    assert say(Text("{n} rows", "{n} 行"), n=3) == "3 行"
    assert say(Text("{not a field}", "{原样}")) == "{原样}", "without values a text is said as it stands"
    assert say.words({"en": "a", "zh": "甲"}) == "甲"
    assert say.words({"en": "a"}) == "a" and say.words(None) == ""
    assert say.named({"x": Text("X", "叉")}, "x") == "叉" and say.named({}, "new_state") == "new_state"
    assert (known("en"), known("zh"), known("fr"), known(None)) == ("en", "zh", "zh", "zh")


def test_facts_of_a_trace() -> None:
    say = Speech("en")
    assert shown_facts({"energy_uwh": 1, "energy_kwh": "0.1", "carbon_ug": 2, "x": None}) == {"energy_kwh": "0.1", "carbon_ug": 2}
    for name, value, wanted in (
        ("rate_udu_per_hour", 650_000, "0.65 度 an hour"), ("quantity_udu", 10_000_000, "10 度"), ("amount_fen", 41, "¥0.41"),
        ("platform_fee_ppm", 100_000, "10%"), ("pue_milli", 1280, "1.28"), ("power_milliwatts", 350_000, "350 W"), ("state", "closed", "Closed"),
        ("seconds", 2517, "2,517 (41m 57s)"), ("at", "2026-08-02T06:03:22+00:00", "2026-08-02 14:03:22 (UTC+8)"), ("exit_code", 0, "0"),
        ("shape", {"items": [{"kind": "cpu", "class_id": None, "amount": 500, "free": None}]}, "cpu × 0.5"), ("factor", {"new": "form"}, "new form"),
        ("shape", [{"kind": "cpu", "class_id": "cpu-core", "amount": 2000}], "cpu-core × 2"), ("rejected", {"reachable": 2}, "not heard from 2"),
        ("chosen", {"site_id": "s", "site_name": "A", "node_hostnames": ["n"]}, "A / n"), ("anything", {"a": 1, "b": None}, "a 1"),
    ):  # fmt: skip
        assert fact_text(name, value, say) == wanted


def test_an_order_of_many_tasks_says_how_many() -> None:
    from zhisuan.console.wording import resources_text

    asked = {"cpus_milli": 2500, "memory_mib": 2048, "accelerators": [["A100", 1]], "tasks": None}
    assert resources_text(asked, Speech("en")) == "2.5 cores · 2 GiB · A100 × 1"
    assert resources_text(asked | {"tasks": {"count": 1000}}, Speech("zh")) == "2.5 核 · 2 GiB · A100 × 1 · 1,000 个任务"
