"""The gateway itself: its parts, their life, and what each endpoint does."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
from starlette.types import Scope

from zhisuan.base.clock import Clock
from zhisuan.base.secrets import digest
from zhisuan.gateway.cache import AnswerCache
from zhisuan.gateway.calls import Call
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.control import ControlClient, ServerUnavailable
from zhisuan.gateway.errors import (
    ApiError,
    cannot_authorise,
    invalid_key,
    metering_unavailable,
    model_not_found,
    not_started,
    unfunded,
)
from zhisuan.gateway.forward import Forwarder
from zhisuan.gateway.http import Exchange
from zhisuan.gateway.hub import TunnelHub, bearer
from zhisuan.gateway.journal import Journal
from zhisuan.gateway.limits import CallLimits
from zhisuan.gateway.metering import Meter
from zhisuan.gateway.requests import read_request
from zhisuan.gateway.routes import Balancer, RouteFollower, RouteTable
from zhisuan.gateway.shells import Shells
from zhisuan.gateway.shipping import Shipper
from zhisuan.gateway.workspaces import Workspaces
from zhisuan.wire.gateway import KeyAnswer, Route, SiteAnswer

log = logging.getLogger(__name__)
KEY_PREFIX = "zsk_"
SITE_TTL_SECONDS = 10.0


class Gateway:
    def __init__(
        self, config: GatewayConfig, *, clock: Clock, random: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self.config = config
        self._clock = clock
        self._control = ControlClient(config)
        self._journal = Journal(config.journal_path)
        self._keys: AnswerCache[KeyAnswer] = AnswerCache(
            self._control.authorise,
            ttl=self._key_ttl,
            stale_seconds=config.stale_seconds_max,
            wait_seconds=config.authorise_wait_seconds_max,
            monotonic=monotonic,
        )
        self._sites: AnswerCache[SiteAnswer] = AnswerCache(
            self._control.site,
            ttl=lambda answer: SITE_TTL_SECONDS if answer.valid else config.refused_ttl_seconds,
            stale_seconds=config.stale_seconds_max,
            wait_seconds=config.control_seconds_max,
            monotonic=monotonic,
        )
        self.hub = TunnelHub(self._sites, recheck_seconds=config.site_recheck_seconds)
        self.table = RouteTable()
        self.meter = Meter(self._journal, checkpoint_seconds=config.checkpoint_seconds)
        self.limits = CallLimits(calls_max=config.calls_max, calls_per_key_max=config.calls_per_key_max)
        self.refusals: Counter[str] = Counter()
        balancer = Balancer(self.hub.reachable, monotonic, config.suspect_seconds)
        self._forwarder = Forwarder(config, self.hub, balancer, self.meter)
        self.workspaces = Workspaces(config, self._control, self.hub, monotonic=monotonic)
        self.shells = Shells(config, self._control, self.hub)
        self._follower = RouteFollower(
            self.table, self._control, balancer, wait_seconds=config.routes_wait_seconds, random=random
        )
        self.shipper = Shipper(
            self._journal,
            self._control,
            config.gateway_name,
            self.meter.written,
            interval_seconds=config.ship_interval_seconds,
            batch_max=config.ship_batch_max,
            random=random,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the journal, follow the routes, checkpoint and ship; at the end deliver what can be delivered."""
        async with AsyncExitStack() as stack:
            cut_off = await self._journal.start()
            stack.push_async_callback(self._journal.close)
            if cut_off:
                log.warning("%d calls were cut off when this gateway last stopped; what they used is reported", cut_off)
            await stack.enter_async_context(self._control)
            stack.push_async_callback(self.shipper.ship_last)
            stack.push_async_callback(self._keys.close)
            stack.push_async_callback(self._sites.close)
            stack.push_async_callback(self.workspaces.close)
            tasks = [asyncio.create_task(act()) for act in (self._follower.run, self.meter.run, self.shipper.run)]
            for task in tasks:
                task.add_done_callback(_report_end)
            stack.push_async_callback(_stop, tasks)
            stack.push_async_callback(self.hub.close)
            yield

    def problems(self) -> list[str]:
        """Why this gateway is not ready to take calls; empty when it is."""
        found = []
        if self.table.version is None:
            found.append("routes_unknown")
        if not self.meter.healthy:
            found.append("journal_unwritable")
        return found

    def refused(self, error: ApiError) -> None:
        self.refusals[error.code] += 1

    async def complete(self, scope: Scope, exchange: Exchange) -> None:
        """POST /v1/chat/completions and /v1/completions."""
        at = self._clock.now()
        key = await self._authorised(exchange)
        if not key.funded:
            raise unfunded()
        with self.limits.one_call(key.key_id):
            raw = await exchange.body(bytes_max=self.config.body_bytes_max, seconds_max=self.config.body_seconds_max)
            request = read_request(scope["path"], raw)
            routes = self._routes(key, request.model)
            if not self.meter.healthy:
                raise metering_unavailable()
            call = Call(exchange.request_id, at, exchange.arrived, key, request)
            await self._forwarder.run(call, routes, exchange)

    async def list_models(self, _: Scope, exchange: Exchange) -> None:
        """GET /v1/models"""
        key = await self._authorised(exchange)
        if self.table.version is None:
            raise not_started()
        models = [self._shown(route) for route in self.table.models(key)]
        await exchange.answer(200, orjson.dumps({"object": "list", "data": models}))

    async def show_model(self, scope: Scope, exchange: Exchange) -> None:
        """GET /v1/models/{model}"""
        key = await self._authorised(exchange)
        routes = self._routes(key, scope["path_params"]["model"])
        await exchange.answer(200, orjson.dumps(self._shown(routes[0])))

    async def _authorised(self, exchange: Exchange) -> KeyAnswer:
        secret = bearer(exchange.header(b"authorization"), accepts=lambda secret: secret.startswith(KEY_PREFIX))
        if secret is None:
            raise invalid_key()
        try:
            answer = await self._keys.get(digest(secret))
        except ServerUnavailable as error:
            log.warning("a key cannot be checked: %s", error)
            raise cannot_authorise() from None
        if not answer.valid:
            raise invalid_key()
        return answer

    def _routes(self, key: KeyAnswer, model: str) -> tuple[Route, ...]:
        if self.table.version is None:
            raise not_started()
        routes = self.table.find(key, model)
        if not routes:
            raise model_not_found(model)
        return routes

    def _shown(self, route: Route) -> dict[str, Any]:
        """A model as OpenAI shows it; ``ready`` is added: whether a call would find a replica now."""
        ready = any(replica.ready and self.hub.reachable(replica.site_id) for replica in route.replicas)
        return {
            "id": route.model,
            "object": "model",
            "created": int(route.created.timestamp()),
            "owned_by": route.org_id,
            "ready": ready,
        }

    def _key_ttl(self, answer: KeyAnswer) -> float:
        """A refusal is asked about again soon: a key just made, or a wallet just topped up, should work at once."""
        short = self.config.refused_ttl_seconds
        return float(answer.ttl_seconds) if answer.valid and answer.funded else min(short, float(answer.ttl_seconds))


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("a background task of the gateway ended: %r", error, exc_info=error)
