"""Why work waits or is where it is, and the sites of a quote, as tables."""

from typing import TYPE_CHECKING

from zhisuan.cli.figures import NONE, cny, milli, milliseconds, moment, percent, yuan
from zhisuan.cli.output import Screen
from zhisuan.cli.text import say, t

if TYPE_CHECKING:
    from collections.abc import Callable

    from zhisuan.sdk.types import QuotedSite, RunnerUp, Why

MARKS = {"cheapest": "最便宜", "greenest": "碳排最低", "nearest": "时延最短"}


def draw_sites(screen: Screen, sites: "tuple[QuotedSite, ...]", counted: int) -> None:
    """The sites that can take it now, with what an hour comes to there."""
    if not sites:
        return
    near = any(site.round_trip_us is not None for site in sites)
    screen.table(
        f"rank site region >hour >carbon_hour >green{' >round_trip' if near else ''} marks",
        [
            (
                str(site.rank),
                site.site_name,
                site.region,
                yuan(site.hour_ucny),
                milli(site.carbon_g_per_hour_milli),
                percent(site.green_ppm),
                *([milliseconds(site.round_trip_us)] if near else []),
                t(", ", "、").join(t(mark, MARKS.get(mark, mark)) for mark in site.marks) or NONE,
            )
            for site in sites
        ],
    )
    if counted > len(sites):
        screen.line(t(f"{counted} sites can take it now; {len(sites)} are shown.", f"当前 {counted} 个站点可承接，显示其中 {len(sites)} 个。"))


def draw_waiting(screen: Screen, found: "Why") -> None:
    """Constraint after constraint, how many nodes are left; the one that leaves none is marked."""
    if found.steps:
        several = any(step.alternative for step in found.steps)
        screen.table(
            f"{'alternative ' if several else ''}constraint >taken_out >nodes_left reason",
            [
                (
                    *([str(step.alternative) if step.alternative else t("all", "全部")] if several else []),
                    f"{step.constraint}{' ←' if step == found.binding else ''}",
                    str(step.taken_out),
                    str(step.left),
                    say(step.text),
                )
                for step in found.steps
            ],
        )
    if found.binding is not None:
        screen.line(t(f"What binds: {say(found.binding.text)}", f"起决定作用的条件：{say(found.binding.text)}"), "yellow")
    if found.expected_start is not None:
        told = moment(found.expected_start)
        screen.line(
            t(f"Expected to start by {told}, unless waiting work is faster.", f"预计最迟 {told} 开始（若无其他等待中的作业占先）。")
        )
    elif found.state == "pending" and found.binding is not None:
        screen.line(t("When it starts is not known: what is in its way has no end on record.", "开始时间未知：占用资源的作业没有确定的结束时间。"))
    if found.deadline is not None:
        screen.line(t(f"Deadline: {moment(found.deadline)}", f"截止时间：{moment(found.deadline)}"))


def draw_runners_up(screen: Screen, found: "tuple[RunnerUp, ...]") -> None:
    """Places that were not taken, and what they come to more than the one that was."""
    if not found:
        return
    near = any(one.round_trip_us_more is not None for one in found)
    screen.line(t("Runners-up, and what they come to more:", "次优位置及其差额："))
    screen.table(
        f"rank site node >hour_more >carbon_more{' >round_trip_more' if near else ''}",
        [
            (
                str(one.rank),
                one.site_name,
                ", ".join(one.node_hostnames),
                _signed(cny, one.hour_ucny_more),
                _signed(milli, one.carbon_g_per_hour_milli_more),
                *([_signed(milliseconds, one.round_trip_us_more)] if near else []),
            )
            for one in found
        ],
    )


def _signed(shown: "Callable[[int], str]", value: int | None) -> str:
    if value is None:
        return NONE
    return ("+" if value > 0 else "-" if value < 0 else "") + shown(abs(value))
