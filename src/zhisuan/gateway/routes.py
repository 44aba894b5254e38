"""Which models there are and who answers for them: a snapshot of the server's, and the choice of a replica."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from zhisuan.gateway.control import ControlClient, ServerUnavailable
from zhisuan.wire.gateway import KeyAnswer, Replica, Route

log = logging.getLogger(__name__)
ReplicaKey = tuple[str, int]
RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 10.0


class RouteTable:
    """The last snapshot of routes. Several routes may serve one name (a roll-out): the newest comes first."""

    def __init__(self) -> None:
        self.version: str | None = None
        self._routes: dict[tuple[str, str], tuple[Route, ...]] = {}

    def replace(self, version: str, routes: Sequence[Route]) -> None:
        found: dict[tuple[str, str], list[Route]] = defaultdict(list)
        for route in sorted(routes, key=lambda route: (route.created, route.deployment_id), reverse=True):
            found[route.org_id, route.model].append(route)
        self._routes = {key: tuple(same) for key, same in found.items()}
        self.version = version

    def replica_keys(self) -> set[ReplicaKey]:
        return {
            (r.lease_id, r.generation) for routes in self._routes.values() for route in routes for r in route.replicas
        }

    def find(self, key: KeyAnswer, model: str) -> tuple[Route, ...]:
        """The routes of ``model`` that ``key`` may use; empty alike for an unknown model and another's."""
        if key.models and model not in key.models:
            return ()
        return self._routes.get((key.org_id, model), ())

    def models(self, key: KeyAnswer) -> list[Route]:
        """One route for each model of the key's organisation, by name."""
        mine = [routes[0] for (org_id, model), routes in self._routes.items()
                if org_id == key.org_id and (not key.models or model in key.models)]  # fmt: skip
        return sorted(mine, key=lambda route: route.model)


class RouteFollower:
    """Keeps a ``RouteTable`` as the server has it, by asking for the next change again and again."""

    def __init__(
        self,
        table: RouteTable,
        control: ControlClient,
        balancer: "Balancer",
        *,
        wait_seconds: int,
        random: Callable[[], float],
    ) -> None:
        self._table = table
        self._control = control
        self._balancer = balancer
        self._wait_seconds = wait_seconds
        self._random = random

    async def run(self) -> None:
        delay = RETRY_SECONDS_MIN
        while True:
            wait_seconds = self._wait_seconds if self._table.version is not None else 0
            started = asyncio.get_running_loop().time()
            try:
                answer = await self._control.routes(self._table.version, wait_seconds)
            except ServerUnavailable as error:
                log.warning("routes cannot be read, the last known ones stay in use: %s", error)
                await asyncio.sleep(delay * (0.5 + self._random() / 2))
                delay = min(RETRY_SECONDS_MAX, delay * 2)
                continue
            delay = RETRY_SECONDS_MIN
            if answer.version != self._table.version:
                self._table.replace(answer.version, answer.routes)
                self._balancer.forget_all_but(self._table.replica_keys())
            elif asyncio.get_running_loop().time() - started < RETRY_SECONDS_MIN:
                await asyncio.sleep(RETRY_SECONDS_MIN)  # a server that does not wait must not be asked in a tight loop


@dataclass(slots=True)
class _Load:
    in_flight: int = 0
    served: int = 0
    suspect_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    route: Route
    replica: Replica

    @property
    def key(self) -> ReplicaKey:
        return self.replica.lease_id, self.replica.generation


@dataclass(slots=True)
class Balancer:
    """Sends the next call to the ready replica with the fewest calls running; one that just failed comes last."""

    reachable: Callable[[str], bool]
    monotonic: Callable[[], float]
    suspect_seconds: float
    _loads: dict[ReplicaKey, _Load] = field(default_factory=dict)

    def choose(self, routes: Sequence[Route], tried: Collection[ReplicaKey]) -> Choice | None:
        """A ready replica whose site is connected and that is not in ``tried``; the newest route that has one wins.

        Order: not suspect, fewest running, fewest served, lease.
        """
        now = self.monotonic()
        for route in routes:
            able = [Choice(route, r) for r in route.replicas
                    if r.ready and (r.lease_id, r.generation) not in tried and self.reachable(r.site_id)]  # fmt: skip
            if able:
                return min(able, key=lambda choice: self._rank(choice.key, now))
        return None

    def _rank(self, key: ReplicaKey, now: float) -> tuple[bool, int, int, ReplicaKey]:
        load = self._loads.get(key) or _Load()
        return now < load.suspect_until, load.in_flight, load.served, key

    @contextmanager
    def using(self, key: ReplicaKey) -> Iterator[None]:
        load = self._loads.setdefault(key, _Load())
        load.in_flight += 1
        load.served += 1
        try:
            yield
        finally:
            load.in_flight -= 1

    def suspect(self, key: ReplicaKey) -> None:
        """This replica has just failed a call."""
        self._loads.setdefault(key, _Load()).suspect_until = self.monotonic() + self.suspect_seconds

    def forget_all_but(self, keys: Collection[ReplicaKey]) -> None:
        """Drop what is known of replicas that are gone and idle."""
        self._loads = {key: load for key, load in self._loads.items() if key in keys or load.in_flight}
