"""What a workload file may demand of its place and time: exact numbers, every problem named, nothing kept that was not said."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zhisuan.base.errors import InvalidInput
from zhisuan.workload.demands import Demands
from zhisuan.workload.reading.file import parse_workload
from zhisuan.workload.spec import WorkloadSpec

CARDS = {"accelerators": "A100:2"}


def parsed(own: dict[str, Any], resources: dict[str, Any] | None = None, **more: Any) -> WorkloadSpec:
    return parse_workload(yaml.safe_dump({"run": "true", "resources": resources or CARDS, "zhisuan": own} | more, allow_unicode=True))


def demands(own: dict[str, Any]) -> Demands:
    return parsed(own).demands


def problems_of(own: dict[str, Any], resources: dict[str, Any] | None = None, **more: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parsed(own, resources, **more)
    assert all(any("\u4e00" <= ch <= "\u9fff" for ch in p.problem.zh) for p in caught.value.problems)
    return {p.where: p.problem.en for p in caught.value.problems}


def test_all_of_them_and_back_from_the_database() -> None:
    spec = parsed({
        "avoid_regions": "CN-XJ", "providers": ["Hub", "Lab"], "avoid_providers": ["Shop"], "green_only": "80%", "device_memory": 80,
        "latency": {"Hefei": "20ms", "芜湖": 7.5}, "price_max": 4.2, "carbon_max": "250 g/h", "carbon_per_card_max": 125,
        "start_after": "2026-12-01T22:00:00+08:00", "deadline": "2026-12-02T08:00:00+08:00", "max_duration": "4h", "when_late": "go_on",
    })  # fmt: skip
    assert spec.demands == Demands(
        ("CN-XJ",), ("Hub", "Lab"), ("Shop",), 800_000, (("Hefei", 20_000), ("芜湖", 7500)), 81920, 4_200_000, None, 250_000, 125_000,
        "2026-12-01T22:00:00+08:00", "2026-12-02T08:00:00+08:00", "go_on",
    )  # fmt: skip
    assert WorkloadSpec.from_dict(spec.as_dict()) == spec
    by = spec.demands.start_by(spec.max_seconds)
    assert by is not None and by.isoformat() == "2026-12-02T04:00:00+08:00"


def test_what_is_not_demanded_is_not_kept() -> None:
    assert demands({}).as_dict() == {}
    assert demands({"green_only": False}) == Demands()
    old = parsed({}).as_dict()
    del old["demands"]  # an order of before there were any
    assert WorkloadSpec.from_dict(old).demands == Demands()


@pytest.mark.parametrize(
    ("text", "yuan", "rate"),
    [
        ("4.20", 4_200_000, None), (4, 4_000_000, None), ("¥4.000001", 4_000_001, None), ("0.5 yuan/h", 500_000, None),
        ("3元/小时", 3_000_000, None), ("2 度", None, 2_000_000), ("0.025 du/hour", None, 25_000),
    ],
)  # fmt: skip
def test_price_ceilings_are_exact_yuan_or_degrees(text: object, yuan: int | None, rate: int | None) -> None:
    found = demands({"price_max": text})
    assert (found.price_max_ucny, found.rate_max_udu) == (yuan, rate)


@given(value=st.integers(1, 10**15 - 1))
def test_every_price_of_a_millionth_of_a_yuan_is_read_as_it_is_written(value: int) -> None:
    whole, part = divmod(value, 10**6)
    assert demands({"price_max": f"{whole}.{part:06}"}).price_max_ucny == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 0, "0.00", "4.0000001", "free", "$4", True, [4], {"yuan": 4}, "1e3", ""])
def test_prices_that_are_none_are_refused_by_name(value: object) -> None:
    assert set(problems_of({"price_max": value})) == {"zhisuan.price_max"}


def test_every_problem_is_named_at_once() -> None:
    found = problems_of({
        "avoid_regions": ["Anhui"], "region": "CN-AH", "providers": ["Hub"], "avoid_providers": ["Hub"], "green_only": "120%",
        "device_memory": -1, "latency": {"Hefei": "fast", "Wuhu": float("nan")}, "price_max": float("nan"), "carbon_max": "0",
        "carbon_per_card_max": -3, "start_after": "tomorrow", "deadline": "2026-12-02T08:00:00", "when_late": "panic",
    })  # fmt: skip
    assert set(found) == {
        f"zhisuan.{name}"
        for name in (
            "avoid_regions", "avoid_providers", "green_only", "device_memory", "latency.Hefei", "latency.Wuhu", "price_max",
            "carbon_max", "carbon_per_card_max", "start_after", "deadline", "when_late",
        )
    }  # fmt: skip


def test_demands_that_do_not_go_together_are_told() -> None:
    both = {"region": ["CN-AH"], "avoid_regions": ["CN-AH"]}
    assert "also one to run on" in problems_of(both)["zhisuan.avoid_regions"]
    plain = problems_of({"device_memory": 80, "carbon_per_card_max": 10}, {"cpus": 2})
    assert set(plain) == {"zhisuan.device_memory", "zhisuan.carbon_per_card_max"}
    night = {"start_after": "2026-12-01T22:00:00+08:00", "deadline": "2026-12-02T01:00:00+08:00"}
    assert parsed(night)
    assert "cannot be kept" in problems_of(night | {"max_duration": "4h"})["zhisuan.deadline"]
    assert "no end" in problems_of({"deadline": night["deadline"]}, service={"port": 8080, "readiness_probe": "/"})["zhisuan.deadline"]
    assert "needs zhisuan.deadline" in problems_of({"when_late": "go_on"})["zhisuan.when_late"]


def test_an_alternative_with_cards_is_enough_for_device_memory() -> None:
    spec = parsed({"device_memory": "40+"}, {"any_of": [{"accelerators": "A100"}, {"cpus": 8}]})
    assert spec.demands.device_memory_mib == 40960
