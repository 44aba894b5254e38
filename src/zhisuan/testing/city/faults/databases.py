"""What befalls the database: a transaction's end, the whole of it away, its disk full, read only after a failover."""

import asyncio
from typing import TYPE_CHECKING

from zhisuan.testing.city.database import Fault, Trouble
from zhisuan.testing.city.faults.kind import Befall, Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City


async def _transaction(city: "City", whom: int, value: float) -> None:
    server = city.server(whom)
    if server.up:
        nth, which = divmod(int(value), 3)
        server.database.arm(nth, tuple(Fault)[which], lambda what: city.say(f"{server.name}: {what}"))


def _trouble(what: Trouble) -> Befall:
    """Of the one database that all servers have."""

    async def befall(city: "City", _whom: int, value: float) -> None:
        city.trouble.add(what)
        await asyncio.sleep(value)
        city.trouble.discard(what)

    return befall


KINDS = (
    Kind("fault in a transaction", 16, _transaction, lambda chance: chance.randint(0, 2) + 3 * chance.randint(1, 8), of_server=True),
    Kind("database away", 3, _trouble(Trouble.away), one_of(5, 60, 200, 900)),
    Kind("database's disk full", 3, _trouble(Trouble.disk_full), one_of(5, 60, 300)),
    Kind("artefact store full", 2, _trouble(Trouble.store_full), one_of(60, 300)),
    Kind("database read only", 3, _trouble(Trouble.read_only), one_of(5, 60, 300)),
)  # fmt: skip
