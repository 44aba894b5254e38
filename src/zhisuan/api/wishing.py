"""What a specification asks of placement, and names and times in it that cannot be meant."""

from dataclasses import replace
from datetime import datetime

from zhisuan.base.errors import FieldProblem, InvalidInput
from zhisuan.base.text import Text
from zhisuan.placement.alternatives import unknown_providers, unknown_sites
from zhisuan.placement.rules import class_ids_named
from zhisuan.placement.site_wishes import Wish
from zhisuan.placement.types import Need, Snapshot
from zhisuan.workload.spec import WorkloadSpec


def need_of(spec: WorkloadSpec) -> Need:
    asked = spec.demands
    return Need(
        spec.cpus_milli, spec.memory_mib, spec.accelerators, spec.num_nodes, spec.workspace == "jupyter",
        device_memory_mib=asked.device_memory_mib, price_max_ucny=asked.price_max_ucny, rate_max_udu=asked.rate_max_udu,
        carbon_max_mg=asked.carbon_max_mg, carbon_card_max_mg=asked.carbon_card_max_mg,
    )  # fmt: skip


def wish_of(spec: WorkloadSpec) -> Wish:
    """The alternatives of the file, and its wishes about sites."""
    need, where, asked = need_of(spec), spec.where, spec.demands
    needs = tuple(
        replace(need, cpus_milli=a.cpus_milli, memory_mib=a.memory_mib, accelerators=a.accelerators)
        for a in spec.alternatives
    )
    return Wish(
        needs or (need,), spec.ordered, where.sites, where.standby, where.avoid_sites, where.regions, asked.avoid_regions,
        asked.providers, asked.avoid_providers, asked.green_ppm_min, asked.latency_us,
    )  # fmt: skip


def require_known(snapshot: Snapshot, wish: Wish) -> None:
    """A name that nothing has is a slip of the pen, and would wait for ever. Raises ``InvalidInput``."""
    classes = {c.class_id: c for c in snapshot.classes}
    names = dict.fromkeys(name for need in wish.needs for name, _ in need.accelerators)
    unknown = [name for name in names if not class_ids_named(name, classes)]
    if unknown:
        raise InvalidInput(
            Text(f"There is no device class called {unknown[0]}.", f"没有名为 {unknown[0]} 的设备型号。"),
            Text(
                "`zhisuan catalog` lists the classes; write the id or the model name.",
                "zhisuan catalog 列出全部型号；请填写编号或型号名。",
            ),
            code="unknown_device_class",
            problems=[
                FieldProblem("resources.accelerators", Text(f"{n} is not a device class", f"{n} 不是设备型号"))
                for n in unknown
            ],
        )
    _refuse_unknown(
        [
            FieldProblem(f"zhisuan.{field}", Text(f"there is no site {name}", f"没有站点 {name}"))
            for field, named in (("sites", wish.sites), ("standby", wish.standby), ("avoid_sites", wish.avoid_sites))
            for name in unknown_sites(snapshot, named)
        ],
        Text("site", "站点"),
        Text("Write a site's id, or its name as a quote shows it.", "请填写站点编号，或报价中显示的站点名称。"),
        "unknown_site",
    )
    _refuse_unknown(
        [
            FieldProblem(f"zhisuan.{field}", Text(f"there is no provider {name}", f"没有提供方 {name}"))
            for field, named in (("providers", wish.providers), ("avoid_providers", wish.avoid_providers))
            for name in unknown_providers(snapshot, named)
        ],
        Text("provider", "提供方"),
        Text("Write a provider's name as a quote shows it.", "请填写报价中显示的提供方名称。"),
        "unknown_provider",
    )
    reached = {place for site in snapshot.sites for place, _ in site.round_trips_us}
    _refuse_unknown(
        [
            FieldProblem(f"zhisuan.latency.{name}", Text(f"no round trip to {name} is on record", f"没有到 {name} 的往返时延记录"))
            for name, _ in wish.latency_us
            if name not in reached
        ],
        Text("demand place", "需求地点"),
        Text(
            "`zhisuan place list` lists the places; the operator adds them and their round trips.",
            "zhisuan place list 列出全部地点；地点及其时延由运营方登记。",
        ),
        "unknown_place",
    )


def _refuse_unknown(problems: list[FieldProblem], what: Text, remedy: Text, code: str) -> None:
    if problems:
        raise InvalidInput(
            Text(f"The file names a {what.en} that there is not.", f"文件中指定了不存在的{what.zh}。"),
            remedy,
            code=code,
            problems=problems,
        )


def check_times(now: datetime, spec: WorkloadSpec) -> None:
    """Raises ``InvalidInput`` for a time to stop that has passed, and a deadline that cannot be kept."""
    at, by = spec.survival.stop_time, spec.demands.start_by(spec.max_seconds)
    if at is not None and at <= now:
        raise InvalidInput(
            Text(f"The work was to stop at {at.isoformat()}, which has passed.", f"停止时间 {at.isoformat()} 已过。"),
            Text("Give a time that lies ahead, or leave stop_at out.", "请填写将来的时间，或去掉 stop_at。"),
            code="stop_at_passed",
            problems=[FieldProblem("zhisuan.stop_at", Text("must lie ahead", "须晚于当前时间"))],
        )
    if by is not None and by <= now:
        raise InvalidInput(
            Text(f"The work cannot end by its deadline {spec.demands.deadline}.", f"作业无法在截止时间 {spec.demands.deadline} 前结束。"),
            Text("Give a later deadline, or a shorter zhisuan.max_duration.", "请放宽截止时间，或缩短 zhisuan.max_duration。"),
            code="deadline_passed",
            problems=[FieldProblem("zhisuan.deadline", Text("must lie ahead, with zhisuan.max_duration", "须晚于当前时间加上 zhisuan.max_duration"))],
        )


def waits_until(start: datetime) -> Text:
    return Text(
        f"It waits until {start.isoformat()}, as zhisuan.start_after asks.", f"按 zhisuan.start_after 的要求等待至 {start.isoformat()}。"
    )
