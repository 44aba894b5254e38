"""What befalls the machines of a site: a restart, one node of several gone, the engine's memory or patience gone, a clock set."""

from datetime import timedelta
from typing import TYPE_CHECKING

from zhisuan.testing.city.faults.kind import Kind, one_of

if TYPE_CHECKING:
    from zhisuan.testing.city.city import City


async def _restart(city: "City", whom: int, _value: float) -> None:
    city.site(whom).reboot()


async def _node_lost(city: "City", whom: int, value: float) -> None:
    city.site(whom).engine.lose_node(int(value))


async def _wiped(city: "City", whom: int, _value: float) -> None:
    site = city.site(whom)
    site.kill()
    site.engine.wipe()


async def _refuses(city: "City", whom: int, value: float) -> None:
    city.site(whom).engine.refuse_starts = int(value)


async def _clock_set(city: "City", whom: int, value: float) -> None:
    city.site(whom).clock.set_off_by(timedelta(seconds=value))


KINDS = (
    Kind("host restarts", 4, _restart),
    Kind("node dies with its share of all work on it", 4, _node_lost, one_of(0, 1, 2)),
    Kind("engine's folder removed", 2, _wiped),
    Kind("engine refuses starts", 4, _refuses, one_of(1, 5)),
    Kind("clock set", 4, _clock_set, one_of(-90_000, -400, -3, 2, 30)),
)
