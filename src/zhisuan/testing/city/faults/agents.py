"""What befalls an agent: killed now, at one of its next steps, or away for a time; its disk; its credential."""

import asyncio
from typing import TYPE_CHECKING

from zhisuan.testing.city.faults.kind import Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City


async def _killed(city: "City", whom: int, _value: float) -> None:
    city.site(whom).kill()


async def _killed_soon(city: "City", whom: int, value: float) -> None:
    city.site(whom).kill_at(int(value))


async def _away(city: "City", whom: int, value: float) -> None:
    site = city.site(whom)
    site.stays_down = True
    site.kill()
    await asyncio.sleep(value)
    site.stays_down = False


async def _disk_full(city: "City", whom: int, value: float) -> None:
    site = city.site(whom)
    site.disk_full = True
    await asyncio.sleep(value)
    site.disk_full = False


async def _new_credential(city: "City", whom: int, _value: float) -> None:
    city.site(whom).ask_for_new_credential()


KINDS = (
    Kind("agent killed", 8, _killed),
    Kind("agent killed at one of its next steps", 18, _killed_soon, lambda chance: chance.randint(1, 25)),
    Kind("agent stays down", 4, _away, one_of(10, 60, 700)),
    Kind("disk of the agent full", 4, _disk_full, one_of(3, 40, 200)),
    Kind("credential replaced", 6, _new_credential),
)
