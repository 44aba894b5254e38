"""Request bodies taken in as files: whole, or as far as they came before the connection broke."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from zhisuan.api.platform import Platform
from zhisuan.base.errors import ZhisuanError
from zhisuan.base.store import Incoming

T = TypeVar("T")
PART_BYTES_MAX = 64 * 1024**2


async def received(
    request: Request, here: Platform, bytes_max: int, use: Callable[[Incoming], T], *, cut_off_too: bool = False
) -> T:
    """What ``use`` (in a thread) makes of the body. Where the sender went away and ``cut_off_too``, what came before is used as
    well: nobody hears the answer, but the next try goes on behind it."""
    incoming = await run_in_threadpool(here.store.incoming, bytes_max)
    try:
        try:
            async for data in request.stream():
                incoming.write(data)
        except ClientDisconnect:
            if cut_off_too:
                await run_in_threadpool(_keep_what_came, incoming, use)
            raise
        return await run_in_threadpool(use, incoming)
    finally:
        incoming.discard()


def _keep_what_came(incoming: Incoming, use: Callable[[Incoming], T]) -> None:
    try:
        use(incoming)
    except ZhisuanError:
        return
