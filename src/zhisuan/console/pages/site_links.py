"""The part of a site's page about how far it is from the others."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console.format import moment
from zhisuan.console.parts import Column, card, chip, div, el, table
from zhisuan.console.reader import Reader
from zhisuan.console.text_explained import Explained
from zhisuan.console.text_links import Links

Found = Mapping[str, Any]


def links_card(reader: Reader, found: Found, links: Found) -> None:
    """Each other site with the round trip that was measured; what cannot be true says so."""
    say = reader.say
    columns = (
        Column(say(Links.SITE), wide=True), Column(say(Links.WAY)), Column(say(Links.MEDIAN), number=True),
        Column(say(Links.BEST), number=True), Column(say(Links.BOUND), number=True), Column(say(Links.AT), number=True),
    )  # fmt: skip
    with card(say(Links.TITLE), note=say(Links.NOTE)):
        el("p", say(Links.OWN, address=found.get("echo_address") or say(Links.NO_ADDRESS)), "hint")
        if links["items"]:
            table(say(Links.TITLE), columns, [_row(reader, link) for link in links["items"]])
        else:
            el("p", say(Links.NOTHING), "hint")


def places_card(reader: Reader, places: Found) -> None:
    """Each demand place with the round trip that is on record; what is not used says so."""
    say = reader.say
    columns = (
        Column(say(Explained.PLACE), wide=True), Column(say(Explained.ROUND_TRIP), number=True), Column(say(Links.BOUND), number=True),
        Column(say(Explained.DIRECTION)), Column(say(Explained.METHOD)), Column(say(Explained.SOURCE), wide=True),
    )  # fmt: skip
    with card(say(Explained.PLACES), note=say(Explained.PLACES_NOTE)):
        if places["items"]:
            table(say(Explained.PLACES), columns, [_place(reader, link) for link in places["items"]])
        else:
            el("p", say(Explained.PLACES_NOTHING), "hint")


def _place(reader: Reader, link: Found) -> list[Any]:
    say = reader.say

    def place() -> None:
        with div("cell-stack"):
            el("span", link["place_name"])
            if link["refused"]:
                chip(say(Explained.NOT_USED), "bad")
                el("span", say(Explained.NOT_USED_WHY), "hint")

    return [
        place, milliseconds(link["round_trip_us"]), milliseconds(link["bound_us"]), say.named(Explained.DIRECTIONS, link["direction"]),
        say.named(Explained.METHODS, link["method"]), link["source"],
    ]  # fmt: skip


def _row(reader: Reader, link: Found) -> list[Any]:
    say = reader.say

    def other() -> None:
        with div("cell-stack"):
            el("span", link["site_name"])
            if link["refused"]:
                chip(say(Links.REFUSED), "bad")
                el("span", say(Links.REFUSED_WHY), "hint")
            elif link["median_us"] is None:
                el("span", say(Links.SILENT, why=link["note"] or "–"), "hint")

    way = say.named(Links.WAYS, link["direction"])
    figures = (milliseconds(link[name]) for name in ("median_us", "best_us", "bound_us"))
    return [other, way, *figures, moment(link["at"])]


def milliseconds(us: int | None) -> str:
    return "–" if us is None else f"{us // 1000}.{us % 1000:03d} ms"
