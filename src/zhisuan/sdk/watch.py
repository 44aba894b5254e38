"""Following a workload: one stream of events over as many connections as it takes."""

from collections.abc import Callable, Iterator

import httpx
from pydantic import ValidationError

from zhisuan.base.errors import Unavailable, ZhisuanError
from zhisuan.sdk.problems import unexpected
from zhisuan.sdk.sse import ServerEvent, events_of
from zhisuan.sdk.types.work import EndEvent, LogEvent, StateEvent, WatchEvent, Workload

Connect = Callable[[int], Iterator[bytes]]


class Watch:
    """Events of one workload from log offset ``offset`` to its end.

    A connection that breaks, or ends before the workload does, is made again from the last offset seen; after
    ``retries`` failures with no event between them, the failure is raised.
    """

    def __init__(
        self,
        connect: Connect,
        backoff: Callable[[int], None],
        failed: Callable[[Exception], ZhisuanError],
        retries: int,
    ) -> None:
        self._connect = connect
        self._backoff = backoff
        self._failed = failed
        self._retries = retries

    def events(self, offset: int) -> Iterator[WatchEvent]:
        failures = 0
        while True:
            cause: Exception = httpx.RemoteProtocolError("the stream ended before the workload did")
            try:
                for raw in events_of(self._connect(offset)):
                    event = _typed(raw)
                    if event is None:
                        continue
                    if isinstance(event, LogEvent):
                        offset = event.next_offset
                    failures = 0
                    yield event
                    if isinstance(event, EndEvent):
                        return
            except httpx.TransportError as error:
                cause = error
            except Unavailable as error:
                cause = error
            if failures >= self._retries:
                raise cause if isinstance(cause, ZhisuanError) else self._failed(cause)
            self._backoff(failures)
            failures += 1


def _typed(raw: ServerEvent) -> WatchEvent | None:
    """The event, or None for a kind that a newer server sends. Raises ``UnexpectedAnswer`` for data it cannot have."""
    if raw.name not in ("log", "state", "end"):
        return None
    try:
        if raw.name == "log":
            return LogEvent.model_validate_json(raw.data)
        workload = Workload.model_validate_json(raw.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise unexpected(f"watch, event {raw.name}", 200, str(first["msg"])) from error
    return EndEvent(workload=workload) if raw.name == "end" else StateEvent(workload=workload)
