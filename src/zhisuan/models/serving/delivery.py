"""Bringing a job's events from the worker's thread to its client, and ending the job when the client leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from zhisuan.models.serving.answers import AnswerForm, server_sent_event
from zhisuan.models.serving.errors import ApiError, server_failed, shutting_down
from zhisuan.models.serving.generation import Finished, GenerationRequest, Piece
from zhisuan.models.serving.worker import Event, Failed, Job, Worker

T = TypeVar("T")


class ClientLeft(Exception):
    """The client closed the connection before its answer was complete."""


class Delivery:
    """One submitted job and its events, to be read in the event loop that made it."""

    def __init__(self, worker: Worker, request: GenerationRequest) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._job: Job = worker.submit(request, self._from_worker)

    def _from_worker(self, event: Event) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def cancel(self) -> None:
        self._job.cancel()

    async def events(self) -> AsyncIterator[Piece | Finished]:
        """Pieces, then Finished. Raises ApiError: 500 where the model failed, 503 where the server is being stopped."""
        while True:
            event = await self._events.get()
            if isinstance(event, Failed):
                raise server_failed(event.detail)
            if isinstance(event, Finished) and event.reason == "cancelled":
                raise shutting_down()
            yield event
            if isinstance(event, Finished):
                return

    async def collect(self) -> tuple[str, Finished]:
        """The whole text and how it ended."""
        pieces: list[str] = []
        async for event in self.events():
            if isinstance(event, Finished):
                return "".join(pieces), event
            pieces.append(event.text)
        raise AssertionError("events always end with Finished")


async def _until_disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(work: Awaitable[T], receive: Receive) -> T:
    """The outcome of ``work``, given up when the client closes the connection (ClientLeft)."""
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_until_disconnected(receive))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        for running in (task, left):
            running.cancel()
        await asyncio.gather(task, left, return_exceptions=True)


async def whole_answer(delivery: Delivery, form: AnswerForm, request: Request) -> dict[str, Any]:
    """The body of an answer that is not streamed. Raises ClientLeft or ApiError."""
    try:
        text, finished = await while_connected(delivery.collect(), request.receive)
    finally:
        delivery.cancel()
    return form.whole(text, finished.reason, finished.usage)


class StreamedAnswer(Response):
    """Server-sent events, sent as the tokens come."""

    media_type = "text/event-stream"

    def __init__(self, delivery: Delivery, form: AnswerForm) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._delivery = delivery
        self._form = form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(self._send(send), receive)
        except (ClientLeft, OSError):
            return
        finally:
            self._delivery.cancel()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncIterator[bytes]:
        if opening := self._form.opening():
            yield opening
        try:
            async for event in self._delivery.events():
                if isinstance(event, Piece):
                    yield self._form.piece(event.text)
                else:
                    yield self._form.closing(event.reason, event.usage)
        except ApiError as error:
            yield server_sent_event(error.body())
