"""``overview``: the first page of whoever asks."""

from typing import TYPE_CHECKING, Any

from zhisuan.cli.figures import cny, cny_fen, count, du, grams, kwh, milli, percent, tflops, time_of_day
from zhisuan.cli.jobs import standing
from zhisuan.cli.money import draw_wallet
from zhisuan.cli.output import Screen, show, style_of
from zhisuan.cli.params import JsonFlag
from zhisuan.cli.session import connect
from zhisuan.cli.text import state, t
from zhisuan.cli.transfers import size_text

if TYPE_CHECKING:
    from zhisuan.sdk.types import CityOverview, OperatorOverview, Overview, ProviderOverview, TenantOverview


def overview(as_json: JsonFlag = False) -> None:
    with connect() as client:
        found = client.overview()
    show(as_json, found.as_json(), lambda screen: _draw(screen, found))


def _draw(screen: Screen, found: "Overview") -> None:
    if found.kind == "tenant":
        _draw_tenant(screen, found)
    elif found.kind == "provider":
        _draw_provider(screen, found)
    elif found.kind == "operator":
        _draw_operator(screen, found)
    else:
        _draw_city(screen, found)
    used = [(day.date, f"{du(day.quantity_udu)} 度") for day in found.daily if day.quantity_udu]
    if used:
        screen.line()
        screen.title(t("Use by day", "每日用量"))
        screen.facts(used)


def _draw_tenant(screen: Screen, found: "TenantOverview") -> None:
    draw_wallet(screen, found.wallet)
    screen.line()
    screen.facts(
        [
            (t("This month", "本月"), t(f"{du(found.month.quantity_udu)} 度, {cny(found.month.cash_ucny)} cash", f"{du(found.month.quantity_udu)} 度，现金 {cny(found.month.cash_ucny)}")),
            (t("Carbon", "碳排放"), f"{grams(found.month.carbon_ug)} {t('gCO2', '克CO2')}"),
            (t("Workloads", "工作负载"), _by_state(found.workloads)),
            (t("Served models", "已部署模型"), str(found.deployments)),
        ]
    )  # fmt: skip
    if found.recent:
        screen.line()
        screen.table(
            "!id name !state !created",
            [(w.id, w.name, standing(w), time_of_day(w.created_at)) for w in found.recent],
            [style_of(w.state) for w in found.recent],
        )


def _draw_provider(screen: Screen, found: "ProviderOverview") -> None:
    screen.facts(
        [
            (t("Sites", "站点"), t(f"{found.sites}, {found.reachable} reachable", f"{found.sites}，其中 {found.reachable} 可达")),
            (t("Devices", "设备"), t(f"{found.devices.get('accelerators', 0)} accelerators, {found.devices.get('cores', 0)} cores", f"加速卡 {found.devices.get('accelerators', 0)}，CPU {found.devices.get('cores', 0)} 核")),
            (t("In use", "使用率"), percent(found.used_ppm)),
            (t("This month", "本月"), f"{du(found.month.quantity_udu)} 度"),
            (t("Payable", "应付"), cny_fen(found.payable_fen)),
        ]
    )  # fmt: skip


def _draw_operator(screen: Screen, found: "OperatorOverview") -> None:
    sites = found.sites
    screen.facts(
        [
            (t("Sites", "站点"), t(f"{sites.get('total', 0)}, {sites.get('reachable', 0)} reachable", f"{sites.get('total', 0)}，其中 {sites.get('reachable', 0)} 可达")),
            (t("Organisations", "组织"), _by_state(found.organisations)),
            (t("Workloads", "工作负载"), _by_state(found.workloads)),
            (t("Waiting", "等待中"), str(found.waiting)),
            (t("Order to running, median", "从下单到运行（中位数）"), _seconds(found.delivery_seconds_p50)),
            (t("This month", "本月"), f"{du(found.month.quantity_udu)} 度{t(', ', '，')}{cny(found.month.value_ucny)}"),
            (t("Usage set aside", "待核实用量"), str(found.quarantined)),
            *_swept(found),
        ]
    )  # fmt: skip
    _draw_use(screen, found.utilisation)


def _swept(found: "OperatorOverview") -> "list[tuple[str, str]]":
    """Of a server that says it."""
    if found.swept is None:
        return []
    swept, size = found.swept, size_text(found.swept.size_bytes)
    said = t(f"{swept.file_count} files, {size}, in {swept.days} days", f"近 {swept.days} 天 {swept.file_count} 个文件，{size}")
    return [(t("Cleared away", "已清理"), said)]


def _draw_city(screen: Screen, found: "CityOverview") -> None:
    sites = found.sites if isinstance(found.sites, dict) else {"total": found.sites, "reachable": "–"}
    screen.facts(
        [
            (t("Sites", "站点"), t(f"{sites.get('total')}, {sites.get('reachable')} reachable", f"{sites.get('total')}，其中 {sites.get('reachable')} 可达")),
            (t("Providers", "提供方"), count(found.providers)),
            (t("Tenants", "租户"), count(found.tenants)),
            (t("Measured compute", "实测算力"), f"{tflops(found.measured_mflops_total)} TFLOPS"),
            (t("This month", "本月"), f"{du(found.month.quantity_udu)} 度"),
            (t("Energy", "能耗"), f"{kwh(found.energy_uwh)} kWh"),
            (t("Carbon", "碳排放"), f"{grams(found.carbon_ug)} {t('gCO2', '克CO2')}"),
        ]
    )  # fmt: skip
    _draw_use(screen, tuple(found.utilisation or ()))


def _draw_use(screen: Screen, rows: tuple[dict[str, Any], ...]) -> None:
    if not rows:
        return
    screen.line()
    screen.table(
        "kind >capacity >used", [(state(r["kind"]), _amount(r, "capacity"), _amount(r, "allocated")) for r in rows]
    )


def _amount(row: dict[str, Any], name: str) -> str:
    return f"{row[name]} MiB" if row["kind"] == "memory" else milli(row[name])


def _by_state(counts: dict[str, int]) -> str:
    return t(", ", "，").join(f"{state(name)} {number}" for name, number in counts.items() if number) or "0"


def _seconds(value: Any) -> str:
    return "–" if value is None else f"{value} s"
