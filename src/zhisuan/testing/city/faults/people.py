"""What people do at a bad moment: close a site over its work, replace its agent, take devices back, set hours."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from zhisuan.base.secrets import digest
from zhisuan.execution import service as execution
from zhisuan.supply import service as supply
from zhisuan.supply.offering import Window, Windows
from zhisuan.supply.recalls import TakeBack
from zhisuan.supply.tables import Site as SiteRow
from zhisuan.testing.city.faults.kind import Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City

HEARD_WITHIN = timedelta(seconds=90)
NOTICE = timedelta(seconds=20)


async def _closed(city: "City", whom: int, _value: float) -> None:
    """A person closes a site that cannot be heard, or drains one that can."""
    site = city.site(whom)
    with city.database.begin("operator") as tx:
        row = tx.session.get_one(SiteRow, site.id, with_for_update=True)
        if row.state == "open":
            supply.change_state(tx, row, "drain")
        if not supply.is_reachable(row, tx.now, HEARD_WITHIN) or not execution.open_lease_count(tx, row.id):
            supply.change_state(tx, row, "close")
            execution.lose_leases(tx, row)
        site.shut_out = row.state == "closed"
        city.say(f"{site.name} is {row.state}")


async def _replaced(city: "City", whom: int, _value: float) -> None:
    """Somebody else gets the site's credential; the agent that had it is shut out, and its provider closes the site."""
    site = city.site(whom)
    with city.database.begin("operator") as tx:
        row = tx.session.get_one(SiteRow, site.id, with_for_update=True)
        if row.state in ("draining", "closed"):
            return
        supply.join(tx, supply.invite_again(tx, row).token, digest(f"another {site.id}"))
        supply.change_state(tx, row, "drain")
        supply.change_state(tx, row, "close")
        execution.lose_leases(tx, row)
    site.shut_out = True
    city.say(f"{site.name}: credential revoked, site closed")


async def _taken_back(city: "City", whom: int, value: float) -> None:
    """The provider takes the devices back for ``value`` seconds, with notice to the work on them."""
    site = city.site(whom)
    with city.database.begin("provider") as tx:
        row = tx.session.get_one(SiteRow, site.id, with_for_update=True)
        if row.state != "open" or supply.recalls_of(tx, [row.id]):
            return
        until = tx.now + NOTICE + timedelta(seconds=value)
        recall = supply.take_back(tx, row, TakeBack(notice=NOTICE, until=until))
        city.closed_hours.append((site.id, recall.stop_at, until))


async def _hours(city: "City", whom: int, value: float) -> None:
    """The provider offers the site at all hours but ``value`` minutes from the next one on; what runs there goes on."""
    site = city.site(whom)
    with city.database.begin("provider") as tx:
        row = tx.session.get_one(SiteRow, site.id, with_for_update=True)
        closes = tx.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        opens = closes + timedelta(minutes=value)
        week = Windows(
            "UTC", (Window(tuple(range(7)), opens.hour * 60 + opens.minute, closes.hour * 60 + closes.minute),)
        )
        supply.set_windows(tx, row, week)
        city.closed_hours.append((site.id, closes, opens))
    await asyncio.sleep((opens - city.clock.now()).total_seconds() + 1)
    with city.database.begin("provider") as tx:
        supply.set_windows(tx, tx.session.get_one(SiteRow, site.id, with_for_update=True), Windows())


KINDS = (
    Kind("site closed", 2, _closed),
    Kind("agent replaced", 2, _replaced),
    Kind("devices taken back", 5, _taken_back, one_of(30, 120, 240)),
    Kind("hours set", 3, _hours, one_of(1, 3)),
)
