"""What if: settings that change a city or its policy, and what then differs. The work stays the same.

| setting | |
| --- | --- |
| `capacity:SITE=1.5` | so many times the nodes of each kind, rounded to whole ones, at least one; `*`: of all sites |
| `without=SITE` | the site is not there |
| `hours:PROFILE=0.8` | a tariff or an intensity times so much |
| `prices=FILE` | another price book |
| `outage:SITE=FROM+HOURS` | the site cannot be reached from an hour on, and what ran there is lost |
| `policy=NAME` | another order of waiting work |
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.simulation.city.policies import POLICIES, Policy
from zhisuan.simulation.city.reading import read_prices
from zhisuan.simulation.city.types import City, CitySite, NodeGroup, Outage
from zhisuan.workload.yaml_file import BadYaml, load

MILLION = 10**6
_TIMES = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")
_OUTAGE = re.compile(r"([0-9]{1,6})\+([1-9][0-9]{0,5})")
_KINDS = "capacity:SITE=1.5, without=SITE, hours:PROFILE=0.8, prices=FILE, outage:SITE=FROM+HOURS, policy=NAME"


def read_variants(path: Path) -> dict[str, tuple[str, ...]]:
    """A YAML file: by name of a variant its settings. Raises InvalidInput."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(str(path), f"cannot be read: {error}", f"无法读取：{error}") from error
    try:
        found = load(text)
    except BadYaml as error:
        raise _refused(str(path), error.problems[0].problem.en, error.problems[0].problem.zh) from error
    lists = isinstance(found, dict) and found and all(isinstance(v, list) and all(isinstance(s, str) for s in v) for v in found.values())
    if not lists:
        raise _refused(str(path), "must name variants, each with a list of settings", "须为“方案名: 设置列表”")
    return {str(name): tuple(settings) for name, settings in found.items()}


def with_settings(city: City, policy: Policy, settings: Sequence[str]) -> tuple[City, Policy]:
    """Raises InvalidInput for a setting that is none, or that names what is not there."""
    for setting in settings:
        city, policy = _with(city, policy, setting)
    if not city.sites:
        raise _refused(", ".join(settings), "leaves no site", "没有剩下任何站点")
    return city, policy


def _with(city: City, policy: Policy, setting: str) -> tuple[City, Policy]:
    left, equals, value = (part.strip() for part in setting.partition("="))
    kind, _, name = left.partition(":")
    if equals and kind == "policy" and not name:
        if value not in POLICIES:
            raise _refused(setting, f"there is no policy {value!r}; there are {', '.join(POLICIES)}", f"没有策略 {value!r}，可选 {'、'.join(POLICIES)}")
        return city, POLICIES[value]
    if equals and kind == "prices" and not name:
        book, text = read_prices(Path(value))
        return replace(city, book=book, price_text=text), policy
    if equals and kind == "without" and not name:
        _known(city, value, setting)
        return _without(city, value), policy
    if equals and kind == "capacity" and name:
        _known(city, name, setting)
        times = _times(setting, value)
        sites = tuple(_larger(s, times) if name in ("*", s.name) else s for s in city.sites)
        if sites == city.sites:
            raise _refused(setting, "changes nothing: nodes are whole, and there are too few", "没有变化：节点须为整数，而数量太少")
        return replace(city, sites=sites), policy
    if equals and kind == "hours" and name:
        return _with_hours(city, name, _times(setting, value), setting), policy
    if equals and kind == "outage" and name:
        _known(city, name, setting)
        found = _OUTAGE.fullmatch(value)
        if found is not None:
            return replace(city, outages=(*city.outages, Outage(name, int(found[1]), int(found[2])))), policy
    raise _refused(setting, f"is no setting; there are {_KINDS}", f"不是可用的设置；可选 {_KINDS}")


def _without(city: City, name: str) -> City:
    """Organisations whose home it was keep it as a place without devices."""
    return replace(city, sites=tuple(s for s in city.sites if s.name != name), outages=tuple(o for o in city.outages if o.site != name))


def _larger(site: CitySite, times: int) -> CitySite:
    groups = tuple(_group(group, times) for group in site.groups)
    return replace(site, groups=groups)


def _group(group: NodeGroup, times: int) -> NodeGroup:
    return replace(group, count=max(1, (group.count * times + MILLION // 2) // MILLION))


def _with_hours(city: City, name: str, times: int, setting: str) -> City:
    if not any(name in (s.tariff, s.carbon) for s in city.sites):
        raise _refused(setting, f"no site has a profile {name!r}", f"没有站点使用 {name!r}")

    def scaled(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(v * times // MILLION for v in values)

    return replace(city, sites=tuple(
        replace(
            s, tariff_ucny_per_kwh=scaled(s.tariff_ucny_per_kwh) if s.tariff == name else s.tariff_ucny_per_kwh,
            grid_g_per_mwh=scaled(s.grid_g_per_mwh) if s.carbon == name else s.grid_g_per_mwh,
        )
        for s in city.sites
    ))  # fmt: skip


def _times(setting: str, value: str) -> int:
    if not _TIMES.fullmatch(value) or not value.strip("0."):
        raise _refused(setting, f"{value!r} is no number above zero such as 1.5", f"{value!r} 不是大于零的数（如 1.5）")
    whole, _, part = value.partition(".")
    return int(whole) * MILLION + int(part.ljust(6, "0") or "0")


def _known(city: City, name: str, setting: str) -> None:
    if name != "*" and name not in {s.name for s in city.sites}:
        raise _refused(setting, f"there is no site {name!r}", f"没有站点 {name!r}")


def _refused(where: str, en: str, zh: str) -> InvalidInput:
    return InvalidInput(
        Text("A setting of the what-if cannot be used.", "假设分析的设置无法使用。"), Text("Correct it.", "请改正。"),
        code="invalid_what_if", problems=[FieldProblem(where, Text(en, zh))],
    )  # fmt: skip


def differences(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, int | None]]:
    """Main figures of both, and the second less the first."""
    found = {}
    for name, value in main_figures(base).items():
        new = main_figures(other)[name]
        found[name] = {"base": value, "variant": new, "difference": None if value is None or new is None else new - value}
    return found


def main_figures(result: Mapping[str, Any]) -> dict[str, int | None]:
    wait, totals = result["wait_seconds"], result["totals"]
    return {
        "jobs_done": result["jobs"]["done"], "wait_mean_s": wait["mean"], "wait_p50_s": wait["p50"], "wait_p95_s": wait["p95"],
        "cost_ucny": totals["cost_ucny"], "power_ucny": totals["power_ucny"], "energy_uwh": totals["energy_uwh"], "carbon_ug": totals["carbon_ug"],
        "card_seconds": totals["card_seconds"], "preempted": result["preempted"], "lost": result["lost"], "seconds": result["seconds"],
        "jain_ppm_mean": result["fairness"]["jain_ppm_mean"],
    }  # fmt: skip
