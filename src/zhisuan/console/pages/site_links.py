"""The part of a site's page about how far it is from the others."""

from collections.abc import Mapping
from typing import Any

from zhisuan.console.format import moment
from zhisuan.console.parts import Column, card, chip, div, el, table
from zhisuan.console.reader import Reader
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
