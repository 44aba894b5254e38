"""Frames of the tunnel between gateway and site: one byte of type, four bytes of stream number, the payload.

Kinds and directions are in the table of ``wire/gateway.py``; what the numbers of this module mean is part of the
contract, so both ends read them here.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

TUNNEL_PATH = "/tunnel"

WINDOW_BYTES = 256 * 1024
"""DATA bytes that either side may send on a new stream before the first CREDIT."""

DATA_BYTES_MAX = 64 * 1024
"""Longest payload of one DATA frame: short enough that one stream does not hold up the others."""

MESSAGE_BYTES_MAX = 1024 * 1024
"""Longest message that a peer accepts."""

WORKSPACE_MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""Longest WebSocket message to or from a workspace; the gateway holds one whole message at a time."""

BATCH_BYTES_MAX = 256 * 1024
"""Frames are gathered into one message until it is about this long."""

CLOSE_REPLACED = 4001
"""WebSocket close code: the same site has opened a newer tunnel."""

CLOSE_PROTOCOL = 4002
"""WebSocket close code: a frame that cannot be read."""

CLOSE_CREDENTIAL = 4003
"""WebSocket close code: the site's credential is no longer good."""

# Connection-bound headers of RFC 9110 §7.6.1 with their older companions; they end at each hop.
HOP_BY_HOP_HEADERS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip

_HEADER = struct.Struct("!BI")
_LENGTH = struct.Struct("!I")
STREAM_MAX = 2**32 - 1


class FrameType(IntEnum):
    OPEN = 1
    DATA = 2
    END = 3
    HEAD = 4
    RESET = 5
    CREDIT = 6
    BATCH = 7


class Frame(NamedTuple):
    """``type`` is a number and not a ``FrameType``: a newer peer may send types that this one ignores."""

    type: int
    stream: int
    payload: bytes


class FrameError(ValueError):
    """The peer sent bytes that are no frame; the connection cannot be trusted further."""


def encode(kind: FrameType, stream: int, payload: bytes = b"") -> bytes:
    """The bytes of one frame; ``stream`` is 1 to 2³² - 1."""
    return _HEADER.pack(kind, stream) + payload


def encode_batch(frames: Sequence[bytes]) -> bytes:
    """One message that carries several frames in their order."""
    if len(frames) == 1:
        return frames[0]
    parts = [_HEADER.pack(FrameType.BATCH, 0)]
    for frame in frames:
        parts += (_LENGTH.pack(len(frame)), frame)
    return b"".join(parts)


def decode(message: bytes) -> Sequence[Frame]:
    """The frames in one WebSocket message; ``FrameError`` when it cannot be cut into frames."""
    frame = _frame(message, 0, len(message))
    return _members(frame.payload) if frame.type == FrameType.BATCH else (frame,)


def _frame(data: bytes, start: int, end: int) -> Frame:
    if end - start < _HEADER.size:
        raise FrameError(f"a frame has at least {_HEADER.size} bytes, this one has {end - start}")
    kind, stream = _HEADER.unpack_from(data, start)
    return Frame(kind, stream, data[start + _HEADER.size : end])


def _members(payload: bytes) -> list[Frame]:
    frames, place = [], 0
    while place < len(payload):
        start = place + _LENGTH.size
        if start > len(payload):
            raise FrameError("a BATCH frame ends inside a length")
        place = start + _LENGTH.unpack_from(payload, place)[0]
        if place > len(payload):
            raise FrameError("a BATCH frame ends inside a frame")
        frame = _frame(payload, start, place)
        if frame.type == FrameType.BATCH:
            raise FrameError("a BATCH frame is inside another")
        frames.append(frame)
    return frames


def encode_credit(stream: int, data_bytes: int) -> bytes:
    return encode(FrameType.CREDIT, stream, _LENGTH.pack(data_bytes))


def decode_credit(payload: bytes) -> int:
    """How many more DATA bytes the peer takes; ``FrameError`` when the payload is not four bytes."""
    if len(payload) != _LENGTH.size:
        raise FrameError(f"a CREDIT frame carries {_LENGTH.size} bytes, this one {len(payload)}")
    (data_bytes,) = _LENGTH.unpack(payload)
    return int(data_bytes)
