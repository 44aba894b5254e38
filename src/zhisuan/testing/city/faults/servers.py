"""What befalls server processes: one killed, all of them away for longer than a lease's term, two placing at once."""

import asyncio
from typing import TYPE_CHECKING

from zhisuan.testing.city.faults.kind import Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City


async def _killed(city: "City", whom: int, value: float) -> None:
    city.keep_down(city.server(whom), value)


async def _all_away(city: "City", _whom: int, value: float) -> None:
    for server in city.servers:
        city.keep_down(server, value)
    await asyncio.sleep(value)


async def _two_placers(city: "City", whom: int, _value: float) -> None:
    """While this server has chosen and not yet taken, the same step runs whole at another one."""
    server = city.server(whom)
    if server.up:
        server.database.before_taking = city.meddling_placer(server)


KINDS = (
    Kind("server killed", 10, _killed, one_of(1, 10, 100), of_server=True),
    Kind("all servers away", 3, _all_away, one_of(150, 400, 1500), of_server=True),
    Kind("two placers at once", 6, _two_placers, of_server=True),
)
