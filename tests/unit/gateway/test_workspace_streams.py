"""A stream of bytes through the tunnel: both ways whole and in order, never beyond the credit, over when both sides say so."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zhisuan.gateway.tunnel import SiteLink, StreamFailed, TunnelStream
from zhisuan.wire.flow import Inbox, Outbox, SendWindow
from zhisuan.wire.frames import WINDOW_BYTES, FrameType, decode, decode_credit, encode, encode_credit
from zhisuan.wire.gateway import TunnelHead, TunnelOpen

chunks = st.lists(st.integers(0, 3 * WINDOW_BYTES // 2), max_size=5)
HEAD = TunnelHead(status=200).model_dump_json().encode()


class FarEnd:
    """The site's end of one stream, made of the parts of the contract alone. What the gateway sends beyond its credit is an error
    that ``Inbox`` raises."""

    def __init__(self) -> None:
        self.inbox, self.window = Inbox(), SendWindow()
        self.seen: list[int] = []
        self.link = SiteLink("site_1", self.take)
        self.outbox = Outbox(self._give, lambda _: None)
        self.opening: TunnelOpen | None = None

    async def take(self, message: bytes) -> None:
        await asyncio.sleep(0)
        for frame in decode(message):
            self.seen.append(frame.type)
            if frame.type == FrameType.OPEN:
                self.opening = TunnelOpen.model_validate_json(frame.payload)
                await self.outbox.send(encode(FrameType.HEAD, 1, HEAD))
            elif frame.type == FrameType.DATA:
                self.inbox.push(frame.payload)
            elif frame.type == FrameType.END:
                self.inbox.end()
            elif frame.type == FrameType.CREDIT:
                self.window.grant(decode_credit(frame.payload))

    async def _give(self, message: bytes) -> None:
        await asyncio.sleep(0)
        self.link.receive(message)

    async def send(self, data: bytes) -> None:
        while data:
            taken = await self.window.take(len(data))
            await self.outbox.send(encode(FrameType.DATA, 1, data[:taken]))
            data = data[taken:]

    async def receive(self) -> bytes | None:
        data = await self.inbox.read()
        if data is not None and (due := self.inbox.credit_due()):
            await self.outbox.send(encode_credit(1, due))
        return data


def _pattern(sizes: list[int], salt: int) -> list[bytes]:
    return [bytes([(salt + i) % 251]) * size for i, size in enumerate(sizes)]


async def _all(read: Any, pause: int) -> bytes:
    found = bytearray()
    while (data := await read()) is not None:
        found += data
        for _ in range(pause):
            await asyncio.sleep(0)
    return bytes(found)


async def _connected() -> tuple[FarEnd, TunnelStream]:
    far = FarEnd()
    stream = far.link.open()
    await stream.connect("lea_1", 3)
    return far, stream


@settings(max_examples=60, deadline=None)
@given(out=chunks, back=chunks, pauses=st.tuples(st.integers(0, 5), st.integers(0, 5)), near_first=st.booleans())
def test_both_ways_arrive_whole_and_each_ends_by_itself(
    out: list[int], back: list[int], pauses: tuple[int, int], near_first: bool
) -> None:
    async def run() -> None:
        far, stream = await _connected()
        assert far.opening is not None
        assert (far.opening.method, far.opening.lease_id, far.opening.generation) == ("CONNECT", "lea_1", 3)

        async def near_sends() -> None:
            for data in _pattern(out, 1):
                await stream.write(data)
            await stream.finish()

        async def far_sends() -> None:
            for data in _pattern(back, 101):
                await far.send(data)
            await far.outbox.send(encode(FrameType.END, 1))

        reading = asyncio.gather(_all(stream.read, pauses[0]), _all(far.receive, pauses[1]))
        for act in (near_sends, far_sends) if near_first else (far_sends, near_sends):
            await act()  # one way ends wholly before the other has begun
        got_near, got_far = await reading
        assert got_near == b"".join(_pattern(back, 101)) and got_far == b"".join(_pattern(out, 1))
        stream.close()
        await asyncio.sleep(0)
        assert FrameType.RESET not in far.seen, "it was over already"

    asyncio.run(asyncio.wait_for(run(), 30))


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 3 * WINDOW_BYTES), near_done=st.booleans(), far_done=st.booleans())
def test_a_stream_that_is_let_go_is_reset_unless_both_sides_had_ended(size: int, near_done: bool, far_done: bool) -> None:
    async def run() -> None:
        far, stream = await _connected()
        writing = asyncio.create_task(stream.write(b"x" * size))
        for _ in range(50):
            await asyncio.sleep(0)
        assert writing.done() == (size <= WINDOW_BYTES), "nobody reads: only the first window goes"
        if near_done and writing.done():
            await stream.finish()
        if far_done:
            await far.outbox.send(encode(FrameType.END, 1))
            assert await stream.read() is None
        stream.close()
        for _ in range(5):
            await asyncio.sleep(0)
        over = near_done and writing.done() and far_done
        assert (FrameType.RESET in far.seen) != over
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_tunnel_that_breaks_frees_who_waits() -> None:
    async def run() -> None:
        far, stream = await _connected()
        waiting = [asyncio.create_task(stream.read()), asyncio.create_task(stream.write(b"x" * (2 * WINDOW_BYTES)))]
        for _ in range(20):
            await asyncio.sleep(0)
        far.link.lose("gone")
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, StreamFailed) and error.code == "tunnel_lost"

    asyncio.run(asyncio.wait_for(run(), 30))
