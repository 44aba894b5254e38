"""What placement compared, and why work waits."""

from collections.abc import Mapping, Sequence
from typing import Any

from zhisuan.base.money import decimal_text
from zhisuan.console.format import moment, yuan
from zhisuan.console.pages.explained import runners_up_table, waiting_parts
from zhisuan.console.parts import Column, card, chip, div, el, notice, table
from zhisuan.console.reader import Reader
from zhisuan.console.text_quotas import Quotas
from zhisuan.console.text_work import Work

Found = Mapping[str, Any]
SHOWN = 3
MOST = 50


def placement_card(reader: Reader, placement: Found | None, why: Found | None) -> None:
    """The decision with what it compared; for waiting work, what would unblock it."""
    say = reader.say
    with card(say(Work.PLACEMENT)):
        if why is not None and why["state"] == "pending":
            lines = [say.words(why["reason"]), *(say(Work.UNBLOCK, text=say.words(u)) for u in why["unblock"])]
            notice("wait", say(Work.WHY_WAITS), [*lines, *_in_line(reader, why.get("queue"))])
            waiting_parts(reader, why)
        if placement is None:
            el("p", say(Work.PLACEMENT_NONE), "muted")
            return
        el("p", say.words(placement["reason"]), "reason")
        candidates_table(reader, placement["candidates"][:SHOWN], placement["chosen"])
        more = placement["candidates"][SHOWN:MOST]
        if more:
            with el("details", "", "more"):
                el("summary", say(Work.MORE_CANDIDATES, count=len(placement["candidates"]) - SHOWN))
                candidates_table(reader, more)
        if why is not None:
            runners_up_table(reader, why["runners_up"])
        rejected_list(reader, placement["rejected"])


def _in_line(reader: Reader, queue: Found | None) -> list[str]:
    """Where it stands in the line, and when it may start."""
    if queue is None:
        return []
    say, expected = reader.say, reader.say.words(queue["expected"])
    lines = [
        say(Quotas.PLACE, number=queue["number"], of=queue["of"]),
        say(Quotas.BEFORE, own=queue["ahead_own_count"], others=queue["ahead_others_count"]),
    ]
    if queue["reservation"]:
        lines.append(say(Quotas.KEPT, site=queue["reservation"]["site_name"]))
    at = queue["expected_at"]
    return [*lines, say(Quotas.EXPECTED, at=moment(at), text=expected) if at else say(Quotas.EXPECTED_UNKNOWN, text=expected)]


def candidates_table(reader: Reader, candidates: Sequence[Found], chosen: Found | None = None) -> None:
    if not candidates:
        return
    say = reader.say
    columns = (
        Column(say(Work.RANK), number=True), Column(say(Work.SITE), wide=True), Column(say(Work.YUAN_HOUR), number=True),
        Column(say(Work.CARBON_HOUR), number=True), Column(say(Work.PACKING), number=True),
    )  # fmt: skip
    table(say(Work.COMPARED), columns, [_row(reader, c, chosen) for c in candidates])


def _row(reader: Reader, found: Found, chosen: Found | None) -> list[Any]:
    say = reader.say
    taken = chosen is not None and (found["site_id"], found["node_hostnames"]) == (chosen["site_id"], chosen["node_hostnames"])

    def place() -> None:
        with div("cell-stack"):
            el("span", found["site_name"], "strong")
            el("span", ", ".join(found["node_hostnames"]), "hint mono")
            if taken:
                chip(say(Work.CHOSEN), "ok")

    grams = found["carbon_g_per_hour_milli"]
    packing = next((p for p in found["score_parts"] if p["name"] == "packing"), None)
    left = "–" if packing is None else say(Work.CORES, cores=decimal_text(int(packing["value"]), 3))
    return [
        str(found["rank"]), place, yuan(int(found["hour_ucny"])), "–" if grams is None else decimal_text(int(grams), 3), left,
    ]  # fmt: skip


def rejected_list(reader: Reader, rejected: Sequence[Found]) -> None:
    if not rejected:
        return
    say = reader.say
    el("h3", say(Work.REJECTED))
    with el("ul", "", "plain"):
        for each in rejected:
            el("li", say(Work.REJECTED_LINE, count=each["count"], text=say.words(each["text"])))
