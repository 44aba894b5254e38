"""The tunnel's frames and credit."""

import asyncio

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zhisuan.wire.flow import OUTBOX_BYTES_MAX, FlowError, Inbox, Outbox, SendWindow
from zhisuan.wire.frames import (
    DATA_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    STREAM_MAX,
    WINDOW_BYTES,
    FrameError,
    FrameType,
    decode,
    decode_credit,
    encode,
    encode_batch,
    encode_credit,
)

streams = st.integers(0, STREAM_MAX)


@given(st.sampled_from(FrameType), streams, st.binary(max_size=2_000))
def test_a_frame_survives_the_wire(kind: FrameType, stream: int, payload: bytes) -> None:
    if kind != FrameType.BATCH:
        assert list(decode(encode(kind, stream, payload))) == [(kind, stream, payload)]


frames = st.builds(
    encode,
    st.sampled_from([k for k in FrameType if k != FrameType.BATCH]),
    st.integers(0, STREAM_MAX),
    st.binary(max_size=99),
)


@given(st.lists(frames, min_size=1, max_size=8))
def test_a_batch_gives_back_its_frames_in_order(batch: list[bytes]) -> None:
    assert [encode(FrameType(f.type), f.stream, f.payload) for f in decode(encode_batch(batch))] == batch


@given(st.lists(frames, min_size=2, max_size=4), st.data())
def test_a_batch_cut_short_is_an_error(batch: list[bytes], data: st.DataObject) -> None:
    message = encode_batch(batch)
    ends = {5}
    for frame in batch:
        ends.add(max(ends) + 4 + len(frame))
    cut = data.draw(st.integers(0, len(message) - 1).filter(lambda place: place not in ends))
    with pytest.raises(FrameError):
        decode(message[:cut])


def test_a_batch_in_a_batch_is_an_error() -> None:
    inner = encode_batch([encode(FrameType.END, 1)] * 2)
    with pytest.raises(FrameError, match="inside another"):
        decode(encode_batch([inner, inner]))


def test_the_bytes_of_a_frame_are_those_of_the_contract() -> None:
    assert encode(FrameType.DATA, 258, b"ab") == b"\x02\x00\x00\x01\x02ab"
    assert encode_credit(1, 65_536) == b"\x06\x00\x00\x00\x01\x00\x01\x00\x00"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_frame_or_an_error(message: bytes) -> None:
    if len(message) < 5:
        with pytest.raises(FrameError):
            decode(message)
    elif message[0] != FrameType.BATCH:
        (frame,) = decode(message)
        assert message == bytes([frame.type]) + frame.stream.to_bytes(4, "big") + frame.payload


@given(streams, st.integers(0, 2**32 - 1))
def test_credit_survives_the_wire(stream: int, data_bytes: int) -> None:
    assert decode_credit(decode(encode_credit(stream, data_bytes))[0].payload) == data_bytes


@pytest.mark.parametrize("payload", [b"", b"abc", b"abcde"])
def test_credit_has_four_bytes(payload: bytes) -> None:
    with pytest.raises(FrameError):
        decode_credit(payload)


@given(st.integers(1, 2_000_000), st.lists(st.integers(0, 9), min_size=1, max_size=30))
@example(2_000_000, [0])
@example(2_000_000, [9, 0])
def test_all_bytes_arrive_in_order_and_never_more_than_a_window_is_on_the_way(length: int, schedule: list[int]) -> None:
    """A sender and a receiver that take turns in any order: bytes, order and the bound on what is unread all hold."""

    data = (bytes(range(251)) * (length // 251 + 1))[:length]

    async def transfer() -> bytes:
        window, inbox = SendWindow(), Inbox()
        received = bytearray()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < len(data):
                taken = await window.take(len(data) - sent)
                assert 0 < taken <= DATA_BYTES_MAX
                inbox.push(data[sent : sent + taken])
                sent += taken
                assert sent - len(received) <= WINDOW_BYTES
            inbox.end()

        async def receive() -> None:
            turn = 0
            while (part := await inbox.read()) is not None:
                received.extend(part)
                for _ in range(schedule[turn % len(schedule)]):
                    await asyncio.sleep(0)
                turn += 1
                if due := inbox.credit_due():
                    window.grant(due)

        await asyncio.wait_for(asyncio.gather(send(), receive()), 20)
        return bytes(received)

    assert asyncio.run(transfer()) == data


def test_a_sender_without_credit_waits_and_a_reset_frees_it() -> None:
    async def scenario() -> None:
        window = SendWindow()
        total = 0
        while total < WINDOW_BYTES:
            total += await window.take(50_000)
        assert total == WINDOW_BYTES
        waiting = asyncio.create_task(window.take(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        window.fail(ConnectionResetError("gone"))
        with pytest.raises(ConnectionResetError):
            await waiting

    asyncio.run(scenario())


def test_what_exceeds_the_credit_is_refused() -> None:
    inbox = Inbox()
    inbox.push(b"x" * WINDOW_BYTES)
    with pytest.raises(FlowError):
        inbox.push(b"x")
    with pytest.raises(FlowError):
        SendWindow().grant(2**31)


def test_data_after_the_end_is_refused() -> None:
    inbox = Inbox()
    inbox.end()
    with pytest.raises(FlowError):
        inbox.push(b"x")


@pytest.mark.parametrize("discard", [False, True])
def test_what_arrived_before_a_break_is_read_first_unless_discarded(discard: bool) -> None:
    async def scenario() -> list[bytes | str | None]:
        inbox = Inbox()
        inbox.push(b"a")
        inbox.push(b"b")
        inbox.fail(ConnectionResetError("gone"), discard=discard)
        seen: list[bytes | str | None] = []
        try:
            while True:
                seen.append(await inbox.read())
        except ConnectionResetError as error:
            seen.append(str(error))
        return seen

    assert asyncio.run(scenario()) == (["gone"] if discard else [b"ab", "gone"])


class Wire:
    """Takes messages; stays full, or breaks, as told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.errors: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.broken: Exception | None = None

    async def write(self, message: bytes) -> None:
        await self.open.wait()
        if self.broken is not None:
            raise self.broken
        self.messages.append(message)

    def frames(self) -> list[int]:
        return [frame.stream for message in self.messages for frame in decode(message)]


def test_frames_of_one_moment_leave_in_one_message_and_all_in_order() -> None:
    async def scenario() -> None:
        wire = Wire()
        outbox = Outbox(wire.write, wire.errors.append)
        for number in range(3):
            await outbox.send(encode(FrameType.END, number))
        await asyncio.sleep(0)
        assert (len(wire.messages), wire.frames()) == (1, [0, 1, 2])
        for number in range(3, 50):
            outbox.post(encode(FrameType.DATA, number, b"x" * 20_000))
            if number % 7 == 0:
                await asyncio.sleep(0)
        while len(wire.frames()) < 50:
            await asyncio.sleep(0)
        assert wire.frames() == list(range(50))
        assert max(len(message) for message in wire.messages) <= MESSAGE_BYTES_MAX

    asyncio.run(scenario())


def test_a_full_connection_makes_senders_wait_and_a_broken_one_tells_them() -> None:
    async def scenario() -> None:
        wire = Wire()
        wire.open.clear()
        outbox = Outbox(wire.write, wire.errors.append)
        sent = 0

        async def send_on() -> None:
            nonlocal sent
            while True:
                await outbox.send(encode(FrameType.DATA, 1, b"x" * 60_000))
                sent += 1

        sender = asyncio.create_task(send_on())
        for _ in range(100):
            await asyncio.sleep(0)
        assert sent * 60_000 <= OUTBOX_BYTES_MAX + 400_000
        assert not sender.done()
        wire.broken = ConnectionResetError("gone")
        wire.open.set()
        with pytest.raises(ConnectionResetError):
            await sender
        assert wire.errors == [wire.broken]
        outbox.post(encode(FrameType.END, 1))

    asyncio.run(scenario())


def test_closing_frees_who_waits_and_leaves_no_task() -> None:
    async def scenario() -> None:
        wire = Wire()
        wire.open.clear()
        outbox = Outbox(wire.write, wire.errors.append)
        for _ in range(3):
            outbox.post(b"x" * OUTBOX_BYTES_MAX)
        await asyncio.sleep(0)
        waiting = asyncio.create_task(outbox.send(b"x"))
        await asyncio.sleep(0)
        outbox.fail(ConnectionResetError("closed"))
        with pytest.raises(ConnectionResetError):
            await waiting
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
