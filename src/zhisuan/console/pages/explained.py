"""Why work waits, constraint after constraint; the runners-up; the sites of a quote."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import moment, percent, yuan
from zhisuan.console.pages.site_links import milliseconds
from zhisuan.console.parts import Column, chip, div, el, table
from zhisuan.console.reader import Reader
from zhisuan.console.text_explained import Explained
from zhisuan.console.text_work import Work

Found = Mapping[str, Any]


def waiting_parts(reader: Reader, why: Found) -> None:
    """The steps with the one that binds, and when it is expected to start."""
    say = reader.say
    if why["steps"]:
        columns = (
            Column(say(Explained.CONSTRAINT), wide=True), Column(say(Explained.TAKEN_OUT), number=True), Column(say(Explained.LEFT), number=True),
        )  # fmt: skip
        table(say(Explained.STEPS), columns, [_step(reader, step, why["binding"]) for step in why["steps"]])
    if why["expected_start"] is not None:
        el("p", say(Explained.STARTS, at=moment(why["expected_start"])), "hint")
    elif why["binding"] is not None:
        el("p", say(Explained.STARTS_UNKNOWN), "hint")
    if why["deadline"] is not None:
        el("p", say(Explained.DEADLINE, at=moment(why["deadline"])), "hint")


def _step(reader: Reader, step: Found, binding: Found | None) -> list[Any]:
    say = reader.say

    def constraint() -> None:
        with div("cell-stack"):
            el("span", say.words(step["text"]))
            if step["alternative"]:
                el("span", say(Explained.ALTERNATIVE, number=step["alternative"]), "hint")
            if step == binding:
                chip(say(Explained.BINDS), "wait")

    return [constraint, str(step["taken_out"]), str(step["left"])]


def runners_up_table(reader: Reader, found: Sequence[Found]) -> None:
    """Places that were not taken, each with what it comes to more than the one that was."""
    if not found:
        return
    say = reader.say
    near = any(one["round_trip_us_more"] is not None for one in found)
    columns = (
        Column(say(Work.RANK), number=True), Column(say(Work.SITE), wide=True), Column(say(Explained.HOUR_MORE), number=True),
        Column(say(Explained.CARBON_MORE), number=True), *([Column(say(Explained.ROUND_TRIP_MORE), number=True)] if near else []),
    )  # fmt: skip
    el("h3", say(Explained.RUNNERS_UP))
    table(say(Explained.RUNNERS_UP), columns, [_runner_up(one, near) for one in found])


def _runner_up(found: Found, near: bool) -> list[Any]:
    def place() -> None:
        with div("cell-stack"):
            el("span", found["site_name"], "strong")
            el("span", ", ".join(found["node_hostnames"]), "hint mono")

    more = [
        _signed(yuan, found["hour_ucny_more"]),
        _signed(lambda mg: decimal_text(mg, 3), found["carbon_g_per_hour_milli_more"]),
    ]
    trip = [_signed(milliseconds, found["round_trip_us_more"])] if near else []
    return [str(found["rank"]), place, *more, *trip]


def _signed(shown: Callable[[int], str], value: int | None) -> str:
    if value is None:
        return "–"
    return ("+" if value > 0 else "−" if value < 0 else "") + shown(abs(value))


def sites_table(reader: Reader, found: Sequence[Found], counted: int) -> None:
    """Each site with what an hour comes to there, and what it is best at."""
    if not found:
        return
    say = reader.say
    near = any(site["round_trip_us"] is not None for site in found)
    columns = (
        Column(say(Work.RANK), number=True), Column(say(Work.SITE), wide=True), Column(say(Work.YUAN_HOUR), number=True),
        Column(say(Work.CARBON_HOUR), number=True), Column(say(Explained.GREEN), number=True),
        *([Column(say(Explained.ROUND_TRIP), number=True)] if near else []),
    )  # fmt: skip
    el("h3", say(Explained.SITES))
    table(say(Explained.SITES), columns, [_site(reader, site, near) for site in found])
    if counted > len(found):
        el("p", say(Explained.SITES_SHOWN, counted=counted, shown=len(found)), "hint")


def _site(reader: Reader, found: Found, near: bool) -> list[Any]:
    say = reader.say

    def place() -> None:
        with div("cell-stack"):
            el("span", found["site_name"], "strong")
            el("span", f"{found['provider_name']} · {found['region']}", "hint")
            for mark in found["marks"]:
                chip(say.named(Explained.MARKS, mark), "ok")

    green = "–" if found["green_ppm"] is None else percent(int(found["green_ppm"]))
    return [
        str(found["rank"]), place, yuan(int(found["hour_ucny"])), decimal_text(int(found["carbon_g_per_hour_milli"]), 3), green,
        *([milliseconds(found["round_trip_us"])] if near else []),
    ]  # fmt: skip
