"""One model call from the client to a replica and back.

1. Choose a ready replica; open a stream to it over its site's tunnel; send the call.
2. Nothing reaches the client before the replica's first body bytes. Until then a failure leads to another replica, once.
3. Stream: events pass as they come. Whole: the answer is read to its end.
4. The call's usage is committed to the journal.
5. The client gets ``[DONE]``, or the whole answer.

A client that leaves ends the stream at once (RESET). A replica that fails after step 2 shows as an error event.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import orjson

from zhisuan.gateway.answers import Batch, StreamedAnswer, whole_answer
from zhisuan.gateway.calls import Call, Outcome
from zhisuan.gateway.config import GatewayConfig
from zhisuan.gateway.errors import ApiError, metering_unavailable, no_ready_replica
from zhisuan.gateway.http import EVENT_STREAM, ClientGone, Exchange
from zhisuan.gateway.hub import TunnelHub
from zhisuan.gateway.journal import JournalError
from zhisuan.gateway.metering import Meter
from zhisuan.gateway.routes import Balancer
from zhisuan.gateway.routing.known import ReplicaKey
from zhisuan.gateway.sse import EventTooLong, as_event
from zhisuan.gateway.tunnel import StreamFailed, TunnelStream
from zhisuan.gateway.upstream import (
    UpstreamFailed,
    broken_in_answer,
    content_type,
    cut_off,
    malformed,
    refusal,
    too_slow,
)
from zhisuan.wire.gateway import Route, TunnelHead, TunnelOpen

log = logging.getLogger(__name__)
T = TypeVar("T")
ATTEMPTS_MAX = 2
ERROR_BODY_BYTES_MAX = 64 * 1024
NO_CACHE = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Forwarder:
    def __init__(self, config: GatewayConfig, hub: TunnelHub, balancer: Balancer, meter: Meter) -> None:
        self._config = config
        self._hub = hub
        self._balancer = balancer
        self._meter = meter

    async def run(self, call: Call, routes: tuple[Route, ...], exchange: Exchange) -> None:
        """Carry the call out and answer it. Raises ``ApiError`` where nothing has been sent yet, ``ClientGone`` where
        nobody is left to answer."""
        self._meter.begin(call)
        try:
            await self._attempts(call, routes, exchange)
        except ClientGone:
            await self._close_books(call, "client_closed")
            raise
        except UpstreamFailed as failure:
            await self._close_books(call, "upstream_failed")
            await self._show(failure.as_api_error(), exchange)
        except JournalError:
            await self._show(metering_unavailable(), exchange)
        except asyncio.CancelledError:
            self._meter.finish_aside(call, "upstream_failed")
            raise
        except ApiError:
            raise
        except Exception:
            await self._close_books(call, "upstream_failed")
            raise
        finally:
            self._meter.leave(call)

    async def _close_books(self, call: Call, outcome: Outcome) -> None:
        """Keep the usage of a call that did not complete. There is nobody to tell if that fails; the meter goes on
        trying."""
        try:
            await self._meter.finish(call, outcome)
        except JournalError as error:
            log.error("the usage of call %s is not yet on the disk: %s", call.id, error)

    async def _attempts(self, call: Call, routes: tuple[Route, ...], exchange: Exchange) -> None:
        tried: set[ReplicaKey] = set()
        failure: UpstreamFailed | None = None
        for _ in range(ATTEMPTS_MAX):
            choice = self._balancer.choose(routes, tried)
            if choice is None:
                break
            tried.add(choice.key)
            call.begin_attempt(choice)
            with self._balancer.using(choice.key):
                try:
                    await self._attempt(call, exchange)
                    return
                except UpstreamFailed as error:
                    self._balancer.suspect(choice.key)
                    failure = error
            if exchange.started:
                break
        raise failure or no_ready_replica(call.request.model)

    async def _attempt(self, call: Call, exchange: Exchange) -> None:
        async with self._stream(call, exchange) as stream:
            if call.request.stream:
                await self._streamed(call, stream, exchange)
            else:
                await self._whole(call, stream, exchange)

    @asynccontextmanager
    async def _stream(self, call: Call, exchange: Exchange) -> AsyncIterator[TunnelStream]:
        """A stream to the chosen replica, cancelled there when the client leaves or the block fails."""
        if call.choice is None:
            raise RuntimeError("a call is sent only after a replica was chosen")
        try:
            stream = self._hub.link(call.choice.replica.site_id).open()
            exchange.watch(lambda: stream.abort(ClientGone()))
            try:
                yield stream
            except BaseException:
                stream.close()
                raise
            stream.close_soon()
        except StreamFailed as error:
            raise cut_off(error.code, "") from error
        except EventTooLong as error:
            raise malformed(str(error)) from error

    async def _ask(self, call: Call, stream: TunnelStream, seconds_max: float) -> tuple[TunnelHead, bytes | None]:
        """Send the call; the answer's head and the first bytes of its body."""
        choice = call.choice
        if choice is None:
            raise RuntimeError("a call is sent only after a replica was chosen")
        body = call.request.upstream_body(choice.route.upstream_model)
        opening = TunnelOpen(
            lease_id=choice.replica.lease_id,
            generation=choice.replica.generation,
            method="POST",
            path=call.request.path,
            headers=(
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("accept", "text/event-stream" if call.request.stream else "application/json"),
                ("x-request-id", call.id),
            ),
        )

        async def first() -> tuple[TunnelHead, bytes | None]:
            await stream.send(opening, body)
            head = await stream.head()
            return head, await stream.read()

        head, data = await _within(seconds_max, first)
        if head.status != 200:
            raise refusal(head, await self._rest(stream, data, ERROR_BODY_BYTES_MAX), call.request.path)
        return head, data

    async def _next(self, stream: TunnelStream) -> bytes | None:
        """More of the answer's body; None at its end. A timer is set only where there is something to wait for."""
        return await stream.read() if stream.ready else await _within(self._config.idle_seconds_max, stream.read)

    async def _rest(self, stream: TunnelStream, data: bytes | None, bytes_max: int) -> bytes:
        """The whole body that begins with ``data``; ``UpstreamFailed`` when it is longer than ``bytes_max``."""
        parts: list[bytes] = []
        length = 0
        while data is not None:
            length += len(data)
            if length > bytes_max:
                raise malformed(f"its answer is longer than {bytes_max} bytes")
            parts.append(data)
            data = await self._next(stream)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _whole(self, call: Call, stream: TunnelStream, exchange: Exchange) -> None:
        _, data = await self._ask(call, stream, self._config.first_byte_seconds_max)
        answer = whole_answer(call.request, await self._rest(stream, data, self._config.answer_bytes_max))
        if answer is None:
            raise malformed("its answer is not a JSON object with an answer in it")
        call.counts = answer.counts
        await self._meter.finish(call, "completed")
        await exchange.answer(200, answer.body)

    async def _streamed(self, call: Call, stream: TunnelStream, exchange: Exchange) -> None:
        head, data = await self._ask(call, stream, self._config.stream_first_byte_seconds_max)
        if content_type(head) != "text/event-stream":
            raise malformed("it was asked to stream and did not")
        answer = StreamedAnswer(call.request)
        while data is not None:
            await self._deliver(answer.feed(data), answer, call, exchange)
            if answer.done:
                break
            data = await self._next(stream)
        else:
            await self._deliver(answer.end(), answer, call, exchange)
        if not answer.complete:
            raise malformed("its answer broke off before its end")
        await self._meter.finish(call, "completed")
        if not exchange.started:
            exchange.start(200, EVENT_STREAM, NO_CACHE)
        await exchange.write(answer.closing, last=True)

    async def _deliver(self, batch: Batch, answer: StreamedAnswer, call: Call, exchange: Exchange) -> None:
        """Pass on what can be passed on, then say what broke."""
        call.counts = answer.counts
        if batch.body:
            if not exchange.started:
                exchange.start(200, EVENT_STREAM, NO_CACHE)
            await exchange.write(batch.body)
            call.delivered(batch.pieces, asyncio.get_running_loop().time())
        if answer.error is not None:
            raise broken_in_answer(answer.error)

    async def _show(self, error: ApiError, exchange: Exchange) -> None:
        """An error where the client can see it: as the answer, or as the last event of a stream that has begun."""
        if not exchange.started:
            raise error
        await exchange.write(as_event(orjson.dumps({"error": error.as_dict()})), last=True)


async def _within(seconds_max: float, act: Callable[[], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(seconds_max):
            return await act()
    except TimeoutError:
        raise too_slow(seconds_max) from None
