"""What befalls the way between a site and the servers."""

import asyncio
from typing import TYPE_CHECKING

from zhisuan.testing.city.faults.kind import Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City


async def _cut(city: "City", whom: int, value: float) -> None:
    link = city.site(whom).link
    link.cut_off()
    await asyncio.sleep(value)
    link.restore()


KINDS = (Kind("network cut", 14, _cut, one_of(*(1, 8, 45, 120, 200, 400) * 3, 4000)),)
