"""Which models there are and who answers for them: a snapshot of the server's, and the choice of a replica."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from zhisuan.gateway.control import ControlClient, ServerUnavailable
from zhisuan.gateway.routing.asks import NOTHING_KNOWN
from zhisuan.gateway.routing.known import Book, ReplicaKey
from zhisuan.gateway.routing.policies import LeastInFlight, Policy
from zhisuan.wire.gateway import KeyAnswer, Replica, Route

log = logging.getLogger(__name__)
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


@dataclass(frozen=True, slots=True)
class Choice:
    route: Route
    replica: Replica

    @property
    def key(self) -> ReplicaKey:
        return self.replica.lease_id, self.replica.generation


@dataclass(slots=True)
class Balancer:
    """Sends the next call to the ready replica that the policy chooses; one that just failed comes last."""

    reachable: Callable[[str], bool]
    monotonic: Callable[[], float]
    suspect_seconds: float
    policy: Policy = field(default_factory=LeastInFlight)
    _book: Book = field(default_factory=Book)
    _suspect_until: dict[ReplicaKey, float] = field(default_factory=dict)

    def choose(self, routes: Sequence[Route], tried: Collection[ReplicaKey]) -> Choice | None:
        """A ready replica whose site is connected and that is not in ``tried``; the newest route that has one wins. Suspects are
        asked only where there is nobody else."""
        now = self.monotonic()
        for route in routes:
            able = {(r.lease_id, r.generation): r for r in route.replicas
                    if r.ready and (r.lease_id, r.generation) not in tried and self.reachable(r.site_id)}  # fmt: skip
            if able:
                trusted = [key for key in able if now >= self._suspect_until.get(key, 0.0)]
                known = [self._book.known(key) for key in sorted(trusted or able)]
                return Choice(route, able[self.policy.choose(NOTHING_KNOWN, known, int(now * 1_000_000)).key])
        return None

    @contextmanager
    def using(self, key: ReplicaKey) -> Iterator[None]:
        call = self._book.sent(key, NOTHING_KNOWN, int(self.monotonic() * 1_000_000))
        try:
            yield
        finally:
            self._book.ended(key, call)

    def suspect(self, key: ReplicaKey) -> None:
        """This replica has just failed a call."""
        self._suspect_until[key] = self.monotonic() + self.suspect_seconds

    def forget_all_but(self, keys: Collection[ReplicaKey]) -> None:
        """Drop what is known of replicas that are gone and idle."""
        self._book.forget_all_but(keys)
        self._suspect_until = {key: until for key, until in self._suspect_until.items() if key in self._book.replicas}
